"""All that a machine with an NVIDIA GPU is needed for, in one go.

`make gpu`, or from the project's folder `PYTHONPATH=.:kernels python3 tests/gpu/everything.py`: the tests that need a
card (attention against fp64, its limits, compute-sanitizer, an L4's code on a newer card), then the quick benchmark,
written to `data/measurements/`. Takes the machine's own Python, PyTorch, Triton and pytest. The benchmark runs even
when a test failed; the exit code is the tests'.
"""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def say(line: str) -> None:
    """One line of progress, at once."""
    sys.stderr.write(f"l4guide: {line}\n")
    sys.stderr.flush()


def require_gpu() -> None:
    """End where there is no card to run on, before anything is taken for a result."""
    try:
        import torch
    except ImportError as missing:
        sys.exit(f"l4guide: this needs PyTorch with CUDA ({missing}); this Python is {sys.executable}")
    if not torch.cuda.is_available():
        sys.exit(
            f"l4guide: PyTorch {torch.__version__} sees no NVIDIA GPU here; everything else runs by `make test`"
        )
    say(f"{torch.cuda.get_device_name()}, PyTorch {torch.__version__}, {sys.executable}")


def record_file(gpu: str, measured_at: str) -> Path:
    """Where a record goes: named by card and day, and never over an earlier one."""
    name = f"{re.sub(r'[^a-z0-9]+', '-', gpu.lower()).strip('-')}-{measured_at[:10]}"
    folder = ROOT / "data" / "measurements"
    taken = sorted(folder.glob(f"{name}*.json"))
    return folder / (f"{name}-{len(taken) + 1}.json" if taken else f"{name}.json")


def measure() -> Path:
    """Run the quick benchmark and write its record."""
    from l4guide.measure import quick
    from l4guide.measure.measurement import write

    record = quick()
    path = record_file(record.gpu or record.gpu_reported_name or "unknown", record.measured_at)
    write(record, path)
    return path


def main() -> None:
    """The tests, then the benchmark."""
    require_gpu()
    tests = subprocess.run(
        [sys.executable, "-m", "pytest", "-m", "gpu", "tests/gpu", *sys.argv[1:]], cwd=ROOT, check=False
    )
    say("the benchmark: about a minute")
    say(f"written: {measure()}")
    sys.exit(tests.returncode)


if __name__ == "__main__":
    main()
