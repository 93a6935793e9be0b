"""Layers that a token passes several times: one copy of their weights, and what they keep once a pass."""

from collections.abc import Iterator
from dataclasses import replace

from l4guide.model.architecture import Layers
from l4guide.model.fields import MOST_LAYERS, Fields

#: No published model passes its layers more often.
MOST_PASSES = 256


def looped(fields: Fields) -> tuple[range, int]:
    """Layers that are passed again, counted from 0, and how often in all; none, once, where nothing says so.

    Raises:
        BadInput: a field is malformed or out of limits.
    """
    passes = fields.whole("loop_num_passes", "n_recurrent_loops", at_most=MOST_PASSES) or 1
    start = fields.whole("loop_layer_index_start", "n_input_layers", at_most=MOST_LAYERS) or 0
    end = fields.whole("loop_layer_index_end", at_most=MOST_LAYERS)
    if end is None:
        count = fields.whole("n_recurrent_layers", at_most=MOST_LAYERS)
        layers = fields.whole("num_hidden_layers", at_most=MOST_LAYERS) or 0
        end = layers - (fields.whole("n_output_layers") or 0) if count is None else start + count
    return range(start, end) if passes > 1 else range(0), passes


def again(fields: Fields, group: Layers, passes: int) -> Iterator[Layers]:
    """A group of layers as it is passed so often."""
    if passes == 1:
        yield group
    elif fields.get("recurrent_kv_cache_mode") == "last_loop":
        yield group
        earlier = replace(group.mixer, borrows_kv=True)
        yield replace(group, count=group.count * (passes - 1), mixer=earlier, stored=0)
    else:
        yield replace(group, count=group.count * passes, stored=group.count)


def cycled(fields: Fields) -> tuple[int, int] | None:
    """Layers of two stacks that take turns, as HRM has them: those passed, and those with weights of their own.

    Raises:
        BadInput: a field is malformed or out of limits.
    """
    high = fields.whole("H_cycles", at_least=1, at_most=MOST_PASSES)
    low = fields.whole("L_cycles", at_least=1, at_most=MOST_PASSES)
    if high is None or low is None:
        return None
    # Unless it is said what a stack has, that is what its layers are.
    stack = fields.whole("num_layers_per_stack", at_least=1, at_most=MOST_LAYERS)
    stack = stack or fields.needed("num_hidden_layers", at_most=MOST_LAYERS)
    return stack * high * (low + 1), 2 * stack
