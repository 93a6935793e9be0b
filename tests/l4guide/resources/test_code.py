"""Telling a record from the code it was made with."""

import pytest
from l4guide_kernels.tiles import KERNELS

from l4guide.resources.code import digest, jit_code

SOURCE = '''
@triton.jit
def scale(x_ptr, FACTOR: tl.constexpr):
    """Doubles."""
    x = tl.load(x_ptr)
    tl.store(x_ptr, x * FACTOR)

def launch():
    return 1
'''


@pytest.mark.parametrize(
    ("old", "new", "same"),
    [
        ("Doubles", "Scales", True),
        ("x = tl.load(x_ptr)", "x = tl.load(\n        x_ptr\n    )  # once", True),
        ("return 1", "return 2", True),
        ("x * FACTOR", "FACTOR * x", False),
        ("tl.constexpr", "tl.int32", False),
    ],
)
def test_only_what_is_compiled_counts(old: str, new: str, same: bool) -> None:
    """Comments, docstrings, layout and plain functions leave the compiled code alone."""
    assert same == ([*jit_code(SOURCE)] == [*jit_code(SOURCE.replace(old, new))])


def test_every_kernel_has_code() -> None:
    """The kernels' own modules count beside the shared ones, so the digests differ."""
    assert 3 == len({digest(kernel) for kernel in KERNELS})
    assert digest("backward-dkdv") == digest("backward-dq")
