"""The guide without a browser, a kernel or a GPU."""

import pytest

from l4guide.measure import probe
from l4guide.widgets import Guide


@pytest.fixture
def guide(monkeypatch: pytest.MonkeyPatch) -> Guide:
    """A guide on a machine that has no GPU; it has answered the default question without an error."""
    monkeypatch.setattr(probe, "attached", tuple)
    guide = Guide()
    assert (None, None) == (guide.state.error, guide.state.problem)
    return guide
