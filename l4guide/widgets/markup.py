"""HTML of the panels: templates that are files, everything put into them escaped."""

from functools import cache, partial
from importlib.resources import files

import jinja2

from l4guide.matrix import status_name
from l4guide.text import say


@cache
def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.PackageLoader("l4guide.widgets"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def render(template: str, language: str, **values: object) -> str:
    """The template `<template>.html` with `values`; it says sentences by `say` and statuses by `status_name`."""
    page = _environment().get_template(f"{template}.html")
    spoken = {"say": partial(say, language=language), "status_name": partial(status_name, language=language)}
    return page.render(language=language, **spoken, **values)


@cache
def asset(name: str) -> str:
    """The text of a script or style sheet of this package."""
    return (files("l4guide.widgets") / "static" / name).read_text(encoding="utf-8")
