"""What a trace finds in a model: its parameters by kind of module, its attention calls, its cache and its products."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, fields, replace
from typing import Any, Self

from l4guide.frozen import frozen

#: Kinds of modules that parameters are counted by, in the order in which they are shown.
KINDS = ("embedding", "attention", "state", "mlp", "experts", "router", "tower", "norm", "head", "other")


@frozen
class Call:
    """Layers of one component that attend alike.

    `window` is a query's keys to the left, itself counted; `chunk` the tokens that see only each other. `mask` is what
    the call is given: none, causal, bool or additive. `bias` is a term of its own for each head (ALiBi, relative
    positions), which an implementation must be able to add. `through` says how the model computes it: interface
    (transformers' own choice of implementations), sdpa, eager (scores written out), or modules where it was not
    run and its widths were read off the modules.
    """

    component: str
    layers: int
    head_dim: int
    head_dim_v: int
    heads: int
    kv_heads: int
    causal: bool
    window: int | None = None
    chunk: int | None = None
    softcap: float | None = None
    sinks: bool = False
    mask: str = "none"
    bias: bool = False
    cross: bool = False
    through: str = "interface"


@frozen
class Kept:
    """What some layers keep of a sequence.

    `elements` are those of one token, kept for `window` tokens at most where there is one, of every `stride`-th token
    where it compresses. `state_elements` do not grow; they take `state_bytes`. `cross` layers keep the encoder's
    tokens, whose number is the source's.
    """

    layers: int
    elements: int = 0
    window: int | None = None
    stride: int = 1
    state_elements: int = 0
    state_bytes: int = 0
    cross: bool = False
    source: int | None = None

    def tokens(self, context: int) -> int:
        """Tokens of `context` whose elements are kept."""
        if self.source is not None:
            return self.source
        return (context if self.window is None else min(context, self.window)) // self.stride


@frozen
class Trace:
    """One model as transformers builds and runs it; no weight of it was ever there.

    `active_parameters` are those that one token of text is multiplied with: no tower, no table that is only looked up,
    of the experts the chosen ones; None where the number chosen cannot be seen. `kept` is None where the model ran
    no forward pass here; an encoder keeps nothing, and has an empty tuple. `flops` are the products of a forward pass
    over `tokens` tokens; None where they depend on values. `unsaid` is why there was no forward pass; `unread` are the
    fields of numbers that the type does not know.
    """

    model_type: str
    model_class: str
    transformers: str
    parameters: int
    active_parameters: int | None
    modules: Mapping[str, int]
    calls: tuple[Call, ...]
    kept: tuple[Kept, ...] | None
    tokens: int
    flops: int | None
    shared_layers: int = 0
    unsaid: str = ""
    unread: tuple[str, ...] = ()

    def cache_elements(self, context: int) -> int | None:
        """Elements that a sequence of `context` tokens keeps, the encoder's tokens counted alike; None if not known."""
        if self.kept is None:
            return None
        return sum(one.layers * one.elements * one.tokens(context) for one in self.kept)

    @property
    def was_run(self) -> bool:
        """Whether transformers built and ran it: its numbers are not what a configuration was read to say."""
        return self.tokens > 0

    @property
    def state_bytes(self) -> int | None:
        """Bytes of a sequence that do not grow with it; None if not known."""
        return None if self.kept is None else sum(one.layers * one.state_bytes for one in self.kept)

    def to_json(self) -> dict[str, Any]:
        """The same as JSON holds it; what a call or a cache does not have is left out."""
        said = {one.name: getattr(self, one.name) for one in fields(self)}
        said["calls"] = [_short(call) for call in self.calls]
        said["kept"] = None if self.kept is None else [_short(one) for one in self.kept]
        return said | {"modules": dict(self.modules), "unread": list(self.unread)}

    @classmethod
    def from_json(cls, said: Mapping[str, Any]) -> Self:
        """The trace that `to_json` wrote."""
        kept = said["kept"]
        parts = {
            "calls": tuple(Call(**call) for call in said["calls"]),
            "kept": None if kept is None else tuple(Kept(**one) for one in kept),
            "unread": tuple(said["unread"]),
        }
        return cls(**{**said, **parts})


def together(kept: Iterable[Kept]) -> tuple[Kept, ...]:
    """Layers that keep alike as one of so many, in the order of their first."""
    counted: dict[Kept, int] = {}
    for one in kept:
        alike = replace(one, layers=1)
        counted[alike] = counted.get(alike, 0) + one.layers
    return tuple(replace(one, layers=layers) for one, layers in counted.items())


def sharing(calls: Iterable[Call], kept: Iterable[Kept], *, two: bool) -> int:
    """Layers of the decoder that attend and keep nothing of their own: they read what another layer keeps."""
    keeping = [one for one in kept if one.elements or one.state_elements]
    if not keeping:
        return 0
    component = "decoder" if two else "text"
    attending = sum(call.layers for call in calls if call.component == component and not call.cross)
    own = sum(one.layers for one in keeping if one.elements and one.stride == 1 and not one.cross)
    return max(0, attending - own)


def _short(record: Call | Kept) -> dict[str, Any]:
    usual = {one.name: one.default for one in fields(record)}
    return {name: value for name, value in asdict(record).items() if value != usual[name]}
