"""NVIDIA's compute-sanitizer over every kernel: no access out of bounds, no race in shared memory."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

pytestmark = pytest.mark.gpu

TRIAL = Path(__file__).with_name("sanitizer_trial.py")
NAME = "compute-sanitizer"
PLACES = ("/usr/local/cuda/bin", "/usr/local/cuda/compute-sanitizer")


def found() -> str | None:
    """Where the sanitizer is: on the PATH, or where CUDA's toolkit and its wheels put it."""
    wheels = [str(Path(entry, "nvidia")) for entry in sys.path if Path(entry, "nvidia").is_dir()]
    in_wheels = [str(path.parent) for folder in wheels for path in Path(folder).glob(f"**/{NAME}")]
    return shutil.which(NAME) or shutil.which(NAME, path=os.pathsep.join([*PLACES, *in_wheels]))


@pytest.mark.parametrize("tool", ["memcheck", "racecheck"])
def test_nothing_is_found(tool: str, device: torch.device) -> None:
    """The tool watches a process that starts every kernel once, and reports no error.

    Every tensor is an allocation of its own, so that a step beyond one is a step into nothing.
    """
    sanitizer = found()
    if device.type == "cpu" or sanitizer is None:
        pytest.skip(f"{NAME} is not on this machine: it comes with CUDA's toolkit")
    done = subprocess.run(
        [sanitizer, "--tool", tool, "--error-exitcode", "9", sys.executable, str(TRIAL)],
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
        env={**os.environ, "PYTORCH_NO_CUDA_MEMORY_CACHING": "1", "TRITON_INTERPRET": "0"},
    )
    said = done.stdout + done.stderr
    summary = re.search(r"(ERROR|RACECHECK) SUMMARY: (\d+)", said)
    if summary is None and "finished" not in said:
        pytest.skip(f"{NAME} cannot watch a process here: {said.strip().splitlines()[-1][:200]}")
    assert summary is not None, said[-3000:]
    assert ("0", 0) == (summary[2], done.returncode), said[-6000:]
    assert "finished" in said
