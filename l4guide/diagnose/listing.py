"""The page that lists every message that `diagnose` knows, kind by kind, so that a search engine finds it."""

import html
from collections.abc import Iterator

from l4guide.diagnose.reader import symptom_book
from l4guide.diagnose.symptom import Symptom, SymptomBook
from l4guide.support.verdict import link
from l4guide.text import placeholders, say, sentences

#: Wordings of one symptom that are shown.
MOST_TEXTS = 4
COLUMNS = ("symptom_page.text", "symptom_page.library", "symptom_page.cause", "symptom_page.fix")
#: What stands in a cell for a value that only a paste has.
BLANK = "…"


class _Blanks(dict[str, str]):
    """Fills every blank with the same sign."""

    def __missing__(self, name: str) -> str:
        return BLANK


def symptoms_page() -> str:
    """A heading and a table for each kind: text, library, cause with its source, first way out; in Markdown."""
    book = symptom_book()
    return "\n".join(line for kind in book.kinds for line in _section(book, kind.name, kind.title)).rstrip()


def _section(book: SymptomBook, kind: str, title: str) -> Iterator[str]:
    of_kind = [one for one in book.symptoms if one.kind == kind]
    yield f"### `{kind}`: {say(title)}"
    yield ""
    if not of_kind:
        yield say("symptom_page.none")
        yield ""
        return
    yield f"| {' | '.join(map(say, COLUMNS))} |"
    yield "| --- | --- | --- | --- |"
    for one in sorted(of_kind, key=lambda one: (one.library, one.code)):
        yield f"| {_texts(one)} | {one.library} | {_cause(one)} | {_fix(one)} |"
    yield ""


def _texts(symptom: Symptom) -> str:
    """The words as printed; a blank is what varies."""
    texts = [one.text for one in symptom.wordings[:MOST_TEXTS]]
    return "<br>".join(f"<code>{_cell(' '.join(text.split()))}</code>" for text in texts)


def _cause(symptom: Symptom) -> str:
    told = sentences("en")[symptom.cause].format_map(_Blanks())
    known = say(f"support.evidence_{symptom.evidence}")
    return f"{_cell(told)} [{symptom.code}]({link(symptom.source, symptom.place)}), {known}"


def _fix(symptom: Symptom) -> str:
    """The first way out that needs no number of the paste."""
    known = sentences("en")
    plain = [fix.text for fix in symptom.fixes if not placeholders(known[fix.text]) - {"library"}]
    key = plain[0] if plain else symptom.fixes[0].text
    return _cell(known[key].format_map(_Blanks()))


def _cell(text: str) -> str:
    """A text as it may stand in a cell of a table."""
    return html.escape(text, quote=False).replace("|", "&#124;").replace("`", "&#96;").replace("*", "&#42;")
