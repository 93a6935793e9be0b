"""What lifts each broken rule, and the order in which the reasons come."""

from collections.abc import Callable

import pytest

from l4guide import support
from l4guide.support.verdict import REMEDIES

Check = Callable[..., support.Verdict]


def _options(text: str) -> dict[str, str]:
    return dict(pair.split("=") for pair in text.split())


# (library, version, card, options) -> the codes in order, each with its remedy.
ORDERS = [
    # A run meets the TypeError first; what no setting brings to this card moots it.
    (
        ("flash-attn-4", "4.0.0b36", "L4", "head_dim=256 dropout=0.1"),
        "FA4-SM80-SHARED-256 card, FA4-BWD-ARCH card, FA4-DROPOUT setting",
    ),
    (
        ("flash-attn-4", "4.0.0b36", "L4", "head_dim=64 dropout=0.1 dtype=fp8 alibi=yes"),
        "FA4-BWD-ARCH card, FA4-DROPOUT setting, FA4-ALIBI setting, FA4-FP8-BACKWARD setting, FA4-FP8 setting",
    ),
    # A card that no release serves moots the type.
    (
        ("flash-attn", "2.8.3", "P100", "head_dim=64 dtype=fp32"),
        "FA2-ARCH-273 card, FA2-DTYPE setting",
    ),
    # No library of this kind trains, so that the width of the head and the cache do not matter.
    (
        ("vllm/flash-attn", "0.33.0", "L4", "head_dim=100 kv_dtype=fp8"),
        "VLLM-TRAINING library, VLLM-FA-HEAD-DIM-8 setting, VLLM-FA-KV-FP8-0330 setting",
    ),
    # What an upgrade with fp16 brings comes before what a setting changes here; no release takes fp32.
    (
        ("flash-attn", "1.0.2", "L4", "head_dim=100 window=64 dtype=fp32"),
        "FA1-BWD-64-10 release, FA1-WINDOW setting, FA1-DTYPE-10 setting, FA1-HEAD-DIM-8 setting",
    ),
    (
        ("flash-attn", "1.0.9", "L4", "head_dim=320"),
        "FA1-HEAD-DIM library, FA1-BWD-64-104 card",
    ),
    (("flash-attn", "2.5.4", "L4", "head_dim=256"), "FA2-BWD-192 release"),
    (("flash-attn", "2.5.4", "L4", "head_dim=256 dropout=0.1"), "FA2-BWD-192 release"),
    (("flash-attn", "2.8.3", "L4", "head_dim=256 dropout=0.1"), "FA2-BWD-192-DROPOUT-SILENT setting"),
    (
        ("torch/flash", "2.7.1", "L4", "head_dim=256 dropout=0.1"),
        "TORCH-FLASH-BWD-256-DROPOUT-230 setting, TORCH-FLASH-KERNEL-256-DROPOUT setting",
    ),
]


@pytest.mark.parametrize(("asked", "order"), ORDERS, ids=lambda item: " ".join(map(str, item))[:60])
def test_what_moots_the_rest_comes_first(check: Check, asked: tuple[str, str, str, str], order: str) -> None:
    """First the library, then the card, then what another release lifts, last what a setting lifts."""
    library, version, card, options = asked
    verdict = check(library, version, card, **_options(options))
    assert order == ", ".join(f"{reason.code} {reason.remedy}" for reason in verdict.reasons)
    ranks = [REMEDIES.index(str(reason.remedy)) for reason in verdict.reasons]
    assert sorted(ranks) == ranks


@pytest.mark.parametrize(
    ("library", "version", "card", "options", "fix"),
    [
        ("flash-attn", "1.0.9", "L4", "head_dim=128", "flash-attn 2.0.0 lifts this"),
        ("flash-attn", "2.5.4", "L4", "head_dim=256", "flash-attn 2.5.5 lifts this"),
        (
            "flash-attn",
            "2.5.4",
            "L4",
            "head_dim=256 dropout=0.1",
            "flash-attn 2.5.5 lifts this limit with dropout: 0.0",
        ),
        (
            "flash-attn",
            "2.5.5",
            "L4",
            "head_dim=200 dropout=0.1",
            "flash-attn 2.6.2 lifts this limit with dropout",
        ),
        (
            "flash-attn",
            "2.8.3",
            "L4",
            "head_dim=256 dropout=0.1",
            "one setting lifts this limit: dropout: 0.0",
        ),
        ("flash-attn", "2.8.3", "T4", "head_dim=64 dtype=fp16", "flash-attn 1.0.9 lifts this"),
        (
            "flash-attn",
            "1.0.9",
            "L4",
            "head_dim=256 dropout=0.1 dtype=fp32",
            "flash-attn 2.5.5 lifts this limit, once the other settings",
        ),
        (
            "flash-attn",
            "2.8.3",
            "T4",
            "head_dim=64 dtype=bf16",
            "flash-attn 1.0.9 lifts this limit with dtype: fp16",
        ),
        ("flash-attn", "2.8.3", "L4", "head_dim=320", "no known release of flash-attn lifts this"),
        ("flash-attn-4", None, "L4", "head_dim=64", "no known release lifts this limit on L4"),
        ("flash-attn-4", None, "L4", "head_dim=64 task=prefill score_mod=yes", "score_mod: off"),
        ("torch/flash", None, "L4", "head_dim=200", "padding the heads with zeros to 256 lifts this"),
        ("flash-attn", "1.0.9", "L4", "head_dim=60", "flash-attn 2.0.0 lifts this"),
        ("torch/cudnn", None, "L4", "head_dim=60", "padding the heads with zeros to 64 lifts this"),
    ],
)
def test_each_reason_says_what_lifts_it(
    check: Check, library: str, version: str | None, card: str, options: str, fix: str
) -> None:
    """The first release that takes the question, the setting that does, or that none is known."""
    reason = check(library, version, card, **_options(options)).reasons[0]
    assert fix in str(reason.fix)
    assert fix in str(reason.to_json()["fix"])
    assert reason.fix is not None
    assert reason.fix.say("zh") != reason.fix.say("en")


def test_the_message_stays_what_a_run_meets_first(check: Check) -> None:
    """The order of the fixes does not change what the library says, nor where that was read."""
    verdict = check("flash-attn-4", "4.0.0b36", head_dim=256, dropout=0.1)
    assert str(verdict.message) == "flash_attn_func() got an unexpected keyword argument 'dropout_p'"
    assert verdict.met_first is verdict.reasons[2]


def test_what_is_unknown_has_no_remedy(check: Check) -> None:
    """Nobody knows what would help where nobody knows what happens."""
    reason = check("flash-attn", "0.2.0", head_dim=64).reasons[0]
    assert (None, None) == (reason.remedy, reason.fix)


@pytest.mark.parametrize(("library", "version"), [("flash-attn", "1.0.9"), ("torch/flash", "2.2.0")])
def test_the_release_that_lifts_a_reason_is_right(check: Check, library: str, version: str) -> None:
    """A release that takes the question is named where there is one."""
    for wide in (72, 128, 200, 256):
        for reason in check(library, version, head_dim=wide).reasons:
            if reason.remedy == "release":
                assert reason.fix is not None
                named = check(library, str(reason.fix.values["version"]), head_dim=wide)
                assert named.status == "ok", (reason.code, named.version)
