"""One tracing process for all tests that ask it something, since its imports take seconds."""

from collections.abc import Iterator

import pytest

from l4guide.tracing.process import Tracer


@pytest.fixture(scope="session")
def tracer() -> Iterator[Tracer]:
    """A tracing process."""
    with Tracer() as running:
        yield running


@pytest.fixture(autouse=True)
def reads() -> None:
    """Here configurations are traced."""
