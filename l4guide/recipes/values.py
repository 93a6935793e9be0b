"""How the values of a training tool's keys are read as options of a recipe."""

import re
from collections.abc import Callable, Mapping

from l4guide.errors import BadInput
from l4guide.recipes.models import preset_of, preset_of_builder
from l4guide.step.recipe import targets_of

YES = ("true", "yes", "1", "auto", "full", "on", "fa2", "fa3")
NO = ("false", "no", "0", "none", "off", "null", "")
#: Names of attention that never writes its scores, and those that do.
FUSED = (
    "fa2",
    "fa3",
    "auto",
    "sdpa",
    "flash_attention_2",
    "flash_attention_3",
    "flex_attention",
    "flash_attention",
)
EAGER = ("eager", "disabled")
FLOATS = {"bfloat16": "bf16", "float16": "fp16", "float32": "fp32"} | {
    one: one for one in ("bf16", "fp16", "fp32")
}
#: What a library calls a loss that never holds all logits.
CHUNKED = ("chunked", "linearcrossentropy")


class Settings:
    """Options that were read so far, and what is settled once all keys are read."""

    def __init__(self, tool: str, optimizers: Mapping[str, list[str]]) -> None:
        self.tool = tool
        self.options: dict[str, object] = {}
        self.modules: list[str] = []
        self.adapter = ""
        self.four_bits = self.eight_bits = self.dora = self.all_linear = self.narrow = False
        self.says_dtype = False
        self._names = {name: option for option, names in optimizers.items() for name in names}

    def read(self, kind: str, value: object) -> bool:
        """Read one value as a kind; False where nothing here understands it."""
        reader = READERS.get(kind)
        try:
            return bool(reader(self, value)) if reader else self._plain(kind, value)
        except (BadInput, ValueError, TypeError, OverflowError):
            return False

    def _plain(self, option: str, value: object) -> bool:
        """A value that is said as the option is."""
        if option in ("batch", "seqlen", "accumulation", "lora_rank"):
            number = int(str(value))
            if not 1 <= number < 2**31:
                return False
            self.options[option] = number
            return True
        return False

    def optimizer(self, value: object) -> bool:
        """The name of an optimizer, or the class that a library builds."""
        option = self._names.get(str(value).strip().lower())
        if option is None:
            return False
        self.options["optimizer"] = option
        return True

    def takes(self, option: str, method: object) -> bool:
        """Whether a default counts: a rank only with adapters, a type of frozen weights only where none is said."""
        if option == "weights":
            return method in ("lora", "dora") and not (self.says_dtype or self.four_bits or self.eight_bits)
        return method != "full" or not option.startswith("lora")

    def finished(self) -> dict[str, object]:
        """All options, what depends on several keys among them."""
        method = self.adapter or ("lora" if self.modules or self.all_linear else "full")
        if self.four_bits and method == "lora":
            method = "qlora"
        if method == "qlora" and self.dora:
            # DoRA over four bits: the method says what is trained, the weights how they are kept.
            self.options["weights"] = "nf4"
        if method == "lora" and self.eight_bits:
            self.options["weights"] = "int8"
        if method in ("lora", "qlora") and self.dora:
            method = "dora"
        found = {**self.options, "task": "training", "method": method}
        if method == "full":
            found.pop("lora_rank", None)
            if self.narrow:
                found["master_weights"] = False
            return found
        if self.modules and not self.all_linear:
            found["lora_targets"] = targets_of(self.modules)
        if self.narrow and self.tool == "torchtune":
            found["master_weights"] = False
        return found


def is_yes(value: object) -> bool:
    """A word for yes.

    Raises:
        ValueError: it is neither a word for yes nor for no.
    """
    word = str(value).strip().lower()
    if word in YES or word in NO:
        return word in YES
    raise ValueError(word)


def _model(settings: Settings, value: object) -> bool:
    found = preset_of(str(value))
    if found is not None:
        settings.options["model"] = found
    return found is not None


def _builder(settings: Settings, value: object) -> bool:
    """The function of torchtune that builds the model: its name holds the model, and how it is adapted."""
    name = str(value).rsplit(".", maxsplit=1)[-1].lower()
    for method in ("qlora_", "qdora_", "lora_", "dora_"):
        if name.startswith(method):
            name = name.removeprefix(method)
            settings.adapter = "lora"
            settings.four_bits = settings.four_bits or method.startswith("q")
            settings.dora = settings.dora or "dora" in method
            break
    found = preset_of_builder(name)
    if found is not None:
        settings.options["model"] = found
    return found is not None


def _method(settings: Settings, value: object) -> bool:
    word = str(value).strip().lower()
    if word in ("", "full", "none"):
        return True
    if word in ("lora", "qlora"):
        settings.adapter = "lora"
        settings.four_bits = settings.four_bits or word == "qlora"
        return True
    return False


def _targets(settings: Settings, value: object) -> bool:
    """Names of matrices; those that nothing here knows leave the rest."""
    names = list(value) if isinstance(value, list | tuple) else [one for one in str(value).split(",") if one]
    if any(str(one).strip().lower() in ("all", "all-linear") for one in names):
        settings.all_linear = True
        return True
    targets_of(names)
    settings.modules += [str(one) for one in names]
    return True


def _mark(name: str) -> Callable[[Settings, object], bool]:
    def read(settings: Settings, value: object) -> bool:
        setattr(settings, name, is_yes(value) or bool(getattr(settings, name)))
        return True

    return read


def _use_peft(settings: Settings, value: object) -> bool:
    settings.adapter = "lora" if is_yes(value) else ""
    return True


def _added(*modules: str) -> Callable[[Settings, object], bool]:
    def read(settings: Settings, value: object) -> bool:
        settings.modules += list(modules) if is_yes(value) else []
        return True

    return read


def _bits(settings: Settings, value: object) -> bool:
    bits = int(str(value))
    settings.four_bits, settings.eight_bits = bits == 4, bits == 8
    return bits in (4, 8)


def _recompute(settings: Settings, value: object) -> bool:
    word = str(value).strip().lower()
    kind = "offload" if word.startswith(("offload", "unsloth")) else "full" if is_yes(value) else "none"
    if settings.options.get("recompute") != "offload":
        settings.options["recompute"] = kind
    return True


def _no_recompute(settings: Settings, value: object) -> bool:
    settings.options["recompute"] = "none" if is_yes(value) else "full"
    return True


def _offload(settings: Settings, value: object) -> bool:
    if is_yes(value):
        settings.options["recompute"] = "offload"
    return True


def _chosen(option: str, chosen: object) -> Callable[[Settings, object], bool]:
    def read(settings: Settings, value: object) -> bool:
        if is_yes(value):
            settings.options[option] = chosen
        return True

    return read


def _unsloth(settings: Settings, value: object) -> bool:
    if is_yes(value):
        settings.options |= {"recompute": "offload", "loss": "chunked"}
    return True


def _attention(settings: Settings, value: object) -> bool:
    word = str(value).strip().lower()
    if word in EAGER:
        settings.options["flash"] = False
    return word in (*EAGER, *FUSED)


def _loss(settings: Settings, value: object) -> bool:
    name = str(value).rsplit(".", maxsplit=1)[-1].lower()
    settings.options["loss"] = "chunked" if any(part in name for part in CHUNKED) else "full"
    return "crossentropy" in name or "ce" in name


def _loss_type(settings: Settings, value: object) -> bool:
    """Losses of supervised training; others hold further models or logits."""
    word = str(value).strip().lower()
    settings.options["loss"] = "chunked" if "chunked" in word else "full"
    return word in ("nll", "chunked_nll", "dft")


def _zero(settings: Settings, value: object) -> bool:
    """DeepSpeed's stage: said, or in the name of its file; of settings in the file itself the stage is read there."""
    if isinstance(value, Mapping):
        return True
    found = re.search(r"^([0-3])$|(?:zero|z|stage)[_-]?([0-3])", str(value).lower())
    if found is not None:
        settings.options["zero"] = found[1] or found[2]
    return found is not None


def _fsdp(settings: Settings, value: object) -> bool:
    text = str(value).lower()
    if not text.strip("[]{}' "):
        return True
    settings.options["zero"] = "2" if "grad_op" in text else "0" if "no_shard" in text else "3"
    return "offload_params': true" not in text


def _arithmetic(dtype: str) -> Callable[[Settings, object], bool]:
    def read(settings: Settings, value: object) -> bool:
        if is_yes(value):
            settings.options["dtype"] = dtype
            # axolotl loads the weights in the type of the arithmetic and updates them there.
            settings.narrow = settings.narrow or settings.tool == "axolotl"
        return True

    return read


def _model_dtype(settings: Settings, value: object) -> bool:
    settings.says_dtype = True
    kept = FLOATS.get(str(value).strip().lower().removeprefix("torch."))
    settings.narrow = settings.narrow or kept in ("bf16", "fp16")
    return kept is not None or str(value).strip().lower() == "auto"


def _dtype_of_all(settings: Settings, value: object) -> bool:
    kept = FLOATS.get(str(value).strip().lower())
    if kept is not None:
        settings.options["dtype"] = kept
        settings.narrow = kept != "fp32"
    return kept is not None


def _pure(settings: Settings, value: object) -> bool:
    if is_yes(value):
        settings.narrow = True
        settings.options["dtype"] = "bf16"
    return True


def _stage(_: Settings, value: object) -> bool:
    """Supervised training; preferences and rewards need other models beside."""
    return str(value).strip().lower() in ("sft", "pt", "", "none", "false")


READERS: Mapping[str, Callable[[Settings, object], bool]] = {
    "model": _model,
    "torchtune_model": _builder,
    "torchtune_attention": _targets,
    "torchtune_mlp": _added("mlp"),
    "torchtune_output": _added("lm_head"),
    "torchtune_loss": _loss,
    "lora_targets": _targets,
    "method": _method,
    "use_peft": _use_peft,
    "dora": _mark("dora"),
    "four_bits": _mark("four_bits"),
    "all_linear": _mark("all_linear"),
    "bits": _bits,
    "eight_bits": _mark("eight_bits"),
    "optimizer": Settings.optimizer,
    "recompute": _recompute,
    "no_recompute": _no_recompute,
    "offload": _offload,
    "fused_step": _chosen("fused_step", chosen=True),
    "chunked": _chosen("loss", "chunked"),
    "eager": _chosen("flash", chosen=False),
    "fused": _chosen("flash", chosen=True),
    "unsloth": _unsloth,
    "attention": _attention,
    "loss_type": _loss_type,
    "zero": _zero,
    "fsdp": _fsdp,
    "bf16": _arithmetic("bf16"),
    "fp16": _arithmetic("fp16"),
    "model_dtype": _model_dtype,
    "dtype_of_all": _dtype_of_all,
    "pure": _pure,
    "stage": _stage,
}
