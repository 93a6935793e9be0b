"""How flash-attn is installed on one machine: the published build that fits it, or a build from source."""

from l4guide.catalogue import Gpu
from l4guide.frozen import frozen
from l4guide.measure.probe import Machine
from l4guide.support import check, find_release, install_line
from l4guide.text import Sentence
from l4guide.wheels import Wheel, fitting_wheel, is_listed, newest_wheel
from l4guide.workload import Workload

FLASH = "flash-attn"


@frozen
class Installation:
    """The shell line, and what to know of it. `wheel` is the published build that it takes, None from source."""

    line: str
    wheel: Wheel | None
    remark: Sentence

    def to_json(self, language: str = "en") -> dict[str, object]:
        """The line, the remark, and the build with its address where there is one."""
        said: dict[str, object] = {"line": self.line, "remark": self.remark.say(language)}
        if self.wheel is not None:
            said |= {"wheel": self.wheel.name, "url": self.wheel.url, "source": self.wheel.source.url}
        return said


def install_flash_attn(
    here: Machine, workload: Workload, gpu: Gpu, version: str | None = None
) -> Installation | None:
    """The line that installs flash-attn `version` (None: the newest known) on `here`.

    Args:
        here: the machine; its Python, torch and CUDA decide.
        workload: what it is wanted for, so that no older release is offered that does not run it.
        gpu: the card that it is wanted on.
        version: of flash-attn.

    Returns:
        None where `here` has no PyTorch with CUDA: a build is for one torch and one CUDA.

    Raises:
        BadInput: the version is not known.
    """
    if here.torch is None or here.torch.cuda is None:
        return None
    wanted = find_release(FLASH, version).version
    python, torch, cuda = here.python, here.torch.version, here.torch.cuda
    options = {"new_abi": here.torch.new_abi, "machine": here.machine}
    values = {"version": wanted, "python": python, "torch": torch, "cuda": cuda}
    wheel = fitting_wheel(wanted, python, torch, cuda, **options)  # type: ignore[arg-type]
    if wheel is not None:
        fits = Sentence("install.fits", {**values, "name": wheel.name})
        return Installation(line=wheel.install, wheel=wheel, remark=fits)
    none = Sentence("install.none" if is_listed(wanted) else "install.not_looked_up", values)
    older = newest_wheel(python, torch, cuda, **options)  # type: ignore[arg-type]
    if older is not None and check(workload, gpu, FLASH, older.version).status == "ok":
        other = Sentence("install.older", {"version": older.version, "line": older.install})
    else:
        other = Sentence("install.no_other")
    compiler = Sentence(
        "install.nvcc" if here.nvcc is None else "install.has_nvcc", {"path": here.nvcc or ""}
    )
    remark = Sentence("install.from_source", {"none": none, "other": other, "compiler": compiler})
    return Installation(line=install_line(FLASH, wanted), wheel=None, remark=remark)
