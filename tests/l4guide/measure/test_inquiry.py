"""What PyTorch is asked, and how its answer travels."""

from typing import Any

import pytest
import torch
from torch.backends import cuda

from l4guide.measure.inquiry import BACKENDS, answer_inquiry


def events_of(**workload: object) -> list[tuple[str, dict[str, Any]]]:
    """What the worker says to an inquiry about tensors on the CPU."""
    heard: list[tuple[str, dict[str, Any]]] = []
    answer_inquiry(
        {"workload": workload, "device": "cpu"}, lambda kind, **content: heard.append((kind, content))
    )
    return heard


def overhear(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The questions that PyTorch's flash backend is asked from now on."""
    seen: list[Any] = []

    def refuse(params: object, debug: bool) -> bool:
        seen.append(params)
        return not debug

    monkeypatch.setattr(cuda, "can_use_flash_attention", refuse)
    return seen


def test_every_backend_answers_and_the_last_event_ends_it() -> None:
    """No backend takes tensors that are not on a GPU, and each says so with a no."""
    events = events_of(head_dim=64)
    assert ["reply"] * 3 + ["finished"] == [kind for kind, _ in events]
    replies = [content["reply"] for kind, content in events if kind == "reply"]
    assert list(BACKENDS) == [reply["backend"] for reply in replies]
    assert {False} == {reply["can_be_used"] for reply in replies}


def test_the_question_reaches_pytorch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shapes are heads first and small; training wants gradients; dropout, mask and grouping are passed on."""
    seen = overhear(monkeypatch)
    events_of(head_dim=96, heads=8, kv_heads=2, seqlen=4096, dropout=0.1, dtype="fp16", enable_gqa=True)
    (params,) = seen
    assert (1, 8, 256, 96) == tuple(params.query.shape)
    assert (1, 2, 256, 96) == tuple(params.key.shape)
    assert (torch.float16, True) == (params.query.dtype, params.query.requires_grad)
    assert (0.1, True, True) == (params.dropout, params.is_causal, params.enable_gqa)


def test_a_mask_reaches_pytorch_with_repeated_heads(monkeypatch: pytest.MonkeyPatch) -> None:
    """A trained bias wants its gradient, is causal itself, and lies beside K and V that have the heads of Q."""
    seen = overhear(monkeypatch)
    events_of(head_dim=64, heads=8, kv_heads=2, dtype="fp16", mask="additive", mask_grad=True)
    (params,) = seen
    assert (1, 8, 256, 64) == tuple(params.key.shape)
    assert (torch.float16, True) == (params.attn_mask.dtype, params.attn_mask.requires_grad)
    assert (False, False) == (params.is_causal, params.enable_gqa)


def test_inference_wants_no_gradients_and_one_query_no_mask(monkeypatch: pytest.MonkeyPatch) -> None:
    """A decode step sees every key."""
    seen = overhear(monkeypatch)
    events_of(task="decode", head_dim=64)
    (params,) = seen
    assert (False, False, 1) == (params.query.requires_grad, params.is_causal, params.query.shape[2])


def test_its_warnings_are_its_reasons(monkeypatch: pytest.MonkeyPatch) -> None:
    """PyTorch says why not in warnings; they come back on one line each, and only with a no."""
    import warnings

    def refuse(_params: object, debug: bool) -> bool:
        warnings.warn("Flash attention\n  wants more", stacklevel=1)
        return not debug

    monkeypatch.setattr(cuda, "can_use_flash_attention", refuse)
    reply = events_of(head_dim=64)[0][1]["reply"]
    assert ["Flash attention wants more"] == reply["reasons"]
