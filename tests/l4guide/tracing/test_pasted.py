"""Whatever is pasted as `--config`, `cost` and `advise` answer or say one sentence, and nothing of it is executed."""

import copy
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from public_configs import DEEPSEEK_V4_FLASH, GEMMA_4_E4B, JAMBA_MINI, WHISPER_LARGE_V3

from l4guide.cli import main

pytestmark = pytest.mark.slow

PLAIN: dict[str, Any] = {
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 100,
}
TOWERS: dict[str, Any] = {
    "model_type": "qwen2_5_vl",
    "text_config": {**PLAIN, "model_type": "qwen2_5_vl_text"},
    "vision_config": {"depth": 2, "hidden_size": 32, "num_heads": 2, "intermediate_size": 64},
}
STACKS = {
    "model_type": "t5",
    "d_model": 64,
    "d_ff": 128,
    "d_kv": 16,
    "num_layers": 2,
    "num_heads": 4,
    "vocab_size": 99,
}
BASES: tuple[Mapping[str, Any], ...] = (
    TOWERS,
    STACKS,
    JAMBA_MINI,
    GEMMA_4_E4B,
    WHISPER_LARGE_V3,
    DEEPSEEK_V4_FLASH,
    {**TOWERS, "model_type": "unheard_of"},
    {"model_type": "t5gemma"},
    {},
)
NAMES = sorted(
    {
        *(name for base in BASES for name in base),
        *PLAIN,
        *(
            "auto_map",
            "architectures",
            "layer_types",
            "quantization_config",
            "head_dim",
            "torch_dtype",
            "encoder",
        ),
        *("decoder", "audio_config", "rope_parameters", "num_nextn_predict_layers", "compress_ratios"),
    }
)
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 300),
    st.sampled_from([-(2**63), 2**31, 10**18, 1e300, float("nan"), float("inf"), -0.5]),
    st.text(max_size=8),
    st.lists(st.one_of(st.integers(-3, 9), st.text(max_size=4), st.none()), max_size=4),
    st.dictionaries(st.sampled_from(NAMES), st.one_of(st.integers(-3, 99), st.text(max_size=4)), max_size=3),
)
PARTS = st.sampled_from(["", "", "text_config", "vision_config"])
CHANGES = st.lists(st.tuples(PARTS, st.sampled_from(NAMES), VALUES, st.booleans()), min_size=1, max_size=3)


def changed(base: Mapping[str, Any], changes: list[tuple[str, str, object, bool]]) -> dict[str, Any]:
    """The configuration with some fields left out and others set, of itself or of a part."""
    found = copy.deepcopy(dict(base))
    for part, name, value, is_left_out in changes:
        holder = found.setdefault(part, {}) if part else found
        if not isinstance(holder, dict):
            continue
        if is_left_out:
            holder.pop(name, None)
        else:
            holder[name] = value
    return found


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    base=st.sampled_from(BASES),
    changes=CHANGES,
    command=st.sampled_from(["cost", "advise"]),
    task=st.sampled_from(["prefill", "decode", "training"]),
)
def test_any_configuration_is_an_answer_or_a_sentence(
    base: Mapping[str, Any],
    changes: list[tuple[str, str, object, bool]],
    command: str,
    task: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Missing, negative, huge and mistyped fields, unknown types and nested towers: no traceback."""
    path = tmp_path / "pasted.json"
    path.write_text(json.dumps(changed(base, changes)), encoding="utf-8")
    code = main([command, "--gpu", "H200", "--config", str(path), "--task", task, "--json"])
    said = capsys.readouterr()
    if code:
        assert (2, 1) == (code, said.err.count("\n")), said.err
    else:
        assert json.loads(said.out)["answer"] in ("yes", "no", "depends", "unsafe")


def test_code_is_named_and_never_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A model of its own code is read, or refused in one line; its code stays where it lies."""
    (tmp_path / "modeling.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w').close()\n", encoding="utf-8")
    path = tmp_path / "config.json"
    for model_type in ("llama", "unheard_of"):
        config = {**PLAIN, "model_type": model_type, "trust_remote_code": True}
        config["auto_map"] = {"AutoConfig": "modeling.Config", "AutoModelForCausalLM": "modeling.Model"}
        path.write_text(json.dumps(config), encoding="utf-8")
        assert 0 == main(["cost", "--config", str(path), "--task", "decode", "--json"])
        said = json.loads(capsys.readouterr().out)
        assert ("traced" if model_type == "llama" else "read") == said["model_basis"]
    assert not (tmp_path / "ran").exists()
