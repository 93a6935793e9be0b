"""The kernels by hand, without a browser: what moves with a tile, what is kept, and the softmax of a row."""

from dataclasses import replace

import pytest

from l4guide.catalogue import Gpu
from l4guide.errors import CannotDo
from l4guide.measure.run import Run, direct_post
from l4guide.resources import Resources, resources_for
from l4guide.resources.compiler import Compiler
from l4guide.widgets import KernelPage
from l4guide.widgets.kernel_state import PRESETS, TRIES, KernelState
from l4guide.widgets.trace_panel import TracePanel

STEP = {
    "first_key": 0,
    "last_key": 15,
    "masked": False,
    "seen": 16,
    "block_max": None,
    "m": 1.5,
    "alpha": 0.25,
    "total": 2.0,
    "exact_m": 1.5,
    "exact_total": 2.0,
    "output_error": 1e-4,
}
ROW = {"row": 40, "steps": [STEP], "lse": 2.5, "exact_lse": 2.5, "max_error": 1e-4}


def pretend(card: Gpu, kernel: str, head_dim: int, dtype: str, **options: object) -> Resources:
    """Answers as `resources_for`, but where it should compile it only says so; a cancelled compiler is an answer."""
    compiling, compiler = options.pop("compile", False), options.pop("compiler", None)
    options.pop("before_each", None)
    found = resources_for(card, kernel, head_dim, dtype, **options)  # type: ignore[arg-type]
    if not compiling:
        return found
    assert isinstance(compiler, Compiler)
    assert options["suggest"] is False
    return replace(found, basis="compiled", registers=99, spill_bytes=8, triton_version="3.7.1")


def test_the_first_answer_is_our_default_on_an_l4() -> None:
    """The forward kernel from load to store, its bytes, nothing before it."""
    page = KernelPage()
    state = page.state
    assert (None, None) == (state.problem, state.error)
    told = [step.key for step in state.steps]
    assert ("load", "end") == (told[0], told[-1])
    assert {"scores", "mask", "softmax", "values"} <= set(told)
    assert {"forward"} == {step.kernel for step in state.steps}
    assert state.previous is None
    assert [65_536] == [item.shared_bytes for item in state.tried]
    assert list(PRESETS) == list(state.presets)


def test_the_previous_tile_stays_beside_the_new_one() -> None:
    """What moved is the difference of the two, and both are in the table."""
    page = KernelPage()
    page.presets["published"].click()
    state = page.state
    assert "64" == state.block_m
    moved = {change.name: change for change in state.changes}
    assert (65_536, 57_344) == (moved["shared_bytes"].before, moved["shared_bytes"].now)
    assert [57_344, 65_536] == [item.shared_bytes for item in state.tried]
    assert [65_536, 57_344] == [ledger.total_bytes for ledger in state.ledgers]
    page.presets["default"].click()
    assert [65_536, 57_344] == [item.shared_bytes for item in state.tried]
    assert 57_344 == state.previous.shared_bytes


def test_only_the_last_tries_are_kept() -> None:
    """The table does not grow without end."""
    state = KernelState()
    for stages in ("2", "3", "4", "5", "6"):
        for block_n in ("16", "32", "64"):
            state.choose({"stages": stages, "block_n": block_n})
    assert TRIES == len(state.tried)


def test_compiling_fills_in_what_was_unknown() -> None:
    """The tile keeps its place; what came before it stays what came before it."""
    state = KernelState(ask=pretend)
    state.choose_preset("published")
    state.compile(direct_post).join()
    assert 99 == state.resources.registers
    assert [99, 65_536] == [state.tried[0].registers, state.previous.shared_bytes]
    assert [57_344, 65_536] == [item.shared_bytes for item in state.tried]


def test_an_answer_for_a_tile_left_behind_reaches_the_table() -> None:
    """It becomes the previous one's, and moves nobody from the tile he is looking at."""
    state = KernelState(ask=pretend)
    state.choose_preset("published")
    calls: list[tuple[object, ...]] = []
    state.compile(lambda *call: calls.append(call)).join()
    state.choose_preset("too_large")
    for function, *arguments in calls:
        assert callable(function)
        function(*arguments)
    assert "256" == state.block_m
    assert 99 == state.previous.registers
    assert [None, 99] == [item.registers for item in state.tried[:2]]


def test_another_kernel_brings_its_own_steps() -> None:
    """And is compared with none of the one before."""
    page = KernelPage()
    for kernel in ("backward-dkdv", "backward-dq", "decode"):
        page.state.kernel = kernel
        assert {kernel} == {step.kernel for step in page.state.steps}
        assert page.state.previous is None
    assert page.state.error is None


def test_a_mask_is_part_of_the_question() -> None:
    """FlashAttention-2's tile is another one without it."""
    state = KernelState()
    state.causal = False
    assert state.error is None
    assert "128" == state.presets["published"]["block_m"]
    assert [False, True] == [item.causal for item in state.tried]


@pytest.mark.parametrize("card", ["T4", "MI300X"])
def test_a_card_without_our_kernels_gets_a_reason(card: str) -> None:
    """The source can still be read; there is no tile to try."""
    page = KernelPage()
    page.state.gpu = card
    assert page.state.error is None
    assert "gpu" == page.state.problem_field
    assert {} == page.state.presets
    assert all(button.disabled for button in page.presets.values())
    assert page.state.steps


@pytest.mark.compile
def test_stopping_ends_the_compiler_and_says_so() -> None:
    """The button comes back and the tile stays uncompiled."""
    state = KernelState()
    state.choose_preset("spilling")
    thread = state.compile(direct_post)
    assert state.running
    state.cancel()
    thread.join()
    assert not state.running
    assert "ledger.stopped" == state.progress.key
    assert state.resources.registers is None


def test_a_cancelled_compiler_compiles_nothing_more() -> None:
    """Before it was ever asked as well."""
    with Compiler() as compiler:
        compiler.cancel()
        with pytest.raises(CannotDo, match="stopped"):
            resources_for(KernelState().card, "forward", 128, compile=True, compiler=compiler)


class Still(Run):
    """A run that starts nothing and remembers what it was asked."""

    asked: object = None

    def start(self, request: object) -> None:
        """Remember the request."""
        self.asked = request


def test_the_softmax_of_the_chosen_row_is_shown() -> None:
    """Rows come one by one; the slider picks one that is there."""
    state = KernelState(dtype="fp16")
    run = Still(lambda _: None)
    panel = TracePanel(state, run=run)
    panel.start.click()
    assert {"kind": "trace", "dtype": "fp16", "causal": True} == run.asked
    assert panel.start.disabled
    assert "none" == panel.row.view.layout.display
    state.traced({"kind": "trace", "row": ROW})
    assert "0.25000" in panel.table.view.value
    assert "−∞" in panel.table.view.value
    state.trace_row = 3
    assert "" == panel.table.view.value
    state.traced(
        {
            "kind": "finished",
            "key": "trace.finished",
            "values": {"seqlen": 64, "head_dim": 16, "dtype": "fp16"},
        }
    )
    assert not panel.start.disabled


def test_both_languages_speak() -> None:
    """Every panel is drawn anew in Chinese, formulas as they were."""
    page = KernelPage(language="zh", gpu="a100 80")
    assert page.state.error is None
    assert "编译此 tile" == page.compile.description
    assert "会溢出的 tile" == page.presets["spilling"].description
    assert "A100-80GB-SXM" == page.state.gpu


def test_source_is_shown_escaped_and_numbered() -> None:
    """What a line holds cannot become part of the page."""
    from l4guide.anatomy import Piece
    from l4guide.widgets.listing import listing

    shown = listing(Piece(file="f.py", function="f", first_line=7, code="a = b < c\nd = '<script>'"))
    assert 'data-line="7"' in shown
    assert 'data-line="8"' in shown
    assert "<script>" not in shown
    assert "&lt;script&gt;" in shown
