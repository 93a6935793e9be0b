"""A headless Chromium and a JupyterLab of the tests' own: no setting or file of the user is touched."""

import contextlib
import os
import runpy
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from l4guide.lab import PACKAGE, free_port

ROOT = Path(__file__).resolve().parents[2]
#: Slow machines take five times what a quick one takes; a wait that ends late still ends.
PATIENCE_S = 120
CHROMIUM_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
]
JUPYTER_FOLDERS = (
    "JUPYTER_CONFIG_DIR",
    "JUPYTER_DATA_DIR",
    "JUPYTER_RUNTIME_DIR",
    "JUPYTERLAB_SETTINGS_DIR",
    "JUPYTERLAB_WORKSPACES_DIR",
    "IPYTHONDIR",
)
#: What JupyterLab edits a selected cell with: cut, delete, insert, change the type, undo, paste, merge.
EDITING_KEYS = (
    *("x", "d", "d", "a", "b", "y", "m", "r", "1", "z", "v", "Shift+V", "Shift+M", "Delete", "Backspace"),
    *("Escape", "x", "d", "d"),
)
CELLS = """() => window.jupyterapp.shell.currentWidget.content.widgets.map(
    (cell) => [cell.model.type, cell.model.sharedModel.getSource()],
)"""
IS_IDLE = """() => {
    const widget = window.jupyterapp?.shell.currentWidget;
    return widget?.sessionContext?.session?.kernel?.status === 'idle';
}"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lab:
    """A running JupyterLab: its address, and the folder it serves, which holds a copy of `notebooks/`."""

    address: str
    folder: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """One page with all that it asked of the network and all that it wrote to its console."""

    page: Page
    requests: list[str] = field(default_factory=list)
    console: list[str] = field(default_factory=list)

    def requests_beyond(self, address: str) -> list[str]:
        """The requests that left both `address` and the page itself."""
        own = (address, address.replace("http", "ws", 1), "data:", "blob:", "file:", "about:")
        return [request for request in self.requests if not request.startswith(own)]

    def errors(self) -> list[str]:
        """What the page itself threw, or wrote to its console as an error."""
        return [line for line in self.console if line.startswith(("pageerror:", "error:"))]

    def assert_sound(self, lab: Lab) -> None:
        """Nothing went wrong on a page of widgets, nobody outside was asked, and no figure offers to be uploaded."""
        assert [] == self.page.locator(".guide-error").all_inner_texts()
        assert [] == self.errors()
        assert [] == self.requests_beyond(lab.address)
        assert [] == self.page.locator(".modebar-btn").all()

    def assert_plain_keys_stay(self, button: str, beside: str) -> None:
        """No cell changes by a key that edits cells, after a click on a button of the page and one beside it."""
        cells = self.page.evaluate(CELLS)
        for clicked in (button, beside):
            self.page.locator(clicked).first.click()
            for key in EDITING_KEYS:
                self.page.keyboard.press(key)
            assert cells == self.page.evaluate(CELLS), clicked
        assert self.page.locator(".l4g-page").is_visible()

    def open_notebook(self, lab: Lab, name: str) -> None:
        """Show a notebook of `lab` in a clean workspace and wait until its kernel is ready."""
        self.page.goto(f"{lab.address}/lab/tree/notebooks/{name}?reset")
        self.page.wait_for_function(IS_IDLE)

    def run_all_cells(self) -> None:
        """Run the open notebook; comes back when every cell is done."""
        self.page.evaluate("() => window.jupyterapp.commands.execute('notebook:run-all-cells')")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run what needs a browser last.

    Playwright keeps an event loop running until its browser closes, and widgets answer differently beside one.
    """
    items.sort(key=lambda item: item.get_closest_marker("browser") is not None)


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """The Chromium of this machine, headless."""
    path = runpy.run_path(str(ROOT / "setup_environment.py"))["find_chromium"]()
    assert path is not None, "no Chromium here: run `make test`, which finds or installs one"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, headless=True, args=CHROMIUM_FLAGS)
        yield browser
        browser.close()


def start_visit(browser: Browser, *, offline: bool) -> Visit:
    """A new page, with its own cookies and storage, whose requests and console are kept."""
    context = browser.new_context(
        viewport={"width": 1280, "height": 1000}, accept_downloads=True, offline=offline
    )
    context.set_default_timeout(PATIENCE_S * 1000)
    visit = Visit(page=context.new_page())
    visit.page.on("request", lambda request: visit.requests.append(request.url))
    visit.page.on("console", lambda message: visit.console.append(f"{message.type}: {message.text}"))
    visit.page.on("pageerror", lambda error: visit.console.append(f"pageerror: {error}"))
    return visit


@pytest.fixture
def visit(chromium: Browser) -> Iterator[Visit]:
    """A new page."""
    visit = start_visit(chromium, offline=False)
    yield visit
    visit.page.context.close()


@pytest.fixture(scope="module")
def lasting_visit(chromium: Browser) -> Iterator[Visit]:
    """A new page that the tests of one module share."""
    visit = start_visit(chromium, offline=False)
    yield visit
    visit.page.context.close()


@pytest.fixture
def offline_visit(chromium: Browser) -> Iterator[Visit]:
    """A new page that no network answers, for files opened from disk."""
    visit = start_visit(chromium, offline=True)
    yield visit
    visit.page.context.close()


def await_answer(process: subprocess.Popen[bytes], address: str, log: Path) -> None:
    """Come back when the server answers; fail with its log where it ended or took too long."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError, urllib.error.URLError):
            urllib.request.urlopen(f"{address}/api/status", timeout=2).close()
            return
        time.sleep(0.2)
    pytest.fail(f"JupyterLab did not start:\n{log.read_text(encoding='utf-8')}")


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """JupyterLab on a copy of `notebooks/`, with no token, on this machine alone."""
    folder = tmp_path_factory.mktemp("lab")
    shutil.copytree(ROOT / "notebooks", folder / "notebooks")
    settings = {name: str(tmp_path_factory.mktemp(name.lower())) for name in JUPYTER_FOLDERS}
    environment = {**os.environ, **settings, "JUPYTER_CONFIG_PATH": str(PACKAGE / "jupyter_config")}
    port = free_port(9100)
    address = f"http://127.0.0.1:{port}"
    command = [
        *(sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--expose-app-in-browser"),
        *("--ip=127.0.0.1", f"--port={port}", "--ServerApp.port_retries=0"),
        *("--IdentityProvider.token=", "--PasswordIdentityProvider.password_required=False"),
        *(f"--ServerApp.root_dir={folder}", "--LabApp.extension_manager=readonly"),
    ]
    log = folder / "jupyterlab.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, env=environment, cwd=folder, stdout=output, stderr=output, start_new_session=True
        )
        try:
            await_answer(process, address, log)
            yield Lab(address=address, folder=folder)
        finally:
            # The group that was made above: the server and its kernels.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            process.wait(timeout=PATIENCE_S)
