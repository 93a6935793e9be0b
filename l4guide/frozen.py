"""Frozen records, quick to define: what `@dataclass(frozen=True, slots=True, kw_only=True)` makes.

Until Python 3.13 `dataclass` compiles six methods one by one for each class, half a millisecond that every command
paid for a hundred records. Here classes share five of them, and `__init__` is compiled when the first record is made.
"""

from collections.abc import Callable
from dataclasses import MISSING, Field, FrozenInstanceError, dataclass, field, fields
from operator import attrgetter
from typing import Any, NoReturn, TypeVar, dataclass_transform

T = TypeVar("T")

_set = object.__setattr__


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(field,))
def frozen(cls: type[T], /) -> type[T]:
    """A class whose annotated fields are given by keyword and never change; equal and hashed by their values.

    `dataclasses.fields`, `replace` and `asdict` work on it. What the class defines itself stays.
    """
    made: Any = dataclass(init=False, repr=False, eq=False, slots=True, kw_only=True)(cls)
    values = attrgetter(*(one.name for one in fields(made)))

    def __init__(self: object, **given: object) -> None:  # noqa: N807
        made.__init__ = _initialiser(made)
        made.__init__(self, **given)

    def __eq__(self: object, other: object) -> bool:  # noqa: N807
        return values(self) == values(other) if other.__class__ is self.__class__ else NotImplemented

    def __hash__(self: object) -> int:  # noqa: N807
        return hash(values(self))

    for method in (__init__, __eq__, __hash__, __repr__, __setattr__, __delattr__, __setstate__):
        if method.__name__ not in cls.__dict__:
            setattr(made, method.__name__, method)
    found: type[T] = made
    return found


def _initialiser(cls: type) -> Callable[..., None]:
    """`__init__` as one would write it."""
    names: dict[str, object] = {"_set": _set, "_MISSING": MISSING}
    parameters, lines = [], []
    for one in fields(cls):
        parameter, value = _parameter(one, names)
        parameters.append(parameter)
        lines.append(f" _set(self, {one.name!r}, {value})")
    text = f"def __init__(self, *, {', '.join(parameters)}):\n" + "\n".join(lines)
    exec(compile(text, f"<the fields of {cls.__qualname__}>", "exec"), names)
    made: Any = names["__init__"]
    made.__qualname__ = f"{cls.__qualname__}.__init__"
    return made  # type: ignore[no-any-return]


def _parameter(one: Field[Any], names: dict[str, object]) -> tuple[str, str]:
    """How a field is asked for, and the value it gets; its default goes into `names`."""
    default = f"_default_{one.name}"
    if one.default_factory is not MISSING:
        names[default] = one.default_factory
        return f"{one.name}=_MISSING", f"{default}() if {one.name} is _MISSING else {one.name}"
    if one.default is not MISSING:
        names[default] = one.default
        return f"{one.name}={default}", one.name
    return one.name, one.name


def __repr__(self: object) -> str:  # noqa: N807
    shown = ", ".join(f"{one.name}={getattr(self, one.name)!r}" for one in fields(self))  # type: ignore[arg-type]
    return f"{self.__class__.__qualname__}({shown})"


def __setattr__(self: object, name: str, value: object) -> NoReturn:  # noqa: N807
    raise FrozenInstanceError(f"cannot assign to field {name!r}")


def __delattr__(self: object, name: str) -> NoReturn:  # noqa: N807
    raise FrozenInstanceError(f"cannot delete field {name!r}")


def __setstate__(self: object, state: tuple[None, dict[str, object]]) -> None:  # noqa: N807
    """Put a copied or unpickled record together."""
    for name, value in state[1].items():
        _set(self, name, value)
