"""The memory of a serving engine, added up from its log: what is left for the cache, and which flag mends it."""

import re
from collections.abc import Mapping
from math import ceil, floor

from l4guide.diagnose.setting import Setting
from l4guide.text import Sentence

Sum = tuple[tuple[Sentence, ...], Mapping[str, object]]
NUMBER = r"(-?\d{1,7}(?:\.\d{1,4})?)"
GB = rf"{NUMBER} ?gi?b"
#: vLLM's lines by what they tell, newest words last: the last of them before the message counts.
VLLM: Mapping[str, tuple[re.Pattern[str], ...]] = {
    name: tuple(re.compile(one.replace("GB", GB).replace("NUMBER", NUMBER)) for one in patterns)
    for name, patterns in {
        "total": (
            r"total_gpu_memory \(GB\)",
            "total_gpu_memory=GB",
            r"free memory on device .{0,20}?\(\d{1,4}(?:\.\d{1,4})?/NUMBER gib\)",
        ),
        "utilisation": (
            r"gpu_memory_utilization \(NUMBER\)",
            "gpu_memory_utilization=NUMBER",
            r"gpu[-_]memory[-_]utilization[ =]NUMBER",
        ),
        "weights": (
            "model weights take GB",
            "loading model weights took GB",
            "model loading took GB",
            "weights memory: GB",
        ),
        "other": (
            "non_torch_memory takes GB",
            "non_torch_memory=GB",
            "non-torch forward increase memory: GB",
        ),
        "peak": ("activation peak memory takes GB", "torch peak memory increase: GB"),
        "cache": (r"reserved for kv cache is GB", "available kv cache memory: GB", "kv_cache_size=GB"),
    }.items()
}
#: A utilisation above this leaves nothing for the driver and other programs.
MOST_UTILISATION = 0.97
#: Utilisations are told in such steps.
STEP = 0.05
#: Tokens of a block of vLLM's cache.
BLOCK = 16
SGLANG_BEFORE = re.compile(rf"load weight begin\. avail mem={GB}")
SGLANG_AFTER = re.compile(rf"load weight end\..{{0,300}}?avail mem={GB}")
CONTEXT = re.compile(r"(?:n_ctx(?:_per_seq)? {0,8}[=:] {0,8}|(?:^| )(?:-c|--ctx-size) )(\d{3,8})")


def _last(patterns: tuple[re.Pattern[str], ...], setting: Setting) -> float | None:
    """The number that one of the patterns met last before the message, else the last anywhere."""
    reading, end = setting.paste.spaced, setting.match.start
    found = [
        (one.start() <= end, one.start(), float(one[1]))
        for pattern in patterns
        for one in pattern.finditer(reading.small)
    ]
    if not found:
        return None
    _, place, number = max(found)
    setting.used.append(reading.index_at(place))
    return number


def vllm_numbers(setting: Setting) -> dict[str, float]:
    """What vLLM's log says of the card's memory, in GiB."""
    found = {name: _last(patterns, setting) for name, patterns in VLLM.items()}
    return {name: value for name, value in found.items() if value is not None}


def _up(share: float) -> float:
    """The next step of a utilisation that is enough."""
    return round(ceil(share / STEP - 1e-9) * STEP, 2)


def vllm_blocks(setting: Setting) -> Sum:
    """Budget less weights, other memory and peak is what is left for the cache; the utilisation that leaves some."""
    told = vllm_numbers(setting)
    parts = [told[name] for name in ("weights", "peak", "other") if name in told]
    if not {"total", "utilisation", "weights"} <= told.keys():
        if "cache" not in told:
            return (), {}
        return (Sentence("diagnose_serving.cache_left", {"left": f"{told['cache']:.2f}"}),), {}
    budget, need = told["total"] * told["utilisation"], sum(parts)
    left = told.get("cache", budget - need)
    minus = " - ".join(f"{part:.2f}" for part in parts)
    values = {
        "budget": f"{budget:.2f}",
        "parts": minus,
        "left": f"{left:.2f}",
        "total": f"{told['total']:.2f}",
    }
    added = Sentence("diagnose_serving.blocks", {**values, "asked": f"{told['utilisation']:.2f}"})
    share = _up((need - min(0.0, left - (budget - need))) / told["total"])
    if share > MOST_UTILISATION:
        return (
            added,
            Sentence("diagnose_serving.no_utilisation", {"need": f"{need:.2f}", "total": values["total"]}),
        ), {}
    return (added,), {"utilisation": f"{share:.2f}"}


def vllm_length(setting: Setting) -> Sum:
    """The longest sequence that the cache holds, in 16 and in 8 bits."""
    values = setting.match.values
    length = int(values["number"])
    if "limit" in values:
        most = int(values["limit"])
        told: dict[str, object] = {"length": length, "most": most}
        return (Sentence("diagnose_serving.tokens", told),), {"length": most, "fp8_length": 2 * most}
    need, left = (float(values[name]) for name in ("needed", "available"))
    estimate = re.search(r"estimated maximum model length is (\d{1,9})", setting.message)
    most = int(estimate[1]) if estimate else floor(left / need * length / BLOCK) * BLOCK if need else 0
    told = {"need": f"{need:.2f}", "left": f"{left:.2f}", "length": length, "most": most}
    told |= {"short": f"{need - left:.2f}", "each": f"{need / length * 2**20:.1f}"}
    sentence = Sentence("diagnose_serving.length", told)
    return (sentence,), ({"length": most, "fp8_length": min(length, 2 * most)} if most > 0 else {})


def vllm_free(setting: Setting) -> Sum:
    """What others hold, and the utilisation that asks for no more than is free."""
    values = setting.match.values
    free, total = float(values["free"]), float(values["total"])
    share = floor(free / total * 100 + 1e-9) / 100 if total else 0.0
    told = {"free": f"{free:.2f}", "total": f"{total:.2f}", "others": f"{total - free:.2f}"}
    sentence = Sentence("diagnose_serving.free", told)
    return (sentence,), ({"utilisation": f"{share:.2f}"} if share > 0 else {})


def sglang_fraction(setting: Setting) -> Sum:
    """What the static fraction must exceed, from the free memory before and after the weights were loaded."""
    before, after = _last((SGLANG_BEFORE,), setting), _last((SGLANG_AFTER,), setting)
    if before is None or after is None or before <= 0:
        return (), {}
    share = 1 - after / before
    fraction = ceil((share + 0.02) * 100) / 100
    told = {"before": f"{before:.2f}", "after": f"{after:.2f}", "share": f"{share:.2f}"}
    sentence = Sentence("diagnose_serving.static", told)
    return (sentence,), ({"fraction": f"{fraction:.2f}"} if fraction < MOST_UTILISATION else {})


def context_halved(setting: Setting) -> Sum:
    """Half of the context that llama.cpp was started with."""
    found = [int(one) for one in CONTEXT.findall(setting.paste.spaced.small)]
    return (), ({"half": max(found) // 2} if found else {})
