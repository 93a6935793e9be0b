"""The inputs: labelled, in the chosen language, bound both ways."""

from l4guide import catalogue
from l4guide.text import Sentence
from l4guide.widgets.controls import Controls, LanguageSwitch
from l4guide.widgets.page import Guide
from l4guide.widgets.state import GuideState


def test_every_input_has_a_label_in_either_language(guide: Guide) -> None:
    """A label is never empty, and most of them change with the language."""
    english = {name: field.widget.description for name, field in guide.controls.fields.items()}
    guide.state.language = "zh"
    chinese = {name: field.widget.description for name, field in guide.controls.fields.items()}
    assert all(english.values())
    assert all(chinese.values())
    assert {"gpu", "dropout"} == {name for name in english if english[name] == chinese[name]}


def test_a_button_and_the_entry_ask_the_same(guide: Guide) -> None:
    """A button fills the entry; an unusual width typed there presses no button."""
    buttons, entry = (guide.controls.fields[name].widget for name in ("head_dim", "head_dim_entry"))
    buttons.value = "96"
    assert ("96", "96", 96) == (
        guide.state.head_dim,
        entry.value,
        guide.state.advice.question.workload.head_dim,
    )
    entry.value = "320"
    assert (None, 320) == (buttons.value, guide.state.advice.question.workload.head_dim)
    entry.value = "256"
    assert "256" == buttons.value


def test_a_mistake_stands_beside_its_field_alone(guide: Guide) -> None:
    """The message is under the entry, escaped, and in the language of the page."""
    guide.controls.fields["head_dim_entry"].widget.value = "<b>8"
    shown = {name: field.view.children[1].value for name, field in guide.controls.fields.items()}
    assert ["head_dim_entry"] == [name for name, html in shown.items() if html]
    assert "&lt;b&gt;8" in shown["head_dim_entry"]
    assert "<b>" not in shown["head_dim_entry"]
    guide.state.language = "zh"
    assert "整数" in guide.controls.fields["head_dim_entry"].view.children[1].value


def test_a_problem_of_no_field_stands_beneath_the_inputs(guide: Guide) -> None:
    """No message is lost for want of a place."""
    guide.state.problem_field = ""
    guide.state.problem = Sentence("error.model_shape_unknown", {"model": "M", "component": "c"})
    assert "guide-problem" in guide.controls.view.children[-1].value


def test_a_new_language_keeps_every_choice(guide: Guide) -> None:
    """Labels of choices are made anew without choosing the first of them."""
    guide.state.gpu, guide.state.task = "A100-80GB-SXM", "decode"
    asked = guide.state.advice.question
    guide.state.language = "zh"
    assert ("A100-80GB-SXM", "decode") == (guide.state.gpu, guide.state.task)
    assert "decode" == guide.controls.fields["task"].widget.value
    assert "解码" == guide.controls.fields["task"].widget.label
    assert asked == guide.state.advice.question


def test_the_attached_gpu_is_marked() -> None:
    """The list says which card is in this machine, and holds every card of the catalogue."""
    controls = Controls(GuideState(), ["L4"])
    labels = dict(controls.fields["gpu"].widget.options)
    assert {gpu.name for gpu in catalogue.gpus()} == set(labels.values())
    assert ["L4 (in this machine)"] == [label for label, name in labels.items() if label != name]


def test_the_switch_changes_the_language() -> None:
    """Both languages are offered by their own names."""
    state = GuideState()
    switch = LanguageSwitch(state)
    assert ("English", "中文") == tuple(label for label, _ in switch.field.widget.options)
    switch.field.widget.value = "zh"
    assert "zh" == state.language


def test_a_recipe_is_chosen_where_a_model_is_trained(guide: Guide) -> None:
    """Its fields show for training of a model alone, what is chosen moves the answer, and else nothing is said."""
    state, fields = guide.state, guide.controls.fields
    names = ("method", "optimizer", "loss", "recompute", "zero")

    def shown() -> set[object]:
        return {fields[name].view.layout.display for name in names}

    state.task = "training"
    assert {"none"} == shown()
    state.model = "Llama-3.1-8B"
    assert {None} == shown()
    usual = state.advice.model.whole.memory.sizes.bytes.value.item()
    fields["method"].widget.value = "qlora"
    fields["loss"].widget.value = "chunked"
    recipe = state.advice.model.whole.question.plan.recipe
    assert ("qlora", "chunked", "adamw") == (recipe.method, recipe.loss, recipe.optimizer)
    assert state.advice.model.whole.memory.sizes.bytes.value.item() < usual / 5
    state.task = "decode"
    assert {"none"} == shown()
    assert "method" not in state.options()
