"""How a configuration says that its weights are stored, and how many bytes that takes."""

from collections.abc import Mapping

from l4guide.model.fields import MOST_LAYERS, Fields

#: Bytes of a weight by its type; a 4-bit one has a scale of 16 bits and a zero of 4 for each 128.
WEIGHT_BYTES = {"fp32": 4.0, "bf16": 2.0, "fp16": 2.0, "fp8": 1.0, "int4": 0.5 + 20 / 8 / 128}
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


def stored_bytes(modules: Mapping[str, int], layers: int, fields: Fields) -> float:
    """Bytes of a checkpoint whose kinds of modules have so many parameters, its further layers included.

    Raises:
        BadInput: the number of further layers is malformed or out of limits.
    """
    kept = weight_dtype(fields) or "bf16"
    wide = WEIGHT_BYTES["fp32" if kept == "fp32" else "bf16"]
    rest = _bytes_but_experts(fields, kept, wide)
    by_kind = {kind: wide if kind in WHOLE else rest for kind in modules}
    by_kind["experts"] = _expert_bytes(fields, kept)
    further = fields.whole(*FURTHER, at_most=MOST_LAYERS) or 0
    repeated = 1 + further / layers if layers else 1.0
    return sum(
        number * by_kind[kind] * (1.0 if kind in ("embedding", "head", "tower") else repeated)
        for kind, number in modules.items()
    )


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
