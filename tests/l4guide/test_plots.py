"""What the figures show, read from the figures themselves."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import made_up
import pytest

from l4guide import plots
from l4guide.advise import Advice, advise
from l4guide.catalogue import gpu
from l4guide.measure.measurement import Record

FIGURES: list[Callable[..., Any]] = [plots.shared_memory, plots.throughput, plots.cost]
ALTS = [plots.shared_memory_alt, plots.throughput_alt, plots.cost_alt]
READABLE = {"#0072B2", "#D55E00", "#009E73", "#CC79A7"}


@pytest.fixture(scope="module")
def training() -> Advice:
    """The question that the project exists for."""
    return advise("L4", {"task": "training", "head_dim": 128})


@pytest.fixture(scope="module")
def served() -> Advice:
    """A whole model, which alone has a figure of cost."""
    return advise("L4", {"model": "Llama-3.1-8B", "task": "decode"})


@pytest.fixture(scope="module")
def decode() -> Advice:
    """A question whose answer is in bytes a second."""
    return advise("L4", {"task": "decode", "head_dim": 128, "seqlen": 8192, "batch": 16})


def words(figure: Any) -> str:
    """Everything that a figure writes."""
    return str(figure.to_json())


def measured_on_l4(advice: Advice, **other: object) -> Record:
    """A record of one forward pass of the question's shape, with `other` columns."""
    asked = advice.question.workload
    rate = {"gb_per_s": 245.6} if asked.task == "decode" else {"tflops": 43.21}
    return made_up.record(made_up.row_on(asked, latency_ms=1.0, **rate | other))


def test_importing_plots_loads_no_plotly() -> None:
    """A command that draws nothing does not wait for plotly."""
    code = "import sys, l4guide.plots; print([m for m in ('plotly', 'torch', 'triton') if m in sys.modules])"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "[]" == shown.strip()


def test_published_tiles_stand_against_the_limit_of_the_card(training: Advice) -> None:
    """FlashAttention-1's backward tile is beyond L4's limit, FlashAttention-2's is within it."""
    shown = {
        (block.shared_bytes, block.fits) for block in plots.blocks(training) if block.kind == "published"
    }
    assert {(155_648, False), (81_920, True)} <= shown
    assert {101_376} == {block.limit_bytes for block in plots.blocks(training)}


def test_the_limits_of_three_cards_are_drawn_with_their_numbers(training: Advice) -> None:
    """A reader sees which card would have had room."""
    drawn = [note.text for note in plots.shared_memory(training).layout.annotations]
    for limit in ("101,376", "166,912", "232,448"):
        assert any(limit in text for text in drawn)


def test_what_does_not_fit_is_told_by_more_than_colour(training: Advice) -> None:
    """Bars that do not fit carry a hatch, a word and a sign."""
    fits, over = plots.shared_memory(training).data
    assert ("fits", "does not fit") == (fits.name, over.name)
    assert fits.marker.pattern.shape != over.marker.pattern.shape
    assert all(text.endswith("✗") for text in over.text)
    assert sum(not block.fits for block in plots.blocks(training)) == len(over.x)


def test_every_estimate_is_drawn_with_its_interval(training: Advice) -> None:
    """The marker is the estimate and the line runs from the low to the high end."""
    line, marker = plots.throughput(training).data[:2]
    assert training.estimate is not None
    assert (training.estimate.tflops,) == marker.x
    low, high, _ = line.x
    assert low < training.estimate.tflops < high
    assert training.estimate.tflops * training.estimate.latency_ms == pytest.approx(
        low * training.estimate.high_ms
    )


def test_decode_is_drawn_in_bytes_a_second(decode: Advice) -> None:
    """Decode is bound by bandwidth, so its axis says GB/s."""
    figure = plots.throughput(decode)
    assert decode.estimate is not None
    assert "GB/s" in figure.layout.xaxis.title.text
    assert (decode.estimate.gb_per_s,) == figure.data[1].x


def test_the_asked_card_comes_first_in_a_shape_of_its_own(served: Advice) -> None:
    """The reader finds the card in question without its colour."""
    figure = plots.cost(served)
    assert "L4" == figure.layout.yaxis.categoryarray[0]
    assert "<b>L4</b>" == figure.layout.yaxis.ticktext[0]
    assert len({trace.marker.symbol for trace in figure.data if trace.name}) == 2


def test_prices_are_dated_where_the_pointer_rests(served: Advice) -> None:
    """Provider, date and age of the price are in the hover text."""
    assert served.model is not None
    rate = served.model.whole.rate
    assert rate is not None
    hover = plots.cost(served).data[1].customdata[0]
    for fact in (rate.provider, str(rate.as_of), str(rate.age_days), "estimated"):
        assert fact in hover


def test_a_bare_shape_has_no_figure_of_cost(training: Advice) -> None:
    """What attention alone costs decides nothing; the figure says that there is nothing to draw."""
    assert () == plots.cost(training).data


def test_measured_rows_of_this_shape_are_drawn_apart(training: Advice) -> None:
    """A recorded run of the same shape has a marker of its own; another shape and a CPU run have none."""
    same = measured_on_l4(training)
    drawn = plots.throughput(training, measurements=[same]).data[-1]
    assert ("measured, forward", (43.21,), ("L4",)) == (drawn.name, drawn.x, drawn.y)
    others = [measured_on_l4(training, head_dim=64), measured_on_l4(training, basis="interpreter")]
    assert len(plots.throughput(training).data) == len(plots.throughput(training, measurements=others).data)


def test_a_measured_decode_is_drawn_by_its_bandwidth(decode: Advice) -> None:
    """Decode moves bytes: its rows have GB/s and no TFLOP/s, and are drawn all the same."""
    drawn = plots.throughput(decode, measurements=[measured_on_l4(decode)]).data[-1]
    assert (245.6,) == drawn.x


def test_a_card_that_the_catalogue_does_not_list_is_drawn_by_its_own_name(training: Advice) -> None:
    """What was measured is shown, whatever the card is called."""
    record = replace(measured_on_l4(training), gpu=None, gpu_reported_name="NVIDIA L4 Q")
    assert ("NVIDIA L4 Q",) == plots.throughput(training, measurements=[record]).data[-1].y


def test_ticks_of_a_logarithmic_axis_are_few() -> None:
    """Cards far apart are drawn on a log axis with ticks at 1, 2 and 5."""
    figure = plots.throughput(advise("L4", {"task": "prefill", "head_dim": 128, "seqlen": 8192}))
    assert "log" == figure.layout.xaxis.type
    assert {text.strip("0.")[:1] for text in figure.layout.xaxis.ticktext} <= {"1", "2", "5"}


@pytest.mark.parametrize("draw", FIGURES)
def test_figures_have_a_height_and_readable_colours(draw: Callable[..., Any], served: Advice) -> None:
    """No figure collapses to nothing, and every colour has a contrast of 3:1 on white."""
    figure = draw(served)
    assert figure.layout.height >= 260
    assert {trace.marker.color for trace in figure.data if trace.name} <= READABLE


@pytest.mark.parametrize("draw", FIGURES)
def test_figures_speak_both_languages(draw: Callable[..., Any], served: Advice) -> None:
    """The title is another one in Chinese."""
    assert draw(served, "en").layout.title.text != draw(served, "zh").layout.title.text


@pytest.mark.parametrize("say", ALTS)
def test_alternative_texts_name_the_numbers(say: Callable[..., str], served: Advice) -> None:
    """Who cannot see the figure hears the card and its numbers."""
    for language in ("en", "zh"):
        assert "L4" in say(served, language)
        assert any(character.isdigit() for character in say(served, language).replace("L4", ""))


@pytest.mark.parametrize(("draw", "say"), list(zip(FIGURES, ALTS, strict=True)))
def test_a_figure_with_nothing_to_show_says_so(
    draw: Callable[..., Any], say: Callable[..., str], training: Advice
) -> None:
    """No estimate, price or kernel: a sentence in place of an empty frame."""
    bare = replace(
        training,
        resources=(),
        oversized=None,
        published_tiles=(),
        estimate=None,
        alternatives=(),
        question=replace(training.question, gpu=gpu("MI300X")),
    )
    assert () == draw(bare).data
    assert say(bare) == draw(bare).layout.annotations[0].text


def test_names_cannot_bring_markup_into_a_figure(served: Advice) -> None:
    """A provider called like a tag is shown as text."""
    assert served.model is not None
    hostile = replace(served, model=made_up.with_provider(served.model, "<script>alert(1)</script>"))
    assert "&lt;script&gt;" in plots.cost(hostile).data[1].customdata[0]
    assert "<script>" not in words(plots.cost(hostile))


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (101_376, "101,376"),
        (0.00123, "0.00123"),
        (12.345, "12.3"),
        (1.5, "1.50"),
        (1234.5, "1,234"),
        (0.0, "0"),
    ],
)
def test_numbers_have_three_digits(value: float, shown: str) -> None:
    """Whole numbers in full, others no more exact than they are."""
    assert shown == plots.number(value)


def test_a_model_is_priced_as_a_whole() -> None:
    """The figure of cost names the model and holds the ranking's dollars; cards that are out have none."""
    advice = advise("L4", {"model": "Llama-3.3-70B", "task": "decode"})
    assert advice.model is not None
    spent = {card.name: card.spend for card in plots.cards(advice) if card.spend is not None}
    able = [item for item in advice.model.ranking if item.place != "out"]
    assert {item.gpu.name for item in able if item.whole and item.whole.rate} == {
        card.gpu.name for card in plots.cards(advice) if card.spend is not None
    }
    assert 8 == spent["8 × L4"].number
    figure = words(plots.cost(advice))
    assert "Llama-3.3-70B" in figure
    assert "Llama-3.3-70B" in plots.cost_alt(advice)


def test_a_tile_of_other_cards_says_so_in_the_readers_language(training: Advice) -> None:
    """A published tile that an L4 does not get names the compute capabilities that do."""
    english, chinese = ([block.tile for block in plots.blocks(training, each)] for each in ("en", "zh"))
    assert any("compute capability 8.0, 9.0 only" in tile for tile in english)
    assert any("仅用于计算能力 8.0, 9.0" in tile for tile in chinese)
    assert not any("only" in tile for tile in chinese)
