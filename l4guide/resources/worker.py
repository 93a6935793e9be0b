"""The compiler process: one question a line as JSON on stdin, one JSON line in answer on stdout.

A process of its own, because a process under `TRITON_INTERPRET` cannot compile, and because a tile that is
far too large can exhaust the memory or the patience of whoever asked.
"""

import json
import os
import subprocess
import sys
from functools import cache
from typing import Any, TextIO

from l4guide.resources.mix import disassemble, mix_of
from l4guide.resources.ptxas import Overheard


@cache
def _overheard() -> Overheard:
    return Overheard()


def compile_one(question: dict[str, Any]) -> dict[str, object]:
    """Cross-compile one specialisation and say what it needs.

    Args:
        question: `kernel`, `head_dim`, `head_dim_v`, `dtype`, `arch`, `causal`, `tile` with its four numbers, and
            `mix`: whether to count the instructions too.
    """
    import l4guide_kernels.installed  # noqa: F401 - what is missing or too old is no fault of the tile
    from l4guide_kernels.cross import compile_ahead
    from l4guide_kernels.tiles import Tile

    ptxas = _overheard()
    asked = {name: value for name, value in question.items() if name != "mix"}
    compiled = compile_ahead(**asked | {"tile": Tile(**question["tile"])})
    usage = ptxas.take()
    return {
        "shared_bytes": compiled.shared_bytes,
        "registers": usage.registers,
        "spill_bytes": usage.spill_bytes,
        "stack_bytes": usage.stack_bytes,
        "triton_version": compiled.triton_version,
        "instructions": _instructions(compiled.cubin) if question.get("mix", True) else None,
    }


def _instructions(cubin: bytes) -> dict[str, int] | None:
    """Instructions of the inner loop by class; None where the binary cannot be read, which refuses nothing."""
    try:
        mix = mix_of(disassemble(cubin))
    except (OSError, subprocess.SubprocessError):
        return None
    return None if mix is None else mix.counts()


def _reason(fault: BaseException) -> str:
    """The innermost cause in one line: Triton wraps a kernel's error in the source around it."""
    while fault.__cause__ is not None:
        fault = fault.__cause__
    lines = [line.strip() for line in str(fault).splitlines() if line.strip()]
    return f"{type(fault).__name__}: {lines[-1] if lines else 'no reason given'}"[:300]


def serve(questions: TextIO, answers: TextIO) -> None:
    """Answer until the questions end; a compiler's failure is an answer too, and so is one that is not there."""
    from l4guide_kernels import RequirementError

    for line in questions:
        try:
            answer = compile_one(json.loads(line))
        except RequirementError as unmet:
            answer = {"unmet": {"needed": unmet.needed, "found": unmet.found, "command": unmet.command}}
        except Exception as fault:  # the compiler raises whatever it likes; the asker decides what it means
            answer = {"error": _reason(fault)}
        print(json.dumps(answer), file=answers, flush=True)


def main() -> None:
    """Serve on the real stdout; whatever the compiler prints on the way goes to stderr."""
    with os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8") as answers:
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
        serve(sys.stdin, answers)


if __name__ == "__main__":
    main()
