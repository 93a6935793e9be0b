"""Every sentence is there in both languages, is used, and gets the values that it wants."""

import ast
import re
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import pytest

from l4guide.text import LANGUAGES, placeholders, sentences

PACKAGE = Path(__file__).resolve().parents[2] / "l4guide"
ENGLISH = sentences("en")
SPEAKERS = {"say", "Sentence", "Problem", "BadInput", "CannotDo", "BadData"}
#: What the speakers take beside the values of the sentence.
OWN_ARGUMENTS = {"language"}


def sources(*endings: str) -> Iterator[tuple[str, str]]:
    """Name and content of the files of the package with these endings."""
    for path in sorted(PACKAGE.rglob("*")):
        if path.suffix in endings and "__pycache__" not in path.parts:
            yield str(path.relative_to(PACKAGE)), path.read_text(encoding="utf-8")


RULES = [
    path.read_text(encoding="utf-8")
    for folder in ("rules", "symptoms")
    for path in sorted((PACKAGE.parent / "data" / folder).glob("*.toml"))
]
#: All that may name a sentence.
CODE = "\n".join([*RULES, *(text for _, text in sources(".py", ".j2", ".html", ".js"))])
QUOTED = set(re.findall(r"""["']([a-z0-9_.]+)["']""", CODE))
#: Ways out are the keys of a table.
QUOTED |= set(re.findall(r"\b(fix_[a-z0-9_]+) = \"", CODE))
#: Keys that end in a value: `"report.kind_" + kind`, `"kind_" ~ kind`, `f"report.kind_{kind}"`.
BEGINNINGS = {text for text in QUOTED if text.endswith(("_", "."))}
SHAPES = {
    re.sub(r"{.*?}", "{}", text) for text in re.findall(r"""f["']([a-z0-9_]+\.[^"']*{[^"']*)["']""", CODE)
}
#: Sections whose names come from elsewhere: the name is then to be found in the code by itself.
SECTIONS = {text for text in BEGINNINGS if text.endswith(".")}
SECTIONS |= {shape.removesuffix("{}") for shape in SHAPES if shape.endswith(".{}")}
WHOLE_BEGINNINGS = tuple(text for text in BEGINNINGS - SECTIONS if "." in text)
NAME_BEGINNINGS = tuple(text for text in BEGINNINGS if "." not in text)
PATTERNS = [re.escape(shape).replace(r"\{\}", "[a-z0-9_]+") for shape in SHAPES if not shape.endswith(".{}")]


def is_used(key: str) -> bool:
    """Whether the code names the key, whole or by its parts."""
    section, name = key.split(".", 1)
    if key in QUOTED or key.startswith(WHOLE_BEGINNINGS):
        return True
    if any(re.fullmatch(pattern, key) for pattern in PATTERNS):
        return True
    return f"{section}." in SECTIONS and (name in QUOTED or name.startswith(NAME_BEGINNINGS))


def spoken() -> Iterator[tuple[str, str, ast.Call]]:
    """Every call that names a sentence by a literal: where it is, the key, the call."""
    for name, text in sources(".py"):
        for node in ast.walk(ast.parse(text)):
            if not isinstance(node, ast.Call) or not node.args:
                continue
            speaker = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            key = node.args[0]
            if speaker in SPEAKERS and isinstance(key, ast.Constant) and isinstance(key.value, str):
                yield f"{name}:{node.lineno}", key.value, node


def given(call: ast.Call) -> set[str] | None:
    """The names of the values that a call gives; None where they cannot be read off the code."""
    names = {keyword.arg for keyword in call.keywords}
    for argument in call.args[1:]:
        if isinstance(argument, ast.Dict):
            names |= {str(key.value) if isinstance(key, ast.Constant) else None for key in argument.keys}
        elif getattr(call.func, "id", "") == "Sentence":
            return None
    return None if None in names else {name for name in names if name} - OWN_ARGUMENTS


@pytest.mark.parametrize("language", sorted(set(LANGUAGES) - {"en"}))
def test_the_languages_say_the_same_things(language: str) -> None:
    """Each key is there in every language, with the same values to fill in."""
    other = sentences(language)
    assert set(ENGLISH) == set(other)
    wanted = {key: placeholders(sentence) for key, sentence in ENGLISH.items()}
    assert wanted == {key: placeholders(sentence) for key, sentence in other.items()}


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_sentence_is_empty(language: str) -> None:
    """A key without a sentence would show as nothing at all."""
    assert [] == [key for key, sentence in sentences(language).items() if not sentence.strip()]


def test_chinese_is_chinese() -> None:
    """A sentence of several words left in English is a translation forgotten."""
    left = {key for key, sentence in sentences("zh").items() if not re.search("[\u4e00-\u9fff]", sentence)}
    forgotten = [key for key in left if len(re.findall(r"[a-z]{3,}", re.sub(r"{.*?}", "", ENGLISH[key]))) > 3]
    assert [] == sorted(forgotten)


def test_every_sentence_is_used() -> None:
    """What nobody says is not kept, nor translated."""
    assert [] == [key for key in ENGLISH if not is_used(key)]


@pytest.mark.parametrize("key", ["report.nobody_says_this", "error.nobody_says_this"])
def test_an_unused_sentence_would_be_seen(key: str) -> None:
    """The check above can fail."""
    assert not is_used(key)


def test_every_sentence_that_is_said_exists() -> None:
    """A missing key would end in a traceback in front of a user."""
    assert [] == [f"{where} {key}" for where, key, _ in spoken() if key not in ENGLISH]


def test_every_sentence_gets_its_values() -> None:
    """A value that a sentence wants and is not given would end in a traceback too."""
    lacking = [
        f"{where} {key}: {', '.join(sorted(placeholders(ENGLISH[key]) - values))}"
        for where, key, call in spoken()
        if key in ENGLISH and (values := given(call)) is not None and placeholders(ENGLISH[key]) - values
    ]
    assert [] == lacking


def test_the_templates_say_what_exists() -> None:
    """A template's `t("name")` is a sentence of the report, its `say("section.name")` any."""
    called = chain.from_iterable(
        (f"report.{name}" if function == "t" else name for function, name in found)
        for _, text in sources(".j2", ".html")
        if (found := re.findall(r"""\b(t|say)\(\s*["']([a-z0-9_.]+)["']\s*[,)]""", text))
    )
    assert [] == sorted({key for key in called if key not in ENGLISH})
