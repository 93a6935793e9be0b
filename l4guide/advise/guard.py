"""One line for a program that wants to know before it calls."""

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
    """Whether `library` at `version` runs the question on the card, and somebody knows that it does.

    Args:
        library: as `l4guide support` takes it.
        gpu: None takes the attached card.
        version: None takes the installed one, else the newest known.
        options: the question, as `l4guide.workload.ask` takes it.
        here: the machine to look at; None looks at this one.

    Returns:
        True for a verdict of ok alone: refused, unsafe and unknown are False, and so is an installed version
        that the rules do not know.

    Raises:
        BadInput: the library, the version that was asked for, the card or an option is not known.
        CannotDo: no card was named and none that the catalogue knows is attached.
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
