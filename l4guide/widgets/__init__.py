"""The guide as widgets: one state object, and panels that watch it.

`guide()` in a notebook shows it; `Guide` gives the parts by name. `ledger()` shows what holds the shared memory,
`chapter()` the article claim by claim.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from l4guide.errors import CannotDo

if TYPE_CHECKING:
    from l4guide.widgets.claims import Claims, chapter
    from l4guide.widgets.ledger_page import LedgerPanel, ledger
    from l4guide.widgets.page import Guide, guide

__all__ = ["Claims", "Guide", "LedgerPanel", "chapter", "guide", "ledger"]

#: Where each name is; the others are the guide's own.
MODULES = {"Claims": "claims", "chapter": "claims", "LedgerPanel": "ledger_page", "ledger": "ledger_page"}


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
    return getattr(import_module(f"l4guide.widgets.{MODULES.get(name, 'page')}"), name)
