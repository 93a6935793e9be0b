"""Which modules a pattern of a quantised checkpoint names, whatever its maker calls the model around them."""

import re
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

from l4guide.frozen import frozen

#: What may stand before the layers, and says nothing of the module.
AROUND = frozenset(
    (
        "model",
        "language_model",
        "transformer",
        "decoder",
        "backbone",
        "text_model",
        "thinker",
        "llm",
        "module",
    )
)
PREFIXES = ("model.", "model.language_model.", "language_model.model.")
REGEX = "re:"
#: A pattern may hold so many repetitions without end, and so many are read; more could take for ever.
MOST_REPEATED, MOST_PATTERNS = 3, 24
#: Layers that a pattern with a number is tried on.
MOST_TRIED = 64
#: The parts of each kind of module, each under the names that makers give it, with their share of its weights.
PARTS = {
    "attention": (
        (
            0.4,
            ("self_attn.q_proj", "self_attn.q_b_proj", "self_attn.qkv_proj", "attn.wq_b", "attention.q_proj"),
        ),
        (
            0.2,
            ("self_attn.k_proj", "self_attn.v_proj", "self_attn.kv_b_proj", "self_attn.qkv_proj", "attn.wkv"),
        ),
        (0.4, ("self_attn.o_proj", "self_attn.out_proj", "attn.wo_b", "attention.o_proj")),
    ),
    "state": (
        (
            0.7,
            (
                "linear_attn.in_proj_qkvz",
                "linear_attn.in_proj_qkv",
                "mixer.in_proj",
                "mamba.in_proj",
                "conv.in_proj",
            ),
        ),
        (0.3, ("linear_attn.out_proj", "mixer.out_proj", "mamba.out_proj", "conv.out_proj")),
    ),
    "mlp": (
        (
            2 / 3,
            (
                "mlp.gate_proj",
                "mlp.up_proj",
                "mlp.gate_up_proj",
                "feed_forward.w1",
                "mlp.fc1",
                "mixer.up_proj",
            ),
        ),
        (1 / 3, ("mlp.down_proj", "feed_forward.w2", "mlp.fc2", "mixer.down_proj")),
    ),
    "shared": (
        (
            1.0,
            (
                "mlp.shared_experts.gate_proj",
                "mlp.shared_expert.gate_proj",
                "mlp.shared_experts.down_proj",
                "mlp.shared_expert.down_proj",
                "feed_forward.shared_expert.gate_proj",
                "ffn.shared_experts.w1",
                "mixer.shared_experts.up_proj",
            ),
        ),
    ),
    "experts": (
        (
            1.0,
            (
                "mlp.experts",
                "mlp.experts.0.gate_proj",
                "mlp.experts.0.down_proj",
                "mlp.experts.gate_up_proj",
                "block_sparse_moe.experts.0.w1",
                "feed_forward.experts.gate_up_proj",
                "ffn.experts.0.w1",
                "mixer.experts.0.up_proj",
            ),
        ),
    ),
}
#: The same of what does not stand in the decoder's layers.
OUTSIDE = {
    "head": ("lm_head", "head", "output"),
    "tower": (
        "visual.blocks.0.attn.qkv",
        "vision_tower.encoder.layers.0.self_attn.q_proj",
        "vision_tower.vision_model.encoder.layers.0.self_attn.q_proj",
        "vision_model.model.layers.0.self_attn.q_proj",
        "vpm.encoder.layers.0.self_attn.q_proj",
        "audio_tower.layers.0.self_attn.q_proj",
    ),
}


@frozen
class Patterns:
    """Patterns ready to be tried: names, wildcards, and regular expressions."""

    names: frozenset[str]
    wild: tuple[str, ...]
    regexes: tuple[re.Pattern[str], ...]

    def name(self, module: str) -> bool:
        """Whether they name a module, itself or by something that it stands in or by its last names."""
        words = module.split(".")
        runs = (".".join(words[i:j]) for i in range(len(words)) for j in range(i + 1, len(words) + 1))
        if not self.names.isdisjoint(runs):
            return True
        full = [module, *(prefix + module for prefix in PREFIXES)]
        if any(fnmatchcase(one, wild) for wild in self.wild for one in full):
            return True
        return any(regex.match(one) for regex in self.regexes for one in full)

    @property
    def counts_layers(self) -> bool:
        """Whether any says the number of a layer."""
        digits = re.compile(r"\d")
        said = (*self.wild, *(regex.pattern.replace("{1,4}", "") for regex in self.regexes))
        return any(map(digits.search, said)) or any(".0." in f".{n}." or _numbered(n) for n in self.names)


def _numbered(name: str) -> bool:
    return any(word.isdigit() for word in name.split("."))


def patterns(said: Iterable[str]) -> Patterns:
    """Patterns as they are written: `re:` before a regular expression, stars in a wildcard, else a name.

    A regular expression that could take for ever is left out.
    """
    names: set[str] = set()
    wild: list[str] = []
    regexes: list[re.Pattern[str]] = []
    for text in said:
        if text.startswith(REGEX):
            regex = _safe(text.removeprefix(REGEX))
            if regex is not None and len(regexes) < MOST_PATTERNS:
                regexes.append(regex)
        elif "*" in text or "?" in text:
            if len(wild) < MOST_PATTERNS and text.count("*") <= MOST_REPEATED:
                wild += [text, _bare(text)]
        else:
            names.add(_bare(text))
    return Patterns(names=frozenset(names), wild=tuple(dict.fromkeys(wild)), regexes=tuple(regexes))


def _bare(name: str) -> str:
    """A name without what stands around the layers."""
    words = name.removesuffix(".weight").split(".")
    while len(words) > 1 and words[0] in AROUND:
        words = words[1:]
    return ".".join(words)


def _safe(text: str) -> re.Pattern[str] | None:
    """A regular expression that ends soon on any short name; None where that is not certain."""
    bounded = re.sub(r"(\\d|\[0-9\])[+*]", r"\1{1,4}", text)
    bounded = re.sub(r"(\.\*)+\$?$", "", bounded) or "(?:)"  # what follows the last word does not matter
    nested = re.search(r"\)\s*(?:[*+]|\{)", bounded)
    backward = re.search(r"\\[1-9]|\(\?P=|\(\?\(", bounded)
    if nested or backward or len(re.findall(r"(?<!\\)[*+]|\{\d*,(?:\d{2,})?\}", bounded)) > MOST_REPEATED:
        return None
    try:
        return re.compile(bounded)
    except (re.error, OverflowError, RecursionError):
        return None


def tried_layers(layers: int, found: Sequence[Patterns]) -> Sequence[int]:
    """The layers to try patterns on: one where they are alike, else at most so many, evenly apart."""
    if not any(one.counts_layers for one in found):
        return (0,)
    step = max(1, -(-layers // MOST_TRIED))
    return range(0, max(layers, 1), step)
