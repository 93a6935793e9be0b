"""Images and sound of a request: their tokens in the prompt, their towers' time and memory, and what is refused."""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from public_configs import T5_BASE, WHISPER_LARGE_V3

from l4guide.advise import model_answer
from l4guide.cli import main
from l4guide.errors import BadInput, Problem

QWEN2_5_VL_7B: dict[str, Any] = {
    "model_type": "qwen2_5_vl",
    "hidden_size": 3584,
    "intermediate_size": 18944,
    "num_hidden_layers": 28,
    "num_attention_heads": 28,
    "num_key_value_heads": 4,
    "vocab_size": 152064,
    "max_position_embeddings": 128000,
    "tie_word_embeddings": False,
    "torch_dtype": "bfloat16",
    "vision_config": {
        "depth": 32,
        "hidden_act": "silu",
        "hidden_size": 1280,
        "intermediate_size": 3420,
        "num_heads": 16,
        "out_hidden_size": 3584,
        "patch_size": 14,
        "spatial_merge_size": 2,
        "window_size": 112,
        "fullatt_block_indexes": [7, 15, 23, 31],
    },
}
QWEN2_AUDIO: dict[str, Any] = {
    "model_type": "qwen2_audio",
    "text_config": {
        **{k: v for k, v in QWEN2_5_VL_7B.items() if k != "vision_config"},
        "model_type": "qwen2",
    },
    "audio_config": {
        "model_type": "qwen2_audio_encoder",
        "d_model": 1280,
        "encoder_layers": 32,
        "encoder_attention_heads": 20,
        "encoder_ffn_dim": 5120,
        "num_mel_bins": 128,
        "max_source_positions": 1500,
    },
}


def said(config: dict[str, Any] = QWEN2_5_VL_7B, **options: object) -> dict[str, Any]:
    """The JSON of `l4guide cost` about a prompt on an L4."""
    return dict(model_answer("L4", {"config": config, "task": "prefill", **options}).to_json())


def test_images_lengthen_the_prompt_and_take_time() -> None:
    """1280 x 720 is 1,196 tokens in Qwen2.5-VL; the tower's time is a part of the first token's."""
    text, seen = said(), said(images=2, image_size="1280x720")
    assert (2392, 2048 + 2392) == (seen["image_tokens"], seen["context"])
    assert seen["cache_bytes"] * 2048 == pytest.approx(text["cache_bytes"] * 4440)
    assert seen["encoder_ms"] == pytest.approx(seen["parts_ms"]["encoder"])
    assert seen["encoder_ms_low"] < seen["encoder_ms"] < seen["encoder_ms_high"]
    assert seen["step_ms"] > said(seqlen=4440)["step_ms"] + 0.9 * seen["encoder_ms"]
    assert 0 < seen["encoder_peak_gib"] < 4
    assert any("max_pixels" in line for line in seen["remarks"])


def test_more_pixels_never_take_less() -> None:
    """Tokens, time and peak grow with an image until the processor shrinks it."""
    rows = [said(images=1, image_size=f"{side}x{side}") for side in (224, 448, 1024, 2048)]
    for name in ("image_tokens", "encoder_ms", "encoder_peak_gib"):
        values = [row[name] for row in rows]
        assert sorted(values) == values


def test_tokens_that_are_given_count() -> None:
    """A number goes before the rule; a model without a tower takes it too, without a time."""
    assert 300 == said(images=3, image_tokens=100)["image_tokens"]
    plain = {name: value for name, value in QWEN2_5_VL_7B.items() if name != "vision_config"}
    found = said({**plain, "model_type": "qwen2"}, images=1, image_tokens=64)
    assert 64 == found["image_tokens"]
    assert "encoder_ms" not in found
    assert any("Not known: the time of the vision tower" in line for line in found["remarks"])


def test_a_minute_of_sound() -> None:
    """Qwen2-Audio: 25 tokens a second, in padded windows of half a minute."""
    found = said(QWEN2_AUDIO, audio_s=60)
    assert (1500, 60.0) == (found["audio_tokens"], found["audio_s"])
    short, long = (said(QWEN2_AUDIO, audio_s=s)["encoder_ms"] for s in (3, 60))
    assert 1.5 < long / short < 2.5


def test_whisper_hears_windows() -> None:
    """Half a minute is 1,500 positions of its encoder, none of them in the decoder's context; a minute takes twice."""
    one, two = (said(WHISPER_LARGE_V3, audio_s=seconds) for seconds in (30, 60))
    assert (1500, 3000, 448) == (one["audio_tokens"], two["audio_tokens"], two["context"])
    assert 2 * one["encoder_ms"] == pytest.approx(two["encoder_ms"])
    with pytest.raises(BadInput, match="--seqlen"):
        said(T5_BASE, audio_s=3)


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"image_size": "0x10"}, "image-size"),
        ({"image_size": "5000x2"}, "image-size"),
        ({"image_size": "big"}, "image-size"),
        ({"images": -1}, "images"),
        ({"images": 10**9}, "images"),
        ({"audio_s": 3}, "--audio-tokens"),
        ({"audio_s": "nan"}, "audio-s"),
        ({"images": 1, "image_tokens": 0}, "image-tokens"),
        ({"images": 60, "image_size": "4000x4000"}, "128000"),
    ],
)
def test_what_is_refused(options: dict[str, Any], word: str) -> None:
    """One line names the option, the limit and the way out."""
    with pytest.raises(BadInput, match=word):
        said(**options)


def test_a_family_that_is_not_known_is_said_so() -> None:
    """No number is made up: the user gives the tokens of an image."""
    with pytest.raises(BadInput, match="--image-tokens"):
        said({**QWEN2_5_VL_7B, "model_type": "newest_vl"}, images=1)


def test_the_screen_tells_images(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The question line, the tokens and the tower's time are printed, in both languages."""
    path = tmp_path / "config.json"
    path.write_text(json.dumps(QWEN2_5_VL_7B), encoding="utf-8")
    asked = ["advise", "--config", str(path), "--task", "decode", "--images", "1", "--all"]
    assert 0 == main(asked)
    text = capsys.readouterr().out
    assert "images: 1" in text
    assert "become 1369 tokens" in text
    assert "towers take" in text
    assert 0 == main([*asked, "--language", "zh"])
    assert "1369 个 token" in capsys.readouterr().out


@settings(max_examples=60, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(["images", "image_size", "image_tokens", "audio_s", "audio_tokens"]),
        st.text(max_size=12) | st.integers(-9, 10**12) | st.floats(allow_nan=True),
        max_size=3,
    )
)
def test_anything_said_of_media_ends_in_an_answer_or_a_line(options: dict[str, object]) -> None:
    """Never a traceback."""
    from l4guide.advise.media import media_of
    from l4guide.model import from_config

    with suppress(Problem):
        assert media_of(from_config(QWEN2_5_VL_7B, "model"), options).tokens >= 0
