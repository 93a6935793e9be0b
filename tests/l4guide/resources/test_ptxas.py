"""Reading the compiler's log."""

from pathlib import Path

import pytest

from l4guide.resources.ptxas import Overheard, read_log

LOG = """ptxas info    : 0 bytes gmem
ptxas info    : Compiling entry function 'dkdv' for 'sm_89'
ptxas info    : Function properties for dkdv
    704 bytes stack frame, 1176 bytes spill stores, 1036 bytes spill loads
ptxas info    : Used 255 registers, used 1 barriers, 704 bytes cumulative stack size, 528 bytes cmem[0]
ptxas info    : Compile time = 812.500 ms
"""


def test_spill_bytes_are_stores_plus_loads() -> None:
    """The stack frame is not counted as spill: it is reported beside it."""
    usage = read_log(LOG)
    assert (255, 1176 + 1036, 704) == (usage.registers, usage.spill_bytes, usage.stack_bytes)


def test_the_most_demanding_function_counts() -> None:
    """A helper compiled into the same module does not hide the kernel."""
    usage = read_log(
        LOG + "    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads\nUsed 20 registers\n"
    )
    assert (255, 2212) == (usage.registers, usage.spill_bytes)


@pytest.mark.parametrize("log", ["", "ptxas fatal : Unresolved extern function", LOG[:200]])
def test_a_log_without_figures_is_not_read_as_zero(log: str) -> None:
    """Nothing reported is a failure, never zero registers."""
    with pytest.raises(ValueError, match="reports no function"):
        read_log(log)


def test_a_log_is_heard_when_it_is_removed(tmp_path: Path) -> None:
    """Triton deletes the log unread; what it said is kept, and given out once."""
    heard = Overheard()
    log, other = tmp_path / "triton.log", tmp_path / "triton.ptx"
    log.write_text(LOG)
    other.write_text("not a log")
    log.unlink()
    other.unlink()
    assert 255 == heard.take().registers
    with pytest.raises(ValueError, match="reports no function"):
        heard.take()
