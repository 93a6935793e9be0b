"""Attention to chosen or compressed keys: what is read of them, and how its time compares with that of all keys."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from public_configs import DEEPSEEK_V4_FLASH

from l4guide.advise import model_answer
from l4guide.catalogue import gpu
from l4guide.model import FULL, LATENT, Mixer
from l4guide.step.attention import attention_seconds
from l4guide.step.sparse import read_keys, share_read
from l4guide.workload import Workload

#: DeepSeek V3.2's: latent, of which an index chooses 2,048 keys.
CHOSEN = Mixer(
    kind=LATENT,
    heads=128,
    kv_heads=128,
    head_dim=192,
    head_dim_v=128,
    latent_rank=512,
    rope_dim=64,
    selected=2048,
    index_heads=64,
    index_dim=128,
)
COMPRESSED = Mixer(kind=FULL, heads=64, kv_heads=1, head_dim=512, head_dim_v=512, stride=128, recent=128)


@given(tokens=st.integers(1, 2**21), selected=st.integers(0, 4096), stride=st.sampled_from([1, 4, 128]))
def test_no_more_is_read_than_there_is(tokens: int, selected: int, stride: int) -> None:
    """A query reads at least one key and at most all; of a prompt at most every pair."""
    mixer = Mixer(kind=FULL, selected=selected, stride=stride, recent=128, index_columns=64)
    at = np.array([float(tokens)])
    assert 1 <= read_keys(mixer, at).item() <= tokens
    assert 0 < share_read(mixer, at).item() <= 1


def test_what_is_read() -> None:
    """2,048 of 100,000 keys; or one for each 128 beside the last 128."""
    at = np.array([100_000.0])
    assert (2048, 781 + 128) == (read_keys(CHOSEN, at).item(), read_keys(COMPRESSED, at).item())


@pytest.mark.parametrize("task", ["decode", "prefill"])
def test_long_contexts_cost_less_than_all_keys(task: str) -> None:
    """At 128 Ki tokens choosing costs a fraction; below what is chosen it saves nothing."""
    asked = Workload(task=task, head_dim=192, head_dim_v=128)
    full = replace(CHOSEN, selected=0)
    ratio = [
        attention_seconds(
            gpu("H200 SXM"), mixer, asked, np.array([4.0]), np.array([tokens])
        ).seconds.value.item()
        for tokens in (1024.0, 131072.0)
        for mixer in (CHOSEN, full)
    ]
    assert ratio[0] >= ratio[1]
    assert ratio[2] < 0.5 * ratio[3]


def test_a_sparse_model_says_how_it_is_timed() -> None:
    """DeepSeek V4 Flash: the index and the keys that it chooses, not all of them; the interval is wide."""
    options = {"config": DEEPSEEK_V4_FLASH, "task": "decode", "gpus": 4, "seqlen": 500_000}
    answer = model_answer("H20", options)
    assert any("No such kernel was measured" in str(line) for line in answer.to_json()["remarks"])  # type: ignore[attr-defined]
    attention = answer.whole.step.parts["attention"]
    assert attention.high.item() > 2 * attention.low.item()
