"""Layers with a state of constant size: gated delta rule, Mamba 1 and 2, short convolutions, linear recurrence."""

from l4guide.model.architecture import LINEAR, Mixer
from l4guide.model.fields import Fields

HIDDEN = ("hidden_size", "n_embd", "d_model", "dim")
#: Spellings of a state-space layer: Jamba's and Bamba's, then Mamba's own.
STATE = ("mamba_d_state", "ssm_state_size", "state_size")
HEADS = ("mamba_n_heads", "n_mamba_heads", "mamba_num_heads")
HEAD_DIM = ("mamba_d_head", "mamba_head_dim", "mamba_headdim")
GROUPS = ("mamba_n_groups", "mamba_ngroups", "n_groups")
KERNEL = ("mamba_d_conv", "conv_kernel", "d_conv")
EXPAND = ("mamba_expand", "expand")
#: No inside is so many times as wide as the hidden state.
MOST_FACTOR = 64
RANK = ("mamba_dt_rank", "time_step_rank")


def linear(fields: Fields) -> Mixer | None:
    """The layer with a state that the fields spell; None where they spell none that is known.

    Raises:
        BadInput: a field is malformed or out of limits.
    """
    found = _delta(fields) or _convolution(fields) or _recurrence(fields)
    return found or _receptance(fields) or _matrix_memory(fields) or _state_space(fields)


def _delta(fields: Fields) -> Mixer | None:
    key_heads, key_dim = fields.whole("linear_num_key_heads"), fields.whole("linear_key_head_dim")
    value_heads, value_dim = fields.whole("linear_num_value_heads"), fields.whole("linear_value_head_dim")
    if not (key_heads and key_dim and value_heads and value_dim):
        return None
    keys, values = key_heads * key_dim, value_heads * value_dim
    kernel = fields.whole("linear_conv_kernel_dim") or 0
    channels = 2 * keys + values
    return Mixer(
        kind=LINEAR,
        columns_in=2 * keys + 2 * values + 2 * value_heads,
        columns_out=values,
        inner_weights=channels * kernel,
        state_elements=value_heads * key_dim * value_dim + channels * kernel,
    )


def _convolution(fields: Fields) -> Mixer | None:
    """LFM2: three gates around a convolution of a few tokens."""
    kernel = fields.whole("conv_L_cache")
    if not kernel:
        return None
    wide = fields.needed(*HIDDEN)
    return Mixer(
        kind=LINEAR,
        columns_in=3 * wide,
        columns_out=wide,
        inner_weights=wide * kernel,
        state_elements=wide * kernel,
    )


def _recurrence(fields: Fields) -> Mixer | None:
    """Griffin: two branches, a convolution, and gates that are block-diagonal by head."""
    kernel = fields.whole("conv1d_width")
    if not kernel:
        return None
    wide = fields.whole("lru_width") or fields.needed(*HIDDEN)
    heads = fields.needed("num_attention_heads")
    return Mixer(
        kind=LINEAR,
        columns_in=2 * wide,
        columns_out=wide,
        inner_weights=wide * kernel + 2 * wide * wide // heads + 2 * wide,
        state_elements=wide + wide * (kernel - 1),
    )


def _receptance(fields: Fields) -> Mixer | None:
    """RWKV: keys, values and a receptance of the token and the one before it, and a receptance of the product."""
    if fields.get("rescale_every") is None:
        return None
    hidden = fields.needed(*HIDDEN)
    wide = fields.whole("attention_hidden_size", at_least=1) or hidden
    # The token before, for mixer and product, is kept as the weights are; the sums of the mixer in fp32.
    kept = 2 * hidden + 3 * wide
    return Mixer(
        kind=LINEAR,
        columns_in=3 * wide,
        columns_out=wide,
        inner_weights=2 * wide + 5 * hidden + hidden * hidden,
        state_elements=kept,
        state_element_bytes=(2 * 2 * hidden + 4 * 3 * wide) / kept,
    )


def _matrix_memory(fields: Fields) -> Mixer | None:
    """xLSTM: a matrix a head, with a normaliser and a maximum, and gates of input, forgetting and output."""
    if fields.get("chunkwise_kernel") is None:
        return None
    hidden, heads = fields.needed(*HIDDEN), fields.needed("num_heads")
    keys = int(hidden * (_factor(fields, "qk_dim_factor") or 0.5))
    values = int(hidden * (_factor(fields, "v_dim_factor") or 1))
    return Mixer(
        kind=LINEAR,
        columns_in=2 * keys + 2 * values + 2 * heads,
        columns_out=values,
        state_elements=keys * values // heads + keys + heads,
    )


def _factor(fields: Fields, name: str) -> float | None:
    said = fields.get(name)
    return float(said) if isinstance(said, int | float) and 0 < said <= MOST_FACTOR else None


def _state_space(fields: Fields) -> Mixer | None:
    states = fields.whole(*STATE)
    if not states:
        return None
    hidden, kernel = fields.needed(*HIDDEN), fields.whole(*KERNEL) or 4
    heads, wide = _heads(fields)
    if not heads:
        return _mamba1(fields, hidden, states, kernel)
    inner = fields.whole("mamba_d_ssm") or heads * wide
    groups = fields.whole(*GROUPS) or 1
    channels = inner + 2 * groups * states
    return Mixer(
        kind=LINEAR,
        columns_in=inner + channels + heads,
        columns_out=inner,
        inner_weights=channels * kernel,
        state_elements=inner * states + channels * kernel,
    )


def _heads(fields: Fields) -> tuple[int, int]:
    """Heads of Mamba 2 and their width; none in Mamba 1."""
    heads, wide = fields.whole(*HEADS), fields.whole(*HEAD_DIM)
    if heads and fields.whole("n_mamba_heads") and fields.whole("mamba_ngroups"):
        # Zamba 2's heads share what its expansion makes, whatever it says of their width.
        return heads, (fields.whole(*EXPAND) or 2) * fields.needed(*HIDDEN) // heads
    if fields.says("time_step_rank") and fields.whole("num_heads") and fields.whole("head_dim"):
        return fields.whole("num_heads") or 0, fields.whole("head_dim") or 0
    return (heads, wide) if heads and wide else (0, 0)


def _mamba1(fields: Fields, hidden: int, states: int, kernel: int) -> Mixer:
    inner = (fields.whole(*EXPAND) or 2) * hidden
    if not fields.says("mamba_d_state") and fields.says("intermediate_size"):
        inner = fields.needed("intermediate_size")
    rank = fields.whole(*RANK) or -(-hidden // 16)
    return Mixer(
        kind=LINEAR,
        columns_in=2 * inner,
        columns_out=inner,
        inner_weights=inner * (kernel + rank + 2 * states + rank + states + 3),
        state_elements=inner * (states + kernel),
    )
