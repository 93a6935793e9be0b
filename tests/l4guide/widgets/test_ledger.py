"""The ledger without a browser: what follows a change, what is said when there is no answer, and compiling aside."""

from dataclasses import replace

import pytest

from l4guide.catalogue import Gpu
from l4guide.errors import CannotDo
from l4guide.measure.run import direct_post
from l4guide.resources import Resources, resources_for
from l4guide.widgets import LedgerPanel
from l4guide.widgets.ledger_state import FIRST_TILE, LedgerState


def totals(state: LedgerState) -> list[tuple[str, int]]:
    """Library and bytes of each bar."""
    return [(ledger.library, ledger.total_bytes) for ledger in state.ledgers]


def pretend(card: Gpu, kernel: str, head_dim: int, dtype: str, **options: object) -> Resources:
    """Answers as `resources_for`, but where it should compile it only says so; 256 x 256 is refused."""
    compiling, before_each = options.pop("compile", False), options.pop("before_each", None)
    found = resources_for(card, kernel, head_dim, dtype, **options)  # type: ignore[arg-type]
    if not compiling:
        return found
    if callable(before_each):
        before_each()
    if found.tile.block_m == 256:
        raise CannotDo("error.kernel_dtype", dtype="a tile", choices="smaller ones")
    return replace(found, basis="compiled", registers=99, spill_bytes=0, triton_version="3.7.1")


def test_the_first_answer_is_the_story_of_l4() -> None:
    """Published tiles, then ours with its default tile, against 101,376 bytes."""
    state = LedgerPanel().state
    assert (None, None) == (state.problem, state.error)
    assert ("flash-attn", 155_648) == totals(state)[0]
    assert ("l4guide", 74_240) == totals(state)[-1]


def test_another_tile_stands_beside_the_default() -> None:
    """FlashAttention-1's shape in our kernel does not fit; what would is proposed, marked as not compiled."""
    panel = LedgerPanel()
    panel.buttons["first_tile"].click()
    assert [("l4guide", 74_240), ("l4guide", 132_096)] == totals(panel.state)[-2:]
    assert not panel.state.resources.fits
    assert {None, 0} >= {fix.figures.spill_bytes for fix in panel.state.resources.fixes}
    assert panel.state.resources.fixes


def test_the_tile_follows_the_question_until_it_is_chosen() -> None:
    """A default tile changes with the kernel; a chosen one stays."""
    state = LedgerPanel().state
    state.kernel = "forward"
    assert {"block_m": "128", "block_n": "64", "warps": "8", "stages": "2"} == state.tile()
    state.block_n = "16"
    state.kernel = "backward-dq"
    assert "16" == state.block_n
    state.choose_default()
    assert state.tile() == {"block_m": "128", "block_n": "32", "warps": "8", "stages": "2"}


def test_a_mistake_is_said_beside_its_field() -> None:
    """The bars stay as they were."""
    state = LedgerPanel().state
    before = state.ledgers
    state.head_dim = "abc"
    assert "head_dim" == state.problem_field
    assert state.problem is not None
    assert "abc" in state.problem.say()
    assert before == state.ledgers
    state.head_dim = "64"
    assert state.problem is None


@pytest.mark.parametrize("card", ["T4", "MI300X", "V100-SXM2-16GB"])
def test_a_card_without_our_kernels_gets_a_reason(card: str) -> None:
    """What the libraries publish is still shown."""
    state = LedgerPanel().state
    state.gpu = card
    assert state.error is None
    assert "gpu" == state.problem_field
    assert {"l4guide"} & {library for library, _ in totals(state)} == set()


def test_a_tile_that_only_the_compiler_knows_is_said_so() -> None:
    """Without a pipeline no closed formula holds; the default tile is still shown."""
    state = LedgerPanel().state
    state.stages = "1"
    assert "stages" == state.problem_field
    assert ("l4guide", 74_240) == totals(state)[-1]


def test_compiling_answers_from_aside_and_is_remembered() -> None:
    """Progress is told, the answer becomes compiled, and it is there again when its question is asked again."""
    state = LedgerState(ask=pretend)
    state.choose(FIRST_TILE)
    assert "estimated" == state.resources.kind or state.resources.registers != 99
    told: list[object] = []
    state.observe(lambda change: told.append(change.new), "progress")
    state.compile(direct_post).join()
    assert not state.running
    assert 99 == state.resources.registers
    assert ["ledger.compiling", "ledger.compiled"] == [sentence.key for sentence in told]  # type: ignore[attr-defined]
    state.kernel = "backward-dq"
    assert 99 != state.resources.registers
    state.kernel = "backward-dkdv"
    assert 99 == state.resources.registers


def test_what_the_compiler_refuses_is_told() -> None:
    """The reason takes the place of the progress, and the button comes back."""
    state = LedgerState(ask=pretend)
    state.block_m = "256"
    state.compile(direct_post).join()
    assert not state.running
    assert "error.kernel_dtype" == state.progress.key


def test_without_the_mask_the_published_tiles_are_others() -> None:
    """flash-attn 2 takes another forward tile at head_dim 128 on L4; ours stays, and the page says so."""
    panel = LedgerPanel(kernel="forward")
    state = panel.state

    def tiles(library: str) -> set[tuple[int, int]]:
        return {(bar.block_m, bar.block_n) for bar in state.ledgers if bar.library == library}

    masked, ours = tiles("flash-attn"), tiles("l4guide")
    panel.fields["causal"].widget.value = False
    assert not state.causal
    assert (128, 32) in tiles("flash-attn") - masked
    assert (64, 64) in masked - tiles("flash-attn")
    assert ours == tiles("l4guide")
    assert not state.resources.causal, "the figures are of the form that was asked about"


def test_what_was_compiled_with_a_mask_is_not_shown_without_one() -> None:
    """A compiled answer belongs to its mask, like its registers."""
    state = LedgerState(ask=pretend)
    state.compile(direct_post).join()
    assert 99 == state.resources.registers
    state.causal = False
    assert 99 != state.resources.registers
    state.causal = True
    assert 99 == state.resources.registers


def test_a_compile_can_be_stopped() -> None:
    """The button works while tiles are compiled; no other tile is begun, and no late answer replaces the word."""
    panel = LedgerPanel()
    assert panel.buttons["stop"].disabled
    begun: list[str] = []

    def ask(*question: object, **options: object) -> Resources:
        before_each = options.pop("before_each", None)
        if options.pop("compile", False):
            for tile in ("first", "second"):
                assert callable(before_each)
                before_each()
                begun.append(tile)
                panel.buttons["stop"].click()
        return resources_for(*question, **options)  # type: ignore[arg-type]

    panel.state._ask = ask
    buttons: list[bool] = []
    panel.state.observe(lambda change: buttons.append(panel.buttons["stop"].disabled), "running")
    panel.state.compile(direct_post).join()
    assert ["first"] == begun
    assert (False, "ledger.stopped") == (panel.state.running, panel.state.progress.key)
    assert buttons
    assert panel.buttons["stop"].disabled
    assert not panel.buttons["compile"].disabled


def test_both_languages_speak_and_nothing_is_left_over() -> None:
    """Every panel is drawn anew in Chinese."""
    panel = LedgerPanel(language="zh")
    assert panel.state.error is None
    assert "编译此 tile 并寻找放得下的改法" == panel.buttons["compile"].description
    assert "GPU" == panel.fields["gpu"].widget.description
    assert "放不下" in panel.figure.alt
