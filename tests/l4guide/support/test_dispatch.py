"""PyTorch's default: who gets the question, what is said of those passed over, and when nobody takes it."""

from collections.abc import Callable

import pytest

from l4guide import support

Check = Callable[..., support.Verdict]
E1 = "Expected is_sm80 to be true, but got false."

# (version, card, options) -> status, the backend that runs it, and what the message says.
CASES = [
    *(
        (v, "L4", "head_dim=64", "ok", "torch/flash", "with torch/flash")
        for v in ("2.0.0", "2.3.1", "2.15.0")
    ),
    ("2.0.0", "L4", "head_dim=128", "refused", "torch/flash", E1),
    ("2.0.1", "L4", "head_dim=128", "ok", "torch/math", "falls back to torch/math"),
    ("2.0.1", "A100-80GB-SXM", "head_dim=128", "ok", "torch/flash", "with torch/flash"),
    ("2.1.0", "L4", "head_dim=128", "ok", "torch/efficient", "greater than 64 on gpu architectures"),
    ("2.2.0", "L4", "head_dim=128", "ok", "torch/flash", "with torch/flash"),
    ("2.2.0", "L4", "head_dim=256", "ok", "torch/efficient", "torch/flash (Flash attention currently"),
    ("2.13.0", "L4", "head_dim=256", "ok", "torch/flash", "inferred"),
    ("2.15.0", "L4", "head_dim=256 dropout=0.1", "ok", "torch/efficient", "Skipped: torch/flash ("),
    ("2.15.0", "L4", "head_dim=128 dtype=fp32", "ok", "torch/efficient", "Expected query, key and value"),
    ("2.15.0", "L4", "head_dim=100 dtype=fp32 window=64", "ok", "torch/efficient", "non-null attn_mask"),
    ("2.15.0", "L4", "head_dim=102 dtype=fp32", "ok", "torch/math", "writes every score to memory"),
    ("2.5.0", "L4", "head_dim=64 window=64", "ok", "torch/math", "perhaps torch/efficient ("),
    ("2.15.0", "T4", "head_dim=64 dtype=fp16", "ok", "torch/efficient", "[sm80, sm121]"),
    ("2.15.0", "H100 SXM", "head_dim=128", "ok", "torch/cudnn", "with torch/cudnn"),
    ("2.15.0", "H100 SXM", "head_dim=256", "ok", "torch/flash", "perhaps torch/cudnn ("),
    ("2.3.0", "H100 SXM", "head_dim=128", "ok", "torch/flash", "with torch/flash"),
    ("2.5.0", "H100 SXM", "head_dim=128", "ok", "torch/cudnn", "with torch/cudnn"),
    ("2.7.0", "H100 SXM", "head_dim=128", "ok", "torch/flash", "with torch/flash"),
    ("2.12.0", "H100 SXM", "head_dim=128", "ok", "torch/cudnn", "with torch/cudnn"),
    ("2.9.0", "H100 SXM", "head_dim=128", "unknown", None, "the order in which torch/sdpa 2.9.0 tries"),
    ("2.15.0", "L4", "head_dim=64 softcap=30", "refused", None, "softcap is 30"),
    ("2.15.0", "L4", "head_dim=64 dtype=fp8", "unknown", None, "fp8"),
    ("2.15.0", "MI300X", "head_dim=64", "unknown", None, "AMD"),
]


def _options(text: str) -> dict[str, str]:
    return dict(pair.split("=") for pair in text.split())


@pytest.mark.parametrize(("version", "card", "options", "status", "picks", "text"), CASES)
def test_what_the_default_picks(
    check: Check, version: str, card: str, options: str, status: str, picks: str | None, text: str
) -> None:
    """The first backend of the order that takes the question, named in the answer with the reasons."""
    verdict = check("torch/sdpa", version, card, **_options(options))
    assert (status, picks) == (verdict.status, verdict.picks), verdict.message
    assert text in str(verdict.message)


def test_a_check_of_the_kernel_comes_too_late_for_the_default(check: Check) -> None:
    """2.0.0 hands training at head_dim 128 to flash, whose backward then raises: math is not tried."""
    assert check("torch/math", "2.0.0", head_dim=128).status == "ok"
    assert check("torch/sdpa", "2.0.0", head_dim=128).status == "refused"


def test_the_order_read_nowhere_near_a_release_makes_its_answer_inferred(check: Check) -> None:
    """The order of 2.2 was not read, so the answer is inferred though the backend's own is not."""
    assert check("torch/flash", "2.2.0", head_dim=128).evidence == "binary"
    assert check("torch/sdpa", "2.2.0", head_dim=128).evidence == "inferred"
    assert check("torch/sdpa", "2.15.0", head_dim=128).evidence == "binary"


def test_the_pick_is_in_the_json_and_said_in_both_languages(check: Check) -> None:
    """Another program reads which backend runs; a reader of Chinese is told of the fallback too."""
    verdict = check("torch/sdpa", "2.15.0", head_dim=102, dtype="fp32")
    assert verdict.to_json()["picks"] == "torch/math"
    assert "torch/math" in str(verdict.to_json("zh")["message"])
    assert "picks" not in check("torch/flash", "2.15.0", head_dim=64).to_json()


@pytest.mark.parametrize("written", ["sdpa", "PyTorch", "scaled_dot_product_attention", "torch/SDPA"])
def test_the_default_has_the_names_that_people_use(written: str) -> None:
    """Who names no backend means the default."""
    assert support.find_library(written) == "torch/sdpa"
