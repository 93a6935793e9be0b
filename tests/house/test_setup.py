"""The set-up script on machines other than this one."""

import importlib.util
import json
import sys
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "setup_environment.py"
PYPROJECT = ROOT / "pyproject.toml"


@pytest.fixture
def setup() -> ModuleType:
    """The script as a module."""
    spec = importlib.util.spec_from_file_location("setup_environment", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def environment(setup: ModuleType, tmp_path: Path) -> Any:
    """An environment that is not there yet."""
    folder = tmp_path / ".venv"
    folder.mkdir()
    return setup.Environment(folder)


@dataclass
class Installers:
    """What pip and uv were asked, in their order; those in `broken` fail."""

    asked: list[list[str]] = field(default_factory=list)
    variables: list[dict[str, str]] = field(default_factory=list)
    broken: set[str] = field(default_factory=set)

    def run(self, command: list[str], env: dict[str, str], **options: object) -> SimpleNamespace:
        """Take the place of `subprocess.run`."""
        name = "uv" if command[0] == "/somewhere/uv" else "pip"
        self.asked.append([name, *(word for word in command[1:] if word != "--quiet")])
        self.variables.append(env)
        return SimpleNamespace(returncode=int(name in self.broken))


@pytest.fixture
def installers(setup: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Installers:
    """A machine with uv and pip that install nothing."""
    fake = Installers()
    monkeypatch.setattr(setup.subprocess, "run", fake.run)
    monkeypatch.setattr(setup.shutil, "which", lambda name: f"/somewhere/{name}")
    return fake


def test_uv_installs_where_it_is_found(environment: Any, installers: Installers) -> None:
    """It is told into which environment, and pip is not asked."""
    environment.install("--editable", ".[dev]")
    python = str(environment.python)
    assert [["uv", "pip", "install", "--python", python, "--editable", ".[dev]"]] == installers.asked


def test_pip_installs_where_no_uv_is_found(
    environment: Any, installers: Installers, setup: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same words, to the environment's own pip."""
    monkeypatch.setattr(setup.shutil, "which", lambda name: None)
    environment.install("--editable", ".[dev]")
    assert ["pip"] == [command[0] for command in installers.asked]
    assert [["install", "--editable", ".[dev]"]] == [command[-3:] for command in installers.asked]


def test_pip_is_asked_where_uv_fails(environment: Any, installers: Installers) -> None:
    """A machine may reach its packages by pip's settings alone, which uv does not read."""
    installers.broken = {"uv"}
    environment.install("--editable", ".")
    assert ["uv", "pip"] == [command[0] for command in installers.asked]


def test_both_installers_are_held_to_the_lock(environment: Any, installers: Installers) -> None:
    """What is installed and what builds it; another Triton beside the locked one is not."""
    installers.broken = {"uv"}
    environment.install("--editable", ".")
    environment.install("triton==3.6.0", locked=False)
    names = ("PIP_CONSTRAINT", "PIP_BUILD_CONSTRAINT", "UV_CONSTRAINT", "UV_BUILD_CONSTRAINT")
    held = [{variables.get(name) for name in names} for variables in installers.variables]
    assert [{"requirements.lock"}] * 2 == held[:2]
    assert "requirements.lock" not in held[2] | held[3]


def test_torch_is_never_asked_of_uv(
    environment: Any, installers: Installers, setup: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a driver pip installs the build without CUDA first, from where it is configured to look."""
    monkeypatch.setattr(setup, "wants_cpu_torch", lambda: True)
    monkeypatch.setattr(setup, "works", lambda command: True)
    monkeypatch.setattr(environment, "installed", lambda name: "")
    environment.make("all")
    torch, project, _ = installers.asked
    assert ("pip", ["--no-deps", "--no-index", f"{setup.pin('torch')}+cpu"]) == (torch[0], torch[-3:])
    assert ("uv", ".[all]") == (project[0], project[-1])


def test_the_guides_answers_need_no_torch(
    environment: Any, installers: Installers, setup: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The base level asks for the project and nothing before it, then answers once, keeping what Python compiles."""
    monkeypatch.setattr(setup, "works", lambda command: True)
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    environment.make("base")
    project, answer = installers.asked
    assert ("uv", ".") == (project[0], project[-1])
    assert ["-m", "l4guide", "advise", "--json"] == answer[1:]
    assert "PYTHONDONTWRITEBYTECODE" not in installers.variables[-1]


@pytest.mark.parametrize(
    ("expected", "platform", "driver", "local"),
    [
        ([], "linux", True, False),
        (["--no-index"], "linux", False, True),
        (["--index-url", "https://download.pytorch.org/whl/cpu"], "linux", False, False),
        ([], "darwin", False, False),
    ],
)
def test_torch_comes_from_where_it_fits_the_machine(
    expected: list[str],
    platform: str,
    driver: bool,
    local: bool,
    environment: Any,
    setup: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The CUDA build beside a driver; without one a local CPU wheel, else PyTorch's CPU index."""
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(setup, "has_nvidia_driver", lambda: driver)
    monkeypatch.setattr(setup, "works", lambda command: local)
    assert expected == environment.torch_options()[: len(expected) or None]


@pytest.mark.parametrize(
    ("installed", "expected"),
    [("", 1), ("torch==2.12.0+cpu", 1), ("torch==2.13.0+cpu", 0), ("torch==2.13.0", 0)],
)
def test_the_locked_torch_is_installed_once(
    installed: str, expected: int, environment: Any, setup: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A torch of another release would be replaced by the CUDA build; the locked one is left alone."""
    calls: list[tuple[str, ...]] = []
    monkeypatch.setattr(setup, "pin", lambda name: f"{name}==2.13.0")
    monkeypatch.setattr(environment, "installed", lambda name: installed)
    monkeypatch.setattr(environment, "torch_options", lambda: ["--no-index"])
    monkeypatch.setattr(environment, "pip_install", lambda *arguments, way_out: calls.append(arguments))
    environment.install_torch()
    assert [("--no-deps", "--no-index", "torch==2.13.0+cpu")] * expected == calls


@pytest.mark.parametrize(
    ("expected", "made", "asked"), [(True, "dev", "all"), (True, "all", "all"), (False, "base", "all")]
)
def test_an_environment_serves_what_it_includes(
    expected: bool,
    made: str,
    asked: str,
    environment: Any,
    setup: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """After `make test`, `make guide` installs nothing; after `make report` it does."""
    monkeypatch.setattr(setup, "works", lambda command: True)
    stamp = {"level": made, "fingerprint": setup.fingerprint()}
    environment.stamp.write_text(json.dumps(stamp), encoding="utf-8")
    assert expected == environment.is_ready(asked)


def test_a_changed_dependency_list_is_noticed(
    environment: Any, setup: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stamp holds for the lists that it was made from."""
    monkeypatch.setattr(setup, "works", lambda command: True)
    environment.stamp.write_text(json.dumps({"level": "dev", "fingerprint": "other"}), encoding="utf-8")
    assert not environment.is_ready("base")


def test_an_old_python_is_named_with_the_way_out(
    setup: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where no newer one is on the PATH, one line says what is needed."""
    old = SimpleNamespace(version_info=(3, 9, 2), version="3.9.2 (main)", stderr=sys.stderr, exit=sys.exit)
    monkeypatch.setattr(setup, "sys", old)
    monkeypatch.setattr(setup, "works", lambda command: False)
    with pytest.raises(SystemExit) as ended:
        setup.require_python()
    assert ended.value.code == 1
    assert "Python 3.9.2 is too old" in capsys.readouterr().err


def test_a_python_that_makes_no_environments_gets_the_package_to_install(
    environment: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Debian ships Python without `ensurepip`."""
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "ensurepip" else object())
    with pytest.raises(SystemExit):
        environment.create()
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    assert f"sudo apt-get install -y python{version}-venv" in capsys.readouterr().err


def test_a_failed_install_says_what_to_do(
    environment: Any, installers: Installers, capsys: pytest.CaptureFixture[str]
) -> None:
    """The words of the installers stay; ours name the ways to another network."""
    installers.broken = {"uv", "pip"}
    with pytest.raises(SystemExit) as ended:
        environment.install("something")
    assert ended.value.code == 1
    assert "PIP_INDEX_URL" in capsys.readouterr().err


def test_without_a_browser_the_one_command_is_said(
    setup: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A user who is not root gets a line to copy."""
    monkeypatch.setattr(setup, "works", lambda command: False)
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(SystemExit):
        setup.provide_chromium()
    assert "sudo apt-get install" in capsys.readouterr().err


def test_a_named_browser_comes_first(
    setup: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """L4GUIDE_CHROMIUM is taken before what is on the PATH."""
    browser = tmp_path / "browser"
    browser.write_text("#!/bin/sh\n", encoding="utf-8")
    browser.chmod(0o755)
    monkeypatch.setenv("L4GUIDE_CHROMIUM", str(browser))
    assert str(browser) == setup.find_chromium()


@pytest.fixture
def fetched(environment: Any, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was to be put into a folder; one file is put there and no network taken."""
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(environment, "create", lambda: None)
    monkeypatch.setattr(environment, "installed", lambda name: "")
    asked: list[str] = []

    def install(*arguments: str, locked: bool) -> None:
        asked.append(arguments[-1])
        Path(arguments[arguments.index("--target") + 1], "triton").mkdir(parents=True)

    monkeypatch.setattr(environment, "install", install)
    return asked


@pytest.mark.parametrize("own", ["", "triton==3.8.0"])
def test_every_other_triton_is_installed_once(
    own: str, environment: Any, setup: ModuleType, fetched: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each listed version but the environment's own gets a folder; a second call installs nothing."""
    monkeypatch.setattr(environment, "installed", lambda name: own)
    environment.provide_tritons()
    environment.provide_tritons()
    listed = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["tool"]["l4guide"]["tritons"]
    others = {f"triton=={version}" for version in listed} - {own or setup.pin("triton")}
    assert len(listed) == len(others) + 1
    assert sorted(others) == sorted(fetched)
    assert sorted(others) == sorted(f"triton=={path.name}" for path in environment.tritons.iterdir())


def test_half_a_triton_is_none(environment: Any, fetched: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the installer stops half way, no folder has the version's name, so the next call installs it."""
    whole = environment.install

    def broken(*arguments: str, locked: bool) -> None:
        whole(*arguments, locked=locked)
        raise SystemExit(1)

    monkeypatch.setattr(environment, "install", broken)
    with pytest.raises(SystemExit):
        environment.provide_tritons()
    assert [] == list(environment.tritons.iterdir())


def test_a_full_disk_is_said_before_the_download(
    environment: Any,
    setup: ModuleType,
    fetched: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The line names what is needed, what is free, and where."""
    monkeypatch.setattr(setup.shutil, "disk_usage", lambda path: SimpleNamespace(free=1024**3))
    with pytest.raises(SystemExit):
        environment.provide_tritons()
    assert [] == fetched
    assert "needs 2 GiB" in capsys.readouterr().err
