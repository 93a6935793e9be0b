"""Latent attention: a token leaves a compressed row in the cache, which all heads read."""

from collections.abc import Mapping

from l4guide.model.architecture import LATENT, WINDOW, Mixer
from l4guide.model.compressed import index_of
from l4guide.model.fields import Fields

#: What layers with a window have of their own in these types where a configuration is silent, as transformers has it.
OWN: Mapping[str, Mapping[str, int]] = {
    "dots3_note": {
        "num_attention_heads": 64,
        "q_lora_rank": 1024,
        "kv_lora_rank": 1024,
        "head_dim": 256,
        "qk_nope_head_dim": 192,
        "v_head_dim": 128,
        "sliding_window": 512,
    }
}


def latent(fields: Fields, kind: str, heads: int) -> Mixer:
    """The mixer of a layer; one with a window may have ranks, heads and widths of its own.

    Raises:
        BadInput: a field is missing, malformed or out of limits.
    """
    own = _own(fields) if kind == WINDOW else None
    # Every head has keys of its own, as wide as their two parts, whatever these say.
    fields.read.update(("num_key_value_heads", "head_dim"))
    return _whole(fields, heads) if own is None else _windowed(fields, own)


def _own(fields: Fields) -> Mapping[str, int] | None:
    named = str(fields.get("model_type"))
    return next((own for name, own in OWN.items() if named.startswith(name)), None)


def _whole(fields: Fields, heads: int) -> Mixer:
    rope = fields.needed("qk_rope_head_dim", at_least=0)
    return Mixer(
        kind=LATENT,
        heads=heads,
        kv_heads=heads,
        head_dim=fields.needed("qk_nope_head_dim") + rope,
        head_dim_v=fields.needed("v_head_dim"),
        latent_rank=fields.needed("kv_lora_rank"),
        rope_dim=rope,
        query_rank=fields.whole("q_lora_rank") or 0,
        index_columns=(fields.whole("index_head_dim") or 0) if fields.whole("index_topk") else 0,
        **index_of(fields),
    )


def _windowed(fields: Fields, own: Mapping[str, int]) -> Mixer:
    def said(name: str) -> int:
        return fields.whole(f"swa_{name}", at_least=1) or own[name]

    nope, heads = said("qk_nope_head_dim"), said("num_attention_heads")
    rope = fields.whole("swa_qk_rope_head_dim") or said("head_dim") - nope
    return Mixer(
        kind=LATENT,
        heads=heads,
        kv_heads=heads,
        head_dim=nope + rope,
        head_dim_v=said("v_head_dim"),
        latent_rank=said("kv_lora_rank"),
        rope_dim=rope,
        query_rank=said("q_lora_rank"),
        window=fields.whole("sliding_window", "sliding_window_size", at_least=1) or own["sliding_window"],
    )
