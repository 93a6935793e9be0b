"""All that a machine with an NVIDIA GPU is needed for, in 25 minutes, with its own Python, PyTorch, Triton and pytest.

    make gpu
    PYTHONPATH=.:kernels python3 tests/gpu/everything.py [--into FOLDER] [STEP ...]

Steps: the tests that need a card, compute-sanitizer over every kernel, the quick benchmark, the full one, tuned tiles.
Each has a limit, and what it found is written as soon as it is found: records and tiles to the folder (by default
`data/measurements/`), what it said to `STEP.log` there, what became of it to `steps.log`. A step that fails or is
stopped at its limit leaves the others theirs; the exit code is 1 then.
"""

import argparse
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
#: What another's PyTorch or pytest plugin warns of is no failure of ours.
TESTS = [sys.executable, "-m", "pytest", "-W", "default", "-m", "gpu"]
#: Tests mostly wait for compilers: side by side where pytest-xdist is there.
TOGETHER = ["-n", str(min(8, os.cpu_count() or 1))] if find_spec("xdist") else []
MEASURE = [sys.executable, "-m", "l4guide", "measure"]
#: How long a step that was told to stop may take to write what it has.
GRACE_S = 15


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One command and the seconds that it may take; `writes` is how a file of its own begins, None for none."""

    command: list[str]
    limit_s: int
    writes: str | None = None


SANITIZER = "tests/gpu/test_sanitizer.py"
STEPS = {
    "tests": Step(
        command=[*TESTS, *TOGETHER, "tests/gpu", f"--ignore={SANITIZER}", "-k", "not benchmark"], limit_s=380
    ),
    "sanitizer": Step(command=[*TESTS, SANITIZER], limit_s=180),
    "quick": Step(command=[*MEASURE, "--quick"], limit_s=75, writes=""),
    "bench": Step(command=MEASURE, limit_s=615, writes=""),
    "tiles": Step(command=[*MEASURE, "--tune"], limit_s=200, writes="tiles-"),
}


def say(line: str) -> None:
    """One line of progress, at once."""
    sys.stderr.write(f"l4guide: {line}\n")
    sys.stderr.flush()


def attached_gpu() -> str:
    """The card's name; ends where there is none to run on, before anything is taken for a result."""
    try:
        import torch
    except ImportError as missing:
        sys.exit(f"l4guide: this needs PyTorch with CUDA ({missing}); this Python is {sys.executable}")
    if not torch.cuda.is_available():
        sys.exit(
            f"l4guide: PyTorch {torch.__version__} sees no NVIDIA GPU here; everything else runs by `make test`"
        )
    name = str(torch.cuda.get_device_name())
    say(f"{name}, PyTorch {torch.__version__}, {sys.executable}")
    return name


def heed_interrupts() -> None:
    """Let Ctrl+C reach a step even where this was started in the background, whose children ignore it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def run(step: Step, log: Path) -> str:
    """Run one step, what it says going to `log`; in a word or two, what became of it."""
    with log.open("w", encoding="utf-8") as file:
        process = subprocess.Popen(
            step.command, cwd=ROOT, stdout=file, stderr=subprocess.STDOUT, preexec_fn=heed_interrupts
        )
        try:
            code = process.wait(step.limit_s)
        except subprocess.TimeoutExpired:
            # As by Ctrl+C, upon which a benchmark writes what it has.
            process.send_signal(signal.SIGINT)
            try:
                process.wait(GRACE_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            return f"stopped at its limit of {step.limit_s} s"
    return "ok" if code == 0 else f"failed with code {code}"


def everything(names: Sequence[str], into: Path, gpu: str) -> bool:
    """Run some steps, in their order; whether all went well."""
    from l4guide.measure.records import record_file

    into.mkdir(parents=True, exist_ok=True)
    fine = True
    for name in names:
        step = STEPS[name]
        if step.writes is not None:
            today = datetime.now(UTC).date().isoformat()
            out = record_file(into, gpu, today, prefix=step.writes)
            step = Step(command=[*step.command, "--out", str(out)], limit_s=step.limit_s)
        say(f"{name}, at most {step.limit_s} s: {into / name}.log")
        began = time.monotonic()
        became = run(step, into / f"{name}.log")
        line = f"{name}: {became}, {time.monotonic() - began:.0f} s"
        say(line)
        with (into / "steps.log").open("a", encoding="utf-8") as file:
            file.write(line + "\n")
        fine = fine and became == "ok"
    return fine


def main() -> None:
    """The steps that were named, or all."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--into", type=Path, default=ROOT / "data" / "measurements", metavar="FOLDER")
    parser.add_argument("steps", nargs="*", metavar="STEP", help=", ".join(STEPS))
    options = parser.parse_args()
    if unknown := [name for name in options.steps if name not in STEPS]:
        parser.error(f"no step is called {', '.join(unknown)}: there are {', '.join(STEPS)}")
    gpu = attached_gpu()
    sys.exit(0 if everything(options.steps or list(STEPS), options.into.resolve(), gpu) else 1)


if __name__ == "__main__":
    main()
