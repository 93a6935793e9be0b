"""`l4guide trace`: the keys that other programs read, and what a reader is told."""

import json
from pathlib import Path

import pytest

from l4guide.cli import main

pytestmark = pytest.mark.slow

KEYS = [
    "model_type",
    "model_basis",
    "parameters",
    "active_parameters",
    "weight_bytes",
    "cache_bytes",
    "state_bytes",
    "calls",
    "unread_fields",
]
CALL = [
    "component",
    "layers",
    "head_dim",
    "head_dim_v",
    "heads",
    "kv_heads",
    "window",
    "chunk",
    "softcap",
    "sinks",
    "mask",
    "bias",
    "causal",
    "cross",
]
CONFIG = {
    "model_type": "qwen3",
    "hidden_size": 1024,
    "intermediate_size": 3072,
    "num_hidden_layers": 28,
    "num_attention_heads": 16,
    "num_key_value_heads": 8,
    "head_dim": 128,
    "vocab_size": 151936,
    "tie_word_embeddings": True,
    "dtype": "bfloat16",
}


@pytest.fixture
def config(tmp_path: Path) -> str:
    """A published configuration as a file."""
    (tmp_path / "config.json").write_text(json.dumps(CONFIG), encoding="utf-8")
    return str(tmp_path / "config.json")


def test_json_has_the_keys(config: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Every key that is promised, with the numbers of the published model: 0.596 billion parameters."""
    assert 0 == main(["trace", "--config", config, "--context", "4096", "--json"])
    said = json.loads(capsys.readouterr().out)
    assert [] == [key for key in KEYS if key not in said]
    assert [] == [key for key in CALL if key not in said["calls"][0]]
    assert ("traced", 596049920) == (said["model_basis"], said["parameters"])
    assert 2 * 596049920 == said["weight_bytes"]
    assert 28 * 4096 * 2 * 8 * 128 * 2 == said["cache_bytes"]


def test_it_is_told_in_lines(config: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The lines name the parameters, the cache and the calls."""
    assert 0 == main(["trace", "--config", config])
    said = capsys.readouterr().out
    assert "0.596" in said
    assert "head_dim 128" in said


def test_it_is_told_in_chinese(capsys: pytest.CaptureFixture[str]) -> None:
    """The same lines in the other language."""
    assert 0 == main(["trace", "--model", "Llama-3.1-8B", "--language", "zh"])
    assert "注意力" in capsys.readouterr().out


def test_a_preset_is_read(capsys: pytest.CaptureFixture[str]) -> None:
    """A preset has no configuration; it says that it was read."""
    assert 0 == main(["trace", "--model", "Llama-3.1-8B", "--json"])
    said = json.loads(capsys.readouterr().out)
    assert "read" == said["model_basis"]
    assert 8.03e9 == pytest.approx(said["parameters"], rel=0.001)


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        ([], "--model-type"),
        (["--model", "Llama-3.1-8B", "--model-type", "llama"], "--model-type"),
        (["--model-type", "no-such-type"], "no-such-type"),
        (["--config", "/no/such/file.json"], "/no/such/file.json"),
        (["--model-type", "llama", "--context", "-1"], "context"),
    ],
)
def test_bad_input_is_one_line(arguments: list[str], wanted: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2 and one line that says what to give."""
    assert 2 == main(["trace", *arguments])
    said = capsys.readouterr().err
    assert wanted in said
    assert 1 == said.count("\n")
