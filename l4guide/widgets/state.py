"""What the user chose and what came of it; every panel watches this one object, and no panel another."""

from collections.abc import Mapping

import traitlets

from l4guide import catalogue
from l4guide.advise import (
    PutRight,
    advise,
    asked,
    found_records,
    model_of,
    preset_model,
    put_right_by,
    takes_seconds,
)
from l4guide.catalogue import find_instance
from l4guide.errors import Problem
from l4guide.measure.measurement import Record
from l4guide.measure.probe import Machine
from l4guide.text import Sentence
from l4guide.widgets.beside import do_beside, has_page
from l4guide.widgets.page_state import PageState, Settled
from l4guide.workload import DEFAULTS

#: Inputs that a model fills in; changing one of them by hand leaves the model.
SHAPE = ("head_dim", "heads", "kv_heads")
#: What is said of a card in place of what is listed.
CARD = ("compute_capability", "memory_gib", "bandwidth_gb_s", "tflops")
#: Inputs of how a model is trained.
OF_TRAINING = ("method", "optimizer", "loss", "recompute", "zero")
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
    "config",
    "gpus",
    "price",
    "weights",
    "ttft_ms",
    "tpot_ms",
    *OF_TRAINING,
    *CARD,
)
#: Inputs that may be left empty, and those among them that only a whole model has.
OPTIONAL = ("config", "gpus", "price", "weights", "ttft_ms", "tpot_ms", *OF_TRAINING, *CARD)
OF_A_MODEL = ("weights", "ttft_ms", "tpot_ms")
#: What `model` holds when the shape was given by hand.
CUSTOM = ""
#: The input that a problem is about, where its message does not name one.
FIELD_OF = {
    "error.heads_not_divisible": "kv_heads",
    "error.model_shape_unknown": "head_dim",
    "error.no_decode": "task",
    "error.unknown_gpu": "gpu",
    "error.card_needs": "gpu",
    "error.card_capability": "compute_capability",
    "error.unknown_capability": "compute_capability",
    "error.unknown_model": "model",
}


class GuideState(PageState):
    """The guide's inputs and outputs.

    Numbers are held as the user wrote them, so that a mistake can be shown beside its field. `advice` is the last
    good answer; `problem` says what is wrong with the question now, and `problem_field` where; `error` is the last
    thing that went wrong elsewhere. `rows` and `limits` are what a live run has finished, `record` the
    last run that measured something, with its machine, `records` all of the session that were timed on a card; they
    and those that come with the guide put the estimates right (`put_right`) while `use_runs` says so.
    `diagnosis` is what a pasted error turned out to be, `machine` the one that the guide runs on (None where it was
    not looked at). `break_even` is the map over `map_axis` and batch, None until it is asked for. While `tracing`, a
    pasted configuration is built beside the page, and the answer is that of what was read of it.
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
    config = traitlets.Unicode("")
    gpus = traitlets.Unicode("")
    price = traitlets.Unicode("")
    weights = traitlets.Unicode("")
    ttft_ms = traitlets.Unicode("")
    tpot_ms = traitlets.Unicode("")
    method = traitlets.Unicode("")
    optimizer = traitlets.Unicode("")
    loss = traitlets.Unicode("")
    recompute = traitlets.Unicode("")
    zero = traitlets.Unicode("")
    compute_capability = traitlets.Unicode("")
    memory_gib = traitlets.Unicode("")
    bandwidth_gb_s = traitlets.Unicode("")
    tflops = traitlets.Unicode("")

    tracing = traitlets.Bool(False)
    machine = traitlets.Any(None, allow_none=True)
    advice = traitlets.Any(None, allow_none=True)
    map_axis = traitlets.Unicode("context")
    break_even = traitlets.Any(None, allow_none=True)

    running = traitlets.Bool(False)
    progress = traitlets.Instance(Sentence, allow_none=True)
    rows = traitlets.Tuple()
    limits = traitlets.Tuple()
    record = traitlets.Any(None, allow_none=True)
    records = traitlets.Tuple()
    use_runs = traitlets.Bool(True)

    diagnosis = traitlets.Any(None, allow_none=True)
    diagnosis_problem = traitlets.Instance(Sentence, allow_none=True)

    def __init__(self, machine: Machine | None = None, **inputs: object) -> None:
        super().__init__(machine=machine, **_canonical(inputs))
        self._changed = ""
        self._put_right: PutRight | None = None
        self._answer_soon = Settled(self.guarded(self.answer))
        self.observe(self.guarded(self._fill_shape), ["model", "config"])
        self.observe(self.guarded(self._leave_preset), SHAPE)
        self.observe(self.guarded(self._input_changed), INPUTS)
        self.observe(self.guarded(self._runs_changed), ["records", "use_runs"])
        self.guarded(self.answer)()

    def options(self) -> dict[str, object]:
        """The question as `advise` takes it, with what was run; a preset stands for its shapes."""
        runs: dict[str, object] = {"measured": self.put_right} if self.use_runs else {"no_measurements": True}
        asked: dict[str, object] = {name: getattr(self, name) for name in INPUTS if name != "gpu"}
        empty = {name for name in ("model", *OPTIONAL) if not str(asked[name]).strip()}
        if not self.has_model or self.task != "training":
            empty |= set(OF_TRAINING)
        if not self.has_model:
            return {name: value for name, value in asked.items() if name not in {*empty, *OF_A_MODEL}} | runs
        settled = {name for name in SHAPE if self._of_model(name) is not None or not asked[name]}
        kept = asked.keys() - empty - settled - {"causal"}
        if self._waits():
            runs["no_trace"] = True
        return {name: value for name, value in asked.items() if name in kept} | runs

    @property
    def has_model(self) -> bool:
        """Whether a whole model is asked about: a preset, or a configuration that was pasted."""
        return self.model != CUSTOM or bool(self.config.strip())

    def answer(self) -> None:
        """Ask for advice now; a question that cannot be asked leaves the last good answer in place."""
        self._trace_beside()
        try:
            advice = advise(self.gpu, self.options(), self.machine)
        except Problem as problem:
            with self.hold_trait_notifications():
                self.problem, self.problem_field = problem.sentence, self._field_of(problem.sentence)
            return
        with self.hold_trait_notifications():
            self.problem, self.problem_field, self.advice = None, "", advice

    @property
    def put_right(self) -> PutRight:
        """The estimator with the runs that come with the guide and those of this session."""
        if self._put_right is None:
            session = ((_name_of(record), record) for record in self.records)
            self._put_right = put_right_by((*found_records(), *session))
        return self._put_right

    def keep(self, record: Record) -> None:
        """Take a finished run: it is shown, and where it timed something on a card it puts the estimates right."""
        with self.hold_trait_notifications():
            self.record = record
            if record.basis == "gpu":
                self.records = (*self.records, record)

    def _runs_changed(self, change: traitlets.Bunch) -> None:
        if change.name == "records":
            self._put_right = None
        self.answer()

    def _input_changed(self, change: traitlets.Bunch) -> None:
        self._changed = change.name
        self.error = None
        self._answer_soon()

    def _of_model(self, name: str) -> object:
        """What the model's first component says of `name`; None where nobody does, or a configuration is unreadable."""
        if self.model != CUSTOM:
            return getattr(preset_model(self.model).components[0], name)
        try:
            return getattr(model_of(self.config, run=not self._waits()).components[0], name)
        except Problem:  # the answer says what is wrong with it
            return None

    def _waits(self) -> bool:
        """Whether the page would have to wait for the trace of its configuration."""
        return bool(self.config.strip()) and has_page() and takes_seconds(self.config)

    def _trace_beside(self) -> None:
        """Have a new configuration traced beside the page, and answer once more when it was."""
        if self.tracing or not self._waits():
            return
        config = self.config
        self.tracing = True
        do_beside(lambda: model_of(config), self.guarded(self._traced))

    def _traced(self) -> None:
        self.tracing = False
        if self.config.strip():
            self._show_shape()
        self.answer()

    def _fill_shape(self, change: traitlets.Bunch) -> None:
        """Write the model's shape into its fields; a shape that is not public is asked for, not borrowed.

        The last of preset and configuration that was chosen counts, and the other is let go.
        """
        if not change.new.strip():
            return
        setattr(self, "config" if change.name == "model" else "model", "")
        self._show_shape()

    def _show_shape(self) -> None:
        causal = self._of_model("causal")
        shape = {name: self._of_model(name) for name in SHAPE}
        if self.model == CUSTOM and shape["head_dim"] is None:
            return
        with self.hold_trait_notifications():
            for name, value in shape.items():
                setattr(self, name, "" if value is None else str(value))
            if causal is not None:
                self.causal = causal

    def _leave_preset(self, change: traitlets.Bunch) -> None:
        if not self.has_model:
            return
        expected = self._of_model(change.name)
        if expected is not None and change.new.strip() != str(expected):
            self.model, self.config = CUSTOM, ""

    def _field_of(self, sentence: Sentence) -> str:
        """The input that a problem is about: the one it names, else the one that was changed last."""
        named = str(sentence.values.get("name", "")).replace("-", "_")
        return FIELD_OF.get(sentence.key) or (named if named in INPUTS else self._changed)


def _name_of(record: Record) -> str:
    """A run of this session by the time of day at which it was made."""
    return record.measured_at[11:19]


def _canonical_gpu(inputs: Mapping[str, object]) -> str:
    """A card in the catalogue's writing; one that the user describes, or a provider's instance, as it was written.

    Raises:
        BadInput: the card is neither known nor described.
    """
    written = str(inputs["gpu"])
    card = asked(written, {name: inputs[name] for name in CARD if inputs.get(name)}).gpu
    return card.name if card in catalogue.gpus() and find_instance(written) is None else written


def _canonical(inputs: Mapping[str, object]) -> dict[str, object]:
    """Inputs as they are kept: names in the catalogue's writing, numbers as text, a preset's shape filled in.

    Raises:
        BadInput: the card or the model is not known.
    """
    kept: dict[str, object] = {
        name: value if isinstance(value, bool) else str(value) for name, value in inputs.items()
    }
    if "gpu" in kept:
        kept["gpu"] = _canonical_gpu(kept)
    if kept.get("model"):
        model = preset_model(str(kept["model"]))
        known = {name: getattr(model.components[0], name) for name in SHAPE}
        shape = {name: "" if value is None else str(value) for name, value in known.items()}
        kept = {**shape, **kept, "model": model.name}
    return kept
