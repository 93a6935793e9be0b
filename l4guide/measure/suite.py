"""What the benchmark runs, in which order: pure, so that a run can say what it did not reach.

Sections take turns in proportion to their lengths, each with its most telling shapes first: a run cut short has seen
some of everything. The shapes are those of FlashAttention's own benchmark, 16k tokens a batch and 2048 columns over
all heads, and for decoding caches that no L2 holds.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import replace

from l4guide.frozen import frozen
from l4guide.measure.arithmetic import kv_bytes
from l4guide.workload import Workload, ask

SUITES = ("full", "quick")
#: A run ends within these seconds, the start of its process and compilations included.
BUDGET_S = {"full": 570.0, "quick": 50.0}
TOKENS, COLUMNS = 16_384, 2048
LENGTHS = (4096, 1024, 16_384, 2048, 512, 8192)
WIDTHS, PADDED_WIDTHS = (128, 64, 256), (80, 192, 72, 96)
#: (batch, keys): from many short caches to one long one.
CACHES = (
    (16, 8192),
    (64, 4096),
    (1, 131_072),
    (8, 32_768),
    (4, 131_072),
    (32, 16_384),
    (2, 32_768),
    (64, 32_768),
)
GROUPS = (4, 8, 1)
KV_HEADS = 8
#: A cache this many times the L2 is read from memory.
L2_TIMES = 2
#: The copies of a cache (in pages, in 8 bits) and the reference's fit beside it.
MEMORY_SHARE = 0.15

BACKENDS = ("torch/cudnn", "torch/flash", "torch/efficient")
#: Slow, or slow to compile: beside the first shape of a section only.
SLOW = ("torch/sdpa", "torch/flex", "torch/math")
#: Compiling it takes half of a quick run.
TOO_SLOW = "torch/flex"
#: Ours and the peer that is everywhere and compiles nothing: timed on more shapes, to put estimates right by.
CALIBRATED = ("l4guide", "torch/flash")
#: So many more caches in the quick suite, the smallest; with its first it has more than an estimate asks for.
MORE_CACHES = 4
LIBRARIES = ("flash-attn", "xformers", "flashinfer")
PAGED = ("l4guide/paged", "flash-attn/paged", "flashinfer/paged")
CODED = ("l4guide/kv-fp8", "l4guide/kv-int8")
QUANTIZED = ("l4guide/int8-fp16", "l4guide/int8-fp8", "sageattention")


@frozen
class Item:
    """One workload and who is measured on it."""

    section: str
    workload: Workload
    implementations: tuple[str, ...]

    @property
    def key(self) -> str:
        """What it is, in one line that no other item has."""
        w = self.workload
        shape = f"b{w.batch} {w.seqlen_q}x{w.seqlen_kv} h{w.heads}/{w.kv_heads} d{w.head_dim}"
        return f"{self.section}: {w.task} {shape} {w.dtype} {'causal' if w.causal else 'full'}"


def plan(suite: str, *, l2_bytes: int, memory_bytes: int) -> tuple[Item, ...]:
    """What a suite runs on a card, in order.

    Args:
        suite: one of `SUITES`; the quick one has the full one's first items, and more shapes to put estimates right.
        l2_bytes: the card's L2 cache: shorter KV caches are left out.
        memory_bytes: the card's memory: larger ones are.
    """
    decode = [
        item
        for item in decoding()
        if L2_TIMES * l2_bytes < kv_bytes(item.workload) <= MEMORY_SHARE * memory_bytes
    ]
    sections = (training(), decode, quantized(), padded())
    first = [section[0] for section in sections if section]
    if suite == "quick":
        return (*(_without(item, TOO_SLOW) for item in first), *calibrating(decode))
    return (*first, *in_turn([section[1:] for section in sections]))


def calibrating(decode: Sequence[Item]) -> list[Item]:
    """More lengths and caches like the first of their sections, so that kernels which are compiled run them too."""
    prompts, caches = _like_first(quantized()), _like_first(decode)
    caches.sort(key=lambda item: kv_bytes(item.workload))
    return [
        replace(item, section="calibration", implementations=CALIBRATED)
        for item in in_turn((prompts, caches[:MORE_CACHES]))
    ]


def _like_first(items: Sequence[Item]) -> list[Item]:
    """All that differ from the first in lengths and batch alone."""

    def kernel(item: Item) -> tuple[int, int, bool]:
        return item.workload.heads, item.workload.head_dim, item.workload.causal

    return [item for item in items[1:] if kernel(item) == kernel(items[0])]


def in_turn(sections: Iterable[Sequence[Item]]) -> list[Item]:
    """All items, so that any beginning holds the same share of each section."""
    placed = [(at / len(items), item) for items in sections for at, item in enumerate(items)]
    return [item for _, item in sorted(placed, key=lambda pair: pair[0])]


def training() -> list[Item]:
    """Forward and backward at the widths of one block, causal first."""
    return [
        _square("training", "training", width, length, causal, ("l4guide", *BACKENDS, *LIBRARIES), at)
        for at, (causal, length, width) in enumerate(
            (causal, length, width) for length in LENGTHS for causal in (True, False) for width in WIDTHS
        )
    ]


def padded() -> list[Item]:
    """Widths that are no power of two, against the same kernels on the next one."""
    names = ("l4guide", "l4guide/padded", "torch/flash", "torch/cudnn")
    return [
        _square("padded", "training", width, length, causal, names, 1)
        for length in (4096, 1024)
        for causal in (True, False)
        for width in PADDED_WIDTHS
    ]


def quantized() -> list[Item]:
    """Inference in 8 bits, beside 16 bits on the same inputs."""
    names = ("l4guide", *QUANTIZED, "torch/cudnn", "torch/flash")
    return [
        _square("quantized", "prefill", width, length, causal, names, 1)
        for length in (4096, 16_384, 1024)
        for causal in (True, False)
        for width in (128, 64)
    ]


def decoding() -> list[Item]:
    """One new query over caches of every shape, in rows, in pages and in 8 bits."""
    names = ("l4guide", "l4guide/paged", *CODED, *BACKENDS, *LIBRARIES, *PAGED[1:])
    shapes = [(batch, keys, group) for batch, keys in CACHES for group in GROUPS]
    return [
        Item(
            section="decode",
            workload=_ask(
                task="decode",
                batch=batch,
                seqlen_kv=keys,
                heads=KV_HEADS * group,
                kv_heads=KV_HEADS,
                head_dim=128,
            ),
            implementations=names if at else (*names, *SLOW),
        )
        for at, (batch, keys, group) in enumerate(shapes)
    ]


def interpreted() -> tuple[Item, ...]:
    """What Triton's interpreter can check in a minute: correctness on small shapes, no times."""
    small = {"batch": 1, "heads": 2, "kv_heads": 1, "dtype": "fp16"}
    return (
        Item(
            section="training",
            workload=_ask(task="training", head_dim=64, seqlen=64, **small),
            implementations=("l4guide",),
        ),
        Item(
            section="padded",
            workload=_ask(task="training", head_dim=72, seqlen=33, **small),
            implementations=("l4guide", "l4guide/padded"),
        ),
        Item(
            section="decode",
            workload=_ask(task="decode", head_dim=128, seqlen_kv=100, **small | {"dtype": "bf16"}),
            implementations=("l4guide", "l4guide/paged", *CODED),
        ),
        Item(
            section="quantized",
            workload=_ask(task="prefill", head_dim=64, seqlen=48, **small),
            implementations=("l4guide", "l4guide/int8-fp16"),
        ),
    )


def digest(items: Iterable[Item]) -> str:
    """Twelve hex digits that change with what a suite runs, or in which order."""
    text = "\n".join(f"{item.key} {item.implementations}" for item in items)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _without(item: Item, name: str) -> Item:
    return replace(item, implementations=tuple(other for other in item.implementations if other != name))


def _square(
    section: str, task: str, width: int, length: int, causal: bool, names: tuple[str, ...], at: int
) -> Item:
    heads = COLUMNS // width
    workload = _ask(
        task=task, batch=TOKENS // length, seqlen=length, heads=heads, head_dim=width, causal=causal
    )
    return Item(section=section, workload=workload, implementations=names if at else (*names, *SLOW))


def _ask(**options: object) -> Workload:
    return ask(options)[0]
