"""What is attached to this machine: GPUs through NVML, library versions through package metadata.

Nothing here creates a CUDA context or imports a GPU library, so it may run inside a notebook kernel.
"""

import platform
from collections.abc import Callable
from functools import partial
from types import ModuleType
from typing import TypeVar

from l4guide import catalogue
from l4guide.distributions import version_of
from l4guide.errors import BadInput
from l4guide.frozen import frozen
from l4guide.measure.toolchain import TorchBuild, nvcc, torch_build

T = TypeVar("T")

#: The distributions whose versions decide which limits apply, in the order in which they are listed.
LIBRARIES = (
    "torch",
    "triton",
    "flash-attn",
    "flash-attn-3",
    "flash-attn-4",
    "xformers",
    "flashinfer-python",
    "sageattention",
    "transformer-engine",
    "vllm",
    "transformers",
)
MIB = 1024 * 1024


@frozen
class Attached:
    """One GPU that the driver sees; `catalogue_name` is None for a card that the catalogue does not list."""

    index: int
    name: str
    catalogue_name: str | None
    uuid: str | None
    capability: str | None
    driver: str | None
    memory_total_mib: int | None
    memory_used_mib: int | None
    memory_free_mib: int | None
    sm_clock_mhz: int | None
    max_sm_clock_mhz: int | None
    memory_clock_mhz: int | None
    power_w: float | None
    power_limit_w: float | None
    temperature_c: int | None

    @property
    def arch(self) -> int | None:
        """The compute capability as a number, 89 for "8.9"."""
        return int(self.capability.replace(".", "")) if self.capability else None


@frozen
class Machine:
    """What decides which limits apply here. `libraries` holds installed distributions only.

    `cuda` is the newest that the driver runs, `torch` how the installed PyTorch was built, `nvcc` where CUDA's
    compiler is, `machine` the processor as builds for it are named.
    """

    python: str
    platform: str
    machine: str = "x86_64"
    driver: str | None
    cuda: str | None = None
    nvcc: str | None = None
    torch: TorchBuild | None = None
    gpus: tuple[Attached, ...]
    libraries: tuple[tuple[str, str], ...]

    def version(self, library: str) -> str | None:
        """The installed version of one of `LIBRARIES`, None when it is not installed."""
        return dict(self.libraries).get(library)


@frozen
class Reading:
    """One moment of one GPU's life."""

    sm_clock_mhz: int | None
    power_w: float | None
    temperature_c: int | None


def attached() -> tuple[Attached, ...]:
    """The GPUs that NVML lists; empty without a driver, without a GPU and without NVML's Python binding."""
    nvml = _started_nvml()
    if nvml is None:
        return ()
    try:
        driver = _text(_ask(nvml, nvml.nvmlSystemGetDriverVersion))
        count = _ask(nvml, nvml.nvmlDeviceGetCount) or 0
        handles = [(i, _ask(nvml, nvml.nvmlDeviceGetHandleByIndex, i)) for i in range(count)]
        return tuple(_describe(nvml, i, handle, driver) for i, handle in handles if handle is not None)
    finally:
        _ask(nvml, nvml.nvmlShutdown)


def machine() -> Machine:
    """Everything that `l4guide doctor` starts from."""
    gpus = attached()
    return Machine(
        python=platform.python_version(),
        platform=platform.platform(),
        machine=platform.machine(),
        driver=gpus[0].driver if gpus else None,
        cuda=_driver_cuda(),
        nvcc=nvcc(),
        torch=torch_build(),
        gpus=gpus,
        libraries=libraries(),
    )


def _driver_cuda() -> str | None:
    """The newest CUDA that the driver runs, such as "13.0"; None without a driver."""
    nvml = _started_nvml()
    if nvml is None:
        return None
    try:
        number = _ask(nvml, nvml.nvmlSystemGetCudaDriverVersion)
    finally:
        _ask(nvml, nvml.nvmlShutdown)
    return f"{number // 1000}.{number % 1000 // 10}" if number else None


def libraries() -> tuple[tuple[str, str], ...]:
    """Installed distributions of `LIBRARIES` with their versions, read from metadata, none imported."""
    found = ((name, version_of(name)) for name in LIBRARIES)
    return tuple((name, version) for name, version in found if version is not None)


def reader(uuid: str | None = None) -> Callable[[], Reading] | None:
    """A function that reads clock, power and temperature of one GPU; None where NVML cannot be asked.

    Args:
        uuid: the GPU to read, with or without the leading "GPU-"; None takes the first.
    """
    nvml = _started_nvml()
    if nvml is None:
        return None
    count = _ask(nvml, nvml.nvmlDeviceGetCount) or 0
    wanted = uuid.removeprefix("GPU-") if uuid else None
    for index in range(count):
        handle = _ask(nvml, nvml.nvmlDeviceGetHandleByIndex, index)
        found = _text(_ask(nvml, nvml.nvmlDeviceGetUUID, handle))
        if wanted is None or (found or "").removeprefix("GPU-") == wanted:
            return partial(_read, nvml, handle)
    return None


def _started_nvml() -> ModuleType | None:
    """NVML, initialised; None where there is nothing to initialise."""
    try:
        import pynvml
    except ImportError:
        return None
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return None
    module: ModuleType = pynvml
    return module


def _ask(nvml: ModuleType, question: Callable[..., T], *args: object) -> T | None:
    """An answer of NVML, None where this card, driver or container does not give it."""
    try:
        return question(*args)
    except nvml.NVMLError:
        return None


def _text(value: str | bytes | None) -> str | None:
    """NVML bindings before 12 answered in bytes."""
    return value.decode() if isinstance(value, bytes) else value


def _read(nvml: ModuleType, handle: object) -> Reading:
    power_mw = _ask(nvml, nvml.nvmlDeviceGetPowerUsage, handle)
    return Reading(
        sm_clock_mhz=_ask(nvml, nvml.nvmlDeviceGetClockInfo, handle, nvml.NVML_CLOCK_SM),
        power_w=None if power_mw is None else power_mw / 1000,
        temperature_c=_ask(nvml, nvml.nvmlDeviceGetTemperature, handle, nvml.NVML_TEMPERATURE_GPU),
    )


def _describe(nvml: ModuleType, index: int, handle: object, driver: str | None) -> Attached:
    name = _text(_ask(nvml, nvml.nvmlDeviceGetName, handle)) or "NVIDIA GPU"
    capability = _ask(nvml, nvml.nvmlDeviceGetCudaComputeCapability, handle)
    memory = _ask(nvml, nvml.nvmlDeviceGetMemoryInfo, handle)
    limit_mw = _ask(nvml, nvml.nvmlDeviceGetPowerManagementLimit, handle)
    reading = _read(nvml, handle)
    return Attached(
        index=index,
        name=name,
        catalogue_name=catalogue_name(name),
        uuid=_text(_ask(nvml, nvml.nvmlDeviceGetUUID, handle)),
        capability=f"{capability[0]}.{capability[1]}" if capability else None,
        driver=driver,
        memory_total_mib=memory.total // MIB if memory else None,
        memory_used_mib=memory.used // MIB if memory else None,
        memory_free_mib=memory.free // MIB if memory else None,
        sm_clock_mhz=reading.sm_clock_mhz,
        max_sm_clock_mhz=_ask(nvml, nvml.nvmlDeviceGetMaxClockInfo, handle, nvml.NVML_CLOCK_SM),
        memory_clock_mhz=_ask(nvml, nvml.nvmlDeviceGetClockInfo, handle, nvml.NVML_CLOCK_MEM),
        power_w=reading.power_w,
        power_limit_w=None if limit_mw is None else limit_mw / 1000,
        temperature_c=reading.temperature_c,
    )


def catalogue_name(name: str) -> str | None:
    """The catalogue's name of the card that NVML calls `name`; None when it is not listed."""
    try:
        return catalogue.gpu(name).name
    except BadInput:
        return None
