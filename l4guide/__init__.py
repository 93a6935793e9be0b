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
    """Whether an attention library runs this here; a guard for code that should also run elsewhere.

    Args:
        library: such as "flash-attn", "torch/flash" or "l4guide".
        gpu: a card's name, however written; None takes the attached one.
        version: None takes the installed one, else the newest known.
        task: "training" asks for forward and backward, "prefill" and "decode" for the forward alone.
        head_dim: columns of one head.
        dtype: "fp16", "bf16", "fp32" or "fp8".
        dropout: probability.
        **question: `kv_heads`, `window`, `softcap` and the other fields of `l4guide.workload.Workload`.

    Returns:
        True only where somebody found that it works; refused, silently wrong and unknown are all False.

    Raises:
        l4guide.errors.BadInput: an argument is not known or malformed.
        l4guide.errors.CannotDo: `gpu` was left out and no known card is attached.
    """
    # By name: what lies below imports this module for its version, and may not reach upwards through it.
    guard = import_module("l4guide.advise.guard")
    options = {"task": task, "head_dim": head_dim, "dtype": dtype, "dropout": dropout, **question}
    return bool(guard.supports(library, gpu, version, options))
