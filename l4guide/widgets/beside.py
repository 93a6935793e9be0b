"""Work that takes seconds, done beside the page: the page goes on, and is told when it is done."""

import asyncio
import contextlib
import threading
from collections.abc import Callable

from l4guide.errors import Problem


def has_page() -> bool:
    """Whether an event loop runs here, which a page would wait for."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def do_beside(work: Callable[[], object], done: Callable[[], None]) -> None:
    """Do `work` in a thread, then call `done` on the event loop that runs here, whether it succeeded or not."""
    post = asyncio.get_running_loop().call_soon_threadsafe

    def run() -> None:
        # What is wrong with it is said where its result is used.
        with contextlib.suppress(Problem):
            work()
        with contextlib.suppress(RuntimeError):  # the page was closed
            post(done)

    threading.Thread(target=run, daemon=True).start()
