"""Public measurements of servers, `data/served.csv`, and the models in it that are no presets."""

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from typing import Any

from l4guide.catalogue import data_folder, models
from l4guide.frozen import frozen
from l4guide.model import Architecture, from_config, preset
from l4guide.table import read_records


@frozen
class Served:
    """One run of a server by others.

    `kind` is closed (so many requests always in flight), burst (all sent at once), open (at a rate) or capacity (what
    the engine printed of its cache). An empty cell was not said.
    """

    source: str
    kind: str
    gpu: str
    gpus: int
    model: str
    weights: str
    kv_dtype: str
    engine: str
    release: str
    eager: bool
    prompt_tokens: float | None
    output_tokens: float | None
    concurrency: int | None
    requests: int | None
    requests_per_s: float | None
    utilization: float | None
    max_model_len: int | None
    batched_tokens: int | None
    seqs: int | None
    output_tokens_per_s: float | None
    ttft_ms: float | None
    tpot_ms: float | None
    kv_cache_tokens: int | None
    kv_cache_gib: float | None
    device_gib: float | None
    note: str


@cache
def served() -> tuple[Served, ...]:
    """Every row.

    Raises:
        BadData: a row is broken.
    """
    key = list(Served.__dataclass_fields__)[:-1]
    return read_records(data_folder() / "served.csv", Served, key)


def _dense(
    hidden: int, layers: int, heads: int, kv_heads: int, inside: int, vocabulary: int, **more: object
) -> dict[str, Any]:
    said = {
        "hidden_size": hidden,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "intermediate_size": inside,
        "vocab_size": vocabulary,
        "max_position_embeddings": 32768,
        "tie_word_embeddings": False,
        "torch_dtype": "bfloat16",
    }
    return {**said, "model_type": "llama", **more}


#: From each model's config.json; its type is that of a plain decoder where only widths matter.
CONFIGS: Mapping[str, Mapping[str, Any]] = {
    "Qwen2-7B": _dense(3584, 28, 28, 4, 18944, 152064),
    "Qwen2.5-14B": _dense(5120, 48, 40, 8, 13824, 152064),
    "Qwen2.5-32B": _dense(5120, 64, 40, 8, 27648, 152064),
    "Qwen2-72B": _dense(8192, 80, 64, 8, 29568, 152064),
    "Qwen2.5-1.5B": _dense(1536, 28, 12, 2, 8960, 151936),
    "Qwen3-14B": _dense(5120, 40, 40, 8, 17408, 151936, head_dim=128, max_position_embeddings=40960),
    "Llama-2-7B": _dense(4096, 32, 32, 32, 11008, 32000),
    "Llama-2-70B": _dense(8192, 80, 64, 8, 28672, 32000),
    "CodeLlama-34B": _dense(8192, 48, 64, 8, 22016, 32000),
    "Mistral-Small-24B": _dense(5120, 40, 32, 8, 32768, 131072, head_dim=128),
    "GLM-4.5-Air": _dense(
        *(4096, 46, 96, 8, 10944, 151552),
        model_type="glm4_moe",
        head_dim=128,
        n_routed_experts=128,
        num_experts_per_tok=8,
        n_shared_experts=1,
        moe_intermediate_size=1408,
        first_k_dense_replace=1,
    ),
    "Qwen3.5-4B": _dense(
        *(2560, 32, 16, 4, 9216, 248320),
        model_type="qwen3_5_text",
        head_dim=256,
        full_attention_interval=4,
        linear_num_key_heads=16,
        linear_num_value_heads=32,
        linear_key_head_dim=128,
        linear_value_head_dim=128,
        linear_conv_kernel_dim=4,
        tie_word_embeddings=True,
        max_position_embeddings=262144,
    ),
}

#: Weights beside the text model, from the size of the checkpoint.
TOWERS = {"Qwen3.5-4B": 430_000_000}


@cache
def architecture(name: str) -> Architecture:
    """A model of the table: a preset, or one of `CONFIGS`.

    Raises:
        BadInput: the model is neither.
    """
    if name in CONFIGS and name not in {model.name for model in models()}:
        found = from_config(dict(CONFIGS[name]), name)
        return replace(found, tower_weights=TOWERS.get(name, 0))
    return preset(name)
