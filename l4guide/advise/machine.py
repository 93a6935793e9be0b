"""This machine: what is attached and installed, and what the rules say of those versions."""

from collections.abc import Mapping
from dataclasses import asdict

from l4guide.advise.own import own_resources, own_verdict
from l4guide.advise.question import ask_for, workload_options
from l4guide.catalogue import Gpu, find_gpu
from l4guide.errors import BadInput
from l4guide.measure.probe import Machine, machine
from l4guide.support import Verdict, check, distribution, libraries
from l4guide.workload import Workload


def doctor(gpu: str | None, options: Mapping[str, object], language: str = "en") -> dict[str, object]:
    """What this machine has, and whether what is installed runs the question on the card.

    Args:
        gpu: the card to judge for; None takes the first attached one that the catalogue knows, else L4.
        options: the question; its defaults ask for training at head_dim 128.
        language: of the sentences in the answer.

    Raises:
        BadInput: the card or an option is not known.
    """
    here = machine()
    card, judged_for = _card(here, gpu)
    workload, assumed = ask_for(card, workload_options(options))
    return {
        "python": here.python,
        "platform": here.platform,
        **({"driver": here.driver} if here.driver else {}),
        "gpus": [
            {name: value for name, value in asdict(item).items() if value is not None} for item in here.gpus
        ],
        "libraries": dict(here.libraries),
        "judged_for": {"gpu": card.name, "because": judged_for},
        "question": {
            **{name: value for name, value in asdict(workload).items() if value is not None},
            "assumed": list(assumed),
        },
        "verdicts": [_said(item, language) for item in _verdicts(here, workload, card)],
    }


def _card(here: Machine, gpu: str | None) -> tuple[Gpu, str]:
    """The card to judge for, and whether it is attached, asked or the default."""
    if gpu is not None:
        return find_gpu(gpu)[0], "asked"
    known = [item.catalogue_name for item in here.gpus if item.catalogue_name is not None]
    return find_gpu(known[0] if known else "L4")[0], "attached" if known else "default"


def _verdicts(here: Machine, workload: Workload, card: Gpu) -> list[Verdict | tuple[str, str, BadInput]]:
    """One verdict an installed library, or the reason why its version has none."""
    found: list[Verdict | tuple[str, str, BadInput]] = []
    for library in libraries():
        installed = here.version(distribution(library))
        if installed is None:
            continue
        release = installed.split("+", maxsplit=1)[0]
        try:
            found.append(check(workload, card, library, release))
        except BadInput as problem:
            found.append((library, installed, problem))
    if here.version("triton") is not None:
        found.append(own_verdict(workload, card, *own_resources(workload, card)))
    return found


def _said(item: Verdict | tuple[str, str, BadInput], language: str) -> dict[str, object]:
    if isinstance(item, Verdict):
        return item.to_json(language)
    library, installed, problem = item
    return {"library": library, "version": installed, "status": "unknown", "message": problem.say(language)}
