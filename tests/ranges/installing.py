"""Environments at either end of what pyproject.toml allows."""

import subprocess
import sys

from setup_environment import CPU_INDEX, ROOT, Environment, say, wants_cpu_torch, works


def resolve(*options: str) -> dict[str, str]:
    """The version of everything that the tests need on this Python, by what the registries say now.

    Raises:
        LookupError: No versions were found; why is on stderr.
    """
    command = [sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--no-header", "--no-annotate"]
    command += ["--python", sys.executable, "--extra", "dev", *options, "pyproject.toml"]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise LookupError("uv found no versions that go together, or no registry")
    return dict(line.split("==") for line in done.stdout.split())


def install_torch(environment: Environment, *, version: str | None = None) -> None:
    """Install a torch, or the newest, and what it needs: without CUDA where no driver is, if PyTorch's index answers.

    PyPI's build for Linux has no such variant; taken from there it brings gigabytes.
    """
    wanted = f"torch=={version}" if version else "torch"
    without_cuda = f"{wanted}+cpu" if version else wanted
    pip = [str(environment.python), "-m", "pip", "install", "--upgrade"]
    if wants_cpu_torch() and not works([*pip, "--no-deps", *CPU_INDEX, without_cuda]):
        say("PyTorch's index of builds without CUDA does not answer: taking PyPI's build, gigabytes of it")
    environment.pip_install("--upgrade", wanted, locked=False)
