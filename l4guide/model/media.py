"""How a configuration makes tokens of images and sound: the rule of its type, with the numbers that are said."""

import re
from collections.abc import Mapping
from functools import cache
from typing import Any

from l4guide import catalogue
from l4guide.frozen import frozen
from l4guide.model.fields import Fields
from l4guide.table import read_records

IMAGE, SOUND = "image", "sound"
#: Files beside a config.json, or keys in it, that hold what the processor sets.
PROCESSORS = ("preprocessor_config", "processor_config", "image_processor")
#: How the columns are spelled by configurations and processors, of images and of sound.
SPELLED_OF_SOUND: Mapping[str, tuple[str, ...]] = {
    "merge": ("stack_factor",),
    "tokens": ("audio_soft_tokens_per_image", "audio_seq_length"),
}
#: By how much a tile's patches are fewer as tokens, along one side; ratios are the inverse.
SHUFFLED, RATIOS = ("scale_factor", "downsample_factor"), ("downsample_ratio", "pixel_shuffle_ratio")
SHUFFLES = ("tiles", "marked", "splits", "chunks")
SPELLED: Mapping[str, tuple[str, ...]] = {
    "patch": ("patch_size", "encoder_patch_size"),
    "merge": ("spatial_merge_size", "merge_size", "pooling_kernel_size"),
    "least": ("min_pixels",),
    "most": ("max_pixels",),
    "tiles": ("max_dynamic_patch", "max_patches", "max_slice_nums", "dynamic_hd"),
    "tokens": (
        *("mm_tokens_per_image", "vision_soft_tokens_per_image", "image_seq_length", "max_soft_tokens"),
        *("num_query_tokens", "query_num", "default_output_length"),
    ),
}
MOST_NUMBER = 2**30


@frozen
class Row:
    """A row of `media_tokens.csv`: a type's rule, and what its processor takes where nothing else is said."""

    model_type: str
    media: str
    rule: str
    patch: int | None
    merge: int | None
    least: int | None
    most: int | None
    side: int | None
    tiles: int | None
    tokens: int | None
    beside: int | None
    inferred: tuple[str, ...]
    unverified: tuple[str, ...]
    sources: tuple[str, ...]


@frozen
class Rule:
    """How an image or a sound becomes tokens, with every number filled in; 0 where a rule has no use for one.

    `patch` is pixels along a patch of the tower, `merge` how many along one token, `least` and `most` pixels of an
    image, `side` pixels along a tile or an image (seconds of a window of sound), `tiles` the most of them, `tokens`
    those of a tile or of all, `beside` those that stand around. `has_class` where CLIP's class token is kept;
    `pinpoints` are the sizes that an image is fitted to. `assumed` names the numbers that neither the configuration
    nor a processor beside it says.
    """

    name: str
    patch: int = 0
    merge: int = 0
    least: int = 0
    most: int = 0
    side: int = 0
    tiles: int = 0
    tokens: int = 0
    beside: int = 0
    has_class: bool = False
    pinpoints: tuple[tuple[int, int], ...] = ()
    assumed: tuple[str, ...] = ()


@cache
def rows() -> Mapping[tuple[str, str], Row]:
    """Every row of `media_tokens.csv`, by type and medium.

    Raises:
        BadData: a row is broken.
    """
    found = read_records(catalogue.data_folder() / "media_tokens.csv", Row, ["model_type", "media"])
    return {(row.model_type, row.media): row for row in found}


def rule_of(fields: Fields, tower: Fields, media: str) -> Rule | None:
    """The rule of a model's type for `media`, image or sound; None for a type whose rule is not known."""
    named = [str(config.get("model_type", "")) for config in (fields.outer, fields.own)]
    row = next((rows()[name, media] for name in named if (name, media) in rows()), None)
    if row is None:
        return None
    processor = _processor(fields.outer)
    found: dict[str, int] = {}
    assumed = []
    for column, names in (SPELLED if media == IMAGE else SPELLED_OF_SOUND).items():
        said = _said((processor, tower.own, fields.outer), names)
        if said is None and getattr(row, column) is not None:
            assumed.append(names[0])
        found[column] = said or getattr(row, column) or 0
    side, sized = _side(row, processor, tower.own)
    edges = _edges(processor, row)
    found |= edges
    assumed = [name for name in assumed if name not in {SPELLED[column][0] for column in edges}]
    if (
        row.rule in SHUFFLES
        and found["patch"]
        and (shuffled := _shuffled((fields.outer, tower.own, processor)))
    ):
        found["tokens"] = (side // found["patch"]) ** 2 // shuffled**2
        assumed = [name for name in assumed if name != SPELLED["tokens"][0]]
    if processor.get("do_image_splitting") is False:
        found["tiles"] = 1
    limit = re.fullmatch(r"anyres_max_(\d{1,3})", str(fields.outer.get("vision_aspect_ratio")))
    if limit is not None:
        found["tiles"] = int(limit[1])
    return Rule(
        name=row.rule,
        side=side,
        beside=row.beside or 0,
        has_class=_keeps_class(fields.outer, tower),
        pinpoints=_pinpoints(fields.outer, processor),
        assumed=tuple(assumed if sized or not row.side else [*assumed, "image_size"]),
        **found,
    )


def _keeps_class(config: Mapping[str, Any], tower: Fields) -> bool:
    """Whether CLIP's class token is among an image's."""
    is_clip = str(tower.own.get("model_type")).startswith("clip")
    return is_clip and config.get("vision_feature_select_strategy") == "full"


def _shuffled(configs: tuple[Mapping[str, Any], ...]) -> int | None:
    """How many patches along a side become one token; None where it is not said."""
    for config in configs:
        for name in SHUFFLED:
            if (number := _number(config.get(name))) is not None and number < 64:
                return number
        for name in RATIOS:
            ratio = config.get(name)
            if isinstance(ratio, float) and 0.01 < ratio <= 1:
                return round(1 / ratio)
    return None


def _processor(config: Mapping[str, object]) -> Mapping[str, Any]:
    """What the processor says, where it was pasted or lies beside; empty where nothing is."""
    for name in PROCESSORS:
        said = config.get(name)
        if isinstance(said, Mapping):
            inner = said.get("image_processor")
            return inner if isinstance(inner, Mapping) else said
    return {}


def _said(configs: tuple[Mapping[str, Any], ...], names: tuple[str, ...]) -> int | None:
    return next(
        (number for config in configs for name in names if (number := _number(config.get(name))) is not None),
        None,
    )


def _number(value: object) -> int | None:
    """A whole number above zero; of a pair, or of a height and a width, the first."""
    if isinstance(value, Mapping):
        value = value.get("height", value.get("longest_edge"))
    if isinstance(value, list | tuple) and value:
        value = value[0]
    whole = isinstance(value, int) and not isinstance(value, bool)
    return value if whole and isinstance(value, int) and 0 < value <= MOST_NUMBER else None


def _side(row: Row, processor: Mapping[str, Any], tower: Mapping[str, Any]) -> tuple[int, bool]:
    """Pixels along a tile or an image, and whether they were said: by the processor, else by the tower."""
    if row.media == SOUND:
        return row.side or 0, True
    size = processor.get("size")
    names = ("longest_edge",) if row.rule == "rows" else ("height", "shortest_edge")
    said = None
    if isinstance(size, Mapping) and row.rule in (
        "rows",
        "tiles",
        "marked",
        "anyres",
        "chunks",
        "patches",
        "crops",
    ):
        said = next((_number(size.get(name)) for name in names if _number(size.get(name))), None)
    said = said or _number(processor.get("scale_resolution")) or _number(tower.get("image_size"))
    return said or row.side or 0, said is not None


def _edges(processor: Mapping[str, Any], row: Row) -> dict[str, int]:
    """Pixels of an image as newer processors spell them: a shortest and a longest edge that are areas."""
    size = processor.get("size")
    if row.rule not in ("grid", "frames", "lines") or not isinstance(size, Mapping):
        return {}
    pairs = (("least", _number(size.get("shortest_edge"))), ("most", _number(size.get("longest_edge"))))
    return {name: number for name, number in pairs if number is not None}


def _pinpoints(config: Mapping[str, Any], processor: Mapping[str, Any]) -> tuple[tuple[int, int], ...]:
    """Heights and widths that an image is fitted to."""
    for said in (processor.get("image_grid_pinpoints"), config.get("image_grid_pinpoints")):
        if isinstance(said, list):
            pairs = [one for one in said[:256] if isinstance(one, list) and len(one) == 2]
            sized = [(_number(one[0]), _number(one[1])) for one in pairs]
            return tuple((a, b) for a, b in sized if a is not None and b is not None)
    return ()
