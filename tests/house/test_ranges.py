"""`make newest` names the release that breaks a test; no release is installed here."""

from collections.abc import Mapping
from typing import Any

from packaging.requirements import Requirement

from tests.ranges.culprits import Fails, Group, culprits, groups
from tests.ranges.newest import Newest, part_of

MOVED: list[Group] = [("a",), ("b",), ("c",), ("d",)]
A, B, C, D = MOVED


def broken_by(causes: Mapping[str, set[Group]]) -> Fails:
    """Tests that fail until all their causes are put back; without any they fail no more."""
    return lambda count, tests: frozenset(test for test in tests if causes[test] - set(MOVED[:count]))


def test_each_test_gets_its_own_culprit() -> None:
    """Two releases that break different tests are told apart, each with all its tests."""
    causes = {"one": {B}, "two": {D}, "three": {B}}
    verdict = culprits(frozenset(causes), MOVED, broken_by(causes))
    assert {B: {"one", "three"}, D: {"two"}} == verdict.broken
    assert set() == verdict.unmended | verdict.passing


def test_the_last_of_two_culprits_is_named() -> None:
    """Where one release back is not enough, the one that completes it is named."""
    assert {C: {"one"}} == culprits(frozenset({"one"}), MOVED, broken_by({"one": {A, C}})).broken


def test_what_no_release_broke_is_not_blamed_on_one() -> None:
    """A test that fails with the locked releases too, and one that failed once only, have no culprit."""
    causes: dict[str, set[Group]] = {"always": {("never put back",)}, "once": set(), "one": {A}}
    verdict = culprits(frozenset(causes), MOVED, broken_by(causes))
    assert {A: {"one"}} == verdict.broken
    assert {"always"} == verdict.unmended
    assert {"once"} == verdict.passing


def test_few_runs_are_needed() -> None:
    """A hundred releases take no more runs for one culprit than they can be halved, and two to begin with."""
    moved = [(f"{number:03}",) for number in range(128)]
    runs: list[int] = []

    def fails(count: int, tests: frozenset[str]) -> frozenset[str]:
        runs.append(count)
        return tests if count <= 77 else frozenset()

    assert {("077",): {"one"}} == culprits(frozenset({"one"}), moved, fails).broken
    assert len(runs) <= 2 + 7


def test_nothing_is_run_where_nothing_moved() -> None:
    """With the locked releases alone a failure is nobody's but ours."""
    verdict = culprits(frozenset({"one"}), [], lambda count, tests: tests)
    assert {"one"} == verdict.unmended
    assert 0 == len(verdict.broken)


def test_who_needs_another_is_put_back_before_it() -> None:
    """A newer transformers wants a newer hub; put back in the other order, the hub's own return would break it."""
    requires = {"hub": [Requirement("tqdm")], "transformers": [Requirement("hub>=2"), Requirement("tqdm>=4")]}
    assert [("transformers",), ("hub",), ("tqdm",)] == groups(["hub", "tqdm", "transformers"], requires)


def test_exact_needs_are_put_back_together() -> None:
    """Each pydantic runs with one version of its core; who needs each other in a circle has some order."""
    requires = {
        "pydantic": [Requirement("pydantic-core==2.50.5"), Requirement("typing-extensions>=4")],
        "circle": [Requirement("round")],
        "round": [Requirement("circle")],
    }
    moved = ["circle", "pydantic", "pydantic-core", "round"]
    found = groups(moved, requires)
    assert ("pydantic", "pydantic-core") in found
    assert sorted(moved) == sorted(name for group in found for name in group)


class Installs:
    """An environment that notes what it is told to install."""

    def __init__(self) -> None:
        """Nothing was asked yet."""
        self.asked: list[tuple[str, ...]] = []

    def torch_options(self) -> list[str]:
        """Where the build without CUDA would come from."""
        return ["--no-index"]

    def pip_install(self, *arguments: str, locked: bool) -> None:
        """Note it; the lock would not let the newest in again."""
        assert not locked
        self.asked.append(arguments)


def test_only_what_changes_is_installed() -> None:
    """Each release goes back alone, torch from where its build is, and everything is as new as before in the end."""
    environment: Any = Installs()
    newest = {"plotly": "7.1.0", "torch": "2.14.1", "jinja2": "3.1.6"}
    locked = {"plotly": "7.0.0", "torch": "2.13.0+cpu", "jinja2": "3.1.6", "needed-of-old": "1.0"}
    trial = Newest(environment, newest=newest, locked=locked, moved=[("plotly",), ("torch",)])
    for count in (0, 1, 2, 0):
        trial.put_back(count)
    assert [
        ("--no-deps", "needed-of-old==1.0", "plotly==7.0.0"),
        ("--no-deps", "--no-index", "torch==2.13.0+cpu"),
        ("--no-deps", "plotly==7.1.0", "torch==2.14.1"),
    ] == environment.asked


def test_every_test_is_in_a_part_of_the_suite() -> None:
    """The interpreter's tests and the browser's have processes of their own."""
    assert "tests/kernels" == part_of("tests/kernels/test_interface.py::test_x[tests/browser]")
    assert "tests/browser" == part_of("tests/browser")
    assert "tests" == part_of("tests/l4guide/test_cli.py")
