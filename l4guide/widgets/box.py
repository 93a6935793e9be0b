"""Widgets side by side."""

from collections.abc import Sequence

import ipywidgets


def box(children: Sequence[ipywidgets.Widget], *css_classes: str) -> ipywidgets.Box:
    """A box around `children` that the style sheet lays out by its classes."""
    made = ipywidgets.Box(children)
    for css_class in css_classes:
        made.add_class(css_class)
    return made
