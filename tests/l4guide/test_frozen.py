"""Frozen records behave as those of the standard library do."""

import copy
import pickle
from dataclasses import FrozenInstanceError, asdict, dataclass, field, fields, replace

import pytest

from l4guide.frozen import frozen


@frozen
class Card:
    """A record of ours."""

    name: str
    sms: int = 58
    notes: list[str] = field(default_factory=list)

    @property
    def shout(self) -> str:
        """The name, loud."""
        return self.name.upper()


@frozen
class Board(Card):
    """One with more fields."""

    watts: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Usual:
    """What `Card` would be otherwise."""

    name: str
    sms: int = 58
    notes: list[str] = field(default_factory=list)


def test_fields_defaults_and_inheritance() -> None:
    """Values are given by keyword; what is not given comes from the default, made anew each time."""
    card, other = Card(name="L4"), Card(name="L4")
    assert ("L4", 58, [], "L4") == (card.name, card.sms, card.notes, card.shout)
    assert card.notes is not other.notes
    board = Board(name="L4", watts=72.0, sms=4)
    assert ("L4", 4, 72.0) == (board.name, board.sms, board.watts)


def test_records_are_values() -> None:
    """Equal and hashed by what they hold and by their class, and shown by their fields."""
    assert Card(name="L4") == Card(name="L4", sms=58)
    assert Card(name="L4") != Card(name="T4")
    other: object = Usual(name="L4")
    assert Card(name="L4") != other
    same = {Point(x=1, y=2), Point(x=1, y=2), Point(x=2, y=1)}
    assert 2 == len(same)
    assert "Card(name='L4', sms=58, notes=[])" == repr(Card(name="L4"))


@frozen
class Point:
    """Hashable, since its values are."""

    x: int
    y: int


@frozen
class Named:
    """It says for itself how it is shown."""

    name: str

    def __repr__(self) -> str:
        return f"<{self.name}>"


def test_what_a_class_defines_stays() -> None:
    """Only what is missing is filled in."""
    assert "<L4>" == repr(Named(name="L4"))


def test_nothing_changes_a_record() -> None:
    """Neither a known field nor another can be set or removed."""
    card = Card(name="L4")
    for name in ("name", "colour"):
        with pytest.raises(FrozenInstanceError, match=name):
            setattr(card, name, "T4")
        with pytest.raises(FrozenInstanceError, match=name):
            delattr(card, name)
    assert not hasattr(card, "__dict__")


@pytest.mark.parametrize("given", [{}, {"name": "L4", "colour": 1}])
def test_a_wrong_call_reads_as_pythons_own(given: dict[str, object]) -> None:
    """The same words as of the standard library's class, the first time and later."""
    said = []
    for made in (Usual, Fresh, Fresh):
        with pytest.raises(TypeError) as fault:
            made(**given)  # type: ignore[arg-type]
        said.append(str(fault.value).replace("Fresh", "Usual"))
    assert 1 == len(set(said)), said


@frozen
class Fresh:
    """Nobody made one before the test above."""

    name: str


def test_the_standard_library_knows_them() -> None:
    """`fields`, `replace`, `asdict`, `copy` and `pickle` work as ever."""
    card = Card(name="L4", notes=["a"])
    assert ["name", "sms", "notes"] == [one.name for one in fields(card)]
    assert Card(name="L4", sms=1, notes=["a"]) == replace(card, sms=1)
    assert asdict(Usual(name="L4", notes=["a"])) == asdict(card)
    for twin in (copy.copy(card), copy.deepcopy(card), pickle.loads(pickle.dumps(card))):
        assert card == twin
        assert twin is not card
