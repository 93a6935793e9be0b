"""This machine: what is attached and installed, and what the rules and PyTorch itself say of those versions."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict

from l4guide.advise.choice import NOT_COUNTED
from l4guide.advise.headline import fitting, widths_of
from l4guide.advise.install import Installation, install_flash_attn
from l4guide.advise.installed import Installed, check_installed, warnings_of
from l4guide.advise.question import ask_for, workload_options
from l4guide.catalogue import Gpu, find_gpu
from l4guide.errors import CannotDo
from l4guide.frozen import frozen
from l4guide.measure.inquiry import Reply, ask_torch
from l4guide.measure.probe import Machine, machine
from l4guide.text import Joined, Sentence
from l4guide.workload import Workload

#: What PyTorch's attention has no argument for, so that it cannot be asked about it.
NOT_ITS_ARGUMENTS = (
    *("window", "softcap", "alibi", "paged_block_size", "varlen", "deterministic"),
    *("append_kv", "num_splits", "score_mod", "sinks", "own_scores"),
)
#: A verdict that can be compared with a yes or a no.
COMPARED = {"ok": True, "refused": False}


@frozen
class Comparison:
    """What PyTorch said of a backend beside what the rules say. `agrees` is None where the rules do not decide."""

    reply: Reply
    status: str

    @property
    def agrees(self) -> bool | None:
        """Whether both say the same."""
        expected = COMPARED.get(self.status)
        return None if expected is None else expected == self.reply.can_be_used

    def to_json(self, _language: str = "en") -> dict[str, object]:
        """The backend, both answers, and PyTorch's own reasons."""
        said = {
            "backend": self.reply.backend,
            "can_be_used": self.reply.can_be_used,
            "rules_say": self.status,
        }
        agrees = {} if self.agrees is None else {"agrees": self.agrees}
        return {**said, **agrees, "reasons": list(self.reply.reasons)}


@frozen
class Checkup:
    """All that `l4guide doctor` finds. `not_asked` says why PyTorch was not asked; None where it was."""

    here: Machine
    gpu: Gpu
    because: str
    workload: Workload
    assumed: tuple[str, ...]
    installed: tuple[Installed, ...]
    comparisons: tuple[Comparison, ...]
    not_asked: Sentence | None
    installation: Installation | None

    @property
    def warnings(self) -> tuple[Sentence, ...]:
        """What to know before relying on a verdict."""
        return warnings_of(self.here, self.installed)

    @property
    def headline(self) -> Sentence:
        """Which of what is installed runs the question here, in one sentence."""
        if self.here.torch is not None and self.here.torch.cuda is None:
            return Sentence("doctor.headline_no_cuda")
        running = (item for item in self.installed if item.status == "ok" and item.library not in NOT_COUNTED)
        best = next(running, None)
        values: dict[str, object] = {"gpu": self.gpu.name}
        values["what"] = Sentence(f"headline.what_{self.workload.task}")
        if best is not None:
            values |= {"library": best.library, "version": best.version}
        keys = ("doctor.headline_runs", "doctor.headline_runs_short")
        if best is None:
            keys = ("doctor.headline_none", "doctor.headline_none_short")
        widths = [{**values, "width": width} for width in widths_of(self.workload)]
        return fitting(Sentence(key, said) for key in keys for said in widths)

    def to_json(self, language: str = "en") -> dict[str, object]:
        """The keys of `l4guide doctor`; what this machine does not have is absent."""
        here = self.here
        said: dict[str, object] = {"headline": self.headline.say(language)}
        said |= {"python": here.python, "platform": here.platform}
        versions = {"driver": here.driver, "cuda": here.cuda, "nvcc": here.nvcc}
        said |= {name: value for name, value in versions.items() if value is not None}
        if here.torch is not None:
            said["torch"] = _known(asdict(here.torch))
        said |= {
            "gpus": [_known(asdict(item)) for item in here.gpus],
            "libraries": dict(here.libraries),
            "judged_for": {"gpu": self.gpu.name, "because": self.because},
            "question": {**_known(asdict(self.workload)), "assumed": list(self.assumed)},
            "verdicts": [item.to_json(language) for item in self.installed],
            "warnings": [warning.say(language) for warning in self.warnings],
            "asked_torch": [item.to_json(language) for item in self.comparisons],
        }
        if self.not_asked is not None:
            said["not_asked"] = self.not_asked.say(language)
        if self.installation is not None:
            said["flash_attn_build"] = self.installation.to_json(language)
        return said

    def lines(self) -> Iterator[Sentence]:
        """The same to read, a sentence a line."""
        yield self.headline
        yield from _of_machine(self.here)
        values = {
            "task": Sentence(f"task.{self.workload.task}"),
            "head_dim": self.workload.head_dim,
            "dtype": self.workload.dtype,
            "dropout": f"{self.workload.dropout:g}",
        }
        because = Sentence(f"doctor.because_{self.because}")
        yield Sentence("doctor.question", {**values, "gpu": self.gpu.name, "because": because})
        for item in self.installed:
            status = Sentence(f"support.status_{item.status}")
            told = {"library": item.library, "version": item.version, "message": item.message}
            yield Sentence("doctor.verdict", {**told, "status": status})
        if not self.installed:
            yield Sentence("doctor.nothing_installed")
        if self.warnings:
            yield Sentence("doctor.warnings")
            yield from (Sentence("doctor.warning", {"warning": warning}) for warning in self.warnings)
        yield Sentence("doctor.asked")
        if self.not_asked is not None:
            yield Sentence("doctor.warning", {"warning": self.not_asked})
        yield from map(_of_comparison, self.comparisons)
        if self.installation is not None:
            yield Sentence(
                "doctor.build", {"remark": self.installation.remark, "line": self.installation.line}
            )

    def say(self, language: str = "en") -> str:
        """The report as text."""
        return "\n".join(line.say(language) for line in self.lines())


def doctor(gpu: str | None = None, options: Mapping[str, object] | None = None) -> Checkup:
    """What this machine has, and whether what is installed runs the question on the card.

    Args:
        gpu: the card to judge for; None takes the first attached one that the catalogue knows, else L4.
        options: the question; its defaults ask for training at head_dim 128.

    Raises:
        BadInput: the card or an option is not known.
    """
    here = machine()
    card, because = card_of(here, gpu)
    workload, assumed = ask_for(card, workload_options(options or {}))
    installed = check_installed(here, workload, card)
    replies = _replies(here, card, because, workload)
    status = {item.library: item.status for item in installed}
    asked = () if isinstance(replies, Sentence) else replies
    return Checkup(
        here=here,
        gpu=card,
        because=because,
        workload=workload,
        assumed=assumed,
        installed=installed,
        comparisons=tuple(
            Comparison(reply=reply, status=status.get(reply.backend, "unknown")) for reply in asked
        ),
        not_asked=replies if isinstance(replies, Sentence) else None,
        installation=install_flash_attn(here, workload, card),
    )


def card_of(here: Machine, gpu: str | None) -> tuple[Gpu, str]:
    """The card to judge for, and whether it is attached, asked or the default.

    Raises:
        BadInput: no card is called so.
    """
    known = [item.catalogue_name for item in here.gpus if item.catalogue_name is not None]
    if gpu is not None:
        card = find_gpu(gpu)[0]
        return card, "attached" if card.name in known[:1] else "asked"
    return find_gpu(known[0] if known else "L4")[0], "attached" if known else "default"


def _replies(here: Machine, gpu: Gpu, because: str, workload: Workload) -> tuple[Reply, ...] | Sentence:
    """What PyTorch says of the question, or why it cannot be asked."""
    if not here.gpus:
        return Sentence("doctor.cannot_ask_gpu")
    if here.torch is None or here.torch.cuda is None:
        return Sentence("doctor.cannot_ask_torch")
    if because != "attached":
        return Sentence("doctor.cannot_ask_other", {"attached": here.gpus[0].name, "gpu": gpu.name})
    used = [name for name in NOT_ITS_ARGUMENTS if getattr(workload, name)]
    if used:
        return Sentence(
            "doctor.cannot_ask_feature", {"feature": Sentence(f"support.field_workload_{used[0]}")}
        )
    try:
        return ask_torch(workload)
    except CannotDo as problem:
        return problem.sentence


def _of_machine(here: Machine) -> Iterator[Sentence]:
    """Python, driver, cards, how PyTorch was built, and what is installed."""
    yield Sentence("doctor.python", {"python": here.python, "platform": here.platform})
    if here.driver is None:
        yield Sentence("doctor.no_driver")
    else:
        yield Sentence("doctor.driver", {"driver": here.driver, "cuda": here.cuda or "–"})
    for card in here.gpus:
        values = {"index": card.index, "name": card.name, "capability": card.capability or "–"}
        yield Sentence("doctor.gpu", {**values, "memory": card.memory_total_mib or "–"})
    if here.torch is not None:
        build = {"version": here.torch.version, "cuda": here.torch.cuda}
        yield Sentence("doctor.torch_cpu" if here.torch.cuda is None else "doctor.torch_cuda", build)
    libraries = Joined(tuple(f"{name} {version}" for name, version in here.libraries))
    if here.libraries:
        yield Sentence("doctor.libraries", {"libraries": libraries})


def _of_comparison(item: Comparison) -> Sentence:
    """Both answers in one sentence, PyTorch's reasons behind them."""
    agreement = {None: "doctor.undecided", True: "doctor.agrees", False: "doctor.disagrees"}[item.agrees]
    can = Sentence("doctor.can" if item.reply.can_be_used else "doctor.cannot")
    rules = Sentence(f"support.status_{item.status}")
    reasons = " ".join(item.reply.reasons)
    values = {"backend": item.reply.backend, "can": can, "rules": rules, "agreement": Sentence(agreement)}
    return Sentence("doctor.comparison", {**values, "reasons": reasons})


def _known(values: Mapping[str, object]) -> dict[str, object]:
    """What is known of a record's fields."""
    return {name: value for name, value in values.items() if value is not None}
