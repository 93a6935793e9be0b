"""The verdict on our own kernels: what they do, what they refuse by name, and what nobody compiled."""

from typing import Any

import pytest

from l4guide.advise.own import kernels_of, own_snippet, own_verdict
from l4guide.catalogue import gpu
from l4guide.workload import Workload, ask

L4 = gpu("L4")


def question(**options: Any) -> Workload:
    """A question with the defaults for the rest."""
    return ask(options)[0]


@pytest.mark.parametrize(
    "options",
    [
        {"window": 64},
        {"softcap": 30.0},
        {"alibi": True},
        {"dropout": 0.1},
        {"varlen": True},
        {"deterministic": True},
        {"kv_heads": 8},
        {"seqlen_q": 100, "seqlen_kv": 300},
        {"head_dim": 256, "dropout": 0.1},
        {"head_dim": 512},
        {"head_dim": 192, "head_dim_v": 128},
        {"task": "decode", "head_dim": 576, "head_dim_v": 512, "heads": 16, "kv_heads": 1},
        {"task": "decode", "paged_block_size": 7},
        {"task": "prefill", "paged_block_size": 16, "varlen": True, "window": 128, "softcap": 5.0},
        {"task": "decode", "dropout": 0.1},
        {"causal": False},
        {"sinks": True},
        {"sinks": True, "task": "decode", "head_dim": 64, "heads": 64, "kv_heads": 8, "window": 128},
    ],
    ids=str,
)
def test_what_the_kernels_take_runs(options: dict[str, Any]) -> None:
    """Every feature, alone or together, forward and backward, on an L4."""
    verdict = own_verdict(question(**options), L4)
    assert ("ok", ()) == (verdict.status, verdict.reasons), verdict.message


@pytest.mark.parametrize(
    ("options", "codes", "said"),
    [
        ({"block_sparse": True}, ["L4G-FEATURE"], "block-sparse"),
        ({"kv_dtype": "fp8"}, ["L4G-FEATURE"], "kv-dtype"),
        ({"mask": "bool"}, ["L4G-FEATURE"], "mask-bool"),
        ({"mask": "additive"}, ["L4G-FEATURE"], "mask-additive"),
        ({"batch": 65536}, ["L4G-FEATURE"], "large-batch"),
        ({"paged_block_size": 16}, ["L4G-PAGED"], "a gradient through a block table"),
        ({"task": "decode", "paged_block_size": 16, "dropout": 0.1}, ["L4G-PAGED"], "set dropout to 0"),
        ({"head_dim": 577}, ["L4G-SERVES"], "head_dim up to 576, not 577"),
        ({"head_dim": 128, "head_dim_v": 600}, ["L4G-SERVES"], "head_dim_v up to 576, not 600"),
        ({"dtype": "fp8"}, ["L4G-SERVES"], "fp8"),
    ],
)
def test_what_they_do_not_do_is_refused_by_name(options: dict[str, Any], codes: list[str], said: str) -> None:
    """One reason each, which says what."""
    verdict = own_verdict(question(**options), L4)
    assert ("refused", codes) == (verdict.status, [reason.code for reason in verdict.reasons])
    assert said in str(verdict.message)


def test_what_nobody_compiled_is_unknown() -> None:
    """A wide head in fp32 has a tile, and nobody knows what it takes: no refusal and no promise."""
    verdict = own_verdict(question(head_dim=512, dtype="fp32"), L4)
    assert ("unknown", (), None) == (verdict.status, verdict.reasons, verdict.evidence)
    assert "compile" in str(verdict.message)


def test_a_feature_is_another_form_of_the_code() -> None:
    """What was recorded is the plain kernel; the answer says so, and does not call itself compiled."""
    plain, windowed = (
        own_verdict(question(**options), L4) for options in ({}, {"window": 64, "alibi": True})
    )
    assert ("compiled", "inferred") == (plain.evidence, windowed.evidence)
    assert "without window, alibi" in str(windowed.message)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, ("forward", "backward-dkdv", "backward-dq")),
        ({"task": "prefill"}, ("forward",)),
        ({"task": "decode"}, ("decode",)),
        ({"task": "prefill", "paged_block_size": 16}, ("decode",)),
        ({"task": "decode", "varlen": True}, ("forward",)),
        ({"task": "decode", "dropout": 0.1}, ("forward",)),
    ],
)
def test_the_kernels_of_a_question(options: dict[str, Any], expected: tuple[str, ...]) -> None:
    """A cache is decoded; `flash_attn_varlen_func` and dropout are the forward kernel's."""
    assert expected == kernels_of(question(**options))


def test_the_call_is_flash_attns_with_values_of_their_own_width() -> None:
    """One import is swapped; where values are narrower they are made so."""
    usual = own_snippet(question(window=64), L4)
    assert "from l4guide_kernels import flash_attn_func" in usual
    assert "window_size=(64, 0)" in usual
    assert "learnable_sink=sinks)" in own_snippet(question(sinks=True), L4)
    latent = own_snippet(question(head_dim=192, head_dim_v=128), L4).splitlines()
    assert latent[-2].startswith("v = torch.randn(*k.shape[:-1], 128,")
    assert latent[-1].startswith("out = ")
