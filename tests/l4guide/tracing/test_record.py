"""The recorded traces are those of the installed transformers, and the light reader is what `reader.csv` says of it."""

from importlib.metadata import version

import pytest

from l4guide.catalogue import CONFIG, model, models
from l4guide.model import preset_config
from l4guide.tracing.comparison import HELD, READER, WITHIN, at_default, is_held, outcome, outcomes
from l4guide.tracing.process import Tracer
from l4guide.tracing.record import CONFIGS, TRACES, Recorded, folder, preset_trace, recorded

#: Traced anew: some of each kind.
SAMPLE = [
    "llama",
    "mistral",
    "qwen3",
    "qwen3_moe",
    "gemma2",
    "gemma3_text",
    "gemma4_text",
    "gpt2",
    "gpt_oss",
    "phi3",
    "deepseek_v3",
    "mamba",
    "jamba",
    "qwen3_next",
    "bert",
    "xlm-roberta",
    "modernbert",
    "t5",
    "bart",
    "whisper",
    "qwen2_5_vl",
]
#: Types that people run, each of a kind of its own, which the reader must count as their modules do.
MUST_HOLD = [
    "llama",
    "mistral",
    "mixtral",
    "qwen2",
    "qwen3",
    "qwen3_moe",
    "gemma2",
    "gemma3_text",
    "gemma3n_text",
    "gpt2",
    "gpt_oss",
    "phi3",
    "deepseek_v3",
    "jamba",
    "mamba",
    "granitemoehybrid",
    "lfm2",
    "qwen3_5_moe_text",
    "bert",
    "roberta",
    "xlm-roberta",
    "distilbert",
    "deberta-v2",
    "t5",
    "bart",
    "whisper",
]
MOST_BYTES = 500_000
SHARE = 0.7


def traced() -> list[Recorded]:
    """The types that could be built."""
    return [one for one in recorded().values() if one.trace is not None and one.config is not None]


def test_every_type_is_there_or_says_why() -> None:
    """A type has a trace or a reason; more than 313 have a trace; no file is large."""
    assert [] == [one.model_type for one in recorded().values() if (one.trace is None) == (one.refused == "")]
    assert len(traced()) >= 313
    for name in (TRACES, CONFIGS, READER):
        assert (folder() / name).stat().st_size <= MOST_BYTES


def test_the_record_is_of_one_release() -> None:
    """All traces name the release that is installed; `make traces` follows an upgrade."""
    assert {version("transformers")} == {one.trace.transformers for one in traced() if one.trace}


def test_presets_are_of_the_same_release() -> None:
    """Each preset that is a published configuration has a trace, but for the types that transformers does not know."""
    published = [model.name for model in models() if model.status == CONFIG]
    found = {name: preset_trace(name) for name in published}
    assert {version("transformers")} == {trace.transformers for trace in found.values() if trace}
    assert {"Kimi-K2", "Kimi-K3"} == {name for name, trace in found.items() if trace is None}
    assert preset_trace("no such preset") is None


@pytest.mark.slow
@pytest.mark.parametrize("preset", ["Gemma-4-E4B", "DeepSeek-V4-Flash", "Jamba-Mini", "Whisper-large-v3"])
def test_a_preset_traced_now_is_the_recorded_one(preset: str, tracer: Tracer) -> None:
    """From the configuration in `data/configs/`."""
    assert preset_trace(preset) == tracer.config(preset_config(model(preset)), preset)


@pytest.mark.slow
@pytest.mark.parametrize("model_type", SAMPLE)
def test_a_trace_made_now_is_the_recorded_one(model_type: str, tracer: Tracer) -> None:
    """The same parameters by kind, calls, cache and products."""
    assert recorded()[model_type].trace == tracer.model_type(model_type)


def test_the_reader_is_what_was_said_of_it() -> None:
    """`reader.csv` holds what the reader makes of every type's default today."""
    now = {one.model_type: at_default(one.config, one.trace) for one in traced() if one.config and one.trace}
    assert now == {name: default for name, (default, _, _) in outcomes().items()}


def test_the_reader_counts_what_people_run() -> None:
    """The types of the list are read within a hundredth, with the same cache and calls; so are most of all."""
    assert [] == [name for name in MUST_HOLD if outcomes()[name][0] not in HELD]
    assert sum(is_held(name) for name in outcomes()) >= SHARE * len(outcomes())


@pytest.mark.slow
@pytest.mark.parametrize("model_type", ["llama", "qwen3_moe", "bert", "t5", "jamba", "whisper"])
def test_the_reader_holds_at_configurations_that_nobody_recorded(model_type: str, tracer: Tracer) -> None:
    """Other layers, widths, heads, vocabularies and experts, by a seed of this test's own."""
    config, _ = tracer.config_of(model_type, seed=7)
    assert WITHIN == outcome(config, tracer.config(config, model_type))
    assert config != recorded()[model_type].config


def test_a_type_that_nobody_compared_is_not_held() -> None:
    """An unknown type is read, and not taken at the reader's word."""
    assert not is_held("no-such-type")
