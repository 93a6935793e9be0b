"""The calculations that a message's numbers allow: a sentence with the sum, and values for the ways out."""

import re
from collections.abc import Callable, Mapping
from math import ceil, floor, prod

from l4guide.diagnose.amounts import shape_of, shapes_in, vocabulary_in
from l4guide.diagnose.operators import operators_of
from l4guide.diagnose.serving import (
    context_halved,
    sglang_fraction,
    vllm_blocks,
    vllm_free,
    vllm_length,
)
from l4guide.diagnose.setting import Setting
from l4guide.diagnose.wording import bytes_of
from l4guide.frozen import frozen
from l4guide.text import Sentence

#: Sentences that explain, and values for the blanks of the ways out.
Sum = tuple[tuple[Sentence, ...], Mapping[str, object]]
GIB = 2**30
#: Reasons of xFormers that no change of the call removes.
FIXED_REASONS = (
    "requires device",
    "requires gpu",
    "requires a gpu",
    "wasn't build",
    "wasn't built",
    "not built",
    "triton is not",
)
STRIDE = re.compile(r"stride\(-2\) % (\d{1,3}) != 0 \(attn_bias\.stride\(\) = \([^()]{0,80}?(\d{1,7}), 1\)")
WIDE = re.compile(r"required:? ?(\d{1,12})")


@frozen
class Arithmetic:
    """One calculation, and the blanks that it fills where the paste has its numbers."""

    reckon: Callable[[Setting], Sum]
    blanks: tuple[str, ...] = ()


def gib(size: float) -> str:
    """Bytes as GiB to read."""
    return f"{size / GIB:.2f}"


def memory(setting: Setting) -> Sum:
    """What was asked for against what the card has, and the shape that has this size."""
    found = setting.amounts
    sentences = []
    if found.asked is not None and found.total is not None:
        told = {"asked": gib(found.asked), "free": gib(found.free or 0), "total": gib(found.total)}
        sentences.append(Sentence("diagnose_memory.asked", told))
    if found.allocated is not None and found.idle is not None:
        told = {"allocated": gib(found.allocated), "idle": gib(found.idle)}
        sentences.append(Sentence("diagnose_memory.held", told))
    if found.others is not None and found.others > GIB // 2:
        sentences.append(Sentence("diagnose_memory.others", {"others": gib(found.others)}))
    shape = shape_of(found.asked, setting.nearby) if found.asked else None
    if shape is not None and found.asked:
        told = {"shape": " × ".join(map(str, shape[0])), "width": str(shape[1]), "asked": gib(found.asked)}
        sentences.append(Sentence("diagnose_memory.shape", told))
    return tuple(sentences), {}


def logits(setting: Setting) -> Sum:
    """As `memory`, and for how many tokens of the vocabulary the size is enough."""
    sentences, values = memory(setting)
    asked, vocabulary = setting.amounts.asked, vocabulary_in(setting.nearby)
    if asked is not None and vocabulary is not None:
        told = {"vocabulary": vocabulary, "tokens": round(asked / vocabulary / 4), "asked": gib(asked)}
        return (*sentences, Sentence("diagnose_memory.logits", told)), values
    if asked is not None and shape_of(asked, setting.nearby) is None:
        sentences = (*sentences, Sentence("diagnose_memory.ask_vocabulary"))
    return sentences, values


def xformers(setting: Setting) -> Sum:
    """The operator with the fewest reasons, those that the call can remove, and a width that aligns the bias."""
    listed = operators_of(setting, "because")
    open_ = {
        name: why
        for name, why in listed.items()
        if why and not any(phrase in " ".join(why).lower() for phrase in FIXED_REASONS)
    }
    if not open_:
        return (), {}
    name = min(open_, key=lambda one: (len(open_[one]), "tensor" in " ".join(open_[one]).lower()))
    bias = next((one for one in open_ if STRIDE.search(" ".join(open_[one]))), None)
    if bias is not None and len(open_[bias]) <= len(open_[name]):
        name = bias
    told = {"operator": name, "reasons": "; ".join(open_[name])}
    sentences = (Sentence("diagnose.fewest", told),)
    stride = STRIDE.search(" ".join(open_[name]))
    if stride is None:
        return sentences, {}
    step, width = int(stride[1]), int(stride[2])
    return sentences, {"width": width, "padded": ceil(width / step) * step}


def transformer_engine(setting: Setting) -> Sum:
    """What the configuration in the log says beside the reasons: a cuDNN that is too old for it."""
    text = setting.scope
    named = {
        name: found[1]
        for name, pattern in {
            "cudnn": r"'cudnn_version': '([\d.]{3,12})'",
            "arch": r"'compute_capability': 'sm(\d{2,3})'",
            "width": r"'head_dim_qk': (\d{1,4})",
            "width_v": r"'head_dim_v': (\d{1,4})",
            "training": r"'is_training': (true|false)",
        }.items()
        if (found := re.search(pattern, text))
    }
    release = tuple(map(int, named.get("cudnn", "99").split(".")[:2]))
    asked = (named.get("width"), named.get("width_v"), named.get("training"), named.get("arch", "")[:2])
    if asked == ("192", "128", "true", "10") and release < (9, 11):
        return (Sentence("diagnose.cudnn_too_old", {"cudnn": named["cudnn"]}),), {"cudnn": named["cudnn"]}
    if release < (9, 3):
        return (Sentence("diagnose.cudnn_old", {"cudnn": named["cudnn"]}),), {}
    return (), {}


def launch_grid(setting: Setting) -> Sum:
    """The shape in the paste whose batch or heads exceed the grid."""
    wide = [
        shape for shape in shapes_in(setting.nearby) if len(shape) >= 3 and max(prod(shape[:-2]), 1) > 65_535
    ]
    if not wide:
        return (), {}
    shape = " × ".join(map(str, wide[0]))
    return (Sentence("diagnose.grid_of", {"shape": shape, "blocks": prod(wide[0][:-2])}),), {}


def halved(setting: Setting) -> Sum:
    """Half of the number in the message, as a next value to try."""
    number = setting.match.values.get("number", "")
    return (), ({"half": max(1, int(number) // 2)} if number.isdigit() else {})


def shorter(setting: Setting) -> Sum:
    """By how much a request exceeds what the server takes."""
    values = setting.match.values
    limit, asked = values.get("limit"), values.get("required")
    if limit is None or asked is None or int(asked) <= int(limit):
        return (), {}
    over = {"over": int(asked) - int(limit), "limit": int(limit), "asked": int(asked)}
    return (Sentence("diagnose_serving.over", over),), {}


def padded_head(setting: Setting) -> Sum:
    """The next head_dim that is a multiple of what the message wants."""
    values = setting.match.values
    width, step = values.get("head_dim"), values.get("number", "8")
    if width is None or not step.isdigit() or int(step) == 0:
        return (), {}
    return (), {"padded": ceil(int(width) / int(step)) * int(step)}


def device_memory(setting: Setting) -> Sum:
    """The bytes of an allocation that llama.cpp, JAX or a C library could not get."""
    asked = setting.amounts.asked or bytes_of(setting.match.values, "required")
    if not asked:
        return (), {}
    return (Sentence("diagnose_memory.wanted", {"asked": gib(asked)}),), {"quarter": floor(asked / 4)}


ARITHMETIC: Mapping[str, Arithmetic] = {
    "memory": Arithmetic(reckon=memory),
    "logits": Arithmetic(reckon=logits),
    "device-memory": Arithmetic(reckon=device_memory),
    "xformers": Arithmetic(reckon=xformers, blanks=("width", "padded")),
    "transformer-engine": Arithmetic(reckon=transformer_engine, blanks=("cudnn",)),
    "grid": Arithmetic(reckon=launch_grid),
    "halved": Arithmetic(reckon=halved, blanks=("half",)),
    "shorter": Arithmetic(reckon=shorter),
    "padded-head": Arithmetic(reckon=padded_head, blanks=("padded",)),
    "vllm-blocks": Arithmetic(reckon=vllm_blocks, blanks=("utilisation",)),
    "vllm-length": Arithmetic(reckon=vllm_length, blanks=("length", "fp8_length")),
    "vllm-free": Arithmetic(reckon=vllm_free, blanks=("utilisation",)),
    "sglang-fraction": Arithmetic(reckon=sglang_fraction, blanks=("fraction",)),
    "context-halved": Arithmetic(reckon=context_halved, blanks=("half",)),
}
