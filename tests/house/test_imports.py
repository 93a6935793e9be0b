"""What an import costs, and which way the arrows between the modules point."""

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HEAVY = {"torch", "triton", "numpy", "plotly", "pandas", "ipywidgets", "anywidget", "jupyterlab"}
LINT_IMPORTS = Path(sys.executable).with_name("lint-imports")


def loaded_by(statement: str) -> set[str]:
    """The top-level modules that a fresh Python has loaded after a statement."""
    program = f"{statement}\nimport sys\nprint(*sys.modules)"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return {name.split(".")[0] for name in result.stdout.split()}


@pytest.mark.parametrize("package", ["l4guide", "l4guide_kernels"])
def test_an_import_loads_nothing_heavy(package: str) -> None:
    """Facts and rules are read in an instant, on a machine without a GPU library."""
    assert set() == loaded_by(f"import {package}") & HEAVY


def test_a_heavy_import_would_be_seen() -> None:
    """The check above can fail."""
    assert {"numpy"} == loaded_by("import numpy") & HEAVY


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    """Check the arrows of the packages in a folder against the contracts in its pyproject.toml."""
    command = [str(LINT_IMPORTS), "--no-cache"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_the_arrows_point_down() -> None:
    """No module imports one above it, no sibling another, and the kernels know nothing of the guide."""
    result = lint(ROOT)
    assert result.returncode == 0, result.stdout


@pytest.fixture
def empty_house(tmp_path: Path) -> Path:
    """Our contracts over modules of the same names with nothing in them."""
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
    layers = next(contract["layers"] for contract in contracts["contracts"] if contract["type"] == "layers")
    for package in ("l4guide", "l4guide_kernels"):
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").touch()
    for name in (name.strip(" ()") for layer in layers for name in layer.split("|")):
        (tmp_path / f"{name.replace('.', '/')}.py").touch()
    return tmp_path


def test_a_house_of_empty_modules_keeps_the_contracts(empty_house: Path) -> None:
    """What the next test sees fail fails for its reason alone."""
    result = lint(empty_house)
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize(
    ("importer", "imported"),
    [
        ("l4guide/support.py", "l4guide.estimate"),
        ("l4guide/catalogue.py", "l4guide.advise"),
        ("l4guide/plots.py", "l4guide.widgets"),
        ("l4guide_kernels/__init__.py", "l4guide"),
    ],
)
def test_an_arrow_that_points_up_is_refused(empty_house: Path, importer: str, imported: str) -> None:
    """The contracts can fail."""
    (empty_house / importer).write_text(f"import {imported}\n", encoding="utf-8")
    result = lint(empty_house)
    assert result.returncode == 1, result.stdout
    assert imported in result.stdout
