"""One source, card, model, price or other name of the catalogue.

Units are in the names. An unknown value is None, never a guess; a value that no source prints, but that
follows from others, is listed in `inferred`.
"""

from datetime import date
from functools import cache

from l4guide.frozen import frozen

#: The status of a preset whose config.json is at hand.
CONFIG = "config"


@frozen
class Source:
    """Where a fact was read: a public page or file that anyone can open."""

    key: str
    title: str
    publisher: str
    url: str
    as_of: date


@cache
def _number(capability: str | None) -> int | None:
    """A compute capability without its point: 89 for "8.9"."""
    return int(capability.replace(".", "")) if capability else None


@frozen
class Gpu:
    """One card. Peak rates are dense (no sparsity).

    `tensor_16bit_tflops` accumulates in fp32; a card that has none has no tensor cores.
    """

    name: str
    vendor: str
    architecture: str
    capability: str | None
    sm_count: int
    boost_mhz: int | None
    tensor_16bit_tflops: float | None
    #: What the peak must come to per clock and SM, mostly 512 to 4096; a sparse or halved peak misses it.
    tensor_flop_per_clock_per_sm: int | None
    bf16_tensor_cores: bool
    fp8_tflops: float | None
    int8_tops: float | None
    fp32_tflops: float | None
    memory_gb: float
    usable_memory_mib: int | None
    memory_type: str
    bandwidth_gb_per_s: float
    l2_mb: float | None
    shared_kib_per_sm: int | None
    shared_bytes_per_block: int | None
    registers_per_sm: int | None
    max_threads_per_sm: int | None
    max_blocks_per_sm: int | None
    tdp_w: int | None
    pcie_gen: int | None
    nvlink_gb_per_s: float | None
    form_factor: str
    #: GEMM rate that others measured at large sizes, lowest and highest; None where nobody published one.
    gemm_bf16_tflops_low: float | None
    gemm_bf16_tflops_high: float | None
    gemm_fp16_tflops_low: float | None
    gemm_fp16_tflops_high: float | None
    gemm_note: str
    inferred: tuple[str, ...]
    #: Fields whose source is quoted by others but could not be opened itself.
    unverified: tuple[str, ...]
    disagreements: str
    sources: tuple[str, ...]
    #: What the user said of it in place of what is listed, by field; empty for a card as it is listed.
    own: tuple[str, ...] = ()
    #: The listed card of which it is a part, or that the user changed; None for every other.
    base: str | None = None

    @property
    def arch(self) -> int | None:
        """The compute capability as a number, 89 for "8.9"; None for cards that are not NVIDIA's."""
        return _number(self.capability)


@frozen
class Component:
    """One attention stack of a model: its language model, or a vision or audio tower."""

    name: str
    layers: int | None
    hidden: int | None
    heads: int | None
    kv_heads: int | None
    head_dim: int | None
    head_dim_v: int | None
    kind: str
    causal: bool | None
    window: str
    max_context: int | None
    #: KV cache of one token in 16-bit: over all layers, and over those that keep the whole history.
    kv_bytes_per_token: int | None
    kv_bytes_per_token_full_layers: int | None
    inferred: tuple[str, ...]
    unverified: tuple[str, ...]
    note: str
    sources: tuple[str, ...]


@frozen
class Model:
    """A model preset. A component whose shape nobody published has None in its shape fields.

    `status` says how its shapes are known: config (its own config.json, which `data/configs` holds: its one component
    here has no name and no shape), found (its own config), family (the config of a model that its makers call the same
    architecture), stand-in (offered in place of one that nobody described), not-found.
    """

    name: str
    status: str
    parameters_billion: float | None
    active_parameters_billion: float | None
    weight_dtype: str | None
    inferred: tuple[str, ...]
    components: tuple[Component, ...]


@frozen
class Price:
    """A published list price per GPU-hour on one day. `pricing` is on-demand, spot or marketplace."""

    gpu: str
    provider: str
    pricing: str
    usd_per_hour: float
    median_usd_per_hour: float | None
    max_usd_per_hour: float | None
    gpus_per_instance: int | None
    instance: str
    region: str
    as_of: date
    note: str
    source: str


@frozen
class Instance:
    """A virtual or bare machine that a provider rents out with so many cards, or with a part of one.

    `part` is a fraction such as "1/8", empty for whole cards.
    """

    instance: str
    provider: str
    gpu: str
    count: int
    part: str
    vcpus: int | None
    host_memory_gib: float | None
    source: str


@frozen
class Alias:
    """Another way to write a name; `assumed` where it leaves the card form open and `name` is our choice."""

    alias: str
    name: str
    assumed: bool
