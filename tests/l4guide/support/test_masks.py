"""Masks, their gradient, sinks, repeated K and V, and grids: what runs, from which release, and what nobody knows."""

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from l4guide import support
from l4guide.catalogue import gpu
from l4guide.errors import BadInput
from l4guide.workload import ask

Check = Callable[..., support.Verdict]
GPT_OSS = "head_dim=64 heads=64 kv_heads=8 task=decode seqlen_kv=2048"


def _options(text: str) -> dict[str, str]:
    return dict(pair.split("=") for pair in text.split())


# (library, version, card, options) -> status, and what the message says.
ASKED = [
    # Grouped heads: repeated first, or handed over as they are.
    ("torch/efficient", "2.1.0", "L4", "head_dim=128 heads=32 kv_heads=8", "ok", "repeated to as many heads"),
    ("torch/cudnn", "2.5.0", "L4", "head_dim=128 heads=32 kv_heads=8", "ok", "repeated to as many heads"),
    ("torch/flash", "2.2.0", "L4", "head_dim=128 heads=32 kv_heads=8", "ok", "repeated to as many heads"),
    ("torch/efficient", "2.9.0", "L4", "head_dim=128 kv_heads=2 enable_gqa=yes", "refused", "same num_heads"),
    ("torch/efficient", "2.15.0", "L4", "head_dim=128 kv_heads=2 enable_gqa=yes", "ok", ""),
    ("torch/efficient", "2.14.1", "L4", "head_dim=128 kv_heads=2 enable_gqa=yes", "unknown", "disagree"),
    # A mask shuts flash out; efficient and cuDNN take it, cuDNN without its gradient.
    ("torch/flash", "2.15.0", "L4", "head_dim=64 mask=bool", "refused", "non-null attn_mask"),
    ("torch/efficient", "2.0.0", "L4", "head_dim=64 mask=bool", "refused", "Both fused kernels"),
    ("torch/efficient", "2.1.0", "L4", "head_dim=64 mask=additive mask_grad=yes", "ok", "multiple of 16"),
    ("torch/cudnn", "2.5.0", "L4", "head_dim=64 mask=additive", "ok", "in the dtype of Q"),
    ("torch/cudnn", "2.15.0", "L4", "head_dim=64 mask=additive mask_grad=yes", "refused", ""),
    ("torch/math", "2.0.0", "L4", "head_dim=64 mask=additive mask_grad=yes", "ok", ""),
    ("torch/sdpa", "2.9.0", "L4", "head_dim=128 mask=bool kv_heads=2 enable_gqa=yes", "ok", "torch/math"),
    ("torch/sdpa", "2.9.0", "L4", "head_dim=128 mask=bool kv_heads=2", "ok", "torch/efficient"),
    # A bias in xFormers: not before 0.0.20, not boolean, and aligned.
    ("xformers/cutlass", "0.0.16", "L4", "head_dim=64 mask=additive causal=no", "refused", "torch.Tensor"),
    ("xformers/cutlass", "0.0.35", "L4", "head_dim=64 mask=additive mask_grad=yes causal=no", "ok", ""),
    (
        "xformers/cutlass",
        None,
        "L4",
        "head_dim=32 mask=additive seqlen=498",
        "refused",
        "stride(-2) % 8 != 0",
    ),
    ("xformers/flash", None, "L4", "head_dim=64 mask=additive", "refused", "torch.Tensor"),
    # Sinks.
    ("vllm/triton", None, "RTX 4090", GPT_OSS + " sinks=yes", "ok", ""),
    ("vllm/flash-attn", None, "RTX 4090", GPT_OSS + " sinks=yes", "refused", "sink setting not supported"),
    ("vllm/flash-attn", None, "H100 SXM", GPT_OSS + " sinks=yes", "ok", ""),
    ("vllm/flash-attn", None, "B200", GPT_OSS + " sinks=yes", "unknown", "attention sinks"),
    ("vllm/flashinfer", "0.25.0", "RTX 4090", GPT_OSS + " sinks=yes", "refused", "sink setting"),
    ("vllm/flashinfer", "0.33.0", "RTX 4090", GPT_OSS + " sinks=yes", "unknown", "attention sinks"),
    ("flash-attn", None, "RTX 4090", GPT_OSS + " sinks=yes", "refused", "learnable_sink"),
    ("torch/sdpa", None, "RTX 4090", GPT_OSS + " sinks=yes", "refused", "no argument for attention sinks"),
    ("flash-attn-4", None, "H100 SXM", "head_dim=64 sinks=yes", "ok", ""),
    ("flashinfer", None, "RTX 4090", GPT_OSS + " sinks=yes", "ok", "AttentionSink"),
    ("transformers/flash-attention-2", "4.57.6", "L4", GPT_OSS + " sinks=yes", "unsafe", "garbage"),
    ("transformers/flash-attention-2", None, "L4", GPT_OSS + " sinks=yes", "refused", "vllm-flash-attn3"),
    ("transformers/flex-attention", "4.57.6", "RTX 4090", GPT_OSS + " sinks=yes", "ok", "log-sum-exp"),
    (
        "transformers/eager",
        None,
        "T4",
        "head_dim=64 dtype=fp16 sinks=yes mask=additive",
        "ok",
        "scores to memory",
    ),
    # Grids.
    *(
        (library, None, "L4", "head_dim=64 task=prefill batch=65536", "refused", "invalid configuration")
        for library in ("flash-attn", "torch/flash", "xformers/cutlass", "xformers/flash")
    ),
    ("torch/efficient", "2.7.0", "L4", "head_dim=64 batch=65536", "refused", "invalid configuration"),
    ("torch/efficient", "2.8.0", "L4", "head_dim=64 batch=65536", "unknown", "disagree"),
    ("torch/efficient", "2.15.0", "L4", "head_dim=64 batch=65536", "ok", "pieces of 65,535"),
    ("torch/efficient", None, "L4", "head_dim=64 heads=65536", "refused", "invalid configuration"),
    ("torch/cudnn", "2.5.0", "L4", "head_dim=64 batch=65536", "unknown", "65,535 sequences"),
    ("flashinfer", None, "L4", "head_dim=64 task=prefill batch=65536", "unknown", "65,535 sequences"),
    ("torch/sdpa", "2.15.0", "L4", "head_dim=64 batch=65536", "refused", "invalid configuration"),
    # What the model's own code computes.
    ("torch/efficient", None, "L4", "head_dim=64 own_scores=yes causal=no", "unknown", "computes itself"),
    ("transformers/eager", None, "L4", "head_dim=64 own_scores=yes causal=no", "ok", ""),
    ("sageattention", "1.0.6", "L40S", "head_dim=128", "unsafe", "no gradient through it"),
]


@pytest.mark.parametrize(("library", "version", "card", "options", "status", "said"), ASKED)
def test_what_each_library_does(
    check: Check, library: str, version: str | None, card: str, options: str, status: str, said: str
) -> None:
    """The status, and in the message the words that say why."""
    verdict = check(library, version, card, **_options(options))
    assert status == verdict.status, str(verdict.message)
    assert said in str(verdict.message)


@pytest.mark.parametrize(("library", "first"), [("torch/efficient", "2.1.0"), ("torch/cudnn", "2.5.0")])
def test_grouped_heads_run_since_they_can_be_repeated(check: Check, library: str, first: str) -> None:
    """The first release is the one that runs as many KV heads as query heads, not that which takes them apart."""
    assert first == check(library, None, head_dim=128, heads=32, kv_heads=8).first_version


def test_the_snippet_repeats_and_masks(check: Check) -> None:
    """What is copied runs: K and V with the heads of Q, and what is causal a part of the mask."""
    asked = ask({"head_dim": 64, "heads": 8, "kv_heads": 2, "mask": "bool"})[0]
    shown = support.snippet("torch/efficient", asked, gpu("L4"))
    assert "repeat_interleave(4, dim=1)" in shown
    assert ".tril(0)" in shown
    assert "is_causal=False, attn_mask=mask, enable_gqa=False" in shown
    compile(shown, "snippet", "exec")


@pytest.mark.parametrize(("task", "flag"), [("decode", "False"), ("prefill", "True")])
def test_a_single_query_sees_the_whole_cache(task: str, flag: str) -> None:
    """PyTorch's `is_causal` counts from the first key, so that one query would see one key."""
    shown = support.snippet("torch/efficient", ask({"head_dim": 64, "task": task})[0], gpu("L4"))
    assert f"is_causal={flag}" in shown


def test_an_unaligned_bias_is_made_wider(check: Check) -> None:
    """The way out is to allocate it in rows of 504 and slice it to 498."""
    verdict = check("xformers/cutlass", None, head_dim=32, mask="additive", seqlen=498, causal=False)
    reason = next(r for r in verdict.reasons if r.code == "XF-CUTLASS-BIAS-ALIGN-16BIT")
    assert "504 columns wide and slice it to 498" in str(reason.fix)


def test_a_gradient_needs_an_additive_mask() -> None:
    """Nothing else can be trained."""
    with pytest.raises(BadInput, match="needs an additive mask"):
        ask({"mask": "bool", "mask_grad": True})


@settings(max_examples=60, deadline=None)
@given(
    mask=st.sampled_from(["bool", "additive"]),
    sinks=st.booleans(),
    library=st.sampled_from(support.libraries()),
    head_dim=st.sampled_from([32, 64, 128, 256]),
    task=st.sampled_from(["prefill", "decode", "training"]),
    card=st.sampled_from(["T4", "L4", "H100 SXM", "B200", "RTX 5090"]),
)
def test_asking_for_more_is_never_answered_better(
    mask: str, sinks: bool, library: str, head_dim: int, task: str, card: str
) -> None:
    """What does not run without a mask or sinks does not run with them, and nobody knows more of it."""
    plain = {"head_dim": head_dim, "task": task, "dtype": "fp16"}
    asked = ask({**plain, "mask": mask, "sinks": sinks})[0]
    if support.runs(asked, gpu(card), library):
        assert support.runs(ask(plain)[0], gpu(card), library)
