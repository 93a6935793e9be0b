"""Running the kernels as they are compiled for another card: an L4's PTX on whatever newer one is there.

`with compiled_for(89): out = flash_attn_func(q, k, v, causal=True, arch=89)`. Every kernel started meanwhile is
compiled for that architecture, and its PTX is handed to the driver, which compiles it for the card at hand. So what
an L4 would run is held against the reference without an L4; what the driver makes of it, its registers and its
speed, are the newer card's.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from l4guide_kernels.driver import DriverError, PtxKernel, packed


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """One kernel that was started.

    Attributes:
        kernel: Its function's name.
        target: The architecture in its PTX, such as "sm_89".
        shared_bytes: Shared memory of one program.
        warps: Warps of one program.
        grid: Programs along each axis.
        device: Index of the card that it was started on.
    """

    kernel: str
    target: str
    shared_bytes: int
    warps: int
    grid: tuple[int, int, int]
    device: int


@contextmanager
def compiled_for(arch: int) -> Iterator[list[Launch]]:
    """While it lasts, all Triton kernels of this process are compiled for `arch`, an older one than the card's.

    What a kernel was compiled to before is put back afterwards. Not for several threads that start kernels with
    different wishes.

    Args:
        arch: Compute capability as one number (89 is an L4).

    Yields:
        What was started so far, in order.

    Raises:
        DriverError: There is no driver, it refuses the PTX, or a kernel asks for scratch memory or clusters.
    """
    from triton.backends.compiler import GPUTarget
    from triton.runtime import driver
    from triton.runtime.jit import JITFunction

    active, target = driver.active, GPUTarget("cuda", arch, 32)
    launched: list[Launch] = []
    before: dict[int, tuple[Any, Any]] = {}
    loaded: dict[tuple[int, int], tuple[Any, PtxKernel]] = {}
    compile_or_run = JITFunction.run

    def run(function: Any, *args: Any, grid: Any, warmup: bool, **options: Any) -> Any:  # noqa: ANN401
        if id(function) not in before:
            before[id(function)] = function, function.device_caches
            function.device_caches = defaultdict(function.create_binder)
        compiled = compile_or_run(function, *args, grid=grid, warmup=True, **options)
        if not warmup:
            device = active.get_current_device()
            code = id(compiled), device  # what the driver loads, it loads for one card
            if code not in loaded:
                loaded[code] = compiled, _load(compiled)
            values = _bound(function, args, options)
            whole_grid = _grid(grid, values)
            loaded[code][1].launch(
                whole_grid,
                warps=compiled.metadata.num_warps,
                arguments=packed(
                    [*compiled.src.signature.values()],
                    [*values.values()],
                    scratch_pointers=scratch_pointers(compiled),
                ),
                stream=active.get_current_stream(device),
            )
            launched.append(_launch(compiled, whole_grid, device))
        return compiled

    try:
        JITFunction.run = run
        active.get_current_target = lambda: target
        yield launched
    finally:
        JITFunction.run = compile_or_run
        del active.get_current_target
        for function, caches in before.values():
            function.device_caches = caches


def _load(compiled: Any) -> PtxKernel:  # noqa: ANN401 - Triton exports no type for it
    """Hand the PTX to the driver.

    Raises:
        DriverError: The driver refuses it, or the kernel needs what only Triton's own launcher provides.
    """
    needs = compiled.metadata
    if (
        (needs.global_scratch_size or 0)
        or (getattr(needs, "profile_scratch_size", 0) or 0)
        or needs.num_ctas != 1
    ):
        raise DriverError(
            f"{compiled.name} needs scratch memory or a cluster: only Triton's launcher has them"
        )
    return PtxKernel(compiled.asm["ptx"], compiled.name, shared_bytes=needs.shared)


def scratch_pointers(compiled: Any) -> int:  # noqa: ANN401 - Triton exports no type for it
    """How many pointers to scratch memory the kernel takes: the profiler's came with Triton 3.5."""
    return 1 + hasattr(compiled.metadata, "profile_scratch_size")


def _bound(function: Any, args: tuple[Any, ...], options: Mapping[str, Any]) -> dict[str, Any]:  # noqa: ANN401
    """The value of each of the kernel's parameters, by name and in their order."""
    parameters = function.signature.parameters
    bound = function.signature.bind(*args, **{k: v for k, v in options.items() if k in parameters})
    bound.apply_defaults()
    return dict(bound.arguments)


def _grid(
    grid: tuple[int, ...] | Callable[[Mapping[str, Any]], tuple[int, ...]], values: Mapping[str, Any]
) -> tuple[int, int, int]:
    x, y, z = (*(grid(values) if callable(grid) else grid), 1, 1)[:3]
    return int(x), int(y), int(z)


def _launch(compiled: Any, grid: tuple[int, int, int], device: int) -> Launch:  # noqa: ANN401
    return Launch(
        kernel=compiled.name,
        target=next(line.split()[1] for line in compiled.asm["ptx"].splitlines() if ".target" in line),
        shared_bytes=compiled.metadata.shared,
        warps=compiled.metadata.num_warps,
        grid=grid,
        device=device,
    )
