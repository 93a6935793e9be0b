"""l4guide: which GPU, and which attention implementation, for this workload."""

from importlib import import_module

__version__ = "0.1.0"
__all__ = ["supports"]


def supports(
    library: str = "flash-attn",
    *,
    gpu: str | None = None,
    version: str | None = None,
    task: str = "training",
    head_dim: int = 128,
    dtype: str = "bf16",
    dropout: float = 0.0,
    **question: object,
) -> bool:
    """Whether an attention library runs this workload on a GPU; a guard for portable code.

    Args:
        library: such as "flash-attn", "torch/flash" or "l4guide".
        gpu: a GPU's name, in any spelling; None means the attached one.
        version: a release; None means the installed one, or the newest known if none is installed.
        task: "training" needs forward and backward, "prefill" and "decode" the forward pass only.
        head_dim: dimension of one head.
        dtype: "fp16", "bf16", "fp32" or "fp8".
        dropout: dropout probability.
        **question: `kv_heads`, `window`, `softcap` and the other fields of `l4guide.workload.Workload`.

    Returns:
        True only for the verdict `ok`; refused, unsafe (no error, wrong result) and unknown are False.

    Raises:
        l4guide.errors.BadInput: an argument is unknown or malformed.
        l4guide.errors.CannotDo: `gpu` is None and no known GPU is attached.
    """
    # By name: what lies below imports this module for its version, and may not reach upwards through it.
    guard = import_module("l4guide.advise.guard")
    options = {"task": task, "head_dim": head_dim, "dtype": dtype, "dropout": dropout, **question}
    return bool(guard.supports(library, gpu, version, options))
