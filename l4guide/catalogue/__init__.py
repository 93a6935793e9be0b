"""Facts under `data/` as frozen records; the one reader of that folder."""

from l4guide.catalogue.folder import data_folder
from l4guide.catalogue.names import find_gpu, gpu, model, plain, prices
from l4guide.catalogue.reading import read_aliases, read_gpus, read_models, read_prices, read_sources
from l4guide.catalogue.records import CONFIG, Alias, Component, Gpu, Model, Price, Source
from l4guide.catalogue.tables import aliases, all_prices, gpus, models, source, sources

__all__ = [
    "CONFIG",
    "Alias",
    "Component",
    "Gpu",
    "Model",
    "Price",
    "Source",
    "aliases",
    "all_prices",
    "data_folder",
    "find_gpu",
    "gpu",
    "gpus",
    "model",
    "models",
    "plain",
    "prices",
    "read_aliases",
    "read_gpus",
    "read_models",
    "read_prices",
    "read_sources",
    "source",
    "sources",
]
