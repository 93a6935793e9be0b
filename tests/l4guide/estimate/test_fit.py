"""Fitting: the same tables make the same small file, and what made the rows is found again."""

import json
import tomllib
from pathlib import Path

import numpy as np
import pytest

from l4guide.catalogue import gpu
from l4guide.errors import BadData, BadInput
from l4guide.estimate.calibration import calibration
from l4guide.estimate.chip import chip_of
from l4guide.estimate.fit import document, main, merged
from l4guide.estimate.heldout import Study, fit_rows
from l4guide.estimate.model import time_of
from l4guide.estimate.problems import problems_of
from l4guide.estimate.tables import read_tables
from l4guide.workload import ask

CARDS = {
    "L40S": "L40S",
    "RTX-PRO-6000-Server": "RTX PRO 6000 Blackwell Server",
    "A100-SXM4-80GB": "A100-80GB-SXM",
}
HEAD = "gpu,framework,kernel,batch,seqlen,heads_q,heads_kv,head_dim,dtype,latency_ms,tflops_causal,frac_peak"
SHAPES = [
    (batch, seqlen, heads, depth)
    for batch in (1, 8)
    for seqlen in (128, 512, 2048, 8192)
    for heads in (4, 32)
    for depth in (64, 128)
]


def measured_us(card: str) -> list[float]:
    """What the shipped model says of the shapes on a card, with the noise of a measurement."""
    fit = calibration().fits["fa2", "prefill", "mma"]
    workloads = [
        ask({"task": "prefill", "batch": b, "seqlen": s, "heads": h, "kv_heads": h, "head_dim": d})[0]
        for b, s, h, d in SHAPES
    ]
    noise = np.exp(np.random.default_rng(len(card)).normal(0, 0.03, len(SHAPES)))
    times = time_of("prefill", "fa2", fit.coefficients, chip_of(gpu(card)), problems_of(workloads))
    return [float(us) for us in times.total * noise]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tables in the format of aiconfigurator, made by the model and noise."""
    path = tmp_path_factory.mktemp("tables")
    for name, card in CARDS.items():
        lines = [
            f"{name},vllm 0.24.0,vllm_flash_attn_fa2,{b},{s},{h},{h},{d},bfloat16,{us / 1e3},0,0"
            for (b, s, h, d), us in zip(SHAPES, measured_us(card), strict=True)
        ]
        (path / f"aic_prefill_{card.split()[0]}.csv").write_text("\n".join([HEAD, *lines]), encoding="utf-8")
    return path


def test_the_fit_finds_what_made_the_rows(folder: Path) -> None:
    """A card that was left out is predicted to within the noise, with coefficients from the others."""
    rows, _ = read_tables(folder)
    group = Study(rows).group(("fa2", "prefill", "mma"), "L40S")
    assert group is not None
    assert group.summary().median < 0.05


def test_the_same_tables_make_the_same_file(folder: Path) -> None:
    """Nothing in it depends on when or where it was made; it holds no measured row."""
    first, second = (document(Study(rows), digests) for rows, digests in (merged([folder]), merged([folder])))
    assert first == second
    made = tomllib.loads(first)
    assert [96] == [fit["rows"] for fit in made["fit"]]
    assert 64 == len(made["tables_sha256"][0])
    assert set(CARDS.values()) == {one["gpu"] for one in made["fit"][0]["held_out"]}
    assert all(0 < error < 3 for error in made["fit"][0]["errors"].values())
    assert len(first) < 5_000


def test_other_tables_have_another_hash(folder: Path, tmp_path: Path) -> None:
    """The file says which tables it was made from."""
    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes() + b"\n")
    assert read_tables(folder)[1] != read_tables(tmp_path)[1]


def test_own_records_are_read_like_tables(tmp_path: Path) -> None:
    """Forward passes that `l4guide measure` timed on a GPU are rows of our kernels; all else is passed over."""
    row = {
        "implementation": "l4guide",
        "status": "ok",
        "task": "prefill",
        "attention_pass": "forward",
        "batch": 2,
        "seqlen_q": 512,
        "seqlen_kv": 512,
        "heads": 8,
        "kv_heads": 8,
        "head_dim": 64,
        "dtype": "bf16",
        "causal": True,
        "latency_ms": 0.25,
    }
    others = [{**row, "attention_pass": "backward"}, {**row, "status": "wrong"}, {**row, "dtype": "fp32"}]
    record = {"schema": 1, "gpu": "L4", "rows": [row, *others]}
    (tmp_path / "run.json").write_text(json.dumps(record), encoding="utf-8")
    rows, _ = read_tables(tmp_path)
    assert (["L4"], ["l4guide"], ["encoder"]) == (
        rows.gpu.tolist(),
        rows.family.tolist(),
        rows.phase.tolist(),
    )
    assert [250.0] == rows.measured_us.tolist()


def test_a_record_of_a_cpu_has_no_time(tmp_path: Path) -> None:
    """The interpreter's records say nothing of a card, and a folder of only those has no row."""
    (tmp_path / "run.json").write_text(json.dumps({"schema": 1, "gpu": None, "rows": []}), encoding="utf-8")
    with pytest.raises(BadInput, match="no measured table"):
        read_tables(tmp_path)


def test_a_broken_table_is_named(tmp_path: Path) -> None:
    """The file and what is wrong with it."""
    (tmp_path / "aic_prefill_x.csv").write_text("gpu,kernel\nL40S,vllm_flash_attn_fa2\n", encoding="utf-8")
    with pytest.raises(BadData, match=r"aic_prefill_x\.csv"):
        read_tables(tmp_path)


def test_without_a_folder_it_asks_for_one() -> None:
    """The message says what a folder must hold."""
    with pytest.raises(BadInput, match="aic_"):
        main([])


def test_every_card_weighs_the_same(folder: Path) -> None:
    """Leaving out most rows of one card hardly moves the fit, since cards and not rows are counted."""
    rows, _ = read_tables(folder)
    few = (rows.gpu != "L40S") | (np.arange(len(rows)) % 4 == 0)
    whole, part = (fit_rows(some, "fa2", "prefill").values for some in (rows, rows.take(few)))
    assert whole["tensor"] == pytest.approx(part["tensor"], rel=0.05)
