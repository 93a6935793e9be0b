"""One way to ask for a verdict, for every test of the rules."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from l4guide import support
from l4guide.catalogue import Gpu, gpu
from l4guide.workload import ask


def _card(name: str) -> Gpu:
    """A card of the catalogue; `NAME@7.0` is the same card with another compute capability."""
    base, _, capability = name.partition("@")
    return replace(gpu(base), name=name, capability=capability) if capability else gpu(base)


def _check(library: str, version: str | None, card: str = "L4", **options: object) -> support.Verdict:
    """The verdict on training with 8 heads, but for the `options`, which may be texts and yes or no."""
    flags = {"yes": True, "no": False}
    values = {name: flags.get(str(value), value) for name, value in options.items()}
    return support.check(ask({"heads": 8, **values})[0], _card(card), library, version)


@pytest.fixture(scope="session")
def check() -> Callable[..., support.Verdict]:
    """Asks for a verdict: `check(library, version, card, **options)`."""
    return _check
