"""Opens JupyterLab on the guide: in a browser here, or, on a remote machine, with the lines to reach it."""

import getpass
import os
import secrets
import shutil
import socket
import sys
import tempfile
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import NoReturn

import l4guide
from l4guide.errors import CannotDo
from l4guide.frozen import frozen
from l4guide.text import Sentence

PACKAGE = Path(__file__).resolve().parent
GUIDE = "guide.ipynb"
FIRST_PORT = 8888
PORTS_TRIED = 100


@frozen
class LabPlan:
    """How JupyterLab will be started: the command, the variables it adds, and what the user reads."""

    command: tuple[str, ...]
    variables: Mapping[str, str]
    notice: Sentence


def guide_notebook() -> Path:
    """The guide as a file that the user may change: the checkout's own, else a copy of the installed one.

    A copy goes into `l4guide-notebooks-<version>` in the working directory (a temporary directory where that
    is not writable). Files that are there already stay, since they may hold the user's changes.
    """
    checkout = PACKAGE.parent / "notebooks"
    if not (PACKAGE / "notebooks").is_dir() and os.access(checkout, os.W_OK):
        return checkout / GUIDE
    source = PACKAGE / "notebooks" if (PACKAGE / "notebooks").is_dir() else checkout
    parent = Path.cwd() if os.access(Path.cwd(), os.W_OK) else Path(tempfile.mkdtemp(prefix="l4guide-"))
    target = parent / f"l4guide-notebooks-{l4guide.__version__}"
    target.mkdir(exist_ok=True)
    for notebook in source.glob("*.ipynb"):
        if not (target / notebook.name).exists():
            shutil.copyfile(notebook, target / notebook.name)
    return target / GUIDE


def is_headless(environment: Mapping[str, str]) -> bool:
    """Whether a browser started here would be seen by nobody: no screen, or a login from elsewhere."""
    has_screen = sys.platform == "darwin" or "DISPLAY" in environment or "WAYLAND_DISPLAY" in environment
    return not has_screen or "SSH_CONNECTION" in environment


def free_port(first: int = FIRST_PORT, tried: int = PORTS_TRIED) -> int:
    """The first port from `first` on that nothing listens on.

    Raises:
        CannotDo: all of the `tried` ports are taken.
    """
    for port in range(first, first + tried):
        with socket.socket() as candidate:
            candidate.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                candidate.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise CannotDo("error.no_free_port", first=first, last=first + tried - 1)


def plan_lab(
    notebook: Path, *, port: int, browser: bool, environment: Mapping[str, str], token: str
) -> LabPlan:
    """The command that serves the folder of `notebook` to this machine alone, and what to tell the user."""
    folder, name = notebook.parent, notebook.name
    if folder == PACKAGE.parent / "notebooks":
        folder, name = folder.parent, f"{folder.name}/{name}"
    command = [
        *(sys.executable, "-m", "jupyterlab", "--log-level=WARN", "--LabApp.log_level=WARN"),
        *("--ServerApp.ip=127.0.0.1", f"--ServerApp.port={port}", "--ServerApp.port_retries=0"),
        *(f"--ServerApp.root_dir={folder}", f"--LabApp.default_url=/lab/tree/{name}"),
        f"--ServerApp.open_browser={browser}",
    ]
    if os.geteuid() == 0:
        command.append("--ServerApp.allow_root=True")
    config_path = [str(PACKAGE / "jupyter_config"), environment.get("JUPYTER_CONFIG_PATH", "")]
    address = f"http://localhost:{port}/lab/tree/{name}?token={token}"
    return LabPlan(
        command=tuple(command),
        # In the environment, since a command line can be read by every user of the machine.
        variables={"JUPYTER_TOKEN": token, "JUPYTER_CONFIG_PATH": os.pathsep.join(filter(None, config_path))},
        notice=Sentence("lab.local", {"address": address})
        if browser
        else Sentence("lab.remote", {"address": address, "port": port, "user": getpass.getuser()}),
    )


def open_lab(
    notebook: Path | None = None,
    *,
    port: int | None = None,
    browser: bool | None = None,
    language: str = "en",
) -> NoReturn:
    """Become a JupyterLab server that shows `notebook` (the guide, unless said).

    Args:
        notebook: the notebook to open.
        port: the port to listen on; the first free one from 8888 on, unless said.
        browser: whether to start a browser; unless said, only where somebody would see it.
        language: the language of the notice on stderr.

    Raises:
        CannotDo: JupyterLab is not installed, the notebook is not there, or the port is taken.
    """
    if find_spec("jupyterlab") is None:
        raise CannotDo("error.jupyterlab_missing", python=sys.executable)
    notebook = (notebook or guide_notebook()).resolve()
    if not notebook.is_file():
        raise CannotDo("error.notebook_missing", path=notebook)
    port = free_port() if port is None else free_port(port, 1)
    browser = not is_headless(os.environ) if browser is None else browser
    plan = plan_lab(
        notebook, port=port, browser=browser, environment=os.environ, token=secrets.token_urlsafe(24)
    )
    sys.stderr.write(plan.notice.say(language) + "\n")
    sys.stderr.flush()
    os.execve(plan.command[0], plan.command, {**os.environ, **plan.variables})
