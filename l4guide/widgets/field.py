"""One input with its label and, beneath it, what is wrong with it."""

from collections.abc import Callable, Sequence

import ipywidgets
import traitlets

from l4guide.text import say
from l4guide.widgets.markup import render
from l4guide.widgets.page_state import PageState

#: Turns a language into the (label, value) pairs of a choice.
Choices = Callable[[str], Sequence[tuple[str, str]]]


def same(values: Sequence[str]) -> Choices:
    """Choices that are called what they are, in either language."""
    return lambda _: [(value, value) for value in values]


class Field:
    """Binds a widget to one input of the state, both ways, and labels it by the text key `<section><key>`."""

    def __init__(
        self,
        state: PageState,
        name: str,
        widget: ipywidgets.Widget,
        *,
        key: str = "",
        section: str = "guide_field.",
        choices: Choices | None = None,
        shows_problem: bool = True,
    ) -> None:
        self.state, self.name, self.widget = state, name, widget
        self._key, self._choices, self._shows_problem = key or name, choices, shows_problem
        self._label = section + self._key
        self._filling = False
        self._problem = ipywidgets.HTML(layout={"display": "none"})
        self._problem.add_class("l4g-field-problem")
        widget.add_class(f"l4g-input-{self._key.replace('_', '-')}")
        self.view = ipywidgets.VBox([widget, self._problem])
        self.view.add_class("l4g-field")
        self.speak()
        widget.observe(state.guarded(self._chosen), "value")
        state.observe(state.guarded(lambda _: self._fill()), name)
        state.observe(state.guarded(lambda _: self.speak()), "language")
        state.observe(state.guarded(lambda _: self._show_problem()), ["problem", "problem_field"])

    def speak(self) -> None:
        """Label the input and its choices anew; new choices forget what was chosen, so that is filled in again."""
        self.widget.description = say(self._label, self.state.language)
        if self._choices is not None:
            self._filling = True
            self.widget.options = tuple(self._choices(self.state.language))
            self._filling = False
        self._fill()
        self._show_problem()

    def _fill(self) -> None:
        value = getattr(self.state, self.name)
        if self._choices is not None and value not in dict(self.widget.options).values():
            value = None
        self._filling = True
        self.widget.value = value
        self._filling = False

    def _chosen(self, change: traitlets.Bunch) -> None:
        if not self._filling and change.new is not None:
            setattr(self.state, self.name, change.new)

    def _show_problem(self) -> None:
        state = self.state
        wrong = self._shows_problem and state.problem is not None and state.problem_field == self.name
        sentence = state.problem.say(state.language) if wrong else ""
        self._problem.value = render("problem", state.language, sentence=sentence) if wrong else ""
        self._problem.layout.display = None if wrong else "none"
