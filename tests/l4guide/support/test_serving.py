"""Libraries above the kernels: what vLLM, transformers, SageAttention and TransformerEngine refuse."""

from collections.abc import Callable

import pytest

from l4guide import support

Check = Callable[..., support.Verdict]

NOT_VALID = "Selected backend AttentionBackendEnum.{} is not valid for this configuration. Reason: ['{}"

# (library, version, card, options) -> status, and what the message says; None is the newest release.
SERVING = [
    # vLLM (rows 67 to 71): 16-bit caches go to FlashAttention-2 on 8.x, fp8 caches to the other two.
    ("vllm/flash-attn", None, "L4", "head_dim=128 task=prefill", "ok", ""),
    ("vllm/flash-attn", None, "L4", "head_dim=72 task=prefill", "ok", ""),
    ("vllm/flash-attn", None, "L4", "head_dim=100 task=prefill", "refused", "head_size not supported"),
    ("vllm/flash-attn", None, "L4", "head_dim=512 task=prefill", "refused", "head_size not supported"),
    (
        "vllm/flash-attn",
        None,
        "T4",
        "head_dim=64 task=prefill dtype=fp16",
        "refused",
        "capability not supported",
    ),
    ("vllm/flash-attn", None, "H100 SXM", "head_dim=128 task=decode kv_dtype=fp8", "ok", ""),
    (
        "vllm/flash-attn",
        "0.15.1",
        "L4",
        "head_dim=128 task=decode kv_dtype=fp8",
        "refused",
        "kv_cache_dtype not",
    ),
    (
        "vllm/flash-attn",
        "0.33.0",
        "L4",
        "head_dim=128 task=decode kv_dtype=fp8",
        "refused",
        "FP8 KV cache requires",
    ),
    ("vllm/flashinfer", None, "L4", "head_dim=128 task=decode kv_dtype=fp8", "ok", "documented"),
    (
        "vllm/flashinfer",
        None,
        "L4",
        "head_dim=128 task=decode kv_dtype=int8",
        "refused",
        "kv_cache_dtype not",
    ),
    ("vllm/flashinfer", None, "L4", "head_dim=96 task=prefill", "refused", "head_size not supported"),
    ("vllm/flashinfer", "0.20.2", "L4", "head_dim=512 task=prefill", "refused", "head_size not supported"),
    ("vllm/flashinfer", "0.33.0", "L4", "head_dim=512 task=prefill", "ok", ""),
    ("vllm/flashinfer", "0.20.2", "T4", "head_dim=64 task=prefill dtype=fp16", "unknown", "7.5"),
    (
        "vllm/flashinfer",
        "0.33.0",
        "T4",
        "head_dim=64 task=prefill dtype=fp16",
        "refused",
        "capability not supported",
    ),
    ("vllm/triton", None, "L4", "head_dim=100 task=decode kv_dtype=fp8", "ok", "measured by others"),
    ("vllm/triton", None, "L40S", "head_dim=128 task=decode kv_dtype=fp8", "ok", "measured by others"),
    (
        "vllm/triton",
        None,
        "A10",
        "head_dim=128 task=decode kv_dtype=fp8",
        "unknown",
        "a different dtype for K and V",
    ),
    (
        "vllm/triton",
        None,
        "L4",
        "head_dim=128 task=decode kv_dtype=fp32",
        "unknown",
        "a different dtype for K and V",
    ),
    ("vllm/triton", None, "L4", "head_dim=16 task=prefill", "refused", "head_size not supported"),
    ("vllm/triton", None, "T4", "head_dim=64 task=prefill", "refused", "Bfloat16 is only supported on GPUs"),
    ("vllm/triton", None, "T4", "head_dim=64 task=prefill dtype=fp16", "ok", "documented"),
    # transformers (rows 72 to 74).
    ("transformers/flash-attention-2", None, "L4", "head_dim=128", "ok", "inferred"),
    ("transformers/flash-attention-2", None, "L4", "head_dim=256", "ok", "inferred"),
    (
        "transformers/flash-attention-2",
        None,
        "L4",
        "head_dim=256 dropout=0.1",
        "unsafe",
        "uninitialised gradients",
    ),
    ("transformers/flash-attention-2", None, "L4", "head_dim=264", "refused", "head dimension at most 256"),
    (
        "transformers/flash-attention-2",
        None,
        "T4",
        "head_dim=64 dtype=fp16",
        "refused",
        "Ampere GPUs or newer",
    ),
    ("transformers/flash-attention-3", None, "L4", "head_dim=128", "ok", "maintainer"),
    ("transformers/flash-attention-3", None, "L4", "head_dim=256", "unknown", "256"),
    (
        "transformers/flash-attention-3",
        None,
        "L4",
        "head_dim=128 dropout=0.1",
        "unsafe",
        "ignores the dropout of 0.1",
    ),
    (
        "transformers/flash-attention-3",
        None,
        "T4",
        "head_dim=64 dtype=fp16",
        "refused",
        "but found (7, 5) with",
    ),
    ("transformers/flash-attention-3", "4.57.6", "L4", "head_dim=64", "unknown", "was not checked"),
    (
        "transformers/flash-attention-4",
        None,
        "L4",
        "head_dim=128",
        "refused",
        "FlashAttention4 requires compute capability >= 9, but found (8, 9) with compute capability 8.x",
    ),
    ("transformers/flash-attention-4", None, "L4", "head_dim=128 task=prefill", "unknown", "L4"),
    ("transformers/flash-attention-4", None, "H100 SXM", "head_dim=128", "ok", "inferred"),
    (
        "transformers/flash-attention-4",
        None,
        "L4",
        "head_dim=64 task=prefill dtype=fp8",
        "refused",
        "only supported on SM100",
    ),
    # SageAttention (rows 75 and 76).
    ("sageattention", None, "L4", "head_dim=80 task=prefill", "ok", ""),
    ("sageattention", None, "L4", "head_dim=256 task=prefill", "refused", "Unsupported head_dim: 256"),
    ("sageattention", None, "T4", "head_dim=64 task=prefill dtype=fp16", "refused", "architecture: sm75"),
    ("sageattention", None, "M40", "head_dim=64 task=prefill dtype=fp16", "refused", "architecture: sm52"),
    (
        "sageattention",
        None,
        "L4",
        "head_dim=64 task=prefill dtype=fp8",
        "refused",
        "torch.float16 or torch.bfloat16",
    ),
    ("sageattention", None, "B200 SXM", "head_dim=64 task=prefill", "refused", "architecture: sm100"),
    (
        "sageattention",
        "1.0.6",
        "L4",
        "head_dim=80 task=prefill",
        "refused",
        "headdim should be in [64, 96, 128].",
    ),
    ("sageattention", "2.0.1", "L4", "head_dim=64 task=prefill", "ok", "inferred"),
    # TransformerEngine (row 77).
    ("transformer-engine/flash", None, "L4", "head_dim=192 dropout=0.1", "ok", ""),
    (
        "transformer-engine/flash",
        None,
        "L4",
        "head_dim=256 task=prefill",
        "refused",
        "head_dim = 256, on sm8.9.",
    ),
    ("transformer-engine/flash", "2.3.0", "L4", "head_dim=200", "refused", "head_dim_v = 200, on sm8.9."),
    ("transformer-engine/flash", None, "A100-80GB-SXM", "head_dim=256 dropout=0.1", "ok", ""),
    ("transformer-engine/flash", None, "RTX 5090", "head_dim=256", "unknown", "256"),
    ("transformer-engine/flash", None, "L4", "head_dim=64 dtype=fp8", "refused", "for FP8 attention"),
]


def _options(text: str) -> dict[str, str]:
    return dict(pair.split("=") for pair in text.split())


@pytest.mark.parametrize(("library", "version", "card", "options", "status", "text"), SERVING)
def test_what_serving_libraries_do(
    check: Check, library: str, version: str | None, card: str, options: str, status: str, text: str
) -> None:
    """The status, and the library's own words or the reason why nobody can say."""
    verdict = check(library, version, card, **_options(options))
    assert status == verdict.status
    assert text in str(verdict.message)


@pytest.mark.parametrize("library", ["vllm/flash-attn", "vllm/flashinfer", "vllm/triton"])
@pytest.mark.parametrize("card", ["L4", "A100-80GB-SXM", "H20", "RTX 5090", "T4"])
def test_libraries_for_inference_refuse_training_by_name(check: Check, library: str, card: str) -> None:
    """Training is refused on every card because there is no backward pass, and the message says which library."""
    verdict = check(library, None, card, head_dim=64, dtype="fp16")
    assert "refused" == verdict.status
    assert str(verdict.message).startswith(f"{library} ")
    assert "no backward pass" in str(verdict.message)


def test_a_backend_is_named_in_its_refusal(check: Check) -> None:
    """The line is the one that vLLM prints for a forced backend."""
    verdict = check("vllm/flashinfer", None, head_dim=80, task="prefill")
    assert NOT_VALID.format("FLASHINFER", "head_size not supported']") == verdict.message


def test_a_gate_that_only_logs_says_what_is_raised(check: Check) -> None:
    """TransformerEngine writes its reasons to the log and raises one line when no backend is left."""
    verdict = check("transformer-engine/flash", None, head_dim=256)
    assert verdict.raises is not None
    assert verdict.raises.startswith("No dot product attention backend is available")


@pytest.mark.parametrize("version", ["0.16.0", "0.18.1", "0.24.0", "0.32.0"])
def test_a_release_of_vllm_that_nobody_opened_is_inferred(check: Check, version: str) -> None:
    """Its neighbours agree, so it answers with them and says so."""
    fine = check("vllm/flash-attn", version, head_dim=128, task="prefill")
    assert ("ok", "inferred") == (fine.status, fine.evidence)
    refused = check("vllm/flash-attn", version, head_dim=100, task="prefill")
    assert ("refused", {"inferred"}) == (refused.status, {reason.evidence for reason in refused.reasons})


@pytest.mark.parametrize("library", sorted({row[0] for row in SERVING} | {"flash-attn", "torch/flash"}))
@pytest.mark.parametrize("card", ["P100-PCIe-16GB", "P100-SXM2-16GB", "M40 12GB", "M40 24GB"])
@pytest.mark.parametrize("task", ["prefill", "decode", "training"])
@pytest.mark.parametrize("dtype", ["fp16", "bf16", "fp32"])
def test_cards_without_tensor_cores_are_refused_or_unknown(
    check: Check, library: str, card: str, task: str, dtype: str
) -> None:
    """None of these claims to run on Pascal or Maxwell, and each says why."""
    verdict = check(library, None, card, head_dim=64, task=task, dtype=dtype)
    assert verdict.status in ("refused", "unknown")
    assert verdict.message


@pytest.mark.parametrize(
    ("card", "like"),
    [
        ("A800-80GB-SXM", "A100-80GB-SXM"),
        ("A800-80GB-PCIe", "A100-80GB-PCIe"),
        ("H800 SXM", "H100 SXM"),
        ("H20", "H100 SXM"),
        ("L20", "L4"),
        ("RTX 4090 D", "RTX 4090"),
        ("RTX A6000", "A40"),
        ("RTX A5000", "RTX 3090"),
        ("RTX 2080 Ti", "T4"),
        ("Quadro RTX 6000", "T4"),
    ],
)
@pytest.mark.parametrize("library", support.libraries())
@pytest.mark.parametrize("options", ["head_dim=128", "head_dim=256 dropout=0.1", "head_dim=64 dtype=fp16"])
def test_a_card_is_answered_as_its_class(
    check: Check, card: str, like: str, library: str, options: str
) -> None:
    """The rules go by compute capability and shared memory, so a new card answers as a known one of its class."""
    asked, known = (check(library, None, name, **_options(options)) for name in (card, like))
    assert (known.status, [reason.code for reason in known.reasons]) == (
        asked.status,
        [reason.code for reason in asked.reasons],
    )
