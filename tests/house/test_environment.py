"""The lists of what the project needs: pyproject.toml, and conda's file beside it."""

import tomllib
from collections import Counter
from pathlib import Path
from typing import Any

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


def test_one_triton_of_each_minor_version_is_tested() -> None:
    """The kernels are compiled with a release of every minor version in the range, the locked one among them."""
    tool: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]
    listed = tool["l4guide"]["tritons"]
    allowed = next(requirement.specifier for requirement in requirements() if requirement.name == "triton")
    minors = [f"3.{minor}" for minor in range(20) if f"3.{minor}.0" in allowed]
    assert minors == [version.rpartition(".")[0] for version in listed]
    lines = (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    locked = [line.split(";")[0].strip() for line in lines if line.startswith("triton==")]
    assert 1 == len(set(locked) & {f"triton=={version}" for version in listed})


def test_the_deprecated_pynvml_is_not_a_dependency() -> None:
    """nvidia-ml-py brings the module `pynvml`; the distribution of that name only warns."""
    names = {canonicalize_name(requirement.name) for requirement in requirements()}
    assert "nvidia-ml-py" in names
    assert "pynvml" not in names
