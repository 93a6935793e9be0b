"""How a configuration says that its weights are stored, and how many bytes that takes."""

from collections.abc import Mapping

from l4guide.frozen import frozen
from l4guide.model.fields import MOST_LAYERS, Fields

#: Bytes of a weight by its type; a 4-bit one has a scale of 16 bits and a zero of 4 for each 128. nf4 has a scale of
#: 8 bits for each 64, and for 256 of those one of 32 bits (double quantisation): 4.127 bits.
WEIGHT_BYTES = {
    "fp32": 4.0,
    "bf16": 2.0,
    "fp16": 2.0,
    "fp8": 1.0,
    "int4": 0.5 + 20 / 8 / 128,
    "nf4": 0.5 + (1 + 4 / 256) / 64,
}
#: The same of 4-bit floats with a scale of 8 bits for each 32.
MXFP4_BYTES = 0.5 + 1 / 32
#: Kinds of modules that a quantised checkpoint keeps in 16 bits.
WHOLE = ("embedding", "head", "norm", "router", "tower", "other")
#: Layers that predict further tokens, which a checkpoint holds and a model as it runs does not.
FURTHER = ("num_nextn_predict_layers", "num_mtp_modules", "mtp_num_hidden_layers")

#: Bits of a weight by what a quantised checkpoint calls its method; the embeddings stay in 16 bits.
QUANTISED = {
    "fp8": "fp8",
    "mxfp4": "int4",
    "awq": "int4",
    "gptq": "int4",
    "bitsandbytes": "int4",
    "nvfp4": "int4",
}
FLOATS = {
    "bfloat16": "bf16",
    "float16": "fp16",
    "float32": "fp32",
    "bf16": "bf16",
    "fp16": "fp16",
    "fp32": "fp32",
}


@frozen
class Stored:
    """How weights are kept: the type that most are said to be in, and bytes of a weight by where it stands.

    `dtype` is None where it is not said. `layers` is of products in the layers, `experts` of those that a router
    chooses, `outside` of all that stays in 16 bits or more. `further` layers predict further tokens: a checkpoint
    holds them, and what runs the model does not load them.
    """

    dtype: str | None
    layers: float
    experts: float
    outside: float
    further: int = 0


def in_type(weights: str, *, further: int = 0) -> Stored:
    """All products of the layers in one type; embeddings and towers in at least 16 bits."""
    wide = WEIGHT_BYTES["fp32" if weights == "fp32" else "bf16"]
    each = WEIGHT_BYTES[weights]
    return Stored(dtype=weights, layers=each, experts=each, outside=wide, further=further)


def published(dtype: str | None) -> Stored | None:
    """How a preset is kept: in a type, or its experts alone in one ("mxfp4 experts"); None where it is not known."""
    if dtype is None:
        return None
    named, _, part = dtype.partition(" ")
    each = MXFP4_BYTES if named == "mxfp4" else WEIGHT_BYTES[named]
    if part != "experts":
        return in_type(named)
    return Stored(dtype=QUANTISED.get(named, named), layers=2.0, experts=each, outside=2.0)


def stored(fields: Fields) -> Stored:
    """How the checkpoint of a configuration keeps its weights.

    Raises:
        BadInput: the number of further layers is malformed or out of limits.
    """
    said = weight_dtype(fields)
    kept = said or "bf16"
    wide = WEIGHT_BYTES["fp32" if kept == "fp32" else "bf16"]
    return Stored(
        dtype=said,
        layers=_bytes_but_experts(fields, kept, wide),
        experts=_expert_bytes(fields, kept),
        outside=wide,
        further=fields.whole(*FURTHER, at_most=MOST_LAYERS) or 0,
    )


def stored_bytes(modules: Mapping[str, int], kept: Stored, layers: int = 0) -> float:
    """Bytes of kinds of modules with so many parameters; with further layers where `layers` says beside how many."""
    by_kind = {kind: kept.outside if kind in WHOLE else kept.layers for kind in modules}
    by_kind["experts"] = kept.experts
    repeated = 1 + kept.further / layers if layers else 1.0
    return sum(
        number * by_kind[kind] * (1.0 if kind in ("embedding", "head", "tower") else repeated)
        for kind, number in modules.items()
    )


def weight_dtype(fields: Fields) -> str | None:
    """The type that the weights are stored in; None where it is not said."""
    method = fields.get("quantization_config", "compression_config")
    if isinstance(method, dict):
        text = str(method).lower()
        named = str(method.get("quant_method", "")).lower()
        if "nvfp4" in text or "'num_bits': 4" in text or "'bits': 4" in text:
            return "int4"
        if named in QUANTISED:
            return QUANTISED[named]
        if "fp8" in text or "'num_bits': 8" in text:
            return "fp8"
    return FLOATS.get(str(fields.get("dtype", "torch_dtype")).removeprefix("torch."))


def _bytes_but_experts(fields: Fields, kept: str, wide: float) -> float:
    method = fields.get("quantization_config")
    only_experts = isinstance(method, dict) and str(method.get("quant_method")).lower() == "mxfp4"
    return wide if only_experts else WEIGHT_BYTES[kept]


def _expert_bytes(fields: Fields, kept: str) -> float:
    """Bytes of a weight of an expert, which some checkpoints keep in a type of its own."""
    method = fields.get("quantization_config")
    named = str(method.get("quant_method")).lower() if isinstance(method, dict) else ""
    if named == "mxfp4" or str(fields.get("expert_dtype")).lower() in ("fp4", "mxfp4", "float4_e2m1fn_x2"):
        return MXFP4_BYTES
    return WEIGHT_BYTES[kept]
