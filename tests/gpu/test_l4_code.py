"""What an L4 would run, on whatever newer card is here: PTX for sm_89, compiled anew by this card's driver."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from l4guide_kernels import flash_attn_func, flash_attn_with_kvcache, reference_attention
from l4guide_kernels.foreign import compiled_for

pytestmark = pytest.mark.gpu

L4 = 89
attention: Callable[..., Any] = flash_attn_func
decode: Callable[..., Any] = flash_attn_with_kvcache
Maker = Callable[..., torch.Tensor]
Check = Callable[..., None]
HALVES = (torch.float16, torch.bfloat16)


@pytest.fixture(autouse=True)
def _newer_card(device: torch.device) -> None:
    if device.type == "cpu":
        pytest.skip("the interpreter runs no PTX")
    major, minor = torch.cuda.get_device_capability(device)
    if 10 * major + minor < L4:
        pytest.skip(f"sm_{major}{minor} is older than an L4 and cannot run its code")


@pytest.mark.parametrize("dtype", [*HALVES, torch.float32], ids=str)
@pytest.mark.parametrize("width", [40, 64, 96, 128, 192, 256])
def test_training(width: int, dtype: torch.dtype, tensor: Maker, agrees: Check) -> None:
    """Forward and backward with an L4's tiles and code agree with fp64, as they would on an L4."""
    tensors = {
        "q": tensor((2, 500, 4, width), dtype),
        "k": tensor((2, 577, 2, width), dtype),
        "v": tensor((2, 577, 2, width), dtype),
    }
    with compiled_for(L4) as launched:

        def found(**leaves: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            out, lse, _ = attention(**leaves, causal=True, return_attn_probs=True, arch=L4)
            return out, lse

        def oracle(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return reference_attention(q, k, v, causal=True)

        agrees(found, oracle, tensors, f"an L4's code at {width}")
    started = {launch.kernel for launch in launched}
    assert {"forward_kernel", "dkdv_kernel", "dq_kernel"} <= started
    assert {"sm_89"} == {launch.target for launch in launched}
    assert all(launch.shared_bytes <= 101_376 for launch in launched), launched


@pytest.mark.parametrize("dtype", HALVES, ids=str)
@pytest.mark.parametrize(
    "options", [{"window_size": (90, 7)}, {"softcap": 5.0}, {"dropout_p": 0.2}, {"alibi": True}], ids=str
)
def test_features(options: dict[str, Any], dtype: torch.dtype, tensor: Maker, device: Any) -> None:
    """Each feature gives on an L4's code what it gives on this card's own."""
    asked = dict(options)
    if asked.pop("alibi", False):
        asked["alibi_slopes"] = torch.rand(4, device=device)
    q, k, v = (tensor((2, 400, heads, 128), dtype).requires_grad_() for heads in (4, 2, 2))
    dout = tensor((2, 400, 4, 128), dtype)

    def run() -> tuple[torch.Tensor, ...]:
        torch.manual_seed(3)
        out = attention(q, k, v, causal=True, **asked, arch=L4)
        return (out.detach(), *torch.autograd.grad(out, (q, k, v), dout))

    own = run()
    with compiled_for(L4) as launched:
        foreign = run()
    assert {"sm_89"} == {launch.target for launch in launched}
    tolerance = 2e-2 if dtype is torch.bfloat16 else 4e-3
    for name, one, other in zip(("out", "dq", "dk", "dv"), own, foreign, strict=True):
        worst = float((one - other).abs().max())
        assert worst <= tolerance * (1 + float(one.abs().max())), name


@pytest.mark.parametrize("dtype", HALVES, ids=str)
def test_decode(dtype: torch.dtype, tensor: Maker, within: Check, device: Any) -> None:
    """Split decoding over a paged cache, merged, on an L4's code."""
    page, blocks = 16, 64
    k, v = (tensor((2 * blocks, page, 2, 128), dtype) for _ in range(2))
    q = tensor((2, 1, 8, 128), dtype)
    table = torch.arange(2 * blocks, dtype=torch.int32, device=device).view(2, blocks)
    with compiled_for(L4) as launched:
        out = decode(q, k, v, block_table=table, num_splits=4, arch=L4)
    assert {"decode_kernel"} <= {launch.kernel for launch in launched}
    keys, values = (x.reshape(2, blocks * page, 2, 128) for x in (k, v))
    theirs, _ = reference_attention(q, keys, values)
    exact, _ = reference_attention(q.double(), keys.double(), values.double())
    within(out, theirs, exact, dtype, "out of an L4's decode")
