"""What these kernels need installed, looked at before the first of them is imported.

An older Triton would fail half way through a kernel's module, in words that name no version and no way out.
"""

import re
from importlib import import_module

#: The oldest release of each that serves.
OLDEST = {"torch": (2, 8), "triton": (3, 4)}
INSTALL = "pip install 'torch>=2.8' 'triton>=3.4' (Triton is for Linux)"


class RequirementError(ImportError):
    """torch or Triton is missing or too old.

    Attributes:
        name: "torch" or "triton".
        found: The version that is installed; None where there is none.
        oldest: The oldest version that serves.
    """

    def __init__(self, name: str, found: str | None, oldest: str) -> None:
        self.found, self.oldest = found, oldest
        installed = "not installed" if found is None else f"{found}, which is too old"
        super().__init__(
            f"{name} is {installed}: these kernels need {oldest} or newer. Run: {INSTALL}", name=name
        )


def require() -> None:
    """Look at what is installed.

    Raises:
        RequirementError: One of `OLDEST` is missing or too old; one line.
    """
    for name, oldest in OLDEST.items():
        needed = ".".join(map(str, oldest))
        try:
            found = str(import_module(name).__version__)
        except ModuleNotFoundError as missing:
            if missing.name != name:
                raise
            raise RequirementError(name, None, needed) from None
        if _release(found) < oldest:
            raise RequirementError(name, found, needed)


def _release(version: str) -> tuple[int, ...]:
    """Major and minor of a version such as "2.10.0a0+b4e4ee8"."""
    return tuple(int(part) for part in re.findall(r"\d+", version)[:2])


require()
