"""How a question is put to a library: the function, and lines to copy."""

from l4guide.catalogue import Gpu
from l4guide.support.conditions import all_hold, features_of
from l4guide.support.releases import find_library, find_release, table
from l4guide.support.rulebook import Call
from l4guide.workload import Workload


def blanks_of(workload: Workload, gpu: Gpu, library: str, version: str) -> dict[str, object]:
    """What error texts and snippets may have filled in."""
    call = call_of(workload, gpu, library, version)
    torch_dtype = {"fp16": "torch.float16", "bf16": "torch.bfloat16", "fp32": "torch.float32"}
    return {
        "head_dim": workload.head_dim,
        "head_dim_v": workload.head_dim_v,
        "batch": workload.batch,
        "heads": workload.heads,
        "kv_heads": workload.kv_heads,
        "seqlen_q": workload.seqlen_q,
        "seqlen_kv": workload.seqlen_kv,
        "causal": workload.causal,
        "gqa": workload.kv_heads != workload.heads,
        "enable_gqa": workload.enable_gqa and workload.kv_heads != workload.heads,
        "repeat": _repeat(workload),
        "mask": _mask(workload),
        "mask_argument": "" if workload.mask == "none" else ", attn_mask=mask",
        # PyTorch aligns its triangle with the first key: a single query would see that key alone.
        "is_causal": workload.causal and workload.mask == "none" and workload.seqlen_q > 1,
        "window": workload.window,
        "softcap": workload.softcap,
        "num_splits": workload.num_splits,
        "dtype": workload.dtype,
        "kv_dtype": workload.kv_dtype,
        "torch_dtype": torch_dtype.get(workload.dtype, "torch.float8_e4m3fn"),
        "dropout": f"{workload.dropout:g}",
        "gradient": ", requires_grad=True" if "backward" in workload.passes else "",
        "capability": gpu.capability,
        "capability_pair": f"({(gpu.capability or '?').replace('.', ', ')})",
        "arch": gpu.arch,
        "shared_bytes": gpu.shared_bytes_per_block,
        "entry": call.entry if call else library,
        "version": version,
        "major": (gpu.capability or "").partition(".")[0],
        "minor": (gpu.capability or "").partition(".")[2],
    }


def _repeat(workload: Workload) -> str:
    """The line that gives K and V the heads of Q; nothing where they have them, or are taken with their own."""
    times = workload.heads // workload.kv_heads
    if times == 1 or workload.enable_gqa:
        return ""
    return f"k, v = (x.repeat_interleave({times}, dim=1) for x in (k, v))\n"


def _mask(workload: Workload) -> str:
    """The line that makes a mask; beside one, PyTorch wants what is causal to be a part of it."""
    if workload.mask == "none":
        return ""
    rows, columns = workload.seqlen_q, workload.seqlen_kv
    if workload.mask == "bool":
        lower = f".tril({columns - rows})" if workload.causal else ""
        return f'mask = torch.ones({rows}, {columns}, device="cuda", dtype=torch.bool){lower}\n'
    grad = ", requires_grad=True" if workload.mask_grad else ""
    dtype = {"fp16": "torch.float16", "fp32": "torch.float32"}.get(workload.dtype, "torch.bfloat16")
    shape = f"1, {workload.heads}, {rows}, {columns}"
    return f'mask = torch.zeros({shape}, device="cuda", dtype={dtype}{grad})\n'


def call_of(workload: Workload, gpu: Gpu, library: str, version: str) -> Call | None:
    """How this question is asked of `library`; None where the rules do not say."""
    calls = table(library, version)[2]
    return next((call for call in calls if all_hold(call.when, workload, gpu)), None)


def snippet(library: str, workload: Workload, gpu: Gpu, version: str | None = None) -> str:
    """A few lines of Python that ask `library` this question; empty where the rules do not say how.

    Raises:
        BadInput: the library or the version is not known.
    """
    library = find_library(library)
    number = find_release(library, version).version
    call = call_of(workload, gpu, library, number)
    if call is None:
        return ""
    blanks = blanks_of(workload, gpu, library, number)
    used = features_of(workload)
    options = [text.format_map(blanks) for feature, text in call.options.items() if feature in used]
    return call.snippet.format_map({**blanks, "options": "".join(options)})
