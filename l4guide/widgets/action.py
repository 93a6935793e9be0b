"""A button that does one thing."""

from collections.abc import Callable

import ipywidgets


def action_button(clicked: Callable[..., None], css_class: str, style: str = "") -> ipywidgets.Button:
    """A button of the guide's look without a word on it yet; `style` "primary" makes it the one to press."""
    button = ipywidgets.Button(button_style=style)
    button.add_class("l4g-button")
    button.add_class(css_class)
    button.on_click(clicked)
    return button
