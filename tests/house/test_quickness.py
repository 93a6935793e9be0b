"""What a command loads and reads: only what its answer needs."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import quickness

#: Runs a command, then says on stderr which modules it loaded and which files of facts or text it opened.
PROGRAM = """
import contextlib, io, sys
opened = []
def hear(event, arguments):
    if event == "open" and isinstance(arguments[0], str):
        opened.append(arguments[0])
sys.addaudithook(hear)
from l4guide.cli import main
with contextlib.redirect_stdout(io.StringIO()):
    code = main(sys.argv[1:])
print(*sys.modules)
print(*opened, sep="\\n")
sys.exit(code)
"""
#: Of the standard library what takes longest to load, and what only writes, measures or draws.
NOT_FOR_AN_ANSWER = {
    *("plotly", "jinja2", "torch", "triton", "pynvml", "pandas", "ipywidgets", "packaging.requirements"),
    *(
        "tomllib",
        "importlib.metadata",
        "email",
        "subprocess",
        "tempfile",
        "statistics",
        "difflib",
        "numpy.ma",
    ),
    *("l4guide.report", "l4guide.plots", "l4guide.matrix", "l4guide.diagnose", "l4guide.widgets"),
    *("l4guide.measure.run", "l4guide.measure.peers", "l4guide.resources.compiler", "l4guide.tracing"),
}


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The variables of a Python that keeps what it compiled, in a folder of the tests."""
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**variables, "PYTHONPYCACHEPREFIX": str(tmp_path_factory.mktemp("bytecode"))}


def told(variables: dict[str, str], *command: str) -> tuple[set[str], list[Path]]:
    """The modules that a command loads and the files it opens, once Python has kept what it compiles."""
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, *command],
            capture_output=True,
            text=True,
            check=True,
            env=variables,
        )
    modules, *files = done.stdout.splitlines()
    return set(modules.split()), [Path(file) for file in files]


def test_an_answer_loads_what_it_needs(kept: dict[str, str]) -> None:
    """Neither what draws nor what measures, and no parser of what Python has kept."""
    modules, _ = told(kept, *quickness.QUESTION)
    assert {"numpy", "l4guide.advise.answer"} <= modules
    assert set() == modules & NOT_FOR_AN_ANSWER


@pytest.mark.parametrize("library", ["flash-attn", "torch/sdpa"])
def test_rules_are_read_when_their_library_is_asked_for(kept: dict[str, str], library: str) -> None:
    """A question about one library opens one file of rules."""
    _, files = told(kept, "support", "--library", library, "--gpu", "L4")
    read = {file.name.partition(".")[0] for file in files if "rules" in file.parts}
    assert {library.partition("/")[0]} == read


def test_a_command_is_quick() -> None:
    """Processor time is at most twice what is wanted of the wall's: three times an import of numpy."""
    numpy, own = quickness.times(3).values()
    assert min(own.cpu_s) <= 6 * min(numpy.cpu_s)
