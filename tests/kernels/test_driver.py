"""The CUDA driver's calls, held against a driver that only writes down what it is told."""

import ctypes
from typing import Any, NamedTuple

import pytest
import torch
from l4guide_kernels import driver
from l4guide_kernels.driver import DriverError, PtxKernel, packed


class Recorder:
    """Answers 0 to every call but those in `failing`, and keeps the calls."""

    def __init__(self, failing: dict[str, int] | None = None) -> None:
        self.calls: list[tuple[str, tuple[Any, ...]]] = []
        self.failing = failing or {}

    def __getattr__(self, name: str) -> Any:
        def call(*arguments: Any) -> int:
            self.calls.append((name, arguments))
            if name == "cuGetErrorString":
                ctypes.cast(arguments[1], ctypes.POINTER(ctypes.c_char_p))[0] = b"named error"
            if name == "cuModuleLoadDataEx" and name in self.failing:
                ctypes.memmove(arguments[4][0], b"ptxas: line 7\0", 14)
            return self.failing.get(name, 0)

        return call

    def of(self, name: str) -> list[tuple[Any, ...]]:
        """The arguments of every call of a function."""
        return [arguments for called, arguments in self.calls if called == name]


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    """Stands in for libcuda."""
    recorder = Recorder()
    monkeypatch.setattr(driver, "_cuda", lambda: recorder)
    return recorder


class Extras(NamedTuple):
    """As the kernels take what is optional."""

    sink: torch.Tensor | None
    left: int | None


def test_arguments_are_packed_in_order() -> None:
    """Pointers, numbers by their width, tuples flattened, constants left out, two null pointers at the end."""
    tensor = torch.zeros(3)
    found = packed(
        ["*fp16", "i32", ("*fp32", "constexpr"), "constexpr", "i64", "fp32", "u1", "*i32"],
        [tensor, -5, Extras(sink=tensor, left=None), 128, 2**40, 0.5, True, None],
    )
    address = tensor.data_ptr()
    assert [address, -5, address, 2**40, 0.5, 1, 0, 0, 0] == [one.value for one in found]
    assert [8, 4, 8, 8, 4, 1, 8, 8, 8] == [ctypes.sizeof(one) for one in found]


@pytest.mark.parametrize(
    ("kind", "value", "bits"), [("fp16", 1.5, 0x3E00), ("bf16", 1.5, 0x3FC0), ("bf16", -2.0, 0xC000)]
)
def test_short_floats_travel_as_bits(kind: str, value: float, bits: int) -> None:
    """C has no type for a 16-bit float."""
    assert bits == packed([kind], [value])[0].value


def test_a_descriptor_is_refused() -> None:
    """What is no pointer and no number would shift every argument after it."""
    with pytest.raises(TypeError, match="tensordesc"):
        packed(["tensordesc<fp16[16, 16]>"], [None])


def test_a_launch_hands_over_addresses_of_values(cuda: Recorder) -> None:
    """The driver gets grid, threads, shared memory, stream, and a pointer to each argument."""
    kernel = PtxKernel(".version 8.7", "forward_kernel", shared_bytes=1024)
    arguments = packed(["i32", "fp32"], [7, 0.25])
    kernel.launch((2, 3, 4), warps=8, arguments=arguments, stream=99)
    (launch,) = cuda.of("cuLaunchKernel")
    assert (2, 3, 4, 256, 1, 1, 1024) == launch[1:8]
    assert launch[8].value == 99
    assert ctypes.c_int32.from_address(launch[9][0]).value == 7
    assert ctypes.c_float.from_address(launch[9][1]).value == 0.25
    assert [0, 0] == [ctypes.c_uint64.from_address(launch[9][i]).value for i in (2, 3)]


@pytest.mark.parametrize(("shared_bytes", "asked"), [(49152, []), (49153, [(8, 49153)])])
def test_shared_memory_beyond_48_kib_is_asked_for(
    shared_bytes: int, asked: list[tuple[int, int]], cuda: Recorder
) -> None:
    """A kernel gets more only by its attribute; without it the launch would fail."""
    PtxKernel(".version 8.7", "forward_kernel", shared_bytes=shared_bytes)
    assert asked == [call[1:] for call in cuda.of("cuFuncSetAttribute")]


def test_an_empty_grid_launches_nothing(cuda: Recorder) -> None:
    """As in Triton's launcher; the driver would refuse it."""
    PtxKernel(".version 8.7", "forward_kernel", shared_bytes=0).launch((0, 1, 1), warps=4, arguments=[])
    assert [] == cuda.of("cuLaunchKernel")


def test_a_refused_text_comes_with_the_drivers_log(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message says the call, the error and the line of the PTX."""
    monkeypatch.setattr(driver, "_cuda", lambda: Recorder({"cuModuleLoadDataEx": 218}))
    with pytest.raises(DriverError, match=r"cuModuleLoadDataEx.*218 \(named error\): ptxas: line 7"):
        PtxKernel("nonsense", "forward_kernel", shared_bytes=0)


def test_without_a_driver_the_reason_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without a GPU gets one line; its version is unknown."""

    def missing(name: str) -> None:
        raise OSError(f"{name}: cannot open shared object file")

    monkeypatch.setattr(ctypes, "CDLL", missing)
    driver._cuda.cache_clear()
    driver.driver_version.cache_clear()
    with pytest.raises(DriverError, match=r"no NVIDIA driver here \(libcuda\.so\.1.*this needs a GPU"):
        PtxKernel("", "forward_kernel", shared_bytes=0)
    assert driver.driver_version() == "unknown"
    driver.driver_version.cache_clear()
