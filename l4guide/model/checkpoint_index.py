"""A checkpoint's index, `model.safetensors.index.json`: how many bytes its files hold, and the names of its tensors."""

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from l4guide.errors import BadInput
from l4guide.frozen import frozen

#: Under which a configuration carries the index that was found or given beside it.
KEY = "model.safetensors.index.json"
#: The names of the file, as it lies beside a config.json.
NAMES = (KEY, "pytorch_model.bin.index.json")
#: Files that say how a checkpoint is quantised where its config.json does not.
QUANTISED, QUANTISATIONS = (
    "quantization_config",
    ("hf_quant_config.json", "quantize_config.json", "quant_config.json"),
)
MOST_BYTES = 64 * 2**20
LAYER = re.compile(r"\blayers\.(\d{1,4})\.")
HEADS = ("lm_head.weight", "lm_head.qweight", "lm_head.weight_packed", "embed_out.weight")
#: What a processor beside it says of images.
PROCESSOR, PROCESSORS = "preprocessor_config", ("preprocessor_config.json", "processor_config.json")
#: More than any checkpoint holds; beyond it the number is a typing mistake.
MOST_TOTAL = 10**15


@frozen
class Index:
    """Bytes of all files together, None where it does not say; and how many tensors it names."""

    total: int | None
    tensors: int


def is_index(found: object) -> bool:
    """Whether an object is such an index rather than a configuration."""
    return (
        isinstance(found, Mapping)
        and not {"model_type", "hidden_size"} & found.keys()
        and ("weight_map" in found or isinstance(found.get("metadata"), Mapping))
    )


def index_of(config: Mapping[str, object]) -> Index | None:
    """The index that lies in a configuration; None where none does.

    A configuration may carry it under its file's name, or its `metadata` alone.
    """
    found = config.get(KEY)
    said = found if isinstance(found, Mapping) else config
    metadata, names = said.get("metadata"), said.get("weight_map")
    total = metadata.get("total_size") if isinstance(metadata, Mapping) else None
    if isinstance(total, float) and total.is_integer():
        total = int(total)
    if isinstance(total, bool) or not isinstance(total, int) or not 0 < total < MOST_TOTAL:
        total = None
    tensors = len(names) if isinstance(names, Mapping) else 0
    return None if total is None and not tensors else Index(total=total, tensors=tensors)


def _names(config: Mapping[str, object]) -> Iterable[str]:
    """The names of its tensors; none where no index says them."""
    found = config.get(KEY)
    named = found.get("weight_map") if isinstance(found, Mapping) else None
    return [name for name in named if isinstance(name, str)] if isinstance(named, Mapping) else ()


def holds_further(config: Mapping[str, object], layers: int) -> bool | None:
    """Whether the checkpoint of a configuration of so many layers holds more of them; None where no index says."""
    names = _names(config)
    if not names:
        return None
    numbers = (int(found[1]) for name in names if (found := LAYER.search(name)))
    return any("mtp" in name.split(".") for name in names) or max(numbers, default=0) >= layers


def holds_head(config: Mapping[str, object]) -> bool | None:
    """Whether the checkpoint of a configuration holds a product for its output; None where no index says."""
    names = _names(config)
    return any(name.endswith(HEADS) for name in names) if names else None


def without_index(config: Mapping[str, object]) -> Mapping[str, object]:
    """A configuration as its makers wrote it."""
    return {name: value for name, value in config.items() if name not in (KEY, PROCESSOR)}


def beside(path: Path, names: Iterable[str] = NAMES) -> Mapping[str, object] | None:
    """The first object among files of these names beside a config.json; None where none lies there or can be read."""
    for name in names:
        there = path.with_name(name)
        if there.is_file():
            try:
                return _read(there)
            except BadInput:
                return None
    return None


def read_index(path: Path) -> Mapping[str, object]:
    """The index in a file.

    Raises:
        BadInput: there is no such file, it is too large, it is no JSON, or no index.
    """
    found = _read(path)
    if index_of(found) is None:
        raise BadInput("error.no_index", path=path.name)
    return found


def _read(path: Path) -> Mapping[str, object]:
    try:
        if path.stat().st_size > MOST_BYTES:
            raise BadInput("error.config_too_large", path=path, limit=MOST_BYTES)
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        problem = getattr(error, "strerror", None) or error
        raise BadInput("error.config_unreadable", path=path, problem=problem) from error
    except (ValueError, RecursionError) as error:
        raise BadInput("error.config_no_json", path=path.name, problem=str(error)[:120]) from error
    if not isinstance(found, dict):
        raise BadInput("error.config_no_object", path=path.name, kind=type(found).__name__)
    return found
