"""A sample of the tests with every floor of pyproject.toml at once, in `.venv-oldest`; downloads gigabytes.

    make oldest

First comes the floor of torch alone, with the Triton that it asks for; then this project and its kernels, as a user
of that torch installs them, which must leave both there; then the floor of everything else.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

from setup_environment import ROOT, Environment, say, stop
from tests.ranges.installing import install_torch, resolve

FOLDER = ROOT / ".venv-oldest"
#: What another release of a library warns of is no failure of ours.
PYTEST = [str(FOLDER / "bin" / "pytest"), "-n", "auto", "--maxprocesses", "8", "-W", "default"]
#: transformers' mixture of experts multiplies by an operator that torch 2.8 has not on a CPU.
PYTEST += ["-k", "not gpt-oss"]
#: Kernels in the interpreter, by themselves since it is chosen once a process; then answers, estimates and views.
SAMPLES = (
    ["test_interface.py", "test_operators.py", "test_huggingface.py", "test_varlen.py", "test_cache.py"],
    [
        "advise",
        "cost",
        "estimate",
        "memory",
        "model",
        "step",
        "test_matrix.py",
        "test_plots.py",
        "test_report.py",
    ],
)
PLACES = ("tests/kernels", "tests/l4guide")


def leave_torch_alone(environment: Environment, floors: dict[str, str]) -> None:
    """Install the project with its kernels beside the oldest torch; stop if that moved it or its Triton."""
    install_torch(environment, version=floors["torch"])
    before = [environment.installed(name) for name in ("torch", "triton")]
    environment.pip_install(".[kernels]", locked=False)
    after = [environment.installed(name) for name in ("torch", "triton")]
    if not before[0] or before[0] != after[0]:
        stop(f"pip install '.[kernels]' replaced {before[0]} by {after[0]}")
    say(f"pip install '.[kernels]' left {before[0]} alone; Triton: {after[1]}")


def install_floors(environment: Environment, floors: dict[str, str]) -> None:
    """Bring everything else down to what pyproject.toml asks at least."""
    with tempfile.TemporaryDirectory() as folder:
        pins = Path(folder, "floors.txt")
        pins.write_text("\n".join(f"{name}=={version}" for name, version in floors.items()), encoding="utf-8")
        environment.install("--requirement", str(pins), locked=False)


def main() -> int:
    """Make the environment, run the sample; 1 where something failed."""
    environment = Environment(FOLDER)
    environment.create()
    floors = resolve("--resolution", "lowest-direct")
    leave_torch_alone(environment, floors)
    install_floors(environment, floors)
    codes = []
    for place, names in zip(PLACES, SAMPLES, strict=True):
        codes.append(subprocess.run([*PYTEST, *(f"{place}/{name}" for name in names)], cwd=ROOT, check=False))
    return int(any(done.returncode for done in codes))


if __name__ == "__main__":
    sys.exit(main())
