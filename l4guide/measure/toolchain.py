"""How the installed PyTorch was built, read from its files: importing it would take seconds and load CUDA."""

import ast
import re
from pathlib import Path

from l4guide.frozen import frozen


@frozen
class TorchBuild:
    """A PyTorch build. `cuda` is None where it was built without CUDA; `new_abi` is its C++ ABI."""

    version: str
    cuda: str | None
    new_abi: bool


def torch_build() -> TorchBuild | None:
    """The installed PyTorch; None where there is none or its files do not say."""
    from importlib import metadata  # as in `distributions`

    try:
        found = metadata.distribution("torch")
    except metadata.PackageNotFoundError:
        return None
    folder = Path(str(found.locate_file("torch")))
    try:
        said = _constants((folder / "version.py").read_text(encoding="utf-8"))
    except (OSError, SyntaxError):
        return None
    cuda = said.get("cuda")
    return TorchBuild(
        version=found.version, cuda=cuda if isinstance(cuda, str) else None, new_abi=_new_abi(folder)
    )


def nvcc() -> str | None:
    """Where CUDA's compiler is, which a build from source needs; None where none is found."""
    import shutil  # as in `files`

    return shutil.which("nvcc")


def _constants(source: str) -> dict[str, object]:
    """The names that a module binds to literals."""
    found: dict[str, object] = {}
    for node in ast.parse(source).body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        value = getattr(node, "value", None)
        if isinstance(value, ast.Constant):
            found |= {target.id: value.value for target in targets if isinstance(target, ast.Name)}
    return found


def _new_abi(folder: Path) -> bool:
    """The C++ ABI that CMake users of this PyTorch are told; releases that no longer say it have the new one."""
    try:
        config = (folder / "share" / "cmake" / "Torch" / "TorchConfig.cmake").read_text(encoding="utf-8")
    except OSError:
        return True
    said = re.search(r"_GLIBCXX_USE_CXX11_ABI=([01])", config)
    return said is None or said[1] == "1"
