"""Cards, machines and models by any reasonable name."""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cache
from typing import Any

from l4guide.catalogue.folder import data_folder
from l4guide.catalogue.records import Alias, Gpu, Instance, Model
from l4guide.catalogue.tables import aliases, gpu_aliases, gpus, instances, models
from l4guide.errors import BadInput
from l4guide.text import Sentence

#: What may stand in front of a name without meaning another card.
VENDOR_PREFIXES = ("nvidia", "geforce", "tesla", "amd", "instinct")
#: "2080 Ti 22GB", "RTX 4090 (48 GiB)": a card and its memory.
WITH_MEMORY = re.compile(r"(.*?)[\s(_-]*\b(\d{1,4}) ?gi?b\)?", re.IGNORECASE)
#: What makers and others write behind a model's name: the same layers, trained further or stored in another type.
VARIANT = re.compile(
    r"it|instruct|base|chat|bf16|fp16|fp8|int4|int8|w4a16|w8a8|w8a16|[3468]bit|awq|gptq|nvfp4|mxfp4|mxfp8|bnb|nf4|nl|unsloth|dynamic|qat"
    r"|gguf|mlx|exl[23]|hf|i?q[2-8]|[01]|k|xxs|xs|s|m|l|xl|ud",
    re.IGNORECASE,
)


def plain(name: str) -> str:
    """A name as it is compared: letters and digits only, lower case, no vendor in front."""
    letters = "".join(c for c in unicodedata.normalize("NFKC", name).casefold() if c.isalnum())
    while prefix := next((p for p in VENDOR_PREFIXES if letters.startswith(p) and letters != p), None):
        letters = letters.removeprefix(prefix)
    return letters


def _directory(names: Iterable[str], listed: Iterable[Alias]) -> Mapping[str, Alias]:
    """Every way to write one of `names`, in the form of `plain`; the name itself wins over a `listed` alias.

    The name of a repository may lack its owner.
    """
    own = {name: Alias(alias=name, name=name, assumed=False) for name in names}
    written = [alias for alias in listed if alias.name in own]
    unowned = {plain(alias.alias.partition("/")[2]): alias for alias in written if "/" in alias.alias}
    return {**unowned, **{plain(alias.alias): alias for alias in [*written, *own.values()]}}


@cache
def _gpu_directory() -> Mapping[str, Alias]:
    return _directory((gpu.name for gpu in gpus()), gpu_aliases())


@cache
def _model_directory() -> Mapping[str, Alias]:
    return _directory((model.name for model in models()), aliases())


@cache
def _instance_directory() -> Mapping[str, Instance]:
    found = {plain(one.instance): one for one in instances()}
    return {**{name.removeprefix("standard"): one for name, one in found.items()}, **found}


def _unknown(name: str, directory: Mapping[str, Alias], key: str, table: str) -> BadInput:
    """The error `key` for a name that nothing has, with the nearest names."""
    from difflib import get_close_matches  # only a mistyped name needs it

    near = get_close_matches(plain(name)[:40], directory, n=6, cutoff=0.0)
    names = list(dict.fromkeys(directory[match].name for match in near))[:3]
    shown = name if len(name) <= 60 else f"{name[:60]}…"
    return BadInput(key, name=shown, near=", ".join(names), path=data_folder() / table)


def find_gpu(name: str) -> tuple[Gpu, Sentence | None]:
    """The card that `name` means, and a remark where the name leaves something open or stands for more than a card.

    Case, spaces, hyphens and vendor words do not matter; the device names of NVML and torch are known too. A name with
    another memory than the listed card's means that card changed; that of a provider's machine the card in it.

    Raises:
        BadInput: no card is called so; names the nearest ones.
    """
    entry = _gpu_directory().get(plain(name))
    if entry is not None:
        found = next(gpu for gpu in gpus() if gpu.name == entry.name)
        values = {"given": name, "name": entry.name}
        return found, Sentence("catalogue.form_assumed", values) if entry.assumed else None
    machine = find_instance(name)
    if machine is not None:
        return _card_of(machine)
    changed = _with_memory(name)
    if changed is None:
        raise _unknown(name, _gpu_directory(), "error.unknown_gpu", "gpus.csv")
    return changed, None


def find_instance(name: str) -> Instance | None:
    """The provider's machine that `name` means; None where it is a card's, or no machine is called so."""
    written = plain(name)
    return None if written in _gpu_directory() else _instance_directory().get(written)


def _card_of(machine: Instance) -> tuple[Gpu, Sentence]:
    """The card of a machine, or the part of it that the machine has, and what the machine is."""
    card = next(gpu for gpu in gpus() if gpu.name == machine.gpu)
    values = {
        "given": machine.instance,
        "provider": machine.provider,
        "count": machine.count,
        "name": card.name,
    }
    if not machine.part:
        return card, Sentence("catalogue.instance", values)
    above, _, below = machine.part.partition("/")
    share = int(above) / int(below)
    usable = card.usable_memory_mib and round(card.usable_memory_mib * share)
    size = card.memory_gb * share
    part = replace(
        card,
        name=f"{card.name} ({machine.part})",
        memory_gb=size,
        usable_memory_mib=usable,
        base=card.name,
    )
    return part, Sentence("catalogue.instance_part", {**values, "part": machine.part, "gib": f"{size:g}"})


def _with_memory(name: str) -> Gpu | None:
    """A listed card with the memory that a name gives it; None where it names no such card."""
    found = WITH_MEMORY.fullmatch(unicodedata.normalize("NFKC", name).strip()[:100])
    entry = _gpu_directory().get(plain(found[1])) if found else None
    if found is None or entry is None or not int(found[2]):
        return None
    card = next(gpu for gpu in gpus() if gpu.name == entry.name)
    return changed_card(card, {"memory_gb": float(found[2])})


def changed_card(card: Gpu, figures: Mapping[str, float]) -> Gpu:
    """A listed card with what a user says of it, by field; itself where that is what is listed.

    What was measured of the card goes with the figure that it depends on; the other rates move with the tensor rate.
    """
    own = {name: value for name, value in figures.items() if getattr(card, name) != value}
    if not own:
        return card
    called = f"{own['memory_gb']:g} GiB" if "memory_gb" in own else "yours"
    values: dict[str, Any] = {**own}
    if "memory_gb" in own:
        values["usable_memory_mib"] = None
    if "tensor_16bit_tflops" in own and card.tensor_16bit_tflops:
        faster = own["tensor_16bit_tflops"] / card.tensor_16bit_tflops
        values |= dict.fromkeys(_MEASURED)
        values |= {name: rate * faster for name in _RATES if (rate := getattr(card, name))}
    return replace(card, **values, name=f"{card.name} ({called})", own=tuple(own), base=card.name)


_RATES = ("fp8_tflops", "int8_tops")
_MEASURED = (
    "tensor_flop_per_clock_per_sm",
    *("gemm_bf16_tflops_low", "gemm_bf16_tflops_high", "gemm_fp16_tflops_low", "gemm_fp16_tflops_high"),
)


def gpu(name: str) -> Gpu:
    """The card that `name` means; see `find_gpu`.

    Raises:
        BadInput: no card is called so; names the nearest ones.
    """
    return find_gpu(name)[0]


def find_model(name: str) -> tuple[Model, tuple[str, ...]]:
    """The preset that `name` means, and the words behind it that say how a checkpoint of it was trained or stored.

    Raises:
        BadInput: no model is called so; names the nearest ones.
    """
    words = [word for word in re.split(r"[-_.:/ ]+", name[:200].rpartition("/")[2]) if word]
    entry, dropped = _model_directory().get(plain(name)), 0
    while entry is None and dropped < len(words) and (not dropped or VARIANT.fullmatch(words[-dropped])):
        entry = _model_directory().get(plain("".join(words[: len(words) - dropped])))
        dropped += entry is None
    if entry is None:
        raise _unknown(name, _model_directory(), "error.unknown_model", "models.csv")
    found = next(model for model in models() if model.name == entry.name)
    return found, tuple(word.lower() for word in words[len(words) - dropped :]) if dropped else ()


def model(name: str) -> Model:
    """The preset that `name` means; written as forgivingly as a card's.

    Raises:
        BadInput: no model is called so; names the nearest ones.
    """
    return find_model(name)[0]
