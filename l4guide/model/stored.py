"""How a checkpoint keeps its weights, and how many bytes that takes."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from l4guide.frozen import frozen
from l4guide.model.checkpoint_index import Index, holds_further, index_of
from l4guide.model.fields import MOST_LAYERS, Fields
from l4guide.model.module_names import OUTSIDE, PARTS, Patterns, patterns, tried_layers
from l4guide.model.quantised import EXPERTS, LAYERS, LINEAR, Kept, Scheme, scheme
from l4guide.model.weight_types import EXPERTS as EXPERTS_ALONE
from l4guide.model.weight_types import WHOLE_TYPES, weight_type

#: Layers that predict further tokens, which a checkpoint holds and a model as it runs does not.
FURTHER = ("num_nextn_predict_layers", "num_mtp_modules", "mtp_num_hidden_layers")
#: Kinds of modules in the layers that run; the others are kept in at least 16 bits where nothing else is said.
INSIDE = ("attention", "state", "mlp", "experts")
#: How an expert's own type is spelled.
EXPERT_TYPES = {"fp4": "mxfp4", "mxfp4": "mxfp4", "float4_e2m1fn_x2": "mxfp4", "fp8": "fp8", "nvfp4": "nvfp4"}
FLOATS = {
    "bfloat16": "bf16",
    "float16": "fp16",
    "float32": "fp32",
    "bf16": "bf16",
    "fp16": "fp16",
    "fp32": "fp32",
}
#: What the bytes of the weights stand on.
ASKED, DTYPE, QUANTISED, INDEX = "asked", "dtype", "quantization_config", "index"


@frozen
class Stored:
    """How weights are kept: the type that most are said to be in, and each kind of module that differs from `whole`.

    `dtype` is None where it is not said. `further` layers predict further tokens: a checkpoint holds them, and what
    runs the model does not load them. `method` names a quantisation, `unknown` one that nobody here can read, so that
    its weights are counted in 16 bits. `index` is what the checkpoint's own index says.
    """

    dtype: str | None
    whole: Kept
    kinds: tuple[tuple[str, Kept], ...] = ()
    further: int = 0
    basis: str = DTYPE
    method: str | None = None
    unknown: str | None = None
    index: Index | None = None

    def of(self, kind: str) -> Kept:
        """How a kind of module is kept."""
        return next((kept for name, kept in self.kinds if name == kind), self.whole)

    @property
    def bytes_basis(self) -> str:
        """What the bytes of the weights stand on: asked, dtype, quantization_config or index."""
        return INDEX if self.index is not None and self.index.total is not None else self.basis

    def bytes_of(self, kind: str) -> float:
        """Bytes of a weight of a kind of module."""
        return self.of(kind).bits / 8


def in_type(weights: str, *, further: int = 0, basis: str = ASKED) -> Stored:
    """All products of the layers in one type, or the experts' alone (`int4-experts`); the rest in at least 16 bits."""
    named = weights.removesuffix(EXPERTS_ALONE)
    known = weight_type(named)
    kept = Kept(type=named, bits=known.bits)
    whole = kept if known.everywhere or named in WHOLE_TYPES else Kept(type="bf16", bits=16)
    inside = ("experts",) if named != weights else INSIDE
    kinds = () if whole is kept else tuple((kind, kept) for kind in inside)
    return Stored(dtype=weights, whole=whole, kinds=kinds, further=further, basis=basis)


def published(dtype: str | None) -> Stored | None:
    """How a preset is kept: in a type, or its experts alone in one ("mxfp4 experts"); None where it is not known."""
    return None if dtype is None else in_type(dtype.replace(" experts", EXPERTS_ALONE), basis=DTYPE)


def stored(fields: Fields, layers: int = 1) -> Stored:
    """How the checkpoint of a configuration of so many layers keeps its weights.

    Raises:
        BadInput: the number of further layers is malformed or out of limits.
    """
    float_type = FLOATS.get(str(fields.get("dtype", "torch_dtype")).removeprefix("torch."))
    bits = {"fp32": 32.0}.get(float_type or "", 16.0)
    whole = Kept(type=float_type or "bf16", bits=bits)
    said = fields.get("quantization_config", "compression_config")
    further = fields.whole(*FURTHER, at_most=MOST_LAYERS) or 0
    if holds_further(fields.outer, layers) is False:
        further = 0
    index = index_of(fields.outer)
    plain = Stored(dtype=float_type, whole=whole, further=further, index=index)
    found = scheme(said) if isinstance(said, Mapping) else None
    if found is None or not isinstance(said, Mapping):
        return plain if not said else replace(plain, unknown=_method(said))
    has_experts = bool(
        fields.whole("n_routed_experts", "num_local_experts", "num_experts", "moe_num_experts")
    )
    kinds = dict(_kinds(found, whole, layers, has_experts=has_experts))
    expert = EXPERT_TYPES.get(str(fields.get("expert_dtype")).lower())
    if expert is not None:
        kinds["experts"] = Kept(type=expert, bits=weight_type(expert).bits)
    named = _type_of(kinds, whole, has_experts=has_experts) or float_type
    return replace(plain, dtype=named, kinds=tuple(kinds.items()), basis=QUANTISED, method=found.method)


def _method(said: object) -> str:
    """The name of a quantisation in one line, for a sentence that says it is not known."""
    named = said.get("quant_method", "-") if isinstance(said, Mapping) else "-"
    return " ".join(str(named).split())[:40] or "-"


def _kinds(found: Scheme, whole: Kept, layers: int, *, has_experts: bool) -> Iterable[tuple[str, Kept]]:
    """Each kind of module that the scheme does not leave as it is."""
    left = patterns(found.whole)
    groups = [(patterns(targets) if targets else None, kept) for targets, kept in found.groups]
    tried = tried_layers(layers, [left, *(named for named, _ in groups if named is not None)])
    for kind in INSIDE:
        parts = PARTS["shared" if kind == "mlp" and has_experts else kind]
        kept = [
            (share, _one(names, f"layers.{layer}.", kind, found.reach, left, groups) or whole)
            for share, names in parts
            for layer in tried
        ]
        mean = _mean(kept)
        if mean != whole:
            yield kind, mean
    for kind, names in OUTSIDE.items():
        mean = _one(names, "", kind, found.reach, left, groups) or whole
        if mean != whole:
            yield kind, mean


def _one(
    names: tuple[str, ...],
    before: str,
    kind: str,
    reach: str,
    left: Patterns,
    groups: list[tuple[Patterns | None, Kept]],
) -> Kept | None:
    """How one module is kept, under whichever name is found; None where it is left whole."""
    every = [before + name for name in names]
    if any(map(left.name, every)):
        return None
    for named, kept in groups:
        if named is None and not _reaches(reach, kind):
            continue
        if named is None or any(map(named.name, every)):
            return kept if kept.bits < 16 else None
    return None


def _reaches(reach: str, kind: str) -> bool:
    if reach == EXPERTS:
        return kind == "experts"
    return reach == LINEAR or (reach == LAYERS and kind in INSIDE)


def _mean(kept: list[tuple[float, Kept]]) -> Kept:
    """Modules together: the mean of their bits, and the type of most of them."""
    shares: dict[str, float] = {}
    for share, one in kept:
        shares[one.type] = shares.get(one.type, 0.0) + share
    total = sum(shares.values())
    bits = sum(share * one.bits for share, one in kept) / total
    alike = {one for _, one in kept}
    return alike.pop() if len(alike) == 1 else Kept(type=max(shares, key=shares.__getitem__), bits=bits)


def _type_of(kinds: Mapping[str, Kept], whole: Kept, *, has_experts: bool) -> str | None:
    """The one name of a checkpoint's type; of one whose experts alone are narrow `int4-experts` and the like."""
    experts = kinds.get("experts") if has_experts else None
    others = [kinds[kind] for kind in ("mlp", "attention") if kind in kinds]
    if others:
        return others[0].type
    if experts is not None:
        return experts.type + EXPERTS_ALONE
    return kinds["state"].type if "state" in kinds else whole.type


def stored_bytes(modules: Mapping[str, int], kept: Stored, layers: int, *, loaded: bool = False) -> float:
    """Bytes of kinds of modules with so many parameters, of a checkpoint of so many layers beside the further ones.

    What the checkpoint's index says is believed. With `loaded` what a run does not load is left out.
    """
    checkpoint, run = counted_bytes(modules, kept, layers), counted_bytes(modules, kept, 0)
    if kept.index is not None and kept.index.total is not None and checkpoint:
        return kept.index.total * (run / checkpoint if loaded else 1.0)
    return run if loaded else checkpoint


def counted_bytes(modules: Mapping[str, int], kept: Stored, layers: int) -> float:
    """The same bytes of a checkpoint, counted, whatever its index says; without further layers where `layers` is 0."""
    repeated = 1 + kept.further / layers if layers else 1.0
    return sum(
        number * kept.bytes_of(kind) * (1.0 if kind in ("embedding", "head", "tower") else repeated)
        for kind, number in modules.items()
    )
