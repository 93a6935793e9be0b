"""Any config.json as layers: every family's spelling, and one clear line for what cannot be used."""

import csv
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from public_configs import GEMMA_4_E4B, JAMBA_MINI

from l4guide.errors import BadInput
from l4guide.model import Architecture, from_config, from_file, parse_config

HEAD_DIMS = Path(__file__).resolve().parents[4] / "shared" / "validation" / "model_head_dims.csv"
LLAMA: dict[str, Any] = {
    "model_type": "llama",
    "hidden_size": 4096,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "intermediate_size": 14336,
    "vocab_size": 128256,
    "max_position_embeddings": 131072,
    "tie_word_embeddings": False,
    "torch_dtype": "bfloat16",
}


def read(**fields: object) -> Architecture:
    """A Llama with some fields set, and those that are None left out."""
    merged = {**LLAMA, **fields}
    return from_config({name: value for name, value in merged.items() if value is not None}, "test")


def kinds(found: Architecture) -> dict[str, int]:
    """Layers by the kind of their attention."""
    counts: Counter[str] = Counter()
    for group in found.layers:
        counts[group.mixer.kind] += group.count
    return dict(counts)


def test_a_plain_configuration() -> None:
    """Llama-3.1-8B has 8.03 billion weights, grouped heads of 128 and a context of 131072."""
    found = read()
    assert found.parameters == pytest.approx(8.03e9, rel=1e-3)
    assert ((128,), 131072, "bf16", ()) == (
        found.head_dims,
        found.max_context,
        found.weight_dtype,
        found.assumed,
    )
    assert {"full": 32} == kinds(found)


def rows() -> list[dict[str, str]]:
    """The table of published head dims."""
    if not HEAD_DIMS.exists():
        pytest.skip("the table of head dims is not beside this checkout (../shared/validation)")
    with HEAD_DIMS.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def as_config(row: dict[str, str]) -> dict[str, object]:
    """A configuration with what the row states, as its makers spell it."""
    spelled = {
        "hidden_size": "hidden_size",
        "num_heads": "num_attention_heads",
        "num_kv_heads": "num_key_value_heads",
        "global_head_dim": "global_head_dim",
        "qk_nope": "qk_nope_head_dim",
        "qk_rope": "qk_rope_head_dim",
        "v_head_dim": "v_head_dim",
        "head_dim": "head_dim",
    }
    said: dict[str, object] = {name: int(row[cell]) for cell, name in spelled.items() if row[cell]}
    count = int(row["layers"] or 8)
    said |= {"num_hidden_layers": count, "intermediate_size": 1024, "vocab_size": 1000}
    if row["qk_nope"]:
        said["kv_lora_rank"] = 512
    if row["global_head_dim"]:
        said["layer_types"] = ["sliding_attention", "full_attention"] * (count // 2)
        said["sliding_window"] = 1024
    return said


def test_every_published_head_dim_is_read() -> None:
    """All 89 rows, 69 of which are not hidden size over heads: widths of queries and of values, global layers too."""
    table = rows()
    assert (89, 69) == (len(table), sum(row["mismatch"] == "1" for row in table))
    wrong = []
    for row in table:
        found = from_config(as_config(row), row["model"])
        if row["qk_nope"]:
            wanted = {(int(row["qk_nope"]) + int(row["qk_rope"]), int(row["v_head_dim"]))}
        else:
            own = int(row["head_dim"])
            wanted = {(own, int(row["v_head_dim"] or own))}
        if row["global_head_dim"]:
            wanted.add((int(row["global_head_dim"]), int(row["global_head_dim"])))
        widths = {(group.mixer.head_dim, group.mixer.head_dim_v) for group in found.layers}
        wrong += [] if widths == wanted else [(row["model"], widths, wanted)]
    assert [] == wrong


def test_head_dim_is_never_divided_where_it_is_said_or_its_type_fixes_it() -> None:
    """A stated width wins; a Gemma without one has 256; only an unstated one of an unknown type is assumed."""
    assert (96,) == read(head_dim=96).head_dims
    gemma = read(model_type="gemma2", head_dim=None, num_attention_heads=16)
    assert ((256,), True) == (gemma.head_dims, "head_dim" in gemma.assumed)
    unknown = read(model_type="somebody_new")
    assert ((128,), True) == (unknown.head_dims, "head_dim" in unknown.assumed)


def test_a_width_that_does_not_divide_is_asked_for() -> None:
    """Hidden size 5000 over 24 heads is no width; the message names the field."""
    with pytest.raises(BadInput, match="head_dim"):
        read(model_type="somebody_new", hidden_size=5000, num_attention_heads=24)


@pytest.mark.parametrize(
    ("fields", "wanted"),
    [
        ({"sliding_window": 4096}, {"window": 32}),
        ({"sliding_window": 4096, "use_sliding_window": False}, {"full": 32}),
        ({"model_type": "gemma2", "sliding_window": 4096, "head_dim": 256}, {"window": 16, "full": 16}),
        ({"model_type": "gemma3_text", "sliding_window": 1024, "head_dim": 256}, {"window": 27, "full": 5}),
        (
            {"sliding_window": 8, "layer_types": ["full_attention", "sliding_attention"] * 16},
            {"window": 16, "full": 16},
        ),
        ({"attention_chunk_size": 8192}, {"window": 24, "full": 8}),
        ({"full_attention_interval": 4}, {"linear": 24, "full": 8}),
        ({"hybrid_override_pattern": "M-M*E" * 7}, {"linear": 13, "none": 13, "full": 6}),
        (
            {"kv_lora_rank": 512, "qk_nope_head_dim": 128, "qk_rope_head_dim": 64, "v_head_dim": 128},
            {"latent": 32},
        ),
        ({"linear_attn_config": {"full_attn_layers": [4, 8], "kda_layers": [1]}}, {"full": 2, "linear": 30}),
    ],
)
def test_layers_by_their_attention(fields: dict[str, object], wanted: dict[str, int]) -> None:
    """Windows, chunks, linear layers, hybrids and latents, however they are spelled."""
    assert wanted == kinds(read(**fields))


def test_experts_shared_ones_and_dense_layers() -> None:
    """DeepSeek's spelling: three dense layers, then 256 experts of which 8 are active, and a shared one."""
    found = read(
        n_routed_experts=256,
        num_experts_per_tok=8,
        moe_intermediate_size=2048,
        n_shared_experts=1,
        first_k_dense_replace=3,
    )
    dense, sparse = (group.feed_forward for group in found.layers)
    assert (3, 29) == tuple(group.count for group in found.layers)
    assert (14336, 0) == (dense.intermediate, dense.experts)
    assert (2048, 256, 8, 2048) == (
        sparse.intermediate,
        sparse.experts,
        sparse.active,
        sparse.expert_intermediate,
    )
    assert found.active_parameters < found.parameters / 10


def test_the_language_model_of_a_multimodal_one() -> None:
    """The text part is read; a tower is counted where its depth and width are said, and otherwise said not to be."""
    tower = {"depth": 27, "hidden_size": 1152, "num_heads": 16, "intermediate_size": 4304, "patch_size": 16}
    towers: list[tuple[dict[str, Any], float, str]] = [
        (tower, 0.41e9, "remark.towers"),
        ({**tower, "embed_dim": 1152, "hidden_size": 4096}, 0.41e9, "remark.towers"),
        ({"depth": 27}, 0.0, "remark.config_towers"),
    ]
    for vision, weights, remark in towers:
        found = from_config({"model_type": "x_vl", "text_config": LLAMA, "vision_config": vision}, "vl")
        assert 32 == found.layer_count
        assert (remark,) == found.remarks
        assert weights == pytest.approx(found.tower_weights, rel=0.03)
        assert found.parameters == read().parameters + found.tower_weights


def test_a_malformed_tower_is_named() -> None:
    """The part and the field, in one line."""
    with pytest.raises(BadInput, match=r"vision_config.*depth"):
        from_config({"text_config": LLAMA, "vision_config": {"depth": 10**9, "hidden_size": 8}}, "vl")


def test_old_spellings() -> None:
    """GPT-2 counts its layers, heads and columns under other names, and has no gate."""
    gpt2 = {
        "model_type": "gpt2",
        "n_layer": 12,
        "n_head": 12,
        "n_embd": 768,
        "n_ctx": 1024,
        "vocab_size": 50257,
    }
    found = from_config(gpt2, "gpt2")
    assert found.parameters == pytest.approx(0.124e9, rel=0.01)
    assert 1024 == found.max_context
    falcon = read(
        model_type="falcon",
        multi_query=True,
        num_key_value_heads=None,
        hidden_size=4544,
        num_attention_heads=71,
    )
    assert ((64,), 1) == (falcon.head_dims, falcon.layers[0].mixer.kv_heads)


def test_quantised_weights_are_seen() -> None:
    """The method of a quantised checkpoint says how many bits its weights have."""
    assert "fp8" == read(quantization_config={"quant_method": "fp8"}).weight_dtype
    assert "int4" == read(quantization_config={"quant_method": "awq", "bits": 4}).weight_dtype


@pytest.mark.parametrize(
    ("fields", "wanted"),
    [
        ({"num_hidden_layers": 10**9}, "num_hidden_layers is 1000000000"),
        ({"num_hidden_layers": 0}, "num_hidden_layers is 0"),
        ({"num_hidden_layers": "many"}, "many"),
        ({"num_hidden_layers": True}, "True"),
        ({"num_hidden_layers": None}, "num_hidden_layers"),
        ({"hidden_size": None}, "hidden_size"),
        ({"num_attention_heads": None}, "num_attention_heads"),
        ({"num_attention_heads": -4}, "num_attention_heads is -4"),
        ({"num_key_value_heads": 5}, "multiple of kv-heads"),
        ({"hidden_size": 1e300}, "hidden_size"),
        ({"hidden_size": float("nan")}, "nan"),
        ({"layer_types": ["full_attention"] * 3}, "lists 3 of 32 layers"),
    ],
)
def test_what_cannot_be_used_names_the_field(fields: dict[str, object], wanted: str) -> None:
    """Missing, malformed and absurd fields are one line that names them."""
    with pytest.raises(BadInput, match=wanted) as caught:
        read(**fields)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "{", "not json", "[" * 100_000, "[1, 2]", "3", '"x"', "{'a': 1}"])
def test_what_is_no_json_object_says_so(text: str) -> None:
    """Broken JSON, other values than objects and endless nesting are one line."""
    with pytest.raises(BadInput, match=r"config\.json") as caught:
        parse_config(text, "config.json")
    assert "\n" not in str(caught.value)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    """A missing file, a folder and a binary are bad input."""
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    for path in (tmp_path / "none.json", tmp_path, tmp_path / "binary"):
        with pytest.raises(BadInput):
            from_file(path)


def test_a_type_fills_in_what_is_not_named_and_nothing_that_is_null() -> None:
    """Mistral's window of 4096 counts where nobody mentions one; a null says that there is none."""
    silent = {name: value for name, value in LLAMA.items() if name != "tie_word_embeddings"}
    assert {"window": 32} == kinds(from_config(silent | {"model_type": "mistral"}, "test"))
    assert {"full": 32} == kinds(
        from_config(silent | {"model_type": "mistral", "sliding_window": None}, "test")
    )


CASES: dict[str, tuple[dict[str, Any], float]] = {
    "an encoder without a gate": (
        {
            "model_type": "esm",
            "hidden_size": 1280,
            "intermediate_size": 5120,
            "num_attention_heads": 20,
            "num_hidden_layers": 33,
            "vocab_size": 33,
            "max_position_embeddings": 1026,
            "position_embedding_type": "rotary",
        },
        0.651e9,
    ),
    "two stacks": (
        {
            "model_type": "t5",
            "is_encoder_decoder": True,
            "d_model": 768,
            "d_ff": 3072,
            "d_kv": 64,
            "num_heads": 12,
            "num_layers": 12,
            "num_decoder_layers": 12,
            "feed_forward_proj": "relu",
            "vocab_size": 32128,
        },
        0.2229e9,
    ),
    "states and few attending layers": (
        JAMBA_MINI,
        51.57e9,
    ),
    "embeddings of every layer, shared keys": (
        GEMMA_4_E4B,
        7.463e9,
    ),
}


@pytest.mark.parametrize("kind", CASES)
def test_each_kind_of_model_is_counted(kind: str) -> None:
    """Published models of each kind, within half a hundredth of their weights."""
    config, weights = CASES[kind]
    assert weights == pytest.approx(from_config(config, "test").parameters, rel=0.005)


def test_an_encoder_keeps_nothing() -> None:
    """No layer of an encoder leaves anything in a cache, and no token is hidden from another."""
    found = from_config(CASES["an encoder without a gate"][0], "test")
    assert not found.causal
    assert {0} == {group.mixer.cached_columns() for group in found.layers}
