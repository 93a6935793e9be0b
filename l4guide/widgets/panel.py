"""A part of the page that is drawn anew whenever what it shows changes."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

import ipywidgets

from l4guide.widgets.page_state import PageState

State = TypeVar("State", bound=PageState)


class HtmlPanel:
    """HTML that `draw` writes from the state; redrawn when one of the traits in `watches` changes.

    Args:
        state: what `draw` reads.
        draw: gives the HTML; empty text hides the panel.
        watches: names of the traits that it depends on.
        css_class: names the panel for the style sheet.
        maths: whether the HTML holds LaTeX between dollars, for the notebook to typeset.
    """

    def __init__(
        self,
        state: State,
        draw: Callable[[State], str],
        watches: Sequence[str],
        css_class: str,
        *,
        maths: bool = False,
    ) -> None:
        self._draw = partial(draw, state)
        self.view = ipywidgets.HTMLMath() if maths else ipywidgets.HTML()
        self.view.add_class(css_class)
        redraw = state.guarded(self._redraw)
        state.observe(lambda _: redraw(), list(watches))
        redraw()

    def _redraw(self) -> None:
        self.view.value = self._draw()
        self.view.layout.display = None if self.view.value else "none"
