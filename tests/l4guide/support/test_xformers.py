"""xFormers, one operator at a time: what the gates say, with their words."""

from collections.abc import Callable

import pytest

from l4guide import support

Check = Callable[..., support.Verdict]

E16 = "requires a GPU with compute capability == 8.0 for 'query.shape[-1] > 64'"
E20 = "requires a GPU with compute capability 8.0 (A100) or 9.0 (H100) for 'query.shape[-1] > 64'"
E21 = "requires a GPU with compute capability 8.0 (A100) or 9.0 (H100) for 'query.shape[-1] > 192'"
E25 = (
    "requires a GPU with compute capability 8.0 (A100) or 9.0 (H100) for dropout when 'query.shape[-1] > 224'"
)
SPLITK = "requires NVidia GPU with sm80 minimum compute capacity, e.g., A100/H100/L4"

FLASH = [
    ("0.0.16", "L4", "head_dim=64", "ok", ""),
    ("0.0.16", "L4", "head_dim=128 task=prefill", "ok", ""),
    ("0.0.16", "L4", "head_dim=128", "refused", E16),
    ("0.0.16", "H100 SXM", "head_dim=128", "refused", E16),
    *((v, "L4", "head_dim=128", "refused", "") for v in ("0.0.17", "0.0.18", "0.0.19")),
    ("0.0.20", "L4", "head_dim=128", "refused", E20),
    ("0.0.20", "H100 SXM", "head_dim=128", "ok", ""),
    ("0.0.20", "A100-80GB-SXM", "head_dim=136", "refused", "max(query.shape[-1] != value.shape[-1]) > 128"),
    *(
        (v, "L4", options, status, text)
        for v in ("0.0.21", "0.0.22", "0.0.24")
        for options, status, text in [
            ("head_dim=128", "ok", ""),
            ("head_dim=192 dropout=0.1", "ok", ""),
            ("head_dim=256", "refused", E21),
            ("head_dim=256 task=prefill", "ok", ""),
        ]
    ),
    *(
        (v, "L4", options, status, text)
        for v in ("0.0.25", "0.0.29", "0.0.32.post2", "0.0.34", "0.0.35")
        for options, status, text in [
            ("head_dim=192 dropout=0.1", "ok", ""),
            ("head_dim=256", "ok", ""),
            ("head_dim=256 dropout=0.1", "refused", E25),
            ("head_dim=224 dropout=0.1", "unknown", "head_dim 224"),
        ]
    ),
    ("0.0.35", "A100-80GB-SXM", "head_dim=256 dropout=0.1", "ok", ""),
    ("0.0.35", "T4", "head_dim=64 dtype=fp16", "refused", "your GPU has capability (7, 5) (too old)"),
    ("0.0.21", "T4", "head_dim=64 dtype=fp16", "refused", "with capability > (8, 0) but"),
    ("0.0.20", "T4", "head_dim=64 dtype=fp16", "ok", ""),
    ("0.0.35", "L4", "head_dim=264", "refused", "max(query.shape[-1], value.shape[-1]) > 256"),
    ("0.0.35", "L4", "head_dim=60", "refused", "query.shape[-1] % 8 != 0"),
    ("0.0.35", "L4", "head_dim=64 dtype=fp32", "refused", "dtype=torch.float32 (supported: {"),
]
CUTLASS = [
    *(("0.0.35", "L4", f"head_dim={d} dropout=0.1", "ok", "") for d in (64, 128, 256, 512, 65536)),
    ("0.0.35", "L4", "head_dim=128 dtype=fp32", "ok", ""),
    ("0.0.35", "T4", "head_dim=128 dtype=fp16", "ok", ""),
    ("0.0.35", "T4", "head_dim=128 dtype=bf16", "refused", "bf16 is only supported on A100+ GPUs"),
    (
        "0.0.35",
        "RTX 5090",
        "head_dim=128",
        "refused",
        "<= (9, 0) but your GPU has capability (12, 0) (too new)",
    ),
    ("0.0.32.post2", "RTX 5090", "head_dim=128", "unknown", "compute capability 12.0"),
    ("0.0.16", "L4", "head_dim=64 dropout=0.1", "refused", "dropout > 0.0"),
    ("0.0.16", "L4", "head_dim=128 dtype=fp32", "refused", "Sm89 does not have enough shared-memory"),
    ("0.0.35", "V100-SXM2-16GB", "head_dim=128 dtype=fp16", "unknown", "compute capability 7.0"),
]
SPLIT = [
    ("0.0.35", "L4", "head_dim=128 task=decode", "ok", ""),
    ("0.0.35", "L4", "head_dim=512 task=decode", "unknown", "head_dim 512"),
    ("0.0.35", "A100-80GB-SXM", "head_dim=512 task=decode", "ok", ""),
    ("0.0.25", "L4", "head_dim=256 task=decode", "refused", "Embed dim 256 not supported"),
    ("0.0.27", "L4", "head_dim=256 task=decode", "unknown", "disagree"),
    ("0.0.35", "L4", "head_dim=96 task=decode", "refused", "Embed dim 96 not supported"),
    ("0.0.35", "T4", "head_dim=64 dtype=fp16 task=decode", "refused", SPLITK),
    ("0.0.35", "L4", "head_dim=128", "refused", "has no backward pass"),
    ("0.0.16", "L4", "head_dim=64 task=decode", "unknown", "was not checked"),
]
CASES = [
    (library, *case)
    for library, cases in [
        ("xformers/flash", FLASH),
        ("xformers/cutlass", CUTLASS),
        ("xformers/triton-splitk", SPLIT),
    ]
    for case in cases
]


def _options(text: str) -> dict[str, str]:
    return dict(pair.split("=") for pair in text.split())


@pytest.mark.parametrize(("library", "version", "card", "options", "status", "text"), CASES)
def test_xformers_gates(
    check: Check, library: str, version: str, card: str, options: str, status: str, text: str
) -> None:
    """What the operators' gates refuse, with their words, and what they run."""
    verdict = check(library, version, card, **_options(options))
    assert status == verdict.status, verdict.message
    assert text in str(verdict.message)


def test_xformers_raises_one_error_over_all_reasons(check: Check) -> None:
    """The first line of what a forced operator raises."""
    raised = check("xformers/flash", "0.0.35", head_dim=60).raises
    assert raised == "Operator `memory_efficient_attention` does not support inputs:"


def test_head_dim_128_training_came_with_0_0_21(check: Check) -> None:
    """The first xFormers release whose flash operator trains head_dim 128 on L4."""
    verdict = check("xformers/flash", None, head_dim=128)
    assert ("0.0.21", "2023-08-18") == (verdict.first_version, str(verdict.first_released))
