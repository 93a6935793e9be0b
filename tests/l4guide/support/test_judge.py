"""Every rule on both sides of its limit, names and versions, and no answer beyond the facts."""

import csv
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from l4guide import support
from l4guide.catalogue import Gpu, gpu, gpus
from l4guide.errors import BadInput
from l4guide.support.reader import rulebooks
from l4guide.support.releases import book_of
from l4guide.workload import Workload, ask

Check = Callable[..., support.Verdict]


def _options(text: str) -> dict[str, str]:
    return dict(pair.split("=") for pair in text.split())


CASES = list(csv.DictReader((Path(__file__).parent / "cases.csv").read_text(encoding="utf-8").splitlines()))


@pytest.mark.parametrize(
    "case", CASES, ids=lambda c: f"{c['code']} {c['outcome']} {c['library']} {c['version']}"
)
def test_each_rule_on_both_sides_of_its_limit(check: Check, case: dict[str, str]) -> None:
    """A rule is among the reasons where it is broken, and not where it is kept."""
    verdict = check(case["library"], case["version"], case["gpu"], **_options(case["options"]))
    assert (case["outcome"] == "broken") == (case["code"] in {reason.code for reason in verdict.reasons})


def test_every_rule_has_cases_on_both_sides() -> None:
    """A new rule comes with a case that breaks it and one that keeps it."""
    wanted = {(r.code, outcome) for b in rulebooks() for r in b.rules for outcome in ("broken", "kept")}
    assert wanted == {(case["code"], case["outcome"]) for case in CASES}


@pytest.mark.parametrize(
    ("written", "library"),
    [
        ("flash_attn", "flash-attn"),
        ("Flash-Attn", "flash-attn"),
        ("FlashAttention 2", "flash-attn"),
        ("torch sdpa flash", "torch/flash"),
        ("TORCH/Efficient", "torch/efficient"),
        ("sdpa math", "torch/math"),
    ],
)
def test_libraries_are_named_forgivingly(written: str, library: str) -> None:
    """Case, hyphens, spaces and the usual other names mean the same library."""
    assert library == support.find_library(written)


def test_an_unknown_library_names_the_nearest() -> None:
    """A misspelt library is bad input, with the nearest one."""
    with pytest.raises(BadInput, match="nearest: flash-attn"):
        support.find_library("flashatn")


@pytest.mark.parametrize(
    ("written", "version"), [("v2.8.3", "2.8.3"), (" 2.8.3.POST1 ", "2.8.3.post1"), (None, "2.8.3.post2")]
)
def test_versions_are_read_as_pip_reads_them(written: str | None, version: str) -> None:
    """A leading v and case do not matter; none means the newest known."""
    assert version == support.find_release("flash-attn", written).version


def test_a_local_build_of_torch_is_its_release() -> None:
    """2.13.0+cpu is 2.13.0 for the rules."""
    assert support.find_release("torch/flash", "2.13.0+cpu").version == "2.13.0"


@pytest.mark.parametrize("version", ["2.5.55", "abc", "", "1.0.10", "0.1", "2.8.3rc7", "2.9.x"])
def test_a_version_that_is_no_release_is_bad_input(version: str) -> None:
    """The message names the newest known release."""
    with pytest.raises(BadInput, match=r"newest known is 2\.8\.3\.post2"):
        support.check(ask({"head_dim": 64})[0], gpu("L4"), "flash-attn", version)


@pytest.mark.parametrize("version", ["2.9.0", "v2.9.0", "9.9.9", "2.9.0rc1", "2.8.4.dev3", "2.9.0+cu13"])
@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"head_dim": 128}, "runs it"),
        ({"head_dim": 512}, "refuses it"),
        ({"head_dim": 256, "dropout": 0.1}, "wrong result"),
    ],
)
def test_a_release_newer_than_the_rules_is_unknown(
    version: str, options: dict[str, object], said: str
) -> None:
    """Pre-releases and local builds too; the message names it and says what the newest read release does."""
    found = support.check(ask(options)[0], gpu("L4"), "flash-attn", version)
    newest = support.newest_read("flash-attn").version
    assert ("unknown", version) == (found.status, found.version)
    assert f"newer than the newest release checked here ({newest}), which" in str(found.message)
    assert said in str(found.message)
    assert (None, None) == (found.evidence, found.source)


def test_a_newer_release_of_a_dispatcher_is_unknown_too() -> None:
    """PyTorch's default picks among backends; of a release that nobody read nobody knows which."""
    found = support.check(ask({"head_dim": 128})[0], gpu("L4"), "torch/sdpa", "9.0")
    assert ("unknown", None) == (found.status, found.picks)


def test_an_inferred_release_is_spoken_of_itself(check: Check) -> None:
    """What we say of both releases beside it is said of the asked one, and is no wording of theirs."""
    verdict = check("flash-attn", "2.8.0", head_dim=256, dropout=0.1)
    assert ("unsafe", "inferred") == (verdict.status, verdict.reasons[0].evidence)
    assert "flash-attn 2.8.0 launches no backward kernel" in str(verdict.message)
    assert "wording of" not in str(verdict.message)


def test_install_lines_fetch_a_tag_that_the_index_lacks() -> None:
    """2.0.0 was only tagged; 2.8.3 is on the index."""
    assert support.install_line("flash-attn", "2.8.3") == "pip install flash-attn==2.8.3 --no-build-isolation"
    assert "@v2.0.0 " in support.install_line("flash-attn", "2.0.0")
    assert support.install_line("torch/flash", "2.5.0") == "pip install torch==2.5.0"


@pytest.mark.parametrize("library", support.libraries())
def test_snippets_are_python(library: str) -> None:
    """What a user copies compiles, for every release."""
    for release in support.releases(library):
        text = support.snippet(library, ask({"head_dim": 128})[0], gpu("L4"), release.version)
        compile(text, library, "exec")
        assert text or release.key < support.find_release(library, None).key


def test_a_snippet_passes_what_was_asked() -> None:
    """The options of the question reach the call."""
    question = ask({"head_dim": 128, "window": 1024, "softcap": 30, "heads": 8})[0]
    text = support.snippet("flash-attn", question, gpu("L4"))
    assert "causal=True, window_size=(1024, 0), softcap=30.0)" in text


def test_a_verdict_is_json_in_both_languages(check: Check) -> None:
    """The keys that other programs call; the library's own text is not translated."""
    verdict = check("flash-attn", "1.0.9", head_dim=128)
    for language in ("en", "zh"):
        answer = verdict.to_json(language)
        assert json.loads(json.dumps(answer)) == answer
        assert {"library", "version", "status", "message", "reasons", "first_version"} <= set(answer)
        assert str(answer["message"]).startswith("FlashAttention backward for head dim > 64 requires")
        reasons: Any = answer["reasons"]
        assert {"code", "found", "needed", "text", "evidence", "source"} <= set(reasons[0])
    assert verdict.to_json("zh")["reasons"] != verdict.to_json("en")["reasons"]


CAPABILITIES = sorted(
    {card.capability for card in gpus() if card.capability} | {"5.2", "6.0", "8.7", "11.0", "12.1"}
)


@st.composite
def _anything(draw: st.DrawFn) -> tuple[Workload, Gpu, str, str]:
    """Any question, card, library and release."""
    library = draw(st.sampled_from(support.libraries()))
    kv_heads = draw(st.sampled_from([1, 2, 8]))
    question = Workload(
        task=draw(st.sampled_from(["prefill", "decode", "training"])),
        head_dim=draw(st.one_of(st.integers(1, 300), st.integers(1, 65536))),
        head_dim_v=draw(st.sampled_from([64, 128])),
        seqlen_q=draw(st.sampled_from([1, 128, 2048])),
        seqlen_kv=2048,
        heads=kv_heads * draw(st.sampled_from([1, 4])),
        kv_heads=kv_heads,
        dtype=draw(st.sampled_from(["fp16", "bf16", "fp32", "fp8"])),
        kv_dtype=draw(st.sampled_from(["fp16", "bf16", "fp32", "fp8", "int8"])),
        causal=draw(st.booleans()),
        dropout=draw(st.sampled_from([0.0, 0.1, 0.5])),
        window=draw(st.sampled_from([None, 128])),
        softcap=draw(st.sampled_from([0.0, 30.0])),
        alibi=draw(st.booleans()),
        deterministic=draw(st.booleans()),
        varlen=draw(st.booleans()),
        paged_block_size=draw(st.sampled_from([None, 16, 256])),
        append_kv=draw(st.booleans()),
        num_splits=draw(st.sampled_from([None, 0, 1, 4])),
        score_mod=draw(st.booleans()),
    )
    if draw(st.booleans()):
        question = replace(question, head_dim_v=question.head_dim, kv_dtype=question.dtype)
    card = draw(st.sampled_from(gpus()))
    if draw(st.booleans()):
        card = replace(card, capability=draw(st.sampled_from([None, *CAPABILITIES])))
    if draw(st.booleans()):
        card = replace(card, shared_bytes_per_block=None)
    return question, card, library, draw(st.sampled_from(support.releases(library))).version


@settings(max_examples=150, deadline=None)
@given(_anything())
def test_every_question_gets_a_sourced_answer_or_an_unknown(asked: tuple[Workload, Gpu, str, str]) -> None:
    """Nothing raises; ok names an entry that covers it; anything else has a reason of that status, in words."""
    verdict = support.check(*asked)
    assert verdict.status in ("ok", "refused", "unsafe", "unknown")
    if verdict.status == "ok":
        assert verdict.reasons == ()
        assert verdict.source is not None
        assert verdict.evidence is not None
    else:
        assert verdict.status in {reason.status for reason in verdict.reasons}
        assert verdict.evidence is None
    for reason in verdict.reasons:
        assert (reason.status == "unknown") == (reason.source is None) == (reason.remedy is None)
    for language in ("en", "zh"):
        assert verdict.to_json(language)["message"]
    assert asked[1].vendor == "NVIDIA" or verdict.status == "unknown"


@settings(max_examples=60, deadline=None)
@given(_anything())
def test_whether_it_runs_is_the_verdicts_status(asked: tuple[Workload, Gpu, str, str]) -> None:
    """The short way to the newest release's answer is the answer."""
    workload, gpu, library, _ = asked
    assert (support.check(workload, gpu, library).status == "ok") == support.runs(workload, gpu, library)


@pytest.mark.parametrize("library", support.libraries())
def test_a_library_is_named_after_its_rule_file(library: str) -> None:
    """What stands in front of the slash is the file, so that one library asks for one file alone."""
    assert library in book_of(library).libraries
