"""What a user gets who installs the wheel, and what becomes of the torch that is there."""

import json
import subprocess
import sys
import tarfile
import tomllib
import venv
import zipfile
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]
LICENCES = {"LICENSE", "NOTICE"}
TORCHES = tomllib.loads((ROOT / "tests/house/torch_releases.toml").read_text(encoding="utf-8"))["release"]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the source distribution and the wheel that is built from it."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    return folder


@pytest.fixture(scope="module")
def shipped(built: Path) -> list[str]:
    """The names in the wheel."""
    with zipfile.ZipFile(next(built.glob("*.whl"))) as wheel:
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


def test_both_distributions_carry_the_licences(built: Path, shipped: list[str]) -> None:
    """Ours, and the one of the sources that some functions follow, which asks for its own text."""
    assert LICENCES == {Path(name).name for name in shipped if ".dist-info/licenses/" in name}
    with tarfile.open(next(built.glob("*.tar.gz"))) as source:
        assert LICENCES <= {Path(name).name for name in source.getnames() if name.count("/") == 1}


def pretend(folder: Path, name: str, version: str, requires: list[str]) -> None:
    """Write what pip reads of an installed distribution, and nothing of its code."""
    place = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    place.mkdir()
    lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
    lines += [f"Requires-Dist: {requirement}" for requirement in requires]
    (place / "METADATA").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (place / "INSTALLER").write_text("pip\n", encoding="utf-8")


def oldest(requirement: Requirement) -> str:
    """The version that satisfies a requirement by as little as it says; this environment's where it says nothing."""
    stated = [specifier.version for specifier in requirement.specifier if specifier.operator != "<"]
    return stated[0] if stated else metadata.version(requirement.name)


@pytest.mark.skipif(sys.platform != "linux", reason="Triton is for Linux alone")
@pytest.mark.parametrize("torch", TORCHES, ids=lambda torch: str(torch["version"]))
def test_the_kernels_leave_the_torch_that_is_there(
    torch: dict[str, Any], built: Path, tmp_path: Path
) -> None:
    """Beside each torch and the Triton that it asks for, pip would install this project alone."""
    venv.create(tmp_path, with_pip=False)
    (site,) = tmp_path.glob("lib/python*/site-packages")
    pretend(site, "torch", torch["version"], torch["requires"])
    base = [Requirement(line) for line in metadata.requires("l4guide") or [] if "extra ==" not in line]
    for requirement in {r.name: r for r in [*map(Requirement, torch["requires"]), *base]}.values():
        pretend(site, requirement.name, oldest(requirement), [])
    (wheel,) = built.glob("*.whl")
    command = [
        sys.executable,
        "-m",
        "pip",
        "--python",
        str(tmp_path / "bin" / "python"),
        "install",
        "--quiet",
    ]
    command += [
        "--disable-pip-version-check",
        "--dry-run",
        "--no-index",
        "--report",
        "-",
        f"{wheel}[kernels]",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    assert ["l4guide"] == [item["metadata"]["name"] for item in json.loads(done.stdout)["install"]]
