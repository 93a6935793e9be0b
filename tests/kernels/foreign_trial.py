"""Starts kernels as compiled for an L4, against drivers that only write down: `foreign_trial.py arguments | functions`.

A process of its own, since one that interprets Triton cannot compile. Prints a JSON object for each launch, and
one more at the end. What is compiled is what a launch compiles, with its own specialisation of every argument.
"""

import ctypes
import json
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import Any, NamedTuple

import l4guide_kernels
import torch
import triton
import triton.language as tl
from l4guide_kernels import checks, driver, launch, problem
from l4guide_kernels.foreign import compiled_for, scratch_pointers
from triton.backends.compiler import GPUTarget
from triton.runtime.jit import JITFunction

WIDTHS: dict[str, Any] = {
    ".u8": ctypes.c_uint8,
    ".u32": ctypes.c_int32,
    ".u64": ctypes.c_uint64,
    ".f32": ctypes.c_float,
}


class Extras(NamedTuple):
    """As the kernels take what is optional: None is compiled away, an integer is known at compile time if 1."""

    bias: Any = None
    cut: Any = None
    scale: Any = None
    stride: Any = None


@triton.jit(do_not_specialize=["n"])  # type: ignore[untyped-decorator]
def add_kernel(x_ptr, y_ptr, extras, n, one, big, weight, flag, BLOCK: tl.constexpr):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201, N803
    """Uses an argument of every kind that the kernels have."""
    i = tl.arange(0, BLOCK)
    x = tl.load(x_ptr + i * one, mask=i < n).to(tl.float32)
    if extras.bias is not None:
        x += tl.load(extras.bias + i)
    if extras.scale is not None:
        x *= extras.scale
    if extras.stride is not None:
        x += extras.stride
    if flag:
        x += 1
    tl.store(y_ptr + i, x * weight + big)


class Hopper:
    """Triton's view of two cards that are not there, of which the first is the current one."""

    current = 0

    def get_current_device(self) -> int:
        """Where a launch goes."""
        return self.current

    def get_current_stream(self, device: int) -> int:
        """Any."""
        return 7

    def get_current_target(self) -> GPUTarget:
        """Newer than an L4."""
        return GPUTarget("cuda", 90, 32)


class SecondCard:
    """Stands in for `torch.cuda.device_of`: whatever tensor is asked for, it is said to lie on the second card."""

    def __init__(self, _tensor: torch.Tensor) -> None:
        self.before: int

    def __enter__(self) -> None:
        self.before, Hopper.current = Hopper.current, 1

    def __exit__(self, *_failure: object) -> None:
        Hopper.current = self.before


class Cuda:
    """libcuda: takes the text, and reads the arguments of a launch as the text declares them."""

    declared: list[str]

    def __getattr__(self, name: str) -> Any:
        return lambda *arguments: 0

    def cuModuleLoadDataEx(self, module: Any, image: ctypes.c_char_p, *options: Any) -> int:  # noqa: N802
        """Keep what the entry point declares."""
        assert image.value is not None
        self.declared = declared(image.value.decode())
        return 0

    def cuLaunchKernel(self, function: Any, *launch: Any) -> int:  # noqa: N802
        """Say what a card would have been given."""
        *sizes, _, _, addresses, _ = launch
        read = [
            WIDTHS[kind].from_address(at).value for kind, at in zip(self.declared, addresses, strict=True)
        ]
        print(json.dumps({"sizes": sizes[:6], "declared": self.declared, "read": read}))  # noqa: T201
        return 0


def arguments() -> dict[str, object]:
    """One kernel with and without its optional arguments, then outside the block."""
    x, y, bias = torch.ones(64, dtype=torch.float16), torch.ones(64), torch.ones(64)
    outside: dict[str, Any] = {"grid": (1,), "BLOCK": 64}
    add_kernel.warmup(x, y, Extras(), 64, 1, 2**40, 0.5, True, **outside)
    with compiled_for(89) as launched:
        add_kernel[(3,)](x, y, Extras(), 64, 1, 2**40, 0.5, True, BLOCK=64, num_warps=2)
        extras = Extras(bias=bias, scale=0.25, stride=5)
        add_kernel[(3, 2)](x, y, extras, n=3, one=8, big=3, weight=0.5, flag=False, BLOCK=64)
        add_kernel[lambda given: (given["n"],)](
            x, y, Extras(bias=bias), n=4, one=8, big=1, weight=2, flag=False, BLOCK=64
        )
        empty = add_kernel[(0,)](x, y, Extras(), 64, 1, 2**40, 0.5, True, BLOCK=64, num_warps=2)
    after = add_kernel.warmup(x, y, Extras(), 64, 1, 2**40, 0.5, True, **outside)
    return {
        "pointers": [tensor.data_ptr() for tensor in (x, y, bias)],
        "targets": [launch.target for launch in launched],
        "inside": empty.metadata.target.arch,
        "after": after.metadata.target.arch,
    }


def declared(ptx: str) -> list[str]:
    """The types of the parameters that a text declares."""
    return re.findall(r"\.param (?:\.align \d+ )?(\.\w+) ", ptx.split(".entry")[1].split(")")[0])


def taken(signature: Iterable[object]) -> Iterator[str]:
    """The types of what Triton's own launcher hands over: of a box its 128 bytes, its shape and its strides."""
    for kind in signature:
        if isinstance(kind, tuple):
            yield from taken(kind)
        elif str(kind).startswith("tensordesc"):
            yield from [".b8"] + [".u32"] * 4 + [".u64"] * 4
        elif kind != "constexpr":
            yield {"i32": ".u32", "fp32": ".f32"}.get(str(kind), ".u64")


def boxed() -> list[dict[str, object]]:
    """The forward pass as launched on a newer card, with keys of two boxes and values of one, and by pointers."""
    q, k = (torch.randn(2, 40, heads, 72, dtype=torch.float16) for heads in (4, 2))
    compile_or_run, started = JITFunction.run, []

    def run(function: Any, *args: Any, warmup: bool, **options: Any) -> None:
        started.append(compile_or_run(function, *args, warmup=True, **options))

    JITFunction.run = run
    try:
        l4guide_kernels.flash_attn_func(q, k, k[..., :64], causal=True, arch=90)
        l4guide_kernels.flash_attn_func(q, k, k[:, :1].expand_as(k), causal=True, arch=90)
    finally:
        JITFunction.run = compile_or_run
    return [
        {
            "copies": one.asm["ptx"].count("cp.async.bulk.tensor"),
            "declared": declared(one.asm["ptx"]),
            "taken": [*taken(one.src.signature.values()), *[".u64"] * scratch_pointers(one)],
            "scratch_bytes": one.metadata.global_scratch_size or 0,
        }
        for one in started
    ]


def functions() -> dict[str, object]:
    """The public functions with all that they can do, on tensors that no kernel touches."""
    for module in (checks, launch, problem):  # which else want the tensors on a card
        module.interpreted = lambda: True  # type: ignore[attr-defined]
    q = torch.randn(2, 40, 4, 32, dtype=torch.float16, requires_grad=True)
    k, v = (torch.randn(2, 40, 2, 32, dtype=torch.float16, requires_grad=True) for _ in range(2))
    torch.cuda.device_of = SecondCard  # type: ignore[misc, assignment]
    ends = torch.tensor([0, 30, 80], dtype=torch.int32)
    rows = [x.detach().flatten(0, 1) for x in (q, k, v)]
    pages = torch.zeros(9, 16, 2, 32).half()
    angles = torch.rand(64, 8).half()
    with compiled_for(89) as launched:
        out, *_ = l4guide_kernels.flash_attn_func(
            *(q, k, v),
            dropout_p=0.1,
            causal=True,
            window_size=(9, 0),
            softcap=2.0,
            alibi_slopes=torch.rand(2, 4),
            return_attn_probs=True,
            learnable_sink=torch.zeros(4),
            arch=89,
        )
        torch.autograd.grad(out, (q, k, v), torch.ones_like(out))
        l4guide_kernels.flash_attn_varlen_func(
            rows[0], rows[1], rows[2], ends, ends, 50, 50, causal=True, arch=89
        )
        l4guide_kernels.flash_attn_with_kvcache(
            q[:, :1].detach(),
            pages,
            pages.clone(),
            k=k[:, :1].detach(),
            v=v[:, :1].detach(),
            rotary_cos=angles,
            rotary_sin=angles,
            cache_seqlens=torch.tensor([17, 3], dtype=torch.int32),
            block_table=torch.arange(8, dtype=torch.int32).view(2, 4),
            num_splits=3,
            arch=89,
        )
        l4guide_kernels.quantized_attention(q, k, v, pv="fp8", arch=89)
    return {
        "current": Hopper.current,
        "launched": [asdict(launch) for launch in launched],
        "boxed": boxed(),
        "triton_version": triton.__version__,
    }


def main() -> None:
    """Run one of the trials with a card and a driver that are not there."""
    triton.runtime.driver.set_active(Hopper())
    cuda = Cuda()
    driver._cuda = lambda: cuda  # type: ignore[assignment]
    print(json.dumps({"arguments": arguments, "functions": functions}[sys.argv[1]]()))  # noqa: T201


if __name__ == "__main__":
    main()
