"""The instruction mix is read off the unmasked inner loop, and the record says what the compiler makes."""

import json
import os
import subprocess
import sys

import pytest
from l4guide_kernels.tiles import Tile, tile_for

from l4guide.resources.compiler import Compiler
from l4guide.resources.mix import Mix, class_of, innermost_loops, mix_of
from l4guide.resources.mix_record import recorded_mix
from l4guide.resources.specialisation import specialise

KERNELS = ("forward", "backward-dkdv", "backward-dq", "decode")
LISTING = """
kernel:
        /*0000*/                   HMMA.16816.F32 R4, R8, R12, R4 ;
.L_x_0:
        /*0010*/                   LDSM.16.M88.4 R8, [R20] ;
        /*0020*/                   HMMA.16816.F32 R4, R8, R12, R4 ;
        /*0030*/                   MUFU.EX2 R4, R4 ;
        /*0040*/                   FSEL R4, R4, -INF , P0 ;
        /*0050*/                   ISETP.GE.AND P0, PT, R1, c[0x0][0x168], PT ;
        /*0060*/               @P0 BRA `(.L_x_0) ;
.L_x_1:
        /*0070*/                   MUFU.RCP R4, R4 ;
.L_x_2:
        /*0080*/                   HMMA.16816.F32 R4, R8, R12, R4 ;
        /*0090*/                   MUFU.EX2 R4, R4 ;
        /*00a0*/              @!P1 BRA `(.L_x_2) ;
        /*00b0*/               @P2 BRA `(.L_x_1) ;
        /*00c0*/                   EXIT ;
.L_x_3:
        /*00d0*/                   BRA `(.L_x_3);
"""


def test_only_innermost_loops_count() -> None:
    """An outer loop, straight code and the trap at a kernel's end are no inner loop."""
    assert [6, 3] == [len(loop) for loop in innermost_loops(LISTING)]


def test_the_unmasked_loop_is_the_shorter_of_those_with_most_products() -> None:
    """Two loops do the same products; the one that masks takes more instructions."""
    assert Mix(tensor=1, exp=1, mask=0, arithmetic=0, memory=0, other=1) == mix_of(LISTING)


def test_code_without_tensor_cores_has_no_mix() -> None:
    """Nothing is made up for a kernel that multiplies otherwise."""
    assert mix_of(LISTING.replace("HMMA", "FFMA")) is None
    assert mix_of("") is None


@pytest.mark.parametrize(
    ("opcode", "expected"),
    [
        ("HMMA.16816.F32.BF16", "tensor"),
        ("HGMMA.64x128x16.F32", "tensor"),
        ("QMMA.16832.F32.E4M3.E4M3", "tensor"),
        ("IMMA.16832.S8.S8", "tensor"),
        ("UTCHMMA", "tensor"),
        ("MUFU.EX2", "exp"),
        ("MUFU.RCP", "arithmetic"),
        ("FMUL", "arithmetic"),
        ("FMNMX", "arithmetic"),
        ("FSEL", "mask"),
        ("FSETP.NEU.AND", "mask"),
        ("HSETP2.GT.AND", "mask"),
        ("F2FP.BF16.F32.PACK_AB", "arithmetic"),
        ("HFMA2.MMA", "arithmetic"),
        ("LDGSTS.E.BYPASS.LTC128B.128", "memory"),
        ("LDSM.16.MT88.4", "memory"),
        ("STS.128", "memory"),
        ("LDC.64", "other"),
        ("FLO.U32", "other"),
        ("IMAD.MOV.U32", "other"),
        ("ISETP.GE.AND", "other"),
        ("BRA", "other"),
    ],
)
def test_classes(opcode: str, expected: str) -> None:
    """Each instruction is of one class."""
    assert expected == class_of(opcode)


def test_shares_add_up() -> None:
    """The shares are of all instructions of the pass."""
    mix = Mix(tensor=3, exp=1, mask=0, arithmetic=2, memory=1, other=1)
    assert 8 == mix.total
    assert 0.375 == mix.shares()["tensor"]
    assert pytest.approx(1.0) == sum(mix.shares().values())


@pytest.mark.compile
def test_the_compiler_makes_the_recorded_mix() -> None:
    """The record of L4's forward tile is what Triton makes of it now."""
    wanted = specialise("forward", head_dim=128, dtype="bf16", arch=89)
    with Compiler() as compiler:
        figures = compiler.compile(wanted)
    known = recorded_mix(wanted)
    assert known is not None
    assert figures.triton_version == known.triton_version
    assert figures.instructions == known.mix


#: Forward tiles at 128 columns that others publish for cards of 99 KiB: block_m, block_n, warps, stages.
PUBLISHED = ((128, 64, 8, 2), (128, 32, 4, 2), (64, 64, 4, 2), (128, 128, 8, 2))


@pytest.mark.compile
@pytest.mark.slow
def test_an_l4s_forward_tile_multiplies_as_often_as_any() -> None:
    """Of published tiles that spill nothing none has more tensor instructions among those it issues."""
    own = tile_for("forward", 128, "bf16", 89)
    tiles = [Tile(block_m=m, block_n=n, warps=warps, stages=stages) for m, n, warps, stages in PUBLISHED]
    shares = {}
    with Compiler() as compiler:
        for tile in {own, *tiles}:
            found = compiler.compile(specialise("forward", head_dim=128, dtype="bf16", arch=89, tile=tile))
            assert found.instructions is not None
            if not found.spill_bytes:
                shares[tile] = found.instructions.shares()["tensor"]
    assert max(shares.values()) == shares[own]
    assert 0.265 < shares[own]


#: Prints the opcodes of each innermost loop of a kernel that multiplies, the longest last.
LOOPS = """
import json, sys
from l4guide_kernels.cross import compile_ahead
from l4guide.resources.mix import class_of, disassemble, innermost_loops
for kernel in sys.argv[2:]:
    compiled = compile_ahead(kernel, head_dim=int(sys.argv[1]), dtype="bf16", arch=89)
    loops = innermost_loops(disassemble(compiled.cubin))
    print(json.dumps(sorted((loop for loop in loops if "tensor" in map(class_of, loop)), key=len)))
"""


@pytest.mark.compile
@pytest.mark.slow
@pytest.mark.parametrize("head_dim", [72, 128])
def test_only_the_loop_with_masks_does_mask_work(head_dim: int) -> None:
    """Without masks no number is compared or selected, and what integers are is fewer than a thread's scores.

    Those steer the loop and the copies of its pipeline. With masks every score is selected.
    """
    clean = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    command = [sys.executable, "-c", LOOPS, str(head_dim), *KERNELS]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=clean)
    for kernel, line in zip(KERNELS, done.stdout.splitlines(), strict=True):
        plain, masked = json.loads(line)
        tile = tile_for(kernel, head_dim, "bf16", 89)
        scores = tile.block_m * tile.block_n // (32 * tile.warps)
        assert [] == [opcode for opcode in plain if class_of(opcode) == "mask"], kernel
        assert len([opcode for opcode in plain if opcode.startswith(("ISETP", "SEL"))]) < scores, kernel
        assert scores <= len([opcode for opcode in masked if opcode.startswith("FSEL")]), kernel
