"""A recorded run as tables of Markdown: its ceilings, its rows, the bars; and the bars of all cards for README."""

from collections.abc import Iterable, Sequence

from l4guide.measure.bars import Bar, agreement, bars, disagreeing
from l4guide.measure.measurement import Measurement, Pace, Record
from l4guide.text import digits, say

#: Cards that the bars are told of even where nothing was measured yet.
CARDS = ("H100 SXM", "L4")


def record_table(record: Record, language: str = "en", earlier: Record | None = None) -> str:
    """Everything of one run, and how far it agrees with an earlier one."""
    parts = [
        _title(record, language),
        _paces(record.paces, language),
        _rows(record.rows, language),
        _left_out(record.rows, language),
        bars_of(record, language, earlier),
    ]
    return "\n\n".join(part for part in parts if part)


def bars_of(record: Record, language: str = "en", earlier: Record | None = None) -> str:
    """The bars of one run with their spread."""
    every = [*bars(record), *([agreement(record, earlier)] if earlier else [])]
    head = [say(f"bench.{name}", language) for name in ("bar", "needed", "found", "spread", "shapes")]
    body = [
        (
            say(bar.key, language),
            _amount(bar.needed, bar.unit),
            _verdict(bar, language),
            "–" if bar.low is None or bar.high is None else _between(bar),
            str(bar.rows or "–"),
        )
        for bar in every
    ]
    apart = disagreeing(record, earlier) if earlier else ()
    said = say("bench.apart", language, names=", ".join(apart)) if apart else ""
    return "\n\n".join(part for part in (_table(head, body), said) if part)


def bars_table(records: Iterable[Record], language: str = "en") -> str:
    """The bars by card, from the newest full run of each; "not measured" where there is none.

    Args:
        records: runs on GPUs, oldest first; those of the quick suite count where a card has no other.
        language: one of `l4guide.text.LANGUAGES`.
    """
    found = _by_card(records)
    columns = {card: _newest(found.get(card, ())) for card in dict.fromkeys((*CARDS, *found))}
    every = {card: _with_agreement(runs) for card, runs in columns.items()}
    head = [say("bench.bar", language), say("bench.needed", language), *columns]
    body = [
        (
            say(row[0].key, language),
            _amount(row[0].needed, row[0].unit),
            *(_verdict(b, language) for b in row),
        )
        for row in zip(*every.values(), strict=True)
    ]
    notes = [_dated(runs[0], language) for runs in columns.values() if runs]
    if missing := [card for card, runs in columns.items() if not runs]:
        notes.append(say("bench.no_record", language, gpus=", ".join(missing)))
    return "\n\n".join([_table(head, body), *notes])


def _by_card(records: Iterable[Record]) -> dict[str, list[Record]]:
    found: dict[str, list[Record]] = {}
    for record in records:
        if record.basis == "gpu" and record.suite != "live":
            found.setdefault(record.gpu or record.gpu_reported_name or "GPU", []).append(record)
    return found


def _newest(runs: Sequence[Record]) -> tuple[Record, ...]:
    """The newest full run and the full one before it; the newest quick one where there is no other."""
    full = [run for run in runs if run.suite == "full"]
    return tuple(reversed(full[-2:])) or tuple(runs[-1:])


def _with_agreement(runs: tuple[Record, ...]) -> list[Bar]:
    last = runs[0] if runs else None
    nothing = Bar(key="bar.agreement", needed=1.0, unit="%")
    return [*bars(last), agreement(runs[0], runs[1]) if len(runs) > 1 else nothing]


def _dated(run: Record, language: str) -> str:
    return say(
        "bench.dated",
        language,
        gpu=run.gpu or run.gpu_reported_name or "GPU",
        day=run.measured_at[:10],
        suite=say(f"bench.suite_{run.suite}", language),
        torch=run.libraries.get("torch", "–"),
        triton=run.libraries.get("triton", "–"),
        driver=run.driver or "–",
    )


def _title(record: Record, language: str) -> str:
    return _dated(record, language) if record.basis == "gpu" else say("bench.no_gpu", language)


def _paces(paces: Sequence[Pace], language: str) -> str:
    columns = ("what", "on", "stretch", "rate", "spread", "clock", "power", "temperature")
    body = [
        (
            pace.what,
            pace.on,
            say(f"bench.stretch_{pace.stretch}", language, seconds=digits(pace.seconds, 2)),
            f"{digits(pace.rate)} {pace.unit}",
            f"{digits(pace.low)}–{digits(pace.high)}",
            *_sensors(pace),
        )
        for pace in paces
    ]
    return _table([say(f"bench.{name}", language) for name in columns], body) if body else ""


def _rows(rows: Sequence[Measurement], language: str) -> str:
    columns = ("shape", "implementation", "pass", "time", "spread", "warm", "rate", "share", "error", "clock")
    body = [
        (
            _shape(row),
            row.implementation,
            say(f"guide_pass.{row.attention_pass}", language),
            _or_dash(row.latency_ms),
            "–"
            if row.low_ms is None or row.high_ms is None
            else f"{digits(row.low_ms)}–{digits(row.high_ms)}",
            _or_dash(row.warm_ms),
            _rate(row),
            _share(row, language),
            _error(row, language),
            _or_dash(row.sm_clock_mhz, 4),
        )
        for row in rows
        if row.status in ("ok", "wrong")
    ]
    return _table([say(f"bench.{name}", language) for name in columns], body) if body else ""


def _left_out(rows: Sequence[Measurement], language: str) -> str:
    """What has no result, each with its reason, so that no row is silently absent."""
    lines = [
        say(
            f"bench.{row.status}",
            language,
            what=row.implementation,
            shape=_shape(row),
            reason=row.reason or "–",
        )
        for row in rows
        if row.status not in ("ok", "wrong")
    ]
    return "\n".join(f"- {line}" for line in lines)


def _shape(row: Measurement) -> str:
    mask = "causal" if row.causal and row.task != "decode" else ""
    words = (
        row.task,
        f"b{row.batch}",
        f"{row.seqlen_q}×{row.seqlen_kv}",
        f"h{row.heads}/{row.kv_heads}",
        f"d{row.head_dim}",
        row.dtype,
        mask,
    )
    return " ".join(word for word in words if word)


def _rate(row: Measurement) -> str:
    if row.tflops is not None:
        return f"{digits(row.tflops)} TFLOP/s"
    return "–" if row.gb_per_s is None else f"{digits(row.gb_per_s)} GB/s"


def _share(row: Measurement, language: str) -> str:
    if row.gemm_share is not None:
        return say("bench.of_gemm", language, share=_percent(row.gemm_share))
    return "–" if row.copy_share is None else say("bench.of_copy", language, share=_percent(row.copy_share))


def _error(row: Measurement, language: str) -> str:
    if row.max_error is None:
        return say("bench.not_finite", language)
    error = f"{row.max_error:.1e}"
    return f"{error} ✕" if row.status == "wrong" else error


def _sensors(pace: Pace) -> tuple[str, str, str]:
    return _or_dash(pace.sm_clock_mhz, 4), _or_dash(pace.power_w), _or_dash(pace.temperature_c)


def _or_dash(value: float | None, significant: int = 3) -> str:
    return "–" if value is None else digits(value, significant)


def _verdict(bar: Bar, language: str) -> str:
    if bar.found is None:
        return say("bench.not_measured", language)
    against = f" ({bar.against})" if bar.against else ""
    return f"{_amount(bar.found, bar.unit)} {'✓' if bar.passed else '✕'}{against}"


def _between(bar: Bar) -> str:
    assert bar.low is not None
    assert bar.high is not None
    return f"{_amount(bar.low, bar.unit)} – {_amount(bar.high, bar.unit)}"


def _amount(value: float, unit: str) -> str:
    if unit == "%":
        return _percent(value)
    return f"{value:.2f}×" if unit == "x" else f"{value:.4f}".rstrip("0")


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _table(head: Sequence[str], body: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *body]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
