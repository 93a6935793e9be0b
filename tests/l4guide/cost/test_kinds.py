"""Encoders and encoder-decoders: what they are asked, what their time counts, and how the answer says it."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from public_configs import BGE_M3, T5_BASE, WHISPER_LARGE_V3

from l4guide.advise import advise, model_answer
from l4guide.advise.whole import architecture_of, question_of
from l4guide.catalogue import gpu
from l4guide.cli import main
from l4guide.errors import BadInput
from l4guide.step import Plan, step
from l4guide.step.spans import source_tokens


def said(config: dict[str, Any], **options: object) -> dict[str, Any]:
    """The JSON of `l4guide cost` about a configuration on an L4."""
    return dict(model_answer("L4", {"config": config, **options}).to_json())


def test_an_encoder_is_asked_for_whole_sequences() -> None:
    """Without a task it encodes; without a cache, with sequences a second and dollars for a million of them."""
    found = said(BGE_M3, batch=8, seqlen=512)
    assert ("prefill", "encoder", 0) == (found["task"], found["model_kind"], found["cache_bytes"])
    assert "kv_cache" not in found["memory"]["parts_gib"]
    assert 8e3 / found["step_ms"] == pytest.approx(found["sequences_per_s"])
    assert 1e3 / found["sequences_per_s"] == pytest.approx(found["ms_per_sequence"])
    assert 512 * found["usd_per_million_tokens"] == pytest.approx(found["usd_per_million_sequences"])
    assert found["sequences_per_s_low"] < found["sequences_per_s"] < found["sequences_per_s_high"]
    assert set() == {"ttft_ms", "tpot_ms"} & found.keys()


def test_an_encoder_does_not_decode(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The refusal is one line with the way out."""
    path = tmp_path / "config.json"
    path.write_text(json.dumps(BGE_M3), encoding="utf-8")
    for command in ("advise", "cost", "estimate"):
        assert 2 == main([command, "--config", str(path), "--task", "decode"])
        line = capsys.readouterr().err
        assert 1 == line.count("\n")
        assert "keeps no cache and does not decode" in line


def test_an_encoder_is_told_in_its_own_words(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The screen speaks of encoding and of sequences, not of a first token."""
    path = tmp_path / "config.json"
    path.write_text(json.dumps(BGE_M3), encoding="utf-8")
    assert 0 == main(["advise", "--config", str(path)])
    text = capsys.readouterr().out
    assert "encoding" in text.splitlines()[0]
    assert "Assumed: encoding" in text
    assert "sequences/s" in text
    assert "first token" not in text


def test_advice_about_an_encoder_has_no_mask_and_no_training_unless_asked() -> None:
    """The attention that is judged is the one of the time."""
    advice = advise("L4", {"config": BGE_M3})
    assert ("prefill", False) == (advice.question.workload.task, advice.question.workload.causal)
    assert "task" in advice.question.assumed
    assert "training" == advise("L4", {"config": BGE_M3, "task": "training"}).question.workload.task


def test_a_decoder_writes_without_its_encoder() -> None:
    """A token of Whisper multiplies the decoder's weights alone, less those that made keys of the sound."""
    card = gpu("L4")
    model = architecture_of({"config": WHISPER_LARGE_V3})
    assert model is not None
    question = question_of(card, model, {"task": "decode"})
    found = step(card, model, Plan(task="decode"), question.workload, 1, 448)
    hidden, layers = model.hidden, 32
    # Of 14 squares a decoder's layer has in all, 2 are keys and values of the sound.
    products = 2 * layers * 14 * hidden**2 + 2 * model.vocabulary * hidden
    scores = 4 * layers * hidden * (448 + 1500)
    assert products + scores == pytest.approx(found.flops.item(), rel=0.01)


def test_the_prompt_goes_to_the_encoder() -> None:
    """Whisper reads 1,500 places whatever is written; T5 reads what is asked, so twice takes about twice."""
    assert [1500] == source_tokens(architecture_of({"config": WHISPER_LARGE_V3}), np.array([448.0])).tolist()  # type: ignore[arg-type]
    short, long = (said(WHISPER_LARGE_V3, task="prefill", seqlen=tokens) for tokens in (32, 448))
    assert short["step_ms"] == pytest.approx(long["step_ms"], rel=0.02)
    short, long = (said(T5_BASE, task="prefill", batch=64, seqlen=tokens) for tokens in (256, 512))
    assert 1.7 < long["step_ms"] / short["step_ms"] < 2.6
    assert "encoder-decoder" == long["model_kind"]


def test_cross_attention_is_in_memory() -> None:
    """T5's decoder keeps as much of the prompt as of what it writes."""
    found = model_answer("L4", {"config": T5_BASE, "task": "decode", "batch": 64}).whole
    own = 64 * 12 * 2 * 12 * 64 * 512 * 2
    assert 2 * own == pytest.approx(found.memory.sizes.parts["kv_cache"].value.item())


def test_an_encoder_with_a_latency_of_serving_is_refused() -> None:
    """A first token is of a model that writes."""
    with pytest.raises(BadInput, match="ttft-ms"):
        said(BGE_M3, ttft_ms=10)


@pytest.mark.parametrize("model_type", ["vit", "newest_vision"])
def test_an_image_encoder_reads_its_patches(model_type: str) -> None:
    """A ViT of 224 pixels and patches of 16 reads 197 positions of an image, and encodes, whatever it is called."""
    config = {
        "model_type": model_type,
        "hidden_size": 768,
        "intermediate_size": 3072,
        "num_hidden_layers": 12,
        "num_attention_heads": 12,
        "image_size": 224,
        "patch_size": 16,
        "hidden_act": "gelu",
    }
    found = said(config, batch=64)
    assert ("encoder", 197) == (found["model_kind"], found["context"])
    assert 64e3 / found["step_ms"] == pytest.approx(found["sequences_per_s"])
    assert 197 == advise("L4", {"config": config}).question.workload.seqlen_kv
