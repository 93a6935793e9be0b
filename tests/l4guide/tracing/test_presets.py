"""Presets as transformers builds them: the published number of parameters is that of the modules."""

from collections.abc import Iterator

import pytest

from l4guide.catalogue import CONFIG, Model, model, models
from l4guide.model import preset, preset_config
from l4guide.tracing.process import Tracer

#: Types that transformers does not have.
NOT_BUILT = {"Kimi-K2", "Kimi-K3"}
#: Towers that the reader counts short, or that a configuration does not mention.
SHORT_TOWERS = {"Gemma-4-E2B", "Gemma-4-E4B", "Qwen3-VL-2B", "Qwen3-VL-4B", "Qwen3-VL-8B", "Step-3.7-Flash"}
SAMPLE = ("gpt-oss-20b", "Qwen3.5-9B", "Gemma-4-12B", "Whisper-large-v3-turbo", "ESM-2-650M")
BUILT = [one for one in models() if one.status == CONFIG and one.name not in NOT_BUILT]


@pytest.fixture(scope="module")
def tracer() -> Iterator[Tracer]:
    """One process for all of them."""
    with Tracer() as tracer:
        yield tracer


def traced_and_read(tracer: Tracer, chosen: Model) -> tuple[int, int]:
    """Parameters by the modules and by the reader."""
    return tracer.config(preset_config(chosen), chosen.name).parameters, preset(chosen.name).parameters


@pytest.mark.parametrize("name", SAMPLE)
def test_a_sample_is_read_as_it_is_built(tracer: Tracer, name: str) -> None:
    """The reader is within 1 % of the modules, and so is the published number."""
    chosen = model(name)
    traced, read = traced_and_read(tracer, chosen)
    assert traced == pytest.approx(read, rel=0.01)
    assert chosen.parameters_billion == pytest.approx(traced / 1e9, rel=0.01)


@pytest.mark.sweep
@pytest.mark.parametrize("chosen", BUILT, ids=lambda one: one.name)
def test_every_preset_is_read_as_it_is_built(tracer: Tracer, chosen: Model) -> None:
    """The same of all: what is published only in round numbers is compared with the modules alone."""
    traced, read = traced_and_read(tracer, chosen)
    assert traced == pytest.approx(read, rel=0.05 if chosen.name in SHORT_TOWERS else 0.01)
