"""A question with what a training tool's file says of it filled in; what the user says beside the file wins."""

from collections.abc import Mapping
from pathlib import Path

from l4guide.errors import BadInput


def opened(options: Mapping[str, object]) -> dict[str, object]:
    """The options, with those of the file in `recipe` where there is one; a file that was read stays read.

    Raises:
        BadInput: the file cannot be read, is of no tool that is known here, or names no model where none is given.
    """
    said = {name: value for name, value in options.items() if value is not None}
    if "recipe" not in said:
        return said
    from l4guide.recipes import Reading, read_recipe  # most questions bring no file

    given = said["recipe"]
    reading = given if isinstance(given, Reading) else read_recipe(Path(str(given)))
    found = {**reading.options, **said, "recipe": reading}
    if "config" in said:
        found.pop("model", None)
    elif "model" not in found:
        raise BadInput("error.recipe_no_model", path=reading.name)
    return found
