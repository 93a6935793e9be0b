"""The question: what the user chooses."""

from collections.abc import Sequence

import ipywidgets

from l4guide import catalogue
from l4guide.model import weight_names
from l4guide.step.recipe import LOSSES, METHODS, OPTIMIZERS, RECOMPUTES, ZERO_STAGES
from l4guide.text import LANGUAGES, say
from l4guide.widgets.box import box
from l4guide.widgets.field import Choices, Field, same
from l4guide.widgets.markup import render
from l4guide.widgets.page_state import PageState
from l4guide.widgets.state import CARD, CUSTOM, OF_A_MODEL, GuideState
from l4guide.workload import DTYPES, TASKS

#: Choices of a training recipe; none of them is what the answer then says to assume.
TRAINING = {
    "method": METHODS,
    "optimizer": OPTIMIZERS,
    "loss": LOSSES,
    "recompute": RECOMPUTES,
    "zero": ZERO_STAGES,
}
USUAL_HEAD_DIMS = (32, 64, 72, 80, 96, 128, 192, 256)


class Controls:
    """Every input, each with its label and its own message when it is wrong.

    Args:
        state: what the inputs write to.
        attached: catalogue names of the GPUs of this machine, to be marked in the list.
    """

    def __init__(self, state: GuideState, attached: Sequence[str] = ()) -> None:
        self.state = state
        self._attached = frozenset(attached)
        self._heading = ipywidgets.HTML()
        self._general = ipywidgets.HTML(layout={"display": "none"})
        self.fields = {
            "task": Field(state, "task", ipywidgets.ToggleButtons(), choices=_tasks),
            "head_dim": Field(
                state, "head_dim", ipywidgets.ToggleButtons(), choices=_head_dims, shows_problem=False
            ),
            "head_dim_entry": Field(state, "head_dim", _entry(), key="head_dim_entry"),
            "gpu": Field(state, "gpu", ipywidgets.Dropdown(), choices=self._gpus, shows_problem=False),
            "gpu_entry": Field(state, "gpu", _entry(), key="gpu_entry"),
            **{name: Field(state, name, _entry()) for name in CARD},
            "model": Field(state, "model", ipywidgets.Dropdown(), choices=_models),
            "dtype": Field(state, "dtype", ipywidgets.Dropdown(), choices=same(DTYPES)),
            **{
                name: Field(state, name, _entry())
                for name in ("dropout", "batch", "seqlen", "heads", "kv_heads")
            },
            "causal": Field(state, "causal", ipywidgets.Checkbox(indent=False)),
            "config": Field(state, "config", ipywidgets.Textarea(continuous_update=False, rows=3)),
            "weights": Field(state, "weights", ipywidgets.Dropdown(), choices=_weights),
            **{name: Field(state, name, _entry()) for name in ("gpus", "price", "ttft_ms", "tpot_ms")},
            **{
                name: Field(state, name, ipywidgets.Dropdown(), choices=_assumed_or(values))
                for name, values in TRAINING.items()
            },
        }
        small = ("dtype", "dropout", "batch", "seqlen", "heads", "kv_heads")
        plan = ("gpus", "price", "weights", "ttft_ms", "tpot_ms", *TRAINING)
        card, grid, terms = (
            box([self.fields[name].view for name in names], "l4g-small-fields")
            for names in (CARD, small, plan)
        )
        self.view = ipywidgets.VBox(
            [
                self._heading,
                *(
                    self.fields[name].view
                    for name in ("task", "head_dim", "head_dim_entry", "gpu", "gpu_entry")
                ),
                card,
                *(self.fields[name].view for name in ("model", "config")),
                grid,
                self.fields["causal"].view,
                terms,
                self._general,
            ]
        )
        self.view.add_class("l4g-card")
        self.view.add_class("l4g-controls")
        watched = ["language", "problem", "problem_field", "model", "config", "task"]
        state.observe(state.guarded(lambda _: self._speak()), watched)
        self._speak()

    def _speak(self) -> None:
        state = self.state
        self._heading.value = render("heading", state.language, key="guide.question")
        homeless = state.problem is not None and state.problem_field not in self.fields
        sentence = state.problem.say(state.language) if homeless else ""
        self._general.value = render("problem", state.language, sentence=sentence) if homeless else ""
        self._general.layout.display = None if homeless else "none"
        for name in OF_A_MODEL:
            self.fields[name].view.layout.display = None if state.has_model else "none"
        trains = state.has_model and state.task == "training"
        for name in TRAINING:
            self.fields[name].view.layout.display = None if trains else "none"

    def _gpus(self, language: str) -> list[tuple[str, str]]:
        def label(name: str) -> str:
            return say("guide.attached", language, gpu=name) if name in self._attached else name

        return [(label(gpu.name), gpu.name) for gpu in catalogue.gpus()]


class LanguageSwitch:
    """English or Chinese, for everything at once."""

    def __init__(self, state: PageState) -> None:
        choices = [(label, code) for code, label in LANGUAGES.items()]
        self.field = Field(state, "language", ipywidgets.ToggleButtons(), choices=lambda _: choices)
        self.view = self.field.view
        self.view.add_class("l4g-language")


def _entry() -> ipywidgets.Text:
    """A text entry that speaks when the user has finished: on Enter or on leaving it."""
    return ipywidgets.Text(continuous_update=False)


def _tasks(language: str) -> list[tuple[str, str]]:
    return [(say(f"guide_task.{task}", language), task) for task in TASKS]


def _head_dims(_language: str) -> list[tuple[str, str]]:
    return [(str(width), str(width)) for width in USUAL_HEAD_DIMS]


def _weights(language: str) -> list[tuple[str, str]]:
    return [(say("guide.weights_as_published", language), ""), *((name, name) for name in weight_names())]


def _assumed_or(values: Sequence[str]) -> Choices:
    """What is assumed, or one of the values."""
    return lambda language: [(say("guide.assumed", language), ""), *((value, value) for value in values)]


def _models(language: str) -> list[tuple[str, str]]:
    return [(say("guide.custom_shape", language), CUSTOM), *((m.name, m.name) for m in catalogue.models())]
