"""Errors against fp64: exact on the slice that is checked, blind to nothing on it."""

from typing import Any

import pytest
import torch
from l4guide_kernels.reference import reference_attention

from l4guide.measure import accuracy
from l4guide.measure.accuracy import Oracle, draw
from l4guide.workload import Workload, ask


def question(**options: object) -> Workload:
    """A small training problem with grouped heads, two sequences and more keys than queries."""
    small = {"task": "training", "batch": 2, "seqlen_q": 24, "seqlen_kv": 40, "heads": 4, "kv_heads": 2}
    workload, _ = ask({**small, "head_dim": 16, "dtype": "fp32", **options})
    return workload


def plain(workload: Workload, factor: float = 1.0) -> Any:
    """Attention as the reference does it, its output multiplied where told."""

    def attention(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        out, _ = reference_attention(q, k, v, causal=workload.causal)
        return out * factor

    return attention


@pytest.mark.parametrize("rows", [24, 5])
@pytest.mark.parametrize("causal", [True, False])
def test_right_answer_passes_on_any_slice(monkeypatch: pytest.MonkeyPatch, rows: int, causal: bool) -> None:
    """A right implementation passes with all rows checked and with a few; gradients too."""
    workload = question(causal=causal)
    monkeypatch.setattr(accuracy, "REFERENCE_BYTES", rows * 40 * 2 * 8 * accuracy.SCORE_COPIES)
    inputs = draw(workload, "cpu")
    judged = Oracle(workload, inputs).judge(plain(workload))
    assert rows == inputs.rows
    assert ["forward", "backward"] == list(judged)
    assert all(found.passed for found in judged.values())
    assert all(found.max_error is not None and found.max_error < 1e-5 for found in judged.values())


def test_scaled_output_fails_both_passes() -> None:
    """An output that is one per cent off is outside the bound, and so are its gradients."""
    workload = question()
    judged = Oracle(workload, draw(workload, "cpu")).judge(plain(workload, factor=1.01))
    assert not judged["forward"].passed
    assert not judged["backward"].passed


def test_unmasked_keys_are_noticed() -> None:
    """An implementation that forgets the causal mask does not pass."""
    workload = question()
    attention = plain(question(causal=False))
    assert not Oracle(workload, draw(workload, "cpu")).judge(attention)["forward"].passed


def test_not_a_number_is_wrong_without_an_error() -> None:
    """NaN is never within a bound, and is not written as a number."""
    workload = question(task="prefill")
    judged = Oracle(workload, draw(workload, "cpu")).judge(plain(workload, factor=float("nan")))
    assert judged["forward"].max_error is None
    assert not judged["forward"].passed


def test_forward_only_implementations_are_not_differentiated() -> None:
    """Without a backward of its own an implementation is judged on its forward alone."""
    workload = question()

    def attention(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        assert not torch.is_grad_enabled()
        return reference_attention(q, k, v, causal=True)[0]

    judged = Oracle(workload, draw(workload, "cpu")).judge(attention, trains=False)
    assert ["forward"] == list(judged)


def test_half_precision_has_room_for_its_own_rounding() -> None:
    """fp16 arithmetic of another order passes by the rule of twice PyTorch's error plus one rounding."""
    workload = question(dtype="fp16", task="prefill")

    def attention(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        return reference_attention(q.float(), k.float(), v.float(), causal=True)[0].to(torch.float16)

    found = Oracle(workload, draw(workload, "cpu")).judge(attention)["forward"]
    assert found.passed
    assert 0 < found.torch_error < found.bound


def test_inputs_repeat_for_a_seed() -> None:
    """The same seed draws the same inputs, another one others."""
    workload = question()
    first, again, other = draw(workload, "cpu"), draw(workload, "cpu"), draw(workload, "cpu", seed=1)
    assert torch.equal(first.q, again.q)
    assert not torch.equal(first.q, other.q)
