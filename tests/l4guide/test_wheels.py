"""Which published build of flash-attn fits, and when none does."""

import re

import pytest

from l4guide.support import find_release
from l4guide.wheels import builds, fitting_wheel, is_listed, newest_wheel


@pytest.mark.parametrize(
    ("version", "python", "torch", "cuda", "new_abi", "machine", "name"),
    [
        (
            "2.8.3",
            "3.12.4",
            "2.8.0+cu128",
            "12.8",
            True,
            "x86_64",
            "flash_attn-2.8.3+cu12torch2.8cxx11abiTRUE-cp312-cp312-linux_x86_64.whl",
        ),
        (
            "2.8.3",
            "3.11",
            "2.6.0",
            "12.4",
            False,
            "x86_64",
            "flash_attn-2.8.3+cu12torch2.6cxx11abiFALSE-cp311-cp311-linux_x86_64.whl",
        ),
        (
            "2.8.1",
            "3.12",
            "2.10.0",
            "12.8",
            True,
            "aarch64",
            "flash_attn-2.8.1+cu12torch2.10cxx11abiTRUE-cp312-cp312-linux_aarch64.whl",
        ),
        (
            "2.7.4.post1",
            "3.10",
            "2.7.1",
            "12.6",
            True,
            "x86_64",
            "flash_attn-2.7.4.post1+cu12torch2.7cxx11abiTRUE-cp310-cp310-linux_x86_64.whl",
        ),
    ],
)
def test_the_build_that_fits_is_named(
    version: str, python: str, torch: str, cuda: str, new_abi: bool, machine: str, name: str
) -> None:
    """Patch releases of Python, torch and CUDA do not matter; ABI and machine do; the address is the release's."""
    wheel = fitting_wheel(version, python, torch, cuda, new_abi=new_abi, machine=machine)
    assert wheel is not None
    assert name == wheel.name
    assert wheel.url.endswith(f"/v{version}/{name.replace('+', '%2B')}")
    assert f'pip install "{wheel.url}"' == wheel.install


@pytest.mark.parametrize(
    ("version", "python", "torch", "cuda"),
    [
        ("2.8.3", "3.13", "2.9.1", "12.8"),
        ("2.8.3", "3.12", "2.10.0", "12.8"),
        ("2.8.3", "3.12", "2.8.0", "13.0"),
        ("2.8.3", "3.14", "2.8.0", "12.8"),
        ("2.8.3.post2", "3.12", "2.8.0", "12.8"),
        ("1.0.9", "3.10", "2.0.1", "11.8"),
        ("nonsense", "3.12", "2.8.0", "12.8"),
    ],
)
def test_no_build_is_made_up(version: str, python: str, torch: str, cuda: str) -> None:
    """What was not published, or what nobody looked up, is None."""
    assert fitting_wheel(version, python, torch, cuda) is None


@pytest.mark.parametrize(
    ("version", "listed"), [("2.8.3", True), ("2.8.1", True), ("2.7.3", False), ("2.8.3.post2", False)]
)
def test_a_missing_build_proves_something_only_where_the_list_is_whole(version: str, listed: bool) -> None:
    """2.7.3's list holds what was added later; nobody listed 2.8.3.post2."""
    assert listed == is_listed(version)


def test_the_newest_build_may_be_of_an_older_release() -> None:
    """For torch 2.10 the last release with a build is 2.8.1; for torch 2.13 there is none."""
    wheel = newest_wheel("3.12", "2.10.0", "12.8")
    assert wheel is not None
    assert "2.8.1" == wheel.version
    assert newest_wheel("3.12", "2.13.0", "13.0") is None


@pytest.mark.parametrize("build", builds(), ids=lambda b: f"{b.version}-cu{b.cuda}-{b.torch}-{b.machine}")
def test_every_build_is_of_a_known_release(build: object) -> None:
    """Its release is one that the rules know, and its cells have the form that a file name needs."""
    found = {name: getattr(build, name) for name in ("version", "torch", "pythons", "abis", "machine")}
    assert found["version"] == find_release("flash-attn", found["version"]).version
    assert re.fullmatch(r"\d\.\d+", found["torch"])
    assert all(re.fullmatch(r"3\.\d+", python) for python in found["pythons"])
    assert {"TRUE", "FALSE"} >= set(found["abis"])
    assert found["machine"] in ("x86_64", "aarch64")
