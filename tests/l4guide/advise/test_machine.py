"""`doctor`: what is installed, what the rules say of it, what PyTorch says, and how to install flash-attn."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from l4guide.advise import advise
from l4guide.advise import machine as module
from l4guide.advise.install import install_flash_attn
from l4guide.advise.installed import check_installed
from l4guide.advise.machine import Checkup, doctor
from l4guide.catalogue import gpu
from l4guide.measure.inquiry import Reply
from l4guide.measure.probe import Attached, Machine
from l4guide.measure.toolchain import TorchBuild
from l4guide.support import releases
from l4guide.text import Sentence
from l4guide.workload import Workload, ask

Build = Callable[..., Machine]
CUDA_12 = TorchBuild(version="2.8.0+cu128", cuda="12.8", new_abi=True)


def question(**options: object) -> Workload:
    """A workload; training at head_dim 128 unless said."""
    return ask(options)[0]


def look(monkeypatch: pytest.MonkeyPatch, here: Machine, answer: object, **options: object) -> Checkup:
    """What doctor finds on `here`, where PyTorch gives `answer`."""
    monkeypatch.setattr(module, "machine", lambda: here)
    monkeypatch.setattr(module, "ask_torch", lambda _: answer)
    return doctor(None, options)


def test_the_rules_are_applied_to_the_installed_version(machine_of: Build) -> None:
    """flash-attn 1.0.9 is judged as 1.0.9, not as the newest; a local build number does not matter."""
    here = machine_of(libraries=(("flash-attn", "1.0.9"), ("torch", "2.9.0+cu128")))
    found = {item.library: item for item in check_installed(here, question(), gpu("L4"))}
    assert ("1.0.9", "refused") == (found["flash-attn"].version, found["flash-attn"].status)
    assert ("2.9.0", "ok", None) == (
        found["torch/flash"].version,
        found["torch/flash"].status,
        found["torch/flash"].warning,
    )


@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_release_newer_than_the_rules_is_unknown_with_a_warning(machine_of: Build, language: str) -> None:
    """The warning names the installed version and the newest that was read, and what that one says."""
    newest = [release for release in releases("flash-attn") if release.checked][-1].version
    here = machine_of(libraries=(("flash-attn", "99.1.0"),))
    (found,) = check_installed(here, question(), gpu("L4"))
    assert "unknown" == found.status
    said = found.to_json(language)
    assert "99.1.0" in str(said["warning"])
    assert newest in str(said["warning"])
    assert newest in str(said["message"])


def test_a_release_between_read_ones_says_that_it_is_inferred(machine_of: Build) -> None:
    """Torch 2.8.0 was not opened: its verdicts come from its neighbours, and the warning says so once."""
    here = machine_of(libraries=(("torch", "2.8.0"),))
    found = check_installed(here, question(), gpu("L4"))
    assert {"inferred"} == {item.verdict.evidence for item in found if item.verdict and item.status == "ok"}
    (warning,) = {str(item.warning) for item in found}
    assert "2.7.0" in warning
    assert "2.9.0" in warning


@pytest.mark.parametrize(
    ("torch", "triton", "found"),
    [("2.6.0", "3.2.0", "2.6.0"), ("2.8.0", "3.3.1", "3.3.1"), ("2.8.0", "3.4.0", None)],
)
def test_our_kernels_have_no_verdict_beside_what_they_do_not_run_with(
    machine_of: Build, torch: str, triton: str, found: str | None
) -> None:
    """A record made with a newer Triton says nothing of the installed one: what to install is said instead."""
    here = machine_of(libraries=(("torch", torch), ("triton", triton)))
    own = check_installed(here, question(), gpu("L4"))[-1]
    assert ("l4guide", found is None) == (own.library, own.verdict is not None)
    if found is not None:
        assert f"and {found} is installed; run: pip install" in str(own.message)
        assert "unknown" == own.status


def test_a_version_that_is_no_release_is_not_taken_for_a_newer_one(machine_of: Build) -> None:
    """A version below the newest that the rules do not list is said to be none of them."""
    here = machine_of(libraries=(("flash-attn", "2.3.99"),))
    (found,) = check_installed(here, question(), gpu("L4"))
    assert found.warning is not None
    assert "doctor.not_a_release" == found.warning.key


@pytest.mark.parametrize(
    ("can", "library", "agrees"),
    [(True, "2.9.0", True), (False, "2.9.0", False), (True, "99.0.0", None)],
)
def test_agreement_with_pytorch_is_shown(
    monkeypatch: pytest.MonkeyPatch,
    machine_of: Build,
    l4: Attached,
    can: bool,
    library: str,
    agrees: bool | None,
) -> None:
    """PyTorch's yes beside the rules' ok agrees, its no does not, and an unknown verdict decides nothing."""
    here = machine_of(l4, libraries=(("torch", library),), torch=CUDA_12)
    reply = Reply(backend="torch/flash", can_be_used=can, reasons=("because",))
    found = look(monkeypatch, here, (reply,))
    (comparison,) = found.comparisons
    assert agrees is comparison.agrees
    assert ("attached", "L4") == (found.because, found.gpu.name)
    assert "because" in found.say()
    if agrees is False:
        assert "DISAGREES" in found.say()


@pytest.mark.parametrize(
    ("cards", "torch", "options", "key"),
    [
        (0, CUDA_12, {}, "doctor.cannot_ask_gpu"),
        (1, None, {}, "doctor.cannot_ask_torch"),
        (1, replace(CUDA_12, cuda=None), {}, "doctor.cannot_ask_torch"),
        (1, CUDA_12, {"window": 128}, "doctor.cannot_ask_feature"),
    ],
)
def test_it_says_why_pytorch_was_not_asked(
    monkeypatch: pytest.MonkeyPatch,
    machine_of: Build,
    l4: Attached,
    cards: int,
    torch: TorchBuild | None,
    options: dict[str, object],
    key: str,
) -> None:
    """Without a GPU, without CUDA, or for a feature that it has no argument for, there is no answer to compare."""
    here = machine_of(*([l4] * cards), torch=torch)
    found = look(monkeypatch, here, (), **options)
    assert found.not_asked is not None
    assert key == found.not_asked.key
    assert () == found.comparisons


def test_another_card_than_the_attached_one_cannot_be_asked_about(
    monkeypatch: pytest.MonkeyPatch, machine_of: Build, l4: Attached
) -> None:
    """PyTorch answers for the card it sees."""
    monkeypatch.setattr(module, "machine", lambda: machine_of(l4, torch=CUDA_12))
    found = doctor("A100", {})
    assert found.not_asked is not None
    assert "NVIDIA L4" in str(found.not_asked)


def test_what_ended_the_inquiry_is_said(
    monkeypatch: pytest.MonkeyPatch, machine_of: Build, l4: Attached
) -> None:
    """A worker that died is a sentence, not a traceback."""
    died = Sentence("measure.worker_killed", {"signal": "SIGSEGV", "rows": 0})
    found = look(monkeypatch, machine_of(l4, torch=CUDA_12), died)
    assert died == found.not_asked


def test_the_install_line_names_the_build_that_fits(machine_of: Build) -> None:
    """Python 3.12, torch 2.8 and CUDA 12: flash-attn 2.8.3 has a build, and the line takes it."""
    found = install_flash_attn(machine_of(torch=CUDA_12), question(), gpu("L4"), "2.8.3")
    assert found is not None
    assert found.wheel is not None
    assert found.line.startswith("pip install ")
    assert "cu12torch2.8cxx11abiTRUE-cp312" in found.line
    assert found.wheel.source.url == found.to_json()["source"]


def test_without_a_build_it_is_from_source_and_says_what_that_takes(machine_of: Build) -> None:
    """Torch 2.13 has no build of any release: the line builds, and nvcc is asked for where it is missing."""
    torch = TorchBuild(version="2.13.0+cu130", cuda="13.0", new_abi=True)
    found = install_flash_attn(machine_of(torch=torch), question(), gpu("L4"), "2.8.3")
    assert found is not None
    assert found.wheel is None
    assert "pip install flash-attn==2.8.3 --no-build-isolation" == found.line
    assert "nvcc was not found" in str(found.remark)
    with_nvcc = install_flash_attn(machine_of(torch=torch, nvcc="/bin/nvcc"), question(), gpu("L4"))
    assert with_nvcc is not None
    assert "/bin/nvcc" in str(with_nvcc.remark)


def test_an_older_build_is_offered_only_where_it_runs_the_question(machine_of: Build) -> None:
    """For torch 2.10 the last build is 2.8.1; it does not train head_dim 256 with dropout on an L4."""
    torch = TorchBuild(version="2.10.0", cuda="12.8", new_abi=True)
    fine = install_flash_attn(machine_of(torch=torch), question(), gpu("L4"), "2.8.3")
    unsafe = install_flash_attn(
        machine_of(torch=torch), question(head_dim=256, dropout=0.1), gpu("L4"), "2.8.3"
    )
    assert fine is not None
    assert unsafe is not None
    assert "flash_attn-2.8.1" in str(fine.remark)
    assert "flash_attn-2.8.1" not in str(unsafe.remark)


def test_a_pytorch_without_cuda_fits_no_build(machine_of: Build) -> None:
    """A build is for one CUDA; there is no line to give where there is none."""
    cpu = TorchBuild(version="2.13.0+cpu", cuda=None, new_abi=True)
    assert install_flash_attn(machine_of(torch=cpu), question(), gpu("L4")) is None
    assert install_flash_attn(machine_of(), question(), gpu("L4")) is None


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_report_is_readable_and_complete(
    monkeypatch: pytest.MonkeyPatch, machine_of: Build, l4: Attached, language: str
) -> None:
    """Machine, versions, verdicts, warnings, PyTorch's answer and the install line, and no JSON."""
    here = machine_of(l4, libraries=(("torch", "2.8.0+cu128"), ("flash-attn", "2.8.3")), torch=CUDA_12)
    found = look(monkeypatch, here, (Reply(backend="torch/flash", can_be_used=True, reasons=()),))
    said = found.say(language)
    for part in (
        "3.12.4",
        "580.95.05",
        "NVIDIA L4",
        "12.8",
        "flash-attn 2.8.3",
        "torch/flash",
        "pip install",
    ):
        assert part in said
    assert "{" not in said
    assert {"driver", "cuda", "torch", "asked_torch", "flash_attn_build"} <= found.to_json(language).keys()


def test_advice_takes_the_build_that_fits_the_machine(machine_of: Build) -> None:
    """With the machine the install line is its own; without one, and without a CUDA torch, it is for any."""
    anywhere = advise("L4", {})
    here = advise("L4", {}, machine_of(torch=replace(CUDA_12, version="2.99.0")))
    assert anywhere.install is not None
    assert here.install == anywhere.install
    assert any(gap.key == "install.from_source" for gap in here.gaps)
    assert not any(gap.key.startswith("install.") for gap in anywhere.gaps)
    assert anywhere.install == advise("L4", {}, machine_of()).install
