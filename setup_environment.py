"""Makes `.venv` ready for a chore of the Makefile; standard library only, so that a bare Python can run it.

    python3 setup_environment.py base       the guide's answers and reports: no torch
    python3 setup_environment.py all        and the kernels, JupyterLab and transformers
    python3 setup_environment.py dev        and the tools that `make check` and `make test` need
    python3 setup_environment.py chromium   a browser for the tests: the one that is here, else Debian's
    python3 setup_environment.py tritons    the other versions of Triton that the kernels are compiled with

Every release that goes into it is the one in requirements.lock, the build tools' too; uv installs where it is found,
pip elsewhere. What is done already is not done again: a stamp in `.venv` remembers the lists it was made from.
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
LOCK = ROOT / "requirements.lock"
#: Relative to ROOT, where installers are started: in variables a space would end a path.
LOCKED = dict.fromkeys(
    ("PIP_CONSTRAINT", "PIP_BUILD_CONSTRAINT", "UV_CONSTRAINT", "UV_BUILD_CONSTRAINT"), LOCK.name
)
#: What one version of Triton takes on the disk, and as much again while it is unpacked.
TRITON_BYTES = 2 * 1024**3
#: The extra of each level; a level includes the ones before it.
LEVELS = {"base": "", "all": "[all]", "dev": "[dev]"}
OLDEST = (3, 11)
NEWER_PYTHONS = ("python3.13", "python3.12", "python3.11")
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
#: PyTorch's own index of builds without CUDA: PyPI's Linux build brings gigabytes of CUDA libraries.
CPU_INDEX = ["--index-url", "https://download.pytorch.org/whl/cpu", "--timeout", "30", "--retries", "2"]
QUIET = [] if sys.stderr.isatty() else ["--quiet"]


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
    """What an environment depends on: the dependency lists and the Python that runs it."""
    content = (ROOT / "pyproject.toml").read_bytes() + LOCK.read_bytes()
    return hashlib.sha256(content + sys.version.encode()).hexdigest()


def pin(name: str) -> str:
    """The locked version of a package, without the marker that says where: `torch==X.Y.Z`."""
    lines = LOCK.read_text(encoding="utf-8").splitlines()
    return next(line.split(";")[0].strip() for line in lines if line.startswith(f"{name}=="))


def variables(*, locked: bool) -> dict[str, str]:
    """What an installer runs with: a user-wide PIP_USER would make pip refuse to install into an environment."""
    return {**os.environ, "PIP_USER": "0", **(LOCKED if locked else {})}


def has_nvidia_driver() -> bool:
    """Whether this machine has an NVIDIA driver, in a container and under WSL too."""
    if Path("/proc/driver/nvidia/version").exists() or works(["nvidia-smi"]):
        return True
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        return False
    return True


def wants_cpu_torch() -> bool:
    """Whether torch's build on PyPI would bring CUDA libraries that this machine has no use for."""
    return sys.platform == "linux" and not has_nvidia_driver()


class Environment:
    """A virtual environment with this project in it."""

    def __init__(self, folder: Path) -> None:
        """Take the environment in a folder, whether or not it is there yet."""
        self.folder = folder
        self.python = folder / "bin" / "python"
        self.stamp = folder / "l4guide-stamp.json"
        #: One folder a version of Triton, for PYTHONPATH: two versions cannot be installed in one environment.
        self.tritons = folder / "tritons"

    def is_ready(self, level: str) -> bool:
        """Whether it was made for this level, or for one that includes it, from today's lists."""
        try:
            stamp = json.loads(self.stamp.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return False
        order = list(LEVELS)
        return (
            stamp.get("fingerprint") == fingerprint()
            and order.index(stamp.get("level", "base")) >= order.index(level)
            and works([str(self.python), "-c", ""])
        )

    def create(self) -> None:
        """Create it where there is none that works."""
        if works([str(self.python), "-m", "pip", "--version"]):
            return
        missing = [name for name in ("venv", "ensurepip") if importlib.util.find_spec(name) is None]
        if missing:
            version = f"{sys.version_info.major}.{sys.version_info.minor}"
            stop(
                f"Python {version} has no {' and no '.join(missing)}, so it can make no environment. "
                f"On Debian and Ubuntu: sudo apt-get install -y python{version}-venv"
            )
        say(f"creating {self.folder}")
        if subprocess.run(
            [sys.executable, "-m", "venv", "--clear", str(self.folder)], check=False
        ).returncode:
            stop(f"could not create {self.folder}; the reason is above")

    def install(self, *arguments: str, locked: bool = True) -> None:
        """Install what pip's arguments name: by uv where it is found, by pip where it is not.

        uv reads none of pip's settings, the address of an index among them; where it fails, pip is asked.
        """
        uv = shutil.which("uv")
        if uv:
            command = [uv, "pip", "install", *QUIET, "--python", str(self.python), *arguments]
            if subprocess.run(command, cwd=ROOT, env=variables(locked=locked), check=False).returncode == 0:
                return
            say("uv could not install it, as it says above; asking pip")
        self.pip_install(*arguments, locked=locked)

    def pip_install(self, *arguments: str, locked: bool = True, way_out: str = "") -> None:
        """Run pip; where it fails, its own message stays on the screen and ways out follow."""
        command = [
            str(self.python),
            "-m",
            "pip",
            "--disable-pip-version-check",
            "--no-input",
            "install",
            *QUIET,
        ]
        done = subprocess.run([*command, *arguments], cwd=ROOT, env=variables(locked=locked), check=False)
        if done.returncode:
            stop(
                "pip could not install what is needed; its reason is above. If the network is the cause, set "
                f"HTTPS_PROXY or PIP_INDEX_URL to what your network allows and run the same command again.{way_out}"
            )

    def installed(self, name: str) -> str:
        """A package in it, as `torch==X.Y.Z`, with its build after a plus; empty where it is not there."""
        question = f"import importlib.metadata as m; print('{name}==' + m.version('{name}'))"
        return subprocess.run(
            [str(self.python), "-c", question], capture_output=True, text=True, check=False
        ).stdout.strip()

    def torch_options(self) -> list[str]:
        """Where its pip finds the torch for this machine, as options to add to a pip command.

        None where PyPI's own build is right: beside an NVIDIA driver it is the CUDA build, and outside Linux it
        brings no CUDA. Elsewhere the build without CUDA: from a folder that pip is configured with, else from
        PyTorch's index.
        """
        if not wants_cpu_torch():
            return []
        local = ["--no-index", "--no-deps", "--dry-run", "--ignore-installed", f"{pin('torch')}+cpu"]
        if works([str(self.python), "-m", "pip", "install", *local]):
            return ["--no-index"]
        return CPU_INDEX

    def install_torch(self) -> None:
        """Install the build without CUDA where this machine wants it and the locked torch is not there yet.

        By pip alone: uv does not look into the folders that pip is configured with.
        """
        locked = pin("torch")
        if self.installed("torch").split("+")[0] == locked:
            return
        options = self.torch_options()
        if options:
            say("this machine has no NVIDIA driver: taking the torch build without CUDA")
            wheel = (
                f" Or put a wheel of {locked}+cpu for this Python into a folder and set PIP_FIND_LINKS to it."
            )
            self.pip_install("--no-deps", *options, f"{locked}+cpu", way_out=wheel)

    def make(self, level: str) -> None:
        """Create it and install the project in it, editable, with the extra of the level."""
        if self.is_ready(level):
            return
        self.create()
        say(
            f"installing l4guide{LEVELS[level]} into {self.folder.name}; the first time this takes some minutes"
        )
        if level != "base":
            self.install_torch()
        self.install("--editable", f".{LEVELS[level]}")
        self.keep_bytecode()
        self.stamp.write_text(json.dumps({"level": level, "fingerprint": fingerprint()}), encoding="utf-8")

    def keep_bytecode(self) -> None:
        """Answer once, so that Python keeps what it compiles and the next answer does not wait for it.

        Installers do it for packages, even where the shell has PYTHONDONTWRITEBYTECODE.
        """
        variables = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        subprocess.run(
            [str(self.python), "-m", "l4guide", "advise", "--json"],
            cwd=ROOT,
            env=variables,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=False,
        )

    def other_tritons(self) -> list[str]:
        """The versions of Triton in pyproject.toml's list, without the one that the environment itself has."""
        import tomllib  # Python 3.11 has it; an older one is to read `require_python`'s line, not an ImportError

        project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
        own = (self.installed("triton") or pin("triton")).partition("==")[2]
        return [version for version in project["tool"]["l4guide"]["tritons"] if version != own]

    def provide_tritons(self) -> None:
        """Install each version of Triton that is not there yet into a folder of its own; Linux alone has them."""
        if sys.platform != "linux":
            return
        self.create()
        for version in self.other_tritons():
            if not (self.tritons / version).is_dir():
                self.provide_triton(version)

    def provide_triton(self, version: str) -> None:
        """Install one version of Triton beside the environment's own; a folder with its name is always whole."""
        self.tritons.mkdir(parents=True, exist_ok=True)
        free_bytes = shutil.disk_usage(self.tritons).free
        if free_bytes < TRITON_BYTES:
            stop(
                f"Triton {version} needs {TRITON_BYTES / 1024**3:.0f} GiB while it is installed and {self.tritons} "
                f"has {free_bytes / 1024**3:.1f} GiB: free some and run the same command again"
            )
        say(f"installing Triton {version} into {self.tritons / version}, to compile the kernels with it")
        with tempfile.TemporaryDirectory(dir=self.tritons, prefix=".") as folder:
            new = Path(folder, version)
            self.install(
                "--no-deps", "--no-compile", "--target", str(new), f"triton=={version}", locked=False
            )
            new.rename(self.tritons / version)


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


def main(arguments: list[str]) -> None:
    """Do what the words on the command line ask, in their order."""
    require_python()
    environment = Environment(ROOT / ".venv")
    parts = {"chromium": provide_chromium, "tritons": environment.provide_tritons}
    if not arguments or set(arguments) - {*LEVELS, *parts}:
        stop(f"usage: setup_environment.py {' | '.join([*LEVELS, *parts])}")
    for word in arguments:
        if word in parts:
            parts[word]()
        else:
            environment.make(word)


if __name__ == "__main__":
    main(sys.argv[1:])
