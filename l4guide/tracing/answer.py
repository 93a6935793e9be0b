"""A model described: traced where transformers is at hand and knows its type, read from its configuration elsewhere."""

from collections.abc import Mapping, Sequence
from dataclasses import fields as dataclass_fields
from dataclasses import replace
from pathlib import Path
from typing import Any

from l4guide.errors import BadInput
from l4guide.frozen import frozen
from l4guide.model import Architecture, Stored, counted_bytes, in_type, stored_bytes
from l4guide.model.fields import Fields, read_config
from l4guide.model.stored import stored
from l4guide.model.traced import Call, Kept, Trace
from l4guide.text import Joined, Sentence, digits
from l4guide.tracing.architecture import architecture_of, known, preset_architecture
from l4guide.tracing.comparison import not_compared
from l4guide.tracing.reading import as_trace
from l4guide.workload import ELEMENT_BYTES, whole_number

GIB = 2**30
TRACED, READ = "traced", "read"
#: Fields that a sentence names; the JSON has them all.
MOST_NAMED = 12


@frozen
class Description:
    """A model's parts, what it keeps of a sequence of `context` tokens, and how it attends.

    `basis` is traced or read; `weight_bytes` are those of its checkpoint, whose weights are kept as `kept` says;
    `layers` are those beside its further ones; an element of the cache has `kv_bytes`.
    """

    name: str
    basis: str
    trace: Trace
    context: int
    weight_bytes: float
    kv_bytes: float = ELEMENT_BYTES["bf16"]
    remarks: tuple[Sentence, ...] = ()
    kept: Stored | None = None
    layers: int = 0

    @property
    def cache_bytes(self) -> int | None:
        """Bytes of the keys and values of one sequence; None where no forward pass told."""
        elements = self.trace.cache_elements(self.context)
        return None if elements is None else round(elements * self.kv_bytes)

    def counts(self) -> dict[str, Any]:
        """What every answer about a model has as JSON; what is not known is absent."""
        trace = self.trace
        said = {
            "model_basis": self.basis,
            "transformers": trace.transformers or None,
            "parameters": trace.parameters,
            "active_parameters": trace.active_parameters,
            "weight_bytes": round(self.weight_bytes),
            **self._checkpoint(),
            "cache_bytes": self.cache_bytes,
            "state_bytes": trace.state_bytes,
            "calls": [_call_json(call) for call in trace.calls],
            "unread_fields": list(trace.unread),
        }
        return {name: value for name, value in said.items() if value is not None}

    def _checkpoint(self) -> dict[str, Any]:
        """What the bytes of the weights stand on, and the checkpoint's own figures; nothing where none is known."""
        kept, modules = self.kept, self.trace.modules
        if kept is None:
            return {}
        counted = counted_bytes(modules, kept, self.layers)
        said = {
            "type": kept.dtype,
            "method": kept.method or kept.unknown,
            "bits_per_weight": {kind: kept.of(kind).bits for kind in modules},
            "counted_bytes": round(counted),
            "further_layers": kept.further or None,
            "further_bytes": round(counted - counted_bytes(modules, kept, 0)) or None,
        }
        if kept.index is not None:
            said |= {"index_bytes": kept.index.total, "index_tensors": kept.index.tensors}
        known = {name: value for name, value in said.items() if value is not None}
        return {"weight_bytes_basis": kept.bytes_basis, "checkpoint": known}

    def to_json(self, language: str = "en") -> dict[str, Any]:
        """The description as JSON; what is not known is absent."""
        trace = self.trace
        said = {
            "model": self.name,
            "model_type": trace.model_type,
            "model_class": trace.model_class or None,
            **self.counts(),
            "modules": dict(trace.modules),
            "context": self.context,
            "cache": None
            if trace.kept is None
            else [_cache_json(kept, self.kv_bytes) for kept in trace.kept],
            "shared_cache_layers": trace.shared_layers,
            "flops": None if trace.flops is None else {"tokens": trace.tokens, "total": trace.flops},
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
        return [*self.remarks, *unread_line(self.trace.unread)]


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
        CannotDo: tracing took too much time or memory, and it is not to be read either.
    """
    found = known(config, name)
    try:
        model = architecture_of(config, name)
    except BadInput as problem:
        if found.trace is None:
            raise found.untraced or problem from None
        # Its weights are counted, though nothing tells what it keeps.
        return _traced(found.trace, name, context, stored(Fields(config, name), _layers(found.trace)))
    return replace(describe_model(model, context=context), remarks=_remarks(model))


def _remarks(model: Architecture) -> tuple[Sentence, ...]:
    """Why there was no trace or no forward pass, and that nothing compared what was read."""
    if model.trace is not None and model.is_traced:
        return _unsaid(model.trace)
    why = model.untraced or Sentence("model_trace.read_for_want")
    caveat = not_compared(model.model_type or "-", model.trace)
    return (why, *(() if caveat is None else (caveat,)))


def describe_type(model_type: str, *, context: int) -> Description:
    """A type of model described, as transformers has it where nothing is said.

    Raises:
        BadInput: transformers does not know the type, or cannot build it so.
        CannotDo: transformers is not installed, or it took too much time or memory.
    """
    from l4guide.tracing.process import Tracer

    with Tracer() as tracer:
        found = tracer.model_type(model_type)
    return _traced(found, model_type, context, in_type("bf16"))


def describe_preset(name: str, *, context: int) -> Description:
    """A preset described.

    Raises:
        BadInput: no model is called so, or nobody published its shape.
        CannotDo: what it multiplies beside attention is not known.
    """
    return describe_model(preset_architecture(name), context=context)


def describe_model(
    model: Architecture, *, context: int, weights: str | None = None, kv_dtype: str = "bf16"
) -> Description:
    """A model described by its trace or as it was read: weights as its checkpoint keeps them, or in another type."""
    kept = model.kept_in(weights or model.weight_dtype or "bf16")
    trace = as_trace(model)
    return Description(
        name=model.name,
        basis=TRACED if model.is_traced else READ,
        trace=trace,
        context=context,
        weight_bytes=stored_bytes(trace.modules, kept, model.layer_count),
        kept=kept,
        layers=model.layer_count,
        kv_bytes=ELEMENT_BYTES[kv_dtype],
    )


def unread_line(unread: Sequence[str]) -> tuple[Sentence, ...]:
    """The fields of numbers that nothing read, in a sentence; none where there are none."""
    if not unread:
        return ()
    named = [name[:40] for name in unread[:MOST_NAMED]] + ["…"] * (len(unread) > MOST_NAMED)
    return (Sentence("model_trace.unread", {"fields": ", ".join(named)}),)


def _traced(trace: Trace, name: str, context: int, kept: Stored) -> Description:
    return Description(
        name=name,
        basis=TRACED,
        trace=trace,
        context=context,
        weight_bytes=stored_bytes(trace.modules, kept, _layers(trace)),
        kept=kept,
        layers=_layers(trace),
        remarks=_unsaid(trace),
    )


def _unsaid(trace: Trace) -> tuple[Sentence, ...]:
    return (Sentence("model_trace.no_forward", {"reason": trace.unsaid}),) if trace.unsaid else ()


def _layers(trace: Trace) -> int:
    """Layers of the language model: those that attend, or with those that keep states where these are more."""
    calls = [call for call in trace.calls if call.component in ("text", "decoder") and not call.cross]
    kept = sum(one.layers for one in trace.kept or () if not one.cross)
    return max(sum(call.layers for call in calls), kept + trace.shared_layers)


def _billions(number: int) -> str:
    return digits(number / 1e9)


def _cache_json(kept: Kept, kv_bytes: float) -> dict[str, Any]:
    said = {
        "layers": kept.layers,
        "bytes_per_token": round(kept.elements * kv_bytes),
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
