"""flash-attn-3 and flash-attn-4: what runs where, with the exact texts."""

from collections.abc import Callable

import pytest

from l4guide import support

Check = Callable[..., support.Verdict]

HOPPER = "FlashAttention only supports Hopper GPUs or newer."
HOPPER_3 = "FlashAttention-3 only supports Hopper GPUs or newer."
FP8_ADA = "FlashAttention on Ampere/Ada cards only supports fp16 and bf16 data type"
OLD_4 = "Unsupported compute capability. Supported: 9.x, 10.x, 11.x"
BACKWARD_4 = "Unsupported compute capability. Supported: 9.x, 10.x, 11.x, 12.x"
LAUNCH_4 = (
    "launch shared memory exceeds current GPU arch sm_{arch} allowed. Allocated: 131072 bytes. "
    "Max: 101376 bytes."
)
FP8_4 = "FP8 is only supported on SM100 (compute capability 10.x) for FA4 CuTe."

# (library, version, card, options) -> status, and what the message says.
CASES = [
    *(("flash-attn-3", v, "L4", "head_dim=64 task=prefill", "refused", HOPPER) for v in ("2.6.2", "2.6.3")),
    *(
        ("flash-attn-3", v, "L4", "head_dim=64 task=prefill", "refused", HOPPER_3)
        for v in ("2.7.0", "2.7.2.post1")
    ),
    ("flash-attn-3", "2.7.0", "L4", "head_dim=64 task=prefill varlen=yes", "refused", HOPPER),
    *(
        ("flash-attn-3", v, card, f"head_dim={d}", "ok", "")
        for v in ("2.7.3", "2.8.3", "2.8.3.post1")
        for card in ("L4", "RTX 4090", "A10", "A100-80GB-SXM", "H100 SXM")
        for d in (64, 96, 128, 192, 256)
    ),
    *(("flash-attn-3", v, "L4", "head_dim=64 dtype=fp8", "refused", FP8_ADA) for v in ("2.7.3", "2.8.3")),
    ("flash-attn-3", "2.8.3", "H100 SXM", "head_dim=128 dtype=fp8 task=prefill", "ok", ""),
    ("flash-attn-3", "2.8.3", "L4", "head_dim=192 window=128 task=prefill", "ok", ""),
    (
        "flash-attn-3",
        "2.8.3",
        "L4",
        "head_dim=256 window=128 task=prefill",
        "refused",
        "at least 106,752 bytes",
    ),
    ("flash-attn-3", "2.8.3", "RTX 3090", "head_dim=200 window=128", "refused", "is 101,376 bytes"),
    ("flash-attn-3", "2.8.3", "L4", "head_dim=256 window=4096 task=prefill", "unknown", "a sliding window"),
    ("flash-attn-3", "2.8.3", "A100-80GB-SXM", "head_dim=256 window=128", "ok", ""),
    ("flash-attn-3", "2.8.3", "L4", "head_dim=192 varlen=yes", "ok", ""),
    ("flash-attn-3", "2.8.3", "L4", "head_dim=256 varlen=yes", "ok", "inferred"),
    ("flash-attn-3", "2.7.3", "L4", "head_dim=256 varlen=yes", "unknown", "variable-length sequences"),
    ("flash-attn-3", "2.8.3", "L4", "head_dim=256 task=decode paged_block_size=64", "unknown", "paged"),
    ("flash-attn-3", "2.8.3", "L4", "head_dim=256 task=decode paged_block_size=64 num_splits=1", "ok", ""),
    (
        "flash-attn-3",
        "2.8.3",
        "L4",
        "head_dim=256 varlen=yes num_splits=0",
        "unknown",
        "variable-length sequences",
    ),
    ("flash-attn-3", "2.8.3", "L4", "head_dim=192 varlen=yes num_splits=4 task=prefill", "ok", ""),
    (
        "flash-attn-3",
        "2.8.3",
        "L4",
        "head_dim=256 varlen=yes num_splits=4 task=prefill",
        "refused",
        "CUDA error (…/hopper/flash_fwd_launch_template.h:203): invalid argument",
    ),
    (
        "flash-attn-3",
        "2.8.3",
        "L4",
        "head_dim=256 append_kv=yes task=decode",
        "refused",
        "at least 131,328 bytes",
    ),
    ("flash-attn-3", "2.8.3", "L4", "head_dim=192 append_kv=yes task=decode", "ok", ""),
    ("flash-attn-3", "2.8.3", "H100 SXM", "head_dim=256 append_kv=yes task=decode", "ok", ""),
    ("flash-attn-3", "2.8.3", "L4", "head_dim=64 append_kv=yes task=training", "unknown", "appending"),
    ("flash-attn-3", "2.8.3", "L4", "head_dim=128 task=decode paged_block_size=7", "ok", ""),
    ("flash-attn-3", "2.8.3", "L4", "head_dim=64 dropout=0.1", "refused", "argument 'dropout_p'"),
    ("flash-attn-3", "2.8.3", "L4", "head_dim=64 alibi=yes", "refused", "argument 'alibi_slopes'"),
    ("flash-attn-3", "2.8.3", "L4", "head_dim=192 head_dim_v=128", "refused", "Only Hopper supports"),
    ("flash-attn-3", "2.8.3", "T4", "head_dim=64 dtype=fp16", "refused", "Ampere GPUs or newer."),
    ("flash-attn-3", "2.8.3", "B200 SXM", "head_dim=64", "unknown", "compute capability 10.0"),
    *(
        ("flash-attn-4", v, card, "head_dim=64 task=prefill", "refused", OLD_4)
        for v in ("4.0.0b0", "4.0.0b2", "4.0.0b4")
        for card in ("L4", "A100-80GB-SXM")
    ),
    ("flash-attn-4", "4.0.0b4", "H100 SXM", "head_dim=64", "ok", ""),
    *(
        ("flash-attn-4", v, "L4", f"head_dim={d} task=prefill", "ok", "")
        for v in ("4.0.0b5", "4.0.0b9", "4.0.0b10", "4.0.0b27", "4.0.0b36")
        for d in (64, 72, 128, 192)
    ),
    *(
        ("flash-attn-4", v, card, "head_dim=256 task=prefill", "refused", LAUNCH_4.format(arch=arch))
        for v in ("4.0.0b5", "4.0.0b18", "4.0.0b27", "4.0.0b36")
        for card, arch in (("L4", 89), ("RTX 3090", 86))
    ),
    ("flash-attn-4", "4.0.0b27", "L4", "head_dim=200 task=prefill", "refused", "at least 106,496 bytes"),
    ("flash-attn-4", "4.0.0b27", "A100-80GB-SXM", "head_dim=256 task=prefill", "ok", ""),
    *(
        ("flash-attn-4", v, card, "head_dim=64", "refused", BACKWARD_4)
        for v in ("4.0.0b5", "4.0.0b12", "4.0.0b27", "4.0.0b36")
        for card in ("L4", "A100-80GB-SXM")
    ),
    (
        "flash-attn-4",
        "4.0.0b27",
        "L4",
        "head_dim=64 task=decode paged_block_size=64",
        "refused",
        "paged KV not supported on SM 8.0",
    ),
    ("flash-attn-4", "4.0.0b27", "L4", "head_dim=64 dtype=fp8 task=prefill", "refused", FP8_4),
    ("flash-attn-4", "4.0.0b5", "L4", "head_dim=64 dtype=fp8 task=prefill", "refused", "float16 or bfloat16"),
    ("flash-attn-4", "4.0.0b27", "H100 SXM", "head_dim=256", "ok", ""),
    ("flash-attn-4", "4.0.0b27", "B200 SXM", "head_dim=128", "ok", ""),
    ("flash-attn-4", "4.0.0b27", "B200 SXM", "head_dim=256", "ok", ""),
    (
        "flash-attn-4",
        "4.0.0b27",
        "B200 SXM",
        "head_dim=136",
        "refused",
        "(136, 136) is not supported on SM100",
    ),
    ("flash-attn-4", "4.0.0b27", "RTX 5090", "head_dim=128", "ok", ""),
    ("flash-attn-4", "4.0.0b27", "T4", "head_dim=64 dtype=fp16", "refused", "Supported: 8.x, 9.x"),
]


def _options(text: str) -> dict[str, str]:
    return dict(pair.split("=") for pair in text.split())


@pytest.mark.parametrize(("library", "version", "card", "options", "status", "text"), CASES)
def test_newer_flash_attention(
    check: Check, library: str, version: str, card: str, options: str, status: str, text: str
) -> None:
    """What FlashAttention-3 and -4 refuse, with their words, and what they run."""
    verdict = check(library, version, card, **_options(options))
    assert status == verdict.status, verdict.message
    assert text in str(verdict.message)


def test_a_launch_that_nobody_observed_is_inferred(check: Check) -> None:
    """FlashAttention-3's window tile is too large by its bytes; FlashAttention-4's launch was measured."""
    window = check("flash-attn-3", "2.8.3", head_dim=256, window=128, task="prefill")
    assert ("inferred", 101376) == (window.reasons[0].evidence, window.reasons[0].found)
    assert check("flash-attn-3", "2.8.3", head_dim=256).evidence == "inferred"
    wide = check("flash-attn-4", "4.0.0b27", head_dim=256, task="prefill")
    assert wide.reasons[0].evidence == "measured"


def test_both_limits_of_flash_attention_4_are_listed(check: Check) -> None:
    """Training at head_dim 256 on L4 would not get past the forward, nor past the backward."""
    verdict = check("flash-attn-4", "4.0.0b36", head_dim=256)
    assert ["FA4-SM80-SHARED-256", "FA4-BWD-ARCH"] == [reason.code for reason in verdict.reasons]
    assert verdict.first_version is None


def test_a_beta_that_the_index_lacks_is_fetched_by_its_tag() -> None:
    """Tags of FlashAttention-4 are not named as its releases are."""
    assert support.install_line("flash-attn-4", "4.0.0b27") == "pip install flash-attn-4==4.0.0b27"
    assert "@fa4-v4.0.0.beta0#subdirectory=flash_attn/cute" in support.install_line("flash-attn-4", "4.0.0b0")
    assert "@v2.8.3#subdirectory=hopper" in support.install_line("flash-attn-3", "2.8.3")
