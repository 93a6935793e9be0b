"""A configuration is traced where that can be, read elsewhere, and says which; a preset is recorded."""

import json
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from public_configs import JAMBA_MINI

from l4guide.advise import advise, break_even, model_answer
from l4guide.cli import main
from l4guide.errors import BadInput, CannotDo
from l4guide.model.traced import Trace
from l4guide.screen import of_advice, of_cost
from l4guide.tracing import architecture
from l4guide.tracing.record import recorded
from l4guide.tracing.shared import SHARED, SharedTracer

TYPE = "llama"
CONFIG: Mapping[str, Any] = {**(recorded()[TYPE].config or {}), "model_type": TYPE}
OPTIONS: Mapping[str, object] = {"config": CONFIG, "task": "decode"}
#: A process that has no transformers, as the base install.
WITHOUT = """
import importlib.abc, sys
class Without(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "transformers"):
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Without())
import importlib.util
found = importlib.util.find_spec
importlib.util.find_spec = lambda name, *more: None if name in ("torch", "transformers") else found(name, *more)
from l4guide.cli import main
sys.exit(main(sys.argv[1:]))
"""


class Tracers:
    """In the place of the tracing process: how often it was asked, and what it answers."""

    def __init__(self) -> None:
        self.asked = 0
        self.answer: Trace | BadInput | CannotDo | None = recorded()[TYPE].trace

    def config(self, config: Mapping[str, object], name: str) -> Trace:
        """The answer, or the problem."""
        self.asked += 1
        assert self.answer is not None
        if isinstance(self.answer, Trace):
            return self.answer
        raise self.answer


@pytest.fixture
def tracers(monkeypatch: pytest.MonkeyPatch) -> Tracers:
    """Where transformers is at hand, and nothing kept of what was asked before."""
    made = Tracers()
    monkeypatch.setattr(architecture, "_known", {})
    monkeypatch.setattr(architecture, "is_at_hand", lambda: True)
    monkeypatch.setattr(SHARED, "config", made.config)
    return made


def test_every_answer_is_traced_and_says_so(tracers: Tracers) -> None:
    """Text and JSON of advise and cost, and the map; the configuration is traced once for all of them and every GPU."""
    advice, answer = advise("L4", OPTIONS), model_answer("L4", OPTIONS)
    drawn = break_even("L4", OPTIONS, cells=4)
    said = answer.whole.to_json()
    assert ("traced", True, tracers.answer.transformers) == (  # type: ignore[union-attr]
        said["model_basis"],
        said["model_compared"],
        said["transformers"],
    )
    texts = [of_advice(advice).say(), of_cost(answer).say(every=True), str(answer.to_json()["remarks"])]
    texts += ["\n".join(line.say() for line in drawn.lines()), str(drawn.to_json()["remarks"])]
    assert [] == [text for text in texts if f"transformers {said['transformers']}" not in text]
    assert 1 == tracers.asked


def test_the_trace_goes_before_what_was_read(tracers: Tracers) -> None:
    """Parameters, cache and memory follow the trace, even where it contradicts the configuration."""
    tracers.answer = recorded()["gemma2"].trace
    found = model_answer("H200", OPTIONS).whole
    assert tracers.answer is not None
    assert tracers.answer.parameters == found.to_json()["parameters"]
    assert 2 * tracers.answer.parameters == pytest.approx(
        found.memory.sizes.parts["weights"].value.item(), rel=0.001
    )


def test_it_is_read_where_nobody_wants_to_wait(tracers: Tracers) -> None:
    """`no_trace` asks no process."""
    said = model_answer("L4", {**OPTIONS, "no_trace": True}).whole.to_json()
    assert ("read", True, 0) == (said["model_basis"], said["model_compared"], tracers.asked)
    with pytest.raises(BadInput, match="no-trace"):
        model_answer("L4", {**OPTIONS, "no_trace": "perhaps"})


@pytest.mark.parametrize(
    ("problem", "wanted"),
    [
        (CannotDo("model_trace.too_slow", path="config.json", deadline_s="60"), "took more than 60 seconds"),
        (BadInput("model_trace.refused", path="config.json", reason="KeyError: 'x'"), "KeyError: 'x'"),
    ],
)
def test_what_cannot_be_traced_is_read_and_says_why(
    problem: BadInput | CannotDo, wanted: str, tracers: Tracers
) -> None:
    """One line before the figures, in either language; a second question does not try again."""
    tracers.answer = problem
    answer = model_answer("L4", OPTIONS)
    assert "read" == answer.whole.to_json()["model_basis"]
    for language in ("en", "zh"):
        (line,) = (caveat.say(language) for caveat in answer.caveats)
        assert (True, 1) == ("KeyError" in line or language == "zh" or wanted in line, len(line.splitlines()))
    model_answer("A100-80GB-SXM", OPTIONS)
    assert 1 == tracers.asked


def test_what_neither_traces_nor_reads_is_one_sentence(tracers: Tracers) -> None:
    """The reader's, which names the field."""
    tracers.answer = BadInput("model_trace.refused", path="config.json", reason="whatever")
    with pytest.raises(BadInput, match="hidden_size"):
        model_answer("L4", {"config": {"model_type": "unheard_of"}, "task": "decode"})


def test_what_nothing_reads_is_answered_from_its_trace(tracers: Tracers) -> None:
    """T5Gemma has two parts, each with fields of its own, which no reader knows."""
    tracers.answer = recorded()["t5gemma"].trace
    said = model_answer("H200", {"config": {"model_type": "t5gemma"}, "task": "decode"}).whole.to_json()
    assert ("traced", tracers.answer and tracers.answer.parameters) == (
        said["model_basis"],
        said["parameters"],
    )


def test_a_preset_is_recorded(tracers: Tracers, capsys: pytest.CaptureFixture[str]) -> None:
    """Its trace says the release that it was made with; nothing is asked, and neither torch nor transformers loaded."""
    assert 0 == main(["cost", "--model", "Gemma-4-E4B", "--task", "decode", "--json"])
    said = json.loads(capsys.readouterr().out)
    assert ("traced", 0) == (said["model_basis"], tracers.asked)
    assert 7.94e9 == pytest.approx(said["parameters"], rel=0.01)
    assert said["transformers"]
    program = "import sys; from l4guide.cli import main; main(sys.argv[1:]); "
    program += "print({'torch', 'transformers'} & set(sys.modules))"
    command = [sys.executable, "-c", program, "advise", "--model", "Gemma-4-E4B", "--task", "decode"]
    assert (
        "set()" == subprocess.run(command, capture_output=True, text=True, check=True).stdout.split("\n")[-2]
    )


@pytest.mark.slow
@pytest.mark.parametrize("task", ["decode"])
def test_both_installs_answer_alike(task: str, tmp_path: Path) -> None:
    """With transformers and without: the same model within a hundredth, by another basis."""
    path = tmp_path / "jamba.json"
    path.write_text(json.dumps(JAMBA_MINI), encoding="utf-8")
    asked = ["cost", "--gpu", "H200", "--config", str(path), "--task", task, "--seqlen", "32768", "--json"]
    said = [
        json.loads(subprocess.run([sys.executable, *start, *asked], capture_output=True, check=True).stdout)
        for start in (("-m", "l4guide"), ("-c", WITHOUT))
    ]
    assert ["traced", "read"] == [one["model_basis"] for one in said]
    for key in ("parameters", "active_parameters", "weight_bytes", "cache_bytes"):
        assert said[0][key] == pytest.approx(said[1][key], rel=0.01), key


@pytest.mark.slow
def test_a_large_model_takes_little_more_than_its_imports() -> None:
    """A hundred layers of a thousand experts: no more than twice the imports on top of them."""
    large = {
        "model_type": "qwen3_moe",
        "hidden_size": 4096,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "head_dim": 128,
        "num_hidden_layers": 100,
        "num_experts": 1000,
        "num_experts_per_tok": 8,
        "moe_intermediate_size": 1024,
        "intermediate_size": 4096,
        "vocab_size": 150000,
    }
    tracer = SharedTracer()
    seconds = []
    for config in (CONFIG, large):
        start = time.monotonic()
        found = tracer.config(config, "config.json")
        seconds.append(time.monotonic() - start)
    tracer.stop()
    assert 1.2e12 < found.parameters
    imports, alone = seconds
    assert alone <= 2 * imports
