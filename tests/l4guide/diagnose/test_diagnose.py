"""Pasted texts -> library, numbers, cause, ways out; and texts that nobody described."""

import csv
import json
from pathlib import Path

import pytest

from l4guide.catalogue import gpus
from l4guide.diagnose import Diagnosis, diagnose
from l4guide.errors import BadInput
from l4guide.support.reader import rulebooks
from l4guide.support.rulebook import Rule
from l4guide.text import LANGUAGES

#: What texts of the libraries have filled in, as a user of an L4 sees them.
FILLED = {
    "head_dim": 204,
    "head_dim_v": 204,
    "heads": 32,
    "kv_heads": 8,
    "seqlen_q": 7,
    "seqlen_kv": 13,
    "dtype": "fp32",
    "kv_dtype": "fp32",
    "dropout": 0.2,
    "capability": "8.9",
    "entry": "flash_attn_func",
    "version": "2.3.0",
    "batch": 2,
    "causal": "True",
    "torch_dtype": "torch.float32",
    "gqa": "True",
    "window": 128,
    "softcap": 30.0,
    "options": "",
    "major": 8,
    "minor": 9,
    "capability_pair": "(8, 9)",
    "arch": 89,
    "tag": "v2.8.3",
    "shared_bytes": 101376,
}
RULES = [rule for book in rulebooks() for rule in book.rules if rule.text is not None]
FAILURES = Path(__file__).resolve().parents[4] / "shared" / "validation" / "smem_failures_public.csv"


def out_of_resources(required: int, limit: int) -> str:
    """Triton's text as it ends a traceback."""
    return (
        '  File "triton/compiler/compiler.py", line 459, in _init_handles\n'
        f"triton.runtime.errors.OutOfResources: out of resource: shared memory, Required: {required}, "
        f"Hardware limit: {limit}. Reducing block sizes or `num_stages` may help."
    )


def codes(diagnosis: Diagnosis) -> list[str | None]:
    """The symptoms found, in order."""
    return [finding.symptom for finding in diagnosis.findings]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.code)
def test_every_text_of_the_rules_is_recognised(rule: Rule) -> None:
    """What `support` says that a library prints, `diagnose` knows when it is pasted.

    Where several libraries print the same words, what else is in the paste tells whose they are.
    """
    text = f"RuntimeError: {(rule.text or '').format_map(FILLED)}"
    finding = diagnose(text).findings[0]
    if finding.confidence == "one of several":
        assert finding.symptom
        return
    found = [one for one in RULES if one.code in finding.rules]
    assert rule.code in finding.rules or rule.text in [one.text for one in found]
    libraries = {library for one in found for library in one.libraries}
    assert finding.library in libraries | {library.split("/")[0] for library in libraries}
    assert finding.fixes


@pytest.mark.parametrize("limit", [65_536, 101_376, 166_912, 232_448])
def test_the_limit_names_its_class_of_cards(limit: int) -> None:
    """A limit is that of known cards; the text says that it is not VRAM and where the block would fit."""
    finding = diagnose(out_of_resources(limit + 2, limit)).findings[0]
    assert (limit + 2, limit) == (finding.required_bytes, finding.limit_bytes)
    assert {card.name for card in gpus() if card.shared_bytes_per_block == limit} == set(finding.cards)
    assert "VRAM" in finding.explain()
    assert f"{limit:,} bytes per block" in finding.explain()
    fits = "fits compute capability" if limit < 232_448 else "No known GPU allows"
    assert fits in finding.explain()


def test_a_limit_that_no_card_has_names_none() -> None:
    """An unusual limit is told as it is."""
    finding = diagnose(out_of_resources(60_000, 50_000)).findings[0]
    assert finding.limit_bytes == 50_000
    assert "cards" not in finding.to_json()
    assert "50,000 bytes per block is the limit" not in finding.explain()


def test_public_failures_are_recognised() -> None:
    """Every published failure of shared memory is known by its numbers."""
    if not FAILURES.exists():
        pytest.skip("the collection of published failures is not beside this checkout")
    rows = list(csv.DictReader(FAILURES.read_text(encoding="utf-8").splitlines()))
    rows = [row for row in rows if int(row["required_bytes"]) > int(row["hw_limit_bytes"])]
    assert rows
    for row in rows:
        required, limit = int(row["required_bytes"]), int(row["hw_limit_bytes"])
        finding = diagnose(out_of_resources(required, limit)).findings[0]
        assert (required, limit) == (finding.required_bytes, finding.limit_bytes)
        assert finding.cards


@pytest.mark.parametrize(
    ("frame", "library", "kernel"),
    [
        (
            '  File "vllm/v1/attention/ops/triton_unified_attention.py"\n    kernel_unified_attention_2d[grid](',
            "vllm/triton",
            "kernel_unified_attention_2d",
        ),
        (
            '  File "sglang/srt/layers/attention/extend.py"\n    _fwd_kernel[grid](',
            "sglang/triton",
            "_fwd_kernel",
        ),
        (
            '  File "flash_attn/flash_attn_triton.py"\n    _bwd_kernel[grid](',
            "flash-attn/triton",
            "_bwd_kernel",
        ),
        (
            '  File "fla/ops/attn/parallel.py"\n    parallel_attn_bwd_kernel_dq[grid](',
            "flash-linear-attention",
            "parallel_attn_bwd_kernel_dq",
        ),
        (
            '  File "torch/_higher_order_ops/flex_attention.py"\n    triton_tem_fused_0.run(',
            "torch/flex",
            "triton_tem_fused_0",
        ),
        ('  File "my_model.py"\n    y = f(x)', "triton", None),
    ],
)
def test_the_frames_tell_library_and_kernel(frame: str, library: str, kernel: str | None) -> None:
    """One message of Triton's belongs to whoever launched the kernel."""
    finding = diagnose(f"{frame}\n{out_of_resources(131_074, 101_376)}").findings[0]
    assert (library, kernel) == (finding.library, finding.kernel)


def test_the_same_words_of_two_libraries_are_told_apart() -> None:
    """flash-attn 0.2 and PyTorch 2.0 print one text; the traceback tells which."""
    text = "RuntimeError: Expected is_sm80 to be true, but got false."
    ours = diagnose(f'  File "flash_attn/flash_attn_interface.py", line 40\n{text}').findings[0]
    theirs = diagnose(f"  y = F.scaled_dot_product_attention(q, k, v)\n{text}").findings[0]
    assert ("flash-attn", ("FA1-BWD-64-02",)) == (ours.library, ours.rules)
    assert ("torch/flash", ("TORCH-FLASH-BWD-200",)) == (theirs.library, theirs.rules)


def test_several_symptoms_come_most_specific_first() -> None:
    """The warning that names a head dim stands before the error that only says that nothing is left."""
    text = (
        "UserWarning: Flash attention kernel not used because: (Triggered internally)\n"
        "UserWarning: Flash attention currently doesn't support training with head_dim ∈ (192, 224] or (head_dim ∈ "
        "(224, 256] and dropout > 0.0) on gpu architectures in the range[sm86, sm89].Attempting to run with dropout "
        "set to: 0.2and head_dim: 204 on a sm 8.9 gpu.\nRuntimeError: No available kernel.  Aborting execution."
    )
    diagnosis = diagnose(text)
    assert codes(diagnosis) == ["SDPA-FLASH-TRAINING", "SDPA-NO-KERNEL", "SDPA-NOT-USED"]
    assert {"dropout": "0.2", "head_dim": "204", "capability": "8.9"} == diagnosis.findings[0].values
    said = diagnosis.to_json()
    assert [finding.code for finding in diagnosis.findings[1:]] == [one["code"] for one in said["others"]]  # type: ignore[attr-defined]


def test_two_failures_with_other_numbers_are_two() -> None:
    """The same message is told once for each pair of numbers, and once only."""
    one, other = out_of_resources(131_074, 101_376), out_of_resources(81_920, 65_536)
    found = diagnose("\n".join([one, other, one])).findings
    assert [(81_920, 65_536), (131_074, 101_376)] == sorted((f.required_bytes, f.limit_bytes) for f in found)


def test_vllm_reasons_are_read() -> None:
    """Each backend is told with the reasons it was given."""
    text = (
        "ValueError: No valid attention backend found for cuda with AttentionSelectorConfig(use_mla=True). Reasons: "
        "{FLASH_ATTN_MLA: [compute capability not supported, FlashAttention MLA not supported on this device], "
        "FLASHMLA: [compute capability not supported]}."
    )
    finding = diagnose(text).findings[0]
    assert ("compute capability not supported",) == finding.operators["FLASHMLA"]
    both = ("compute capability not supported", "FlashAttention MLA not supported on this device")
    assert both == finding.operators["FLASH_ATTN_MLA"]
    assert any("TRITON_MLA" in fix.text.say() for fix in finding.fixes)


def test_xformers_reasons_are_read() -> None:
    """Each operator of the block is told with its own reasons, also behind log prefixes."""
    block = [
        "NotImplementedError: No operator found for `memory_efficient_attention_forward` with inputs:",
        "     query       : shape=(2, 498, 8, 32) (torch.float16)",
        "`fa2F@2.5.7-pt` is not supported because:",
        "    attn_bias type is <class 'torch.Tensor'>",
        "`cutlassF-pt` is not supported because:",
        "    attn_bias.stride(-2) % 8 != 0",
        "    HINT: align it",
        "Traceback (most recent call last):",
    ]
    want = {
        "fa2F@2.5.7-pt": ("attn_bias type is <class 'torch.Tensor'>",),
        "cutlassF-pt": ("attn_bias.stride(-2) % 8 != 0", "HINT: align it"),
    }
    for prefix in ("", "[rank0]: "):
        finding = diagnose("\n".join(prefix + line for line in block)).findings[0]
        assert want == finding.operators


def test_a_block_without_its_operators_is_known() -> None:
    """The list of operators may be missing, or joined to one line by whoever pasted it."""
    start = "No operator found for `memory_efficient_attention_forward` with inputs: query : shape=(1, 2)"
    for text in (start, f"{start} `fa2F@0` is not supported because: requires a GPU"):
        finding = diagnose(text).findings[0]
        assert (finding.library, {}) == ("xformers", finding.operators)


def test_a_memory_error_in_eager_attention_is_told_from_a_plain_one() -> None:
    """66 GiB asked for beside attn_weights are scores; without a hint both possibilities are said."""
    oom = (
        "torch.cuda.OutOfMemoryError: CUDA out of memory. Tried to allocate 66.00 GiB (GPU 0; 44.35 GiB total "
        "capacity; 14.43 GiB already allocated; 7.99 GiB free; 14.71 GiB reserved in total by PyTorch)"
    )
    eager = diagnose(f"    attn_weights = torch.matmul(q, k.transpose(2, 3))\n{oom}").findings[0]
    plain = diagnose(oom).findings[0]
    assert ("OOM-EAGER-SCORES", "OOM") == (eager.symptom, plain.symptom)
    assert 66 * 2**30 == eager.required_bytes == plain.required_bytes
    assert round(7.99 * 2**30) == eager.limit_bytes
    assert ("memory.scores", "memory.other") == (eager.kind, plain.kind)
    assert ("likely", "one of several") == (eager.confidence, plain.confidence)
    assert "tokens" not in eager.explain()
    assert "eager attention" in plain.explain()
    assert "weights" in plain.explain()


def test_unknown_text_is_said_to_be_unknown() -> None:
    """Nothing is guessed, and nothing is raised."""
    diagnosis = diagnose("KeyError: 'colour'")
    assert diagnosis.status == "unknown"
    said = diagnosis.to_json()
    assert {"status", "kind", "message"} == set(said)
    assert said["kind"] == "unknown"


@pytest.mark.parametrize("text", ["", "  \r\n\t", b"", b"\n"])
def test_nothing_is_bad_input(text: str | bytes) -> None:
    """An empty paste is told what to paste."""
    with pytest.raises(BadInput, match="traceback"):
        diagnose(text)


@pytest.mark.parametrize("language", LANGUAGES)
def test_json_holds_the_promised_keys(language: str) -> None:
    """Other programs find what they were promised, and no null."""
    said = diagnose(out_of_resources(131_074, 101_376)).to_json(language)
    keys = {
        "status",
        "library",
        "code",
        "required_bytes",
        "limit_bytes",
        "cause",
        "fixes",
        "source",
        "evidence",
        "evidence_kind",
        "kind",
        "confidence",
    }
    assert keys <= set(said)
    assert None not in said.values()
    assert all({"text", "cost", "command"} == set(fix) for fix in said["fixes"])  # type: ignore[attr-defined]
    assert "null" not in json.dumps(said)


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_symptom_can_be_said(language: str) -> None:
    """No sentence lacks a value, whichever wording was met."""
    for rule in RULES:
        assert diagnose((rule.text or "").format_map(FILLED)).say(language)
