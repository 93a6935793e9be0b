"""Which frames stand beside a message: chained, distributed, of notebooks and engines, or joined into one line."""

import pytest

from l4guide.diagnose import diagnose
from l4guide.diagnose.paste import clean
from l4guide.diagnose.trace import traces

OOM = (
    "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 8.00 GiB. "
    "GPU 0 has a total capacity of 22.03 GiB of which 1.12 GiB is free."
)
LINES = (
    "Traceback (most recent call last):",
    '  File "/srv/t.py", line 3, in forward',
    "    attn_weights = softmax(scores)",
    '  File "/srv/t.py", line 9, in compute_loss',
    "    return F.cross_entropy(logits.float(), labels)",
    OOM,
)
PREFIXES = {
    "plain": "{}",
    "torch": "[rank3]: {}",
    "torchrun": "[default1]:{}",
    "mpirun": "[1,2]<stderr>:{}",
    "srun": "3: {}",
    "docker compose": "trainer-1  | {}",
    "kubectl": "[pod/trainer-0/main] {}",
    "systemd": "Nov 30 12:00:00 gpu-host train[4242]: {}",
    "container time": "2026-11-30T12:00:00.123456789Z {}",
    "ray": "\x1b[36m(RayWorkerWrapper pid=4242, ip=10.0.0.3)\x1b[0m {}",
    "ray without colour": "(RayTrainWorker pid=4242) {}",
    "vllm engine": "(EngineCore_DP0 pid=88) ERROR 11-30 12:00:00 [core.py:900] {}",
    "vllm worker": "(VllmWorker rank=1 pid=77) ERROR 11-30 12:00:00 [multiproc_executor.py:590] {}",
    "old vllm": "ERROR 02-20 10:00:00 worker.py:267] {}",
    "sglang": "[2026-11-30 12:00:00 TP0] {}",
    "torch logging": "E1130 12:00:00.123000 4242 site-packages/torch/_inductor/x.py:12] [0/0] {}",
    "loguru": "2026-11-30 12:00:00.123 | ERROR    | module:func:12 - {}",
    "logging": "2026-11-30 12:00:00,123 - root - ERROR - {}",
    "deepspeed": "[2026-11-30 12:00:00,123] [ERROR] [launch.py:325:sigkill_handler] {}",
    "uvicorn": "ERROR:    {}",
    "pytest": "E       {}",
    "mail": "> {}",
    "marked by a program": "node17/gpu3: {}",
    "in front of each line of a table": "| {}",
}


@pytest.mark.parametrize("name", PREFIXES)
def test_the_last_frame_decides_behind_any_prefix(name: str) -> None:
    """The loss ran, not the attention of the frame before; the evidence is the last frame and the message."""
    finding = diagnose("\n".join(PREFIXES[name].format(line) for line in LINES)).findings[0]
    assert ("memory.logits", [4, 5, 6]) == (finding.kind, [one.line for one in finding.evidence])


def test_a_traceback_in_one_line_is_parted() -> None:
    """Joined by whoever pasted it, or quoted in JSON."""
    for text in (" ".join(LINES), '{"error": "' + "\\n".join(LINES).replace('"', '\\"') + '"}'):
        assert diagnose(text).findings[0].kind == "memory.logits"


def test_processes_are_read_one_by_one() -> None:
    """Lines of two ranks that alternate give two failures, the first line first."""
    other = (
        *LINES[:1],
        '  File "/srv/t.py", line 9, in attend',
        "    w = torch.matmul(q, k.transpose(2, 3))",
        OOM.replace("8.00", "6.00"),
    )
    ranks = ([f"[rank0]: {line}" for line in LINES], [f"[rank1]: {line}" for line in other])
    mixed = [line for pair in zip(*ranks, strict=False) for line in pair] + ranks[0][len(other) :]
    found = diagnose("\n".join(mixed)).findings
    assert ["memory.scores", "memory.logits"] == [finding.kind for finding in found]


def test_a_notebook_marks_the_line_that_ran() -> None:
    """The arrow, not the lines around it."""
    text = (
        "OutOfMemoryError                          Traceback (most recent call last)\n"
        "Cell In[3], line 4\n      2 x = attention_probs\n      3 y = x\n----> 4 out = model(x)\n\n"
        "File ~/model.py:12, in Head.forward(self, h)\n     10 scores = q @ k.transpose(-2, -1)\n"
        "     11 # the head\n---> 12 logits = self.lm_head(h)\n     13 return logits\n\n" + OOM
    )
    finding = diagnose(text).findings[0]
    assert finding.kind == "memory.logits"


@pytest.mark.parametrize(
    "link",
    [
        "During handling of the above exception, another exception occurred:",
        "The above exception was the direct cause of the following exception:",
    ],
)
def test_the_first_exception_of_a_chain_is_told_first(link: str) -> None:
    """What was raised from it, or during its handling, comes after."""
    second = 'Traceback (most recent call last):\n  File "/srv/a.py", line 1, in f\n    g()\n'
    text = "\n".join(
        (*LINES, "", link, "", f"{second}RuntimeError: CUDA error: device-side assert triggered")
    )
    assert ["memory.logits", "launch"] == [finding.kind for finding in diagnose(text).findings]
    assert 1 == len({one.chain for one in traces(clean(text)).tracebacks})


def test_what_an_engine_only_passes_on_comes_last() -> None:
    """The worker's failure is the cause; the line of the parent process says nothing new."""
    text = (
        "RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {}\n"
        "(EngineCore_DP0 pid=9) ERROR 11-30 12:00:00 [core.py:1] ValueError: No available memory for the cache blocks."
    )
    found = diagnose(text).findings
    assert ["VLLM-NO-CACHE-BLOCKS", "VLLM-ENGINE-FAILED"] == [finding.symptom for finding in found]


def test_words_elsewhere_do_not_decide() -> None:
    """Attention in another traceback, in a log or in the user's words leaves the loss the cause."""
    noise = (
        "I use eager attention: softmax(attn_weights) and flash_attn.\n"
        '  File "/srv/x.py", line 1, in g\n    sdpa()\nKeyError: 1\n\n'
    )
    for text in (noise + "\n".join(LINES), "\n".join(LINES) + "\n\n" + noise):
        assert diagnose(text).findings[0].kind == "memory.logits"


def test_a_line_of_a_program_is_no_output() -> None:
    """Source code that raises, catches or prints a message is not that message."""
    code = 'try:\n    run()\nexcept torch.cuda.OutOfMemoryError as error:\n    print("CUDA out of memory", error)\n'
    assert diagnose(code).status == "unknown"


def test_plumbing_is_passed_over() -> None:
    """torch/nn/modules only passes the call on; converting a module's weights shows nothing else."""
    through = (
        '  File "/srv/m.py", line 7, in forward\n    logits = self.lm_head(h)\n'
        '  File "/srv/torch/nn/modules/module.py", line 1518, in _call_impl\n    return forward_call(*args, **kwargs)\n'
        '  File "/srv/torch/nn/modules/linear.py", line 116, in forward\n    return F.linear(input, self.weight)\n'
    )
    moving = (
        '  File "/srv/m.py", line 7, in main\n    net = build().cuda()\n'
        '  File "/srv/torch/nn/modules/module.py", line 1326, in convert\n    return t.to(\n'
    )
    kinds = [diagnose(f"{frames}{OOM}").findings[0].kind for frames in (through, moving)]
    assert ["memory.logits", "memory.weights"] == kinds
