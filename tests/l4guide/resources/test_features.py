"""What a feature takes of a multiprocessor: registers, and no shared memory."""

import json
import os
import subprocess
import sys

import pytest

#: Prints the shared memory of each kernel, plain and with all that it can do at once.
SCRIPT = """
import json
from l4guide_kernels.cross import compile_ahead
SCORES = ("window", "softcap", "alibi")
WITH = {
    "forward": (*SCORES, "sink", "dropout", "varlen"),
    "backward-dkdv": (*SCORES, "dropout", "varlen"),
    "backward-dq": (*SCORES, "dropout", "varlen"),
    "decode": (*SCORES, "sink", "paged"),
}
for kernel, features in WITH.items():
    kind = {"head_dim": 128, "dtype": "bf16", "arch": 89}
    forms = [compile_ahead(kernel, **kind, features=chosen) for chosen in ((), features)]
    print(json.dumps([kernel, *(form.shared_bytes for form in forms)]))
"""


@pytest.mark.compile
@pytest.mark.slow
def test_a_feature_takes_no_shared_memory() -> None:
    """On this rests `own.ok_in_a_form`: the plain kernel's bytes are those of every form of it."""
    clean = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True, env=clean
    )
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert {"forward", "backward-dkdv", "backward-dq", "decode"} == {kernel for kernel, _, _ in found}
    assert [] == [(kernel, plain, full) for kernel, plain, full in found if plain != full]
