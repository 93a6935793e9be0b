"""Cards and models by any reasonable name."""

import unicodedata
from collections.abc import Iterable, Mapping
from functools import cache

from l4guide.catalogue.folder import data_folder
from l4guide.catalogue.records import Alias, Gpu, Model, Price
from l4guide.catalogue.tables import aliases, all_prices, gpus, models
from l4guide.errors import BadInput
from l4guide.text import Sentence

#: What may stand in front of a name without meaning another card.
VENDOR_PREFIXES = ("nvidia", "geforce", "tesla", "amd", "instinct")


def plain(name: str) -> str:
    """A name as it is compared: letters and digits only, lower case, no vendor in front."""
    letters = "".join(c for c in unicodedata.normalize("NFKC", name).casefold() if c.isalnum())
    while prefix := next((p for p in VENDOR_PREFIXES if letters.startswith(p) and letters != p), None):
        letters = letters.removeprefix(prefix)
    return letters


def _directory(names: Iterable[str]) -> Mapping[str, Alias]:
    """Every way to write one of `names`, in the form of `plain`; the name itself wins over an alias."""
    own = {name: Alias(alias=name, name=name, assumed=False) for name in names}
    written = [alias for alias in aliases() if alias.name in own]
    return {plain(alias.alias): alias for alias in [*written, *own.values()]}


@cache
def _gpu_directory() -> Mapping[str, Alias]:
    return _directory(gpu.name for gpu in gpus())


@cache
def _model_directory() -> Mapping[str, Alias]:
    return _directory(model.name for model in models())


def _look_up(name: str, directory: Mapping[str, Alias], key: str, table: str) -> Alias:
    """The entry of `directory` that `name` means; otherwise the error `key` with the nearest names."""
    written = plain(name)
    if written in directory:
        return directory[written]
    from difflib import get_close_matches  # only a mistyped name needs it

    near = get_close_matches(written[:40], directory, n=6, cutoff=0.0)
    names = list(dict.fromkeys(directory[match].name for match in near))[:3]
    shown = name if len(name) <= 60 else f"{name[:60]}…"
    raise BadInput(key, name=shown, near=", ".join(names), path=data_folder() / table)


def find_gpu(name: str) -> tuple[Gpu, Sentence | None]:
    """The card that `name` means, and a remark where it leaves the form open and SXM (else Server) was taken.

    Case, spaces, hyphens and vendor words do not matter; the device names of NVML and torch are known too.

    Raises:
        BadInput: no card is called so; names the nearest ones.
    """
    entry = _look_up(name, _gpu_directory(), "error.unknown_gpu", "gpus.csv")
    found = next(gpu for gpu in gpus() if gpu.name == entry.name)
    values = {"given": name, "name": entry.name}
    return found, Sentence("catalogue.form_assumed", values) if entry.assumed else None


def gpu(name: str) -> Gpu:
    """The card that `name` means; see `find_gpu`.

    Raises:
        BadInput: no card is called so; names the nearest ones.
    """
    return find_gpu(name)[0]


def model(name: str) -> Model:
    """The model preset that `name` means; written as forgivingly as a card's.

    Raises:
        BadInput: no model is called so; names the nearest ones.
    """
    entry = _look_up(name, _model_directory(), "error.unknown_model", "models.csv")
    return next(model for model in models() if model.name == entry.name)


def prices(gpu_name: str) -> tuple[Price, ...]:
    """The prices of the card that `gpu_name` means; empty where none was found.

    Raises:
        BadInput: no card is called so.
    """
    name = gpu(gpu_name).name
    return tuple(price for price in all_prices() if price.gpu == name)
