"""What an implementation is to a run: a name, a version, and how it is called on a workload."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from l4guide import __version__
from l4guide.distributions import version_of
from l4guide.frozen import frozen
from l4guide.workload import Workload

if TYPE_CHECKING:
    import torch

    Lay = Callable[[Workload, torch.Tensor, torch.Tensor, torch.Tensor], tuple[torch.Tensor, ...]]

Attention = Callable[..., Any]
#: Ours, which is always there, from source too.
OWN = "l4guide"


@frozen
class Peer:
    """One implementation. `bind` makes its call for a workload and may raise whatever the library raises.

    The call takes what `lay` makes of q, k and v (batch, seqlen, heads, head_dim) before the clock starts, such as a
    cache in pages; q, k and v themselves where there is none. Its output may have more columns than a head.

    `approximate` ones quantise their inputs, so that their error is told but held against no bound. `kv_dtype` is
    that of the cache which they read, None for that of the inputs.
    """

    name: str
    distribution: str
    bind: Callable[[Workload], Attention]
    lay: "Lay | None" = None
    trains: bool = True
    approximate: bool = False
    kv_dtype: str | None = None

    @property
    def version(self) -> str | None:
        """The installed version, None when it is not installed."""
        return __version__ if self.distribution == OWN else version_of(self.distribution)

    def laid(
        self, workload: Workload, q: "torch.Tensor", k: "torch.Tensor", v: "torch.Tensor"
    ) -> "tuple[torch.Tensor, ...]":
        """What the call takes."""
        return (q, k, v) if self.lay is None else self.lay(workload, q, k, v)
