"""A guard that a program asks before it calls a library."""

from collections.abc import Mapping

from l4guide.advise.answer import support_of
from l4guide.advise.installed import installed_version
from l4guide.advise.own import LIBRARY
from l4guide.errors import BadInput, CannotDo
from l4guide.measure.probe import Machine, machine
from l4guide.support import find_library, find_release


def supports(
    library: str,
    gpu: str | None,
    version: str | None,
    options: Mapping[str, object],
    here: Machine | None = None,
) -> bool:
    """Whether the verdict on `library` at `version` for the question on the GPU is ok.

    Args:
        library: as `l4guide support` takes it.
        gpu: None means the attached GPU.
        version: None means the installed one, or the newest known if none is installed.
        options: the question, as `l4guide.workload.ask` takes it.
        here: the machine to inspect; None means this one.

    Returns:
        True only for the verdict ok: refused, unsafe and unknown are False, and so is an installed version that
        the rules do not know.

    Raises:
        BadInput: the library, the requested version, the GPU or an option is unknown.
        CannotDo: no GPU was named, and no GPU in the catalogue is attached.
    """
    name = LIBRARY if library.strip().lower() == LIBRARY else find_library(library)
    if here is None and (gpu is None or version is None):
        here = machine()
    if gpu is None:
        gpu = _attached(here)
    if version is None and name != LIBRARY and here is not None:
        version = installed_version(here, name)
        if version is not None and not _is_known(name, version):
            return False
    return support_of(gpu, options, name, version).status == "ok"


def _attached(here: Machine | None) -> str:
    """The first attached card that the catalogue knows.

    Raises:
        CannotDo: there is none.
    """
    cards = () if here is None else here.gpus
    known = next((card.catalogue_name for card in cards if card.catalogue_name is not None), None)
    if known is None and cards:
        raise CannotDo("error.attached_not_known", attached=cards[0].name)
    if known is None:
        raise CannotDo("error.none_attached")
    return known


def _is_known(library: str, version: str) -> bool:
    try:
        find_release(library, version)
    except BadInput:
        return False
    return True
