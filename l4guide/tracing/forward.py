"""One forward pass over the meta device, watched: calls, cache, products."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch.fx.experimental import _config as fake

from l4guide.model.traced import Kept, Trace
from l4guide.tracing.attention import WITNESS, Sighting, Witness, calls_of
from l4guide.tracing.build import build
from l4guide.tracing.cache import kept_by
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
from l4guide.tracing.weights import watch_routing, weigh

#: The second is for what has no product in 16 bits.
DTYPES = (torch.bfloat16, torch.float32)


def trace(make: Any) -> Trace:
    """What the model of the configuration that `make` returns is made of and does.

    Raises:
        Exception: whatever transformers says of a configuration that it cannot build.
    """
    import transformers

    unsaid = ""
    for dtype in DTYPES:
        model: Any = build(make, dtype)
        taken: dict[str, int] = {}
        passed = _Pass(model)
        unsaid = passed.run(dtype, taken)
        if not unsaid:
            break
    two = has_two_stacks(model)
    weights = weigh(model, taken)
    sightings = passed.witness.sightings + list(unrun(model, passed.witness.sightings))
    calls = calls_of(sightings, two_stacks=two)
    return Trace(
        model_type=model.config.model_type,
        model_class=type(model).__name__,
        transformers=transformers.__version__,
        parameters=weights.total,
        active_parameters=weights.active,
        modules=weights.modules,
        calls=calls,
        kept=passed.kept,
        tokens=TOKENS,
        flops=passed.flops,
        shared_layers=_sharing(passed.witness.sightings, passed.kept, two=two),
        unsaid=unsaid,
    )


class _Pass:
    """One forward pass, its witness, and what it left."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self.witness = Witness(model)
        self.kept: tuple[Kept, ...] | None = None
        self.flops: int | None = None

    def run(self, dtype: torch.dtype, taken: dict[str, int]) -> str:
        """Run the first inputs that the model takes; why it took none, empty where it took some."""
        unsaid = ""
        for part, inputs in self._attempts(dtype):
            self.witness = Witness(self.model)
            try:
                with self._watched(taken) as (eager, products):
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
    def _watched(self, taken: dict[str, int]) -> Iterator[tuple[Eager, Products]]:
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
                    products,
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


def _sharing(sightings: list[Sighting], kept: tuple[Kept, ...] | None, *, two: bool) -> int:
    """Layers of the decoder that attend and keep nothing of their own: they read what another layer keeps."""
    if not kept:
        return 0
    component = "decoder" if two else "text"
    attending = sum(
        c.layers for c in calls_of(sightings, two_stacks=two) if c.component == component and not c.cross
    )
    return max(
        0, attending - sum(one.layers for one in kept if one.elements and one.stride == 1 and not one.cross)
    )
