"""The preset that a training tool's name of a model means."""

from l4guide.catalogue import find_model, models
from l4guide.catalogue.names import plain
from l4guide.errors import BadInput


def preset_of(name: str) -> str | None:
    """The preset of a repository's name, such as meta-llama/Llama-3.1-8B-Instruct; None where none is meant."""
    last = name.strip().rstrip("/").rpartition("/")[2]
    for spelled in (name, last, last.removeprefix("Meta-")):
        try:
            return find_model(spelled)[0].name
        except BadInput:
            continue
    return None


def preset_of_builder(name: str) -> str | None:
    """The preset of a function's name that builds a model, such as llama3_1_8b; of a name with more behind it."""
    wanted = plain(name)
    near = (model.name for model in models() if wanted and plain(model.name).startswith(wanted))
    return preset_of(name) or next(near, None)
