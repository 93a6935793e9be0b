"""The tests with the newest of everything that pyproject.toml allows, in `.venv-newest`, and what broke which test.

    make newest
    make newest TESTS="tests/kernels/test_huggingface.py"

The environment that `make test` uses has what is locked; a test that fails here is run again with its releases put
back to those, half of what is left at a time, until one remains. Exit code 1 where a test fails.
"""

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from importlib import metadata

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from setup_environment import ROOT, Environment, say, stop
from tests.ranges.culprits import Group, Verdict, culprits, groups
from tests.ranges.installing import install_torch, resolve

FOLDER = ROOT / ".venv-newest"
CACHE = FOLDER / "pytest-cache"
FAILED = CACHE / "v" / "cache" / "lastfailed"
#: Tests that hold the environment to the lock, which this one is not from.
OPTIONS = ["-o", f"cache_dir={CACHE}", "--ignore=tests/house/test_lock.py"]
AGAIN = ["--quiet", "--tb=no", "--last-failed", "--last-failed-no-failures=none"]
#: The chores of the Makefile that run a part of the suite; a test is in the first whose folder it lies in.
PARTS = {"tests/kernels": "suite-kernels", "tests/browser": "suite-browser", "tests": "suite-guide"}
#: Not put back: this project, and what installs.
FIXED = {"l4guide", "pip", "uv"}


def installed(folders: list[str]) -> dict[str, metadata.Distribution]:
    """The distributions in some folders, by name."""
    found = {canonicalize_name(item.name): item for item in metadata.distributions(path=folders)}
    return {name: item for name, item in sorted(found.items()) if name not in FIXED}


def tell_moves(newest: Mapping[str, str], locked: Mapping[str, str]) -> None:
    """Say what is newer than the lock, and what this machine does not let be the newest."""
    moved = [f"{name} {locked[name]} -> {newest[name]}" for name in newest if differs(name, newest, locked)]
    say(f"newer than locked: {', '.join(moved) or 'nothing'}")
    try:
        allowed = resolve("--upgrade")
    except LookupError as fault:
        say(f"whether anything is newer still is not known: {fault}")
        return
    held = [
        f"{name} {newest[name]} (newest: {allowed[name]})"
        for name in newest
        if differs(name, newest, allowed)
    ]
    if held:
        say(f"older than the newest, since this machine gives no other: {', '.join(held)}")


def differs(name: str, some: Mapping[str, str], others: Mapping[str, str]) -> bool:
    """Whether both have a distribution, and not in the same version; torch's build after the plus is none."""
    return name in others and some[name].split("+")[0] != others[name].split("+")[0]


def part_of(test: str) -> str:
    """The folder in `PARTS` that a test or a path lies in."""
    return next((folder for folder in PARTS if f"{test}/".startswith(f"{folder}/")), "tests")


def run(command: Sequence[str], *options: str, tests: frozenset[str] = frozenset()) -> frozenset[str]:
    """Run tests; those that failed, and those of `tests` that did not pass, by the memory that pytest keeps of both."""
    FAILED.parent.mkdir(parents=True, exist_ok=True)
    FAILED.write_text(json.dumps(dict.fromkeys(sorted(tests), True)), encoding="utf-8")
    variables = {**os.environ, "PYTEST_ADDOPTS": shlex.join([*OPTIONS, *options])}
    code = subprocess.run(command, cwd=ROOT, env=variables, check=False).returncode
    failed = frozenset(json.loads(FAILED.read_text(encoding="utf-8"))) if FAILED.exists() else frozenset()
    if code and not failed:
        stop("the tests could not be run; the reason is above")
    return failed


def suite(folders: Iterable[str]) -> list[str]:
    """The command that runs some parts of the suite here."""
    here = f"BIN={FOLDER.relative_to(ROOT) / 'bin'}"
    return ["make", "--keep-going", "--no-print-directory", here, *(PARTS[folder] for folder in folders)]


def first(paths: list[str]) -> frozenset[str]:
    """The tests that fail in some files and folders, or in all: each part by itself, as `make test` has it."""
    if not paths:
        return run(suite(PARTS))
    pytest = [str(FOLDER / "bin" / "pytest"), "-n", "auto", "--maxprocesses", "8"]
    asked = [[path for path in paths if part == part_of(path)] for part in PARTS]
    return frozenset().union(*(run([*pytest, *some]) for some in asked if some))


def rerun(tests: frozenset[str]) -> frozenset[str]:
    """Those of some tests that fail once more."""
    return run(suite(sorted({part_of(test) for test in tests})), *AGAIN, tests=tests) & tests


class Newest:
    """The environment with the newest releases, some of which may be put back to the locked ones."""

    def __init__(
        self,
        environment: Environment,
        *,
        newest: Mapping[str, str],
        locked: Mapping[str, str],
        moved: Sequence[Group],
    ) -> None:
        """Take an environment that has `newest`; `locked` are the versions elsewhere, `moved` what may be put back."""
        self.environment, self.newest, self.locked, self.moved = environment, newest, locked, moved
        self._there = newest

    def put_back(self, count: int) -> None:
        """Have the first so many groups as locked, and the rest as new as they are."""
        wanted = dict(self.newest)
        if count:
            wanted |= {name: version for name, version in self.locked.items() if name not in self.newest}
        wanted |= {name: self.locked[name] for group in self.moved[:count] for name in group}
        changes = [f"{name}=={wanted[name]}" for name in wanted if wanted[name] != self._there.get(name)]
        builds = [change for change in changes if change.endswith("+cpu")]
        for some, options in ((builds, self.environment.torch_options()), (set(changes) - set(builds), [])):
            if some:
                self.environment.pip_install("--no-deps", *options, *sorted(some), locked=False)
        self._there = wanted

    def fails(self, count: int, tests: frozenset[str]) -> frozenset[str]:
        """Those of some tests that fail with the first so many groups put back."""
        self.put_back(count)
        return rerun(tests)


def make() -> Newest:
    """Make the environment, or bring it up to date."""
    environment = Environment(FOLDER)
    environment.create()
    install_torch(environment)
    eagerly = ["--upgrade", "--upgrade-strategy", "eager"]
    environment.pip_install(*eagerly, "--editable", ".[dev]", locked=False)
    (folder,) = FOLDER.glob("lib/python*/site-packages")
    found = installed([str(folder)])
    newest = {name: item.version for name, item in found.items()}
    locked = {name: item.version for name, item in installed(sys.path).items()}
    requires = {name: [Requirement(line) for line in item.requires or []] for name, item in found.items()}
    moved = groups([name for name in newest if differs(name, newest, locked)], requires)
    return Newest(environment, newest=newest, locked=locked, moved=moved)


def tell(verdict: Verdict, newest: Newest) -> None:
    """Say of each test that failed what broke it."""
    for group, tests in verdict.broken.items():
        releases = ", ".join(f"{name} {newest.locked[name]} -> {newest.newest[name]}" for name in group)
        say("\n  ".join([f"{releases} breaks {len(tests)}:", *sorted(tests)]))
    for tests, what in (
        (verdict.unmended, "with the locked releases too"),
        (verdict.passing, "at first, and not again"),
    ):
        if tests:
            say("\n  ".join([f"{len(tests)} failed {what}:", *sorted(tests)]))


def main(paths: list[str]) -> int:
    """Make the environment, run the tests, name the culprits; 1 where a test failed."""
    newest = make()
    tell_moves(newest.newest, newest.locked)
    if not paths:
        newest.environment.provide_tritons()
    failed = first(paths)
    if failed:
        verdict = culprits(failed, newest.moved, newest.fails)
        newest.put_back(0)
        tell(verdict, newest)
    else:
        say("every test passes with the newest releases")
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
