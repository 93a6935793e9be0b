"""Types that weights are kept in: how many bits each takes with its scales, and what multiplies it."""

from collections.abc import Mapping
from functools import cache

from l4guide import catalogue
from l4guide.frozen import frozen
from l4guide.table import read_records

#: What a name ends in where the experts alone are kept so, and all else in 16 bits.
EXPERTS = "-experts"
#: Types that arithmetic is done in.
WHOLE_TYPES = ("bf16", "fp16", "fp32")


@frozen
class WeightType:
    """A row of `weight_types.csv`.

    `bits` of a weight include its scales. `products` names the type of tensor cores that multiply it as it is (fp8,
    fp4); None where it is widened first. `everywhere` where embeddings are kept so too, as in a GGUF file.
    """

    name: str
    bits: float
    products: str | None
    everywhere: bool
    basis: str
    sources: tuple[str, ...]

    @property
    def bytes(self) -> float:
        """Bytes of a weight."""
        return self.bits / 8


@cache
def weight_types() -> Mapping[str, WeightType]:
    """Every row of `weight_types.csv`, by name.

    Raises:
        BadData: a row is broken.
    """
    found = read_records(catalogue.data_folder() / "weight_types.csv", WeightType, ["name"])
    return {one.name: one for one in found}


def weight_type(name: str) -> WeightType:
    """The type called so; one that is not listed (`int3`) is widened before it is multiplied."""
    known = weight_types().get(name)
    if known is not None:
        return known
    bits = float(name.removeprefix("int").removeprefix("fp") or 16)
    return WeightType(name=name, bits=bits, products=None, everywhere=False, basis="", sources=())


def weight_names() -> tuple[str, ...]:
    """What may be asked for: each type, and those of which the experts alone may be."""
    alone = (
        one.name for one in weight_types().values() if one.name not in WHOLE_TYPES and not one.everywhere
    )
    return (*weight_types(), *(f"{name}{EXPERTS}" for name in alone))
