"""Which card a kernel is launched on: that of its tensors, whichever is the current one.

Triton launches on the current device and its stream, PyTorch's own operators on that of their tensors. With a model
spread over several cards (`device_map="auto"`) the two differ.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast

import torch

Launch = TypeVar("Launch", bound=Callable[..., Any])


def on_its_device(launch: Launch) -> Launch:
    """Makes the device of the first tensor among its arguments the current one while a function that launches runs.

    torch.compile does that itself for the kernels that it takes into its graphs.
    """

    @wraps(launch)
    def guarded(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - whatever `launch` gives
        if torch.compiler.is_compiling():
            return launch(*args, **kwargs)
        first = next(one for one in (*args, *kwargs.values()) if isinstance(one, torch.Tensor))
        with torch.cuda.device_of(first):  # type: ignore[no-untyped-call]
            return launch(*args, **kwargs)

    return cast(Launch, guarded)
