"""Public measurements of servers, and how far the predictions lie from them."""

import numpy as np

from l4guide.catalogue import data_folder, gpus, sources
from l4guide.serving.calibration import factors, spread
from l4guide.serving.engine import engine_of, names
from l4guide.serving.fit import FEWEST, case_of, errors
from l4guide.serving.measured import architecture, served
from l4guide.toml import read_toml

LOADS = [row for row in served() if row.kind != "capacity"]


def test_rows_name_what_is_known() -> None:
    """Every row has a source, a card, a model and an engine that the guide knows, and something that was measured."""
    known, cards = {source.key for source in sources()}, {card.name for card in gpus()}
    for row in served():
        assert row.source in known
        assert row.gpu in cards
        assert architecture(row.model).layer_count
        assert engine_of(f"{row.engine}:{row.release}").name == row.engine
        assert row.output_tokens_per_s or row.kv_cache_tokens or row.kv_cache_gib
    engines = read_toml(data_folder() / "engines.toml")
    assert set(engines["sources"]) <= known
    assert set(engines["shown"]) <= cards


def test_predictions_of_the_rows() -> None:
    """Half of the rows are predicted within 15 %, and the interval holds 70 to 95 % of them."""
    cases = [case for row in LOADS if (case := case_of(row)) is not None]
    assert len(LOADS) == len(cases)
    apart = errors(cases, {"": factors("vllm"), **{name: factors(name) for name in names()}})["throughput"]
    assert np.median(np.abs(np.expm1(apart))) <= 0.15
    ends = spread("throughput")
    inside = np.mean((np.exp(-apart) >= ends.low) & (np.exp(-apart) <= ends.high))
    assert 0.7 <= inside <= 0.95


def test_what_was_left_out() -> None:
    """Each source with enough rows was left out in turn: its median error then is at most 25 %."""
    scores = read_toml(data_folder() / "calibration" / "serving.toml")
    many = [one for one in scores["left_out"] if one["rows"] >= FEWEST]
    assert len(many) >= 5
    assert max(one["median_error"] for one in many) <= 0.25
    assert sum(one["rows"] for one in scores["left_out"]) == scores["every"]["rows"]
    assert scores["every"]["median_error"] <= 0.25
    assert 0.7 <= scores["every"]["inside"] <= 0.9
