"""The kernels by every other version of Triton that the project allows: compiled for each architecture, none launched.

Two versions cannot be loaded by one process, and one that interprets Triton cannot compile: each version has
processes of its own, two at a time. `make test` installs them, which is `python3 setup_environment.py tritons`. The
version of this environment is held to more by `tests/kernels`.
"""

import json
import os
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from l4guide_kernels.requirements import OLDEST_TRITON
from packaging.version import Version

from l4guide.errors import CannotDo
from l4guide.resources.compiler import Compiler
from l4guide.resources.specialisation import Figures, Specialisation, by_formula, specialise

pytestmark = [pytest.mark.compile, pytest.mark.slow]

ROOT = Path(__file__).resolve().parents[2]
LISTED: list[str] = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["l4guide"]["tritons"]
VERSIONS = [version for version in LISTED if version != metadata.version("triton")]
FOLDER = Path(sys.prefix, "tritons")
INSTALL = "python3 setup_environment.py tritons"
TRIAL = ROOT / "tests" / "kernels" / "foreign_trial.py"

LIMITS = {80: 166912, 89: 101376, 90: 232448, 100: 232448, 120: 101376}
L4 = 89
#: Bytes a thread may spill there: in dK/dV 8 to 84 by Triton 3.4 to 3.6, whatever the tile; none by later versions.
MOST_SPILLED = {
    "3.4.0": {"forward": 280, "backward-dkdv": 96},
    "3.5.1": {"backward-dkdv": 64},
    "3.6.0": {"backward-dkdv": 64},
}
#: What every architecture is asked: all four kernels, with a head in one block, in two, and with columns masked.
EVERYWHERE: tuple[dict[str, Any], ...] = (
    {"kernel": "forward", "head_dim": 64, "dtype": "bf16"},
    {"kernel": "backward-dkdv", "head_dim": 32, "dtype": "fp16"},
    {"kernel": "backward-dq", "head_dim": 48, "dtype": "bf16", "causal": False},
    {"kernel": "decode", "head_dim": 72, "dtype": "fp16"},
)
#: And an L4 besides: tiles that use nearly all registers, where another version may spill.
ON_L4: tuple[dict[str, Any], ...] = (
    {"kernel": "forward", "head_dim": 128, "dtype": "bf16"},
    {"kernel": "backward-dkdv", "head_dim": 64, "dtype": "fp16"},
    {"kernel": "backward-dkdv", "head_dim": 128, "dtype": "bf16"},
    {"kernel": "backward-dq", "head_dim": 128, "dtype": "bf16"},
)
FOR_L4 = [(L4, asked) for asked in (*EVERYWHERE, *ON_L4)]
ELSEWHERE = [(arch, asked) for arch in LIMITS if arch != L4 for asked in EVERYWHERE]
#: The oldest and the newest version are asked for every architecture, those between them for an L4: the rest of theirs
#: is a sweep (`make sweep`).
ENDS = {LISTED[0], LISTED[-1]}
BETWEEN = [version for version in VERSIONS if version not in ENDS]
Asked = list[tuple[int, dict[str, Any]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What one version answered: to each specialisation, and as launches of the public functions.

    Text stands for what is not there: why not.
    """

    figures: list[Figures | str]
    launches: dict[str, Any] | str


def place_of(version: str) -> Path:
    """The folder of a version.

    Raises:
        LookupError: It is not there; says what installs it.
    """
    if not (FOLDER / version).is_dir():
        raise LookupError(f"Triton {version} is not in {FOLDER}. Run: {INSTALL}")
    return FOLDER / version


def asked_of(version: str) -> Asked:
    """What a version is asked in every run of the tests."""
    return FOR_L4 + elsewhere(version) if version in ENDS else FOR_L4


def elsewhere(version: str) -> Asked:
    """What a version is asked for the other architectures, but for those that it is too old for."""
    oldest = {arch: ".".join(map(str, numbers)) for arch, numbers in OLDEST_TRITON.items()}
    return [(arch, asked) for arch, asked in ELSEWHERE if Version(version) >= Version(oldest.get(arch, "0"))]


def figures_of(version: str, questions: Asked) -> list[Figures | str]:
    """What a version makes of each specialisation; why not, where it makes nothing."""
    answers: list[Figures | str] = []
    with Compiler(triton=place_of(version), mixes=False) as compiling:
        for arch, asked in questions:
            try:
                answers.append(compiling.compile(specialise(**asked, arch=arch)))
            except CannotDo as refusal:
                answers.append(str(refusal))
    return answers


def launches_of(version: str) -> dict[str, Any] | str:
    """Every kernel as the public functions launch it, with all their features, for an L4."""
    variables = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    path = [str(place_of(version)), *(entry for entry in sys.path if entry)]
    done = subprocess.run(
        [sys.executable, str(TRIAL), "functions"],
        capture_output=True,
        text=True,
        check=False,
        env={**variables, "PYTHONPATH": os.pathsep.join(path), "TRITON_DEFAULT_FP_FUSION": "1"},
    )
    if done.returncode:
        return done.stderr[-2000:]
    summary: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return summary


@pytest.fixture(scope="module")
def found() -> Mapping[str, Found]:
    """The answers of every version that is installed."""
    installed = [version for version in VERSIONS if (FOLDER / version).is_dir()]
    with ThreadPoolExecutor(2) as pool:
        pairs = [
            (pool.submit(figures_of, version, asked_of(version)), pool.submit(launches_of, version))
            for version in installed
        ]
        return {
            version: Found(figures=figures.result(), launches=launches.result())
            for version, (figures, launches) in zip(installed, pairs, strict=True)
        }


Made = list[tuple[Specialisation, Figures]]


def made(found: Mapping[str, Found], version: str) -> Made:
    """What a version compiled, with what was asked; fails with the first reason where something is missing."""
    place_of(version)
    return paired(asked_of(version), found[version].figures)


def paired(questions: Asked, answers: list[Figures | str]) -> Made:
    """Each specialisation with its figures."""
    compiled = []
    for (arch, asked), answer in zip(questions, answers, strict=True):
        assert not isinstance(answer, str), f"{asked} on sm_{arch}: {answer}"
        compiled.append((specialise(**asked, arch=arch), answer))
    return compiled


def fits(version: str, compiled: Made) -> None:
    """A version's kernels fit a block's shared memory."""
    for wanted, figures in compiled:
        assert version == figures.triton_version
        assert figures.shared_bytes <= LIMITS[wanted.arch], wanted


def agrees_with_the_formula(compiled: Made) -> None:
    """Where the closed formula speaks it gives these bytes; on sm_80, 89 and 120 it always does."""
    for wanted, figures in compiled:
        formula = by_formula(wanted)
        if formula is None:
            assert wanted.arch in (90, 100), wanted
        else:
            assert formula.shared_bytes == figures.shared_bytes, wanted


@pytest.mark.parametrize("version", VERSIONS)
def test_every_kernel_compiles_and_fits(version: str, found: Mapping[str, Found]) -> None:
    """Each version compiles each kernel for an L4, and the ends of the range for each architecture."""
    fits(version, made(found, version))


@pytest.mark.parametrize("version", VERSIONS)
def test_the_formula_is_every_compilers(version: str, found: Mapping[str, Found]) -> None:
    """The formula gives every version's bytes."""
    agrees_with_the_formula(made(found, version))


@pytest.mark.sweep
@pytest.mark.parametrize("version", BETWEEN)
def test_versions_between_compile_for_every_architecture(version: str) -> None:
    """What is asked of the ends in every run holds between them."""
    questions = elsewhere(version)
    compiled = paired(questions, figures_of(version, questions))
    fits(version, compiled)
    agrees_with_the_formula(compiled)


@pytest.mark.parametrize(("version", "arch"), [("3.4.0", 100), ("3.5.1", 103)])
def test_an_architecture_that_a_version_is_too_old_for_is_refused(version: str, arch: int) -> None:
    """Their compilers fail there, or make code that does not fit; what to install is said instead."""
    (said,) = figures_of(version, [(arch, EVERYWHERE[0])])
    needed = f"triton>={'.'.join(map(str, OLDEST_TRITON[arch]))}"
    assert f"our kernels need {needed} on sm_{arch}, and {version} is installed; run: pip install" in str(
        said
    )


@pytest.mark.parametrize("version", VERSIONS)
def test_nothing_spills_on_an_l4(version: str, found: Mapping[str, Found]) -> None:
    """The default tiles of sm_89 keep to their registers, or nearly; by Triton 3.4 the forward pass at 128 does not."""
    allowed = MOST_SPILLED.get(version, {})
    assert {} == {
        f"{wanted.kernel} {wanted.head_dim}": figures.spill_bytes
        for wanted, figures in made(found, version)
        if wanted.arch == L4 and (figures.spill_bytes or 0) > allowed.get(wanted.kernel, 0)
    }


@pytest.mark.parametrize("version", VERSIONS)
def test_every_launch_compiles(version: str, found: Mapping[str, Found]) -> None:
    """Windows, softcap, ALiBi, dropout, sinks, batches, pages, rotary, appending and merging compile as launched."""
    place_of(version)
    launches = found[version].launches
    assert not isinstance(launches, str), launches
    assert version == launches["triton_version"]
    kernels = {launch["kernel"] for launch in launches["launched"]}
    assert {"probabilities_kernel", "delta_kernel", "append_kernel", "decode_kernel"} <= kernels
    by_boxes, by_pointers = launches["boxed"]
    assert by_boxes["copies"] > 0 == by_pointers["copies"]
    assert by_boxes["declared"] == by_boxes["taken"]
    assert by_pointers["declared"] == by_pointers["taken"]


def test_a_missing_version_is_named_with_its_command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An installation that is not there fails with the line that makes it."""
    monkeypatch.setattr(sys.modules[__name__], "FOLDER", tmp_path)
    with pytest.raises(LookupError, match=r"Triton 3\.6\.0 is not in .*Run: python3 setup_environment.py"):
        made({}, "3.6.0")
