"""Starts every kernel once on small, ragged tensors; run under compute-sanitizer by `test_sanitizer.py`."""

import sys

import torch
from l4guide_kernels import flash_attn_func, flash_attn_varlen_func, flash_attn_with_kvcache


def tensor(*shape: int, dtype: torch.dtype) -> torch.Tensor:
    """Random numbers in an allocation without slack."""
    return torch.randn(*shape, dtype=dtype, device="cuda")


def train(width: int, dtype: torch.dtype, **options: object) -> None:
    """Forward and backward with more keys than queries, in lengths that fill no block."""
    q = tensor(2, 131, 4, width, dtype=dtype).requires_grad_()
    k, v = (tensor(2, 203, 2, width, dtype=dtype).requires_grad_() for _ in range(2))
    out, *_ = flash_attn_func(q, k, v, **options, return_attn_probs=True)  # type: ignore[arg-type]
    torch.autograd.grad(out, (q, k, v), torch.randn_like(out))


def main() -> None:
    """Widths of one block, of two, with masked columns; every mask; batches; caches."""
    for dtype in (torch.float16, torch.bfloat16):
        for width in (40, 64, 96, 128, 256):
            train(width, dtype, causal=True)
        train(64, dtype, window_size=(30, 5), softcap=4.0, dropout_p=0.2)
        slopes = torch.rand(4, device="cuda")
        train(64, dtype, alibi_slopes=slopes, learnable_sink=torch.zeros(4, device="cuda"))
        ends = torch.tensor([0, 0, 17, 90], dtype=torch.int32, device="cuda")
        q, k, v = (tensor(90, heads, 64, dtype=dtype) for heads in (4, 2, 2))
        flash_attn_varlen_func(q, k, v, ends, ends, 73, 73, causal=True)
        k_cache, v_cache = (tensor(12, 16, 2, 128, dtype=dtype) for _ in range(2))
        angles = torch.rand(96, 32, device="cuda").to(dtype)
        flash_attn_with_kvcache(
            tensor(2, 1, 8, 128, dtype=dtype),
            k_cache,
            v_cache,
            k=tensor(2, 1, 2, 128, dtype=dtype),
            v=tensor(2, 1, 2, 128, dtype=dtype),
            rotary_cos=angles,
            rotary_sin=angles,
            cache_seqlens=torch.tensor([70, 0], dtype=torch.int32, device="cuda"),
            block_table=torch.randperm(12, device="cuda").to(torch.int32).view(2, 6),
            num_splits=3,
        )
    torch.cuda.synchronize()
    sys.stdout.write("finished\n")


if __name__ == "__main__":
    main()
