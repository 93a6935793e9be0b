"""The question: a task with its shapes and types, validated once so that everything after it can trust them."""

import math
import re
from collections.abc import Mapping
from dataclasses import fields

from l4guide.errors import BadInput
from l4guide.frozen import frozen

TASKS = ("prefill", "decode", "training")
DTYPES = ("fp16", "bf16", "fp32", "fp8")
#: What is added to the scores before the softmax, or which of them are left out, beside what `causal` and `window` say.
MASKS = ("none", "bool", "additive")
KV_DTYPES = ("fp16", "bf16", "fp32", "fp8", "int8")
ELEMENT_BYTES = {"fp32": 4, "fp16": 2, "bf16": 2, "fp8": 1, "int8": 1}
#: No model known to the catalogue has a wider head than 576 (absorbed MLA); beyond this it is a typing mistake.
MAX_HEAD_DIM = 65_536
MAX_COUNT = 2**31 - 1


@frozen
class Workload:
    """One attention problem.

    Tensors are `(batch, seqlen, heads, head_dim)`. `seqlen_q` is 1 for decode and equal to `seqlen_kv` otherwise,
    unless said. `window` is the number of keys to the left that a query sees (None: all). `append_kv` writes new keys
    and values to the cache in the same call; `num_splits` is flash-attn's argument: how many pieces the keys are split
    into (0: as its heuristic finds; None: not said, so as the called function does by itself). `mask` is a tensor
    handed over beside `causal`: bool says which keys take part, additive is added to the scores (relative positions, a
    bias of pairs), with `mask_grad` where it is trained. `sinks` are scores a head that join the softmax without a key.
    `enable_gqa` hands K and V to PyTorch's attention with their own number of heads; without it they are repeated
    first. `own_scores` says that the model's own code computes the scores, from more than Q and K.
    """

    task: str
    head_dim: int
    head_dim_v: int
    batch: int = 1
    seqlen_q: int = 2048
    seqlen_kv: int = 2048
    heads: int = 32
    kv_heads: int = 32
    dtype: str = "bf16"
    kv_dtype: str = "bf16"
    causal: bool = True
    dropout: float = 0.0
    window: int | None = None
    softcap: float = 0.0
    alibi: bool = False
    deterministic: bool = False
    varlen: bool = False
    block_sparse: bool = False
    paged_block_size: int | None = None
    append_kv: bool = False
    num_splits: int | None = None
    score_mod: bool = False
    mask: str = "none"
    mask_grad: bool = False
    sinks: bool = False
    enable_gqa: bool = False
    own_scores: bool = False

    @property
    def passes(self) -> tuple[str, ...]:
        """The passes that the task runs: training needs the backward too."""
        return ("forward", "backward") if self.task == "training" else ("forward",)

    @property
    def tokens(self) -> int:
        """Query tokens that one call processes, over the batch."""
        return self.batch * self.seqlen_q

    @property
    def dq_elements(self) -> int:
        """Elements of the buffer in which FlashAttention sums dQ: queries in blocks of 128, heads 32 wide or more."""
        return self.batch * self.heads * (-(-self.seqlen_q // 128) * 128) * max(32, self.head_dim)


#: What a question that does not say is taken to mean; echoed to the user as `question.assumed`. There are as many
#: key and value heads as query heads unless said: grouping them is a feature that old releases lack.
DEFAULTS: Mapping[str, object] = {
    "task": "training",
    "head_dim": 128,
    "batch": 1,
    "seqlen": 2048,
    "heads": 32,
    "dtype": "bf16",
    "dropout": 0.0,
    "window": None,
    "softcap": 0.0,
    "alibi": False,
    "deterministic": False,
    "varlen": False,
    "block_sparse": False,
    "paged_block_size": None,
    "append_kv": False,
    "num_splits": None,
    "score_mod": False,
    "mask": "none",
    "mask_grad": False,
    "sinks": False,
    "enable_gqa": False,
    "own_scores": False,
}

FLAG_WORDS = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}
_FLAGS = (
    *("causal", "alibi", "deterministic", "varlen", "block_sparse", "append_kv", "score_mod"),
    *("mask_grad", "sinks", "enable_gqa", "own_scores"),
)
_COUNTS = ("head_dim", "head_dim_v", "batch", "seqlen_q", "seqlen_kv", "heads", "kv_heads")


def whole_number(name: str, value: object, *, at_least: int = 1, at_most: int = MAX_COUNT) -> int:
    """`value` as a whole number within limits.

    Raises:
        BadInput: it is not a whole number, or lies outside the limits.
    """
    text = str(value).strip()
    if isinstance(value, bool) or not re.fullmatch(r"[+-]?\d+", text):
        raise BadInput("error.not_whole", name=name, value=text, low=at_least, high=at_most)
    number = int(text)
    if not at_least <= number <= at_most:
        raise BadInput("error.out_of_range", name=name, value=number, low=at_least, high=at_most)
    return number


def real_number(name: str, value: object, *, at_least: float, below: float) -> float:
    """`value` as a real number in `[at_least, below)`.

    Raises:
        BadInput: it is not a finite number, or lies outside the limits.
    """
    try:
        number = float(str(value).strip())
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise BadInput("error.not_number", name=name, value=str(value).strip(), low=at_least, high=below)
    if not at_least <= number < below:
        raise BadInput("error.out_of_interval", name=name, value=number, low=at_least, high=below)
    return number


def one_of(name: str, value: object, choices: tuple[str, ...]) -> str:
    """`value` as one of `choices`, forgiving case and spaces.

    Raises:
        BadInput: it is none of them; the message lists them and the nearest.
    """
    text = str(value).strip().lower()
    if text in choices:
        return text
    from difflib import get_close_matches  # only a mistyped word needs it

    near = get_close_matches(text, choices, n=1)
    key = "error.not_a_choice_near" if near else "error.not_a_choice"
    raise BadInput(key, name=name, value=str(value), choices=", ".join(choices), near=near[0] if near else "")


def yes_or_no(name: str, value: object) -> bool:
    """`value` as a truth value: one, or a word for one.

    Raises:
        BadInput: it is neither.
    """
    found = value if isinstance(value, bool) else FLAG_WORDS.get(str(value).strip().lower())
    if found is None:
        raise BadInput("error.not_a_flag", name=name, value=str(value))
    return found


def ask(options: Mapping[str, object]) -> tuple[Workload, tuple[str, ...]]:
    """Build the question from what was said, and name what had to be assumed.

    Args:
        options: any of the fields of `Workload`, and `seqlen` for both lengths; values may be text. A missing
            option or None takes its default.

    Returns:
        The workload, and the names of the options that were filled in, in the order of the fields.

    Raises:
        BadInput: a value is malformed or outside its limits, or two values contradict each other.
    """
    known = {f.name for f in fields(Workload)} | {"seqlen"}
    for name in options:
        if name not in known:
            raise BadInput("error.unknown_option", name=name, choices=", ".join(sorted(known)))
    said = {name: value for name, value in options.items() if value is not None}
    values: dict[str, object] = {**DEFAULTS, **said}
    task = one_of("task", values["task"], TASKS)
    seqlen = values.pop("seqlen")
    values.setdefault("seqlen_kv", seqlen)
    values.setdefault("seqlen_q", 1 if task == "decode" else values["seqlen_kv"])
    values.setdefault("head_dim_v", values["head_dim"])
    values.setdefault("kv_dtype", values["dtype"])
    values.setdefault("causal", True)
    values.setdefault("kv_heads", values["heads"])
    for name in _COUNTS:
        high = MAX_HEAD_DIM if name.startswith("head_dim") else MAX_COUNT
        values[name] = whole_number(name.replace("_", "-"), values[name], at_most=high)
    for name in ("window", "paged_block_size"):
        if values[name] is not None:
            values[name] = whole_number(name.replace("_", "-"), values[name])
    if values["num_splits"] is not None:
        values["num_splits"] = whole_number("num-splits", values["num_splits"], at_least=0)
    for name in _FLAGS:
        values[name] = yes_or_no(name, values[name])
    values["task"] = task
    values["mask"] = one_of("mask", values["mask"], MASKS)
    if values["mask_grad"] and values["mask"] != "additive":
        raise BadInput("error.mask_grad", mask=values["mask"])
    values["dtype"] = one_of("dtype", values["dtype"], DTYPES)
    values["kv_dtype"] = one_of("kv-dtype", values["kv_dtype"], KV_DTYPES)
    values["dropout"] = real_number("dropout", values["dropout"], at_least=0.0, below=1.0)
    values["softcap"] = real_number("softcap", values["softcap"], at_least=0.0, below=1e6)
    workload = Workload(**values)  # type: ignore[arg-type]
    if workload.heads % workload.kv_heads:
        raise BadInput("error.heads_not_divisible", heads=workload.heads, kv_heads=workload.kv_heads)
    order = [f.name for f in fields(Workload)]
    covered = set(said) | ({"seqlen_q", "seqlen_kv"} if "seqlen" in said else set())
    return workload, tuple(name for name in order if name not in covered)
