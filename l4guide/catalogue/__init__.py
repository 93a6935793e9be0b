"""Facts under `data/` as frozen records; the one reader of that folder."""

from l4guide.catalogue.folder import data_folder
from l4guide.catalogue.names import (
    changed_card,
    find_gpu,
    find_instance,
    find_model,
    gpu,
    model,
    plain,
)
from l4guide.catalogue.reading import (
    read_aliases,
    read_gpus,
    read_instances,
    read_models,
    read_prices,
    read_sources,
)
from l4guide.catalogue.records import CONFIG, Alias, Component, Gpu, Instance, Model, Price, Source
from l4guide.catalogue.tables import (
    aliases,
    all_prices,
    gpu_aliases,
    gpus,
    instances,
    models,
    source,
    sources,
    sources_by_key,
)

__all__ = [
    "CONFIG",
    "Alias",
    "Component",
    "Gpu",
    "Instance",
    "Model",
    "Price",
    "Source",
    "aliases",
    "all_prices",
    "changed_card",
    "data_folder",
    "find_gpu",
    "find_instance",
    "find_model",
    "gpu",
    "gpu_aliases",
    "gpus",
    "instances",
    "model",
    "models",
    "plain",
    "read_aliases",
    "read_gpus",
    "read_instances",
    "read_models",
    "read_prices",
    "read_sources",
    "source",
    "sources",
    "sources_by_key",
]
