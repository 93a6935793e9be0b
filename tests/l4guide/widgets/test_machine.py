"""The panel on this machine."""

import pytest

from l4guide.measure import probe
from l4guide.measure.probe import Machine
from l4guide.measure.toolchain import TorchBuild
from l4guide.support import distribution, libraries
from l4guide.widgets.machine import machine_panel
from l4guide.widgets.state import GuideState

HERE = Machine(
    python="3.12.4",
    platform="Linux",
    driver=None,
    torch=TorchBuild(version="2.8.0+cpu", cuda=None, new_abi=True),
    gpus=(),
    libraries=(("torch", "2.8.0+cpu"), ("flash-attn", "99.0.0")),
)


def test_installed_versions_are_judged_for_the_question() -> None:
    """Verdict and warnings for what is installed; another question, another verdict; both languages."""
    state = GuideState(HERE)
    view = machine_panel(state).view
    assert "flash-attn 99.0.0 is newer" in view.value
    assert view.value.count("torch 2.8.0 was not checked") == 1
    assert "built without CUDA" in view.value
    assert "l4g-refused" not in view.value
    state.head_dim, state.dropout = "256", "0.1"
    assert "l4g-refused" in view.value
    state.language = "zh"
    assert "torch 2.8.0 尚未查证" in view.value


def test_where_no_machine_was_looked_at_there_is_no_panel() -> None:
    """A state made by itself, as in tests and reports, looks at nothing."""
    view = machine_panel(GuideState()).view
    assert "" == view.value
    assert "none" == view.layout.display


@pytest.mark.parametrize("library", libraries())
def test_the_probe_looks_for_what_the_rules_are_about(library: str) -> None:
    """A library with rules that nobody looks for would never be judged."""
    assert distribution(library) in probe.LIBRARIES
