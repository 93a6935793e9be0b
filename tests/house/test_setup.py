"""The set-up script on machines other than this one."""

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "setup_environment.py"


@pytest.fixture
def setup(tmp_path: Path) -> ModuleType:
    """The script as a module, with an environment that is not there yet."""
    spec = importlib.util.spec_from_file_location("setup_environment", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.ENVIRONMENT = tmp_path / ".venv"  # type: ignore[attr-defined]
    module.PYTHON = tmp_path / ".venv" / "bin" / "python"  # type: ignore[attr-defined]
    module.TRITONS = tmp_path / ".venv" / "tritons"  # type: ignore[attr-defined]
    module.STAMP = tmp_path / "stamp.json"  # type: ignore[attr-defined]
    return module


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
    setup: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The CUDA build beside a driver; without one a local CPU wheel, else PyTorch's CPU index."""
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(setup, "has_nvidia_driver", lambda: driver)
    monkeypatch.setattr(setup, "works", lambda command: local)
    assert expected == setup.torch_options()[: len(expected) or None]


@pytest.mark.parametrize(
    ("installed", "expected"),
    [("", 1), ("torch==2.12.0+cpu", 1), ("torch==2.13.0+cpu", 0), ("torch==2.13.0", 0)],
)
def test_the_tested_torch_is_installed_once(
    installed: str, expected: int, setup: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A torch of another release would be replaced by the CUDA build; the tested one is left alone."""
    calls: list[tuple[str, ...]] = []
    monkeypatch.setattr(setup, "torch_pin", lambda: "torch==2.13.0")
    monkeypatch.setattr(setup, "installed_torch", lambda: installed)
    monkeypatch.setattr(setup, "torch_options", lambda: ["--no-index"])
    monkeypatch.setattr(setup, "install", lambda *arguments, way_out: calls.append(arguments))
    setup.install_torch()
    assert [("--no-deps", "--no-index", "torch==2.13.0+cpu")] * expected == calls


@pytest.mark.parametrize(
    ("expected", "made", "asked"), [(True, "dev", "all"), (True, "all", "all"), (False, "base", "all")]
)
def test_an_environment_serves_what_it_includes(
    expected: bool, made: str, asked: str, setup: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After `make test`, `make guide` installs nothing; after `make report` it does."""
    monkeypatch.setattr(setup, "works", lambda command: True)
    setup.STAMP.write_text(json.dumps({"level": made, "fingerprint": setup.fingerprint()}), encoding="utf-8")
    assert expected == setup.is_ready(asked)


def test_a_changed_dependency_list_is_noticed(setup: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """The stamp holds for the lists that it was made from."""
    monkeypatch.setattr(setup, "works", lambda command: True)
    setup.STAMP.write_text(json.dumps({"level": "dev", "fingerprint": "other"}), encoding="utf-8")
    assert not setup.is_ready("base")


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
    setup: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Debian ships Python without `ensurepip`."""
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "ensurepip" else object())
    with pytest.raises(SystemExit):
        setup.create()
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    assert f"sudo apt-get install -y python{version}-venv" in capsys.readouterr().err


def test_a_failed_install_says_what_to_do(
    setup: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The words of pip stay; ours name the ways to another network."""
    monkeypatch.setattr(setup.subprocess, "run", lambda *arguments, **options: SimpleNamespace(returncode=1))
    with pytest.raises(SystemExit) as ended:
        setup.install("something")
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
def fetched(setup: ModuleType, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What pip was asked to put into a folder; it puts one file there and takes no network."""
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(setup, "make_environment", lambda level: None)
    asked: list[str] = []

    def install(*arguments: str) -> None:
        asked.append(arguments[-1])
        Path(arguments[arguments.index("--target") + 1], "triton").mkdir(parents=True)

    monkeypatch.setattr(setup, "install", install)
    return asked


def test_every_other_triton_is_installed_once(setup: ModuleType, fetched: list[str]) -> None:
    """Each listed version but the environment's own gets a folder; a second call installs nothing."""
    setup.main(["tritons"])
    setup.main(["tritons"])
    others = setup.other_tritons()
    assert [f"triton=={version}" for version in others] == fetched
    assert "triton==3.7.1" not in fetched
    assert sorted(others) == sorted(path.name for path in setup.TRITONS.iterdir())


def test_half_a_triton_is_none(
    setup: ModuleType, fetched: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where pip stops half way, no folder has the version's name, so the next call installs it."""
    whole = setup.install

    def broken(*arguments: str) -> None:
        whole(*arguments)
        raise SystemExit(1)

    monkeypatch.setattr(setup, "install", broken)
    with pytest.raises(SystemExit):
        setup.provide_tritons()
    assert [] == list(setup.TRITONS.iterdir())


def test_a_full_disk_is_said_before_the_download(
    setup: ModuleType,
    fetched: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The line names what is needed, what is free, and where."""
    monkeypatch.setattr(setup.shutil, "disk_usage", lambda path: SimpleNamespace(free=1024**3))
    with pytest.raises(SystemExit):
        setup.provide_tritons()
    assert [] == fetched
    assert "needs 2 GiB" in capsys.readouterr().err
