"""A configuration as transformers' own modules on the meta device: shapes without memory, and without any weight."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
import transformers
from transformers.models.auto import modeling_auto

from l4guide.errors import BadInput
from l4guide.tracing.attention import SPY

#: Which class a type is counted as where its configuration names none: the first of these that has one.
TASKS = (
    "SEQ_TO_SEQ_CAUSAL_LM",
    "IMAGE_TEXT_TO_TEXT",
    "SPEECH_SEQ_2_SEQ",
    "MULTIMODAL_LM",
    "MASKED_LM",
    "CAUSAL_LM",
)
#: Tried in this order: the spy sees every call; a model that takes no foreign implementation is built as it is.
IMPLEMENTATIONS = (SPY, "sdpa", "eager")


def language_types() -> list[str]:
    """Types that transformers has a language model of, those of text, speech and images alike."""
    return sorted({model_type for task in TASKS for model_type in _names(task)})


def _names(task: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = getattr(modeling_auto, f"MODEL_FOR_{task}_MAPPING_NAMES")
    return found


def default_config(model_type: str) -> Any:
    """The configuration that a type has where nothing is said.

    Raises:
        BadInput: transformers does not know the type.
    """
    return _known(model_type)[model_type]()


def _known(model_type: str) -> Any:
    known = transformers.CONFIG_MAPPING
    if model_type not in known:
        version = transformers.__version__
        raise BadInput("model_trace.unknown_type", model_type=model_type[:60], version=version)
    return known


def typed_config(config: Mapping[str, object], name: str) -> Any:
    """The configuration as transformers holds it.

    Raises:
        BadInput: it names no type, or one that transformers does not know.
    """
    model_type = config.get("model_type")
    if not isinstance(model_type, str) or not model_type:
        raise BadInput("error.config_missing", path=name, field="model_type", others="-")
    known = _known(model_type)
    rest = {key: value for key, value in config.items() if key != "model_type"}
    return known[model_type].from_dict(rest)


def strange(given: Mapping[str, object], config: Any) -> tuple[str, ...]:
    """Fields of numbers, by their path, that the type of a configuration does not have by itself."""
    try:
        known = {*type(config)().to_dict(), *type(config).attribute_map}
    except Exception:  # some types cannot be made from nothing
        return ()
    found = [key for key, value in given.items() if key not in known and _counts(value)]
    for key in getattr(type(config), "sub_configs", {}):
        inner, part = given.get(key), getattr(config, key, None)
        if isinstance(inner, Mapping) and part is not None:
            found += [f"{key}.{name}" for name in strange(inner, part)]
    return tuple(name for name in found if not name.endswith("_id"))


def _counts(value: object) -> bool:
    if isinstance(value, list):
        return bool(value) and all(_counts(one) for one in value)
    return isinstance(value, int | float) and not isinstance(value, bool)


@contextmanager
def noting_reads() -> Iterator[set[str]]:
    """The names of the fields that are read off any configuration while this lasts."""
    names: set[str] = set()
    kind = transformers.PreTrainedConfig
    original = kind.__getattribute__

    def reading(self: Any, name: str) -> Any:
        names.add(name)
        return original(self, name)

    kind.__getattribute__ = reading
    try:
        yield names
    finally:
        kind.__getattribute__ = original


def model_class(config: Any) -> Any:
    """The class of transformers that a configuration is for: the one it names, else by its type.

    Raises:
        BadInput: transformers has no language model of this type.
    """
    named = [
        getattr(transformers, name, None) for name in config.architectures or () if isinstance(name, str)
    ]
    for found in named:
        if isinstance(found, type) and getattr(found, "config_class", None) is type(config):
            return found
    names = [_names(task).get(config.model_type) for task in TASKS]
    names.append(modeling_auto.MODEL_MAPPING_NAMES.get(config.model_type))
    chosen = next((name for name in names if name), None)
    if chosen is None:
        raise BadInput("model_trace.no_model", model_type=config.model_type, version=transformers.__version__)
    return getattr(transformers, chosen if isinstance(chosen, str) else chosen[0])


def build(make: Callable[[], Any], dtype: torch.dtype) -> torch.nn.Module:
    """The model of the configuration that `make` returns, on the meta device, its shared weights tied.

    Raises:
        Exception: whatever transformers says of a configuration that it cannot build.
    """
    failure: Exception | None = None
    for implementation in IMPLEMENTATIONS:
        config = make()
        try:
            with torch.device("meta"), transformers.initialization.no_init_weights():
                model = model_class(config)._from_config(
                    config,
                    attn_implementation=implementation,
                    experts_implementation="batched_mm",
                    dtype=dtype,
                )
        except BadInput:
            raise
        except Exception as refused:  # the next implementation may be one that this model takes
            failure = refused
            continue
        model.tie_weights()
        model.eval()
        languages = getattr(config, "languages", None)
        if languages and hasattr(model, "set_default_language"):
            model.set_default_language(languages[0])
        built: torch.nn.Module = model
        return built
    assert failure is not None
    raise failure
