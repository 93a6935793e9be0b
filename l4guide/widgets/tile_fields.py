"""The inputs of a question about a tile."""

from collections.abc import Sequence

import ipywidgets

from l4guide import catalogue
from l4guide.resources import PASSES, TILE_LIMITS
from l4guide.widgets.field import Field, same
from l4guide.widgets.tile_state import TileState
from l4guide.workload import DTYPES


def tile_fields(state: TileState) -> dict[str, Field]:
    """Kernel, shape, card, the four numbers of a tile and the mask, each by its name in the state."""

    def field(name: str, choices: Sequence[str]) -> Field:
        return Field(state, name, ipywidgets.Dropdown(), choices=same(choices), section="ledger.")

    head_dim = Field(state, "head_dim", ipywidgets.Text(continuous_update=False), section="ledger.")
    return {
        "kernel": field("kernel", tuple(PASSES)),
        "head_dim": head_dim,
        "dtype": field("dtype", DTYPES),
        "gpu": field("gpu", [card.name for card in catalogue.gpus()]),
        **{name: field(name, _powers(*TILE_LIMITS[name])) for name in ("block_m", "block_n", "warps")},
        "stages": field("stages", [str(n) for n in range(1, TILE_LIMITS["stages"][1] + 1)]),
        "causal": Field(state, "causal", ipywidgets.Checkbox(indent=False), section="ledger."),
    }


def _powers(low: int, high: int) -> list[str]:
    return [str(1 << bit) for bit in range(high.bit_length()) if low <= 1 << bit <= high]
