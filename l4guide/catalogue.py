"""Facts under `data/` as frozen records; the one reader of that folder.

Units are in the names. An unknown value is None, never a guess; a value that its source did not print but that
follows from others is listed in `inferred`.
"""

from dataclasses import dataclass
from datetime import date


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where a fact was read: a public page or file that anyone can open."""

    key: str
    title: str
    publisher: str
    url: str
    as_of: date


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """One card. Peak rates are dense (no sparsity); `tensor_16bit_tflops` accumulates in fp32."""

    name: str
    vendor: str
    architecture: str
    capability: str | None
    sm_count: int
    boost_mhz: int | None
    tensor_16bit_tflops: float
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
    #: Sustained GEMM rate that others measured, lowest and highest of the large sizes; None where nobody published one.
    gemm_bf16_tflops_low: float | None
    gemm_bf16_tflops_high: float | None
    gemm_fp16_tflops_low: float | None
    gemm_fp16_tflops_high: float | None
    inferred: tuple[str, ...]
    disagreements: str
    sources: tuple[str, ...]

    @property
    def arch(self) -> int | None:
        """The compute capability as a number, 89 for "8.9"; None for cards that are not NVIDIA's."""
        return int(self.capability.replace(".", "")) if self.capability else None


@dataclass(frozen=True, slots=True, kw_only=True)
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
    inferred: tuple[str, ...]
    note: str
    sources: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A model preset. A component whose shape nobody published has None in its shape fields."""

    name: str
    parameters_billion: float | None
    active_parameters_billion: float | None
    weight_dtype: str | None
    components: tuple[Component, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
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
