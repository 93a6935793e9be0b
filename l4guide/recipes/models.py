"""The preset that a training tool's name of a model means."""

import re

from l4guide import catalogue

#: Ends of a name that change nothing of a model's shape.
ENDS = re.compile(
    r"(?:[-_](?:instruct|chat|base|it|hf|bnb|4bit|bf16|fp16|unsloth|int4|awq|gptq|\d{4}|v\d(?:\.\d)?))+$"
)


def preset_of(name: str) -> str | None:
    """The preset of a repository's name, such as meta-llama/Llama-3.1-8B-Instruct; None where none is meant."""
    plain = name.strip().rstrip("/").rsplit("/", maxsplit=1)[-1].lower()
    plain = ENDS.sub("", plain.removeprefix("meta-"))
    return _nearest(plain)


def preset_of_builder(name: str) -> str | None:
    """The preset of a function's name that builds a model, such as llama3_1_8b."""
    return _nearest(ENDS.sub("", name.lower()))


def _nearest(plain: str) -> str | None:
    """The preset of the same letters and digits, the ends of both left out."""
    wanted = _letters(plain)
    for model in catalogue.models():
        if wanted and wanted in (_letters(model.name.lower()), _letters(ENDS.sub("", model.name.lower()))):
            return model.name
    return None


def _letters(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name)
