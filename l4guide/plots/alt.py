"""The figures in words, for those who cannot see them."""

from l4guide.advise import Advice
from l4guide.plots.draw import cost_title
from l4guide.plots.rows import blocks, cards, number, rate
from l4guide.text import say


def shared_memory_alt(advice: Advice, language: str = "en") -> str:
    """The figure of `shared_memory` in words."""
    gpu = advice.question.gpu
    if gpu.shared_bytes_per_block is None or not blocks(advice):
        return say("plot.shared_none", language, gpu=gpu.name)
    rows = [
        say(
            "plot.shared_alt_row",
            language,
            name=block.name,
            tile=block.tile,
            shared_bytes=number(block.shared_bytes),
            verdict=say("plot.fits" if block.fits else "plot.does_not_fit", language),
        )
        for block in blocks(advice, language)
    ]
    limit = number(gpu.shared_bytes_per_block)
    return say("plot.shared_alt", language, gpu=gpu.name, limit_bytes=limit, rows="; ".join(rows))


def throughput_alt(advice: Advice, language: str = "en") -> str:
    """The figure of `throughput` in words."""
    task = advice.question.workload.task
    found = [
        (card.gpu.name, rate(card.estimate, task)) for card in cards(advice) if card.estimate is not None
    ]
    if not found:
        return say("plot.estimate_none", language)
    rows = [f"{name} {number(r.value)} ({number(r.low)}–{number(r.high)}) {r.unit}" for name, r in found]
    return say("plot.throughput_alt", language, rows="; ".join(rows))


def cost_alt(advice: Advice, language: str = "en") -> str:
    """The figure of `cost` in words."""
    found = [(card.name, card.spend) for card in cards(advice) if card.spend is not None]
    if not found:
        return say("plot.cost_none", language)
    rows = [
        f"{name} ${number(spend.usd)} (${number(spend.low)}–${number(spend.high)})" for name, spend in found
    ]
    return say("plot.cost_alt", language, title=cost_title(advice, language), rows="; ".join(rows))
