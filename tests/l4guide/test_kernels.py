"""A Triton or torch that our kernels do not run with, or none, as the guide says it."""

import json
from pathlib import Path

import pytest
from other_versions import run_beside

from l4guide.errors import CannotDo
from l4guide.kernels import check_versions

OLD: dict[str, str | None] = {"triton": "3.2.0"}
NEED = "our kernels need triton>=3.4, and 3.2.0 is installed; run: pip install 'torch>=2.8' 'triton>=3.4'"
LIVE = {"kind": "live", "workload": {"head_dim": 128}}


def test_compiling_names_the_version_and_not_the_tile(tmp_path: Path) -> None:
    """A compiler that is too old refuses no tile."""
    question = ("resources", "--gpu", "L4", "--head-dim", "128", "--compile")
    done = run_beside(tmp_path, OLD, "-m", "l4guide", *question)
    assert (1, "", f"l4guide: {NEED}\n") == (done.returncode, done.stdout, done.stderr)


def test_measuring_names_the_version(tmp_path: Path) -> None:
    """Without a traceback, and without a record."""
    done = run_beside(
        tmp_path, OLD, "-m", "l4guide", "measure", "--quick", "--out", str(tmp_path / "run.json")
    )
    assert 1 == done.returncode
    assert done.stderr.endswith(f"{NEED}\n")
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "run.json").exists()


@pytest.mark.parametrize("kind", ["live", "limit", "trace"])
def test_every_run_of_the_guide_names_it(kind: str, tmp_path: Path) -> None:
    """Live runs, limits and traces end in the sentence, without a traceback beside it."""
    asked = ("-m", "l4guide.measure.worker", "--json", json.dumps({**LIVE, "kind": kind}))
    done = run_beside(tmp_path, OLD, *asked)
    last = json.loads(done.stdout.splitlines()[-1])
    assert (1, NEED, "") == (done.returncode, CannotDo(last["key"], **last["values"]).say(), last["detail"])


@pytest.mark.parametrize("name", ["torch", "triton"])
def test_what_is_missing_is_named(name: str, tmp_path: Path) -> None:
    """Torch is asked for a card before the kernels are loaded, Triton is not."""
    asked = ("-m", "l4guide.measure.worker", "--json", json.dumps(LIVE))
    done = run_beside(tmp_path, {name: None}, *asked)
    last = json.loads(done.stdout.splitlines()[-1])
    needed = {"torch": "torch>=2.8", "triton": "triton>=3.4"}[name]
    assert ("error.kernels_lack", needed) == (last["key"], last["values"]["needed"])


def test_versions_are_held_against_what_is_needed() -> None:
    """By their metadata, without an import: both languages name value, limit and way out."""
    check_versions({"torch": "2.8.0", "triton": "3.4.0"}.get)
    with pytest.raises(CannotDo) as refused:
        check_versions({"torch": "2.7.1", "triton": "3.3.1"}.get)
    for language in ("en", "zh"):
        assert all(part in refused.value.say(language) for part in ("2.7.1", "torch>=2.8", "pip install"))
