"""What transformers' mask functions let a query see, read off their parts."""

from collections.abc import Callable, Iterator
from typing import Any

import torch

from l4guide.frozen import frozen


@frozen
class Seen:
    """Which keys a query sees: those before it, a window, its own chunk; `plain` where nothing else is asked."""

    causal: bool
    window: int | None = None
    chunk: int | None = None
    plain: bool = True


def seen_through(mask_function: Callable[..., Any]) -> Seen:
    """What a mask function lets a query see."""
    parts = list(_parts(mask_function))
    named = {name: value for part in parts for name, value in _enclosed(part).items()}
    names = {part.__name__ for part in parts}
    window = named.get("sliding_window")
    chunk = named.get("chunk_size")
    return Seen(
        causal="causal_mask_function" in names,
        window=window if isinstance(window, int) else None,
        chunk=chunk if isinstance(chunk, int) else None,
        plain="block_sequence_ids" not in named,
    )


def _parts(function: Callable[..., Any]) -> Iterator[Callable[..., Any]]:
    """A mask function and all that it is made of."""
    yield function
    for value in _enclosed(function).values():
        for inner in value if isinstance(value, tuple) else (value,):
            if callable(inner) and not isinstance(inner, torch.Tensor) and hasattr(inner, "__code__"):
                yield from _parts(inner)


def _enclosed(function: Callable[..., Any]) -> dict[str, Any]:
    """The variables that a function encloses, by name."""
    cells = getattr(function, "__closure__", None) or ()
    found = {}
    for name, cell in zip(function.__code__.co_freevars, cells, strict=True):
        try:
            found[name] = cell.cell_contents
        except ValueError:  # not yet filled
            continue
    return found
