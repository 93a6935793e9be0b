"""What PyTorch saves of a Llama for the backward pass, counted on the tensors, against the columns that are counted."""

import pytest
import torch
from torch import nn
from transformers import LlamaConfig, LlamaForCausalLM

from l4guide.memory.activations import columns_of
from l4guide.model import FULL, FeedForward, Layers, Mixer
from l4guide.step import Plan, Recipe
from l4guide.step.recipe import targets_of

HIDDEN, INNER, LAYERS, HEADS, KV_HEADS, WIDE, TOKENS, RANK = 256, 896, 3, 4, 2, 64, 256, 4
GROUP = Layers(
    count=LAYERS,
    mixer=Mixer(kind=FULL, heads=HEADS, kv_heads=KV_HEADS, head_dim=WIDE, head_dim_v=WIDE),
    feed_forward=FeedForward(intermediate=INNER),
)
CONFIG = {
    "hidden_size": HIDDEN,
    "intermediate_size": INNER,
    "num_attention_heads": HEADS,
    "num_key_value_heads": KV_HEADS,
    "head_dim": WIDE,
    "vocab_size": 64,
    "attn_implementation": "sdpa",
}
ALL = "q_proj,k_proj,v_proj,o_proj,gate_proj,up_proj,down_proj"


class Adapted(nn.Module):
    """A frozen product with two thin matrices beside it, in its own type."""

    def __init__(self, base: nn.Linear) -> None:
        super().__init__()
        self.base = base
        self.down = nn.Linear(base.in_features, RANK, bias=False, dtype=torch.bfloat16)
        self.up = nn.Linear(RANK, base.out_features, bias=False, dtype=torch.bfloat16)

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """The product and what the adapter adds."""
        added: torch.Tensor = self.base(rows) + self.up(self.down(rows))
        return added


def built(layers: int, targets: str | None) -> LlamaForCausalLM:
    """A Llama in 16 bits, trained whole or with adapters beside its targets."""
    model = LlamaForCausalLM(LlamaConfig(num_hidden_layers=layers, **CONFIG)).to(torch.bfloat16)
    if targets is None:
        return model
    for weight in model.parameters():
        weight.requires_grad_(requires_grad=False)
    for module in list(model.modules()):
        for name, child in list(module.named_children()):
            if name in targets.split(","):
                setattr(module, name, Adapted(child))
    model.enable_input_require_grads()
    return model


def saved_bytes(model: LlamaForCausalLM) -> int:
    """Bytes that the forward pass of the layers saves beside the weights, each tensor once."""
    weights = {one.untyped_storage().data_ptr() for one in (*model.parameters(), *model.buffers())}
    saved: dict[int, torch.UntypedStorage] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            saved[storage.data_ptr()] = storage
        return tensor

    tokens = torch.randint(0, model.config.vocab_size, (1, TOKENS))
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        model.model(tokens)
    return sum(storage.nbytes() for storage in saved.values())


@pytest.mark.parametrize("targets", [None, "q_proj,v_proj", ALL, "gate_proj,up_proj,down_proj"])
def test_columns_are_those_that_pytorch_saves(targets: str | None) -> None:
    """What two more layers save, in 16-bit columns of a token, is what is counted of them, within 3 %."""
    torch.manual_seed(0)
    more, less = (saved_bytes(built(layers, targets)) for layers in (LAYERS, 1))
    measured = (more - less) / (LAYERS - 1) / TOKENS / 2
    recipe = Recipe() if targets is None else Recipe(method="lora", rank=RANK, targets=targets_of(targets))
    counted = columns_of(GROUP, HIDDEN, Plan(task="training", recipe=recipe))
    assert counted.unfused == pytest.approx(measured, rel=0.03)
    assert counted.fused < counted.unfused
