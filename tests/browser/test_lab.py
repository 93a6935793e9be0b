"""`l4guide lab` as a user meets it: the lines it writes lead to the open guide, and nothing else pops up."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.browser.conftest import Visit

PATIENCE_S = 120


@pytest.fixture
def notice(tmp_path: Path) -> Iterator[list[str]]:
    """The lines that a guide started on a machine without a screen writes, as long as its server runs."""
    notebook = tmp_path / "some.ipynb"
    notebook.write_text('{"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}', encoding="utf-8")
    program = f"from pathlib import Path; from l4guide.lab import open_lab; open_lab(Path({str(notebook)!r}))"
    hidden = ("DISPLAY", "WAYLAND_DISPLAY", "JUPYTER_CONFIG_PATH")
    environment = {key: value for key, value in os.environ.items() if key not in hidden} | {
        "HOME": str(tmp_path)
    }
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        env=environment,
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stderr is not None
    watchdog = threading.Timer(PATIENCE_S, process.kill)
    watchdog.start()
    try:
        lines = []
        for line in process.stderr:
            lines.append(line)
            if "?token=" in line:
                break
        yield lines
    finally:
        watchdog.cancel()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        process.stderr.close()
        process.wait(timeout=PATIENCE_S)


def wait_until_served(address: str) -> str:
    """The address, once a server answers at it."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            urllib.request.urlopen(address, timeout=5).close()
            return address
        time.sleep(0.2)
    pytest.fail(f"nothing answers at {address}")


@pytest.mark.browser
def test_the_lines_for_a_remote_machine_lead_to_the_notebook(notice: list[str], visit: Visit) -> None:
    """The ssh line forwards the port of the address, and the address with its token opens the notebook."""
    text = "".join(notice)
    address = re.search(r"http://localhost:(\d+)/\S+", text)
    assert address is not None, text
    port = address.group(1)
    assert f"ssh -N -L {port}:localhost:{port} " in text
    visit.page.goto(wait_until_served(address.group(0)))
    visit.page.get_by_role("tab", name="some.ipynb").wait_for()
    visit.page.wait_for_timeout(3000)
    assert visit.page.get_by_text("official Jupyter news").count() == 0
    assert visit.requests_beyond(f"http://localhost:{port}") == []
