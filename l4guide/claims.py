"""Claims about attention on a card, with the evidence that a reader can run for each verdict, from `data/claims.toml`.

A claim is a proposition about what the rules say. Running it asks the rules, release by release, and derives the
verdict from what they answer; the verdict that the file states is never shown unless the two agree.
"""

from collections.abc import Mapping
from dataclasses import fields
from functools import cache
from itertools import groupby
from pathlib import Path

from l4guide.catalogue import Source, data_folder, gpu, source, sources
from l4guide.errors import BadData
from l4guide.frozen import frozen
from l4guide.support import Verdict, check, find_release, releases
from l4guide.support.entry import Entry
from l4guide.support.verdict import STATUSES
from l4guide.table import read_rows
from l4guide.text import Sentence
from l4guide.tiles import PublishedTile, published_tiles
from l4guide.toml import read_toml
from l4guide.workload import Workload, ask

VERDICTS = ("true", "true-until", "true-since", "half-true", "wrong-cause", "false")
TOPICS = ("article", "fp8", "turing")
OUTCOMES = ("tensor-cores", "runs", "stores", "casts", "no-tensor-cores", "refused")
FITS, TOO_LARGE = "fits", "too-large"


@frozen
class Series:
    """One question, put to one release or to all that somebody read.

    `role` is result (what happens), cause (an experiment on why) or instead (that the way out works, which no
    verdict hangs on). `claimed` are the statuses that the claim would have, `expect` what the answer is, and
    from which release on.
    """

    role: str
    asks: str
    library: str
    over: str
    gpu: str
    workload: Workload
    claimed: tuple[str, ...]
    expect: tuple[tuple[str, str], ...]


@frozen
class Claim:
    """A claim with its stated verdict; `turn` names the releases up to or from which it is true."""

    key: str
    topic: str
    verdict: str
    turn: tuple[str, ...]
    evidence: tuple[Series, ...]
    sources: tuple[Source, ...]

    @property
    def said(self) -> Sentence:
        """The claim, in our own words."""
        return Sentence(f"claim.said_{self.key}")

    @property
    def why(self) -> Sentence:
        """Why the verdict is what it is."""
        return Sentence(f"claim.why_{self.key}")

    @property
    def instead(self) -> Sentence:
        """What to do instead."""
        return Sentence(f"claim.instead_{self.key}")


@frozen
class Span:
    """Releases in a row that answer alike. `holds` is whether the claim has it so."""

    series: Series
    first: str
    last: str
    status: str
    holds: bool
    text: Sentence | str
    source: Source | None
    place: str


@frozen
class Finding:
    """What came of running a claim's evidence: the verdict that follows from it, not the one that is stated."""

    claim: Claim
    spans: tuple[Span, ...]
    verdict: str
    turn: tuple[str, ...]


@frozen
class Way:
    """One way to compute attention with a feature of a card, and what becomes of it there."""

    key: str
    topic: str
    gpu: str
    outcome: str
    evidence: str
    source: str
    place: str

    @property
    def said(self) -> Sentence:
        """The way in words."""
        return Sentence(f"claim.path_{self.key}")

    @property
    def origin(self) -> Source:
        """Where it was read."""
        return source(self.source)


def read_claims(path: Path) -> tuple[Claim, ...]:
    """The claims of a `claims.toml`.

    Raises:
        BadData: an entry is broken.
    """
    tables = read_toml(path).get("claim", [])
    return tuple(_claim(path.name, number, table) for number, table in enumerate(tables, 1))


def _claim(file: str, number: int, table: Mapping[str, object]) -> Claim:
    entry = Entry(table, file, f"claim {number}")
    known = {item.key for item in sources()}
    claim = Claim(
        key=entry.take("key", str),
        topic=entry.choice("topic", TOPICS),
        verdict=entry.choice("verdict", VERDICTS),
        turn=tuple(entry.take("turn", list, [])),
        evidence=tuple(_series(file, number, item) for item in entry.take("evidence", list)),
        sources=tuple(source(key) for key in entry.choices("sources", known)),
    )
    entry.done()
    return claim


def _series(file: str, number: int, table: object) -> Series:
    entry = Entry(table, file, f"claim {number}, evidence")
    series = Series(
        role=entry.choice("role", ("result", "cause", "instead"), "result"),
        asks=entry.choice("asks", ("support", "tile"), "support"),
        library=entry.take("library", str),
        over=entry.take("over", str),
        gpu=entry.take("gpu", str, "L4"),
        workload=ask(entry.take("options", dict))[0],
        claimed=entry.choices("claimed", (*STATUSES, FITS, TOO_LARGE)),
        expect=tuple(entry.take("expect", dict).items()),
    )
    entry.done()
    return series


@cache
def claims() -> tuple[Claim, ...]:
    """Every claim, in the order of the file."""
    return read_claims(data_folder() / "claims.toml")


@cache
def paths() -> tuple[Way, ...]:
    """Every way that was looked into, topic by topic."""
    rows = read_rows(data_folder() / "paths.csv", [f.name for f in fields(Way)], ["key"])
    known = {item.key for item in sources()}
    for row in rows:
        row.check_known("topic", [row.cells["topic"]], TOPICS, "topics")
        row.check_known("outcome", [row.cells["outcome"]], OUTCOMES, "outcomes")
        row.check_known("source", [row.cells["source"]], known, "sources.csv")
    return tuple(row.fill(Way) for row in rows)


def run(claim: Claim) -> Finding:
    """Put the claim's questions to the rules and see what follows.

    Raises:
        BadData: the file asks for a tile that nobody published.
    """
    spans = [_spans(series) for series in claim.evidence]
    verdict, turn = _verdict(spans)
    return Finding(
        claim=claim, spans=tuple(span for each in spans for span in each), verdict=verdict, turn=turn
    )


def _spans(series: Series) -> tuple[Span, ...]:
    """The answers of a series, releases that answer alike taken together; what nobody knows is left out."""
    if series.asks == "tile":
        return (_tile_span(series),)
    known = [release.version for release in releases(series.library) if release.checked]
    asked = known if series.over == "all" else [_release(series)]
    answers = [check(series.workload, gpu(series.gpu), series.library, version) for version in asked]
    answered = [answer for answer in answers if answer.status != "unknown"]
    grouped = (tuple(alike) for _, alike in groupby(answered, key=lambda answer: answer.status))
    return tuple(_span(series, alike) for alike in grouped)


def _release(series: Series) -> str:
    return find_release(series.library, None if series.over == "newest" else series.over).version


def _span(series: Series, alike: tuple[Verdict, ...]) -> Span:
    last = alike[-1]
    reason = last.met_first
    return Span(
        series=series,
        first=alike[0].version,
        last=last.version,
        status=last.status,
        holds=last.status in series.claimed,
        text=last.message,
        source=last.source if reason is None else reason.source,
        place=last.place if reason is None else reason.place,
    )


def _tile_span(series: Series) -> Span:
    """A published backward tile beside the shared memory that the card gives a block."""
    version, card = _release(series), gpu(series.gpu)
    limit, tile = card.shared_bytes_per_block, _tile(series, version, card.capability)
    if tile is None or limit is None:
        raise BadData("error.no_tile", library=series.library, version=version, gpu=card.name)
    status = FITS if tile.shared_bytes <= limit else TOO_LARGE
    values = {"bytes": f"{tile.shared_bytes:,}", "gpu": card.name, "limit": f"{limit:,}"}
    return Span(
        series=series,
        first=version,
        last=version,
        status=status,
        holds=status in series.claimed,
        text=Sentence("claim.tile", values),
        source=source(tile.source),
        place=tile.place,
    )


def _tile(series: Series, version: str, capability: str | None) -> PublishedTile | None:
    asked = series.workload
    shape = {"head_dim": asked.head_dim, "causal": asked.causal, "dropout": asked.dropout > 0}
    return next(
        (
            tile
            for tile in published_tiles()
            if tile.library == series.library
            and tile.covers(version)
            and capability in tile.capabilities
            and tile.serves(pass_name=asked.passes[-1], **shape)  # type: ignore[arg-type]
        ),
        None,
    )


def _verdict(series: list[tuple[Span, ...]]) -> tuple[str, tuple[str, ...]]:
    """What follows from the answers, and at which releases it turns."""
    causes = [span.holds for spans in series for span in spans if span.series.role == "cause"]
    if causes and not all(causes):
        return ("half-true" if any(causes) else "wrong-cause"), ()
    results = [_of_series(spans) for spans in series if spans and spans[0].series.role == "result"]
    verdicts = {verdict for verdict, _ in results}
    if len(verdicts) > 1:
        return "half-true", ()
    turns = dict.fromkeys(turn for _, turn in results if turn)
    return (verdicts.pop() if verdicts else "true"), tuple(turns)


def _of_series(spans: tuple[Span, ...]) -> tuple[str, str]:
    """The verdict of one question over its releases, and the release at which it turns."""
    held = [holds for holds, _ in groupby(span.holds for span in spans)]
    if held == [True]:
        return "true", ""
    if held == [False]:
        return "false", ""
    library = spans[0].series.library
    if held == [True, False]:
        return "true-until", f"{library} {[span.last for span in spans if span.holds][-1]}"
    if held == [False, True]:
        return "true-since", f"{library} {next(span.first for span in spans if span.holds)}"
    return "half-true", ""
