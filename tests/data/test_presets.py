"""What must hold for every preset that is a published config.json: its file, its count, and what is asked of it."""

import json
import re
from itertools import groupby
from pathlib import Path

import pytest

from l4guide.advise import preset_model
from l4guide.catalogue import CONFIG, Model, data_folder, models
from l4guide.tracing.architecture import preset_architecture

PRESETS = [model for model in models() if model.status == CONFIG]
COUNTED = [model for model in PRESETS if model.parameters_billion is not None]
EVERY = pytest.mark.parametrize("model", PRESETS, ids=lambda model: model.name)


def test_every_file_is_a_preset() -> None:
    """No configuration lies about that no row names, and none is missing."""
    files = {path.stem for path in (data_folder() / "configs").glob("*.json")}
    assert files == {model.name for model in PRESETS}


@EVERY
def test_a_file_holds_what_counts(model: Model) -> None:
    """A file is one JSON object that names its type; what only a tokenizer or a sampler reads is left out."""
    path = Path(data_folder() / "configs" / f"{model.name}.json")
    config = json.loads(path.read_text(encoding="utf-8"))
    assert isinstance(config["model_type"], str)
    assert not {"auto_map", "transformers_version", "bos_token_id", "temperature"} & config.keys()


@EVERY
def test_a_row_says_where_it_was_published(model: Model) -> None:
    """It has the repository of the model among its sources, and no shape of its own."""
    (row,) = model.components
    assert row.sources
    assert "" == row.name
    assert {None} == {row.layers, row.hidden, row.heads, row.head_dim, row.kv_bytes_per_token}


@pytest.mark.parametrize("model", COUNTED, ids=lambda model: model.name)
def test_a_preset_weighs_what_is_published(model: Model) -> None:
    """Its count is within 1 % of the published number, or within half of that number's last digit."""
    published = model.parameters_billion or 0.0
    digit = 0.5 * 10.0 ** -len(f"{published:.12g}".partition(".")[2])
    if published >= 1000 and published == round(published, -2):
        digit = 50.0  # such as 1.6 or 2.8 trillion
    counted = preset_architecture(model.name).parameters / 1e9
    assert published == pytest.approx(counted, abs=max(0.01 * published, digit))


@EVERY
def test_a_preset_attends(model: Model) -> None:
    """The rules are asked about every kind of attention in it, each with its heads."""
    parts = preset_model(model.name).components
    assert parts
    assert all(part.heads and part.kv_heads and part.head_dim and part.layers for part in parts)
    assert parts[0].sources == model.components[0].sources


@pytest.mark.parametrize(
    ("typed", "name"),
    [
        ("google/gemma-4-E4B-it", "Gemma-4-E4B"),
        ("Qwen/Qwen3.6-35B-A3B", "Qwen3.6-35B-A3B"),
        ("openai/gpt-oss-20b", "gpt-oss-20b"),
        ("nvidia/NVIDIA-Nemotron-3-Nano-30B-A3B-NVFP4", "Nemotron-3-Nano-30B-A3B"),
        ("deepseek-ai/DeepSeek-R1", "DeepSeek-V3"),
        ("MiniMaxAI/MiniMax-M2.1", "MiniMax-M2"),
        ("whisper-large-v3-turbo", "Whisper-large-v3-turbo"),
        ("facebook/esm2_t33_650M_UR50D", "ESM-2-650M"),
        ("BAAI/bge-m3", "bge-m3"),
        ("Qwen/Qwen3-4B-Instruct-2507", "Qwen3-4B-2507"),
        ("Qwen/Qwen3-Coder-30B-A3B-Instruct-FP8", "Qwen3-Coder-30B-A3B"),
    ],
)
def test_what_people_type_is_found(typed: str, name: str) -> None:
    """Names of repositories and of other makers' checkpoints lead to the preset."""
    assert name == preset_model(typed).name


def test_families_lie_together() -> None:
    """The list of models has each family in one run, newest first, after those of the article page."""
    others = [
        model.name for model in models() if not model.name.startswith(("AutoGLM", "GLM", "Hunyuan", "Spark"))
    ]
    heads = [re.match("[A-Za-z]+", name)[0] for name in others if name != "Kimi-K2-Thinking"]  # type: ignore[index]
    assert len([*groupby(heads)]) == len(set(heads))
