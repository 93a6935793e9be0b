"""What must hold for the widths of every preset and for the defaults of every model type."""

import pytest

from l4guide.catalogue import CONFIG, models, source
from l4guide.model import preset
from l4guide.model.fields import model_types
from l4guide.model.presets import Widths, widths

ARTICLE = (
    "AutoGLM-Phone-9B",
    "Kimi-K2-Thinking",
    "GLM-4.6V",
    "GLM-4.6V-FP8",
    "GLM-4.6V-Flash",
    "HunyuanOCR",
    "GLM-ASR-Nano-2512",
    "GLM-TTS",
)
#: Where the published number is rounded: 1000 B, 106 B, 9 B, 1.5 B.
ROUNDED = {"Kimi-K2-Thinking", "GLM-4.6V", "GLM-4.6V-FP8", "GLM-4.6V-Flash", "GLM-ASR-Nano-2512"}
COUNTED = [m for m in models() if m.parameters_billion is not None and m.status not in (CONFIG, "not-found")]


@pytest.mark.parametrize("row", widths(), ids=lambda row: f"{row.model} {row.component}")
def test_widths_belong_to_a_preset_and_have_a_source(row: Widths) -> None:
    """Each row is about a component of the catalogue, and its sources are known."""
    named = {(model.name, part.name) for model in models() for part in model.components}
    assert (row.model, row.component) in named
    assert row.sources
    for key in row.sources:
        assert key == source(key).key
    assert set(row.inferred) <= set(Widths.__dataclass_fields__)


def test_model_types_have_sources() -> None:
    """Every default was read somewhere."""
    assert all(source(key).key == key for kind in model_types().values() for key in kind.sources)


@pytest.mark.parametrize("name", [model.name for model in COUNTED])
def test_a_preset_weighs_what_its_makers_say(name: str) -> None:
    """Layers, widths and vocabulary add up to the published number of weights."""
    model = next(model for model in COUNTED if model.name == name)
    found = preset(name)
    counted = (found.parameters - found.tower_weights) / 1e9
    assert model.parameters_billion == pytest.approx(counted, rel=0.07 if name in ROUNDED else 0.035)


@pytest.mark.parametrize("name", ARTICLE)
def test_the_article_page_models_are_whole(name: str) -> None:
    """Each has layers, widths and heads, none of them guessed from its size."""
    found = preset(name)
    assert () == found.assumed
    assert found.layer_count > 0
    assert found.vocabulary > 0
    assert all(width > 0 for width in found.head_dims)


@pytest.mark.parametrize("name", [m.name for m in models() if m.components[0].kv_bytes_per_token])
def test_the_cache_of_a_token_is_as_stated(name: str) -> None:
    """16-bit keys and values of one token over all layers are those of `models.csv`, windows and latents included."""
    part = next(m for m in models() if m.name == name).components[0]
    found = sum(2 * group.count * group.mixer.cached_columns() for group in preset(name).layers)
    assert part.kv_bytes_per_token == found
