"""What a user gets who installs the wheel."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The names in the wheel that is built from the source distribution."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    with zipfile.ZipFile(next(folder.glob("*.whl"))) as wheel:
        return wheel.namelist()


def test_the_wheel_installs_two_names_of_ours(shipped: list[str]) -> None:
    """No generic name such as `kernels` or `data`, which would overwrite somebody else's."""
    names = {name.split("/")[0] for name in shipped}
    assert {"l4guide", "l4guide_kernels"} == {name for name in names if not name.endswith(".dist-info")}


@pytest.mark.parametrize(
    "name",
    [
        "l4guide/data/gpus.csv",
        "l4guide/data/sources.csv",
        "l4guide/notebooks/guide.ipynb",
        "l4guide/jupyter_config/labconfig/default_setting_overrides.json",
        "l4guide/text/en.toml",
        "l4guide/text/zh.toml",
        "l4guide/py.typed",
        "l4guide_kernels/py.typed",
    ],
)
def test_the_wheel_is_complete(shipped: list[str], name: str) -> None:
    """Facts, sentences, the guide and the types work after a plain install."""
    assert name in shipped


def test_the_wheel_ships_every_file_of_the_packages(shipped: list[str]) -> None:
    """A template, script or style sheet that git knows is not lost on the way."""
    tracked = subprocess.run(
        ["git", "ls-files", "l4guide", "kernels/l4guide_kernels"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert [] == [name for name in tracked if name.removeprefix("kernels/") not in shipped]
