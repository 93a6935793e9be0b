"""The tables of `data/` as records; a broken cell is named by file, line and column."""

from collections.abc import Collection
from dataclasses import fields, replace
from pathlib import Path

from l4guide.catalogue.records import CONFIG, Alias, Component, Gpu, Instance, Model, Price, Source
from l4guide.table import read_records, read_rows, words

VENDORS = ("NVIDIA", "AMD")
PRICINGS = ("on-demand", "spot", "marketplace")
#: How the shapes of a preset are known; see `Model`.
STATUSES = (CONFIG, "found", "family", "stand-in", "not-found")


def _columns(record: type, **renamed: str) -> list[str]:
    """The columns that a record is read from: its fields, some under another name."""
    return [renamed.get(f.name, f.name) for f in fields(record)]


def read_sources(path: Path) -> tuple[Source, ...]:
    """The sources of a `sources.csv`.

    Raises:
        BadData: a row is broken.
    """
    return read_records(path, Source, ["key"])


def read_gpus(path: Path, sources: Collection[str]) -> tuple[Gpu, ...]:
    """The cards of a `gpus.csv`, whose sources must be among the keys `sources`.

    Raises:
        BadData: a row is broken.
    """
    columns = [name for name in _columns(Gpu) if name not in ("own", "base")]
    gpus = []
    for row in read_rows(path, columns, ["name"]):
        gpu = row.fill(Gpu, own=(), base=None)
        row.check_known("vendor", [gpu.vendor], VENDORS, ", ".join(VENDORS))
        row.check_known("sources", gpu.sources or ("",), sources, "sources.csv")
        row.check_known("inferred", gpu.inferred, columns, "the header")
        row.check_known("unverified", gpu.unverified, columns, "the header")
        gpus.append(gpu)
    return tuple(gpus)


def read_models(path: Path, sources: Collection[str]) -> tuple[Model, ...]:
    """The models of a `models.csv`: a row per component, what concerns the whole model on its first row.

    Raises:
        BadData: a row is broken.
    """
    model_columns = ["model", *_columns(Model)[1:-2]]
    columns = ["component", *_columns(Component)[1:], *model_columns]
    models: dict[str, Model] = {}
    components: dict[str, list[Component]] = {}
    for row in read_rows(path, columns, ["model", "component"]):
        listed = words(row.cells["inferred"])
        own = tuple(name for name in listed if name not in model_columns)
        whole = tuple(name for name in listed if name in model_columns)
        name = row.cells["model"]
        component = row.fill(Component, name=row.cells["component"], inferred=own)
        row.check_known("status", [row.cells["status"]], STATUSES, ", ".join(STATUSES))
        row.check_known("sources", component.sources or ("",), sources, "sources.csv")
        row.check_known("inferred", listed, columns, "the header")
        row.check_known("unverified", component.unverified, columns, "the header")
        components.setdefault(name, []).append(component)
        if name not in models:
            models[name] = row.fill(Model, name=name, inferred=whole, components=())
    return tuple(replace(models[name], components=tuple(parts)) for name, parts in components.items())


def read_prices(path: Path, gpus: Collection[str], sources: Collection[str]) -> tuple[Price, ...]:
    """The prices of a `prices.csv`, whose cards must be among the names `gpus` and sources among `sources`.

    Raises:
        BadData: a row is broken.
    """
    prices = []
    for row in read_rows(path, _columns(Price), ["gpu", "provider", "pricing", "instance"]):
        price = row.fill(Price)
        row.check_known("gpu", [price.gpu], gpus, "gpus.csv")
        row.check_known("pricing", [price.pricing], PRICINGS, ", ".join(PRICINGS))
        row.check_known("source", [price.source], sources, "sources.csv")
        prices.append(price)
    return tuple(prices)


def read_instances(path: Path, gpus: Collection[str], sources: Collection[str]) -> tuple[Instance, ...]:
    """The machines of an `instances.csv`, whose cards must be among the names `gpus` and sources among `sources`.

    Raises:
        BadData: a row is broken.
    """
    instances = []
    for row in read_rows(path, _columns(Instance), ["instance"]):
        instance = row.fill(Instance)
        row.check_known("gpu", [instance.gpu], gpus, "gpus.csv")
        row.check_known("source", [instance.source], sources, "sources.csv")
        instances.append(instance)
    return tuple(instances)


def read_aliases(path: Path, names: Collection[str] | None = None) -> tuple[Alias, ...]:
    """The aliases of an `aliases.csv` for the cards and models called `names`; None: for any.

    Raises:
        BadData: a row is broken.
    """
    aliases = []
    for row in read_rows(path, _columns(Alias), ["alias"]):
        alias = row.fill(Alias)
        if names is not None:
            row.check_known("name", [alias.name], names, "gpus.csv, models.csv")
        aliases.append(alias)
    return tuple(aliases)
