"""How PyTorch was built, read from its files."""

from importlib.metadata import PackageNotFoundError
from pathlib import Path
from types import SimpleNamespace

import pytest

from l4guide.measure import toolchain

VERSION = """from typing import Optional
__version__ = '2.6.0+cu124'
debug = False
cuda: Optional[str] = {cuda}
"""


def install(monkeypatch: pytest.MonkeyPatch, folder: Path, cuda: str, config: str | None) -> None:
    """A PyTorch whose files are in `folder`."""
    (folder / "torch" / "share" / "cmake" / "Torch").mkdir(parents=True)
    (folder / "torch" / "version.py").write_text(VERSION.format(cuda=cuda), encoding="utf-8")
    if config is not None:
        path = folder / "torch" / "share" / "cmake" / "Torch" / "TorchConfig.cmake"
        path.write_text(config, encoding="utf-8")
    found = SimpleNamespace(version="2.6.0+cu124", locate_file=lambda name: folder / name)
    monkeypatch.setattr("importlib.metadata.distribution", lambda _: found)


@pytest.mark.parametrize(
    ("cuda", "config", "expected"),
    [
        ("'12.4'", 'set(TORCH_CXX_FLAGS "-D_GLIBCXX_USE_CXX11_ABI=0")', ("12.4", False)),
        ("'12.4'", 'set(TORCH_CXX_FLAGS "-D_GLIBCXX_USE_CXX11_ABI=1")', ("12.4", True)),
        ("'12.8'", "set(NOTHING)", ("12.8", True)),
        ("None", None, (None, True)),
    ],
)
def test_cuda_and_abi_are_read(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    cuda: str,
    config: str | None,
    expected: tuple[str | None, bool],
) -> None:
    """CUDA from version.py, the C++ ABI from the CMake file; a file that does not say it means the new one."""
    install(monkeypatch, tmp_path, cuda, config)
    build = toolchain.torch_build()
    assert build is not None
    assert ("2.6.0+cu124", *expected) == (build.version, build.cuda, build.new_abi)


def test_without_pytorch_there_is_nothing_to_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Absent is None, and so are files that are gone."""

    def missing(_name: str) -> None:
        raise PackageNotFoundError

    monkeypatch.setattr("importlib.metadata.distribution", missing)
    assert toolchain.torch_build() is None


def test_files_that_are_gone_are_no_build(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Metadata without the package itself is a broken installation, not an error here."""
    found = SimpleNamespace(version="2.6.0", locate_file=lambda name: tmp_path / name)
    monkeypatch.setattr("importlib.metadata.distribution", lambda _: found)
    assert toolchain.torch_build() is None
