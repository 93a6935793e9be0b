"""PyTorch: what the opened wheels refuse, and the releases between them."""

from collections.abc import Callable

import pytest

from l4guide import support

Check = Callable[..., support.Verdict]

E1 = "Expected is_sm80 to be true, but got false."

# PyTorch: (library, version, card, options) -> status, and what the message says.
TORCH = [
    ("torch/flash", "2.0.0", "L4", "head_dim=64", "ok", ""),
    ("torch/flash", "2.0.0", "L4", "head_dim=128 task=prefill", "ok", ""),
    ("torch/flash", "2.0.0", "L4", "head_dim=128", "refused", E1),
    ("torch/flash", "2.0.0", "H100 SXM", "head_dim=64", "refused", "sm75 and sm8x gpu architectures"),
    ("torch/efficient", "2.0.0", "L4", "head_dim=128", "ok", ""),
    ("torch/efficient", "2.0.0", "A10", "head_dim=128", "refused", "head_dim == 128 on sm86"),
    ("torch/flash", "2.0.1", "L4", "head_dim=128", "refused", "greater than 64 on sm86 or newer."),
    (
        "torch/efficient",
        "2.0.1",
        "L4",
        "head_dim=128 task=prefill",
        "refused",
        "greater than 64 on sm86 or newer",
    ),
    ("torch/math", "2.0.1", "L4", "head_dim=128", "ok", ""),
    ("torch/flash", "2.1.0", "L4", "head_dim=128 task=prefill", "ok", ""),
    ("torch/flash", "2.1.0", "L4", "head_dim=128", "refused", "run with head_dim: 128 on a sm 8.9 gpu."),
    ("torch/flash", "2.1.0", "H100 SXM", "head_dim=128", "ok", ""),
    ("torch/flash", "2.2.0", "L4", "head_dim=128", "ok", ""),
    ("torch/flash", "2.2.0", "L4", "head_dim=256 task=prefill", "ok", ""),
    (
        "torch/flash",
        "2.2.0",
        "L4",
        "head_dim=256",
        "refused",
        "head_dim greater than 192 on gpu architectures",
    ),
    ("torch/flash", "2.2.0", "L4", "head_dim=320", "refused", "Got Query.size(-1): 320, Key.size(-1): 320"),
    (
        "torch/flash",
        "2.2.0",
        "T4",
        "head_dim=64 dtype=fp16",
        "refused",
        "[sm80, sm90]. Attempting to run on a sm 7.5",
    ),
    ("torch/flash", "2.7.0", "T4", "head_dim=64 dtype=fp16", "refused", "[sm80, sm120]"),
    ("torch/flash", "2.9.0", "T4", "head_dim=64 dtype=fp16", "refused", "[sm80, sm121]"),
    ("torch/flash", "2.15.0", "T4", "head_dim=64 dtype=fp16", "refused", "[sm80, sm121]"),
    *(
        ("torch/flash", version, "L4", options, status, text)
        for version in ("2.3.0", "2.5.0", "2.7.0", "2.9.0")
        for options, status, text in [
            ("head_dim=192 dropout=0.1", "ok", ""),
            ("head_dim=200", "refused", "dropout set to: 0and head_dim: 200 on a sm 8.9 gpu."),
            ("head_dim=256", "ok", ""),
            ("head_dim=256 dropout=0.1", "refused", "dropout set to: 0.1and head_dim: 256 on a sm 8.9 gpu."),
        ]
    ),
    ("torch/flash", "2.15.0", "L4", "head_dim=200", "refused", "on SM86-SM89 or SM120-SM121."),
    ("torch/flash", "2.15.0", "RTX 5090", "head_dim=200", "refused", "on SM86-SM89 or SM120-SM121."),
    ("torch/flash", "2.9.0", "RTX 5090", "head_dim=200", "unknown", "head_dim 200"),
    ("torch/flash", "2.15.0", "L4", "head_dim=64 dtype=fp32", "refused", "value to all be of dtype: {"),
    ("torch/flash", "2.15.0", "L4", "head_dim=64 window=99", "refused", "not support non-null attn_mask."),
    (
        "torch/flash",
        "2.15.0",
        "L4",
        "head_dim=64 seqlen_q=64 seqlen_kv=128",
        "refused",
        "when seqlen_q != seqlen_k. ",
    ),
    ("torch/flash", "2.15.0", "L4", "head_dim=64 dtype=fp8", "refused", ""),
    ("torch/flash", "2.15.0", "H100 SXM", "head_dim=64 dtype=fp8", "unknown", "fp8"),
    *(("torch/efficient", v, "L4", "head_dim=512", "ok", "") for v in ("2.1.0", "2.5.0", "2.15.0")),
    ("torch/efficient", "2.5.0", "L4", "head_dim=100", "refused", "inputs to be divisible by 8"),
    ("torch/efficient", "2.5.0", "L4", "head_dim=100 dtype=fp32", "ok", ""),
    ("torch/efficient", "2.5.0", "T4", "head_dim=128 dtype=fp16", "ok", ""),
    ("torch/cudnn", "2.5.0", "L4", "head_dim=128", "ok", ""),
    ("torch/cudnn", "2.5.0", "L4", "head_dim=136", "refused", "head_dim should be no more than 128"),
    ("torch/cudnn", "2.5.0", "L4", "head_dim=60", "refused", "head_dim should be a multiple of 8"),
    ("torch/cudnn", "2.5.0", "H100 SXM", "head_dim=192", "unknown", "192"),
    ("torch/cudnn", "2.3.0", "L4", "head_dim=64", "unknown", "torch/cudnn 2.3.0"),
]


def _options(text: str) -> dict[str, str]:
    return dict(pair.split("=") for pair in text.split())


@pytest.mark.parametrize(("library", "version", "card", "options", "status", "text"), TORCH)
def test_pytorch_gates(
    check: Check, library: str, version: str, card: str, options: str, status: str, text: str
) -> None:
    """What the opened PyTorch wheels refuse, with their words."""
    verdict = check(library, version, card, **_options(options))
    assert status == verdict.status
    assert text in str(verdict.message)


def test_pytorch_raises_one_line_and_prints_the_reasons(check: Check) -> None:
    """A forced backend ends in the same exception each time; 2.0.1 prints two spaces in it."""
    assert check("torch/flash", "2.5.0", head_dim=320).raises == "No available kernel. Aborting execution."
    assert check("torch/flash", "2.0.1", head_dim=128).raises == "No available kernel.  Aborting execution."
    assert check("torch/flash", "2.5.0", head_dim=64).raises is None


@pytest.mark.parametrize("version", ["2.3.1", "2.4.0", "2.4.1", "2.6.0", "2.8.0", "2.12.0", "2.14.1"])
def test_a_release_between_two_that_agree_is_inferred(check: Check, version: str) -> None:
    """Nobody opened these, but both neighbours say the same."""
    fine = check("torch/flash", version, head_dim=256)
    assert ("ok", "inferred") == (fine.status, fine.evidence)
    refused = check("torch/flash", version, head_dim=256, dropout=0.1)
    assert ("refused", {"inferred"}) == (refused.status, {reason.evidence for reason in refused.reasons})


@pytest.mark.parametrize("version", ["2.1.1", "2.1.2"])
def test_a_release_between_two_that_disagree_is_unknown(check: Check, version: str) -> None:
    """2.1.0 refuses head_dim 128 in training and 2.2.0 takes it; what lies between is not said."""
    verdict = check("torch/flash", version, head_dim=128)
    assert verdict.status == "unknown"
    assert "2.1.0" in str(verdict.message)
    assert "2.2.0" in str(verdict.message)


def test_differing_words_of_two_releases_are_marked(check: Check) -> None:
    """Where both neighbours refuse in different words, the text says whose words it gives."""
    message = str(check("torch/flash", "2.8.0", "T4", head_dim=64, dtype="fp16").message)
    assert "[sm80, sm120]" in message
    assert "2.9.0" in message
