"""What the kernels are held to, and where a recorded run stands: pure, from its rows.

A ratio is the geometric mean, over the shapes that both ran, of another's time by ours; its interval is that of the
20th and 80th percentiles of the times, which is the spread that two runs must agree within.
"""

from collections.abc import Iterable, Sequence
from dataclasses import fields, replace
from statistics import geometric_mean

from l4guide.frozen import frozen
from l4guide.measure.measurement import Measurement, Record

SDPA = ("torch/flash", "torch/cudnn", "torch/efficient", "torch/math")
#: What a row is of, besides who computed it.
SHAPE = (
    *("section", "task", "attention_pass", "batch", "seqlen_q", "seqlen_kv", "heads", "kv_heads"),
    *("head_dim", "dtype", "causal"),
)
OWN = "l4guide"


@frozen
class Bar:
    """One bar: `needed` or more, and what was found with the ends of its spread; None where it was not measured.

    `key` is that of its sentence. `rows` is how many shapes it is the mean of, `against` which peer, where the bar is
    against the best of several.
    """

    key: str
    needed: float
    unit: str
    found: float | None = None
    low: float | None = None
    high: float | None = None
    rows: int = 0
    against: str | None = None

    @property
    def name(self) -> str:
        """What it is called in data."""
        return self.key.removeprefix("bar.")

    @property
    def passed(self) -> bool | None:
        """Whether it is met; None when it was not measured."""
        return None if self.found is None else self.found >= self.needed

    def to_json(self) -> dict[str, object]:
        """The bar without what is not known."""
        known = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "key"}
        known = {"name": self.name, **known, "passed": self.passed}
        return {name: value for name, value in known.items() if value is not None}


Rows = Sequence[Measurement]
Ratio = tuple[float, float, float]


def bars(record: Record | None) -> tuple[Bar, ...]:
    """Every bar with what `record` says of it, in the order of the tables that show them; None says nothing of any."""
    rows = [r for r in (record.rows if record else ()) if r.status == "ok" and r.latency_ms is not None]
    found: list[Bar] = []
    for width in (64, 128, 256):
        at = _at(rows, "training", width, "forward")
        found.append(_against(f"bar.forward_{width}_flash", 1.25, at, "torch/flash"))
        found.append(_against_fastest(f"bar.forward_{width}_fastest", 0.85, at))
    for width in (64, 128, 256):
        at = _at(rows, "training", width, "backward")
        found.append(_against(f"bar.backward_{width}_flash", 1.1, at, "torch/flash"))
    for width, needed in ((72, 1.3), (80, 1.3), (96, 1.15), (192, 1.15)):
        for attention_pass in ("forward", "backward"):
            at = _at(rows, "padded", width, attention_pass)
            found.append(_against(f"bar.padded_{width}_{attention_pass}", needed, at, "l4guide/padded"))
    decode = [row for row in rows if row.section == "decode"]
    found.append(_copy_share(decode))
    found.append(_against_each("bar.decode_peers", 1.0, decode))
    found.append(_against("bar.decode_paged", 0.95, decode, OWN, "l4guide/paged"))
    found.append(_against("bar.decode_fp8", 1.6, decode, OWN, "l4guide/kv-fp8"))
    found += [_cosine(rows, values) for values in ("fp16", "fp8")]
    return tuple(found)


def agreement(record: Record, earlier: Record) -> Bar:
    """How many of the ratios that both runs have agree, their intervals meeting: all of them must."""
    both = _both(record, earlier)
    share = sum(_meet(*pair) for pair in both) / len(both) if both else None
    return Bar(key="bar.agreement", needed=1.0, unit="%", found=share, rows=len(both))


def disagreeing(record: Record, earlier: Record) -> tuple[str, ...]:
    """The names of the ratios whose intervals do not meet."""
    return tuple(one.name for one, other in _both(record, earlier) if not _meet(one, other))


def _both(record: Record, earlier: Record) -> list[tuple[Bar, Bar]]:
    """The ratios of times that both runs have."""
    pairs = zip(bars(record), bars(earlier), strict=True)
    return [(one, other) for one, other in pairs if one.unit == "x" and one.rows and other.rows]


def _meet(one: Bar, other: Bar) -> bool:
    assert one.low is not None
    assert one.high is not None
    assert other.low is not None
    assert other.high is not None
    return one.low <= other.high and other.low <= one.high


def _at(rows: Rows, section: str, width: int, attention_pass: str) -> list[Measurement]:
    wanted = (section, width, attention_pass)
    return [row for row in rows if wanted == (row.section, row.head_dim, row.attention_pass)]


def _of(rows: Rows, implementation: str) -> dict[tuple[object, ...], Measurement]:
    return {
        tuple(getattr(row, name) for name in SHAPE): row
        for row in rows
        if row.implementation == implementation
    }


def _ratios(rows: Rows, theirs: str, mine: str) -> list[Ratio]:
    """Their time by ours on each shape that both ran, with the ends of its spread."""
    ours = _of(rows, mine)
    return [_ratio(row, ours[shape]) for shape, row in _of(rows, theirs).items() if shape in ours]


def _ratio(theirs: Measurement, mine: Measurement) -> Ratio:
    (a, a_low, a_high), (b, b_low, b_high) = _times(theirs), _times(mine)
    return a / b, a_low / b_high, a_high / b_low


def _times(row: Measurement) -> Ratio:
    assert row.latency_ms is not None
    return row.latency_ms, row.low_ms or row.latency_ms, row.high_ms or row.latency_ms


def _against(key: str, needed: float, rows: Rows, theirs: str, mine: str = OWN) -> Bar:
    return _mean(Bar(key=key, needed=needed, unit="x"), _ratios(rows, theirs, mine))


def _against_fastest(key: str, needed: float, rows: Rows) -> Bar:
    """The backend of PyTorch's that is fastest on each shape, by ours."""
    fastest: dict[tuple[object, ...], Measurement] = {}
    for backend in SDPA:
        for shape, row in _of(rows, backend).items():
            fastest[shape] = min(row, fastest.get(shape, row), key=lambda one: _times(one)[0])
    ours = _of(rows, OWN)
    ratios = [_ratio(row, ours[shape]) for shape, row in fastest.items() if shape in ours]
    return _mean(Bar(key=key, needed=needed, unit="x"), ratios)


def _against_each(key: str, needed: float, rows: Rows) -> Bar:
    """The one of all other libraries that ours does worst against, over the shapes that both ran."""
    others = sorted({r.implementation for r in rows if not r.implementation.startswith(OWN)})
    each = [replace(_against(key, needed, rows, other), against=other) for other in others]
    known = [bar for bar in each if bar.found is not None]
    return min(known, key=lambda bar: bar.found or 0.0, default=Bar(key=key, needed=needed, unit="x"))


def _copy_share(rows: Rows) -> Bar:
    """The share of the bandwidth of copying that our decoding reads its cache with."""
    mine = [row for row in rows if row.implementation == OWN and row.copy_share is not None]
    shares = []
    for row in mine:
        latency, low, high = _times(row)
        share = row.copy_share or 0.0
        shares.append((share, share * latency / high, share * latency / low))
    return _mean(Bar(key="bar.decode_copy", needed=0.85, unit="%"), shares)


def _cosine(rows: Rows, values: str) -> Bar:
    """The worst cosine to fp64 of attention in 8 bits; the bounds of its error are no ratio of times."""
    mine = [row for row in rows if row.implementation == f"{OWN}/int8-{values}"]
    cosines = [row.cosine for row in mine if row.cosine is not None]
    bar = Bar(key=f"bar.cosine_{values}", needed=0.999, unit="")
    return replace(bar, found=min(cosines), rows=len(cosines)) if cosines else bar


def _mean(bar: Bar, ratios: Iterable[Ratio]) -> Bar:
    columns = list(zip(*ratios, strict=True))
    if not columns:
        return bar
    found, low, high = (geometric_mean(column) for column in columns)
    return replace(bar, found=found, low=low, high=high, rows=len(columns[0]))
