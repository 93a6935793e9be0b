"""Telling a record from the code it was made with."""

from pathlib import Path

import pytest
from l4guide_kernels import code
from l4guide_kernels.code import device_code, digest
from l4guide_kernels.tiles import KERNELS

SOURCE = '''
ROWS = tl.constexpr(16)
LIMIT = 3

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
        ("FACTOR: tl.constexpr", "FACTOR: tl.int32", False),
        ("tl.constexpr(16)", "tl.constexpr(32)", False),
        ("LIMIT = 3", "LIMIT = 4", True),
    ],
)
def test_only_what_is_compiled_counts(old: str, new: str, same: bool) -> None:
    """Comments, docstrings, layout and plain functions leave the compiled code alone."""
    assert same == ([*device_code(SOURCE)] == [*device_code(SOURCE.replace(old, new))])


def test_every_kernel_has_code() -> None:
    """A kernel's own functions count beside the shared ones, so digests of different passes differ."""
    assert len({digest("forward"), digest("backward-dkdv"), digest("decode")}) == 3
    assert all(len(digest(kernel)) == 12 for kernel in KERNELS)


def test_what_a_kernel_calls_counts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A change two imports away changes the digest, one in a module that is not imported does not."""

    def digest_of(third: str, stranger: str = "1") -> str:
        jit = "import triton\n\n@triton.jit\ndef {name}(x):\n    return x + {value}\n"
        tmp_path.joinpath("forward.py").write_text(
            "from l4guide_kernels.second import step\n" + jit.format(name="forward_kernel", value=1)
        )
        tmp_path.joinpath("second.py").write_text("from l4guide_kernels.third import scale\n")
        tmp_path.joinpath("third.py").write_text(jit.format(name="scale", value=third))
        tmp_path.joinpath("stranger.py").write_text(jit.format(name="other", value=stranger))
        code.digest.cache_clear()
        return digest("forward")

    monkeypatch.setattr(code, "__file__", str(tmp_path / "code.py"))
    assert digest_of("1") == digest_of("1", stranger="2")
    assert digest_of("1") != digest_of("2")
    monkeypatch.undo()
    code.digest.cache_clear()
