"""The estimator's errors on cards that its fit did not see, as a figure, as tables and in words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import TYPE_CHECKING

from l4guide.catalogue import gpu
from l4guide.estimate.chip import chip_of
from l4guide.estimate.power import sustained
from l4guide.estimate.scoreboard import Peer, Score, freedoms, peers, scores
from l4guide.plots.draw import BLUE, INK, VERMILLION, empty_figure, new_figure
from l4guide.text import say

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

PHASES = ("prefill", "decode", "encoder")
#: Kernels that stand for several; the others keep their own names.
TOGETHER = ("all", "flash")

#: FLOP a byte: from a generation step to a long prompt.
INTENSITIES = (1.0, 30.0, 100.0, 200.0, 1000.0)


def phase_name(phase: str, language: str = "en") -> str:
    """The phase as a reader knows it."""
    return say("score.decode_fp8" if phase == "decode-fp8" else f"score.{phase}", language)


def kernel_name(score: Score, language: str = "en") -> str:
    """The kernel as a reader knows it."""
    return say(f"score.{score.kernel}", language) if score.kernel in TOGETHER else score.kernel


def shown(phase: str) -> list[Score]:
    """What the figure of a phase shows: every card left out, with all its kernels and with FlashAttention's."""
    return [
        score
        for score in scores()
        if score.phase == phase and score.part in ("card", "kernel") and score.kernel in TOGETHER
    ]


def score_figure(phase: str = "prefill", language: str = "en") -> Figure:
    """Bars of the median error by card left out, with a line up to the ninetieth percentile."""
    rows = shown(phase)
    title = f"{say('score.title', language)}: {phase_name(phase, language)}"
    figure = new_figure(title, say("score.axis", language), len(rows), row_px=44)
    if not rows:
        return empty_figure(figure, title)
    for kernel, colour, shape in (("all", BLUE, ""), ("flash", VERMILLION, "/")):
        mine = [score for score in rows if score.kernel == kernel]
        if not mine:
            continue
        figure.add_bar(
            orientation="h",
            name=say(f"score.{kernel}", language),
            y=[score.gpu for score in mine],
            x=[score.median for score in mine],
            error_x={
                "type": "data",
                "symmetric": False,
                "array": [score.p90 - score.median for score in mine],
                "arrayminus": [0.0] * len(mine),
                "color": INK,
            },
            marker={
                "color": colour,
                "pattern": {"shape": shape, "fgcolor": "white", "size": 7, "solidity": 0.2},
            },
            customdata=[_hover(score, language) for score in mine],
            hovertemplate="%{customdata}<extra></extra>",
        )
    figure.update_layout(barmode="group")
    figure.update_xaxes(rangemode="tozero")
    return figure


def _hover(score: Score, language: str) -> str:
    values = {
        "kernel": escape(kernel_name(score, language), quote=False),
        "rows": score.rows,
        "median": score.median,
        "p90": score.p90,
        "bias": score.bias,
        "width": "–" if score.width is None else score.width,
        "coverage": "–" if score.coverage is None else score.coverage,
    }
    return f"<b>{escape(score.gpu, quote=False)}</b><br>{say('score.hover', language, **values)}"


def score_alt(phase: str = "prefill", language: str = "en") -> str:
    """The figure of `score_figure` in words."""
    rows = [
        say(
            "score.alt_row",
            language,
            gpu=score.gpu,
            phase=phase_name(score.phase, language),
            median=score.median,
            p90=score.p90,
            coverage="–" if score.coverage is None else score.coverage,
        )
        for score in shown(phase)
        if score.part == "card"
    ]
    return say("score.alt", language, rows="; ".join(rows))


def _table(head: Iterable[str], body: Iterable[Sequence[object]]) -> str:
    cells = "".join(f"<th>{escape(name)}</th>" for name in head)
    rows = "".join(
        "<tr>" + "".join(f"<td>{escape('–' if cell is None else str(cell))}</td>" for cell in row) + "</tr>"
        for row in body
    )
    return f"<table><thead><tr>{cells}</tr></thead><tbody>{rows}</tbody></table>"


def _goal(score: Score, language: str) -> str | None:
    """The goal, and whether it was met."""
    if score.goal is None:
        return None
    by = round(score.median - score.goal, 1)
    word = say("score.met", language) if by <= 0 else say("score.missed", language, by=by)
    return f"{score.goal:g}: {word}"


def score_table(parts: Sequence[str] = ("card", "kernel"), language: str = "en") -> str:
    """Errors of some parts of the scoreboard as an HTML table."""
    names = (
        "gpu",
        "phase",
        "kernel",
        "head_dim",
        "rows",
        "median",
        "p90",
        "bias",
        "coverage",
        "width",
        "goal",
    )
    return _table(
        [say(f"score.column_{name}", language) for name in names],
        [
            (
                score.gpu,
                phase_name(score.phase, language),
                kernel_name(score, language),
                score.head_dim,
                score.rows,
                score.median,
                score.p90,
                score.bias,
                score.coverage,
                score.width,
                _goal(score, language),
            )
            for score in scores()
            if score.part in parts
        ],
    )


def _verdict(peer: Peer, language: str) -> str:
    if peer.verdict == "better":
        return say("score.better", language)
    return say(f"score.{peer.verdict}", language, reason=say(peer.reason, language))


def peer_table(language: str = "en") -> str:
    """Our error beside every published formula's, as an HTML table; where ours is larger it says why."""
    names = ("gpu", "phase", "subset", "formula", "rows", "median", "times", "verdict")
    return _table(
        [say(f"score.column_{name}", language) for name in names],
        [
            (
                peer.gpu,
                phase_name(peer.phase, language),
                peer.subset,
                peer.formula,
                peer.rows,
                peer.median,
                peer.times_smaller,
                _verdict(peer, language),
            )
            for peer in peers()
        ],
    )


def freedom_table(language: str = "en") -> str:
    """How many coefficients each fit has and how many its rows settle, as an HTML table."""
    names = ("kernel", "phase", "cards", "rows", "free", "settled")
    return _table(
        [say(f"score.column_{name}", language) for name in names],
        [
            (
                fit.kernel,
                phase_name(fit.phase, language),
                ", ".join(fit.gpus),
                fit.rows,
                fit.free,
                fit.settled,
            )
            for fit in freedoms()
        ],
    )


def clock_table(names: Sequence[str] = ("L4", "T4"), language: str = "en") -> str:
    """Clock and rate that power-capped cards keep up, by arithmetic intensity, as an HTML table."""
    columns = ("card", "intensity", "clock", "tflops")
    return _table(
        [say(f"score.column_{name}", language) for name in columns],
        [
            (name, f"{at.flop_per_byte:g}", f"{at.clock_mhz:.0f}", f"{at.tflops:.1f}")
            for name in names
            for at in sustained(chip_of(gpu(name), "fp16"), INTENSITIES)
        ],
    )
