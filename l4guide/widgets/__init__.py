"""The guide as widgets: one state object, and panels that watch it.

`guide()` in a notebook shows it; `Guide` gives the parts by name. `chapter()` shows the article, claim by claim.
"""

from typing import TYPE_CHECKING

from l4guide.errors import CannotDo

if TYPE_CHECKING:
    from l4guide.widgets.claims import Claims, chapter
    from l4guide.widgets.page import Guide, guide

__all__ = ["Claims", "Guide", "chapter", "guide"]


def __getattr__(name: str) -> object:
    """Import the widgets when they are asked for, so that their absence is one line and no traceback.

    Raises:
        CannotDo: ipywidgets or anywidget is not installed.
        AttributeError: there is no such name.
    """
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        import anywidget  # noqa: F401
        import ipywidgets  # noqa: F401
    except ModuleNotFoundError as missing:
        raise CannotDo("error.no_widgets", missing=missing.name) from missing
    from l4guide.widgets import claims, page

    return getattr(page if hasattr(page, name) else claims, name)
