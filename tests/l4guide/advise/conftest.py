"""Machines to ask about, none of them this one."""

from collections.abc import Callable

import pytest

from l4guide.measure.probe import Attached, Machine
from l4guide.measure.toolchain import TorchBuild


@pytest.fixture
def l4() -> Attached:
    """An attached L4."""
    return Attached(
        index=0,
        name="NVIDIA L4",
        catalogue_name="L4",
        uuid="GPU-00000000",
        capability="8.9",
        driver="580.95.05",
        memory_total_mib=22888,
        memory_used_mib=400,
        memory_free_mib=22488,
        sm_clock_mhz=210,
        max_sm_clock_mhz=2040,
        memory_clock_mhz=6251,
        power_w=31.5,
        power_limit_w=72.0,
        temperature_c=47,
    )


@pytest.fixture
def machine_of() -> Callable[..., Machine]:
    """A function that makes a machine with these cards, and what else it is told."""

    def make(
        *cards: Attached,
        libraries: tuple[tuple[str, str], ...] = (),
        torch: TorchBuild | None = None,
        python: str = "3.12.4",
        nvcc: str | None = None,
    ) -> Machine:
        return Machine(
            python=python,
            platform="Linux",
            driver=cards[0].driver if cards else None,
            cuda="13.0" if cards else None,
            nvcc=nvcc,
            torch=torch,
            gpus=cards,
            libraries=libraries,
        )

    return make
