"""Fitting: the same tables make the same small file, and what made the rows is found again."""

import json
import shutil
import tomllib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from l4guide.catalogue import data_folder, gpu
from l4guide.errors import BadData, BadInput
from l4guide.estimate import attention_time
from l4guide.estimate import calibration as calibrating
from l4guide.estimate import fit as fitting
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


RUN = {"status": "ok", "attention_pass": "forward", "dtype": "bf16", "implementation": "l4guide"}


def own_rows(card: str, factor: float) -> list[dict[str, object]]:
    """Made-up runs of our kernels: `factor` times what is borrowed for them, warm, and a tenth more cold."""
    rows: list[dict[str, object]] = []
    for task, lengths in (("prefill", (256, 1024, 4096)), ("decode", (4096, 16_384, 65_536))):
        for batch in (1, 8):
            for length in lengths:
                for depth in (64, 128):
                    asked = {"task": task, "batch": batch, "seqlen": length, "heads": 16, "head_dim": depth}
                    workload, _ = ask(asked)
                    warm_ms = factor * attention_time(workload, gpu(card), "l4guide").latency_ms
                    shape = {"seqlen_q": workload.seqlen_q, "seqlen_kv": length, "heads": 16, "kv_heads": 16}
                    what = {"task": task, "batch": batch, "head_dim": depth, "causal": True}
                    rows.append(RUN | what | shape | {"warm_ms": warm_ms, "latency_ms": 1.1 * warm_ms})
    return rows


@pytest.fixture
def recalibrated(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The guide with a record of an L4 committed and the fit made anew."""
    record = {"schema": 1, "gpu": "NVIDIA L4", "rows": own_rows("L4", 1.3)}
    data = tmp_path / "data"
    (data / "measurements").mkdir(parents=True)
    (data / "measurements" / "l4.json").write_text(json.dumps(record), encoding="utf-8")
    (data / "calibration").mkdir()
    shutil.copy(data_folder() / "calibration" / "assumed.toml", data / "calibration")
    for module in (fitting, calibrating):
        monkeypatch.setattr(module, "data_folder", lambda: data)
    main([str(folder)])
    calibration.cache_clear()
    yield
    calibration.cache_clear()


@pytest.mark.usefixtures("recalibrated")
@pytest.mark.parametrize("task", ["prefill", "decode"])
def test_a_committed_record_makes_our_kernels_a_measured_family(task: str) -> None:
    """Borrowed becomes measured: on that card between its rows, on another of its class carried over, and wider."""
    workload, _ = ask({"task": task, "batch": 4, "seqlen": 4096, "heads": 16, "head_dim": 128})
    here, there = (attention_time(workload, gpu(card), "l4guide") for card in ("L4", "A10G"))
    assert ("interpolated", "transferred") == (here.basis, there.basis)
    assert (False, False) == (here.borrowed, there.borrowed)
    assert ("L4",) == here.gpus
    assert here.high_ms / here.low_ms < there.high_ms / there.low_ms


def test_without_a_record_our_kernels_are_borrowed() -> None:
    """As long as no run is in the fit, the basis is a roofline, the interval a factor of two, and it says so."""
    measured = ("l4guide", "encoder", "mma") in calibration().fits
    workload, _ = ask({"task": "prefill", "seqlen": 4096})
    found = attention_time(workload, gpu("L4"), "l4guide")
    assert (not measured, not measured) == (found.basis == "roofline", found.borrowed)
    assert measured or 2 < found.high_ms / found.low_ms


def test_committed_records_are_in_the_fit() -> None:
    """A record that is committed without fitting anew is found out by its hash."""
    text = (data_folder() / "calibration" / fitting.TARGET).read_text(encoding="utf-8")
    assert {digest for _, digest in fitting.own_records()} <= set(tomllib.loads(text)["tables_sha256"])


def test_a_dozen_runs_bring_the_estimate_to_them(recalibrated: None) -> None:
    """Shapes between the runs are estimated from the runs, not from the kernel that stood in."""
    between, _ = ask({"task": "prefill", "batch": 4, "seqlen": 2048, "heads": 16, "head_dim": 128})
    after = attention_time(between, gpu("L4"), "l4guide")
    calibration.cache_clear()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(calibrating, "data_folder", data_folder)
        before = attention_time(between, gpu("L4"), "l4guide")
    assert 1.3 * before.latency_ms == pytest.approx(after.latency_ms, rel=0.15)


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
