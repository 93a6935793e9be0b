"""Two answers about tiles side by side: what moved from the one to the other."""

from l4guide.frozen import frozen
from l4guide.resources.answer import Resources

#: What is compared, and whether less of it is better.
QUANTITIES = {
    "shared_bytes": True,
    "registers": True,
    "spill_bytes": True,
    "ctas_per_sm": False,
    "warps_per_sm": False,
    "tensor_percent": False,
}


@frozen
class Change:
    """One quantity before and now; None where nobody knows it, or there was nothing before."""

    name: str
    before: int | None
    now: int | None

    @property
    def difference(self) -> int | None:
        """What was added."""
        return None if self.before is None or self.now is None else self.now - self.before

    @property
    def verdict(self) -> str:
        """Whether the change is for the better: "better", "worse", or empty where nothing moved."""
        if not self.difference:
            return ""
        return "better" if (self.difference < 0) is QUANTITIES[self.name] else "worse"


def changes(before: Resources | None, now: Resources) -> tuple[Change, ...]:
    """Every quantity of `QUANTITIES`, before and now."""
    return tuple(
        Change(name=name, before=None if before is None else _value(before, name), now=_value(now, name))
        for name in QUANTITIES
    )


def _value(item: Resources, name: str) -> int | None:
    if name != "tensor_percent":
        value: int | None = getattr(item, name)
        return value
    return None if item.instructions is None else round(100 * item.instructions.shares()["tensor"])
