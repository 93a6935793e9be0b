"""FlashInfer: what it runs, what it only casts, and what it does not take."""

from collections.abc import Callable

import pytest

from l4guide import support

Check = Callable[..., support.Verdict]

CASES = [
    *(
        (v, card, f"head_dim={d} task=prefill", "ok", "")
        for v in ("0.6.18", "0.7.1", "0.7.2.post1")
        for card in ("L4", "A100-80GB-SXM", "H100 SXM")
        for d in (64, 128, 256)
    ),
    ("0.7.2.post1", "L4", "head_dim=96 task=decode", "refused", "Unsupported head_dim: 96"),
    (
        "0.7.2.post1",
        "L4",
        "head_dim=72 task=prefill paged_block_size=16",
        "refused",
        "Unsupported head_dim: 72",
    ),
    ("0.7.2.post1", "L4", "head_dim=96 task=prefill", "refused", "an illegal memory access"),
    ("0.7.2.post1", "L4", "head_dim=72 task=prefill", "unsafe", "returns wrong results"),
    ("0.7.2.post1", "T4", "head_dim=72 task=prefill dtype=fp16", "unknown", "head_dim 72"),
    ("0.7.2.post1", "L4", "head_dim=512 task=prefill", "ok", ""),
    ("0.7.2.post1", "L4", "head_dim=128", "refused", "has no backward pass"),
    ("0.7.2.post1", "L4", "head_dim=128 task=decode kv_dtype=fp8", "ok", "the fp8 cache is read as it is"),
    (
        "0.7.2.post1",
        "L4",
        "head_dim=128 task=decode kv_dtype=int8",
        "unknown",
        "a different dtype for K and V",
    ),
    ("0.7.2.post1", "L4", "head_dim=128 task=prefill dtype=fp8", "ok", "cast to fp16"),
    ("0.7.2.post1", "L4", "head_dim=128 task=decode paged_block_size=16 window=64", "ok", ""),
    ("0.7.2.post1", "T4", "head_dim=128 task=decode dtype=fp16", "ok", "documented"),
    ("0.7.2.post1", "T4", "head_dim=128 task=decode dtype=bf16", "unknown", "bf16"),
    ("0.6.5", "L4", "head_dim=128 task=decode", "unknown", "was not checked"),
]


def test_its_package_has_another_name() -> None:
    """What is installed is looked up, and installed, under pip's name."""
    assert support.distribution("flashinfer") == "flashinfer-python"
    assert support.distribution("torch/sdpa") == "torch"
    assert support.install_line("flashinfer", "0.7.2") == "pip install flashinfer-python==0.7.2"


def _options(text: str) -> dict[str, str]:
    return dict(pair.split("=") for pair in text.split())


@pytest.mark.parametrize(("version", "card", "options", "status", "text"), CASES)
def test_flashinfer(check: Check, version: str, card: str, options: str, status: str, text: str) -> None:
    """Head dimensions, passes and the two kinds of fp8, with what is said of each."""
    verdict = check("flashinfer", version, card, **_options(options))
    assert status == verdict.status, verdict.message
    assert text in str(verdict.message)
