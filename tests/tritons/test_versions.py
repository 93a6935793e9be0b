"""The kernels by every version of Triton that the project allows: compiled for each architecture, none launched.

Two versions cannot be loaded by one process, and one that interprets Triton cannot compile: each version has a
compiler process of its own, two of them at a time. `make test` installs them, which is
`python3 setup_environment.py tritons`.
"""

import sys
import tomllib
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from l4guide.errors import CannotDo
from l4guide.resources.compiler import Compiler
from l4guide.resources.specialisation import Figures, Specialisation, by_formula, specialise

ROOT = Path(__file__).resolve().parents[2]
VERSIONS: list[str] = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["l4guide"]["tritons"]
INSTALL = "python3 setup_environment.py tritons"
FOLDER = Path(sys.prefix, "tritons")

LIMITS = {80: 166912, 89: 101376, 90: 232448, 100: 232448, 120: 101376}
L4 = 89
#: What every architecture is asked: all four kernels; a head in one block, in two, and with columns masked.
EVERYWHERE: tuple[dict[str, Any], ...] = (
    {"kernel": "forward", "head_dim": 128, "dtype": "bf16"},
    {"kernel": "backward-dkdv", "head_dim": 64, "dtype": "fp16"},
    {"kernel": "backward-dq", "head_dim": 96, "dtype": "bf16", "causal": False},
    {"kernel": "decode", "head_dim": 72, "dtype": "fp16"},
)
#: And an L4 besides: the tiles nearest to spilling, which are the widest and those that use all registers.
ON_L4: tuple[dict[str, Any], ...] = (
    {"kernel": "forward", "head_dim": 64, "dtype": "bf16"},
    {"kernel": "forward", "head_dim": 256, "dtype": "bf16"},
    {"kernel": "backward-dkdv", "head_dim": 128, "dtype": "bf16"},
    {"kernel": "backward-dkdv", "head_dim": 256, "dtype": "fp16"},
    {"kernel": "backward-dq", "head_dim": 192, "dtype": "bf16"},
)
ASKED = [(arch, asked) for arch in LIMITS for asked in EVERYWHERE] + [(L4, asked) for asked in ON_L4]

Answer = Figures | str


def place_of(version: str) -> Path | None:
    """The folder of a version; None for the one that is installed in this environment.

    Raises:
        LookupError: It is not there; says what installs it.
    """
    if version == metadata.version("triton"):
        return None
    if not (FOLDER / version).is_dir():
        raise LookupError(f"Triton {version} is not in {FOLDER}. Run: {INSTALL}")
    return FOLDER / version


def ask_one(version: str, wanted: Iterable[Specialisation]) -> list[Answer]:
    """What one version makes of each specialisation; why not, where it makes nothing."""
    answers: list[Answer] = []
    with ExitStack() as stack:
        try:
            compiling = stack.enter_context(Compiler(triton=place_of(version)))
        except LookupError as missing:
            return [str(missing) for _ in wanted]
        for one in wanted:
            try:
                answers.append(compiling.compile(one))
            except CannotDo as refusal:
                answers.append(str(refusal))
    return answers


@pytest.fixture(scope="module")
def answers() -> Mapping[str, list[Answer]]:
    """The answers of every version to all that is asked, in its order."""
    wanted = [specialise(**asked, arch=arch) for arch, asked in ASKED]
    with ThreadPoolExecutor(2) as pool:
        return dict(zip(VERSIONS, pool.map(lambda version: ask_one(version, wanted), VERSIONS), strict=True))


def made(answers: Mapping[str, list[Answer]], version: str) -> list[tuple[Specialisation, Figures]]:
    """What a version compiled, with what was asked; fails with the first reason where something is missing."""
    found = []
    for (arch, asked), answer in zip(ASKED, answers[version], strict=True):
        assert not isinstance(answer, str), f"{asked} on sm_{arch}: {answer}"
        found.append((specialise(**asked, arch=arch), answer))
    return found


pytestmark = [pytest.mark.compile, pytest.mark.slow]


@pytest.mark.parametrize("version", VERSIONS)
def test_every_kernel_compiles_and_fits(version: str, answers: Mapping[str, list[Answer]]) -> None:
    """Each version compiles each kernel for each architecture, into a block's shared memory there."""
    for wanted, figures in made(answers, version):
        assert version == figures.triton_version
        assert figures.shared_bytes <= LIMITS[wanted.arch], wanted


@pytest.mark.parametrize("version", VERSIONS)
def test_the_formula_is_every_compilers(version: str, answers: Mapping[str, list[Answer]]) -> None:
    """Where the closed formula speaks it gives this version's bytes; on sm_80, 89 and 120 it always does."""
    for wanted, figures in made(answers, version):
        formula = by_formula(wanted)
        if formula is None:
            assert wanted.arch in (90, 100), wanted
        else:
            assert formula.shared_bytes == figures.shared_bytes, wanted


@pytest.mark.parametrize("version", VERSIONS)
def test_nothing_spills_on_an_l4(version: str, answers: Mapping[str, list[Answer]]) -> None:
    """The default tiles of sm_89 keep to their registers with each version."""
    on_l4 = [(wanted, figures) for wanted, figures in made(answers, version) if wanted.arch == L4]
    spilling = {f"{wanted.kernel} {wanted.head_dim}": figures.spill_bytes for wanted, figures in on_l4}
    assert dict.fromkeys(spilling, 0) == spilling


def test_a_missing_version_is_named_with_its_command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An installation that is not there fails with the line that makes it."""
    monkeypatch.setattr(sys.modules[__name__], "FOLDER", tmp_path)
    (answer,) = ask_one("3.6.0", [specialise("forward", head_dim=64, dtype="bf16", arch=L4)])
    assert f"Triton 3.6.0 is not in {tmp_path}. Run: {INSTALL}" == answer
