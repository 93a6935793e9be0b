"""The guide as widgets: one state object, and panels that watch it.

`guide()` in a notebook shows it, `matrix()` what runs where, `ledger()` what holds the shared memory, `chapter()` the
article claim by claim, `kernel()` the kernels by hand; `Guide`, `MatrixPage`, `LedgerPanel`, `Claims` and `KernelPage`
give the parts by name.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from l4guide.errors import CannotDo

if TYPE_CHECKING:
    from l4guide.widgets.claims import Claims, chapter
    from l4guide.widgets.kernel_page import KernelPage, kernel
    from l4guide.widgets.ledger_page import LedgerPanel, ledger
    from l4guide.widgets.matrix_page import MatrixPage, matrix
    from l4guide.widgets.page import Guide, guide

__all__ = [
    "Claims",
    "Guide",
    "KernelPage",
    "LedgerPanel",
    "MatrixPage",
    "chapter",
    "guide",
    "kernel",
    "ledger",
    "matrix",
]
MODULES = {
    "Guide": "page",
    "guide": "page",
    "Claims": "claims",
    "chapter": "claims",
    "KernelPage": "kernel_page",
    "kernel": "kernel_page",
    "LedgerPanel": "ledger_page",
    "ledger": "ledger_page",
    "MatrixPage": "matrix_page",
    "matrix": "matrix_page",
}


def __getattr__(name: str) -> object:
    """Import the widgets when they are asked for, so that their absence is one line and no traceback.

    Raises:
        CannotDo: ipywidgets or anywidget is not installed.
        AttributeError: there is no such name.
    """
    if name not in MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        import anywidget  # noqa: F401
        import ipywidgets  # noqa: F401
    except ModuleNotFoundError as missing:
        raise CannotDo("error.no_widgets", missing=missing.name) from missing
    return getattr(import_module(f"{__name__}.{MODULES[name]}"), name)
