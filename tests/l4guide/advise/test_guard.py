"""`l4guide.supports`: True for what is known to work, False for everything else."""

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

import l4guide
from l4guide.advise import guard
from l4guide.errors import BadInput, CannotDo
from l4guide.measure.probe import Attached, Machine

Build = Callable[..., Machine]


@pytest.mark.parametrize(
    ("library", "options", "expected"),
    [
        ("flash-attn", {"version": "2.0.0"}, True),
        ("flash-attn", {"version": "1.0.9"}, False),
        ("flash-attn", {"version": "99.0.0"}, False),
        ("flash-attn", {"version": "1.0.9", "task": "prefill"}, True),
        ("flash-attn", {"version": "2.8.3", "head_dim": 256}, True),
        ("flash-attn", {"version": "2.8.3", "head_dim": 256, "dropout": 0.1}, False),
        ("flash-attn", {"version": "2.8.3", "softcap": 30.0, "task": "prefill"}, True),
        ("torch/flash", {"version": "2.1.2"}, False),
        ("l4guide", {}, True),
        ("l4guide", {"dtype": "fp8"}, False),
    ],
)
def test_only_ok_is_true(library: str, options: dict[str, Any], expected: bool) -> None:
    """Refused, silently wrong and unknown are all False."""
    assert expected is l4guide.supports(library, gpu="L4", **options)


def test_the_installed_version_is_the_one_that_counts(machine_of: Build, l4: Attached) -> None:
    """Without a version the installed one answers, without an installed one the newest; the attached card too."""
    options = {"task": "training", "head_dim": 128}
    old = machine_of(l4, libraries=(("flash-attn", "1.0.9"),))
    bare = machine_of(l4)
    assert guard.supports("flash-attn", None, None, options, old) is False
    assert guard.supports("flash-attn", None, "2.8.3", options, old) is True
    assert guard.supports("flash-attn", None, None, options, bare) is True


def test_an_installed_version_that_nobody_knows_is_not_supported(machine_of: Build, l4: Attached) -> None:
    """A release newer than the rules may have changed; a guard does not hope."""
    newer = machine_of(l4, libraries=(("flash-attn", "99.0.0"),))
    assert guard.supports("flash-attn", None, None, {}, newer) is False


def test_without_a_card_the_way_out_is_named(machine_of: Build) -> None:
    """No card named, none attached: one line that says how to name one."""
    with pytest.raises(CannotDo, match=r'gpu="L4"'):
        guard.supports("flash-attn", None, None, {}, machine_of())


@pytest.mark.parametrize("options", [{"version": "2.5.99"}, {"head_dim": 0}, {"colour": "red"}])
def test_a_question_that_cannot_be_asked_is_not_answered_no(options: dict[str, Any]) -> None:
    """A mistake in the call must not look like missing support."""
    with pytest.raises(BadInput):
        l4guide.supports("flash-attn", gpu="L4", **options)


def test_a_guard_loads_no_gpu_library() -> None:
    """Asking costs no torch and no CUDA context."""
    program = "import sys, l4guide; l4guide.supports(gpu='L4'); print('torch' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "False" == result.stdout.strip()
