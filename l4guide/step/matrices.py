"""The matrices of a model's layers by name and shape: what adapters stand beside, and what an optimizer updates."""

from collections.abc import Iterator

from l4guide.frozen import frozen
from l4guide.model import LATENT, LINEAR, Architecture, FeedForward, Layers, Mixer
from l4guide.step.recipe import ATTENTION, HEAD, MLP, Recipe


@frozen
class Matrix:
    """A matrix as a library names it, `part` of a layer that it belongs to, its sides, and how often a model has it."""

    name: str
    part: str
    rows: int
    columns: int
    count: int = 1

    @property
    def weights(self) -> int:
        """Weights of one of it."""
        return self.rows * self.columns

    def is_in(self, targets: tuple[str, ...]) -> bool:
        """Whether adapters stand beside it."""
        return self.name in targets or self.part in targets


def of_layer(group: Layers, hidden: int) -> tuple[Matrix, ...]:
    """The matrices of one of the layers; the router, which is never adapted, is left out."""
    return (*_mixing(group.mixer, hidden), *_multiplying(group.feed_forward, hidden))


def of_model(model: Architecture) -> Iterator[Matrix]:
    """Those of all layers, and the output product."""
    for group in model.layers:
        for one in of_layer(group, model.hidden):
            copies = one.count * group.own
            yield Matrix(name=one.name, part=one.part, rows=one.rows, columns=one.columns, count=copies)
    if model.vocabulary:
        yield Matrix(name=HEAD, part=HEAD, rows=model.hidden, columns=model.vocabulary)


def trained_weights(model: Architecture, recipe: Recipe) -> float:
    """Weights that get a gradient: all but towers, or two thin matrices beside each target; with DoRA a length too."""
    if not recipe.adapts:
        return float(model.parameters - model.tower_weights)
    lengths = 1 if recipe.method == "dora" else 0
    return float(
        sum(
            one.count * (recipe.rank * (one.rows + one.columns) + lengths * one.columns)
            for one in of_model(model)
            if one.is_in(recipe.targets)
        )
    )


def names_of(model: Architecture) -> tuple[str, ...]:
    """The names of the matrices that a model has."""
    return tuple(dict.fromkeys(one.name for one in of_model(model)))


def largest(model: Architecture) -> int:
    """Weights of the largest tensor that has a gradient of its own; experts of a layer are kept in one."""
    inside = (one.weights * one.count for group in model.layers for one in of_layer(group, model.hidden))
    return max(*inside, model.vocabulary * model.hidden, 0)


def widest_layer(model: Architecture) -> int:
    """Weights of the largest layer."""
    return max(g.mixer.weights(model.hidden) + g.feed_forward.weights(model.hidden) for g in model.layers)


def _mixing(mixer: Mixer, hidden: int) -> Iterator[Matrix]:
    def matrix(name: str, rows: int, columns: int) -> Matrix:
        return Matrix(name=name, part=ATTENTION, rows=rows, columns=columns)

    if mixer.kind == LINEAR:
        yield matrix("in_proj", hidden, mixer.columns_in)
        yield matrix("out_proj", mixer.columns_out, hidden)
        return
    if not mixer.attends:
        return
    wide = mixer.heads * mixer.head_dim
    if mixer.query_rank:
        yield matrix("q_a_proj", hidden, mixer.query_rank)
        yield matrix("q_b_proj", mixer.query_rank, wide)
    else:
        yield matrix("q_proj", hidden, wide)
    if mixer.kind == LATENT:
        yield matrix("kv_a_proj_with_mqa", hidden, mixer.latent_rank + mixer.rope_dim)
        inside = mixer.heads * (mixer.head_dim - mixer.rope_dim + mixer.head_dim_v)
        yield matrix("kv_b_proj", mixer.latent_rank, inside)
    elif not mixer.borrows_kv:
        yield matrix("k_proj", hidden, mixer.kv_heads * mixer.head_dim)
        if not mixer.shared_kv:
            yield matrix("v_proj", hidden, mixer.kv_heads * mixer.head_dim_v)
    yield matrix("o_proj", mixer.heads * mixer.head_dim_v, hidden)


def _multiplying(wide: FeedForward, hidden: int) -> Iterator[Matrix]:
    sizes = [(hidden, wide.intermediate, 1)]
    sizes += [(wide.expert_hidden or hidden, wide.expert_intermediate, wide.experts)]
    names = (*(("gate_proj",) if wide.gated else ()), "up_proj")
    for outer, inner, count in sizes:
        if not inner or not count:
            continue
        for name in names:
            yield Matrix(name=name, part=MLP, rows=outer, columns=inner, count=count)
        yield Matrix(name="down_proj", part=MLP, rows=inner, columns=outer, count=count)
