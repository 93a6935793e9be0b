"""Parameters of a model by the kind of module that holds them, each counted once however many modules share it."""

import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import nn

from l4guide.frozen import frozen
from l4guide.model.traced import KINDS
from l4guide.tracing.attention import TOWER

EXPERT = re.compile(r"experts?$")
SHARED = re.compile(r"shared")
ROUTER = re.compile(r"^(gate|switch|wg)$|expert_gate$|router")
STATE = re.compile(
    r"mamba|ssm|linear_attn|(^|_)mixer|recurrent|rglru|time_mix|(^|_)(delta|kda|gdn|lightning)|temporal_block|xlstm|mlstm|short_conv|(^|_)conv$"
)
ATTENTION = re.compile(r"attn|attention")
MLP = re.compile(
    r"mlp|ffn|feed_?forward|(^|_)ff($|_)|(^|_)fc\d*|intermediate|output|dense|shared_expert|channel_mix|swiglu|moe|lin\d|w\d"
)
HEAD = re.compile(
    r"lm_head|(^|_)head|classifier|pooler|embed_out|generator|^cls$|predictions?|mtp|proj_out|output_projection"
)
#: Where the number of experts that a token takes is kept.
TAKEN = (
    "top_k",
    "num_experts_per_tok",
    "num_experts_per_token",
    "topk",
    "experts_per_token",
    "moe_topk",
    "k",
)

#: Routers of one number only carry it in their names: SwitchTransformersTop1Router.
TOP = re.compile(r"Top(\d+)Router")


@frozen
class Weights:
    """Parameters in all, those that one token is multiplied with, and by kind of module."""

    total: int
    active: int | None
    modules: dict[str, int]


@frozen
class Held:
    """One parameter of a model: the path of its module and its own name, its axes, its kind.

    `looked_up` where rows of it are read and nothing is multiplied. Of a bank of experts, how many it has and how many
    of them a token takes; None where it is no such bank, or the number cannot be seen.
    """

    name: str
    shape: tuple[int, ...]
    kind: str
    looked_up: bool = False
    experts: int | None = None
    taken: int | None = None

    @property
    def number(self) -> int:
        """Its elements."""
        return math.prod(self.shape)


def held(model: Any, taken: dict[str, int]) -> Iterator[Held]:
    """A model's parameters, each once; `taken` holds, by the path of a bank of experts, how many a token took."""
    out = getattr(model, "get_output_embeddings", lambda: None)()
    owned = {
        id(p) for m in model.modules() if not isinstance(m, nn.Embedding) for p in m.parameters(recurse=False)
    }
    seen: set[int] = set()
    for name, module in model.named_modules():
        for own, parameter in module.named_parameters(recurse=False):
            if id(parameter) in seen:
                continue
            seen.add(id(parameter))
            kind = kind_of(name, module, is_head=module is out)
            experts, chosen = _bank(model, name, taken) if kind == "experts" else (None, None)
            yield Held(
                name=f"{name}.{own}" if name else own,
                shape=tuple(parameter.shape),
                kind=kind,
                looked_up=kind == "embedding" and id(parameter) not in owned,
                experts=experts,
                taken=chosen,
            )


def weigh(parameters: Iterable[Held]) -> Weights:
    """A model's parameters in all and by kind."""
    counted: Counter[str] = Counter(dict.fromkeys(KINDS, 0))
    looked_up = idle = 0
    unknown = False
    for one in parameters:
        counted[one.kind] += one.number
        if one.looked_up:
            looked_up += one.number
        elif one.kind == "experts":
            if one.taken is None or not one.experts:
                unknown = True
            else:
                idle += round(one.number * (1 - one.taken / one.experts))
    total = sum(counted.values())
    active = None if unknown else total - looked_up - idle - counted["tower"]
    return Weights(total=total, active=active, modules={kind: n for kind, n in counted.items() if n})


def kind_of(name: str, module: nn.Module, *, is_head: bool) -> str:
    """The kind of a module, by its path and its class."""
    path = name.lower().split(".")
    if any(TOWER.search(step) for step in path):
        return "tower"
    if is_head:
        return "head"
    if isinstance(module, nn.Embedding):
        return "embedding"
    if any(EXPERT.search(step) and not SHARED.search(step) for step in path) and not ROUTER.search(path[-1]):
        return "experts"
    kind = type(module).__name__
    if ROUTER.search(path[-1]) and not any(
        ATTENTION.search(step) or STATE.search(step) for step in path[:-1]
    ):
        return "router"
    if "norm" in kind.lower() or "norm" in path[-1]:
        return "norm"
    return _by_path(path)


def _by_path(path: list[str]) -> str:
    """Attention, a state, a product or a head: the innermost step that says so."""
    for step in reversed(path):
        if ATTENTION.search(step) and "linear_attn" not in step:
            return "attention"
        if STATE.search(step):
            return "state"
        if HEAD.search(step):
            return "head"
        if "embed" in step or step in ("wte", "wpe", "shared"):
            return "embedding"
        if MLP.search(step):
            return "mlp"
    return "other"


def _bank(model: Any, name: str, taken: dict[str, int]) -> tuple[int | None, int | None]:
    """How many experts the bank around a module has, and how many of them a token takes."""
    steps = name.split(".")
    at = next(
        i for i, step in enumerate(steps) if EXPERT.search(step.lower()) and not SHARED.search(step.lower())
    )
    path = ".".join(steps[: at + 1])
    number = _number(model.get_submodule(path))
    if not number:
        return None, None
    chosen = taken.get(path) or _taken(model, steps[:at])
    return number, None if chosen is None else min(chosen, number)


def _number(bank: Any) -> int:
    """Experts in a bank: a list of modules, or tensors with one axis of experts."""
    if isinstance(bank, nn.ModuleList | nn.ModuleDict):
        return len(bank)
    said = getattr(bank, "num_experts", None)
    if isinstance(said, int) and said > 0:
        return said
    return next((p.shape[0] for p in bank.parameters(recurse=False) if p.dim() == 3), 0)


def _taken(model: Any, steps: list[str]) -> int | None:
    """How many experts a token takes, as the modules around the bank keep it, else the configuration."""
    for holder in _holders(model, steps):
        for attribute in TAKEN:
            found = getattr(holder, attribute, None)
            if isinstance(found, int) and not isinstance(found, bool) and found > 0:
                return found
        named = TOP.search(type(holder).__name__)
        if named:
            return int(named[1])
    return None


def _holders(model: Any, steps: list[str]) -> Iterator[object]:
    for end in range(len(steps), max(0, len(steps) - 2), -1):
        block = model.get_submodule(".".join(steps[:end]))
        yield block
        yield from (child for name, child in block.named_children() if ROUTER.search(name.lower()))
    config = model.config
    yield from (getattr(config, "text_config", config), config)


def watch_routing(model: Any, taken: dict[str, int]) -> list[torch.utils.hooks.RemovableHandle]:
    """Note in `taken`, while the hooks stay, how many experts a token takes: the columns of the numbers chosen."""
    return [
        module.register_forward_pre_hook(_noting(name, taken), with_kwargs=True)
        for name, module in model.named_modules()
        if type(module).__name__.endswith("Experts") and not isinstance(module, nn.ModuleList)
    ]


def _noting(name: str, taken: dict[str, int]) -> Any:
    def note(_: nn.Module, args: tuple[object, ...], kwargs: dict[str, object]) -> None:
        for value in (*args, *kwargs.values()):
            if isinstance(value, torch.Tensor) and value.dim() == 2 and not value.is_floating_point():
                taken[name] = value.shape[-1]

    return note
