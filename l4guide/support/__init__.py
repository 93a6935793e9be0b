"""Which library runs which question on which card, from which version, and why not; the rules are data."""

from l4guide.support.calls import snippet
from l4guide.support.judge import check, history, runs
from l4guide.support.releases import (
    distribution,
    find_library,
    find_release,
    install_line,
    is_newer,
    libraries,
    newest_read,
    releases,
)
from l4guide.support.rulebook import Release
from l4guide.support.verdict import Reason, Verdict

__all__ = [
    "Reason",
    "Release",
    "Verdict",
    "check",
    "distribution",
    "find_library",
    "find_release",
    "history",
    "install_line",
    "is_newer",
    "libraries",
    "newest_read",
    "releases",
    "runs",
    "snippet",
]
