"""How checkpoints keep their weights: bytes of published files, what a scheme leaves whole, and hostile patterns."""

import json
import re
import time
from pathlib import Path
from typing import Any

import pytest
from checkpoints import (
    DEEPSEEK_V3,
    FP8_TENSOR,
    INT4_GROUP_32,
    LLAMA_8B,
    PUBLISHED,
    QWEN3_30B,
    QWEN_7B,
    groups,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from l4guide.advise import model_answer
from l4guide.catalogue import gpu, source
from l4guide.cli import main
from l4guide.errors import BadInput
from l4guide.model import from_config, in_type, stored_bytes, weight_names
from l4guide.model.checkpoint_index import KEY
from l4guide.model.module_names import patterns
from l4guide.model.quantised import scheme
from l4guide.model.weight_types import weight_types
from l4guide.step.rates import over_16_bits


def kept_gb(config: dict[str, Any]) -> float:
    """GB of a configuration's checkpoint."""
    found = from_config(config, "model")
    assert found.stored is not None
    return stored_bytes(found.modules, found.stored, found.layer_count) / 1e9


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_checkpoints(name: str) -> None:
    """Bytes of public files within 1 %; each has the page that lists them."""
    config, said, gb, page = PUBLISHED[name]
    assert page.startswith("https://")
    assert gb == pytest.approx(kept_gb({**config, "quantization_config": said}), rel=0.01)


def test_modules_that_are_left_out() -> None:
    """Attention in 16 bits, one layer of two, or a tower: each by a name, a wildcard or a regular expression."""
    attention = 32 * (2 * 4096 * 4096 + 2 * 4096 * 1024)
    everything = kept_gb({**LLAMA_8B, "quantization_config": groups(FP8_TENSOR, "lm_head")})
    for left in ("re:.*self_attn.*", "model.layers.*.self_attn*", "self_attn"):
        kept = kept_gb({**LLAMA_8B, "quantization_config": groups(FP8_TENSOR, "lm_head", left)})
        assert everything + attention / 1e9 == pytest.approx(kept, rel=1e-3)
    inside = (from_config(LLAMA_8B, "model").layer_weights) / 1e9
    half = [f"model.layers.{n}" for n in range(16)]
    kept = kept_gb({**LLAMA_8B, "quantization_config": groups(FP8_TENSOR, "lm_head", *half)})
    assert everything + inside / 2 == pytest.approx(kept, rel=1e-3)
    kept = kept_gb(
        {**LLAMA_8B, "quantization_config": groups(FP8_TENSOR, "lm_head", r"re:.*layers\.(0|1)\..*")}
    )
    assert everything + inside / 16 == pytest.approx(kept, rel=1e-3)


def test_groups_by_target() -> None:
    """Experts in 4 bits and all else in 8, and the same by ModelOpt's list of layers."""
    by_group = {
        "quant_method": "compressed-tensors",
        "ignore": ["lm_head", "re:.*mlp.gate$"],
        "config_groups": {
            "a": {"targets": ["re:.*experts.*"], "weights": INT4_GROUP_32},
            "b": {"targets": ["Linear"], "weights": FP8_TENSOR},
        },
    }
    found = from_config({**QWEN3_30B, "quantization_config": by_group}, "model").stored
    assert found is not None
    assert (4.5, 8, 16) == tuple(found.of(kind).bits for kind in ("experts", "attention", "head"))
    mixed = {
        "quant_algo": "MIXED_PRECISION",
        "quantized_layers": {
            f"model.layers.{n}.mlp.experts": {"quant_algo": "NVFP4", "group_size": 16} for n in range(48)
        },
    }
    found = from_config(
        {**QWEN3_30B, "quantization_config": {"quant_method": "modelopt", **mixed}}, "model"
    ).stored
    assert found is not None
    assert (4.5, 16) == tuple(found.of(kind).bits for kind in ("experts", "attention"))
    assert "nvfp4-experts" == found.dtype


@pytest.mark.parametrize(
    ("said", "bits"),
    [
        ({"quant_method": "bitsandbytes", "load_in_4bit": True}, 4.5),
        ({"quant_method": "bitsandbytes", "load_in_8bit": True}, 8),
        (
            {"quant_method": "hqq", "quant_config": {"weight_quant_params": {"nbits": 4, "group_size": 64}}},
            4.5,
        ),
        ({"quant_method": "torchao", "quant_type": "int8_weight_only"}, 8),
        ({"quant_method": "torchao", "quant_type": {"default": {"_type": "Float8WeightOnlyConfig"}}}, 8),
        ({"quant_method": "quanto", "weights": "int8"}, 8),
        ({"quant_method": "auto-round", "bits": 2, "group_size": 64}, 2 + 18 / 64),
        ({"quant_method": "exl2", "bits": 4.25, "head_bits": 6}, 4.25),
        ({"quant_method": "modelopt", "quant_algo": "NVFP4", "ignore": ["lm_head"]}, 4.5),
        ({"producer": {}, "quantization": {"quant_algo": "FP8", "exclude_modules": ["lm_head"]}}, 8),
        ({"quant_method": "quark", "global_quant_config": {"weight": {"dtype": "fp4"}}}, 4.25),
        ({"quant_method": "aqlm", "num_codebooks": 1, "nbits_per_codebook": 16, "in_group_size": 8}, 2),
        ({"quant_method": "fp8"}, 8),
    ],
)
def test_methods(said: dict[str, Any], bits: float) -> None:
    """Bits of a layer's weight, scales included, as each method spells them; the embeddings stay whole."""
    found = from_config({**LLAMA_8B, "quantization_config": said}, "model").stored
    assert found is not None
    assert (bits, 16) == (found.of("mlp").bits, found.of("embedding").bits)


def test_a_method_that_nobody_here_knows_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The answer names it, counts 16 bits, and asks for the index."""
    path = tmp_path / "config.json"
    path.write_text(json.dumps({**LLAMA_8B, "quantization_config": {"quant_method": "newest\nthing"}}))
    assert 0 == main(["cost", "--config", str(path), "--task", "decode", "--all"])
    line = next(line for line in capsys.readouterr().out.splitlines() if "newest thing" in line)
    assert "Not known" in line
    assert "--index" in line


def test_the_index_is_believed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Given, lying beside, or pasted behind: its bytes count, and a sentence says where they differ."""
    path, apart = tmp_path / "config.json", tmp_path / "apart.json"
    path.write_text(json.dumps(LLAMA_8B))
    index = {"metadata": {"total_size": 18_000_000_000}, "weight_map": {"lm_head.weight": "a"}}
    apart.write_text(json.dumps(index))
    options = {"task": "decode"}
    pasted = json.dumps(LLAMA_8B) + "\n" + json.dumps(index)
    said = [
        model_answer("L4", {"config": str(path), "index": str(apart), **options}).to_json(),
        model_answer("L4", {"config": pasted, **options}).to_json(),
        model_answer("L4", {"config": json.dumps(index) + json.dumps(LLAMA_8B), **options}).to_json(),
    ]
    (tmp_path / KEY).write_text(json.dumps(index))
    said.append(model_answer("L4", {"config": str(path), **options}).to_json())
    for one in said:
        assert (18_000_000_000, "index") == (one["weight_bytes"], one["weight_bytes_basis"])
        assert any("index says 18 GB" in str(remark) for remark in one["remarks"])  # type: ignore[attr-defined]
    asked = model_answer("L4", {"config": str(path), "weights": "int4", **options}).to_json()
    assert "asked" == asked["weight_bytes_basis"]
    assert 2 == main(["cost", "--config", str(path), "--index", str(path)])
    assert "is no checkpoint index" in capsys.readouterr().err
    with pytest.raises(BadInput, match="--config"):
        model_answer("L4", {"model": "Llama-3.1-8B", "index": str(apart)})


def test_the_index_tells_what_is_not_there() -> None:
    """A checkpoint without its further layer is that much smaller; one with an output product is not tied."""
    names = {f"model.layers.{n}.mlp.gate.weight": "a" for n in range(61)}
    bare = from_config({**DEEPSEEK_V3, KEY: {"weight_map": names}}, "model")
    whole = from_config({**DEEPSEEK_V3, KEY: {"weight_map": {**names, "model.layers.61.eh_proj": "b"}}}, "m")
    assert (0, 1) == (bare.stored and bare.stored.further, whole.stored and whole.stored.further)
    silent = {name: value for name, value in QWEN_7B.items() if name != "tie_word_embeddings"}
    tied = [
        from_config({**silent, KEY: {"weight_map": {name: "a"}}}, "m").tied_embeddings
        for name in ("lm_head.weight", "model.norm.weight")
    ]
    assert [False, True] == tied


def test_every_type_can_be_asked_for() -> None:
    """Each is known to its source, and of experts alone leaves all else in 16 bits."""
    for name, one in weight_types().items():
        assert all(source(key).key == key for key in one.sources), name
        assert 1 < one.bits <= 32
    for name in weight_names():
        kept = in_type(name)
        assert kept.of("experts").bits <= 32
        if name.endswith("-experts"):
            assert (16, 16) == (kept.of("attention").bits, kept.of("embedding").bits)
    assert in_type("q4_k_m").of("embedding").bits == weight_types()["q4_k_m"].bits


def test_experts_alone_want_experts() -> None:
    """A model without experts has none to keep so; one with them is much smaller."""
    with pytest.raises(BadInput, match="leave out -experts"):
        model_answer("L4", {"model": "Llama-3.1-8B", "task": "decode", "weights": "int4-experts"})
    kept = model_answer("L4", {"config": QWEN3_30B, "task": "decode", "weights": "mxfp4-experts"}).to_json()
    assert ("asked", 4.25) == (kept["weight_bytes_basis"], kept["checkpoint"]["bits_per_weight"]["experts"])  # type: ignore[index]


def test_tensor_cores_multiply_what_they_have() -> None:
    """fp8 from Ada on, fp4 from Blackwell on; anything else is widened first."""
    ada, hopper, blackwell, ampere = (gpu(name) for name in ("L4", "H100 SXM", "B200 SXM", "A100-80GB-SXM"))
    assert all(over_16_bits(card, "fp8") > 1.5 for card in (ada, hopper, blackwell))
    assert 1 == over_16_bits(ampere, "fp8")
    assert over_16_bits(blackwell, "nvfp4") > 1.5 * over_16_bits(blackwell, "fp8")
    assert all(1 == over_16_bits(card, "mxfp4") for card in (ada, hopper, ampere))
    assert all(1 == over_16_bits(blackwell, kind) for kind in ("int4", "nf4", "q4_k_m", "int3"))


def test_decode_takes_as_long_as_its_bytes() -> None:
    """A token of a GGUF file takes a little over a quarter of the time of 16 bits."""
    usual, narrow = (
        model_answer(
            "L4", {"model": "Llama-3.1-8B", "task": "decode", **options}
        ).whole.step.seconds.value.item()
        for options in ({}, {"weights": "q4_k_m"})
    )
    assert 0.28 < narrow / usual < 0.4


@settings(max_examples=200, deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-9, 2**70) | st.floats() | st.text(max_size=20),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    [
                        *(
                            "quant_method",
                            "bits",
                            "group_size",
                            "config_groups",
                            "weights",
                            "targets",
                            "ignore",
                        ),
                        *("num_bits", "type", "quant_algo", "quantization", "quantized_layers", "quant_type"),
                        *(
                            "quant_config",
                            "global_quant_config",
                            "weight",
                            "weight_block_size",
                            "extra_config",
                        ),
                    ]
                ),
                inner,
                max_size=6,
            )
        ),
        max_leaves=12,
    ),
    st.sampled_from(
        ["awq", "compressed-tensors", "modelopt", "hqq", "quark", "torchao", "exl2", "fp8", "auto-round"]
    ),
)
def test_any_scheme_is_read_or_said_to_be_unknown(said: Any, method: str) -> None:
    """Nothing malformed raises, and bits stay within what a weight can have."""
    config = {**(said if isinstance(said, dict) else {"weights": said}), "quant_method": method}
    found = from_config({**LLAMA_8B, "quantization_config": config}, "model").stored
    assert found is not None
    assert all(0 < kept.bits <= 64 for _, kept in found.kinds)
    assert (found.method is None) == (scheme(config) is None)


@pytest.mark.parametrize(
    "text",
    [
        r"(.+)+x",
        r"(a|a)*b",
        r".*.*.*.*.*.*x",
        r"(?:.{1,99}){9}y",
        r"((",
        r"(?P<a>.)(?P=a)",
        r"(\w\w*)*\1",
        r"[a-z]+*",
    ],
)
def test_patterns_that_never_end_are_left_out(text: str) -> None:
    """A pattern of a configuration is never run for longer than a moment."""
    start = time.perf_counter()
    found = patterns([f"re:{text}"] * 5)
    found.name("layers.3.mlp.experts.0.gate_proj_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")
    assert time.perf_counter() - start < 1.0
    assert all(isinstance(one, re.Pattern) for one in found.regexes)
