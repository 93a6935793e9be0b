"""Cross-compiling the kernels on a machine without a GPU, in processes that do not interpret Triton."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from l4guide_kernels.tiles import KERNELS, QUANTIZED, SPECIALISATIONS, Tile, shared_bytes, tile_for

pytestmark = [pytest.mark.compile, pytest.mark.slow]

LIMITS = {80: 166912, 86: 101376, 89: 101376, 90: 232448, 100: 232448, 103: 232448, 120: 101376}
#: Heads of one column block, of two, and of more columns than registers hold well; records hold the bytes of all.
ONE_OF_A_KIND = (64, 96, 256)
THE_OTHERS = tuple(width for width in SPECIALISATIONS if width not in ONE_OF_A_KIND)
Compile = Callable[[list[dict[str, Any]]], list[dict[str, Any]]]
# Compiles the requests of each line of stdin and prints a line of what came out; nothing else may reach stdout.
SCRIPT = """
import json, re, subprocess, sys, tempfile
from l4guide_kernels import Tile, compile_ahead
from triton import knobs
def stack(cubin):
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(cubin)
        file.flush()
        command = [knobs.nvidia.cuobjdump.path, "--dump-resource-usage", file.name]
        used = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return int(re.search(r"STACK:(\\d+)", used)[1])
for line in sys.stdin:
    answers = []
    for request in json.loads(line):
        if request.get("tile"):
            request["tile"] = Tile(**request["tile"])
        try:
            made = compile_ahead(**request)
        except Exception as error:
            answers.append({"error": f"{type(error).__name__}: {error}"})
            continue
        answers.append({
            "shared_bytes": made.shared_bytes,
            "warps": made.warps,
            "target": re.search(r"\\.target (\\w+)", made.ptx)[1],
            "mma": len(re.findall(r"mma|wgmma|tcgen05", made.ptx)),
            "products": sorted(set(re.findall(r"mma.sync.\\w+.(m16n8k\\d+).\\S*[.](s8|e4m3|f16|bf16)[.]", made.ptx))),
            "copies": made.ptx.count("cp.async.bulk.tensor"),
            "wgmma": made.ptx.count("wgmma.mma_async"),
            "counted": re.findall(r"atom[.]\\S*acq_rel\\S*", made.ptx),
            "barrier": "bar.sync" in made.ptx.partition("acq_rel")[0].rpartition("st.global")[2],
            "stack": stack(made.cubin),
            "binary": len(made.cubin),
            "triton_version": made.triton_version,
        })
    print(json.dumps(answers), flush=True)
"""


@pytest.fixture(scope="module")
def compiled() -> Iterator[Compile]:
    """What `compile_ahead` makes of requests, in one process without TRITON_INTERPRET for all tests."""
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    with subprocess.Popen(
        [sys.executable, "-c", SCRIPT],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        requests_of, answers_of = process.stdin, process.stdout

        def compile_all(requests: list[dict[str, Any]]) -> list[dict[str, Any]]:
            requests_of.write(json.dumps(requests) + "\n")
            requests_of.flush()
            answers: list[dict[str, Any]] = json.loads(answers_of.readline())
            return answers

        yield compile_all


@pytest.mark.parametrize(
    "widths", [ONE_OF_A_KIND, pytest.param(THE_OTHERS, marks=pytest.mark.sweep)], ids=str
)
def test_the_formula_is_the_compilers_on_l4(widths: tuple[int, ...], compiled: Compile) -> None:
    """For every kernel and specialisation on sm_89 the formula gives the compiler's bytes, and they fit."""
    requests: list[dict[str, Any]] = [
        {"kernel": kernel, "head_dim": width, "dtype": "bf16", "arch": 89}
        for kernel in KERNELS
        for width in widths
    ]
    for request, answer in zip(requests, compiled(requests), strict=True):
        tile = tile_for(**request)
        needed = shared_bytes(tile, **request)
        assert needed == answer["shared_bytes"], request
        assert answer["shared_bytes"] <= LIMITS[89], request
        assert answer["target"] == "sm_89"
        assert answer["mma"] > 0


@pytest.mark.parametrize("arch", [80, 90, 100, 120])
def test_every_architecture_compiles_and_fits(arch: int, compiled: Compile) -> None:
    """A sample of the tables compiles for each architecture, fits it, and where the formula speaks agrees with it."""
    requests: list[dict[str, Any]] = [
        {"kernel": kernel, "head_dim": head_dim, "dtype": dtype, "arch": arch}
        for kernel, head_dim, dtype in (
            ("forward", 128, "fp16"),
            ("forward", 192, "bf16"),
            ("backward-dkdv", 64, "bf16"),
            ("backward-dkdv", 192, "bf16"),
            ("backward-dq", 256, "fp16"),
            ("decode", 128, "bf16"),
            ("forward", 64, "fp32"),
        )
    ]
    for request, answer in zip(requests, compiled(requests), strict=True):
        assert answer["shared_bytes"] <= LIMITS[arch], request
        assert shared_bytes(tile_for(**request), **request) in {None, answer["shared_bytes"]}, request
        assert answer["binary"] > 0


@pytest.mark.parametrize("arch", [80, 89, 90, 120])
def test_parts_are_handed_on_before_they_are_counted(arch: int, compiled: Compile) -> None:
    """A barrier stands between the stores of a part and its count, which releases and acquires for the whole card."""
    request = {"kernel": "decode", "head_dim": 64, "dtype": "fp16", "arch": arch}
    (answer,) = compiled([request])
    assert ["atom.global.gpu.acq_rel.add.u32"] == answer["counted"]
    assert answer["barrier"]


def test_the_flagship_tile_by_the_compiler(compiled: Compile) -> None:
    """FlashAttention-1's 128 by 128 backward tile takes 132,096 bytes by the compiler too."""
    tile: dict[str, Any] = {"block_m": 128, "block_n": 128, "warps": 8, "stages": 2}
    request: dict[str, Any] = {"kernel": "backward-dkdv", "head_dim": 128, "dtype": "bf16", "arch": 89}
    (answer,) = compiled([{**request, "tile": tile}])
    assert answer["shared_bytes"] == 132096
    assert shared_bytes(Tile(**tile), **request) == 132096


def test_masked_heads_take_their_specialisations_bytes(compiled: Compile) -> None:
    """A head_dim between two specialisations takes as much shared memory as the wider one."""
    requests: list[dict[str, Any]] = [
        {"kernel": kernel, "head_dim": head_dim, "dtype": "fp16", "arch": 89}
        for kernel, head_dim in (
            ("forward", 40),
            ("forward", 111),
            ("backward-dkdv", 72),
            ("backward-dq", 160),
        )
    ]
    for request, answer in zip(requests, compiled(requests), strict=True):
        assert shared_bytes(tile_for(**request), **request) == answer["shared_bytes"], request


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("pv", ["fp16", "fp8"])
def test_attention_in_8_bits_is_native_on_l4(pv: str, causal: bool, compiled: Compile) -> None:
    """On sm_89 no tile of the tables spills, and int8 and e4m3 are multiplied as they are, 32 to an instruction."""
    requests: list[dict[str, Any]] = [
        {"kernel": f"quantized-{pv}", "head_dim": width, "dtype": "bf16", "arch": 89, "causal": causal}
        for width in (32, 64, 96, 128, 192, 256)
    ]
    products = {
        "fp16": [["m16n8k16", "f16"], ["m16n8k32", "s8"]],
        "fp8": [["m16n8k32", "e4m3"], ["m16n8k32", "s8"]],
    }
    for request, answer in zip(requests, compiled(requests), strict=True):
        assert products[pv] == answer["products"], request
        assert 0 == answer["stack"], request
        assert answer["shared_bytes"] <= LIMITS[89], request


def test_decoding_from_8_bits_spills_nothing_on_l4(compiled: Compile) -> None:
    """On sm_89 a cache of codes is decoded without spilling, paged or not, by products in the type of q."""
    requests: list[dict[str, Any]] = [
        {"kernel": kernel, "head_dim": width, "dtype": "bf16", "arch": 89, "features": features}
        for kernel in ("decode-int8", "decode-fp8")
        for width, features in ((64, []), (80, []), (128, ["paged"]), (192, []), (256, ["paged"]))
    ]
    for request, answer in zip(requests, compiled(requests), strict=True):
        assert [["m16n8k16", "bf16"]] == answer["products"], request
        assert 0 == answer["stack"], request


@pytest.mark.parametrize("arch", [80, 90, 100, 120])
def test_8_bits_compile_and_fit_elsewhere(arch: int, compiled: Compile) -> None:
    """Other architectures compile what they have of it, and refuse fp8 by name where they have none."""
    requests: list[dict[str, Any]] = [
        {"kernel": kernel, "head_dim": 128, "dtype": "fp16", "arch": arch} for kernel in QUANTIZED
    ]
    for request, answer in zip(requests, compiled(requests), strict=True):
        if arch == 80 and request["kernel"].endswith("fp8"):
            assert "sm_80 has no fp8" in answer["error"]
        else:
            assert answer["shared_bytes"] <= LIMITS[arch], request
            assert answer["binary"] > 0


@pytest.mark.parametrize("causal", [pytest.param(False, marks=pytest.mark.sweep), True])
def test_newer_cards_fetch_keys_in_boxes(causal: bool, compiled: Compile) -> None:
    """On sm_90 and sm_100 the copy engine fetches K and V, and no register spills; packed sequences go without it."""
    requests: list[dict[str, Any]] = [
        {"kernel": "forward", "head_dim": width, "dtype": "bf16", "arch": arch, "causal": causal}
        for arch in (90, 100)
        for width in (64, 72, 128, 256)
    ]
    requests.append({**requests[0], "features": ["varlen"]})
    *boxed, packed = compiled(requests)
    for request, answer in zip(requests, boxed, strict=False):
        assert answer["copies"] > 0, request
        assert 0 == answer["stack"], request
        assert answer["shared_bytes"] <= LIMITS[request["arch"]], request
        assert (request["arch"] == 90) == (answer["wgmma"] > 0), request
    assert 0 == packed["copies"]


def test_failures_are_one_line(compiled: Compile) -> None:
    """What cannot be compiled says so in one line, and prints no assembly."""
    answers = compiled(
        [
            {"kernel": "forward", "head_dim": 600, "dtype": "fp16", "arch": 89},
            {"kernel": "forward", "head_dim": 64, "dtype": "fp16", "arch": 75},
            {
                "kernel": "forward",
                "head_dim": 64,
                "dtype": "fp16",
                "arch": 89,
                "tile": {"block_m": 48, "block_n": 64, "warps": 4, "stages": 2},
            },
        ]
    )
    for answer, word in zip(answers, ("head_dim 600", "sm_75", "did not compile for sm_89"), strict=True):
        assert word in answer["error"]
        assert "\n" not in answer["error"]
