"""Facts under `data/` as frozen records; the one reader of that folder.

Units are in the names. An unknown value is None, never a guess; a value that no source prints, but that
follows from others, is listed in `inferred`.
"""

import unicodedata
from collections.abc import Collection, Iterable, Mapping
from dataclasses import fields, replace
from datetime import date
from functools import cache
from pathlib import Path

from l4guide.errors import BadInput
from l4guide.frozen import frozen
from l4guide.table import read_rows, words
from l4guide.text import Sentence

#: What may stand in front of a name without meaning another card.
VENDOR_PREFIXES = ("nvidia", "geforce", "tesla", "amd", "instinct")
VENDORS = ("NVIDIA", "AMD")
PRICINGS = ("on-demand", "spot", "marketplace")


@frozen
class Source:
    """Where a fact was read: a public page or file that anyone can open."""

    key: str
    title: str
    publisher: str
    url: str
    as_of: date


@frozen
class Gpu:
    """One card. Peak rates are dense (no sparsity).

    `tensor_16bit_tflops` accumulates in fp32; a card that has none has no tensor cores.
    """

    name: str
    vendor: str
    architecture: str
    capability: str | None
    sm_count: int
    boost_mhz: int | None
    tensor_16bit_tflops: float | None
    #: What the peak must come to per clock and SM, mostly 512 to 4096; a sparse or halved peak misses it.
    tensor_flop_per_clock_per_sm: int | None
    bf16_tensor_cores: bool
    fp8_tflops: float | None
    int8_tops: float | None
    fp32_tflops: float | None
    memory_gb: float
    usable_memory_mib: int | None
    memory_type: str
    bandwidth_gb_per_s: float
    l2_mb: float | None
    shared_kib_per_sm: int | None
    shared_bytes_per_block: int | None
    registers_per_sm: int | None
    max_threads_per_sm: int | None
    max_blocks_per_sm: int | None
    tdp_w: int | None
    pcie_gen: int | None
    nvlink_gb_per_s: float | None
    form_factor: str
    #: GEMM rate that others measured at large sizes, lowest and highest; None where nobody published one.
    gemm_bf16_tflops_low: float | None
    gemm_bf16_tflops_high: float | None
    gemm_fp16_tflops_low: float | None
    gemm_fp16_tflops_high: float | None
    gemm_note: str
    inferred: tuple[str, ...]
    #: Fields whose source is quoted by others but could not be opened itself.
    unverified: tuple[str, ...]
    disagreements: str
    sources: tuple[str, ...]

    @property
    def arch(self) -> int | None:
        """The compute capability as a number, 89 for "8.9"; None for cards that are not NVIDIA's."""
        return int(self.capability.replace(".", "")) if self.capability else None


@frozen
class Component:
    """One attention stack of a model: its language model, or a vision or audio tower."""

    name: str
    layers: int | None
    hidden: int | None
    heads: int | None
    kv_heads: int | None
    head_dim: int | None
    head_dim_v: int | None
    kind: str
    causal: bool | None
    window: str
    max_context: int | None
    #: KV cache of one token in 16-bit: over all layers, and over those that keep the whole history.
    kv_bytes_per_token: int | None
    kv_bytes_per_token_full_layers: int | None
    inferred: tuple[str, ...]
    unverified: tuple[str, ...]
    note: str
    sources: tuple[str, ...]


@frozen
class Model:
    """A model preset. A component whose shape nobody published has None in its shape fields.

    `status` says how its shapes are known: found (its own config), family (the config of a model that its
    makers call the same architecture), stand-in (offered in place of one that nobody described), not-found.
    """

    name: str
    status: str
    parameters_billion: float | None
    active_parameters_billion: float | None
    weight_dtype: str | None
    inferred: tuple[str, ...]
    components: tuple[Component, ...]


@frozen
class Price:
    """A published list price per GPU-hour on one day. `pricing` is on-demand, spot or marketplace."""

    gpu: str
    provider: str
    pricing: str
    usd_per_hour: float
    median_usd_per_hour: float | None
    max_usd_per_hour: float | None
    gpus_per_instance: int | None
    instance: str
    region: str
    as_of: date
    note: str
    source: str


@frozen
class Alias:
    """Another way to write a name; `assumed` where it leaves the card form open and `name` is our choice."""

    alias: str
    name: str
    assumed: bool


def _columns(record: type, **renamed: str) -> list[str]:
    """The columns that a record is read from: its fields, some under another name."""
    return [renamed.get(f.name, f.name) for f in fields(record)]


def read_sources(path: Path) -> tuple[Source, ...]:
    """The sources of a `sources.csv`.

    Raises:
        BadData: a row is broken.
    """
    return tuple(row.fill(Source) for row in read_rows(path, _columns(Source), ["key"]))


def read_gpus(path: Path, sources: Collection[str]) -> tuple[Gpu, ...]:
    """The cards of a `gpus.csv`, whose sources must be among the keys `sources`.

    Raises:
        BadData: a row is broken.
    """
    columns = _columns(Gpu)
    gpus = []
    for row in read_rows(path, columns, ["name"]):
        gpu = row.fill(Gpu)
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


def read_aliases(path: Path, names: Collection[str]) -> tuple[Alias, ...]:
    """The aliases of an `aliases.csv` for the cards and models called `names`.

    Raises:
        BadData: a row is broken.
    """
    aliases = []
    for row in read_rows(path, _columns(Alias), ["alias"]):
        alias = row.fill(Alias)
        row.check_known("name", [alias.name], names, "gpus.csv, models.csv")
        aliases.append(alias)
    return tuple(aliases)


@cache
def data_folder() -> Path:
    """Where the facts lie: inside the installed package, or beside it in a checkout."""
    package = Path(__file__).parent
    inside = package / "data"
    return inside if inside.is_dir() else package.parent / "data"


@cache
def sources() -> tuple[Source, ...]:
    """Every source that a fact, price or rule names."""
    return read_sources(data_folder() / "sources.csv")


@cache
def _sources_by_key() -> Mapping[str, Source]:
    return {source.key: source for source in sources()}


def source(key: str) -> Source:
    """The source called `key`.

    Raises:
        KeyError: there is none.
    """
    return _sources_by_key()[key]


@cache
def gpus() -> tuple[Gpu, ...]:
    """Every card that the guide knows."""
    return read_gpus(data_folder() / "gpus.csv", _sources_by_key())


@cache
def models() -> tuple[Model, ...]:
    """Every model preset."""
    return read_models(data_folder() / "models.csv", _sources_by_key())


@cache
def all_prices() -> tuple[Price, ...]:
    """Every price, in the order of the file."""
    return read_prices(data_folder() / "prices.csv", {gpu.name for gpu in gpus()}, _sources_by_key())


@cache
def aliases() -> tuple[Alias, ...]:
    """Every alias of a card or model."""
    names = {gpu.name for gpu in gpus()} | {model.name for model in models()}
    return read_aliases(data_folder() / "aliases.csv", names)


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
