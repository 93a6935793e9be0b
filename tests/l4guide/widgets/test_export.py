"""The files that the user takes away."""

import gzip
import json
from typing import Any

import pytest

from l4guide.widgets.export import DownloadButton
from l4guide.widgets.page import Guide

Sent = list[tuple[dict[str, Any], bytes]]


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> Sent:
    """What the buttons have sent to the browser: the message and the file."""
    found: Sent = []
    monkeypatch.setattr(
        DownloadButton,
        "send",
        lambda _self, content, buffers=None: found.append((content, gzip.decompress(buffers[0]))),
    )
    return found


def click(button: DownloadButton) -> None:
    """What the browser says when the button is pressed."""
    button._handle_custom_msg({"kind": "wanted"}, [])


def test_the_page_is_named_after_the_question_and_is_complete(guide: Guide, sent: Sent) -> None:
    """The HTML file holds the verdict of the question that is on the screen."""
    guide.state.gpu, guide.state.head_dim = "RTX 6000 Ada", "64"
    click(guide.export.html)
    ((message, page),) = sent
    assert "l4guide-rtx-6000-ada-training-d64.html" == message["name"]
    assert "RTX 6000 Ada" in page.decode()
    assert page.decode().rstrip().endswith("</html>")


def test_the_json_is_the_answer_in_the_language_of_the_page(guide: Guide, sent: Sent) -> None:
    """The data file says what `l4guide advise --json` says."""
    guide.state.language = "zh"
    click(guide.export.json)
    ((message, content),) = sent
    assert "l4guide-l4-training-d128.json" == message["name"]
    said = json.loads(content)
    assert guide.state.advice.headline.say("zh") == said["headline"]


def test_a_report_that_fails_is_said(guide: Guide, sent: Sent, monkeypatch: pytest.MonkeyPatch) -> None:
    """The button never does nothing: the error line says why there is no file."""

    def fail(*_: object) -> str:
        raise RuntimeError("no template")

    monkeypatch.setattr("l4guide.report.render", fail)
    click(guide.export.html)
    assert [] == sent
    assert "no template" in guide.state.error.say()
