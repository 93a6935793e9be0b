"""torch or Triton missing, or older than the kernels need: one line, whichever way one comes in."""

import json
from pathlib import Path

import pytest
import torch
import triton
from l4guide_kernels import RequirementError, problem
from l4guide_kernels.requirements import require_versions, unserved_architectures
from other_versions import run_beside

#: The ways in that README and kernels/README.md show, and the module that every kernel is written in.
WAYS_IN = (
    "from l4guide_kernels import flash_attn_func",
    "from l4guide_kernels import scaled_dot_product_attention",
    "from l4guide_kernels.huggingface import register",
    "import l4guide_kernels.dialect",
    "from l4guide_kernels.cross import compile_ahead; "
    "compile_ahead('forward', head_dim=64, dtype='fp16', arch=89)",
)
COMMAND = "run pip install 'torch>=2.8' 'triton>=3.4'"
TRIAL = f"""
import json
from l4guide_kernels import tile_for
tile_for("forward", 64, "fp16", 89)
for way in {WAYS_IN!r}:
    try:
        exec(way)
        print(json.dumps(["none", ""]))
    except Exception as refusal:
        print(json.dumps([type(refusal).__name__, str(refusal)]))
"""


@pytest.mark.parametrize(
    ("versions", "line"),
    [
        ({"triton": "3.3.1"}, f"triton 3.3.1 is installed, and these kernels need triton>=3.4: {COMMAND}"),
        ({"triton": None}, f"triton is not installed, and these kernels need triton>=3.4: {COMMAND}"),
        ({"torch": "2.7.1"}, f"torch 2.7.1 is installed, and these kernels need torch>=2.8: {COMMAND}"),
        ({"torch": None}, f"torch is not installed, and these kernels need torch>=2.8: {COMMAND}"),
    ],
    ids=str,
)
def test_one_line_whichever_way_one_comes_in(
    versions: dict[str, str | None], line: str, tmp_path: Path
) -> None:
    """It names what is installed, what is needed and what to run; tiles can be asked for all the same."""
    done = run_beside(tmp_path, versions, "-c", TRIAL)
    assert 0 == done.returncode, done.stderr
    *imported, compiled = (json.loads(said) for said in done.stdout.splitlines())
    assert [["RequirementError", line]] * (len(WAYS_IN) - 1) == imported
    assert ["CompileError", f"nothing can be compiled: {line}"] == compiled


@pytest.mark.parametrize("found", ["3.4.0", "3.4.0+git12ab", "3.10.0a0", "4.0"])
def test_versions_that_serve(found: str) -> None:
    """Numbers are compared, not letters; builds of one's own are taken by their release."""
    require_versions({"torch": "2.10.0a0+b4e4ee8153.nv25.12", "triton": found}.get)


@pytest.mark.parametrize("found", ["3.3.1", "3.3.9+cu130", "2.3", None])
def test_versions_that_do_not(found: str | None) -> None:
    """The error holds what a program may want to know."""
    with pytest.raises(RequirementError) as refused:
        require_versions({"torch": "2.8.0", "triton": found}.get)
    assert ("triton", found, "triton>=3.4") == (
        refused.value.name,
        refused.value.found,
        refused.value.needed,
    )


@pytest.mark.parametrize(
    ("triton", "numpy", "refused"),
    [("3.6.0", "2.4.6", True), ("3.6.0", "2.3.5", False), ("3.7.1", "2.4.6", False), ("3.4.0", None, True)],
)
def test_an_old_interpreter_beside_a_new_numpy(
    triton: str, numpy: str | None, refused: bool, tmp_path: Path
) -> None:
    """Interpreters before Triton 3.7 fail with numpy 2.4 inside a kernel, so it is said before."""
    modules = (
        "import sys, types\n"
        "interpreting = types.SimpleNamespace(runtime=types.SimpleNamespace(interpret=True))\n"
        f"sys.modules['triton'] = types.SimpleNamespace(__version__={triton!r}, knobs=interpreting)\n"
    )
    script = f"{modules}from l4guide_kernels.requirements import require\nrequire()\n"
    done = run_beside(tmp_path, {"torch": "2.8.0", "numpy": numpy}, "-c", script)
    assert refused == ("RequirementError: numpy" in done.stderr), done.stderr
    assert refused == ("run pip install 'numpy<2.4'" in done.stderr)
    assert refused == bool(done.returncode)


@pytest.mark.parametrize(
    ("found", "arch", "refused"), [("3.4.0", 100, True), ("3.5.1", 100, False), ("3.5.1", 103, True)]
)
def test_an_architecture_may_want_a_newer_triton(
    found: str, arch: int, refused: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Older compilers fail there, or make what does not fit; a card of that kind is refused before a launch."""
    monkeypatch.setattr(triton, "__version__", found)
    monkeypatch.setattr(problem, "interpreted", lambda: False)
    monkeypatch.setattr(problem, "_TOO_NEW", unserved_architectures())
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: divmod(arch, 10))
    if refused:
        with pytest.raises(
            RequirementError, match=rf"triton {found} is .*need triton>=3\.\d on sm_{arch}: run pip"
        ):
            problem.device_arch(torch.device("cuda"))
    else:
        assert arch == problem.device_arch(torch.device("cuda"))
