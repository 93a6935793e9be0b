"""What must hold for every card, so that a sparse, halved or misplaced number cannot slip in."""

from dataclasses import replace

import pytest

from l4guide.catalogue import Gpu, gpu, gpus

#: FLOP per clock and SM with fp32 accumulation; where two are possible, each product has its own, and where
#: there is none the architecture has no tensor cores.
RATES: dict[str, set[int]] = {
    "Maxwell": set(),
    "Pascal": set(),
    "Volta": {1024},
    "Turing": {512, 1024},
    "Ampere 8.0": {2048},
    "Ampere 8.6": {512, 1024},
    "Ada": {512, 1024},
    "Hopper": {4096},
    "Blackwell 10.0": {8192},
    "Blackwell 12.0": {512, 1024},
    "Blackwell 12.1": {512, 1024},
    "Blackwell Ultra": {8192},
    "CDNA3": {2048},
}

#: Cards whose boost clock is not the clock of their stated peak, and what the peak reads as.
OTHER_CLOCK = {"H100 PCIe": 3781, "H100 NVL": 3546, "H200 NVL": 3546, "B200 SXM": 7737, "RTX 4000 Ada": 784}

SHARED_BYTES = {
    "5.2": 49_152,
    "6.0": 49_152,
    "7.0": 98_304,
    "7.5": 65_536,
    "8.0": 166_912,
    "8.6": 101_376,
    "8.9": 101_376,
    "9.0": 232_448,
    "10.0": 232_448,
    "10.3": 232_448,
    "12.0": 101_376,
    "12.1": 101_376,
}


def rates(card: Gpu) -> set[int]:
    """The FLOP per clock and SM that the card's architecture can do."""
    alone = RATES.get(card.architecture)
    return RATES[f"{card.architecture} {card.capability}"] if alone is None else alone


def flop_per_clock(card: Gpu) -> float | None:
    """What the stated peak comes to per clock and SM."""
    if card.tensor_16bit_tflops is None or card.boost_mhz is None:
        return None
    return card.tensor_16bit_tflops * 1e6 / (card.sm_count * card.boost_mhz)


def peak_is_dense(card: Gpu) -> bool:
    """Whether the stated peak is one that the card can do per clock, within 1.5 %."""
    reads = flop_per_clock(card)
    expected = card.tensor_flop_per_clock_per_sm
    if reads is None or expected is None:
        return reads is None and expected is None
    known = expected == OTHER_CLOCK.get(card.name) or expected in rates(card)
    return known and abs(reads / expected - 1) < 0.015


EVERY = pytest.mark.parametrize("card", gpus(), ids=lambda card: card.name)


def test_every_generation_has_its_cards_and_none_twice() -> None:
    """From Volta to Blackwell, to rent, under a desk and from AMD; each name stands once."""
    names = [card.name for card in gpus()]
    assert len(names) == len(set(names))
    rented = {
        "L4",
        "T4",
        "L40S",
        "A10",
        "A100-40GB-SXM",
        "A100-80GB-SXM",
        "H100 SXM",
        "H200 SXM",
        "B200 SXM",
        "MI300X",
    }
    assert rented | {"RTX 3090", "RTX 4090", "RTX 5090"} <= set(names)
    nvidia = {card.capability for card in gpus() if card.vendor == "NVIDIA"}
    assert {"7.0", "7.5", "8.0", "8.6", "8.9", "9.0", "10.0", "12.0", "12.1"} <= nvidia


@EVERY
def test_peak_agrees_with_clock(card: Gpu) -> None:
    """The stated tensor peak is what SMs, clock and architecture can do without sparsity."""
    assert peak_is_dense(card), f"{card.name} reads {flop_per_clock(card)} FLOP per clock and SM"


@pytest.mark.parametrize("factor", [0.5, 2, 4])
@pytest.mark.parametrize(
    "name",
    [
        "L4",
        "A10G",
        "A100-80GB-SXM",
        "A800-80GB-SXM",
        "RTX 4090",
        "H100 SXM",
        "H100 PCIe",
        "B200 SXM",
        "Quadro RTX 6000",
    ],
)
def test_a_sparse_or_halved_peak_is_exposed(name: str, factor: float) -> None:
    """The check fails for a doubled (sparse) or halved peak: for the L4, 242 or 60.5 in place of 121."""
    card = gpu(name)
    assert card.tensor_16bit_tflops is not None
    assert not peak_is_dense(replace(card, tensor_16bit_tflops=card.tensor_16bit_tflops * factor))


def test_a_sparse_l4_is_exposed_even_with_its_rate_changed() -> None:
    """Writing 2048 beside the sparse 242 does not help, since no Ada card does that."""
    assert not peak_is_dense(replace(gpu("L4"), tensor_16bit_tflops=242.0, tensor_flop_per_clock_per_sm=2048))


@EVERY
def test_cards_off_their_clock_are_explained(card: Gpu) -> None:
    """Only the cards known for it read as something other than a hardware rate."""
    expected = card.tensor_flop_per_clock_per_sm
    assert (card.name in OTHER_CLOCK) == (expected is not None and expected not in rates(card))


@EVERY
def test_shared_memory_follows_the_compute_capability(card: Gpu) -> None:
    """Blocks of one compute capability can opt in to the same bytes; AMD's card has no such figure."""
    expected = SHARED_BYTES[card.capability] if card.capability else None
    assert expected == card.shared_bytes_per_block
    if card.arch is not None and card.arch < 70:
        assert card.shared_bytes_per_block == 48 * 1024  # before Volta no block could opt in to more
    elif card.shared_bytes_per_block and card.shared_kib_per_sm:
        reserved = card.shared_kib_per_sm * 1024 - card.shared_bytes_per_block
        assert reserved in {0, 1024}


def test_usable_memory_of_the_l4() -> None:
    """An L4 on EC2 has 22,888 MiB, not the 24,576 it is sold with."""
    assert 22_888 == gpu("L4").usable_memory_mib


@EVERY
def test_usable_memory_is_less_than_sold(card: Gpu) -> None:
    """What a program finds is below the advertised size, but above nine tenths of it."""
    if card.usable_memory_mib is not None:
        assert card.usable_memory_mib < card.memory_gb * 1024
        assert card.usable_memory_mib * 2**20 > 0.9 * card.memory_gb * 1e9


@EVERY
def test_ranges(card: Gpu) -> None:
    """Every figure is in the range of cards from 2015 to 2026."""
    assert 10 <= card.sm_count <= 304
    assert card.tensor_16bit_tflops is None or 17 <= card.tensor_16bit_tflops <= 2500
    assert 200 <= card.bandwidth_gb_per_s <= 8000
    assert 11 <= card.memory_gb <= 288
    assert card.boost_mhz is None or 1100 <= card.boost_mhz <= 2700
    assert card.tdp_w is None or 60 <= card.tdp_w <= 1400
    assert card.pcie_gen in {None, 3, 4, 5, 6}
    assert card.l2_mb is None or 2 <= card.l2_mb <= 128
    assert card.registers_per_sm in {None, 65_536}
    assert card.max_blocks_per_sm in {None, 16, 24, 32}
    assert card.max_threads_per_sm in {None, 1024, 1536, 2048}
    assert card.form_factor
    assert card.memory_type


@EVERY
def test_measured_rates_are_below_the_peak(card: Gpu) -> None:
    """Measured rates are ordered, and at most a sixth above the peak, since cards boost above its clock."""
    for low, high in (
        (card.gemm_bf16_tflops_low, card.gemm_bf16_tflops_high),
        (card.gemm_fp16_tflops_low, card.gemm_fp16_tflops_high),
    ):
        assert (low is None) == (high is None)
        if low is not None and high is not None:
            assert card.tensor_16bit_tflops is not None
            assert low <= high < 1.16 * card.tensor_16bit_tflops


def test_the_l4_cannot_hold_its_peak() -> None:
    """The sustained bf16 rate is 54.9 to 59.4 TFLOP/s; the 70.9 of one small size stays in the note."""
    card = gpu("L4")
    assert (54.9, 59.4) == (card.gemm_bf16_tflops_low, card.gemm_bf16_tflops_high)
    assert "70.9" in card.gemm_note


@EVERY
def test_bf16_without_tensor_cores_is_slow(card: Gpu) -> None:
    """Cards before Ampere have no bf16 tensor cores; every later card has."""
    assert (card.architecture not in {"Maxwell", "Pascal", "Volta", "Turing"}) == card.bf16_tensor_cores
    if not card.bf16_tensor_cores and card.gemm_bf16_tflops_high is not None:
        assert card.gemm_bf16_tflops_high < (card.fp32_tflops or 0)


@EVERY
def test_fp8_comes_with_ada_and_hopper(card: Gpu) -> None:
    """A card before Ada states no fp8 rate, and where one is stated it is twice the 16-bit rate."""
    if card.fp8_tflops is not None:
        assert card.arch is None or card.arch >= 89
        assert card.tensor_16bit_tflops is not None
        assert 1.97 < card.fp8_tflops / card.tensor_16bit_tflops < 2.04


def test_int8_is_cut_on_b300() -> None:
    """The B300 does int8 at a thirtieth of its fp8 rate, so int8 attention loses there."""
    card = gpu("B300 SXM")
    assert card.int8_tops is not None
    assert card.fp8_tflops is not None
    assert card.int8_tops < card.fp8_tflops / 29


def test_a10g_is_not_an_a10() -> None:
    """The A10G has 80 SMs at half rate, the A10 72 at full rate."""
    assert (80, 70.0) == (gpu("A10G").sm_count, gpu("A10G").tensor_16bit_tflops)
    assert (72, 125.0) == (gpu("A10").sm_count, gpu("A10").tensor_16bit_tflops)


@EVERY
def test_no_peak_means_no_tensor_cores(card: Gpu) -> None:
    """Only architectures before Volta state no tensor rate."""
    assert (card.architecture in {"Maxwell", "Pascal"}) == (card.tensor_16bit_tflops is None)


@pytest.mark.parametrize(
    ("exported", "original"),
    [("A800-80GB-SXM", "A100-80GB-SXM"), ("H800 SXM", "H100 SXM"), ("H20", "H100 SXM")],
)
def test_an_export_card_has_the_limits_of_its_original(exported: str, original: str) -> None:
    """What was cut is NVLink or the tensor rate, not what a kernel may use of an SM."""
    card, like = gpu(exported), gpu(original)
    limits = ("capability", "shared_bytes_per_block", "registers_per_sm", "max_threads_per_sm", "memory_type")
    assert [getattr(like, name) for name in limits] == [getattr(card, name) for name in limits]
    assert card.tensor_16bit_tflops is not None
    assert like.tensor_16bit_tflops is not None
    slower_links = (card.nvlink_gb_per_s or 0) < (like.nvlink_gb_per_s or 0)
    assert slower_links != (card.tensor_16bit_tflops < like.tensor_16bit_tflops / 2)


@pytest.mark.parametrize(
    ("device", "name"),
    [
        ("NVIDIA A800-SXM4-80GB", "A800-80GB-SXM"),
        ("NVIDIA A800 80GB PCIe", "A800-80GB-PCIe"),
        ("NVIDIA H800", "H800 SXM"),
        ("NVIDIA H20", "H20"),
        ("NVIDIA L20", "L20"),
        ("NVIDIA GeForce RTX 4090 D", "RTX 4090 D"),
        ("NVIDIA RTX A6000", "RTX A6000"),
        ("NVIDIA RTX A5000", "RTX A5000"),
        ("NVIDIA GeForce RTX 2080 Ti", "RTX 2080 Ti"),
        ("Quadro RTX 6000", "Quadro RTX 6000"),
        ("Tesla P100-PCIE-16GB", "P100-PCIe-16GB"),
        ("Tesla P100-SXM2-16GB", "P100-SXM2-16GB"),
        ("Tesla M40", "M40 12GB"),
        ("Tesla M40 24GB", "M40 24GB"),
        ("NVIDIA RTX PRO 4500 Blackwell Server Edition", "RTX PRO 4500 Blackwell Server"),
        ("NVIDIA RTX PRO 4000 Blackwell SFF Edition", "RTX PRO 4000 Blackwell SFF"),
        ("NVIDIA GB10", "DGX Spark (GB10)"),
        ("NVIDIA GeForce RTX 5080", "RTX 5080"),
        ("NVIDIA GeForce RTX 4060 Ti", "RTX 4060 Ti 16GB"),
        ("NVIDIA RTX 4000 Ada Generation", "RTX 4000 Ada"),
        ("NVIDIA RTX A4000", "RTX A4000"),
        ("NVIDIA A2", "A2"),
        ("NVIDIA A16", "A16"),
    ],
)
def test_a_device_name_finds_its_card(device: str, name: str) -> None:
    """What the driver calls a card is understood."""
    assert name == gpu(device).name
