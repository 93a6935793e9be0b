"""What Triton makes of a matrix product on the architectures that the guide speaks about; no GPU is needed."""

import json
import os
import subprocess
import sys

import pytest

pytestmark = [pytest.mark.compile, pytest.mark.slow]

SCRIPT = """
import importlib.util, json, pathlib, re, sys, tempfile
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

KERNEL = '''
import triton
import triton.language as tl

@triton.jit
def dot(a, b, c, N: tl.constexpr):
    i = tl.arange(0, N)[:, None] * N + tl.arange(0, N)[None, :]
    tl.store(c + i, tl.dot(tl.load(a + i), tl.load(b + i)))
'''
path = pathlib.Path(tempfile.mkdtemp()) / "product.py"
path.write_text(KERNEL)
spec = importlib.util.spec_from_file_location("product", path)
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
answers = {}
for arch in (75, 80, 86, 89):
    for dtype in ("fp16", "fp8e4nv"):
        signature = {"a": f"*{dtype}", "b": f"*{dtype}", "c": "*fp32", "N": "constexpr"}
        source = ASTSource(fn=module.dot, signature=signature, constexprs={(3,): 64})
        try:
            ptx = triton.compile(source, target=GPUTarget("cuda", arch, 32)).asm["ptx"]
            answers[f"{arch} {dtype}"] = sorted(set(re.findall(r"mma[.]sync[.a-z0-9]+", ptx)))
        except triton.compiler.errors.CompilationError as error:
            answers[f"{arch} {dtype}"] = str(error).strip().splitlines()[-1]
print(json.dumps(answers))
"""


@pytest.fixture(scope="module")
def instructions() -> dict[str, list[str] | str]:
    """The tensor-core instructions of a 64 x 64 product by architecture and type, or why it does not compile."""
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    command = [sys.executable, "-c", SCRIPT]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    answers: dict[str, list[str] | str] = json.loads(result.stdout)
    return answers


def test_ada_multiplies_fp8_on_its_tensor_cores(instructions: dict[str, list[str] | str]) -> None:
    """On 8.9 the operands stay e4m3."""
    assert ["mma.sync.aligned.m16n8k32.row.col.f32.e4m3.e4m3.f32"] == instructions["89 fp8e4nv"]


@pytest.mark.parametrize("arch", [75, 80, 86])
def test_older_cards_have_no_e4m3(instructions: dict[str, list[str] | str], arch: int) -> None:
    """Below 8.9 the type is refused when compiling."""
    assert "fp8e4nv not supported" in str(instructions[f"{arch} fp8e4nv"])


def test_turing_gets_no_tensor_cores(instructions: dict[str, list[str] | str]) -> None:
    """On 7.5 a product compiles to no mma instruction at all; on 8.0 and 8.6 it does."""
    assert [] == instructions["75 fp16"]
    for arch in (80, 86, 89):
        assert any("m16n8k16" in name for name in instructions[f"{arch} fp16"])
