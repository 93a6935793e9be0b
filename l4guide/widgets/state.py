"""What the user chose and what came of it; every panel watches this one object, and no panel another."""

from collections.abc import Mapping

import traitlets

from l4guide import catalogue
from l4guide.advise import advise
from l4guide.errors import Problem
from l4guide.measure.probe import Machine
from l4guide.text import Sentence
from l4guide.widgets.page_state import PageState, Settled
from l4guide.workload import DEFAULTS

#: Inputs that a model preset fills in; changing one of them by hand leaves the preset.
SHAPE = ("head_dim", "heads", "kv_heads")
INPUTS = (
    "task",
    "head_dim",
    "gpu",
    "model",
    "dtype",
    "dropout",
    "batch",
    "seqlen",
    "heads",
    "kv_heads",
    "causal",
)
#: What `model` holds when the shape was given by hand.
CUSTOM = ""
#: The input that a problem is about, where its message does not name one.
FIELD_OF = {
    "error.heads_not_divisible": "kv_heads",
    "error.model_shape_unknown": "head_dim",
    "error.no_decode": "task",
    "error.unknown_gpu": "gpu",
    "error.unknown_model": "model",
}


class GuideState(PageState):
    """The guide's inputs and outputs.

    Numbers are held as the user wrote them, so that a mistake can be shown beside its field. `advice` is the last
    good answer; `problem` says what is wrong with the question now, and `problem_field` where; `error` is the last
    thing that went wrong elsewhere. `rows` and `limits` are what a live run has finished, `record` the
    last run that measured something, with its machine. `diagnosis` is what a pasted error turned out to be,
    `machine` the one that the guide runs on (None where it was not looked at). `break_even` is the map over `map_axis`
    and batch, None until it is asked for.
    """

    task = traitlets.Unicode(str(DEFAULTS["task"]))
    head_dim = traitlets.Unicode(str(DEFAULTS["head_dim"]))
    gpu = traitlets.Unicode("L4")
    model = traitlets.Unicode(CUSTOM)
    dtype = traitlets.Unicode(str(DEFAULTS["dtype"]))
    dropout = traitlets.Unicode("0")
    batch = traitlets.Unicode(str(DEFAULTS["batch"]))
    seqlen = traitlets.Unicode(str(DEFAULTS["seqlen"]))
    heads = traitlets.Unicode(str(DEFAULTS["heads"]))
    kv_heads = traitlets.Unicode(str(DEFAULTS["heads"]))
    causal = traitlets.Bool(True)

    machine = traitlets.Any(None, allow_none=True)
    advice = traitlets.Any(None, allow_none=True)
    map_axis = traitlets.Unicode("context")
    break_even = traitlets.Any(None, allow_none=True)

    running = traitlets.Bool(False)
    progress = traitlets.Instance(Sentence, allow_none=True)
    rows = traitlets.Tuple()
    limits = traitlets.Tuple()
    record = traitlets.Any(None, allow_none=True)

    diagnosis = traitlets.Any(None, allow_none=True)
    diagnosis_problem = traitlets.Instance(Sentence, allow_none=True)

    def __init__(self, machine: Machine | None = None, **inputs: object) -> None:
        super().__init__(machine=machine, **_canonical(inputs))
        self._changed = ""
        self._answer_soon = Settled(self.guarded(self.answer))
        self.observe(self.guarded(self._fill_shape), "model")
        self.observe(self.guarded(self._leave_preset), SHAPE)
        self.observe(self.guarded(self._input_changed), INPUTS)
        self.guarded(self.answer)()

    def options(self) -> dict[str, object]:
        """The question as `advise` takes it; a preset stands for its shapes."""
        asked: dict[str, object] = {name: getattr(self, name) for name in INPUTS if name != "gpu"}
        if self.model == CUSTOM:
            del asked["model"]
            return asked
        settled = {name for name in SHAPE if self._preset(name) is not None or not asked[name]}
        return {name: value for name, value in asked.items() if name not in settled and name != "causal"}

    def answer(self) -> None:
        """Ask for advice now; a question that cannot be asked leaves the last good answer in place."""
        try:
            advice = advise(self.gpu, self.options(), self.machine)
        except Problem as problem:
            with self.hold_trait_notifications():
                self.problem, self.problem_field = problem.sentence, self._field_of(problem.sentence)
            return
        with self.hold_trait_notifications():
            self.problem, self.problem_field, self.advice = None, "", advice

    def _input_changed(self, change: traitlets.Bunch) -> None:
        self._changed = change.name
        self.error = None
        self._answer_soon()

    def _preset(self, name: str) -> object:
        """What the chosen model's first component says of `name`; None where nobody published it."""
        return getattr(catalogue.model(self.model).components[0], name)

    def _fill_shape(self, _change: traitlets.Bunch) -> None:
        """Write the preset's shape into its fields; a shape that is not public is asked for, not borrowed."""
        if self.model == CUSTOM:
            return
        causal = self._preset("causal")
        shape = {name: self._preset(name) for name in SHAPE}
        with self.hold_trait_notifications():
            for name, value in shape.items():
                setattr(self, name, "" if value is None else str(value))
            if causal is not None:
                self.causal = causal

    def _leave_preset(self, change: traitlets.Bunch) -> None:
        if self.model == CUSTOM:
            return
        expected = self._preset(change.name)
        if expected is not None and change.new.strip() != str(expected):
            self.model = CUSTOM

    def _field_of(self, sentence: Sentence) -> str:
        """The input that a problem is about: the one it names, else the one that was changed last."""
        named = str(sentence.values.get("name", "")).replace("-", "_")
        return FIELD_OF.get(sentence.key) or (named if named in INPUTS else self._changed)


def _canonical(inputs: Mapping[str, object]) -> dict[str, object]:
    """Inputs as they are kept: names in the catalogue's writing, numbers as text, a preset's shape filled in.

    Raises:
        BadInput: the card or the model is not known.
    """
    kept: dict[str, object] = {
        name: value if isinstance(value, bool) else str(value) for name, value in inputs.items()
    }
    if "gpu" in kept:
        kept["gpu"] = catalogue.gpu(str(kept["gpu"])).name
    if kept.get("model"):
        model = catalogue.model(str(kept["model"]))
        known = {name: getattr(model.components[0], name) for name in SHAPE}
        shape = {name: "" if value is None else str(value) for name, value in known.items()}
        kept = {**shape, **kept, "model": model.name}
    return kept
