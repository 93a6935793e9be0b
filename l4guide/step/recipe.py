"""How a model is trained: what is trained, what updates it, and what is kept for the backward pass."""

from collections.abc import Mapping

from l4guide.errors import BadInput
from l4guide.frozen import frozen
from l4guide.workload import FLAG_WORDS, one_of, whole_number, yes_or_no

METHODS = ("full", "lora", "qlora", "dora")
OPTIMIZERS = (
    *("adamw", "adamw-8bit", "paged-adamw-8bit", "adafactor", "lion", "muon", "sgd"),
    "none",
)
#: Elements of state for a weight. Adafactor keeps a row and a column of each matrix instead.
MOMENTS = {"adamw": 2.0, "adamw-8bit": 2.0, "paged-adamw-8bit": 2.0, "lion": 1.0, "muon": 1.0}
#: An 8-bit state has a scale of 32 bits for each 256.
EIGHT_BITS = 1 + 4 / 256
#: Those that update the weights in their own type: they keep no fp32 copy unless one is asked for.
IN_PLACE = ("adamw-8bit", "paged-adamw-8bit")
LOSSES = ("full", "chunked")
RECOMPUTES = ("full", "selective", "offload", "none")
ZERO_STAGES = ("0", "1", "2", "3")
DEFAULT_RANK, MAX_RANK, MAX_ACCUMULATION = 16, 4096, 65_536

ATTENTION, MLP, HEAD = "attention", "mlp", "lm_head"
#: What adapters stand beside, as libraries call the matrices; several names for one, one name for several.
TARGETS: Mapping[str, tuple[str, ...]] = {
    "all": (ATTENTION, MLP),
    "all-linear": (ATTENTION, MLP),
    ATTENTION: (ATTENTION,),
    MLP: (MLP,),
    **{
        name: (name,)
        for name in (
            *("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj", HEAD),
            *("q_a_proj", "q_b_proj", "kv_a_proj_with_mqa", "kv_b_proj", "in_proj", "out_proj"),
        )
    },
    **dict.fromkeys(("output_proj", "wo", "dense"), ("o_proj",)),
    **dict.fromkeys(
        ("qkv_proj", "c_attn", "query_key_value", "wqkv", "w_pack"), ("q_proj", "k_proj", "v_proj")
    ),
    "wq": ("q_proj",),
    "wk": ("k_proj",),
    "wv": ("v_proj",),
    "output": (HEAD,),
    "gate_up_proj": ("gate_proj", "up_proj"),
    "w1": ("gate_proj",),
    "w3": ("up_proj",),
    **dict.fromkeys(("fc1", "c_fc", "dense_h_to_4h"), ("up_proj",)),
    **dict.fromkeys(("fc2", "w2", "dense_4h_to_h"), ("down_proj",)),
}


@frozen
class Recipe:
    """How a model is trained.

    `targets` are the matrices that adapters of rank `rank` stand beside. `master_weights` keeps an fp32 copy of 16-bit
    weights, or adapters in fp32. `fused_step` updates each weight within the backward pass, so that one gradient lives
    at a time. A chunked `loss` never holds the logits of all tokens. `recompute` runs the forward again from the input
    of each layer (full), its cheap operations alone (selective), or from inputs that wait in host memory (offload).
    `zero` is what data-parallel cards divide: nothing, optimizer states, gradients too, weights too. `accumulation`
    is how many batches a step sums the gradients of.
    """

    method: str = "full"
    rank: int = DEFAULT_RANK
    targets: tuple[str, ...] = (ATTENTION, MLP)
    optimizer: str = "adamw"
    master_weights: bool = True
    fused_step: bool = False
    loss: str = "full"
    recompute: str = "full"
    zero: int = 3
    accumulation: int = 1

    @property
    def adapts(self) -> bool:
        """Whether small matrices are trained beside frozen weights."""
        return self.method != "full"

    @property
    def is_paged(self) -> bool:
        """Whether optimizer states may wait in host memory."""
        return self.optimizer.startswith("paged")

    def moment_bytes(self, wide: float) -> float:
        """Bytes of one element of state, where states of `wide` bytes are not narrowed."""
        return EIGHT_BITS if self.optimizer.endswith("8bit") else wide

    def state_bytes(self, wide: float) -> float:
        """Bytes of state for a weight."""
        return MOMENTS.get(self.optimizer, 0.0) * self.moment_bytes(wide)

    def to_json(self) -> dict[str, object]:
        """Every option, as it was filled in; those of adapters where there are some."""
        said: dict[str, object] = {"method": self.method}
        if self.adapts:
            said |= {"lora_rank": self.rank, "lora_targets": list(self.targets)}
        return said | {
            "optimizer": self.optimizer,
            "master_weights": self.master_weights,
            "fused_step": self.fused_step,
            "loss": self.loss,
            "recompute": self.recompute,
            "zero": self.zero,
            "accumulation": self.accumulation,
        }


#: Options of a recipe, by which a user says its fields.
FIELDS: Mapping[str, str] = {
    "method": "method",
    "lora_rank": "rank",
    "lora_targets": "targets",
    "optimizer": "optimizer",
    "master_weights": "master_weights",
    "fused_step": "fused_step",
    "loss": "loss",
    "recompute": "recompute",
    "zero": "zero",
    "accumulation": "accumulation",
}


def recipe_of(options: Mapping[str, object]) -> Recipe:
    """The recipe among a user's options, which are named as `FIELDS` has them.

    Raises:
        BadInput: an option is malformed, or contradicts another.
    """
    said = {name: options[name] for name in FIELDS if options.get(name) is not None}
    method = one_of("method", said.get("method", "full"), METHODS)
    optimizer = one_of("optimizer", said.get("optimizer", "adamw"), OPTIMIZERS)
    usual_copy = method != "full" or optimizer not in IN_PLACE
    found = Recipe(
        method=method,
        rank=whole_number("lora-rank", said.get("lora_rank", DEFAULT_RANK), at_most=MAX_RANK),
        targets=targets_of(said.get("lora_targets", "all")),
        optimizer=optimizer,
        master_weights=yes_or_no("master-weights", said.get("master_weights", usual_copy)),
        fused_step=yes_or_no("fused-step", said.get("fused_step", False)),
        loss=one_of("loss", said.get("loss", "full"), LOSSES),
        recompute=_recompute(said.get("recompute", True)),
        zero=int(one_of("zero", said.get("zero", "3"), ZERO_STAGES)),
        accumulation=whole_number("accumulation", said.get("accumulation", 1), at_most=MAX_ACCUMULATION),
    )
    if found.fused_step and found.accumulation > 1:
        raise BadInput("error.fused_accumulation", accumulation=found.accumulation)
    return found


def targets_of(value: object) -> tuple[str, ...]:
    """The matrices that adapters stand beside: names separated by commas, or a list of them.

    Raises:
        BadInput: one of them is not a matrix that any library is known to name so, or there is none.
    """
    names = value if isinstance(value, list | tuple) else str(value).split(",")
    found: list[str] = []
    for name in names:
        # A pattern or a path ends in the name of the matrix.
        last = str(name).strip().lower().rsplit(".", maxsplit=1)[-1]
        found += TARGETS[one_of("lora-targets", last, tuple(TARGETS))]
    return tuple(dict.fromkeys(found))


def _recompute(value: object) -> str:
    """A kind of recomputation; yes is full, no is none."""
    word = str(value).strip().lower()
    if word in FLAG_WORDS:
        return "full" if FLAG_WORDS[word] else "none"
    return one_of("recompute", word, RECOMPUTES)
