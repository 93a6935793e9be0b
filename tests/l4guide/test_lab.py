"""How JupyterLab is started, without starting it."""

import socket
from pathlib import Path

import pytest

import l4guide
from l4guide import lab
from l4guide.errors import CannotDo
from l4guide.text import LANGUAGES


def plan(notebook: Path, *, browser: bool = False, **environment: str) -> lab.LabPlan:
    """A plan on a port and with a token that tests can look for."""
    return lab.plan_lab(notebook, port=8901, browser=browser, environment=environment, token="secret")


@pytest.mark.parametrize(
    ("expected", "environment"),
    [
        (True, {}),
        (True, {"DISPLAY": ":10", "SSH_CONNECTION": "10.0.0.1 5000 10.0.0.2 22"}),
        (False, {"DISPLAY": ":0"}),
        (False, {"WAYLAND_DISPLAY": "wayland-0"}),
    ],
)
def test_a_browser_is_started_only_where_somebody_sees_it(
    expected: bool, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """No screen, or a login from another machine, means no browser."""
    monkeypatch.setattr("sys.platform", "linux")
    assert expected == lab.is_headless(environment)


def test_the_token_is_kept_off_the_command_line(tmp_path: Path) -> None:
    """Other users of the machine can read a command line, but not the environment."""
    made = plan(tmp_path / "guide.ipynb")
    assert not any("secret" in word for word in made.command)
    assert "secret" == made.variables["JUPYTER_TOKEN"]


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_remote_user_gets_the_address_and_the_ssh_line(tmp_path: Path, language: str) -> None:
    """Both lines can be copied as they are, in either language."""
    text = plan(tmp_path / "guide.ipynb").notice.say(language)
    assert "http://localhost:8901/lab/tree/guide.ipynb?token=secret" in text
    assert "ssh -N -L 8901:localhost:8901 " in text


def test_settings_of_the_user_stay_in_force(tmp_path: Path) -> None:
    """Ours are put before the user's configuration path, not in its place."""
    path = plan(tmp_path / "guide.ipynb", JUPYTER_CONFIG_PATH="/somewhere").variables["JUPYTER_CONFIG_PATH"]
    assert path.endswith(":/somewhere")
    assert (Path(path.split(":")[0]) / "labconfig" / "default_setting_overrides.json").is_file()


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package as a wheel installs it, with the notebooks inside; the working directory is another."""
    package, home = tmp_path / "site-packages" / "l4guide", tmp_path / "home"
    (package / "notebooks").mkdir(parents=True)
    (package / "notebooks" / "guide.ipynb").write_text("new", encoding="utf-8")
    home.mkdir()
    monkeypatch.setattr(lab, "PACKAGE", package)
    monkeypatch.chdir(home)
    return home


def test_an_installed_guide_is_opened_as_a_copy(installed: Path) -> None:
    """The user works on a file of their own, in a folder that names the version."""
    notebook = lab.guide_notebook()
    assert installed / f"l4guide-notebooks-{l4guide.__version__}" / "guide.ipynb" == notebook
    assert "new" == notebook.read_text(encoding="utf-8")


@pytest.mark.usefixtures("installed")
def test_a_copy_that_the_user_changed_is_kept() -> None:
    """Opening the guide a second time loses nothing."""
    lab.guide_notebook().write_text("mine", encoding="utf-8")
    assert "mine" == lab.guide_notebook().read_text(encoding="utf-8")


@pytest.mark.usefixtures("installed")
def test_the_copy_goes_elsewhere_when_nothing_can_be_written_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """A working directory of somebody else's does not stop the guide."""
    monkeypatch.setattr("os.access", lambda path, mode: False)
    notebook = lab.guide_notebook()
    assert Path.cwd() not in notebook.parents
    assert notebook.is_file()


def test_a_checkout_is_opened_in_place() -> None:
    """A developer edits the notebook itself."""
    assert Path(l4guide.__file__).parents[1] / "notebooks" / "guide.ipynb" == lab.guide_notebook()


def test_a_taken_port_is_passed_over() -> None:
    """The next free one is taken, so that the address shown is right."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert port < lab.free_port(port)
        with pytest.raises(CannotDo, match=str(port)):
            lab.free_port(port, 1)


def test_without_jupyterlab_the_install_line_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """The way out can be copied."""
    monkeypatch.setattr(lab, "find_spec", lambda name: None)
    with pytest.raises(CannotDo, match="pip install jupyterlab ipywidgets anywidget"):
        lab.open_lab()


def test_a_notebook_that_is_not_there_is_named(tmp_path: Path) -> None:
    """Nothing is started for it."""
    with pytest.raises(CannotDo, match=r"nothing\.ipynb"):
        lab.open_lab(tmp_path / "nothing.ipynb")
