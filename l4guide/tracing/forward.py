"""One forward pass over the meta device, watched: calls, cache, products."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch.fx.experimental import _config as fake

from l4guide.frozen import frozen
from l4guide.model.traced import Trace, sharing, together
from l4guide.tracing.attention import WITNESS, Sighting, Witness, calls_of
from l4guide.tracing.build import build
from l4guide.tracing.cache import Layer, kept_by
from l4guide.tracing.eager import Eager, Products
from l4guide.tracing.inputs import (
    TOKENS,
    attempts,
    has_two_stacks,
    language_parts,
    media,
    parameters_of,
)
from l4guide.tracing.unrun import unrun
from l4guide.tracing.weights import held, watch_routing, weigh

#: The second is for what has no product in 16 bits.
DTYPES = (torch.bfloat16, torch.float32)


def trace(make: Any) -> Trace:
    """What the model of the configuration that `make` returns is made of and does.

    Raises:
        Exception: whatever transformers says of a configuration that it cannot build.
    """
    import transformers

    seen = watch(make)
    weights = weigh(held(seen.model, seen.taken))
    return Trace(
        model_type=seen.model.config.model_type,
        model_class=type(seen.model).__name__,
        transformers=transformers.__version__,
        parameters=weights.total,
        active_parameters=weights.active,
        modules=weights.modules,
        calls=calls_of(seen.sightings, two_stacks=seen.two_stacks),
        kept=None if seen.kept is None else together(layer.kept for layer in seen.kept),
        tokens=TOKENS,
        flops=seen.flops,
        shared_layers=seen.shared_layers,
        unsaid=seen.unsaid,
    )


@frozen
class Watched:
    """A model, and what one forward pass of it was seen to do: its calls, and what each layer keeps.

    `taken` holds, by the path of a bank of experts, how many of them a token took. `kept` is None, and `unsaid` says
    why, where there was no forward pass. `way` is the type of numbers and the inputs that the model took.
    """

    model: Any
    two_stacks: bool
    taken: dict[str, int]
    sightings: tuple[Sighting, ...]
    kept: tuple[Layer, ...] | None
    shared_layers: int
    flops: int | None
    unsaid: str
    way: tuple[torch.dtype, int]


def watch(make: Any, *, way: tuple[torch.dtype, int] | None = None) -> Watched:
    """The model of the configuration that `make` returns, built and run.

    Where another configuration of its type was run, `way` is how: no other is tried, and products are not counted.

    Raises:
        Exception: whatever transformers says of a configuration that it cannot build.
    """
    unsaid = ""
    for dtype in DTYPES if way is None else (way[0],):
        model: Any = build(make, dtype)
        taken: dict[str, int] = {}
        passed = _Pass(model)
        unsaid = passed.run(dtype, taken, only=None if way is None else way[1])
        if not unsaid:
            break
    two = has_two_stacks(model)
    seen = passed.witness.sightings
    return Watched(
        model=model,
        two_stacks=two,
        taken=taken,
        sightings=(*seen, *unrun(model, seen)),
        kept=passed.kept,
        shared_layers=sharing(
            calls_of(seen, two_stacks=two), [layer.kept for layer in passed.kept or ()], two=two
        ),
        flops=passed.flops,
        unsaid=unsaid,
        way=(dtype, passed.number),
    )


class _Pass:
    """One forward pass, its witness, and what it left."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self.witness = Witness(model)
        self.kept: tuple[Layer, ...] | None = None
        self.flops: int | None = None
        #: Which of the inputs the model took.
        self.number = 0

    def run(self, dtype: torch.dtype, taken: dict[str, int], *, only: int | None = None) -> str:
        """Run the first inputs that the model takes, or `only` those; why it took none, empty where it took some."""
        unsaid = ""
        for number, (part, inputs) in enumerate(self._attempts(dtype)):
            if only is not None and number != only:
                continue
            self.number = number
            self.witness = Witness(self.model)
            try:
                with self._watched(taken, counted=only is None) as (eager, products):
                    output = part(**inputs)
            except Exception as refused:  # a model raises whatever it likes; the next inputs may suit it
                unsaid = unsaid or f"{type(refused).__name__}: {refused}".splitlines()[0][:160]
                continue
            self.kept = kept_by(self.model, output)
            if not eager.guessed:
                self.flops = products.flops + _attended(self.witness.sightings)
            self._towers(dtype, taken)
            return ""
        self.witness = Witness(self.model)
        return unsaid or "no inputs"

    def _attempts(self, dtype: torch.dtype) -> Iterator[tuple[Any, dict[str, Any]]]:
        """Inputs to try on the whole model, then on its language model alone."""
        for part in (self.model, *language_parts(self.model)):
            for inputs in attempts(part, dtype):
                yield part, inputs

    def _towers(self, dtype: torch.dtype, taken: dict[str, int]) -> None:
        """Run the towers that text alone has not reached; a tower that will not run is read off its modules."""
        for name in ("get_image_features", "get_audio_features"):
            function = getattr(self.model, name, None)
            if function is None:
                continue
            for key, value in media(self.model.config, parameters_of(function), dtype):
                before = len(self.witness.sightings)
                try:
                    with self._watched(taken):
                        function(**{key: value})
                    break
                except Exception:  # see above
                    del self.witness.sightings[before:]

    @contextmanager
    def _watched(self, taken: dict[str, int], *, counted: bool = True) -> Iterator[tuple[Eager, Products]]:
        eager, products = Eager(self.witness), Products()
        hooks = watch_routing(self.model, taken)
        token = WITNESS.set(self.witness)
        every = fake.patch(meta_nonzero_assume_all_nonzero=True)  # type: ignore[attr-defined]
        try:
            with ExitStack() as stack:
                for manager in (
                    every,
                    torch.no_grad(),
                    torch.device("meta"),
                    eager.following(),
                    eager,
                    *((products,) if counted else ()),
                ):
                    stack.enter_context(manager)
                yield eager, products
        finally:
            WITNESS.reset(token)
            for hook in hooks:
                hook.remove()


def _attended(sightings: list[Sighting]) -> int:
    """Products of the calls that the spy answered: every query with every key, then with every value."""
    return sum(
        2 * s.query[1] * s.query[2] * s.key[2] * (s.query[-1] + s.value_width)
        for s in sightings
        if s.through == "interface"
    )
