"""A spy in the place of attention: what transformers hands an implementation, written down and not computed."""

import re
from collections import Counter
from collections.abc import Iterable
from contextvars import ContextVar
from dataclasses import replace
from typing import Any

import torch
import transformers

from l4guide.frozen import frozen
from l4guide.model.traced import Call
from l4guide.tracing.inputs import TOKENS
from l4guide.tracing.masks import Seen, seen_through

#: The name under which transformers finds the spy.
SPY = "l4guide_trace"
TOWER = re.compile(
    r"vision|visual|image|video|audio|speech|sound|(^|_)(vit|sam|vqmodel|conformer)(_|$)|projector|connector|aligner"
    r"|resampler|perceiver|qformer|abstractor|codec"
)
DECODER = re.compile(r"CausalLM|LMHead|ConditionalGeneration")
CROSS = re.compile(r"cross|encoder_attn|encdec|enc_dec", re.IGNORECASE)


@frozen
class Sighting:
    """One attention call: the module that made it, its tensors' shapes, and what it was given beside them."""

    module: str
    query: tuple[int, ...]
    key: tuple[int, ...]
    value_width: int
    seen: Seen
    softcap: float | None = None
    sinks: bool = False
    mask: str = "none"
    bias: bool = False
    through: str = "interface"


class Witness:
    """What a forward pass was seen to do: its attention calls, and the modules that it is in at the moment."""

    def __init__(self, model: torch.nn.Module) -> None:
        #: Kept alive, as a model may put others in their place on the way, which shall not be taken for them.
        self.modules = dict(model.named_modules())
        self.names: dict[int, str] = {id(module): name for name, module in self.modules.items()}
        #: Modules that are running, the innermost last.
        self.running: list[torch.nn.Module] = []
        self.sightings: list[Sighting] = []
        named = type(model).__name__
        self.decodes = bool(DECODER.search(named)) and getattr(model.config, "causal", True) is not False
        #: Masks that the spy handed out, kept alive so that no other tensor can take their identity.
        self.masks: dict[int, tuple[torch.Tensor, Seen]] = {}

    def name_of(self, module: object) -> str:
        """The path of a module, or of what it runs in where the model made it on the way; empty for none of both."""
        inside = (module, *reversed(self.running))
        return next((name for one in inside if (name := self.names.get(id(one)))), "")

    def is_causal(self) -> bool:
        """Whether any mask of this pass was a causal one; of a model that asked for none, whether it decodes."""
        return any(seen.causal for _, seen in self.masks.values()) if self.masks else self.decodes


WITNESS: ContextVar[Witness | None] = ContextVar("witness", default=None)


def register() -> None:
    """Make the spy known to transformers as an attention of its own."""
    transformers.AttentionInterface.register(SPY, _attend)
    # Masks of models that take no foreign attention are seen as well; on the meta device any tensor will do.
    for name in (SPY, "sdpa", "eager"):
        transformers.AttentionMaskInterface.register(name, _mask)


def _mask(
    batch_size: int, q_length: int, kv_length: int, mask_function: Any = None, **_: object
) -> torch.Tensor:
    mask = torch.empty(batch_size, 1, q_length, kv_length, dtype=torch.bool, device="meta")
    witness = WITNESS.get()
    if witness is not None and mask_function is not None:
        witness.masks[id(mask)] = (mask, seen_through(mask_function))
    return mask


def _attend(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    **said: Any,
) -> tuple[torch.Tensor, None]:
    """Stand in for an attention: (batch, heads, L, head_dim) in, (batch, L, heads, head_dim_v) out, all empty."""
    witness = WITNESS.get()
    # Where every token stands by itself it chooses among layers, as Inkling's residuals do, and reads no other token.
    alone = query.shape[1] == TOKENS and TOKENS not in (query.shape[2], key.shape[2])
    if witness is not None and not alone:
        seen, mask = _seen(witness, module, attention_mask, said)
        biased = said.get("position_bias") is not None or _per_head(attention_mask)
        witness.sightings.append(
            Sighting(
                module=witness.name_of(module),
                query=tuple(query.shape),
                key=tuple(key.shape),
                value_width=value.shape[-1],
                seen=seen,
                softcap=said.get("softcap"),
                sinks=said.get("s_aux") is not None,
                mask="additive" if biased else mask,
                bias=biased,
            )
        )
    batch, heads, length, _ = query.shape
    return query.new_empty(batch, length, heads, value.shape[-1]), None


def _per_head(mask: object) -> bool:
    """Whether a mask holds a term of its own for each head."""
    return isinstance(mask, torch.Tensor) and mask.dim() == 4 and mask.shape[1] > 1


def _seen(
    witness: Witness, module: torch.nn.Module, mask: torch.Tensor | None, said: dict[str, Any]
) -> tuple[Seen, str]:
    """What a query sees, and the kind of mask that says so."""
    window = said.get("sliding_window")
    window = window if isinstance(window, int) and not isinstance(window, bool) and window > 0 else None
    causal = said.get("is_causal")
    if causal is None:
        causal = bool(getattr(module, "is_causal", False))
    if mask is None:
        return Seen(causal=causal, window=window), "causal" if causal else "none"
    made = witness.masks.get(id(mask))
    if made is None:
        kind = "bool" if mask.dtype == torch.bool else "additive"
        return Seen(causal=causal, window=window), kind
    seen = made[1]
    if window is not None and seen.window is None:
        seen = replace(seen, window=window)
    if not seen.plain:
        return seen, "bool"
    return seen, "causal" if seen.causal else "none" if seen.window is None else "bool"


def calls_of(sightings: Iterable[Sighting], *, two_stacks: bool) -> tuple[Call, ...]:
    """Sightings that are alike as one call of so many layers, in the order of their first."""
    counted = Counter(_call(sighting, two_stacks) for sighting in sightings)
    return tuple(replace(call, layers=number) for call, number in counted.items())


def component_of(module: str, *, two_stacks: bool) -> str:
    """The part of a model that a module is in: text, encoder, decoder, vision or audio."""
    path = module.lower()
    if TOWER.search(path):
        return "audio" if re.search(r"audio|speech|sound|conformer|codec", path) else "vision"
    if not two_stacks:
        return "text"
    # The first that is named: a decoder may be an encoder's class that is told to decode.
    stack = re.search(r"(?:^|\.)\w*(encoder|decoder)(?=\.|$)", path)
    return "encoder" if stack and stack[1] == "encoder" else "decoder"


def is_cross(module: str) -> bool:
    """Whether an attention reads what another stack made, by its name."""
    return bool(CROSS.search(module.removesuffix(".self").rpartition(".")[2]))


def _call(sighting: Sighting, two_stacks: bool) -> Call:
    cross = is_cross(sighting.module)
    return Call(
        component=component_of(sighting.module, two_stacks=two_stacks),
        layers=1,
        head_dim=sighting.query[-1],
        head_dim_v=sighting.value_width,
        heads=sighting.query[1],
        kv_heads=sighting.key[1],
        causal=sighting.seen.causal and not cross,
        window=sighting.seen.window,
        chunk=sighting.seen.chunk,
        softcap=sighting.softcap or None,
        sinks=sighting.sinks,
        mask=sighting.mask,
        bias=sighting.bias,
        cross=cross,
        through=sighting.through,
    )
