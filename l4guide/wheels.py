"""Which ready-made builds of flash-attn its authors published, from `data/wheels/`, and which one fits a machine."""

from dataclasses import fields
from functools import cache
from pathlib import Path

from packaging.version import InvalidVersion, Version

from l4guide.catalogue import Source, data_folder, source, sources
from l4guide.frozen import frozen
from l4guide.table import read_rows

#: Where the files of a release lie; `setup.py` of flash-attn forms the same address.
ADDRESS = "https://github.com/Dao-AILab/flash-attention/releases/download/v{version}/{name}"


@frozen
class Build:
    """The builds of one release for one CUDA, torch and machine: every Python with every C++ ABI.

    `abis` holds TRUE for torch's new C++ ABI and FALSE for the one before. `complete` is False where the source
    lists a part of the release's files only, so that a missing one proves nothing.
    """

    version: str
    cuda: int
    torch: str
    pythons: tuple[str, ...]
    abis: tuple[str, ...]
    machine: str
    complete: bool
    source: str


@frozen
class Wheel:
    """One file to install."""

    version: str
    name: str
    url: str
    source: Source

    @property
    def install(self) -> str:
        """The shell line that installs it."""
        return f'pip install "{self.url}"'


def read_builds(path: Path, known_sources: tuple[str, ...]) -> tuple[Build, ...]:
    """The builds of a table of `data/wheels/`, whose sources are among `known_sources`.

    Raises:
        BadData: a row is broken.
    """
    rows = read_rows(path, [f.name for f in fields(Build)], ["version", "cuda", "torch", "machine"])
    for row in rows:
        row.check_known("source", [row.cells["source"]], known_sources, "sources.csv")
    return tuple(row.fill(Build) for row in rows)


@cache
def builds() -> tuple[Build, ...]:
    """Every published build that is known, the oldest release first."""
    return read_builds(data_folder() / "wheels" / "flash-attn.csv", tuple(entry.key for entry in sources()))


def _public(version: str) -> Version | None:
    """A version without its local part; None for what is none."""
    try:
        return Version(Version(version).public)
    except InvalidVersion:
        return None


def is_listed(version: str) -> bool:
    """Whether all builds of this release are known, so that one that is not among them does not exist."""
    asked = _public(version)
    return any(build.complete and Version(build.version) == asked for build in builds())


def fitting_wheel(
    version: str, python: str, torch: str, cuda: str, *, new_abi: bool = True, machine: str = "x86_64"
) -> Wheel | None:
    """The published build of flash-attn `version` for this Python, torch and CUDA.

    Args:
        version: of flash-attn.
        python: such as "3.12.4"; its minor release counts.
        torch: such as "2.8.0+cu128"; its minor release counts.
        cuda: the one that torch was built with, such as "12.8"; its major release counts.
        new_abi: whether torch was built with the new C++ ABI, as every wheel since 2.7.0 is.
        machine: "x86_64" or "aarch64"; builds are for Linux alone.

    Returns:
        None where none is known: does not exist if `is_listed(version)`, else nobody looked.
    """
    asked, built_with, toolkit, runs = (_public(text) for text in (version, torch, cuda, python))
    if asked is None or built_with is None or toolkit is None or runs is None:
        return None
    abi, minor = str(new_abi).upper(), f"{runs.major}.{runs.minor}"
    for build in builds():
        if (
            Version(build.version) == asked
            and build.torch == f"{built_with.major}.{built_with.minor}"
            and (build.cuda, build.machine) == (toolkit.major, machine)
            and minor in build.pythons
            and abi in build.abis
        ):
            python_tag = f"cp{runs.major}{runs.minor}"
            local = f"cu{build.cuda}torch{build.torch}cxx11abi{abi}"
            name = f"flash_attn-{build.version}+{local}-{python_tag}-{python_tag}-linux_{machine}.whl"
            url = ADDRESS.format(version=build.version, name=name.replace("+", "%2B"))
            return Wheel(version=build.version, name=name, url=url, source=source(build.source))
    return None


def newest_wheel(
    python: str, torch: str, cuda: str, *, new_abi: bool = True, machine: str = "x86_64"
) -> Wheel | None:
    """The newest published build for this Python, torch and CUDA; see `fitting_wheel`."""
    known = sorted({build.version for build in builds()}, key=Version, reverse=True)
    found = (
        fitting_wheel(version, python, torch, cuda, new_abi=new_abi, machine=machine) for version in known
    )
    return next((wheel for wheel in found if wheel is not None), None)
