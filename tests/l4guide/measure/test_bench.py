"""The benchmark inside the worker, on the CPU with implementations and a clock of our own making."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from l4guide_kernels.reference import reference_attention

from l4guide.errors import CannotDo
from l4guide.measure import bench, ceilings
from l4guide.measure.bench import Bench, Work, pieces
from l4guide.measure.identity import Device
from l4guide.measure.measurement import Measurement, Pace, pace_from_json, row_from_json
from l4guide.measure.peer import Peer
from l4guide.measure.place import Place
from l4guide.measure.suite import Item
from l4guide.measure.timing import Timing
from l4guide.workload import Workload, ask

PLACE = Place(basis="interpreter", gpu="L4", arch=89, shared_limit_bytes=101_376)
CARD = Device(name="NVIDIA L4", capability="8.9", memory_bytes=2**34, l2_bytes=2**25, sm_count=58)


def right(workload: Workload) -> Any:
    """A correct implementation."""
    return lambda q, k, v: reference_attention(q, k, v, causal=workload.causal)[0]


def wrong(workload: Workload) -> Any:
    """One that raises."""
    raise NotImplementedError(f"head_dim {workload.head_dim}")


def wider(_: Workload, *tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Tensors with as many columns of zeros beside them."""
    return tuple(torch.nn.functional.pad(x, (0, x.shape[-1])) for x in tensors)


def on_wide_heads(workload: Workload) -> Any:
    """A correct implementation that is told the scale of narrower heads."""
    scale = workload.head_dim**-0.5
    return lambda q, k, v: reference_attention(q, k, v, causal=workload.causal, softmax_scale=scale)[0]


PEERS = {
    "right": Peer(name="right", distribution="torch", bind=right),
    "padded": Peer(name="padded", distribution="torch", bind=on_wide_heads, lay=wider),
    "wrong": Peer(name="wrong", distribution="torch", bind=wrong),
    "absent": Peer(name="absent", distribution="no-such-distribution", bind=right),
}


class Stopwatch:
    """Calls once and says a millisecond."""

    uuid = None

    def __init__(self, **_: object) -> None:
        pass

    def time(self, call: Any) -> Timing:
        """One call, one millisecond."""
        call()
        return Timing(
            latency_ms=1.0,
            low_ms=0.9,
            high_ms=1.1,
            warm_ms=0.8,
            repeats=10,
            sm_clock_mhz=None,
            power_w=None,
            temperature_c=None,
        )


@pytest.fixture(autouse=True)
def stand_ins(monkeypatch: pytest.MonkeyPatch) -> None:
    """Our implementations in place of the real ones, and no card."""
    monkeypatch.setattr(bench, "PEERS", PEERS)
    monkeypatch.setattr(bench, "Stopwatch", Stopwatch)
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)


def item(section: str, names: str, **options: object) -> Item:
    """A small fp32 problem."""
    small = {"task": "training", "seqlen": 24, "heads": 2, "head_dim": 16, "dtype": "fp32", **options}
    return Item(section=section, workload=ask(small)[0], implementations=tuple(names.split()))


ITEMS = (
    item("training", "right wrong absent"),
    item("padded", "right padded absent", head_dim=12),
    item("more", "right", seqlen=30),
)


class Events:
    """What was emitted, and what it amounts to."""

    def __init__(self) -> None:
        self.all: list[dict[str, Any]] = []

    def __call__(self, kind: str, **content: object) -> None:
        """One more."""
        self.all.append({"kind": kind, **content})

    def of(self, kind: str, name: str) -> list[Any]:
        """One value of all events of a kind."""
        return [event[name] for event in self.all if event["kind"] == kind]

    @property
    def rows(self) -> list[Measurement]:
        """The rows, as whoever listens reads them."""
        return [row_from_json(row) for row in self.of("row", "row")]


def run(works: list[Work], *, card: Device | None = CARD, clock: Any = lambda: 0.0, **options: Any) -> Events:
    """All events of some works."""
    events = Events()
    one = Bench(place=PLACE, suite="quick", card=card, emit=events, clock=clock)
    one.run(works, **{"done": frozenset(), "seconds": None, **options})
    return events


def test_everybody_gets_a_row() -> None:
    """Right, refusing and missing implementations are told apart, each row with its section and time."""
    events = run(pieces(ITEMS, timed=False))
    told = [(row.section, row.implementation, row.attention_pass, row.status) for row in events.rows]
    assert [
        ("training", "right", "forward", "ok"),
        ("training", "right", "backward", "ok"),
        ("training", "wrong", "forward", "refused"),
        ("training", "absent", "forward", "not_installed"),
        ("padded", "right", "forward", "ok"),
        ("padded", "right", "backward", "ok"),
        ("padded", "padded", "forward", "ok"),
        ("padded", "padded", "backward", "ok"),
        ("more", "right", "forward", "ok"),
        ("more", "right", "backward", "ok"),
    ] == told
    assert {1.0} == {row.latency_ms for row in events.rows if row.status == "ok"}
    assert events.of("done", "work") == events.of("progress", "work")


def test_what_is_done_is_passed_over() -> None:
    """Keys that were finished before are not begun again."""
    works = pieces(ITEMS, timed=False)
    events = run(works, done=frozenset(work.key for work in works[:-1]))
    assert [works[-1].key] == events.of("done", "work")
    assert len({work.key for work in works}) == len(works)


def test_a_budget_ends_between_two_pieces() -> None:
    """With three ticks of a clock the third piece is begun and finished; how many are left is said."""
    ticks: Iterator[float] = iter(range(100))
    works = pieces(ITEMS, timed=False)
    events = run(works, clock=lambda: float(next(ticks)), seconds=4)
    assert [work.key for work in works[:3]] == events.of("done", "work")
    assert [("measure.budget_spent", len(works) - 3)] == [
        (event["key"], event["values"]["left"]) for event in events.all if event["kind"] == "finished"
    ]


def test_a_shape_without_room_is_refused_by_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """Inputs that do not fit the card cost their own rows, with the reason."""

    def no_room(*_: object) -> None:
        raise CannotDo("error.out_of_memory", gpu="L4", batch=1, seqlen_kv=24)

    monkeypatch.setattr(bench, "prepare", no_room)
    rows = run(pieces(ITEMS[:1], timed=False)).rows
    assert ["refused"] * 3 == [row.status for row in rows]
    assert all("not enough free memory" in str(row.reason) for row in rows)


def test_ceilings_come_first_and_attention_s_paces_after_one_of_each(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run cut short still has the card's ceilings; ours and the fastest backend are kept at work for a while."""
    monkeypatch.setattr(bench, "STEADY", ("right", "torch/fastest"))
    monkeypatch.setattr(bench, "SDPA", (PEERS["wrong"], PEERS["padded"]))
    works = pieces((*ITEMS, item("more", "right", seqlen=40)), timed=True)
    keys = [work.key for work in works]
    assert ["pace: gemm", "pace: copy", "pace: read"] == keys[:3]
    assert ["pace: right", "pace: torch/fastest"] == keys[-3:-1]

    def paces(load: ceilings.Load, suite: str, uuid: object) -> Iterator[Pace]:
        assert ("quick", None) == (suite, uuid)
        load.call()
        rate = load.amount / load.scale
        yield Pace(
            what=load.what, on=load.on, stretch="first", seconds=1, rate=rate, low=1, high=9, unit=load.unit
        )

    monkeypatch.setattr(ceilings, "paces", paces)
    events = run([work for work in works if work.is_pace])
    found = [pace_from_json(pace) for pace in events.of("pace", "pace")]
    assert [("right", ITEMS[0].key), ("padded", ITEMS[0].key)] == [(pace.what, pace.on) for pace in found]
    assert {4 * 2 * 16 * 24 * 25 / 2 / 1e12} == {pace.rate for pace in found}


def test_a_pace_that_fails_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no backend runs there is a sentence and no figure, and the run goes on."""
    monkeypatch.setattr(bench, "SDPA", (PEERS["wrong"],))
    events = run([Work(what="torch/fastest", item=ITEMS[0], is_pace=True), *pieces(ITEMS[2:], timed=False)])
    assert "measure.no_pace" in [event.get("key") for event in events.all]
    assert ["ok", "ok"] == [row.status for row in events.rows]


def test_a_run_that_was_begun_elsewhere_is_refused() -> None:
    """The worker compares who it is with who began, and names each difference."""
    request = {"suite": "quick", "identity": {"gpu": "L4", "driver": "580"}}
    with pytest.raises(CannotDo, match=r"driver 580 → -; .*kernels - → [0-9a-f]{12}"):
        bench.run_suite(request, Events())
