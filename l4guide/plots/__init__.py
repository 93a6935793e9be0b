"""An `Advice` or a `Timeline` as plotly figures, each with the rows it is drawn from and a text that says the same.

Importing this loads no plotly; drawing does.
"""

from l4guide.plots.alt import cost_alt, shared_memory_alt, throughput_alt
from l4guide.plots.breakeven import breakeven_alt, breakeven_figure
from l4guide.plots.draw import CONFIG, cost, shared_memory, throughput
from l4guide.plots.frontier import frontier_alt, frontier_figure
from l4guide.plots.history import timeline_alt, timeline_figure
from l4guide.plots.ledger import ledger_alt, ledger_figure, ledger_name, verdict_of
from l4guide.plots.rows import Block, Card, Rate, blocks, cards, measured, number, rate, tile_text
from l4guide.plots.scores import clock_table, freedom_table, peer_table, score_alt, score_figure, score_table

__all__ = [
    "CONFIG",
    "Block",
    "Card",
    "Rate",
    "blocks",
    "breakeven_alt",
    "breakeven_figure",
    "cards",
    "clock_table",
    "cost",
    "cost_alt",
    "freedom_table",
    "frontier_alt",
    "frontier_figure",
    "ledger_alt",
    "ledger_figure",
    "ledger_name",
    "measured",
    "number",
    "peer_table",
    "rate",
    "score_alt",
    "score_figure",
    "score_table",
    "shared_memory",
    "shared_memory_alt",
    "throughput",
    "throughput_alt",
    "tile_text",
    "timeline_alt",
    "timeline_figure",
    "verdict_of",
]
