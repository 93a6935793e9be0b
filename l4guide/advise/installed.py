"""The rules applied to what is installed here, and what to know where that very version was not read."""

from l4guide.advise.own import LIBRARY, own_verdict
from l4guide.catalogue import Gpu
from l4guide.errors import BadInput, CannotDo
from l4guide.frozen import frozen
from l4guide.kernels import check_versions
from l4guide.measure.probe import Machine
from l4guide.support import (
    Release,
    Verdict,
    check,
    distribution,
    find_release,
    is_newer,
    libraries,
    newest_read,
    releases,
)
from l4guide.text import Sentence
from l4guide.workload import Workload

#: What our own kernels need installed.
COMPILER = "triton"


@frozen
class Installed:
    """One installed implementation. `verdict` is None where the rules do not know its version.

    `message` is the verdict in words, or what the newest release says that was read. `warning` says why the answer
    is less than one that was read for this very version; it is None where it is not, and the same for every
    backend of one library.
    """

    library: str
    version: str
    verdict: Verdict | None
    message: Sentence | str
    warning: Sentence | None

    @property
    def status(self) -> str:
        """The verdict's; unknown where there is none."""
        return self.verdict.status if self.verdict is not None else "unknown"

    def to_json(self, language: str = "en") -> dict[str, object]:
        """The verdict with the version that is installed, and the warning where there is one."""
        warning = {"warning": self.warning.say(language)} if self.warning is not None else {}
        if self.verdict is not None:
            return {**self.verdict.to_json(language), "installed": self.version, **warning}
        said = {"library": self.library, "version": self.version, "installed": self.version}
        message = self.message.say(language) if isinstance(self.message, Sentence) else self.message
        return {**said, "status": "unknown", "message": message, **warning}


def installed_version(here: Machine, library: str) -> str | None:
    """The version of `library` on this machine; a backend has that of the library it belongs to."""
    return here.version(COMPILER if library == LIBRARY else distribution(library))


def check_installed(here: Machine, workload: Workload, gpu: Gpu) -> tuple[Installed, ...]:
    """What every installed implementation does with `workload` on `gpu`, in the order of the rules."""
    found = [
        _check(library, version, workload, gpu)
        for library in libraries()
        if library != LIBRARY and (version := installed_version(here, library)) is not None
    ]
    triton = installed_version(here, LIBRARY)
    if triton is not None:
        found.append(_own(here, triton, workload, gpu))
    return tuple(found)


def warnings_of(here: Machine, installed: tuple[Installed, ...]) -> tuple[Sentence, ...]:
    """What to know before relying on the verdicts, each once: the backends of one library share a version."""
    said = {str(item.warning): item.warning for item in installed if item.warning is not None}
    no_cuda = here.torch is not None and here.torch.cuda is None
    return (*((Sentence("doctor.no_cuda"),) if no_cuda else ()), *said.values())


def _own(here: Machine, triton: str, workload: Workload, gpu: Gpu) -> Installed:
    """Our own kernels; beside a torch or Triton that they do not run with there is no verdict."""
    try:
        check_versions(here.version)
    except CannotDo as problem:
        message = problem.sentence
        return Installed(library=LIBRARY, version=triton, verdict=None, message=message, warning=None)
    return _judged(own_verdict(workload, gpu), None)


def _judged(verdict: Verdict, warning: Sentence | None) -> Installed:
    return Installed(
        library=verdict.library,
        version=verdict.version,
        verdict=verdict,
        message=verdict.message,
        warning=warning,
    )


def _check(library: str, version: str, workload: Workload, gpu: Gpu) -> Installed:
    """One library; of a version that is none of its releases there is no verdict but a warning."""
    if is_newer(library, version):
        newer = Sentence("doctor.newer", _named(library, version))
        return _judged(check(workload, gpu, library, version), newer)
    try:
        release = find_release(library, version)
    except BadInput:
        return _unlisted(library, version, workload, gpu)
    warning = None if release.checked else _unread(library, release)
    return _judged(check(workload, gpu, library, release.version), warning)


def _named(library: str, version: str) -> dict[str, object]:
    """What a warning names: the package, its version, and the newest release that was read."""
    package, newest = library.split("/", maxsplit=1)[0], newest_read(library).version
    return {"library": package, "version": version, "newest": newest}


def _unlisted(library: str, version: str, workload: Workload, gpu: Gpu) -> Installed:
    """There is no verdict on a version that is none of the releases."""
    values = _named(library, version)
    newest = check(workload, gpu, library, str(values["newest"]))
    said = Sentence(f"support.status_{newest.status}")
    return Installed(
        library=library,
        version=version,
        verdict=None,
        message=Sentence("doctor.newest_said", {**values, "status": said}),
        warning=Sentence("doctor.not_a_release", values),
    )


def _unread(library: str, release: Release) -> Sentence:
    """A listed release that nobody read is answered by its neighbours, or by nothing where it has one side only."""
    read = [entry for entry in releases(library) if entry.checked]
    below = [entry.version for entry in read if entry.key < release.key]
    above = [entry.version for entry in read if entry.key > release.key]
    values = {"library": library.split("/", maxsplit=1)[0], "version": release.version}
    if above and below:
        return Sentence("doctor.between", {**values, "below": below[-1], "above": above[0]})
    return Sentence("doctor.beside_the_read", {**values, "newest": (below or above)[-1]})
