"""Makes `.venv` ready for a chore of the Makefile; standard library only, so that a bare Python can run it.

    python3 setup_environment.py base       the guide's answers and reports: no torch
    python3 setup_environment.py all        and the kernels and JupyterLab
    python3 setup_environment.py dev        and the tools that `make check` and `make test` need
    python3 setup_environment.py chromium   a browser for the tests: the one that is here, else Debian's
    python3 setup_environment.py tritons    the other versions of Triton that the kernels are compiled with

What is done already is not done again: a stamp in `.venv` remembers the dependency lists it was made from.
"""

from __future__ import annotations

import ctypes
import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent
ENVIRONMENT = ROOT / ".venv"
PYTHON = ENVIRONMENT / "bin" / "python"
STAMP = ENVIRONMENT / "l4guide-stamp.json"
CONSTRAINTS = ROOT / "constraints.txt"
#: One folder a version of Triton, for PYTHONPATH: two versions cannot be installed in one environment.
TRITONS = ENVIRONMENT / "tritons"
#: What one of them takes on the disk, and as much again while pip unpacks it.
TRITON_BYTES = 2 * 1024**3
#: The extra of each level; a level includes the ones before it.
LEVELS = {"base": "", "all": "[all]", "dev": "[dev]"}
OLDEST = (3, 11)
NEWER_PYTHONS = ("python3.13", "python3.12", "python3.11")
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
#: PyTorch's own index of builds without CUDA: PyPI's Linux build brings gigabytes of CUDA libraries.
CPU_INDEX = "https://download.pytorch.org/whl/cpu"


def say(line: str) -> None:
    """One line of progress, at once, on stderr."""
    sys.stderr.write(f"l4guide: {line}\n")
    sys.stderr.flush()


def stop(line: str) -> None:
    """End with exit code 1 and a line that says what to do."""
    say(line)
    sys.exit(1)


def works(command: list[str]) -> bool:
    """Whether a command can be started and succeeds; its output is dropped."""
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def require_python() -> None:
    """Go on in a newer Python of this machine when this one is too old, or stop."""
    if sys.version_info >= OLDEST:
        return
    for name in NEWER_PYTHONS:
        if works([name, "-c", ""]):
            os.execvp(name, [name, __file__, *sys.argv[1:]])
    stop(
        f"Python {sys.version.split()[0]} is too old; l4guide needs 3.11 or newer. Install one and name it: "
        "make guide PYTHON=python3.12"
    )


def fingerprint() -> str:
    """What the environment depends on: the dependency lists and the Python that runs it."""
    content = (ROOT / "pyproject.toml").read_bytes() + CONSTRAINTS.read_bytes()
    return hashlib.sha256(content + sys.version.encode()).hexdigest()


def is_ready(level: str) -> bool:
    """Whether `.venv` was made for this level, or for one that includes it, from today's lists."""
    try:
        stamp = json.loads(STAMP.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    order = list(LEVELS)
    return (
        stamp.get("fingerprint") == fingerprint()
        and order.index(stamp.get("level", "base")) >= order.index(level)
        and works([str(PYTHON), "-c", ""])
    )


def create() -> None:
    """Create `.venv` where there is none that works."""
    if works([str(PYTHON), "-m", "pip", "--version"]):
        return
    missing = [name for name in ("venv", "ensurepip") if importlib.util.find_spec(name) is None]
    if missing:
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        stop(
            f"Python {version} has no {' and no '.join(missing)}, so it can make no environment. "
            f"On Debian and Ubuntu: sudo apt-get install -y python{version}-venv"
        )
    say(f"creating {ENVIRONMENT}")
    if subprocess.run([sys.executable, "-m", "venv", "--clear", str(ENVIRONMENT)], check=False).returncode:
        stop(f"could not create {ENVIRONMENT}; the reason is above")


def install(*arguments: str, way_out: str = "") -> None:
    """Run pip; where it fails, its own message stays on the screen and ways out follow."""
    quiet = [] if sys.stderr.isatty() else ["--quiet"]
    command = [str(PYTHON), "-m", "pip", "--disable-pip-version-check", "--no-input", "install", *quiet]
    # A user-wide PIP_USER would make pip refuse to install into an environment.
    variables = {**os.environ, "PIP_USER": "0"}
    if subprocess.run([*command, *arguments], cwd=ROOT, env=variables, check=False).returncode:
        stop(
            "pip could not install what is needed; its reason is above. If the network is the cause, set "
            f"HTTPS_PROXY or PIP_INDEX_URL to what your network allows and run the same command again.{way_out}"
        )


def has_nvidia_driver() -> bool:
    """Whether this machine has an NVIDIA driver, in a container and under WSL too."""
    if Path("/proc/driver/nvidia/version").exists() or works(["nvidia-smi"]):
        return True
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        return False
    return True


def torch_pin() -> str:
    """The tested torch: `torch==X.Y.Z`."""
    return pin("torch")


def pin(name: str) -> str:
    """The tested version of a package, as constraints.txt names it: `torch==X.Y.Z`."""
    lines = CONSTRAINTS.read_text(encoding="utf-8").splitlines()
    return next(line.strip() for line in lines if line.startswith(f"{name}=="))


def installed_torch() -> str:
    """The torch in `.venv`, as `torch==X.Y.Z`, with its build after a plus; empty where there is none."""
    question = "import importlib.metadata as m; print('torch==' + m.version('torch'))"
    return subprocess.run(
        [str(PYTHON), "-c", question], capture_output=True, text=True, check=False
    ).stdout.strip()


def torch_options(python: Path = PYTHON) -> list[str]:
    """Where the pip of `python` finds the torch for this machine, as options to add to a pip command.

    None where PyPI's own build is right: beside an NVIDIA driver it is the CUDA build, and outside Linux it
    brings no CUDA. Elsewhere the build without CUDA: from a folder that pip is configured with, else from
    PyTorch's index.
    """
    if sys.platform != "linux" or has_nvidia_driver():
        return []
    local = ["--no-index", "--no-deps", "--dry-run", "--ignore-installed", f"{torch_pin()}+cpu"]
    if works([str(python), "-m", "pip", "install", *local]):
        return ["--no-index"]
    return ["--index-url", CPU_INDEX, "--timeout", "30", "--retries", "2"]


def install_torch() -> None:
    """Install the build without CUDA where this machine wants it and `.venv` has not the tested torch yet."""
    if installed_torch().split("+")[0] == torch_pin():
        return
    options = torch_options()
    if options:
        say("this machine has no NVIDIA driver: taking the torch build without CUDA")
        wheel = f" Or put a wheel of {torch_pin()}+cpu for this Python into a folder and set PIP_FIND_LINKS to it."
        install("--no-deps", *options, f"{torch_pin()}+cpu", way_out=wheel)


def make_environment(level: str) -> None:
    """Create `.venv` and install the project in it, editable, with the extra of the level."""
    if is_ready(level):
        return
    create()
    say(f"installing l4guide{LEVELS[level]} into .venv; the first time this takes some minutes")
    if level != "base":
        install_torch()
    install("--constraint", str(CONSTRAINTS), "--editable", f".{LEVELS[level]}")
    STAMP.write_text(json.dumps({"level": level, "fingerprint": fingerprint()}), encoding="utf-8")


def find_chromium() -> str | None:
    """The path of a Chromium or Chrome that starts: L4GUIDE_CHROMIUM, else the first on the PATH."""
    for name in (os.environ.get("L4GUIDE_CHROMIUM"), *BROWSERS):
        path = shutil.which(name) if name else None
        if path and works([path, "--version"]):
            return path
    return None


def provide_chromium() -> None:
    """Find a browser, or install Debian's when root, or stop with the one command to run."""
    if find_chromium():
        return
    apt = ["apt-get", "install", "--yes", "--quiet", "--no-install-recommends", "chromium"]
    if hasattr(os, "geteuid") and os.geteuid() == 0 and shutil.which("apt-get"):
        say("no Chromium here: installing Debian's")
        quietly = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        for command in (["apt-get", "update", "--quiet"], apt):
            subprocess.run(
                command, env=quietly, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=False
            )
        if find_chromium():
            return
    stop(
        "the browser tests need Chromium or Chrome. Run: sudo "
        + " ".join(apt)
        + "  (or set L4GUIDE_CHROMIUM to the "
        "path of one), then the same command again"
    )


def other_tritons() -> list[str]:
    """The versions of Triton in pyproject.toml's list, without the one that `.venv` itself has."""
    import tomllib  # Python 3.11 has it; an older one is to read `require_python`'s line, not an ImportError

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    pinned = pin("triton").partition("==")[2]
    return [version for version in project["tool"]["l4guide"]["tritons"] if version != pinned]


def provide_tritons() -> None:
    """Install each version of Triton that is not there yet into a folder of its own; Linux alone has them."""
    if sys.platform != "linux":
        return
    make_environment("base")
    for version in other_tritons():
        if not (TRITONS / version).is_dir():
            provide_triton(version)


def provide_triton(version: str) -> None:
    """Install one version of Triton beside the environment's own; a folder with its name is always whole."""
    TRITONS.mkdir(parents=True, exist_ok=True)
    free_bytes = shutil.disk_usage(TRITONS).free
    if free_bytes < TRITON_BYTES:
        stop(
            f"Triton {version} needs {TRITON_BYTES / 1024**3:.0f} GiB while it is installed and {TRITONS} has "
            f"{free_bytes / 1024**3:.1f} GiB: free some and run the same command again"
        )
    say(f"installing Triton {version} into {TRITONS / version}, to compile the kernels with it")
    with tempfile.TemporaryDirectory(dir=TRITONS, prefix=".") as folder:
        new = Path(folder, version)
        install("--no-deps", "--no-compile", "--target", str(new), f"triton=={version}")
        new.rename(TRITONS / version)


def main(arguments: list[str]) -> None:
    """Do what the words on the command line ask, in their order."""
    require_python()
    parts = {"chromium": provide_chromium, "tritons": provide_tritons}
    if not arguments or set(arguments) - {*LEVELS, *parts}:
        stop(f"usage: setup_environment.py {' | '.join([*LEVELS, *parts])}")
    for word in arguments:
        if word in parts:
            parts[word]()
        else:
            make_environment(word)


if __name__ == "__main__":
    main(sys.argv[1:])
