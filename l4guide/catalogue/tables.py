"""Every row of each table, read once."""

from collections.abc import Mapping
from functools import cache

from l4guide.catalogue.folder import data_folder
from l4guide.catalogue.reading import (
    read_aliases,
    read_gpus,
    read_instances,
    read_models,
    read_prices,
    read_sources,
)
from l4guide.catalogue.records import Alias, Gpu, Instance, Model, Price, Source


@cache
def sources() -> tuple[Source, ...]:
    """Every source that a fact, price or rule names."""
    return read_sources(data_folder() / "sources.csv")


@cache
def sources_by_key() -> Mapping[str, Source]:
    """Every source by its key."""
    return {source.key: source for source in sources()}


def source(key: str) -> Source:
    """The source called `key`.

    Raises:
        KeyError: there is none.
    """
    return sources_by_key()[key]


@cache
def gpus() -> tuple[Gpu, ...]:
    """Every card that the guide knows."""
    return read_gpus(data_folder() / "gpus.csv", sources_by_key())


@cache
def models() -> tuple[Model, ...]:
    """Every model preset."""
    return read_models(data_folder() / "models.csv", sources_by_key())


@cache
def all_prices() -> tuple[Price, ...]:
    """Every price, in the order of the file."""
    return read_prices(data_folder() / "prices.csv", {gpu.name for gpu in gpus()}, sources_by_key())


@cache
def instances() -> tuple[Instance, ...]:
    """Every machine whose name stands for its cards."""
    return read_instances(data_folder() / "instances.csv", {gpu.name for gpu in gpus()}, sources_by_key())


@cache
def aliases() -> tuple[Alias, ...]:
    """Every alias of a card or model."""
    names = {gpu.name for gpu in gpus()} | {model.name for model in models()}
    return read_aliases(data_folder() / "aliases.csv", names)


@cache
def gpu_aliases() -> tuple[Alias, ...]:
    """Every alias of a card; models, which take longer to read than all cards, are not asked for."""
    names = {gpu.name for gpu in gpus()}
    return tuple(one for one in read_aliases(data_folder() / "aliases.csv") if one.name in names)
