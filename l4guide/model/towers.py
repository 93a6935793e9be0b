"""Vision and audio towers of a configuration: how many weights they have, and their layers."""

from dataclasses import replace

from l4guide.model.architecture import FULL, WINDOW, FeedForward, Layers, Mixer, Tower
from l4guide.model.fields import MOST_LAYERS, Fields
from l4guide.model.media import IMAGE, SOUND, rule_of

DEPTH = ("depth", "num_hidden_layers", "vt_num_hidden_layers", "encoder_layers", "num_layers")
#: The first that is set: where a tower says its own width, `hidden_size` may be that of the language model.
WIDTH = ("embed_dim", "vt_hidden_size", "hidden_size", "d_model")
HEADS = ("num_heads", "num_attention_heads", "vt_num_attention_heads", "encoder_attention_heads")
INSIDE = ("intermediate_size", "vt_intermediate_size", "encoder_ffn_dim", "mlp_dim")
OUT = ("out_hidden_size", "text_hidden_size", "projection_dim", "output_dim")
#: Types whose layers take the width of the output for their inside.
AS_WIDE_AS_OUT = ("glm4v",)
#: A product is so many times as wide as the tower where neither its width nor a ratio is said.
USUAL_RATIO = 4


def tower_weights(tower: Fields) -> int | None:
    """Weights of the layers, the patches and the projection of a tower; None where its depth or width is not said.

    Raises:
        BadInput: a field is malformed or out of limits.
    """
    depth = tower.whole(*DEPTH, at_least=1, at_most=MOST_LAYERS)
    width = tower.whole(*WIDTH, at_least=1)
    if depth is None or width is None:
        return None
    heads, columns = tower.whole(*HEADS, at_least=1), tower.whole("head_dim", at_least=1)
    mixed = tower.whole("qkv_hidden_size", at_least=1) or (heads * columns if heads and columns else width)
    inside = tower.whole(*INSIDE, at_least=1) or _ratio(tower) * width
    out = tower.whole(*OUT)
    if str(tower.get("model_type")).startswith(AS_WIDE_AS_OUT) and out:
        # Its layers are as wide inside as its output; what it says of the inside is that of its last product.
        return depth * width * (4 * mixed + 3 * out) + _ends(tower, width) + out * (out + 3 * inside)
    matrices = 3 if tower.get("hidden_act") == "silu" else 2
    layer = width * (4 * mixed + matrices * inside)
    pooled = layer if _is_pooled(tower) else 0
    found = depth * layer + pooled + _ends(tower, width)
    return found + _experts(tower, matrices * width, depth, inside)


def _experts(tower: Fields, each: int, depth: int, inside: int) -> int:
    """What the experts of a tower have beyond the products in whose place they stand; `each` are weights a column."""
    wide, usual = tower.whole("moe_intermediate_size"), tower.whole("num_local_experts") or 0
    kinds = list(tower.listed("mlp_layer_types")[:depth])
    apart = tower.get("per_layer_config")
    own = {str(key).lstrip("0"): value for key, value in apart.items()} if isinstance(apart, dict) else {}
    if not wide or not usual:
        return 0
    found = 0
    for number in (number for number, kind in enumerate(kinds) if kind == "sparse"):
        said = own.get(str(number).lstrip("0"))
        experts = said.get("num_local_experts") if isinstance(said, dict) else None
        few = isinstance(experts, int) and 0 < experts <= usual
        found += each * (wide * (experts if few else usual) - inside)  # type: ignore[operator]
    return found


def towers_of(fields: Fields) -> tuple[Tower, ...]:
    """The towers of a configuration, with the rule by which its type makes tokens; without layers that are not said.

    Raises:
        BadInput: a field is malformed or out of limits.
    """
    return tuple(_tower(fields, tower) for tower in fields.towers)


def _tower(fields: Fields, tower: Fields) -> Tower:
    media = SOUND if "audio" in tower.name.rpartition(":")[2] else IMAGE
    width = tower.whole(*WIDTH, at_least=1) or 0
    return Tower(
        media=media,
        hidden=width,
        layers=_layers(tower, width),
        weights=tower_weights(tower) or 0,
        rule=rule_of(fields, tower, media),
    )


def _layers(tower: Fields, width: int) -> tuple[Layers, ...]:
    """Its layers, those that see a window apart; none where their depth, width or heads are not said."""
    depth = tower.whole(*DEPTH, at_least=1, at_most=MOST_LAYERS)
    heads = tower.whole(*HEADS, at_least=1)
    if depth is None or not width or heads is None:
        return ()
    wide = tower.whole("head_dim", at_least=1) or max(1, width // heads)
    full = Mixer(kind=FULL, heads=heads, kv_heads=heads, head_dim=wide, head_dim_v=wide, cached=False)
    product = FeedForward(intermediate=_inside(tower, width), gated=str(tower.get("hidden_act")) == "silu")
    seen, every = _window(tower), tower.listed("fullatt_block_indexes")
    whole = min(len(every), depth) if seen and every else depth
    found = [Layers(count=whole, mixer=full, feed_forward=product)]
    if whole < depth:
        mixer = replace(full, kind=WINDOW, window=seen)
        found.append(Layers(count=depth - whole, mixer=mixer, feed_forward=product))
    return tuple(found)


def _inside(tower: Fields, width: int) -> int:
    """Columns inside a layer's product."""
    out = tower.whole(*OUT)
    if str(tower.get("model_type")).startswith(AS_WIDE_AS_OUT) and out:
        return out
    return tower.whole(*INSIDE, at_least=1) or _ratio(tower) * width


def _window(tower: Fields) -> int:
    """Patches beside a patch in a window of Qwen2.5-VL's tower, which is said in pixels along its side; 0 for none."""
    pixels, side = tower.whole("window_size", at_least=1), _side(tower)
    return (pixels // side) ** 2 - 1 if pixels and side and pixels >= 2 * side else 0


def _is_pooled(tower: Fields) -> bool:
    """Whether SigLIP's head, one more layer of attention to a learnt query, follows the layers."""
    named = str(tower.get("model_type"))
    return named.startswith("siglip_") and tower.flag("vision_use_head") is not False


def _ratio(tower: Fields) -> int:
    said = tower.get("mlp_ratio")
    return round(said) if isinstance(said, int | float) and 0 < said <= 64 else USUAL_RATIO


def _side(tower: Fields) -> int:
    """Pixels along a patch; of a pair the first."""
    said = tower.own.get("patch_size")
    if isinstance(said, list) and said and isinstance(said[0], int) and 0 < said[0] <= 1024:
        return said[0]
    return tower.whole("patch_size", at_least=1, at_most=1024) or 0


def _ends(tower: Fields, width: int) -> int:
    """The product that takes in a patch, and those that hand groups of them to the language model."""
    side = _side(tower)
    channels = tower.whole("in_channels", "num_channels") or 3
    patches = channels * side**2 * (tower.whole("temporal_patch_size", at_most=64) or 1) * width
    merged = width * (tower.whole("spatial_merge_size", at_least=1, at_most=64) or 1) ** 2
    return patches + merged * (merged + (tower.whole(*OUT) or width))
