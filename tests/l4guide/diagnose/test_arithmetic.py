"""The sums of a paste: what was left, what fits, which flag mends it; and nothing where a number is missing."""

import pytest

from l4guide.diagnose import Finding, diagnose
from l4guide.diagnose.amounts import amounts_in

GIB = 2**30


def first(text: str) -> Finding:
    """The finding that is told first."""
    return diagnose(text).findings[0]


def blocks(total: float, share: float, weights: float, peak: float) -> str:
    """The log of vLLM before it finds no room for its cache."""
    return (
        f"INFO worker.py:267] the current vLLM instance can use total_gpu_memory "
        f"({total:.2f}GiB) x gpu_memory_utilization "
        f"({share:.2f}) = {total * share:.2f}GiB\nINFO worker.py:267] model weights take "
        f"{weights:.2f}GiB; non_torch_memory "
        f"takes 0.10GiB; PyTorch activation peak memory takes {peak:.2f}GiB; the rest of the "
        f"memory reserved for KV Cache is "
        f"{total * share - weights - peak - 0.1:.2f}GiB.\nValueError: No available memory for the cache blocks."
    )


@pytest.mark.parametrize(
    ("total", "share", "weights", "peak", "wanted"),
    [(24.0, 0.5, 14.0, 1.2, "0.65"), (16.0, 0.9, 13.0, 1.0, "0.90"), (8.0, 0.7, 5.2, 1.32, "0.85")],
)
def test_the_utilisation_follows_from_the_log(
    total: float, share: float, weights: float, peak: float, wanted: str
) -> None:
    """Weights, peak and the rest, over the memory, rounded up to a step; the log's lines are the evidence."""
    finding = first(blocks(total, share, weights, peak))
    assert f"--gpu-memory-utilization {wanted} or more" in finding.fixes[0].text.say()
    assert [1, 2, 3] == [one.line for one in finding.evidence]


def test_no_utilisation_is_told_where_none_is_enough() -> None:
    """Weights that fill the card leave the other ways out."""
    finding = first(blocks(16.0, 0.9, 15.5, 1.0))
    assert "no utilisation leaves room" in finding.explain()
    assert not any("or more" in fix.text.say() for fix in finding.fixes)


def test_without_the_log_no_number_is_invented() -> None:
    """The message alone gives the flag without a value."""
    finding = first("ValueError: No available memory for the cache blocks.")
    assert finding.fixes[0].text.say().startswith("Raise --gpu-memory-utilization")


def test_the_length_that_fits_is_the_message_s_or_follows() -> None:
    """The message's own estimate, else the share of the cache in whole blocks; an 8-bit cache holds twice that."""
    text = (
        "max seq len (40960), (5.00 GiB KV cache is needed, which is larger than the available "
        "KV cache memory (2.00 GiB)"
    )
    told = [fix.text.say() for fix in first(text).fixes]
    assert "--max-model-len 16384" in told[0]
    assert "--max-model-len 32768" in told[1]
    estimate = f"{text}. Based on the available memory, the estimated maximum model length is 16320."
    assert "--max-model-len 16320" in first(estimate).fixes[0].text.say()


def test_a_share_that_is_free_is_rounded_down() -> None:
    """Asking for more than is free would fail again."""
    text = "Free memory on device cuda:0 (10.00/15.70 GiB) on startup is less than desired GPU memory utilization"
    finding = first(text)
    assert "0.63 or less" in finding.fixes[0].text.say()
    assert "5.70 GiB were already taken" in finding.explain()


def test_the_static_fraction_follows_from_the_weights() -> None:
    """SGLang's log tells the free memory before and after it loaded them; both errors want opposite directions."""
    log = (
        "Load weight begin. avail mem=23.00 GB\n"
        "Load weight end. type=LlamaForCausalLM, dtype=torch.bfloat16, avail mem=7.82 GB\n"
    )
    up = first(f"{log}RuntimeError: Not enough memory. Please try to increase --mem-fraction-static.")
    assert "Raise --mem-fraction-static to 0.68" in up.fixes[0].text.say()
    down = first(
        "Exception: Capture CUDA graph failed: CUDA out of memory. Tried to allocate 1.00 GiB.\n"
        "Possible solutions:\n1. set --mem-fraction-static to a smaller value (e.g., 0.8 or 0.7)"
    )
    assert down.fixes[0].text.say().startswith("Lower --mem-fraction-static")


@pytest.mark.parametrize(("width", "padded"), [(498, 504), (77, 80), (1021, 1024)])
def test_the_bias_is_padded_to_whole_vectors(width: int, padded: int) -> None:
    """CUTLASS's one reason decides over an operator that no wheel off Hopper has."""
    text = (
        "NotImplementedError: No operator found for `memory_efficient_attention_forward` with inputs:\n"
        "`fa3F@0.0.0` is not supported because:\n    operator wasn't built - see `python -m "
        "xformers.info` for more info\n"
        f"`cutlassF-pt` is not supported because:\n    attn_bias.stride(-2) % 8 != 0 "
        f"(attn_bias.stride() = (9, 3, {width}, 1))"
    )
    finding = first(text)
    assert finding.kind == "selection"
    assert f"{padded} wide and slice it to {width}" in finding.fixes[0].text.say()


@pytest.mark.parametrize(
    ("text", "asked", "free", "idle"),
    [
        (
            "tried to allocate 2.00 gib (gpu 0; 15.78 gib total capacity; 12.00 gib already allocated; 1.25 gib free; "
            "13.50 gib reserved in total by pytorch)",
            2.0,
            1.25,
            1.5,
        ),
        (
            "tried to allocate 512.00 mib. gpu 1 has a total capacity of 22.03 gib of which "
            "1.50 gib is free. of the allocated "
            "memory 18.00 gib is allocated by pytorch, and 2.25 gib is reserved by pytorch but unallocated.",
            0.5,
            1.5,
            2.25,
        ),
        (
            "tried to allocate 64.00 mib. gpu 0 has a total capacty of 23.65 gib of which 32.00 mib is "
            "free. process 4242 has "
            "23.50 gib memory in use. of the allocated memory 22.75 gib is allocated by pytorch, and "
            "0.25 gib is reserved by "
            "pytorch but unallocated.",
            0.0625,
            0.03125,
            0.25,
        ),
        ("requested : 2.00 gib device limit : 8.00 gib free (according to cuda): 0 bytes", 2.0, 0.0, None),
        ("allocating 4096.00 mib on device 0: cudamalloc failed", 4.0, None, None),
    ],
)
def test_amounts_are_read_in_every_wording(
    text: str, asked: float, free: float | None, idle: float | None
) -> None:
    """PyTorch old and new, its asynchronous allocator, llama.cpp."""
    found = amounts_in(text)
    assert round(asked * GIB) == found.asked
    assert (free is None) == (found.free is None)
    assert free is None or round(free * GIB) == found.free
    assert idle is None or round(idle * GIB) == found.idle


def test_a_size_is_recognised_by_a_shape() -> None:
    """Tokens times vocabulary, or heads times queries times keys, at the bytes of a value."""
    oom = (
        '  File "/srv/a.py", line 1, in f\n    y = self.f(x)\n'
        "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate {} GiB."
    )
    logits = first(f"out torch.Size([1, 8192, 151936])\n{oom.format('4.64')}")
    scores = first(f"shape=(2, 16, 8192, 8192)\n{oom.format('4.00')}")
    neither = first(f"shape=(2, 16, 8192, 128)\n{oom.format('4.00')}")
    assert ["memory.logits", "memory.scores", "memory.activations"] == [
        f.kind for f in (logits, scores, neither)
    ]
    assert "1 × 8192 × 151936" in logits.explain()


def test_logits_are_told_in_tokens_where_the_vocabulary_is_known() -> None:
    """Else it is asked for."""
    oom = (
        '  File "/srv/a.py", line 1, in f\n    loss = F.cross_entropy(logits, y)\n'
        "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 4.64 GiB."
    )
    assert "8,198 tokens" in first(f"vocab_size=151936\n{oom}").explain()
    assert "vocab_size=" in first(oom).explain()


def test_a_named_model_is_told_by_its_parts() -> None:
    """The memory model of cost says which terms fill the card."""
    text = (
        "model: meta-llama/Llama-3.1-8B on NVIDIA L4\n"
        '  File "/srv/a.py", line 1, in f\n    loss.backward()\n'
        "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB."
    )
    finding = first(text)
    assert "optimizer states" in finding.explain()
    assert ("L4", "Llama-3.1-8B") == (finding.card, finding.question["model"])
    assert any("--model Llama-3.1-8B" in fix.command for fix in finding.fixes)


def test_no_card_is_offered_below_the_bytes() -> None:
    """A block that fits no card leaves smaller tiles only, and attention's remedies belong to attention."""
    text = "OutOfResources: out of resource: shared memory, Required: {}, Hardware limit: 101376."
    nowhere, somewhere = first(text.format(400_000)), first(text.format(150_000))
    cards = ["A100" in " ".join(fix.text.say() for fix in finding.fixes) for finding in (nowhere, somewhere)]
    assert [False, True] == cards
    assert not any("attention backend" in fix.text.say() for fix in somewhere.fixes)


def test_the_process_itself_is_not_another_one() -> None:
    """PyTorch 2.1 names its own process by number; only later releases tell it from others."""
    told = (
        "torch.cuda.OutOfMemoryError: CUDA out of memory. Tried to allocate 64.00 MiB. GPU 0 has a "
        "total capacty of 23.65 GiB "
        "of which 32.00 MiB is free. Process 4242 has 23.50 GiB memory in use."
    )
    own = f"{told} Of the allocated memory 22.75 GiB is allocated by PyTorch."
    other = f"{told} Including non-PyTorch memory, this process has 1.00 GiB memory in use."
    assert ["OOM", "OOM-TAKEN"] == [first(text).symptom for text in (own, other)]


def test_a_message_cut_before_its_own_figures_blames_no_other_process() -> None:
    """One process by its number may be this one, so the frame decides."""
    cut = (
        '  File "train.py", line 88, in compute_loss\n'
        "    loss = F.cross_entropy(logits.view(-1, logits.size(-1)).float(), labels.view(-1))\n"
        "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 9.27 GiB. GPU 0 has a total capacity of "
        "23.65 GiB of which 3.11 GiB is free. Process 4242 has 20.50 GiB memory in use."
    )
    assert first(cut).kind == "memory.logits"
