"""requirements.lock: it names every release that can be installed, and what is installed is what it names."""

import subprocess
import sys
import tomllib
from collections import defaultdict
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import NormalizedName, canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[2]
LINES = [
    line
    for line in (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    if not line.lstrip().startswith("#")
]
PINS = [Requirement(line) for line in LINES]
#: This project, and what `python -m venv` itself installs; setuptools is locked, since torch needs it.
UNLOCKED = {"l4guide", "pip", "wheel"}
LINUX = {"sys_platform": "linux", "platform_system": "Linux", "os_name": "posix"}
MACOS = {"sys_platform": "darwin", "platform_system": "Darwin", "os_name": "posix"}
#: The machines that the lock is for, and the level that each can have.
MACHINES = {
    "Linux x86_64": ({**LINUX, "platform_machine": "x86_64"}, "dev"),
    "Linux arm64": ({**LINUX, "platform_machine": "aarch64"}, "dev"),
    "macOS": ({**MACOS, "platform_machine": "arm64"}, ""),
}
PYTHONS = ("3.11.0", "3.11.7", "3.12.0", "3.13.0")


def somewhere(machine: dict[str, str], python: str) -> dict[str, str]:
    """What markers are asked on another machine and Python."""
    version = {"python_full_version": python, "python_version": python.rpartition(".")[0]}
    return {**{name: str(value) for name, value in default_environment().items()}, **machine, **version}


def locked(environment: dict[str, str]) -> dict[NormalizedName, list[Version]]:
    """The versions that the lock names there."""
    versions = defaultdict(list)
    for pin in PINS:
        if pin.marker is None or pin.marker.evaluate(environment):
            (specifier,) = pin.specifier
            versions[canonicalize_name(pin.name)].append(Version(specifier.version))
    return versions


def needed(level: str, environment: dict[str, str]) -> Iterator[tuple[str, Requirement]]:
    """Everything that a level needs there, with who needs it, by the metadata of what is installed here."""
    asked = [("l4guide", frozenset({level}))]
    seen = set(asked)
    while asked:
        name, extras = asked.pop()
        try:
            lines = metadata.requires(name) or []
        except metadata.PackageNotFoundError:  # of another platform: its own needs are not known here
            continue
        for requirement in map(Requirement, lines):
            if requirement.marker is None or any(
                requirement.marker.evaluate({**environment, "extra": extra}) for extra in {"", *extras}
            ):
                yield name, requirement
                further = (canonicalize_name(requirement.name), frozenset(requirement.extras))
                if further not in seen:
                    seen.add(further)
                    asked.append(further)


def test_every_line_names_one_version() -> None:
    """A version and where it holds, nothing else: no range, address, path or hash."""
    for pin in PINS:
        assert ["=="] == [specifier.operator for specifier in pin.specifier], pin
        assert pin.url is None
    assert [] == [line for line in LINES if "://" in line or "--" in line or "@" in line or "*" in line]


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("machine", MACHINES)
def test_nothing_floats(machine: str, python: str) -> None:
    """Whatever a level needs, directly or not, has one version there, and it is within every range asked."""
    there, level = MACHINES[machine]
    environment = somewhere(there, python)
    versions = locked(environment)
    for by, requirement in needed(level, environment):
        name = canonicalize_name(requirement.name)
        if name == "l4guide":
            continue
        assert 1 == len(versions[name]), f"{name}, needed by {by}: locked {len(versions[name])} times"
        assert versions[name][0] in requirement.specifier, f"{by} needs {requirement}"


def test_what_is_installed_is_what_is_locked() -> None:
    """Each distribution here has its locked version; torch's build after the plus goes by the machine."""
    versions = locked(somewhere({}, sys.version.split()[0]))
    installed = {canonicalize_name(found.name): Version(found.version) for found in metadata.distributions()}
    differing = {
        name: f"{version} is installed, locked is {' '.join(map(str, versions[name])) or 'none'}"
        for name, version in installed.items()
        if name not in UNLOCKED and versions[name] != [Version(version.public)]
    }
    assert {} == differing, "rm -r .venv; make test makes it anew"


def test_the_build_tools_are_locked() -> None:
    """A new release of the build backend changes nothing either."""
    build: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    versions = locked(somewhere({}, sys.version.split()[0]))
    for requirement in map(Requirement, build["build-system"]["requires"]):
        assert versions[canonicalize_name(requirement.name)][0] in requirement.specifier


@pytest.fixture
def conda_file() -> Iterator[Path]:
    """The file that conda writes beside environment.yml and gives to pip."""
    conda: dict[str, Any] = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    (lines,) = (entry["pip"] for entry in conda["dependencies"] if isinstance(entry, dict))
    path = ROOT / "condaenv.test.requirements.txt"
    path.write_text("\n".join(lines), encoding="utf-8")
    yield path
    path.unlink()


def test_conda_installs_what_is_locked(conda_file: Path) -> None:
    """Run in the project's folder as conda does, pip finds here all it needs, and needs no network for it."""
    command = [
        sys.executable,
        "-m",
        "pip",
        "--disable-pip-version-check",
        "install",
        "--dry-run",
        "--no-index",
    ]
    command += ["--no-build-isolation", "-r", conda_file.name]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "Would install l4guide-" in done.stdout
    assert 1 == len(done.stdout.partition("Would install ")[2].split())
