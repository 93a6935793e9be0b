"""The compiler and the process it lives in."""

import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest
from l4guide_kernels.tiles import Tile

from l4guide.catalogue import gpu
from l4guide.errors import CannotDo
from l4guide.resources import compiler, resources_for
from l4guide.resources.compiler import Compiler
from l4guide.resources.record import recorded
from l4guide.resources.specialisation import Specialisation, by_formula, specialise

TILE = Tile(block_m=64, block_n=64, warps=4, stages=2)
WANTED = specialise("forward", head_dim=64, dtype="bf16", arch=89, tile=TILE)
ANSWER = '{"shared_bytes": 1, "registers": 2, "spill_bytes": 3, "stack_bytes": 4, "triton_version": "0"}'


def stand_in(monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Let the worker be a script, and Triton be installed whether or not it is."""
    monkeypatch.setattr(compiler, "WORKER", (sys.executable, "-c", f"import sys, time\n{script}"))
    monkeypatch.setattr(compiler, "require_compiler", lambda: None)


def test_a_hanging_compiler_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """After its deadline the process is gone, and the message names the tile and the limit."""
    stand_in(monkeypatch, "time.sleep(60)")
    with (
        Compiler(deadline_s=0.5) as patient,
        pytest.raises(CannotDo, match=r"64x64 tile, 4 warps and 2 stages.*within 0\.5 s"),
    ):
        patient.compile(WANTED)


def test_a_dying_compiler_is_replaced(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A compiler killed for memory costs one answer, not the next; its last words are passed on."""
    died = tmp_path / "died"
    script = f"""
from pathlib import Path
sys.stdin.readline()
if not Path({str(died)!r}).exists():
    Path({str(died)!r}).touch()
    sys.exit('Killed for memory')
print('{ANSWER}')"""
    stand_in(monkeypatch, script)
    with Compiler() as compiling:
        with pytest.raises(CannotDo, match="Killed for memory"):
            compiling.compile(WANTED)
        assert 2 == compiling.compile(WANTED).registers


def test_a_process_that_never_starts_is_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that ends before it is asked gives the same one-line message."""
    stand_in(monkeypatch, "sys.exit('no such module')")
    with Compiler() as compiling, pytest.raises(CannotDo, match="no such module"):
        compiling.compile(WANTED)


def test_another_triton_comes_before_all(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The process looks for modules in the given folder first, and is told whether to count instructions."""
    answer = "dict(shared_bytes=1, registers=int(asked['mix']), spill_bytes=0, stack_bytes=0, triton_version=first)"
    script = (
        "import json, os\nasked = json.loads(sys.stdin.readline())\n"
        f"first = os.environ['PYTHONPATH'].split(os.pathsep)[0]\nprint(json.dumps({answer}))"
    )
    stand_in(monkeypatch, script)
    for mixes in (True, False):
        with Compiler(triton=tmp_path, mixes=mixes) as compiling:
            figures = compiling.compile(WANTED)
        assert (str(tmp_path), int(mixes)) == (figures.triton_version, figures.registers)


def test_without_triton_the_install_line_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compiling on a machine without Triton says what to install."""
    monkeypatch.setitem(sys.modules, "triton", None)
    with pytest.raises(CannotDo, match=r"triton, which is not installed.*pip install numpy torch triton"):
        resources_for(gpu("L4"), "forward", 64, compile=True)


def test_the_users_triton_settings_do_not_reach_the_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    """The interpreter, extra ptxas options and a filled cache would each falsify the figures."""
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    monkeypatch.setenv("PTXAS_OPTIONS", "-O0")
    monkeypatch.setenv("TRITON_CACHE_DIR", "/somewhere/mine")
    stand_in(
        monkeypatch,
        "import os, json; sys.stdin.readline(); print(json.dumps({'error': ' '.join(map(str, ["
        "os.environ.get('TRITON_INTERPRET'), os.environ.get('PTXAS_OPTIONS'), os.environ['TRITON_CACHE_DIR'],"
        "os.environ['TRITON_ALWAYS_COMPILE']]))}))",
    )
    with Compiler() as compiling, pytest.raises(CannotDo, match="None None /somewhere/mine 1"):
        compiling.compile(WANTED)


@pytest.fixture(scope="module")
def real() -> Iterator[Compiler]:
    """One compiler process for the tests below."""
    with Compiler() as compiling:
        yield compiling


SAMPLE = (
    specialise("forward", head_dim=128, dtype="bf16", arch=89),
    specialise("backward-dkdv", head_dim=64, dtype="fp16", arch=89),
    specialise("backward-dq", head_dim=72, dtype="bf16", arch=80),
    specialise("decode", head_dim=96, dtype="bf16", arch=90),
    specialise("forward", head_dim=32, dtype="fp32", arch=89),
)


@pytest.mark.compile
@pytest.mark.slow
@pytest.mark.parametrize("wanted", SAMPLE, ids=lambda one: f"{one.kernel}-{one.head_parts[0]}-sm{one.arch}")
def test_the_record_is_what_the_compiler_says(real: Compiler, wanted: Specialisation) -> None:
    """Recompiling finds the recorded bytes, registers and spills, for the Triton version installed."""
    version = metadata.version("triton")
    written = recorded(wanted, among=[version])
    assert written is not None, f"no record for Triton {version}: run python -m l4guide.resources.recorder"
    found = real.compile(wanted)
    expected = (version, written.shared_bytes, written.registers, written.spill_bytes, written.stack_bytes)
    assert expected == (
        found.triton_version,
        found.shared_bytes,
        found.registers,
        found.spill_bytes,
        found.stack_bytes,
    )
    formula = by_formula(wanted)
    assert formula is None or formula.shared_bytes == found.shared_bytes


@pytest.mark.compile
def test_what_triton_refuses_is_an_answer(real: Compiler) -> None:
    """A tile that the compiler rejects gives its reason in one line, and the process goes on."""
    narrow = specialise(
        "forward", head_dim=64, dtype="bf16", arch=89, tile=Tile(block_m=3, block_n=64, warps=4, stages=2)
    )
    with pytest.raises(CannotDo) as refusal:
        real.compile(narrow)
    assert "\n" not in str(refusal.value)
    assert "cannot compile forward with a 3x64 tile" in str(refusal.value)


@pytest.mark.compile
@pytest.mark.slow
def test_flash_attention_1s_tile_compiled_for_l4_comes_with_fixes_that_fit() -> None:
    """The flagship: the compiler's 132,096 bytes against 101,376, and only proven fixes are shown."""
    found = resources_for(
        gpu("L4"), "backward-dkdv", 128, block_m=128, block_n=128, warps=8, stages=2, compile=True
    )
    assert (132_096, 101_376, False, "compiled") == (
        found.shared_bytes,
        found.limit_bytes,
        found.fits,
        found.basis,
    )
    assert found.fixes
    for fix in found.fixes:
        assert ("compiled", 0) == (fix.figures.basis, fix.figures.spill_bytes)
        assert fix.figures.shared_bytes <= found.limit_bytes
