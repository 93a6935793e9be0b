"""Texts as they arrive: coloured, prefixed, wrapped, framed, cut, in other encodings, or no text at all."""

import textwrap
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from l4guide.diagnose import diagnose, read_paste
from l4guide.diagnose.paste import READ_AT_END, READ_AT_START
from l4guide.errors import BadInput, CannotDo
from l4guide.support.reader import rulebooks

MESSAGE = (
    "triton.runtime.errors.OutOfResources: out of resource: shared memory, Required: 131074, Hardware limit: "
    "101376. Reducing block sizes or `num_stages` may help."
)
PREFIX = "(EngineCore_DP0 pid=1576517) ERROR 12-07 17:00:35 [core.py:867] "
#: With one of these in front, or zeros inside, bytes are read as UTF-16, and that may hold only spaces.
MARKS = (b"\xff\xfe", b"\xfe\xff")
WORDS = sorted({word for book in rulebooks() for rule in book.rules for word in (rule.text or "").split()})


def hard_wrapped(width: int) -> str:
    """The message cut after every `width` characters, as a narrow terminal copies it."""
    return "\n".join(MESSAGE[at : at + width] for at in range(0, len(MESSAGE), width))


ARRIVALS = {
    "plain": MESSAGE,
    "windows": f"Traceback\r\n{MESSAGE}\r\n",
    "old mac": f"Traceback\r{MESSAGE}\r",
    "coloured": f"\x1b[31;1mtriton\x1b[0m{MESSAGE[6:40]}\x1b[38;5;196m{MESSAGE[40:]}\x1b[0m",
    "prefixed": "\n".join(PREFIX + line for line in textwrap.wrap(MESSAGE, 50)),
    "ranks": "\n".join(f"[rank3]: {line}" for line in textwrap.wrap(MESSAGE, 50)),
    "quoted": "\n".join(f"> {line}" for line in textwrap.wrap(MESSAGE, 50)),
    "pytest": "\n".join(f"E   {line}" for line in textwrap.wrap(MESSAGE, 50)),
    "framed": "\n".join(f"│ {line:<50} │" for line in textwrap.wrap(MESSAGE, 50)),
    "word wrap": "\n".join(textwrap.wrap(MESSAGE, 30)),
    "hard wrap 40": hard_wrapped(40),
    "hard wrap 79": hard_wrapped(79),
    "dated": f"2026-03-01 12:00:00,123 - ERROR - {MESSAGE}",
    "small letters": MESSAGE.lower(),
    "after binary": f"\x00\x01\x02\ufffd{MESSAGE}\x00",
}


@pytest.mark.parametrize("name", ARRIVALS)
def test_the_message_is_known_however_it_arrives(name: str) -> None:
    """What a terminal, logger or mail program does to a text does not hide it."""
    finding = diagnose(ARRIVALS[name]).findings[0]
    assert (131_074, 101_376) == (finding.required_bytes, finding.limit_bytes)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_encodings_of_shells_are_read(encoding: str) -> None:
    """PowerShell writes UTF-16 with a mark; without one the zero bytes fall away."""
    assert diagnose(MESSAGE.encode(encoding)).status == "known"


def test_a_long_text_is_cut_and_says_so() -> None:
    """The ends are read, of the middle what tells of a failure, and the answer says so."""
    junk = "All work and no play makes a dull log line.\n" * 40_000
    for text in (MESSAGE + junk, junk + MESSAGE):
        diagnosis = diagnose(text)
        assert diagnosis.status == "known"
        assert f"{READ_AT_START:,}" in diagnosis.remarks[0].say()
        assert f"{READ_AT_END:,}" in diagnosis.remarks[0].say()
    hidden = diagnose(junk + f"{MESSAGE}\n" + junk)
    assert hidden.findings[0].evidence[0].line == 40_001
    assert diagnose(MESSAGE).remarks == ()


@settings(max_examples=150, deadline=None)
@given(st.text(min_size=1).filter(str.strip))
def test_any_text_is_answered(text: str) -> None:
    """No text ends in an exception."""
    assert diagnose(text).to_json()["status"] in ("known", "unknown")


@settings(max_examples=60, deadline=None)
@given(st.binary())
def test_any_bytes_are_answered(raw: bytes) -> None:
    """No bytes end in an exception, but for those that are nothing, which are bad input."""
    try:
        assert diagnose(raw).to_json()["status"] in ("known", "unknown")
    except BadInput:
        assert not raw.decode("utf-8", "ignore").strip() or b"\x00" in raw or raw[:2] in MARKS


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(WORDS), min_size=1, max_size=60).map(" ".join))
def test_words_of_the_messages_in_any_order_are_answered(text: str) -> None:
    """Half a message is answered too, and can be said in both languages."""
    diagnosis = diagnose(text)
    assert diagnosis.say("en")
    assert diagnosis.say("zh")


def test_a_file_is_read_and_a_missing_one_is_named(tmp_path: Path) -> None:
    """The way out is in the error."""
    path = tmp_path / "log.txt"
    path.write_bytes(MESSAGE.encode())
    assert MESSAGE.encode() == read_paste(str(path))
    with pytest.raises(CannotDo, match=r"missing\.txt"):
        read_paste(str(tmp_path / "missing.txt"))
    with pytest.raises(CannotDo):
        read_paste(str(tmp_path))
