"""The other doors: conda's file, and the pins that `make` installs."""

import json
import runpy
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
CONDA: dict[str, Any] = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))


def pip_lines() -> list[str]:
    """What conda hands to pip, line by line."""
    sections = [entry["pip"] for entry in CONDA["dependencies"] if isinstance(entry, dict)]
    assert len(sections) == 1
    return list(sections[0])


def requirements() -> list[Requirement]:
    """Every requirement of pyproject.toml, of whatever extra."""
    extras = PROJECT["optional-dependencies"].values()
    return [Requirement(line) for lines in (PROJECT["dependencies"], *extras) for line in lines]


def pins() -> list[Requirement]:
    """The tested versions."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    return [Requirement(line) for line in lines if line and not line.startswith("#")]


def test_conda_takes_a_python_that_the_project_accepts() -> None:
    """The version in environment.yml satisfies requires-python."""
    python = next(entry for entry in CONDA["dependencies"] if str(entry).startswith("python="))
    assert python.removeprefix("python=") + ".0" in SpecifierSet(PROJECT["requires-python"])


def test_conda_names_nothing_twice() -> None:
    """A package that both conda and pip install is broken by the second."""
    ours = {canonicalize_name(requirement.name) for requirement in requirements()}
    named = [str(entry).split("=")[0] for entry in CONDA["dependencies"] if not isinstance(entry, dict)]
    assert ["python", "pip"] == named
    assert set() == ours & set(named)
    assert 1 == max(Counter(pip_lines()).values())


def test_every_pin_is_within_the_range_of_the_project() -> None:
    """What is tested is what is allowed."""
    ranges = {canonicalize_name(requirement.name): requirement.specifier for requirement in requirements()}
    for pin in pins():
        (version,) = (specifier.version for specifier in pin.specifier)
        assert version in ranges[canonicalize_name(pin.name)], pin


def test_one_triton_of_each_minor_version_is_tested() -> None:
    """The kernels are compiled with a release of every minor version in the range, the pinned one among them."""
    tool: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]
    listed = tool["l4guide"]["tritons"]
    allowed = next(requirement.specifier for requirement in requirements() if requirement.name == "triton")
    minors = [f"3.{minor}" for minor in range(20) if f"3.{minor}.0" in allowed]
    assert minors == [version.rpartition(".")[0] for version in listed]
    pinned = {str(pin) for pin in pins()}
    assert 1 == len(pinned & {f"triton=={version}" for version in listed})


def test_the_deprecated_pynvml_is_not_a_dependency() -> None:
    """nvidia-ml-py brings the module `pynvml`; the distribution of that name only warns."""
    names = {canonicalize_name(requirement.name) for requirement in requirements()}
    assert "nvidia-ml-py" in names
    assert "pynvml" not in names


@pytest.fixture
def conda_file() -> Iterator[Path]:
    """The file that conda writes beside environment.yml and gives to pip."""
    path = ROOT / "condaenv.test.requirements.txt"
    path.write_text("\n".join(pip_lines()), encoding="utf-8")
    yield path
    path.unlink()


@pytest.mark.slow
def test_the_pip_step_of_conda_resolves(conda_file: Path) -> None:
    """Run in the project's folder as conda does, pip finds one set of versions with the tested pair."""
    # Where pip would download a CUDA build for a machine without a GPU, it may take the other one.
    torch_options = runpy.run_path(str(ROOT / "setup_environment.py"))["torch_options"](Path(sys.executable))
    index = [
        option.replace("--index-url", "--extra-index-url")
        for option in torch_options
        if option != "--no-index"
    ]
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    command += ["--dry-run", "--ignore-installed", "--report", "-", *index, "-r", conda_file.name]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=600)
    assert result.returncode == 0, result.stderr
    report = json.loads(result.stdout)
    found = {item["metadata"]["name"]: item["metadata"]["version"] for item in report["install"]}
    assert l4guide_extras(report) == {"all"}
    for pin in pins():
        assert found[pin.name].split("+")[0] in pin.specifier


def l4guide_extras(report: dict[str, Any]) -> set[str]:
    """The extras of this project that pip would install."""
    return next(
        set(item["requested_extras"]) for item in report["install"] if item["metadata"]["name"] == "l4guide"
    )
