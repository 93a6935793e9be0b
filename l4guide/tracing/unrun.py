"""Attention that was not seen to run, read off its modules: towers that want real images, models that sort tokens."""

import re
from collections.abc import Iterable, Iterator
from typing import Any

from torch import nn

from l4guide.tracing.attention import TOWER, Sighting
from l4guide.tracing.masks import Seen

ATTENTION = re.compile(r"attention|attn", re.IGNORECASE)
HEADS = ("num_heads", "num_attention_heads", "n_heads", "n_head", "heads")
KV_HEADS = ("num_key_value_heads", "num_kv_heads")
WIDTH = ("head_dim", "attention_head_size", "head_size", "d_head")
QUERY = ("q_proj", "query", "q", "wq", "to_q", "q_lin", "linear_q")
TOGETHER = ("qkv", "qkv_proj", "in_proj", "Wqkv", "query_key_value", "c_attn")


def unrun(model: Any, reached: Iterable[Sighting]) -> Iterator[Sighting]:
    """Calls of attention modules in which no sighting lies, as their attributes and products say.

    Of a model that was seen to attend, those of its towers alone: what else did not run, no token passes. A module that
    says neither its heads nor its width is left out.
    """
    names = {sighting.module for sighting in reached}
    found = {
        name: module
        for name, module in model.named_modules()
        if _attends(module) and (not names or _in_tower(name))
    }
    for name, module in found.items():
        inside = any(other != name and other.startswith(f"{name}.") for other in found)
        if inside or any(near(name, other) for other in names):
            continue
        heads, wide = _shape(module)
        if heads and wide:
            kept = _whole(module, KV_HEADS) or heads
            yield Sighting(
                module=name,
                query=(1, heads, 1, wide),
                key=(1, kept if heads % kept == 0 else heads, 1, wide),
                value_width=wide,
                seen=Seen(causal=bool(getattr(module, "is_causal", False))),
                through="modules",
            )


def near(name: str, other: str) -> bool:
    """Whether one module is the other, or lies in it."""
    return name == other or name.startswith(f"{other}.") or other.startswith(f"{name}.")


def _in_tower(name: str) -> bool:
    return any(TOWER.search(step) for step in name.lower().split("."))


def _attends(module: nn.Module) -> bool:
    if not ATTENTION.search(type(module).__name__):
        return False
    return any(isinstance(child, nn.Linear | nn.Conv1d | nn.Conv2d) for child in module.children())


def _shape(module: Any) -> tuple[int, int]:
    """Heads and columns of one, 0 where they are not said."""
    heads = _whole(module, HEADS) or _whole(getattr(module, "config", None), HEADS)
    wide = _whole(module, WIDTH)
    if heads and not wide:
        for names, parts in ((QUERY, 1), (TOGETHER, 3)):
            product = next((p for n in names if isinstance(p := getattr(module, n, None), nn.Linear)), None)
            if product is not None:
                wide = product.out_features // parts // heads
                break
    return heads, wide


def _whole(holder: Any, names: tuple[str, ...]) -> int:
    for name in names:
        said = getattr(holder, name, None)
        if isinstance(said, int) and not isinstance(said, bool) and said > 0:
            return said
    return 0
