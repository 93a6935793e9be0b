"""The CUDA driver itself, by ctypes: PTX loaded, a kernel launched with its arguments as Triton lays them out.

Triton's own loader takes a binary for the very card that it runs on; PTX for an older one is compiled anew by the
driver, which is how an L4's code runs on whatever newer card is there (`foreign`). Importing this touches no driver.
"""

import ctypes
import struct
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

_STATIC_SHARED_BYTES = 48 * 1024
_MAX_DYNAMIC_SHARED_SIZE_BYTES = 8  # CU_FUNC_ATTRIBUTE_…
_ERROR_LOG_BUFFER, _ERROR_LOG_BUFFER_SIZE_BYTES = 5, 6  # CU_JIT_…
_LOG_BYTES = 8192
_THREADS_PER_WARP = 32

_INTEGERS: dict[str, Any] = {
    "i1": ctypes.c_int8,
    "i8": ctypes.c_int8,
    "i16": ctypes.c_int16,
    "i32": ctypes.c_int32,
    "i64": ctypes.c_int64,
    "u1": ctypes.c_uint8,
    "u8": ctypes.c_uint8,
    "u16": ctypes.c_uint16,
    "u32": ctypes.c_uint32,
    "u64": ctypes.c_uint64,
}


class DriverError(RuntimeError):
    """The CUDA driver is not there, or refused a call; says which and in its own words."""


def packed(signature: Sequence[object], values: Sequence[object], *, scratch_pointers: int = 2) -> list[Any]:
    """Arguments of a compiled kernel as the driver takes them, in order.

    Args:
        signature: Triton's type of each parameter: "constexpr", "*fp16", "i32", "fp32" …, a tuple of them for a
            tuple.
        values: A value for each: tensors or addresses for pointers (None is the null pointer), numbers, tuples.
        scratch_pointers: Pointers to scratch memory that every kernel ends in: two from Triton 3.5 on, one before.

    Returns:
        One ctypes value each for all that is not known at compile time, tuples flattened, and then the pointers to
        scratch memory, which are null.

    Raises:
        TypeError: A type is not one that these kernels have, such as a tensor descriptor.
    """
    return [*_flat(signature, values), *(ctypes.c_uint64(0) for _ in range(scratch_pointers))]


def _flat(signature: Sequence[object], values: Sequence[object]) -> Iterator[Any]:
    for kind, value in zip(signature, values, strict=True):
        if isinstance(kind, tuple):
            assert isinstance(value, tuple)
            yield from _flat(kind, value)
        elif kind != "constexpr":
            yield _one(str(kind), value)


def _one(kind: str, value: Any) -> Any:  # noqa: ANN401 - whatever a kernel takes
    if kind.startswith("*"):
        address = 0 if value is None else value if isinstance(value, int) else value.data_ptr()
        return ctypes.c_uint64(address)
    if kind in _INTEGERS:
        return _INTEGERS[kind](int(value))
    if kind in ("fp32", "f32"):
        return ctypes.c_float(value)
    if kind == "fp64":
        return ctypes.c_double(value)
    if kind == "fp16":
        return ctypes.c_uint16(*struct.unpack("<H", struct.pack("<e", value)))
    if kind == "bf16":  # Triton's launcher cuts off the lower half too
        return ctypes.c_uint16(struct.unpack("<I", struct.pack("<f", value))[0] >> 16)
    raise TypeError(f"a kernel argument of type {kind} cannot be packed: only pointers and numbers can")


class PtxKernel:
    """One function of a PTX text, compiled by the driver for the current card.

    Args:
        ptx: The assembly, for this card's architecture or an older one.
        name: The function in it.
        shared_bytes: Dynamic shared memory of one program.

    Raises:
        DriverError: The driver refuses it; says the driver's log.
    """

    def __init__(self, ptx: str, name: str, *, shared_bytes: int) -> None:
        self._shared_bytes = shared_bytes
        self._module, self._function = ctypes.c_void_p(), ctypes.c_void_p()
        _ensure_context()
        log = ctypes.create_string_buffer(_LOG_BYTES)
        options = (ctypes.c_int * 2)(_ERROR_LOG_BUFFER, _ERROR_LOG_BUFFER_SIZE_BYTES)
        settings = (ctypes.c_void_p * 2)(ctypes.addressof(log), _LOG_BYTES)
        image = ctypes.c_char_p(ptx.encode())
        try:
            _call("cuModuleLoadDataEx", ctypes.byref(self._module), image, 2, options, settings)
        except DriverError as refusal:
            said = log.value.decode(errors="replace").strip()
            raise DriverError(f"{refusal}{': ' if said else ''}{said}") from None
        _call("cuModuleGetFunction", ctypes.byref(self._function), self._module, name.encode())
        if shared_bytes > _STATIC_SHARED_BYTES:
            _call("cuFuncSetAttribute", self._function, _MAX_DYNAMIC_SHARED_SIZE_BYTES, shared_bytes)

    def launch(
        self, grid: tuple[int, int, int], *, warps: int, arguments: Sequence[Any], stream: int = 0
    ) -> None:
        """Start it on `stream` with `packed` arguments; an empty grid starts nothing.

        Raises:
            DriverError: The driver refuses the launch.
        """
        if 0 in grid:
            return
        _ensure_context()
        addresses = (ctypes.c_void_p * len(arguments))(*(ctypes.addressof(one) for one in arguments))
        threads = (warps * _THREADS_PER_WARP, 1, 1)
        stream_handle = ctypes.c_void_p(stream)
        shared = self._shared_bytes
        _call("cuLaunchKernel", self._function, *grid, *threads, shared, stream_handle, addresses, None)


def _ensure_context() -> None:
    """Make the first card's primary context this thread's, as PyTorch's threads have it, where it has none."""
    context, device = ctypes.c_void_p(), ctypes.c_int()
    _call("cuCtxGetCurrent", ctypes.byref(context))
    if not context.value:
        _call("cuDeviceGet", ctypes.byref(device), 0)
        _call("cuDevicePrimaryCtxRetain", ctypes.byref(context), device)
        _call("cuCtxSetCurrent", context)


def _call(name: str, *arguments: object) -> None:
    cuda = _cuda()
    status = getattr(cuda, name)(*arguments)
    if status != 0:
        reason = ctypes.c_char_p()
        cuda.cuGetErrorString(status, ctypes.byref(reason))
        said = reason.value.decode() if reason.value else "unknown"
        raise DriverError(f"{name} failed with error {status} ({said})")


@cache
def _cuda() -> Any:  # noqa: ANN401 - ctypes looks its functions up by name
    try:
        cuda = ctypes.CDLL("libcuda.so.1")
    except OSError as missing:
        raise DriverError(f"no NVIDIA driver here ({missing}): this needs a GPU") from missing
    status = cuda.cuInit(0)
    if status != 0:
        raise DriverError(f"cuInit failed with error {status}: the NVIDIA driver sees no usable GPU")
    return cuda


@cache
def driver_version() -> str:
    """The NVIDIA driver's version as NVML names it, such as "580.95.05"; "unknown" where it does not tell."""
    version = ctypes.create_string_buffer(80)
    try:
        nvml = ctypes.CDLL("libnvidia-ml.so.1")
    except OSError:
        return "unknown"
    if nvml.nvmlInit_v2() != 0 or nvml.nvmlSystemGetDriverVersion(version, len(version)) != 0:
        return "unknown"
    return version.value.decode()
