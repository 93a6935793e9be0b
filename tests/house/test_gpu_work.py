"""`make gpu`, as far as a machine without a GPU goes."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
import torch

SCRIPT = Path(__file__).resolve().parents[1] / "gpu" / "everything.py"


@pytest.fixture
def everything(tmp_path: Path) -> ModuleType:
    """The script as a module, over an empty project."""
    spec = importlib.util.spec_from_file_location("everything", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.ROOT = tmp_path  # type: ignore[attr-defined]
    tmp_path.joinpath("data", "measurements").mkdir(parents=True)
    return module


def test_without_a_gpu_nothing_is_run(everything: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """One line says what is missing and what runs without it."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SystemExit, match=r"sees no NVIDIA GPU here.*make test"):
        everything.main()


def test_a_record_never_replaces_another(everything: ModuleType) -> None:
    """Files are named by card and day; a second run of the day gets a number."""
    names = []
    for _ in range(3):
        path = everything.record_file("NVIDIA L4", "2026-11-22T10:00:00+00:00")
        path.write_text("{}")
        names.append(path.name)
    assert [
        "nvidia-l4-2026-11-22.json",
        "nvidia-l4-2026-11-22-2.json",
        "nvidia-l4-2026-11-22-3.json",
    ] == names
