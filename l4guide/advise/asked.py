"""The card and the model that are asked about, however they were named or described."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from l4guide.advise.opened import opened
from l4guide.catalogue import (
    Gpu,
    Instance,
    all_prices,
    changed_card,
    find_gpu,
    find_instance,
    find_model,
    gpus,
)
from l4guide.errors import BadInput
from l4guide.frozen import frozen
from l4guide.model.weight_types import WHOLE_TYPES, weight_types
from l4guide.text import Sentence
from l4guide.workload import real_number, whole_number


class Figure(NamedTuple):
    """An option that says something of a card: its field, its limits, and whether it is a whole number."""

    option: str
    field: str
    low: float
    high: float
    whole: bool = False


FIGURES = (
    Figure("memory_gib", "memory_gb", 1, 1024),
    Figure("bandwidth_gb_s", "bandwidth_gb_per_s", 10, 20_000),
    Figure("tflops", "tensor_16bit_tflops", 1, 20_000),
    Figure("sms", "sm_count", 1, 512, whole=True),
    Figure("boost_mhz", "boost_mhz", 100, 5_000, whole=True),
    Figure("tdp_w", "tdp_w", 5, 5_000, whole=True),
    Figure("nvlink_gb_s", "nvlink_gb_per_s", 1, 5_000),
)
CAPABILITY = "compute_capability"
#: All that can be said of a card beside its name, and the machine that it was found in.
OF_A_CARD = (*(figure.option for figure in FIGURES), CAPABILITY, "instance")
#: Without these no card can be described that is not listed.
NEEDED = ("memory_gib", "bandwidth_gb_s", "tflops")
#: Characters of a name of the user's own that are kept: as many as the longest listed one has.
MOST_NAME = 34
#: What says whose price counts.
PRICED = frozenset(("price", "provider", "region", "spot"))
#: Types of weights by what quantised checkpoints call themselves, where that is no name of a type.
STORED = {
    **dict.fromkeys(("awq", "gptq", "w4a16", "4bit"), "int4"),
    **dict.fromkeys(("w8a8", "w8a16", "8bit"), "int8"),
    "bnb": "nf4",
}
#: The limits of a card that its compute capability settles.
OF_A_CAPABILITY = (
    *("vendor", "architecture", "capability", "bf16_tensor_cores", "memory_type", "pcie_gen"),
    *("shared_kib_per_sm", "shared_bytes_per_block", "registers_per_sm"),
    *("max_threads_per_sm", "max_blocks_per_sm"),
)


@frozen
class Asked:
    """A card, the options as they follow from how it and the model were named, and what to know of both."""

    gpu: Gpu
    options: Mapping[str, object]
    notes: tuple[Sentence, ...]


def asked(name: str, options: Mapping[str, object]) -> Asked:
    """The card called `name`, with the figures that the options give, and the options completed by what names say.

    A machine's name says how many cards it has and whose price counts; a quantised checkpoint's name how its weights
    are stored.

    Raises:
        BadInput: no card or model is called so and it is not described either, or a figure makes no sense.
    """
    said = opened(options)
    figures = _figures(said)
    machine = find_instance(name)
    notes: list[Sentence] = []
    try:
        card, note = find_gpu(name)
    except BadInput as unknown:
        if not figures and CAPABILITY not in said:
            raise
        card = _described(name, figures, said, near=str(unknown.sentence.values["near"]))
    else:
        notes += [note] if note is not None else []
        card = _changed(card, figures, said)
    if "memory_gb" in card.own:
        said.setdefault("memory_gib", f"{card.memory_gb:g}")
    if machine is not None:
        notes += _settle_machine(machine, said)
    if "model" in said and said.get("config") is None:
        notes += _settle_model(said)
    return Asked(gpu=card, options=said, notes=tuple(notes))


def cards_with(card: Gpu) -> tuple[Gpu, ...]:
    """Every listed card, and the asked one where it is none of them."""
    return gpus() if card in gpus() else (*gpus(), card)


def _figures(said: Mapping[str, object]) -> dict[str, float]:
    """What was said of a card, by field.

    Raises:
        BadInput: a figure is no number, or out of its limits.
    """
    found: dict[str, float] = {}
    for figure in FIGURES:
        if figure.option not in said:
            continue
        name, value = figure.option.replace("_", "-"), said[figure.option]
        found[figure.field] = (
            whole_number(name, value, at_least=int(figure.low), at_most=int(figure.high))
            if figure.whole
            else real_number(name, value, at_least=figure.low, below=figure.high)
        )
    return found


def _changed(card: Gpu, figures: Mapping[str, float], said: Mapping[str, object]) -> Gpu:
    """A listed card with the figures that were given in place of its own.

    Raises:
        BadInput: it is given another compute capability than it has.
    """
    stated = said.get(CAPABILITY)
    if stated is not None and str(stated).strip() != card.capability:
        values = {"gpu": card.name, "capability": card.capability or "-", "value": str(stated)[:20]}
        raise BadInput("error.card_capability", **values)
    listed = card if card.base is None else next(one for one in gpus() if one.name == card.base)
    own = {name: getattr(card, name) for name in card.own} | dict(figures)
    if not own:
        return card
    if card.own or card.base is None:
        return changed_card(listed, own)
    usable = None if "memory_gb" in own else card.usable_memory_mib
    return replace(card, **own, usable_memory_mib=usable, own=tuple(own))


def _described(name: str, figures: Mapping[str, float], said: Mapping[str, object], *, near: str) -> Gpu:
    """A card that is not listed, as the user describes it.

    What its compute capability settles is that of the listed cards; SMs that nobody gave are those of the listed card
    of that capability whose rate is nearest, in proportion.

    Raises:
        BadInput: a figure is missing, or no listed card has the compute capability.
    """
    missing = [option for option in (CAPABILITY, *NEEDED) if option not in said]
    if missing:
        options = ", ".join(f"--{option.replace('_', '-')}" for option in missing)
        raise BadInput("error.card_needs", name=name[:60], near=near, missing=options)
    stated = str(said[CAPABILITY]).strip()
    alike = [card for card in gpus() if card.capability == stated and card.tensor_16bit_tflops]
    if not alike:
        known = sorted({c.capability for c in gpus() if c.capability and c.tensor_16bit_tflops}, key=float)
        raise BadInput("error.unknown_capability", value=stated[:20], choices=", ".join(known))
    rate = figures["tensor_16bit_tflops"]
    nearest = min(alike, key=lambda card: abs((card.tensor_16bit_tflops or 0.0) - rate))
    ratio = rate / (nearest.tensor_16bit_tflops or rate)
    settled = {field: getattr(nearest, field) for field in OF_A_CAPABILITY}
    # Tensor cores that take 8-bit floats at all take them at twice the rate of 16 bits.
    fp8 = 2 * rate if (nearest.arch or 0) >= 89 else None
    followed = {"sm_count": max(1, round(nearest.sm_count * ratio)), "fp8_tflops": fp8}
    unknown = dict.fromkeys(_UNKNOWN)
    blank = {"gemm_note": "", "unverified": (), "disagreements": "", "sources": (), "form_factor": "-"}
    values = {**unknown, **blank, **settled, **followed, **figures}
    inferred = tuple(field for field in followed if field not in figures)
    return Gpu(**values, name=" ".join(name.split())[:MOST_NAME], inferred=inferred, own=tuple(figures))


_UNKNOWN = (
    *("boost_mhz", "tensor_flop_per_clock_per_sm", "int8_tops", "fp32_tflops", "usable_memory_mib"),
    *("l2_mb", "tdp_w", "nvlink_gb_per_s"),
    *("gemm_bf16_tflops_low", "gemm_bf16_tflops_high", "gemm_fp16_tflops_low", "gemm_fp16_tflops_high"),
)


def _settle_machine(machine: Instance, said: dict[str, object]) -> list[Sentence]:
    """Say what a machine's name stands for, its cards and its provider's price, and where that is another's."""
    said["instance"] = machine.instance
    if machine.count > 1:
        said.setdefault("gpus", str(machine.count))
    offers = [
        price
        for price in all_prices()
        if (price.gpu, price.provider, price.pricing) == (machine.gpu, machine.provider, "on-demand")
    ]
    if machine.part or not offers or PRICED & said.keys():
        return []
    said["provider"] = machine.provider
    counted = min(offers, key=lambda price: price.usd_per_hour).instance
    if counted in ("", machine.instance):
        return []
    values = {"given": machine.instance, "provider": machine.provider, "name": machine.gpu, "other": counted}
    return [Sentence("catalogue.instance_price", values)]


def _settle_model(said: dict[str, object]) -> list[Sentence]:
    """Name the preset that a checkpoint's name means, and how that checkpoint stores its weights.

    Raises:
        BadInput: no model is called so.
    """
    name = str(said["model"])
    found, words = find_model(name)
    if not words:
        return []
    said["model"] = found.name
    stored = _stored(words)
    if stored is None or said.get("task") not in ("prefill", "decode"):
        return [Sentence("catalogue.variant", {"given": name[:80], "name": found.name})]
    said.setdefault("weights", stored)
    values = {"given": name[:80], "name": found.name, "weights": str(said["weights"])}
    return [Sentence("catalogue.variant_stored", values)]


def _stored(words: Sequence[str]) -> str | None:
    """The type of weights that the words behind a name say, such as nvfp4, awq, or q4 k m; None where they say none."""
    for first in range(len(words)):
        for last in range(len(words), first, -1):
            name = "_".join(words[first:last])
            name = STORED.get(name, name)
            if name in weight_types() and name not in WHOLE_TYPES:
                return name
    return None
