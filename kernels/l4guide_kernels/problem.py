"""What is asked of the launchers besides q, k and v, and whose tiles answer it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch

from l4guide_kernels.arguments import Extras, Span
from l4guide_kernels.dialect import interpreted
from l4guide_kernels.requirements import require_architecture, unserved_architectures
from l4guide_kernels.tiles import ARCHS, Tile, UnsupportedError, tile_for

#: fp64 is for checking gradients in the interpreter; GPUs are refused it (`checks`).
DTYPE_NAMES = {torch.float16: "fp16", torch.bfloat16: "bf16", torch.float32: "fp32", torch.float64: "fp32"}
#: Who decodes from a cache of 8 bits.
DECODERS = {torch.int8: "decode-int8", torch.float8_e4m3fn: "decode-fp8"}
_INTERPRETED_ARCH = 89
# Asked once: torch.compile traces through `device_arch`.
_TOO_NEW = unserved_architectures()


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How to launch: whose architecture's tiles to take, and tiles that replace them, by kernel name."""

    arch: int
    tiles: Mapping[str, Tile] = field(default_factory=dict)

    def tile(self, kernel: str, q: torch.Tensor, v: torch.Tensor, *, boxes: bool = True) -> Tile:
        """The tile that `kernel` runs with on tensors like `q` and `v`, which boxes may fetch or not."""
        head_dim, dtype = max(q.shape[-1], v.shape[-1]), DTYPE_NAMES[q.dtype]
        return self.tiles.get(kernel) or tile_for(kernel, head_dim, dtype, self.arch, boxes=boxes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Everything about one call but its tensors of rows; None and 0 stand for what is not asked.

    Attributes:
        plan: Whose tiles.
        scale: Factor on q·k.
        causal: Query i sees key j when j <= i + seqlen_k - seqlen_q.
        left: How many keys before its place a query sees.
        right: How many after; may be negative. Not with `causal`.
        softcap: Scores become softcap · tanh(score / softcap).
        dropout: Share of the weights that is dropped.
        seed: (1,) int64, where there is dropout.
        slopes: (heads,) or (batch, heads) fp32, ALiBi's.
        sink: (heads,), a score to no key.
        cu_q: (batch + 1,) int32: q is (total, heads, head_dim) then.
        cu_k: The same of k and v.
        max_q: The most queries a sequence has, with `cu_q`.
        max_k: The most keys.
        used_k: (batch,) int32: how many keys count.
        leftpad: (batch,) int32: keys left out at the front.
        slots: (batch,) int32: whose keys are a sequence's.
        pages: (batch, pages) int32: k and v are (pages, page_size, kv_heads, head_dim) then.
        k_descale: (batch, kv_heads) fp32: factors on the keys of a cache of 8 bits. `launch.decode` only.
        v_descale: Factors on its values.
    """

    plan: Plan
    scale: float
    causal: bool = False
    left: int | None = None
    right: int | None = None
    softcap: float = 0.0
    dropout: float = 0.0
    seed: torch.Tensor | None = None
    slopes: torch.Tensor | None = None
    sink: torch.Tensor | None = None
    cu_q: torch.Tensor | None = None
    cu_k: torch.Tensor | None = None
    max_q: int = 0
    max_k: int = 0
    used_k: torch.Tensor | None = None
    leftpad: torch.Tensor | None = None
    slots: torch.Tensor | None = None
    pages: torch.Tensor | None = None
    k_descale: torch.Tensor | None = None
    v_descale: torch.Tensor | None = None

    def batch(self, q: torch.Tensor) -> int:
        """How many sequences."""
        return q.shape[0] if self.cu_q is None else self.cu_q.shape[0] - 1

    def seqlen_q(self, q: torch.Tensor) -> int:
        """The most queries that a sequence has."""
        return q.shape[1] if self.cu_q is None else self.max_q

    def seqlen_k(self, k: torch.Tensor) -> int:
        """The most keys that a sequence has."""
        if self.pages is not None:
            return self.pages.shape[1] * k.shape[1]
        return k.shape[1] if self.cu_k is None else self.max_k

    def fits_boxes(self, x: torch.Tensor) -> bool:
        """Whether boxes can fetch keys or values `x`, whose rows are aligned.

        Not where a sequence ends before its tensor does, since what follows would be read; nor along an axis that is
        expanded, along which nothing moves.
        """
        ends = (self.cu_k, self.used_k, self.leftpad, self.pages)
        moves = all(stride > 0 for size, stride in zip(x.shape, x.stride(), strict=True) if size > 1)
        return all(end is None for end in ends) and moves and x.numel() > 0

    def span(self, k: torch.Tensor) -> Span:
        """What the kernels are told of where rows lie."""
        paged = self.pages is not None
        return Span(
            cu_q=self.cu_q,
            cu_k=self.cu_k,
            used_k=self.used_k,
            leftpad=self.leftpad,
            slots=self.slots,
            pages=self.pages,
            page_size=k.shape[1] if paged else None,
            pages_stride=self.pages.stride(0) if self.pages is not None else None,
        )

    def extras(self) -> Extras:
        """What the kernels are told of scores and weights."""
        slopes_stride = None
        if self.slopes is not None:
            slopes_stride = self.slopes.stride(0) if self.slopes.dim() > 1 else 0
        return Extras(
            left=self.left,
            right=None if self.causal else self.right,
            softcap=self.softcap or None,
            slopes=self.slopes,
            slopes_stride=slopes_stride,
            sink=self.sink,
            seed=self.seed if self.dropout else None,
            dropout=self.dropout or None,
            k_descale=self.k_descale,
            v_descale=self.v_descale,
        )


def device_arch(device: torch.device) -> int:
    """The newest architecture in `ARCHS` whose tables serve `device`; an L4's (89) in the interpreter.

    Raises:
        UnsupportedError: The device is older than sm_80.
        RequirementError: The installed Triton is too old for the device.
    """
    if interpreted():
        return _INTERPRETED_ARCH
    major, minor = torch.cuda.get_device_capability(device)
    capability = 10 * major + minor
    served = [arch for arch in ARCHS if arch <= capability]
    if not served:
        name = torch.cuda.get_device_name(device)
        raise UnsupportedError(
            f"{name} is sm_{capability}, and Triton uses tensor cores only from sm_{ARCHS[0]} on: "
            "use torch.nn.functional.scaled_dot_product_attention"
        )
    if served[-1] in _TOO_NEW:
        require_architecture(served[-1])
    return served[-1]


def default_scale(head_dim: int) -> float:
    """What flash-attn multiplies q·k with when not told: 1 / sqrt(head_dim)."""
    return 1.0 / math.sqrt(head_dim)
