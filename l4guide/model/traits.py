"""What the attention of a type of model needs beside its sizes, as transformers was seen to run it: `data/traces/`."""

import json
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache

from l4guide import catalogue
from l4guide.errors import BadData
from l4guide.model.architecture import WINDOW, Layers, Mixer
from l4guide.model.fields import Fields
from l4guide.model.traced import Call

TRACES = "traces.jsonl"
TYPES_KEPT = 64
#: Where a configuration says at what the scores are capped.
SOFTCAP = ("attn_logit_softcapping", "attention_logits_soft_cap")


@lru_cache(maxsize=TYPES_KEPT)
def recorded_calls(model_type: str) -> tuple[Call, ...]:
    """The calls of a type at its default; none for a type that is not recorded.

    Raises:
        BadData: the file is missing, or the line is broken.
    """
    path = catalogue.data_folder() / "traces" / TRACES
    # Of three hundred lines one is read.
    begins = f'{{"type":{json.dumps(model_type)},'
    try:
        for line in path.read_text(encoding="utf-8").splitlines():
            if line.startswith(begins):
                return tuple(Call(**call) for call in json.loads(line).get("trace", {}).get("calls", ()))
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise BadData("error.unreadable_table", file=path, reason=error) from None
    return ()


def with_traits(fields: Fields, layers: tuple[Layers, ...]) -> tuple[Layers, ...]:
    """The layers of a configuration with what attention of its type needs: sinks, softcap, a bias, code of its own."""
    known = _calls(fields)
    two = any(group.mixer.cross for group in layers)
    cap = _softcap(fields)
    return tuple(
        replace(group, mixer=_told(group.mixer, list(_alike(group.mixer, known, two_stacks=two)), cap))
        if group.mixer.attends
        else group
        for group in layers
    )


def _calls(fields: Fields) -> tuple[Call, ...]:
    """Those of the whole, or where it is not recorded of its language model; a tower's are not its."""
    named = (str(config.get("model_type")) for config in (fields.outer, fields.own))
    found = next((calls for name in named if (calls := recorded_calls(name))), ())
    return tuple(call for call in found if call.component in ("text", "encoder", "decoder"))


def _softcap(fields: Fields) -> float | None:
    said = fields.get(*SOFTCAP)
    return float(said) if isinstance(said, int | float) and not isinstance(said, bool) and said > 0 else None


def _alike(mixer: Mixer, known: tuple[Call, ...], *, two_stacks: bool) -> Iterator[Call]:
    """Recorded calls of the same stack and reach; where none has that reach, all of the stack."""
    stack = ("decoder" if mixer.cached else "encoder") if two_stacks else "text"
    near = [call for call in known if call.component == stack and call.cross == mixer.cross]
    reach = [call for call in near if (call.window or call.chunk) is not None] if mixer.kind == WINDOW else []
    if mixer.kind != WINDOW:
        reach = [call for call in near if (call.window or call.chunk) is None]
    yield from reach or near


def _told(mixer: Mixer, calls: list[Call], softcap: float | None) -> Mixer:
    return replace(
        mixer,
        softcap=softcap,
        sinks=any(call.sinks for call in calls),
        bias=any(call.bias for call in calls),
        chunked=mixer.kind == WINDOW and any(call.chunk is not None for call in calls),
        own_scores=any(call.through == "eager" for call in calls),
    )
