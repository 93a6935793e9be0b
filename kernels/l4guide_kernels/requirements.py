"""What these kernels need installed; `installed` looks before the first of them is imported."""

import re
from collections.abc import Callable
from importlib import import_module

Version = tuple[int, ...]

#: The oldest release of each that serves.
OLDEST: dict[str, Version] = {"torch": (2, 8), "triton": (3, 4)}
#: The oldest Triton that compiles the kernels for an architecture, where that is a newer one.
OLDEST_TRITON: dict[int, Version] = {100: (3, 5), 103: (3, 6)}
_INSTALL = "pip install 'torch>=2.8' 'triton>=3.4'"
#: Interpreters of Triton before 3.7 take a number from an array of one, which numpy ends with 2.4.
_INTERPRETS_NEWER_NUMPY: Version = (3, 7)
_NEWER_NUMPY: Version = (2, 4)


class RequirementError(ImportError):
    """Something that these kernels need is missing, too old or too new; one line says what, and what to run.

    Attributes:
        name: The distribution.
        found: The version that is installed; None where there is none.
        needed: What is needed instead, such as "triton>=3.4".
        command: What to run.
    """

    def __init__(self, name: str, found: str | None, *, needed: str, command: str) -> None:
        self.found, self.needed, self.command = found, needed, command
        here = f"{name} is not installed" if found is None else f"{name} {found} is installed"
        super().__init__(f"{here}, and these kernels need {needed}: run {command}", name=name)


def require() -> None:
    """Look at what an import finds; loads torch and Triton.

    Raises:
        RequirementError: One of `OLDEST` is missing or too old, or numpy is no match for Triton's interpreter.
    """
    require_versions(_installed)
    triton = import_module("triton")
    if triton.knobs.runtime.interpret and _release(triton.__version__) < _INTERPRETS_NEWER_NUMPY:
        numpy = _installed("numpy")
        if numpy is None or _release(numpy) >= _NEWER_NUMPY:
            needed = "numpy<2.4 / triton>=3.7"
            raise RequirementError("numpy", numpy, needed=needed, command="pip install 'numpy<2.4'")


def require_versions(version_of: Callable[[str], str | None]) -> None:
    """Look at the versions that `version_of` gives for the names of `OLDEST`, None for what is missing.

    Raises:
        RequirementError: One is missing or too old.
    """
    for name, oldest in OLDEST.items():
        found = version_of(name)
        if found is None or _release(found) < oldest:
            needed = f"{name}>={'.'.join(map(str, oldest))}"
            raise RequirementError(name, found, needed=needed, command=_INSTALL)


def unserved_architectures() -> frozenset[int]:
    """Which architectures the installed Triton is too old for."""
    found = _release(import_module("triton").__version__)
    return frozenset(arch for arch, oldest in OLDEST_TRITON.items() if found < oldest)


def require_architecture(arch: int) -> None:
    """Look at whether the installed Triton compiles for an architecture of `tiles.ARCHS`.

    Raises:
        RequirementError: It is too old for that.
    """
    if arch in unserved_architectures():
        found, needed = (
            import_module("triton").__version__,
            f"triton>={'.'.join(map(str, OLDEST_TRITON[arch]))}",
        )
        raise RequirementError(
            "triton", found, needed=f"{needed} on sm_{arch}", command=f"pip install '{needed}'"
        )


def _installed(name: str) -> str | None:
    """The version of what an import finds; None where it finds nothing."""
    try:
        return str(import_module(name).__version__)
    except ModuleNotFoundError as missing:
        if missing.name != name:
            raise
        return None


def _release(version: str) -> Version:
    """Major and minor of a version such as "2.10.0a0+b4e4ee8"."""
    return tuple(int(part) for part in re.findall(r"\d+", version)[:2])
