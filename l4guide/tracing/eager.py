"""Attention that goes by no interface: calls of SDPA, and scores that a model writes out, as functions of torch."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from l4guide.tracing.attention import Sighting, Witness
from l4guide.tracing.masks import Seen

PRODUCTS = ("matmul", "__matmul__", "bmm", "einsum", "baddbmm")
SOFTMAXES = ("softmax", "_softmax", "log_softmax")
SUMS = ("add", "__add__", "__radd__", "add_", "__iadd__")
#: What leaves a mask the mask that it was.
SAME_MASK = ("__getitem__", "to", "contiguous", "expand", "clone", "bool")
#: What asks a tensor for its values, and the answer where it has none.
VALUES: dict[str, object] = {
    "item": 0,
    "__bool__": False,
    "__int__": 0,
    "__float__": 0.0,
    "__index__": 0,
    "__contains__": False,
    "__format__": "0",
}
#: What asks which elements are set: loops over the experts that some token chose.
PLACES = ("nonzero", "argwhere")


@dataclass(slots=True)
class _Frame:
    """One module that is running: the scores that it wrote last, and the call that it was seen to make."""

    module: torch.nn.Module
    operands: tuple[torch.Size, torch.Size] | None = None
    scores: torch.Size | None = None
    bias: bool = False
    number: int | None = None


class Eager(TorchFunctionMode):
    """Answers for values that no tensor here has, and writes down attention that no interface handed over."""

    def __init__(self, witness: Witness) -> None:
        super().__init__()
        self.witness = witness
        self.frames: list[_Frame] = []
        #: Whether numbers decided how much ran, so that the products of this pass are not those of another.
        self.guessed = False

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: object,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Call `func`, or answer for it; see `torch.overrides`."""
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "")
        if name in VALUES and args and isinstance(args[0], torch.Tensor) and args[0].is_meta:
            return VALUES[name]
        if name == "tolist" and args[0].is_meta:
            self.guessed = True
            return torch.zeros(args[0].shape, dtype=args[0].dtype, device="cpu").tolist()
        if args and (name in PLACES or (name == "where" and len(args) == 1 and not kwargs)):
            self.guessed = True
            return _one_place(args[0], together=name != "where" and not kwargs.get("as_tuple"))
        out = func(*args, **kwargs)
        if name in SAME_MASK and id(args[0]) in self.witness.masks and isinstance(out, torch.Tensor):
            self.witness.masks[id(out)] = (out, self.witness.masks[id(args[0])][1])
        if self.frames:
            self._look(name, args, kwargs, out)
        return out

    def _look(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any) -> None:
        frame = self.frames[-1]
        if name == "scaled_dot_product_attention":
            self._sdpa(frame, *args, **kwargs)
        elif name in PRODUCTS:
            self._product(frame, name, args, kwargs, out)
        elif frame.scores is None:
            return
        elif name in SUMS and isinstance(out, torch.Tensor) and _same(out.shape, frame.scores):
            # The scores themselves are one of them.
            frame.bias |= sum(_per_head(x, out) for x in args if isinstance(x, torch.Tensor)) > 1
        elif name in SOFTMAXES and frame.number is None and _same(out.shape, frame.scores):
            self._scores(frame, out.shape)

    def _sdpa(
        self,
        frame: _Frame,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        attn_mask: torch.Tensor | None = None,
        dropout_p: float = 0.0,
        is_causal: bool = False,
        **_: object,
    ) -> None:
        if query.dim() != 4:
            return
        biased = attn_mask is not None and attn_mask.dim() == 4 and attn_mask.shape[1] > 1
        mask = "causal" if is_causal else "none"
        if attn_mask is not None:
            mask = "bool" if attn_mask.dtype == torch.bool and not biased else "additive"
        made = self.witness.masks.get(id(attn_mask))
        seen = (
            made[1]
            if made
            else Seen(causal=is_causal or (attn_mask is not None and self.witness.is_causal()))
        )
        self.witness.sightings.append(
            Sighting(
                module=self.witness.name_of(frame.module),
                query=tuple(query.shape),
                key=tuple(key.shape),
                value_width=value.shape[-1],
                seen=seen,
                mask=mask,
                bias=biased,
                through="sdpa",
            )
        )

    def _product(
        self, frame: _Frame, name: str, args: tuple[Any, ...], kwargs: dict[str, Any], out: torch.Tensor
    ) -> None:
        given = [x for x in (*args, *kwargs.values()) if isinstance(x, torch.Tensor)]
        if name == "einsum" and len(args) > 1 and isinstance(args[1], list | tuple):
            given = list(args[1])
        if len(given) < 2 or out.dim() < 3:
            return
        first, second = given[-2], given[-1]
        if frame.number is not None:
            self._values(frame, first.shape, out.shape)
            return
        frame.operands, frame.scores = (first.shape, second.shape), out.shape
        frame.bias = name == "baddbmm"

    def _scores(self, frame: _Frame, scores: torch.Size) -> None:
        """Scores became weights: an attention call, its values still to come."""
        assert frame.operands is not None
        first, second = frame.operands
        heads = _heads(scores)
        wide = first[-1]
        if wide not in second[-2:] or heads < 1:
            return
        frame.number = len(self.witness.sightings)
        kv_heads = second[1] if len(second) == 4 and len(first) == 4 and second[1] < heads else heads
        self.witness.sightings.append(
            Sighting(
                module=self.witness.name_of(frame.module),
                query=(1, heads, scores[-2], wide),
                key=(1, kv_heads, scores[-1], wide),
                value_width=wide,
                seen=Seen(causal=self.witness.is_causal()),
                mask="additive",
                bias=frame.bias,
                through="eager",
            )
        )

    def _values(self, frame: _Frame, first: torch.Size, out: torch.Size) -> None:
        """The product of weights and values says how wide a value is."""
        assert frame.number is not None
        if first[-2:] == (frame.scores or first)[-2:] and out[-2] == first[-2]:
            found = self.witness.sightings[frame.number]
            self.witness.sightings[frame.number] = replace(found, value_width=out[-1])
            frame.scores = None

    @contextmanager
    def following(self) -> Iterator[None]:
        """Know, while this lasts, which module is running."""

        def enter(module: torch.nn.Module, _: object) -> None:
            self.frames.append(_Frame(module))
            self.witness.running.append(module)

        def leave(module: torch.nn.Module, _: object, __: object) -> None:
            while self.frames and self.frames.pop().module is not module:
                pass
            del self.witness.running[len(self.frames) :]

        hooks = (
            register_module_forward_pre_hook(enter),
            register_module_forward_hook(leave, always_call=True),
        )
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()


def _heads(scores: torch.Size) -> int:
    """Heads of scores (batch, …, queries, keys), or (batch · heads, queries, keys) of one sequence."""
    found = 1
    for size in scores[1:-2] if len(scores) > 3 else scores[:1]:
        found *= size
    return found


def _one_place(mask: torch.Tensor, *, together: bool) -> torch.Tensor | tuple[torch.Tensor, ...]:
    """One place of a mask, as though one element were set: a loop over the places runs once."""
    axes = max(1, mask.dim())
    if together:
        return torch.zeros(1, axes, dtype=torch.long, device=mask.device)
    return tuple(torch.zeros(1, dtype=torch.long, device=mask.device) for _ in range(axes))


def _same(found: torch.Size, scores: torch.Size) -> bool:
    """Whether a tensor has the elements of the scores: some models fold the heads into the batch on the way."""
    return found[-2:] == scores[-2:] and found.numel() == scores.numel()


def _per_head(term: torch.Tensor, scores: torch.Tensor) -> bool:
    """Whether a term of a sum has something of its own for each head, as a mask has not."""
    return term.dim() >= 3 and 1 < _heads(term.shape) == _heads(scores.shape)


class Products(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the operations of products, as torch counts them."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.flops = 0

    def __torch_dispatch__(
        self,
        func: Any,
        types: object,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Call `func` and count it; see `torch.utils._python_dispatch`."""
        out = func(*args, **(kwargs or {}))
        formula = flop_registry.get(func._overloadpacket)
        if formula is not None:
            self.flops += formula(*args, **(kwargs or {}), out_val=out)
        return out
