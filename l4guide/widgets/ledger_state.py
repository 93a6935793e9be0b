"""What the reader asks of the shared-memory ledger, and what came of it."""

import traitlets

from l4guide.resources import Resources, ledger_of, published_ledgers
from l4guide.widgets.tile_state import TileState

#: FlashAttention-1's backward tile at head_dim 128, with a pipeline like ours: fits an A100, not an L4.
FIRST_TILE = {"block_m": "128", "block_n": "128", "warps": "8", "stages": "2"}


class LedgerState(TileState):
    """The question about a tile, and the ledgers that answer it.

    `ledgers` are the bars: published tiles first, then our default tile where another is chosen, then the chosen one.
    """

    ledgers = traitlets.Tuple()

    def show(self, head_dim: int, own: tuple[Resources, ...]) -> None:
        """One bar a tile."""
        published = published_ledgers(self.card, self.kernel, head_dim, causal=self.causal)
        self.ledgers = (*published, *(ledger_of(item, self.card) for item in own))
