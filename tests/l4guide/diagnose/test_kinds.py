"""Whole pastes -> their kind: of each several, in nobody's exact wording, and a control about other things."""

import random
import tomllib
from collections import Counter
from pathlib import Path

import pytest

from l4guide.cli import build_parser
from l4guide.diagnose import Finding, diagnose
from l4guide.diagnose.reader import symptom_book
from l4guide.diagnose.symptom import CONFIDENCES
from l4guide.text import LANGUAGES

HERE = Path(__file__).parent
PASTES = tomllib.loads((HERE / "pastes.toml").read_text(encoding="utf-8"))["paste"]
CONTROL = tomllib.loads((HERE / "control.toml").read_text(encoding="utf-8"))["paste"]
KINDS = {kind.name for kind in symptom_book().kinds}
#: As the issue lists them: other programs rely on these names.
PROMISED = [
    "memory.logits",
    "memory.scores",
    "memory.activations",
    "memory.weights",
    "memory.cache",
    "memory.fragmentation",
    "memory.host",
    "memory.other",
    "shared-memory.attention",
    "shared-memory.other",
    "registers",
    "support",
    "dtype",
    "shape",
    "mask",
    "gradient",
    "launch",
    "build",
    "version",
    "selection",
    "silent",
    "serving.memory",
    "serving.length",
    "serving.parallel",
    "serving.other",
    "unknown",
]


def first(text: str) -> Finding:
    """The finding that is told first."""
    return diagnose(text).findings[0]


def test_the_kinds_are_the_promised_ones() -> None:
    """A closed list."""
    assert set(PROMISED) == KINDS


def test_every_kind_has_three_pastes() -> None:
    """One alone could be right by chance."""
    seen = Counter(paste["kind"] for paste in PASTES)
    assert {kind for kind in PROMISED if kind != "unknown" and seen[kind] < 3} == set()


@pytest.mark.parametrize("paste", PASTES, ids=lambda paste: paste["kind"])
def test_a_paste_is_of_its_kind(paste: dict[str, str]) -> None:
    """Kind, confidence, evidence that stands in the paste, and a way out in both languages."""
    finding = first(paste["text"])
    assert finding.kind == paste["kind"]
    assert finding.confidence in CONFIDENCES
    lines = paste["text"].split("\n")
    assert finding.evidence
    assert all(one.text[:40] in lines[one.line - 1] for one in finding.evidence)
    assert finding.fixes
    assert all(finding.say(language) for language in LANGUAGES)


@pytest.mark.parametrize("paste", PASTES, ids=lambda paste: paste["kind"])
def test_each_command_parses(paste: dict[str, str]) -> None:
    """The command of every remedy is one that l4guide takes."""
    for finding in diagnose(paste["text"]).findings:
        for fix in finding.fixes:
            assert fix.command.startswith("l4guide ")
            words = [word.strip("'") for word in fix.command.split(" ")[1:]]
            build_parser().parse_args(words)


def test_the_control_is_not_blamed() -> None:
    """Shuffled pastes about imports, shapes, networks, tokenizers and drivers are unknown, or of the right kind."""
    shuffled = list(CONTROL)
    random.Random(13).shuffle(shuffled)
    assert len(shuffled) >= 60
    for paste in shuffled:
        kinds = {finding.kind for finding in diagnose(paste["text"]).findings}
        assert kinds == ({paste["kind"]} if "kind" in paste else set()), paste["text"]


def test_a_control_in_front_of_a_failure_does_not_hide_it() -> None:
    """Two pastes after one another give the failure of the one that is known."""
    for other, paste in zip(CONTROL, PASTES, strict=False):
        found = diagnose(f"{other['text']}\n\n{paste['text']}").findings
        assert paste["kind"] in {finding.kind for finding in found}, paste["text"]
