"""Our Triton kernels on this machine: loaded, or the reason why not as a sentence."""

from collections.abc import Callable

from l4guide.errors import CannotDo


def load_kernels() -> None:
    """Load what launches the kernels. TRITON_INTERPRET must be set before: Triton reads it once.

    Raises:
        CannotDo: torch or Triton is missing or too old, or cannot be loaded.
    """
    from l4guide_kernels import RequirementError

    try:
        import l4guide_kernels.installed
        import l4guide_kernels.launch  # noqa: F401 - finds out now whether it can be loaded
    except RequirementError as requirement:
        raise unmet(requirement.needed, requirement.found, requirement.command) from requirement
    except ImportError as problem:
        raise CannotDo("error.live_no_kernels", reason=str(problem)) from problem


def check_versions(version_of: Callable[[str], str | None]) -> None:
    """Hold installed versions, None for what is not installed, against what the kernels need; loads nothing.

    Raises:
        CannotDo: torch or Triton is missing or too old.
    """
    from l4guide_kernels.requirements import RequirementError, require_versions

    try:
        require_versions(version_of)
    except RequirementError as requirement:
        raise unmet(requirement.needed, requirement.found, requirement.command) from requirement


def unmet(needed: str, found: str | None, command: str) -> CannotDo:
    """What our kernels need and this machine lacks; arguments as of `RequirementError`."""
    if found is None:
        return CannotDo("error.kernels_lack", needed=needed, command=command)
    return CannotDo("error.kernels_need", needed=needed, found=found, command=command)
