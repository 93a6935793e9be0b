"""Code written for flash-attn 2.8 passes the same arguments in the same places."""

import inspect
from typing import Any

import l4guide_kernels
import pytest

# flash-attn 2.8.3: https://github.com/Dao-AILab/flash-attention/blob/v2.8.3/flash_attn/flash_attn_interface.py
REQUIRED = inspect.Parameter.empty
SHARED: dict[str, Any] = {
    "dropout_p": 0.0,
    "softmax_scale": None,
    "causal": False,
    "window_size": (-1, -1),
    "softcap": 0.0,
    "alibi_slopes": None,
    "deterministic": False,
    "return_attn_probs": False,
}
VARLEN = ("cu_seqlens_q", "cu_seqlens_k", "max_seqlen_q", "max_seqlen_k")
SIGNATURES: dict[str, dict[str, Any]] = {
    "flash_attn_func": dict.fromkeys(("q", "k", "v"), REQUIRED) | SHARED,
    "flash_attn_qkvpacked_func": {"qkv": REQUIRED} | SHARED,
    "flash_attn_kvpacked_func": dict.fromkeys(("q", "kv"), REQUIRED) | SHARED,
    "flash_attn_varlen_func": dict.fromkeys(("q", "k", "v", *VARLEN), REQUIRED)
    | SHARED
    | {"block_table": None},
    "flash_attn_varlen_qkvpacked_func": dict.fromkeys(("qkv", "cu_seqlens", "max_seqlen"), REQUIRED) | SHARED,
    "flash_attn_varlen_kvpacked_func": dict.fromkeys(("q", "kv", *VARLEN), REQUIRED) | SHARED,
    "flash_attn_with_kvcache": {
        "q": REQUIRED,
        "k_cache": REQUIRED,
        "v_cache": REQUIRED,
        "k": None,
        "v": None,
        "rotary_cos": None,
        "rotary_sin": None,
        "cache_seqlens": None,
        "cache_batch_idx": None,
        "cache_leftpad": None,
        "block_table": None,
        "softmax_scale": None,
        "causal": False,
        "window_size": (-1, -1),
        "softcap": 0.0,
        "rotary_interleaved": True,
        "alibi_slopes": None,
        "num_splits": 0,
        "return_softmax_lse": False,
    },
}


@pytest.mark.parametrize("name", SIGNATURES)
def test_arguments_order_and_defaults(name: str) -> None:
    """Names, order and defaults are flash-attn's; what is ours can only be given by name, and needs not be."""
    parameters = inspect.signature(getattr(l4guide_kernels, name)).parameters.values()
    theirs = {p.name: p.default for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD}
    assert list(SIGNATURES[name].items()) == list(theirs.items())
    ours = [p for p in parameters if p.kind is not p.POSITIONAL_OR_KEYWORD]
    caches = ["k_descale", "v_descale"] if name == "flash_attn_with_kvcache" else []
    assert ["learnable_sink", *caches, "arch", "tiles"] == [p.name for p in ours]
    assert all(p.kind is p.KEYWORD_ONLY and p.default is None for p in ours)
