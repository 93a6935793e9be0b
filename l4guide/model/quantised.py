"""What a `quantization_config` says: bits of a weight by module, and the modules that it leaves alone."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from l4guide.frozen import frozen

Said = Mapping[str, Any]

#: What a scheme reaches where it names no module: every linear layer, those of the decoder's layers, or its experts.
LINEAR, LAYERS, EXPERTS = "linear", "layers", "experts"
HEAD = "lm_head"
#: Names under which modules are left out.
LEFT_OUT = (
    *("ignore", "modules_to_not_convert", "exclude_modules", "llm_int8_skip_modules", "exclude"),
    *("ignored_layers", "skip_modules", "modules_to_not_quantize", "exclude_layers"),
)
#: Entries of a list of modules that are read; checkpoints with experts name some ten thousand.
MOST_ENTRIES = 200_000
MOST_LENGTH = 200
#: bitsandbytes: a scale for 64 weights, in fp32 or, quantised once more, in 8 bits with fp32 for 256 of them.
NF4_BLOCK, NF4_DOUBLE = 64, 256
SCALE_BITS, FP32_BITS = 16, 32


@frozen
class Kept:
    """How a module is kept: the name of its type, and bits of a weight with its scales."""

    type: str
    bits: float


@frozen
class Scheme:
    """What a checkpoint's quantisation does.

    `groups` name modules (patterns, or all linear ones where they name none) and how these are kept; the first that
    names a module decides. `whole` are patterns of modules that stay in 16 bits.
    """

    method: str
    reach: str
    groups: tuple[tuple[tuple[str, ...], Kept], ...]
    whole: tuple[str, ...] = ()


def scheme(said: Said) -> Scheme | None:
    """The scheme of a `quantization_config`; None where its method or its bits are not known."""
    method = str(said.get("quant_method") or _implied(said)).lower().replace("_", "-")
    read = METHODS.get(method)
    found = None if read is None else read(said)
    if found is None:
        return None
    reach, groups, usually = found
    whole = tuple(_names(said.get(name) for name in LEFT_OUT)) or usually
    return Scheme(method=method, reach=reach, groups=tuple(groups), whole=whole)


Groups = list[tuple[tuple[str, ...], Kept]]
Found = tuple[str, Sequence[tuple[tuple[str, ...], Kept]], tuple[str, ...]] | None


def _implied(said: Said) -> str:
    """The method where only its settings are there."""
    if said.get("quant_algo") or isinstance(said.get("quantization"), Mapping):
        return "modelopt"
    if said.get("config_groups"):
        return "compressed-tensors"
    return "bitsandbytes" if said.get("load_in_4bit") or said.get("load_in_8bit") else ""


def _names(lists: Iterable[object]) -> list[str]:
    return [
        str(name)
        for found in lists
        if isinstance(found, list | tuple)
        for name in found[:MOST_ENTRIES]
        if isinstance(name, str) and 0 < len(name) <= MOST_LENGTH
    ]


def _number(value: object, low: float, high: float) -> float | None:
    """A number within limits; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if low <= value <= high else None


def _bits(said: Said, *names: str) -> float | None:
    return next((found for name in names if (found := _number(said.get(name), 1, 16)) is not None), None)


def _group(said: Said, *names: str, usual: float = 0) -> float:
    """Weights that share a scale; 0 where a whole row does."""
    found = next((n for name in names if (n := _number(said.get(name), -1, 2**20)) is not None), usual)
    return max(found, 0.0)


def _scales(bits: float, group: float, scale: float, zero: float) -> float:
    return bits + (scale + zero) / group if group else bits


def _all(kept: Kept) -> Groups:
    return [((), kept)]


def _packed(said: Said) -> Found:
    """AWQ and GPTQ: packed weights, a scale and always a zero point a group, in the decoder's layers."""
    bits = _bits(said, "bits", "w_bit", "wbits") or 4.0
    group = _group(said, "group_size", "q_group_size", usual=128)
    kept = Kept(type=f"int{bits:g}", bits=_scales(bits, group, SCALE_BITS, bits))
    groups = [*_exceptions(said.get("extra_config"), kept), *_all(kept)]
    return (LINEAR if said.get("lm_head") is True else LAYERS), groups, ()


def _exceptions(said: object, usual: Kept) -> Groups:
    """AutoRound's modules with bits of their own."""
    if not isinstance(said, Mapping):
        return []
    found: Groups = []
    for name, own in list(said.items())[:MOST_ENTRIES]:
        bits = _bits(own, "bits") if isinstance(own, Mapping) else None
        if bits is not None and isinstance(name, str) and len(name) <= MOST_LENGTH:
            over = usual.bits - float(usual.type.removeprefix("int"))
            kept = (
                Kept(type=f"int{bits:g}", bits=bits + over)
                if bits < SCALE_BITS
                else Kept(type="bf16", bits=16)
            )
            found.append(((name,), kept))
    return found


def _bitsandbytes(said: Said) -> Found:
    if said.get("load_in_8bit") is True or said.get("_load_in_8bit") is True:
        return LINEAR, _all(Kept(type="int8", bits=8)), (HEAD,)
    scales = FP32_BITS / NF4_BLOCK
    if said.get("bnb_4bit_use_double_quant") is True:
        scales = 8 / NF4_BLOCK + FP32_BITS / (NF4_BLOCK * NF4_DOUBLE)
    named = "nf4" if str(said.get("bnb_4bit_quant_type", "nf4")) == "nf4" else "fp4"
    return LINEAR, _all(Kept(type=named, bits=4 + scales)), (HEAD,)


def _fp8(said: Said) -> Found:
    """FP8 by block or by tensor: a scale of 32 bits, or of 8 where it is an exponent alone."""
    block = said.get("weight_block_size")
    sides = [_number(side, 1, 2**20) for side in block[:2]] if isinstance(block, list) else []
    scale = 8 if "ue8m0" in str(said.get("scale_fmt")) else FP32_BITS
    each = scale / (sides[0] * sides[1]) if len(sides) == 2 and sides[0] and sides[1] else 0.0
    return LINEAR, _all(Kept(type="fp8", bits=8 + each)), (HEAD,)


def _mxfp4(said: Said) -> Found:
    return EXPERTS, _all(Kept(type="mxfp4", bits=4.25)), ()


def _compressed(said: Said) -> Found:
    """compressed-tensors: groups of targets, each with its bits, its kind of number and its scales."""
    given = said.get("config_groups")
    if not isinstance(given, Mapping):
        return None
    groups = []
    for one in given.values():
        weights = one.get("weights") if isinstance(one, Mapping) else None
        kept = _of_arguments(weights) if isinstance(weights, Mapping) else None
        if kept is None:
            return None
        groups.append((tuple(_targets(one.get("targets"))), kept))
    return (LINEAR, groups, ()) if groups else None


def _targets(said: object) -> list[str]:
    """Patterns of names; a class of modules, such as Linear, is all of them."""
    return [name for name in _names([said]) if not name[:1].isupper()]


def _of_arguments(said: Said) -> Kept | None:
    bits = _bits(said, "num_bits")
    if bits is None:
        return None
    group = _group(said, "group_size")
    if str(said.get("type")) == "float":
        if bits == 8:
            return Kept(type="fp8", bits=_scales(8, group, 8, 0) if 0 < group <= 32 else 8)
        return Kept(type="nvfp4" if group <= 16 else "mxfp4", bits=_scales(bits, group or 16, 8, 0))
    zero = bits if said.get("symmetric") is False else 0
    return Kept(type=f"int{bits:g}", bits=_scales(bits, group, SCALE_BITS, zero))


#: ModelOpt's algorithms: the type, its bits, and whether it has a scale of so many bits a group.
ALGORITHMS = {
    "FP8": Kept(type="fp8", bits=8),
    "FP8_PB_WO": Kept(type="fp8", bits=8),
    "FP8_PB_REAL": Kept(type="fp8", bits=8),
    "FP8_PER_CHANNEL_PER_TOKEN": Kept(type="fp8", bits=8),
    "NVFP4": Kept(type="nvfp4", bits=4.5),
    "W4A16_NVFP4": Kept(type="nvfp4", bits=4.5),
    "NVFP4_AWQ": Kept(type="nvfp4", bits=4.5),
    "MXFP8": Kept(type="mxfp8", bits=8.25),
    "MXFP4": Kept(type="mxfp4", bits=4.25),
    "W4A8_MXFP4_FP8": Kept(type="mxfp4", bits=4.25),
    "INT8_SQ": Kept(type="int8", bits=8),
    "W8A16": Kept(type="int8", bits=8),
    "W4A16": Kept(type="int4", bits=4.125),
    "W4A16_AWQ": Kept(type="int4", bits=4.125),
    "W4A8_AWQ": Kept(type="int4", bits=4.125),
}


def _modelopt(said: Said) -> Found:
    """ModelOpt's: one algorithm, or one by layer; in `config.json` it may be spelled as compressed-tensors is."""
    inner = said.get("quantization")
    own = inner if isinstance(inner, Mapping) else said
    named = str(own.get("quant_algo", "")).upper()
    groups: Groups = []
    layers = own.get("quantized_layers")
    if named == "MIXED_PRECISION" and isinstance(layers, Mapping):
        for name, one in list(layers.items())[:MOST_ENTRIES]:
            kept = ALGORITHMS.get(str(one.get("quant_algo")).upper()) if isinstance(one, Mapping) else None
            if kept is not None and isinstance(name, str) and len(name) <= MOST_LENGTH:
                groups.append(((name,), kept))
    elif named in ALGORITHMS:
        groups = _all(ALGORITHMS[named])
    if not groups:
        return _compressed(said)
    return LINEAR, groups, tuple(_names(own.get(name) for name in LEFT_OUT))


def _quark(said: Said) -> Found:
    """AMD Quark: one type for all, those of single layers aside."""
    whole = said.get("global_quant_config")
    weights = whole.get("weight") if isinstance(whole, Mapping) else None
    if isinstance(weights, list) and weights:
        weights = weights[0]
    named = str(weights.get("dtype")) if isinstance(weights, Mapping) else ""
    if "fp8" in named:
        return LINEAR, _all(Kept(type="fp8", bits=8)), (HEAD,)
    if named == "fp4" and isinstance(weights, Mapping):
        return (
            LINEAR,
            _all(Kept(type="mxfp4", bits=_scales(4, _group(weights, "group_size", usual=32), 8, 0))),
            (HEAD,),
        )
    if named in ("int4", "uint4", "int8") and isinstance(weights, Mapping):
        bits = float(named[-1])
        kept = Kept(type=f"int{bits:g}", bits=_scales(bits, _group(weights, "group_size"), SCALE_BITS, 0))
        return LINEAR, _all(kept), (HEAD,)
    return None


def _named_type(said: Said) -> Found:
    """Of torchao and quanto, which name the type: "int4_weight_only", {"_type": "Float8…Config"}, "int8"."""
    kind = said.get("quant_type", said.get("weights"))
    if isinstance(kind, Mapping):
        kind = kind.get("default", kind)
    data = kind.get("_data") if isinstance(kind, Mapping) else said.get("quant_type_kwargs")
    text = str(kind.get("_type") if isinstance(kind, Mapping) else kind).lower()
    group = _group(data, "group_size") if isinstance(data, Mapping) else 0.0
    if "float8" in text or "fp8" in text:
        return LINEAR, _all(Kept(type="fp8", bits=8)), (HEAD,)
    for digits in ("2", "4", "8"):
        if f"int{digits}" in text:
            bits = float(digits)
            group = group or (128.0 if bits < 8 else 0.0)
            zero = SCALE_BITS if bits < 8 else 0
            return (
                LINEAR,
                _all(Kept(type=f"int{digits}", bits=_scales(bits, group, SCALE_BITS, zero))),
                (HEAD,),
            )
    return None


def _hqq(said: Said) -> Found:
    """HQQ: a scale and a zero of 16 bits each a group."""
    inner = said.get("quant_config")
    weights = inner.get("weight_quant_params", inner) if isinstance(inner, Mapping) else said
    bits = _bits(weights, "nbits", "bits") if isinstance(weights, Mapping) else None
    if bits is None:
        return None
    kept = Kept(
        type=f"int{bits:g}", bits=_scales(bits, _group(weights, "group_size"), SCALE_BITS, SCALE_BITS)
    )
    return LAYERS, _all(kept), ()


def _exl(said: Said) -> Found:
    """EXL2 and EXL3 say the mean of all layers, scales included, and the head's bits apart."""
    bits = _bits(said, "bits", "bits_per_weight")
    if bits is None:
        return None
    groups: Groups = _all(Kept(type=f"int{bits:g}", bits=bits))
    head = _bits(said, "head_bits")
    if head is not None:
        groups.insert(0, ((HEAD,), Kept(type=f"int{head:g}", bits=head)))
    return (LAYERS if head is None else LINEAR), groups, ()


def _aqlm(said: Said) -> Found:
    books, each = _number(said.get("num_codebooks"), 1, 64), _number(said.get("nbits_per_codebook"), 1, 32)
    inside = _number(said.get("in_group_size"), 1, 4096)
    if books is None or each is None or inside is None:
        return None
    bits = books * each / inside
    return LAYERS, _all(Kept(type=f"int{bits:g}", bits=bits)), ()


def _fixed(bits: float, kind: str, reach: str = LINEAR) -> Callable[[Said], Found]:
    return lambda _: (reach, _all(Kept(type=kind, bits=bits)), (HEAD,))


#: By the name of the method.
METHODS: Mapping[str, Callable[[Said], Found]] = {
    "awq": _packed,
    "gptq": _packed,
    "gptqmodel": _packed,
    "auto-round": _packed,
    "intel/auto-round": _packed,
    "auto-gptq": _packed,
    "bitsandbytes": _bitsandbytes,
    "fp8": _fp8,
    "fbgemm-fp8": _fp8,
    "mxfp4": _mxfp4,
    "gpt-oss-mxfp4": _mxfp4,
    "nvfp4": _fixed(4.5, "nvfp4"),
    "compressed-tensors": _compressed,
    "modelopt": _modelopt,
    "modelopt-fp4": _modelopt,
    "quark": _quark,
    "torchao": _named_type,
    "quanto": _named_type,
    "hqq": _hqq,
    "exl2": _exl,
    "exl3": _exl,
    "aqlm": _aqlm,
    "eetq": _fixed(8, "int8"),
    "bitnet": _fixed(2, "int2"),
}
