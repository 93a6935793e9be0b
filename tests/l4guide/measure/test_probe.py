"""What the probe reads from NVML, and what it does where there is nothing to read."""

import sys
from types import ModuleType, SimpleNamespace

import pytest

from l4guide.measure import probe

MIB = 1024 * 1024


class NvmlError(Exception):
    """Stands for pynvml.NVMLError."""


def fake_nvml(*names: str, refuses: tuple[str, ...] = ()) -> ModuleType:
    """A pynvml with one card of each name; the functions named in `refuses` raise."""
    answers = {
        "nvmlInit": lambda: None,
        "nvmlShutdown": lambda: None,
        "nvmlSystemGetDriverVersion": lambda: b"580.95.05",
        "nvmlSystemGetCudaDriverVersion": lambda: 13020,
        "nvmlDeviceGetCount": lambda: len(names),
        "nvmlDeviceGetHandleByIndex": lambda index: index,
        "nvmlDeviceGetName": lambda index: names[index],
        "nvmlDeviceGetUUID": lambda index: f"GPU-0000000{index}",
        "nvmlDeviceGetCudaComputeCapability": lambda index: (8, 9),
        "nvmlDeviceGetMemoryInfo": lambda index: SimpleNamespace(
            total=22888 * MIB, used=400 * MIB, free=22488 * MIB
        ),
        "nvmlDeviceGetClockInfo": lambda index, clock: {1: 1410, 2: 6251}[clock],
        "nvmlDeviceGetMaxClockInfo": lambda index, clock: 2040,
        "nvmlDeviceGetPowerUsage": lambda index: 31_500 + index,
        "nvmlDeviceGetPowerManagementLimit": lambda index: 72_000,
        "nvmlDeviceGetTemperature": lambda index, sensor: 47,
    }
    module = ModuleType("pynvml")
    constants = {"NVML_CLOCK_SM": 1, "NVML_CLOCK_MEM": 2, "NVML_TEMPERATURE_GPU": 0, "NVMLError": NvmlError}

    def refuse(*_: object) -> None:
        raise NvmlError("Not Supported")

    module.__dict__.update(constants)
    module.__dict__.update({name: refuse if name in refuses else a for name, a in answers.items()})
    return module


def test_one_card_is_described(monkeypatch: pytest.MonkeyPatch) -> None:
    """An attached L4 is found with its catalogue name, capability, memory, clocks and power."""
    monkeypatch.setitem(sys.modules, "pynvml", fake_nvml("NVIDIA L4"))
    (card,) = probe.attached()
    assert ("NVIDIA L4", "L4", "8.9", 89) == (card.name, card.catalogue_name, card.capability, card.arch)
    assert (22888, 400, 22488) == (card.memory_total_mib, card.memory_used_mib, card.memory_free_mib)
    assert (1410, 2040, 6251) == (card.sm_clock_mhz, card.max_sm_clock_mhz, card.memory_clock_mhz)
    assert (31.5, 72.0, 47, "580.95.05") == (
        card.power_w,
        card.power_limit_w,
        card.temperature_c,
        card.driver,
    )


def test_two_cards_keep_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two cards are listed in the driver's order; an unlisted one has no catalogue name."""
    monkeypatch.setitem(sys.modules, "pynvml", fake_nvml("NVIDIA L4", "NVIDIA Experimental 9"))
    cards = probe.attached()
    assert [(0, "L4"), (1, None)] == [(card.index, card.catalogue_name) for card in cards]


def test_what_a_card_does_not_tell_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sensor, memory or capability that NVML refuses is None and the rest is still there."""
    refuses = ("nvmlDeviceGetPowerUsage", "nvmlDeviceGetMemoryInfo", "nvmlDeviceGetCudaComputeCapability")
    monkeypatch.setitem(sys.modules, "pynvml", fake_nvml("NVIDIA L4", refuses=refuses))
    (card,) = probe.attached()
    assert (None, None, None, None) == (card.power_w, card.memory_total_mib, card.capability, card.arch)
    assert "L4" == card.catalogue_name


@pytest.mark.parametrize("refuses", [("nvmlInit",), ("nvmlDeviceGetCount",), ("nvmlDeviceGetHandleByIndex",)])
def test_no_driver_or_card_is_no_gpu(monkeypatch: pytest.MonkeyPatch, refuses: tuple[str, ...]) -> None:
    """Without a driver, or with one that lists no card, nothing is attached and nothing raises."""
    monkeypatch.setitem(sys.modules, "pynvml", fake_nvml("NVIDIA L4", refuses=refuses))
    assert () == probe.attached()


def test_no_binding_is_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without NVML's Python binding nothing is attached and no sensor can be read."""
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert () == probe.attached()
    assert probe.reader() is None


def test_reader_follows_the_uuid(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sensors are read from the card that torch uses, named by UUID without NVML's prefix."""
    monkeypatch.setitem(sys.modules, "pynvml", fake_nvml("NVIDIA L4", "NVIDIA L4"))
    read = probe.reader("00000001")
    assert read is not None
    assert probe.Reading(sm_clock_mhz=1410, power_w=31.501, temperature_c=47) == read()
    assert probe.reader("00000007") is None


def test_machine_lists_installed_libraries_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Versions come from metadata: an installed library has one, a missing one is not listed."""
    versions = {"torch": "2.11.0", "flash-attn": "2.8.3"}

    monkeypatch.setitem(sys.modules, "pynvml", fake_nvml("NVIDIA L4"))
    monkeypatch.setattr("l4guide.measure.probe.version_of", versions.get)
    machine = probe.machine()
    assert (("torch", "2.11.0"), ("flash-attn", "2.8.3")) == machine.libraries
    assert ("580.95.05", "13.2", "2.8.3", None) == (
        machine.driver,
        machine.cuda,
        machine.version("flash-attn"),
        machine.version("xformers"),
    )
