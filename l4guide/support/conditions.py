"""What a rule may ask: a closed set of tests on a closed set of fields of the question and the card."""

from collections.abc import Callable, Mapping
from operator import eq, ge, gt, le, lt, ne
from typing import Any, get_args, get_type_hints

from l4guide.catalogue import Gpu
from l4guide.frozen import frozen
from l4guide.text import Sentence
from l4guide.workload import Workload

#: A field's value; None where it is unknown or does not apply.
Value = str | int | float | bool | None

#: All that a rule can know of a card, beside who made it.
GPU_FIELDS = ("capability", "arch", "shared_bytes_per_block")


#: What follows from a question and has a limit of its own.
COUNTED = ("dq_elements",)

#: Fields that hold a number of bytes.
BYTES = ("gpu.shared_bytes_per_block",)


def _kinds() -> dict[str, tuple[type, ...]]:
    """What a value of each field is, read from the records; None stands for unknown everywhere."""
    hints = {f"workload.{name}": hint for name, hint in get_type_hints(Workload).items()}
    hints |= {f"workload.{name}": int for name in COUNTED}
    card = {**get_type_hints(Gpu), "arch": int}
    hints |= {f"gpu.{name}": card[name] for name in GPU_FIELDS}
    kinds = {field: set(get_args(hint) or (hint,)) - {type(None)} for field, hint in hints.items()}
    return {field: (int, float) if kind & {int, float} else tuple(kind) for field, kind in kinds.items()}


FIELDS: Mapping[str, tuple[type, ...]] = _kinds()


def fits(field: str, value: object) -> bool:
    """Whether `value` is of the kind that `field` holds, so that comparing them can have an answer."""
    return isinstance(value, FIELDS[field]) and (bool in FIELDS[field] or not isinstance(value, bool))


def value_of(field: str, workload: Workload, gpu: Gpu) -> Value:
    """The value of one of `FIELDS` in this question on this card."""
    record, name = field.split(".")
    value: Value = getattr(workload if record == "workload" else gpu, name)
    return value


#: Test name -> does `value` pass it for `bound`? Both are known when it is asked.
TESTS: Mapping[str, Callable[[Any, Any], bool]] = {
    "at-least": ge,
    "at-most": le,
    "above": gt,
    "below": lt,
    "equals": eq,
    "differs": ne,
    "one-of": lambda value, bound: value in bound,
    "none-of": lambda value, bound: value not in bound,
    "multiple-of": lambda value, bound: value % bound == 0,
    "within": lambda value, bound: bound[0] <= value <= bound[1],
    "same-as": eq,
    "other-than": ne,
    "less-than": lt,
    "absent": lambda value, bound: value is None,
    "present": lambda value, bound: value is not None,
}
ORDER_TESTS = ("at-least", "at-most", "above", "below", "multiple-of", "within")
LIST_TESTS = ("one-of", "none-of", "within")
#: These name another field instead of a value.
FIELD_TESTS = ("same-as", "other-than", "less-than")
#: These take no value: whether the field is set is the question.
BARE_TESTS = ("absent", "present")


def label(field: str) -> Sentence:
    """What a reader calls `field`."""
    return Sentence("support.field_" + field.replace(".", "_"))


def quantity(field: str, value: object) -> object:
    """A value of `field` as a reader is told it: a number of bytes with its unit."""
    if field in BYTES and isinstance(value, int):
        return Sentence("support.bytes", {"value": f"{value:,}"})
    return "–" if value is None else value


@frozen
class Condition:
    """One test on one field, with the bound it is compared to."""

    field: str
    test: str
    value: object = None

    def found(self, workload: Workload, gpu: Gpu) -> Value:
        """The value of the field in this question on this card."""
        return value_of(self.field, workload, gpu)

    def holds(self, workload: Workload, gpu: Gpu) -> bool | None:
        """Whether the test passes; None where the field's value is not known."""
        value = self.found(workload, gpu)
        if self.test in BARE_TESTS:
            return TESTS[self.test](value, None)
        bound = value_of(str(self.value), workload, gpu) if self.test in FIELD_TESTS else self.value
        if value is None or bound is None:
            return None
        return TESTS[self.test](value, bound)

    @property
    def needed(self) -> Sentence:
        """The test in words."""
        shown: dict[str, object] = {"value": quantity(self.field, self.value)}
        if self.test in FIELD_TESTS:
            shown["value"] = label(str(self.value))
        elif isinstance(self.value, tuple) and self.test == "within":
            shown = {"low": self.value[0], "high": self.value[1]}
        elif isinstance(self.value, tuple):
            shown["value"] = ", ".join(map(str, self.value))
        return Sentence("support.test_" + self.test.replace("-", "_"), shown)


def all_hold(conditions: tuple[Condition, ...], workload: Workload, gpu: Gpu) -> bool | None:
    """Whether every condition holds; None where that hangs on a value that is not known."""
    answers = [condition.holds(workload, gpu) for condition in conditions]
    if False in answers:
        return False
    return None if None in answers else True


MOST_BLOCKS = 65_535

#: What a question may ask for beyond plain attention; a library supports none of it unless its table says so.
FEATURES: Mapping[str, Callable[[Workload], bool]] = {
    "gqa": lambda w: w.kv_heads != w.heads,
    "head-dim-v": lambda w: w.head_dim_v != w.head_dim,
    "kv-dtype": lambda w: w.kv_dtype != w.dtype,
    "dropout": lambda w: w.dropout > 0,
    "window": lambda w: w.window is not None,
    "softcap": lambda w: w.softcap > 0,
    "alibi": lambda w: w.alibi,
    "deterministic": lambda w: w.deterministic and "backward" in w.passes,
    "varlen": lambda w: w.varlen,
    "block-sparse": lambda w: w.block_sparse,
    "paged": lambda w: w.paged_block_size is not None,
    "append-kv": lambda w: w.append_kv,
    "split-kv": lambda w: w.num_splits not in (None, 1),
    "score-mod": lambda w: w.score_mod,
    "mask-bool": lambda w: w.mask == "bool",
    "mask-additive": lambda w: w.mask == "additive",
    "mask-grad": lambda w: w.mask == "additive" and w.mask_grad and "backward" in w.passes,
    "sinks": lambda w: w.sinks,
    "own-scores": lambda w: w.own_scores,
    # CUDA launches at most 65,535 blocks along the second and third dimension of a grid.
    "large-batch": lambda w: w.batch > MOST_BLOCKS,
    "many-heads": lambda w: w.heads > MOST_BLOCKS,
    # A single query sees every key, so it needs no mask and its alignment does not matter.
    "causal-unequal": lambda w: w.causal and w.seqlen_q not in (1, w.seqlen_kv),
}


def features_of(workload: Workload) -> frozenset[str]:
    """The features that the question uses."""
    return frozenset(name for name, used in FEATURES.items() if used(workload))


def named(features: frozenset[str]) -> tuple[Sentence, ...]:
    """What a reader calls each of some features, in the order in which they are known."""
    return tuple(
        Sentence("support.feature_" + name.replace("-", "_")) for name in FEATURES if name in features
    )
