"""`make gpu`, as far as a machine without a GPU goes."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch

SCRIPT = Path(__file__).resolve().parents[1] / "gpu" / "everything.py"
MOST_MINUTES = 25


@pytest.fixture
def everything(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script as a module."""
    spec = importlib.util.spec_from_file_location("everything", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "everything", module)
    spec.loader.exec_module(module)
    return module


def python(everything: ModuleType, program: str, limit_s: int = 60, writes: str | None = None) -> object:
    """A step that runs a few lines of Python."""
    return everything.Step(command=[sys.executable, "-c", program], limit_s=limit_s, writes=writes)


def test_without_a_gpu_nothing_is_run(everything: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """One line says what is missing and what runs without it."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(sys, "argv", ["everything.py"])
    with pytest.raises(SystemExit, match=r"sees no NVIDIA GPU here.*make test"):
        everything.main()


def test_all_steps_end_in_time(everything: ModuleType) -> None:
    """The limits add up to no more than what was promised."""
    limits = [step.limit_s for step in everything.STEPS.values()]
    assert sum(limits) + len(limits) * everything.GRACE_S <= 60 * MOST_MINUTES + 60


@pytest.mark.slow
def test_every_step_leaves_its_word(
    everything: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A failure or a limit ends one step alone; what each said and what became of it is written."""
    hangs = "import time\ntry:\n    time.sleep(60)\nexcept KeyboardInterrupt:\n    print('kept')"
    steps = {
        "fails": python(everything, "print('broken'); raise SystemExit(3)"),
        "hangs": python(everything, hangs, limit_s=5),
        "works": python(everything, "import sys; open(sys.argv[2], 'w').write('{}')", writes="tiles-"),
    }
    monkeypatch.setattr(everything, "STEPS", steps)
    assert not everything.everything(list(steps), tmp_path, "NVIDIA L4")
    told = [line.rsplit(",", 1)[0] for line in (tmp_path / "steps.log").read_text().splitlines()]
    assert ["fails: failed with code 3", "hangs: stopped at its limit of 5 s", "works: ok"] == told
    assert ["broken\n", "kept\n"] == [(tmp_path / f"{name}.log").read_text() for name in ("fails", "hangs")]
    assert 1 == len(list(tmp_path.glob("tiles-nvidia-l4-*.json")))
