"""flash-attn: the published version steps, with the exact texts."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from l4guide import support
from l4guide.catalogue import gpu
from l4guide.workload import ask

Check = Callable[..., support.Verdict]

E1 = "Expected is_sm80 to be true, but got false."
E2 = "Expected is_sm80 || is_sm90 to be true, but got false."
E3 = (
    "FlashAttention backward for head dim > 64 requires A100 or H100 GPUs as the implementation needs a large "
    "amount of shared memory."
)
E4 = "FlashAttention backward for head dim > 192 requires A100/A800 or H100/H800"
E5 = (
    "FlashAttention backward for head dim 256 with dropout, or head dim 224 with/without dropout requires "
    "A100/A800 or H100/H800"
)
E6 = "FlashAttention backward for head dim > 192 with dropout requires A100/A800 or H100/H800"
E7 = "FlashAttention forward only supports head dimension at most 256"
E8 = "FlashAttention backward only supports head dimension at most 256"
AMPERE = "FlashAttention only supports Ampere GPUs or newer."


# What flash-attn does with training on an L4: the releases at both ends of each range, and per column
# (head_dim, dropout) the status and the error text that the run ends with.
COLUMNS = {
    "64": (64, 0.1),
    "72": (72, 0.0),
    "128": (128, 0.1),
    "192": (192, 0.1),
    "200": (200, 0.0),
    "224 p": (224, 0.1),
    "232": (232, 0.0),
    "256": (256, 0.0),
    "256 p": (256, 0.1),
    "264": (264, 0.0),
}
FA1_WIDE = "Expected (head_size % 8 == 0) && (head_size <= 128) to be true, but got false."


def _first(text: str) -> dict[str, str]:
    wide = dict.fromkeys(["192", "200", "224 p", "232", "256", "256 p", "264"], FA1_WIDE)
    return {"64": "ok", "72": text, "128": text, **wide}


NARROW = dict.fromkeys(["64", "72", "128", "192"], "ok") | {"264": E7}
STEPS = [
    (["0.2.1", "0.2.8"], _first(E1)),
    (["1.0.0", "1.0.3.post0"], _first(E2)),
    (["1.0.4", "1.0.9"], _first(E3)),
    (["2.0.0", "2.5.4"], NARROW | dict.fromkeys(["200", "224 p", "232", "256", "256 p"], E4)),
    (["2.5.5", "2.6.1"], NARROW | dict.fromkeys(["200", "224 p", "256 p"], E5) | {"232": "ok", "256": "ok"}),
    (
        ["2.6.2", "2.7.2.post1"],
        NARROW | {"200": "ok", "224 p": E6, "232": "ok", "256": "ok", "256 p": E6},
    ),
    (
        ["2.7.3", "2.8.3", "2.8.3.post1"],
        NARROW | {"200": "ok", "224 p": "unsafe", "232": "ok", "256": "ok", "256 p": "unsafe"},
    ),
]
CELLS = [
    pytest.param(version, *COLUMNS[column], outcome, id=f"{version} {column}")
    for versions, cells in STEPS
    for version in versions
    for column, outcome in cells.items()
]


@pytest.mark.parametrize(("version", "head_dim", "dropout", "outcome"), CELLS)
def test_flash_attn_training_on_l4(
    check: Check, version: str, head_dim: int, dropout: float, outcome: str
) -> None:
    """Every cell of the version table of flash-attn on L4, at both ends of each range, with the exact text."""
    verdict = check("flash-attn", version, head_dim=head_dim, dropout=dropout)
    if outcome in ("ok", "unsafe"):
        assert outcome == verdict.status
    else:
        assert ("refused", outcome) == (verdict.status, verdict.message)


@pytest.mark.parametrize("version", ["2.0.0", "2.5.5", "2.6.2", "2.7.3", "2.8.3"])
@pytest.mark.parametrize("card", ["A100-80GB-SXM", "A100-40GB-PCIe", "A30", "H100 SXM"])
@pytest.mark.parametrize(("head_dim", "dropout"), [(128, 0.1), (224, 0.0), (256, 0.1)])
def test_flash_attn_2_trains_everything_on_data_centre_cards(
    check: Check, version: str, card: str, head_dim: int, dropout: float
) -> None:
    """Compute capability 8.0 and 9.0 train up to 256 with dropout from 2.0.0 on."""
    assert check("flash-attn", version, card, head_dim=head_dim, dropout=dropout).status == "ok"


@pytest.mark.parametrize("card", ["L4", "L40S", "RTX 4090", "RTX 6000 Ada", "A10", "A40", "RTX 3090"])
def test_cards_of_one_class_answer_alike(check: Check, card: str) -> None:
    """8.6 and 8.9 meet the same checks as L4."""
    assert E3 == check("flash-attn", "1.0.9", card, head_dim=128).message
    assert E4 == check("flash-attn", "2.5.4", card, head_dim=256).message
    assert check("flash-attn", "2.5.5", card, head_dim=256).status == "ok"
    assert check("flash-attn", "2.8.3", card, head_dim=256, dropout=0.1).status == "unsafe"


def test_unsafe_says_what_was_read_and_what_was_inferred(check: Check) -> None:
    """The missing kernel was read in source, the garbage gradients only follow from it."""
    verdict = check("flash-attn", "2.8.3", head_dim=256, dropout=0.1)
    (reason,) = verdict.reasons
    assert ("source", "inferred") == (reason.evidence, reason.consequence_evidence)
    assert (101376, "FA2-BWD-192-DROPOUT-SILENT") == (reason.found, reason.code)
    assert verdict.first_version is None
    address = verdict.to_json()["reasons"][0]["source"]  # type: ignore[index]
    assert address.endswith("v2.8.3/csrc/flash_attn/src/flash_bwd_launch_template.h#L300-L301")


def test_every_broken_rule_is_listed(check: Check) -> None:
    """Too wide a head breaks the forward check and the backward one, in the order of a run."""
    verdict = check("flash-attn", "2.8.3", head_dim=320)
    assert [E7, E8] == [reason.text for reason in verdict.reasons]
    assert E7 == verdict.message
    many = check("flash-attn", "1.0.9", "T4", head_dim=100, dtype="bf16", window=128, heads=8, kv_heads=2)
    codes = {"FA1-WINDOW", "FA1-BF16-10", "FA1-HEAD-DIM-8", "FA1-GQA", "FA1-BWD-64-104"}
    assert codes == {reason.code for reason in many.reasons}
    assert "window_size" in str(many.message)


def test_first_version_that_works_is_named(check: Check) -> None:
    """The release that lifted the limit, with its date, and the newest one that still has it."""
    wide = check("flash-attn", None, head_dim=128)
    assert ("2.0.0", "2023-07-17", "1.0.9") == (
        wide.first_version,
        str(wide.first_released),
        wide.last_refused,
    )
    assert check("flash-attn", None, head_dim=256).first_version == "2.5.5"
    assert check("flash-attn", None, head_dim=200).first_version == "2.6.2"
    assert check("flash-attn", None, head_dim=64, softcap=20).first_version == "2.6.0"
    assert check("torch/flash", None, head_dim=128).first_version == "2.2.0"


@pytest.mark.parametrize("version", ["2.0.0", "2.7.2.post1", "2.7.3", "2.8.3"])
def test_turing_is_refused_by_flash_attn_2(check: Check, version: str) -> None:
    """T4 gets the text about Ampere from every 2.x release, and ran 1.x."""
    verdict = check("flash-attn", version, "T4", head_dim=64, dtype="fp16")
    assert (AMPERE, "0.2.1") == (verdict.message, verdict.first_version)


def test_volta_and_amd_get_a_reason(check: Check) -> None:
    """V100 is refused by name of its architecture; of MI300X the rules say nothing, and say so."""
    assert check("flash-attn", None, "V100-SXM2-16GB", head_dim=64, dtype="fp16").message == AMPERE
    for library in support.libraries():
        verdict = check(library, None, "MI300X", head_dim=320)
        assert (verdict.status, [reason.code for reason in verdict.reasons]) == (
            "unknown",
            ["UNKNOWN-VENDOR"],
        )
        assert "AMD" in str(verdict.message)


def test_blackwell_is_covered_from_the_release_that_builds_for_it(check: Check) -> None:
    """10.0 and 12.0 are refused before 2.7.3; 10.3 is inferred; 11.0 is nowhere, hence unknown."""
    assert check("flash-attn", "2.7.2.post1", "RTX 5090", head_dim=128).message == AMPERE
    assert check("flash-attn", "2.7.3", "RTX 5090", head_dim=128).evidence == "source"
    assert check("flash-attn", "2.7.3", "B300 SXM", head_dim=128).evidence == "inferred"
    assert check("flash-attn", "2.8.3", "L4@11.0", head_dim=128).status == "unknown"


def test_a_limit_that_hangs_on_an_unknown_value_is_unknown() -> None:
    """Without the card's shared memory nobody can say whether the backward kernel exists."""
    card = replace(gpu("L4"), shared_bytes_per_block=None)
    verdict = support.check(ask({"head_dim": 256, "dropout": 0.1})[0], card, "flash-attn", "2.8.3")
    assert ("unknown", "UNKNOWN-VALUE") == (verdict.status, verdict.reasons[0].code)
