"""What a kernel spends its issue slots on: instructions of its inner loop by class, read from the binary.

The loop is the one without masks, since it does nearly all of the work: of the innermost loops with the most
tensor-core instructions a pass, the shortest. Counts are of one warp and one pass; a slot is one instruction
issued, so the shares tell what competes for the schedulers, not how long each unit is busy.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Self

from l4guide.frozen import frozen

DEADLINE_S = 60.0
_LABEL = re.compile(r"^(\.L_\w+):")
_INSTRUCTION = re.compile(r"/\*[0-9a-f]{4,}\*/\s+(?:@!?U?P\w+\s+)?([A-Z][A-Z0-9_.]*)(.*)")
_TARGET = re.compile(r"`\((\.L_\w+)\)")
#: Opcodes of each class, most telling first; what matches none is "other": addresses, predicates, waits, branches.
_CLASSES = {
    "tensor": re.compile(r"(H|I|Q|D|O|B)G?MMA\b|UTC\w*MMA"),
    "exp": re.compile(r"MUFU\.EX2\b"),
    "memory": re.compile(
        r"(LDG|LDS|LDL|LDT|LD|LDGSTS|LDSM|STG|STS|STL|STT|ST|STSM|ATOM|RED|UTMA)\w*\b(?<!LDC)"
    ),
    "mask": re.compile(r"[FH](SEL|SET|SETP|CMP)\d?\b"),
    "arithmetic": re.compile(r"F(MUL|ADD|FMA|MNMX|CHK)|F2|I2F|H(ADD|MUL|FMA|MNMX)|MUFU"),
}


@frozen
class Mix:
    """Instructions that one warp issues in one pass of the inner loop.

    Attributes:
        tensor: matrix products on the tensor cores (HMMA, HGMMA, QMMA and the like).
        exp: powers of two of the softmax (MUFU.EX2).
        mask: comparisons and selections of numbers, by which a mask hides scores: none where nothing is hidden.
        arithmetic: other work on numbers: scaling, maxima, sums, conversions.
        memory: loads and stores, of shared and of global memory.
        other: addresses, predicates, shuffles, waits and branches.
    """

    tensor: int
    exp: int
    mask: int
    arithmetic: int
    memory: int
    other: int

    @property
    def total(self) -> int:
        """All instructions of the pass."""
        return sum(self.counts().values())

    def counts(self) -> dict[str, int]:
        """The instructions by class."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def shares(self) -> dict[str, float]:
        """The part of the issue slots that each class takes; together 1."""
        return {name: count / self.total for name, count in self.counts().items()}

    def to_json(self) -> dict[str, object]:
        """Counts of one warp and one pass, their sum, and the share of each class."""
        shares = {name: round(share, 4) for name, share in self.shares().items()}
        return {**self.counts(), "total": self.total, "shares": shares}

    @classmethod
    def of(cls, opcodes: Sequence[str]) -> Self:
        """The mix of these instructions."""
        found = Counter(class_of(opcode) for opcode in opcodes)
        return cls(**{field.name: found[field.name] for field in fields(cls)})


def class_of(opcode: str) -> str:
    """The class of an instruction such as `HMMA.16816.F32.BF16`."""
    return next((name for name, pattern in _CLASSES.items() if pattern.match(opcode)), "other")


def innermost_loops(listing: str) -> Iterator[tuple[str, ...]]:
    """The opcodes of each loop of a disassembly that holds no other loop.

    A loop ends with a branch back to a label; a label that branches to itself alone, as a kernel's trailing trap
    does, is none.
    """
    opcodes: list[str] = []
    labels: dict[str, int] = {}
    spans: list[tuple[int, int]] = []
    for line in listing.splitlines():
        if label := _LABEL.match(line.strip()):
            labels[label[1]] = len(opcodes)
        if found := _INSTRUCTION.search(line):
            target = _TARGET.search(found[2])
            opcodes.append(found[1])
            if found[1].startswith("BRA") and target and target[1] in labels:
                spans.append((labels[target[1]], len(opcodes)))
    for first, last in spans:
        inside = any((first <= a and b <= last) and (a, b) != (first, last) for a, b in spans)
        if not inside and last - first > 1:
            yield tuple(opcodes[first:last])


def mix_of(listing: str) -> Mix | None:
    """The mix of the unmasked inner loop; None where no loop uses the tensor cores."""
    mixes = [Mix.of(opcodes) for opcodes in innermost_loops(listing)]
    best = max(mixes, key=lambda mix: (mix.tensor, -mix.total), default=None)
    return best if best is not None and best.tensor else None


def disassemble(cubin: bytes) -> str:
    """The machine code of a binary in words, by the nvdisasm that ships with Triton.

    Raises:
        OSError: nvdisasm is missing or cannot be started.
        subprocess.SubprocessError: it refused the binary, or took too long.
    """
    import subprocess  # only a compiler of its own asks, and what is recorded is read far more often
    import tempfile

    from triton import knobs

    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(cubin)
        file.flush()
        command = [str(Path(knobs.nvidia.nvdisasm.path)), "-c", file.name]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=DEADLINE_S).stdout
