"""The folder of facts."""

from functools import cache
from pathlib import Path


@cache
def data_folder() -> Path:
    """Where the facts lie: inside the installed package, or beside it in a checkout."""
    package = Path(__file__).parent.parent
    inside = package / "data"
    return inside if inside.is_dir() else package.parent / "data"
