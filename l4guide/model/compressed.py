"""Layers that keep one key for every so many tokens, beside those of a window: DeepSeek V4's."""

from dataclasses import replace
from typing import Any

from l4guide.errors import BadInput
from l4guide.frozen import frozen
from l4guide.model.architecture import WINDOW, Mixer
from l4guide.model.fields import Fields

SPARSE, HEAVY = "compressed_sparse_attention", "heavily_compressed_attention"
#: Tokens for which one key is kept, by what a list of layers calls them; `compress_rates` may say others.
RATES = {SPARSE: 4, HEAVY: 128}
MOST_TOKENS = 2**20
ALTERNATING = "deepseek_v4"


@frozen
class Compression:
    """One key for every `rate` tokens, 0 where a window is all; `chooses` where an index says which are read."""

    rate: int
    chooses: bool = False


def compressions(fields: Fields, count: int) -> list[Compression]:
    """The compression of each layer; empty where none is compressed.

    Raises:
        BadInput: a list is shorter than there are layers, or a rate is malformed or out of limits.
    """
    ratios = fields.listed("compress_ratios")
    if ratios:
        rates = [_checked(fields, "compress_ratios", ratio, at_least=0) for ratio in ratios[:count]]
        found = [Compression(rate=rate, chooses=rate == RATES[SPARSE]) for rate in rates]
        return _fitting(fields, "compress_ratios", found, count)
    listed = fields.listed("layer_types") or _usual(fields, count)
    if not any(kind in listed for kind in RATES):
        return []
    made = {kind: Compression(rate=_rate(fields, kind), chooses=kind == SPARSE) for kind in RATES}
    found = [made.get(str(kind), Compression(rate=0)) for kind in listed[:count]]
    return _fitting(fields, "layer_types", found, count)


def compressed(fields: Fields, full: Mixer, found: Compression) -> Mixer:
    """A layer's attention, given how it would be with every key kept.

    Raises:
        BadInput: a field is malformed or out of limits.
    """
    window = fields.whole("sliding_window", at_least=1)
    if not found.rate:
        return full if window is None else replace(full, kind=WINDOW, window=window)
    index = (fields.whole("index_head_dim") or 0) if found.chooses else 0
    chosen: dict[str, Any] = index_of(fields) if found.chooses else {}
    return replace(full, stride=found.rate, recent=window or 0, index_columns=index, **chosen)


def index_of(fields: Fields) -> dict[str, Any]:
    """The index that chooses keys: how many, and what it multiplies for that; empty where there is none.

    Raises:
        BadInput: a field is malformed or out of limits.
    """
    selected = fields.whole("index_topk")
    if not selected:
        return {}
    heads, wide = fields.whole("index_n_heads") or 0, fields.whole("index_head_dim") or 0
    return {"selected": selected, "index_heads": heads, "index_dim": wide}


def _usual(fields: Fields, count: int) -> list[str]:
    """What transformers takes where DeepSeek V4's layers are not listed: two heavy ones, then every other sparse."""
    if str(fields.get("model_type")) != ALTERNATING:
        return []
    fields.assumed.append("layer_types")
    return [SPARSE if number % 2 and number > 1 else HEAVY for number in range(count)]


def _rate(fields: Fields, kind: str) -> int:
    said = fields.get("compress_rates")
    rate = said.get(kind) if isinstance(said, dict) else None
    return RATES[kind] if rate is None else _checked(fields, "compress_rates", rate, at_least=1)


def _checked(fields: Fields, name: str, rate: object, *, at_least: int) -> int:
    if isinstance(rate, bool) or not isinstance(rate, int):
        raise BadInput("error.config_not_whole", path=fields.name, field=name, value=str(rate)[:40])
    if not at_least <= rate <= MOST_TOKENS:
        limits = {"low": at_least, "high": MOST_TOKENS}
        raise BadInput("error.config_out_of_range", path=fields.name, field=name, value=rate, **limits)
    return rate


def _fitting(fields: Fields, name: str, found: list[Compression], count: int) -> list[Compression]:
    if len(found) < count:
        values = {"field": name, "found": len(found), "needed": count}
        raise BadInput("error.config_list_length", path=fields.name, **values)
    return found
