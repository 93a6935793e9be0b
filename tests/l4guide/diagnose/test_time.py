"""Time grows with the length of a paste alone, and no text of any kind runs away."""

import time

import pytest

from l4guide.diagnose import diagnose

SMALL, LARGE = 500_000, 5_000_000
#: What is repeated to that length: logs, failures, beginnings of messages, and characters that patterns repeat.
UNITS = {
    "log": "INFO 11-30 12:00:00 [loggers.py:118] Engine 000: Avg prompt throughput: 123.4 tokens/s, Running: 8 reqs\n",
    "failures": "RuntimeError: CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 22 GiB\n",
    "gaps": "sageattention accuracy ",
    "digits": "123456789 ",
    "joined frames": ' File "a", line 3, in x y',
}


def seconds(text: str) -> float:
    """Processor time of one diagnosis."""
    start = time.process_time()
    diagnose(text)
    return time.process_time() - start


@pytest.mark.parametrize("name", UNITS)
def test_ten_times_the_text_takes_at_most_twelve_times_as_long(name: str) -> None:
    """5 MB against 0.5 MB."""
    unit = UNITS[name]
    diagnose(unit)  # what is compiled once is not counted
    small, large = (seconds(unit * (length // len(unit))) for length in (SMALL, LARGE))
    assert large <= 12 * max(small, 0.05)
