"""A model described: traced where transformers is at hand and knows its type, read from its configuration elsewhere."""

from collections.abc import Mapping, Sequence
from dataclasses import fields as dataclass_fields
from dataclasses import replace
from pathlib import Path
from typing import Any

from l4guide.errors import BadInput, Problem
from l4guide.frozen import frozen
from l4guide.model import from_config, preset
from l4guide.model.fields import Fields, read_config
from l4guide.model.stored import stored_bytes
from l4guide.text import Joined, Sentence, digits
from l4guide.tracing.comparison import is_held
from l4guide.tracing.process import Tracer, is_at_hand
from l4guide.tracing.reading import as_trace
from l4guide.tracing.traced import Call, Kept, Trace
from l4guide.workload import whole_number

GIB = 2**30
#: The cache is told in 16 bits.
ELEMENT_BYTES = 2
TRACED, READ = "traced", "read"


@frozen
class Description:
    """A model's parts, what it keeps of a sequence of `context` tokens, and how it attends.

    `basis` is traced or read; `weight_bytes` are those of its checkpoint.
    """

    name: str
    basis: str
    trace: Trace
    context: int
    weight_bytes: float
    remarks: tuple[Sentence, ...] = ()

    @property
    def cache_bytes(self) -> int | None:
        """Bytes that one sequence keeps in 16 bits; None where no forward pass told."""
        elements = self.trace.cache_elements(self.context)
        return None if elements is None else elements * ELEMENT_BYTES

    def to_json(self, language: str = "en") -> dict[str, Any]:
        """The description as JSON; what is not known is absent."""
        trace = self.trace
        said = {
            "model": self.name,
            "model_type": trace.model_type,
            "model_class": trace.model_class or None,
            "transformers": trace.transformers or None,
            "model_basis": self.basis,
            "parameters": trace.parameters,
            "active_parameters": trace.active_parameters,
            "modules": dict(trace.modules),
            "weight_bytes": round(self.weight_bytes),
            "context": self.context,
            "cache_bytes": self.cache_bytes,
            "state_bytes": trace.state_bytes,
            "cache": None if trace.kept is None else [_cache_json(kept) for kept in trace.kept],
            "shared_cache_layers": trace.shared_layers,
            "flops": None if trace.flops is None else {"tokens": trace.tokens, "total": trace.flops},
            "calls": [_call_json(call) for call in trace.calls],
            "unread_fields": list(trace.unread),
            "remarks": [remark.say(language) for remark in self.remarks],
        }
        return {name: value for name, value in said.items() if value is not None}

    def lines(self) -> Sequence[Sentence]:
        """The description in lines: counts, modules, cache, calls, remarks."""
        trace = self.trace
        active = trace.active_parameters
        counts = {
            "model": self.name,
            "parameters": _billions(trace.parameters),
            "active": "?" if active is None else _billions(active),
            "gb": digits(self.weight_bytes / 1e9),
        }
        found = [Sentence(f"model_trace.{self.basis}", counts)]
        found += [
            Sentence(
                "model_trace.module",
                {"kind": Sentence(f"model_trace.kind_{kind}"), "parameters": _billions(n)},
            )
            for kind, n in trace.modules.items()
        ]
        return [*found, *self._cache_lines(), *map(_call_line, trace.calls), *self._remark_lines()]

    def _cache_lines(self) -> list[Sentence]:
        trace = self.trace
        if trace.kept is None or self.cache_bytes is None or trace.state_bytes is None:
            return [Sentence("model_trace.cache_unknown", {"reason": trace.unsaid or "-"})]
        if not trace.kept:
            return [Sentence("model_trace.cache_none")]
        values = {
            "context": self.context,
            "mib": digits(self.cache_bytes / 2**20),
            "state_mib": digits(trace.state_bytes / 2**20),
        }
        shared = Sentence("model_trace.cache_shared", {"layers": trace.shared_layers})
        return [Sentence("model_trace.cache", values), *([shared] if trace.shared_layers else [])]

    def _remark_lines(self) -> list[Sentence]:
        unread = Sentence("model_trace.unread", {"fields": ", ".join(self.trace.unread)})
        return [*self.remarks, *([unread] if self.trace.unread else [])]


def described(asked: Mapping[str, Any], language: str) -> tuple[dict[str, Any], str]:
    """The one model that is named, as JSON and as lines; see `describe_one`.

    Raises:
        BadInput: as `describe_one`.
        CannotDo: as `describe_one`.
    """
    found = describe_one(**{name: asked[name] for name in ("config", "model", "model_type", "context")})
    return found.to_json(language), "\n".join(line.say(language) for line in found.lines())


def describe_one(
    *, config: str | None, model: str | None, model_type: str | None, context: object
) -> Description:
    """The one model that is named: the path of its config.json, a preset, or a type of transformers.

    Raises:
        BadInput: none is named or several are; else as `describe`, `describe_preset` and `describe_type`.
        CannotDo: as they do.
    """
    tokens = whole_number("context", context)
    if sum(source is not None for source in (config, model, model_type)) != 1:
        raise BadInput("model_trace.one_source")
    if config is not None:
        path = Path(config)
        return describe(read_config(path), path.name, context=tokens)
    if model is not None:
        return describe_preset(model, context=tokens)
    return describe_type(str(model_type), context=tokens)


def describe(config: Mapping[str, object], name: str, *, context: int) -> Description:
    """A configuration called `name` described: traced, or read where that cannot be, which a remark then says.

    Raises:
        BadInput: a field is missing, malformed, out of limits, or refused by transformers and not to be read either.
        CannotDo: tracing took too much time or memory.
    """
    fields = Fields(config, name)
    model_type = str(config.get("model_type", "-"))
    if not is_at_hand():
        return _read(config, name, context, Sentence("model_trace.read_for_want"), model_type)
    try:
        with Tracer() as tracer:
            found = tracer.config(config, name)
    except BadInput as refused:
        try:
            return _read(config, name, context, refused.sentence, model_type)
        except Problem:
            raise refused from None
    return _described(found, name, TRACED, context, fields)


def describe_type(model_type: str, *, context: int) -> Description:
    """A type of model described, as transformers has it where nothing is said.

    Raises:
        BadInput: transformers does not know the type, or cannot build it so.
        CannotDo: transformers is not installed, or it took too much time or memory.
    """
    with Tracer() as tracer:
        found = tracer.model_type(model_type)
    return _described(found, model_type, TRACED, context, Fields({}, model_type))


def describe_preset(name: str, *, context: int) -> Description:
    """A preset described.

    Raises:
        BadInput: no model is called so, or nobody published its shape.
        CannotDo: what it multiplies beside attention is not known.
    """
    model = preset(name)
    fields = Fields({"dtype": model.weight_dtype} if model.weight_dtype else {}, model.name)
    return _described(as_trace(model, "-"), model.name, READ, context, fields)


def _read(
    config: Mapping[str, object], name: str, context: int, why: Sentence, model_type: str
) -> Description:
    found = as_trace(from_config(config, name), model_type)
    told = _described(found, name, READ, context, Fields(config, name))
    compared = (
        () if is_held(model_type) else (Sentence("model_trace.not_compared", {"model_type": model_type}),)
    )
    return replace(told, remarks=(*told.remarks, why, *compared))


def _described(trace: Trace, name: str, basis: str, context: int, fields: Fields) -> Description:
    layers = sum(
        call.layers for call in trace.calls if call.component in ("text", "decoder") and not call.cross
    )
    weights = stored_bytes(trace.modules, layers, fields)
    remarks = (Sentence("model_trace.no_forward", {"reason": trace.unsaid}),) if trace.unsaid else ()
    return Description(
        name=name, basis=basis, trace=trace, context=context, weight_bytes=weights, remarks=remarks
    )


def _billions(number: int) -> str:
    return digits(number / 1e9)


def _cache_json(kept: Kept) -> dict[str, Any]:
    said = {
        "layers": kept.layers,
        "bytes_per_token": kept.elements * ELEMENT_BYTES,
        "window": kept.window,
        "every_tokens": kept.stride if kept.stride > 1 else None,
        "state_bytes": kept.state_bytes or None,
        "cross": kept.cross or None,
        "source_tokens": kept.source,
    }
    return {name: value for name, value in said.items() if value is not None}


def _call_json(call: Call) -> dict[str, Any]:
    return {one.name: getattr(call, one.name) for one in dataclass_fields(call)}


def _call_line(call: Call) -> Sentence:
    """One kind of call in a line."""
    wide = str(call.head_dim) if call.head_dim == call.head_dim_v else f"{call.head_dim}/{call.head_dim_v}"
    features = [
        Sentence("model_trace.has_window", {"window": call.window}) if call.window else None,
        Sentence("model_trace.has_chunk", {"chunk": call.chunk}) if call.chunk else None,
        Sentence("model_trace.has_softcap", {"softcap": call.softcap}) if call.softcap else None,
        Sentence("model_trace.has_sinks") if call.sinks else None,
        Sentence("model_trace.has_bias") if call.bias else None,
        Sentence("model_trace.has_cross") if call.cross else None,
        Sentence("model_trace.has_eager") if call.through == "eager" else None,
    ]
    values = {
        "component": call.component,
        "layers": call.layers,
        "head_dim": wide,
        "heads": call.heads,
        "kv_heads": call.kv_heads,
        "mask": Sentence("model_trace.is_causal" if call.causal else "model_trace.is_full"),
        "features": Joined(tuple(feature for feature in features if feature)),
    }
    return Sentence("model_trace.call" if any(features) else "model_trace.call_plain", values)
