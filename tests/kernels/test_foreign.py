"""Kernels started as compiled for an L4, without a card: what the driver would have been handed."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import l4guide_kernels
import pytest

pytestmark = [pytest.mark.compile, pytest.mark.slow]

TRIAL = Path(__file__).with_name("foreign_trial.py")
SCRATCH = [0, 0]
#: Every kernel of the package, so that one which a trial does not start is missed.
KERNELS = {
    name
    for path in Path(l4guide_kernels.__path__[0]).glob("*.py")
    for name in re.findall(r"^def (\w+_kernel)\(", path.read_text(), re.MULTILINE)
}


def said_by(trial: str) -> list[dict[str, Any]]:
    """What a trial says, in a process that compiles."""
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    environment["PYTHONPATH"] = os.pathsep.join(entry for entry in sys.path if entry)
    command = [sys.executable, str(TRIAL), trial]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False, timeout=400)
    assert done.returncode == 0, done.stderr[-2000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture(scope="module")
def trial() -> list[dict[str, Any]]:
    """One kernel with arguments of every kind."""
    return said_by("arguments")


def test_the_driver_is_given_an_l4s_code(trial: list[dict[str, Any]]) -> None:
    """Inside the block every launch is PTX for sm_89; afterwards the card's own architecture is back."""
    summary = trial[-1]
    assert ["sm_89"] * 4 == summary["targets"]
    assert (89, 90) == (summary["inside"], summary["after"])


def test_arguments_are_what_the_code_declares(trial: list[dict[str, Any]]) -> None:
    """Read by the types that the PTX declares, the arguments are the values that were passed, in their order."""
    x, y, bias = trial[-1]["pointers"]
    plain, extended, counted = trial[:-1]
    assert [x, y, 64, 2**40, 0.5, 1, *SCRATCH] == plain["read"]
    assert [x, y, bias, 0.25, 5, 3, 8, 3, 0.5, 0, *SCRATCH] == extended["read"]
    assert [x, y, bias, 4, 8, 2.0, 0, *SCRATCH] == counted["read"]


def test_grids_and_threads_are_the_launches(trial: list[dict[str, Any]]) -> None:
    """A grid of one axis, of two, and one that depends on an argument; an empty one starts nothing."""
    sizes = [launch["sizes"] for launch in trial[:-1]]
    assert [[3, 1, 1, 64, 1, 1], [3, 2, 1, 128, 1, 1], [4, 1, 1, 128, 1, 1]] == sizes


@pytest.fixture(scope="module")
def functions() -> list[dict[str, Any]]:
    """Every kernel, behind the public functions."""
    return said_by("functions")


def test_every_launch_is_on_the_card_of_its_tensors(functions: list[dict[str, Any]]) -> None:
    """Tensors lie on the second card while the first is the current one, and stays it."""
    summary = functions[-1]
    assert {1: KERNELS} == {
        device: {one["kernel"] for one in summary["launched"] if one["device"] == device}
        for device in {one["device"] for one in summary["launched"]}
    }
    assert 0 == summary["current"]


def test_every_launch_compiles_and_declares_its_arguments(functions: list[dict[str, Any]]) -> None:
    """All kernels behind the public functions compile as they are launched, and take what they are handed."""
    *launches, summary = functions
    started = summary["launched"]
    assert len(started) == len(launches)
    assert {"sm_89"} == {one["target"] for one in started}
    assert KERNELS == {one["kernel"] for one in started}
    for one in started:
        assert one["shared_bytes"] <= 101_376, one
    by_boxes, by_pointers = summary["boxed"]
    assert by_boxes["copies"] > 0 == by_pointers["copies"]
    for one in (by_boxes, by_pointers):
        assert one["declared"] == one["taken"]
        assert 0 == one["scratch_bytes"]
