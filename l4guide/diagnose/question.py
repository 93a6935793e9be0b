"""The question that a finding implies, and the commands of the guide that answer it."""

import re
from collections.abc import Mapping
from functools import cache

from l4guide.catalogue import models
from l4guide.diagnose.cards import card_named
from l4guide.diagnose.setting import Setting
from l4guide.support.releases import libraries

#: Shapes as attention libraries print them: the last number is the head_dim.
QUERY = re.compile(
    r"(?:query|q)[\w.]{0,20} ?(?::|=|\.shape) ?(?:shape=|torch\.size\()?[\[(](\d{1,7}(?:, ?\d{1,7}){2,3})[\])]"
)
HEAD_DIM = re.compile(
    r"(?:head_dim(?:_qk)?|head_size|headdim|head dim(?:ension)?|query\.size\(-1\))'?\)? ?[:=]? ?(\d{1,4})\b"
)
DTYPE = re.compile(r"\b(bf16|bfloat16|fp16|float16|half|fp32|float32)\b")
DTYPES = {"bfloat16": "bf16", "float16": "fp16", "half": "fp16", "float32": "fp32"}
BACKWARD = ("backward", "autograd", "optimizer", "trainer.py", "train.py", "training_step", "loss =", "bwd")
SERVING = (
    "vllm",
    "sglang",
    "lmdeploy",
    "text_generation_server",
    "tensorrt_llm",
    "llama-server",
    "kv cache",
    "enginecore",
)
#: Lines that are searched for the name of a model.
MOST_LINES = 4_000
MOST_HEAD_DIM = 1024


@cache
def _models() -> tuple[tuple[str, str], ...]:
    """Every preset's name in small letters beside the name, the longest first."""
    return tuple(sorted(((one.name.lower(), one.name) for one in models()), key=lambda pair: -len(pair[0])))


def model_named(setting: Setting) -> str | None:
    """The preset whose name stands in the paste; None where none does."""
    for line in setting.paste.lines[:MOST_LINES]:
        small = line.text[:600].lower()
        if "model" in small or "/" in small:
            for name, preset in _models():
                if len(name) >= 6 and name in small:
                    return preset
    return None


def asked_library(library: str) -> str | None:
    """A library of the support rules that stands for the one of a finding."""
    for name in (library, library.partition("/")[0]):
        if name in libraries():
            return name
    return "torch/sdpa" if library.startswith("torch") else None


def question_of(setting: Setting, library: str, kernel: str | None) -> Mapping[str, str]:
    """Options of the question that a paste implies: card, library, head_dim, task, model; unknown ones are absent."""
    scope = setting.scope
    found: dict[str, str | None] = {}
    card = card_named(line.text.lower() for line in setting.paste.lines)
    found["gpu"] = card.name if card else None
    found["library"] = asked_library(library)
    width = QUERY.search(scope)
    named = HEAD_DIM.search(scope)
    head_dim = width[1].rpartition(",")[2].strip() if width else named[1] if named else None
    found["head_dim"] = head_dim if head_dim and 0 < int(head_dim) <= MOST_HEAD_DIM else None
    trains = kernel == "backward" or any(word in scope for word in BACKWARD)
    serves = any(word in scope for word in SERVING)
    found["task"] = "training" if trains else "decode" if serves else None
    dtype = DTYPE.search(setting.message[:400])
    found["dtype"] = DTYPES.get(dtype[1], dtype[1]) if dtype else None
    found["model"] = model_named(setting)
    return {name: value for name, value in found.items() if value is not None}


def command_of(template: str, question: Mapping[str, str]) -> str:
    """A command line of the guide; an option whose blank the question does not fill is left out."""
    first, *options = re.split(r" (?=--)", template)
    kept = [first]
    for option in options:
        blanks = re.findall(r"\{(\w+)\}", option)
        if all(blank in question for blank in blanks):
            kept.append(option.format_map({name: _word(value) for name, value in question.items()}))
    return "l4guide " + " ".join(kept)


def _word(value: str) -> str:
    """A value as the shell takes it."""
    return f"'{value}'" if " " in value else value
