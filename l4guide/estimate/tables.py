"""Measured rows: aiconfigurator's tables and l4guide's own records, as one list of calls with their times."""

import csv
import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import fields
from pathlib import Path

import numpy as np
import numpy.typing as npt

from l4guide.catalogue import find_gpu
from l4guide.errors import BadData, BadInput
from l4guide.estimate.problems import UNLIMITED, Array, Problems
from l4guide.frozen import frozen

#: Kernel names in aiconfigurator's tables, and the family that each one is.
KERNELS = {
    "vllm_flash_attn": "fa2",
    "vllm_flash_attn_fa2": "fa2",
    "vllm_flash_attn_fa3": "fa3",
    "vllm_flash_attn_fa4": "fa4",
    "fa3": "fa3-sglang",
    "flash_attention": "fa3-ampere",
    "flashinfer": "flashinfer",
    "vllm_flashinfer_fidecode": "flashinfer",
    "trtllm_mha": "trtllm-gen",
    "vllm_flashinfer_trtllmprefill": "trtllm-gen",
    "vllm_flashinfer_trtllmdecode": "trtllm-gen",
    "triton": "triton",
    "vllm_triton_attn": "triton",
    "torch_flow": "trtllm",
    "vllm_vit_flash_attn_fa2": "fa2-plain",
    "vllm_vit_flash_attn_fa3": "fa3",
    "vllm_vit_flash_attn_fa4": "fa4",
    "flash_attention_v3": "fa3-sglang",
}
#: Implementations of l4guide's own records, and the family that each one is.
IMPLEMENTATIONS = {
    "l4guide": "l4guide",
    "flash-attn": "fa2-plain",
    "torch/flash": "fa2-plain",
    "flash-attn-3": "fa3",
    "flashinfer": "flashinfer",
}
ELEMENT_BYTES = {"bfloat16": 2.0, "float16": 2.0, "fp8": 1.0}
#: SGLang's rows at this head dimension run other kernels besides.
APART = ("fa3-sglang", 192.0)


@frozen
class Rows:
    """Measured forward calls: their shapes, times in us, and what ran them.

    `phase` is prefill (causal, with the update of a paged cache), encoder (a plain call), decode or decode-fp8.
    """

    problems: Problems
    measured_us: Array
    gpu: npt.NDArray[np.str_]
    family: npt.NDArray[np.str_]
    phase: npt.NDArray[np.str_]

    def __len__(self) -> int:
        """How many rows these are."""
        return len(self.measured_us)

    def take(self, rows: npt.NDArray[np.bool_]) -> "Rows":
        """Those that a mask names."""
        taken = {f.name: getattr(self, f.name)[rows] for f in fields(self)[1:]}
        return Rows(problems=self.problems.take(rows), **taken)

    @staticmethod
    def joined(parts: Sequence["Rows"]) -> "Rows":
        """The rows of all parts, in their order."""
        arrays = {f.name: np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(Rows)[1:]}
        shapes = {
            f.name: np.concatenate([getattr(part.problems, f.name) for part in parts])
            for f in fields(Problems)
        }
        return Rows(problems=Problems(**shapes), **arrays)


@frozen
class _Line:
    """One measured call before it joins the others."""

    gpu: str
    family: str
    phase: str
    measured_us: float
    batch: float
    seqlen_q: float
    seqlen_kv: float
    heads: float
    kv_heads: float
    head_dim: float
    kv_bytes: float
    causal: float


def read_tables(folder: Path) -> tuple[Rows, str]:
    """All usable rows of the tables (`aic_*.csv`) and records (`*.json`) of `folder`, and a hash of these files.

    Raises:
        BadInput: the folder holds none.
        BadData: a file is not what its name says.
    """
    digest = hashlib.sha256()
    lines: list[_Line] = []
    for path in sorted([*folder.glob("aic_*.csv"), *folder.glob("*.json")]):
        content = path.read_bytes()
        try:
            found = _record_lines(content) if path.suffix == ".json" else _table_lines(path.name, content)
        except (KeyError, TypeError, ValueError) as problem:
            raise BadData("error.bad_measured_table", file=path.name, problem=str(problem)) from problem
        digest.update(content if found else b"")
        lines += found
    if not lines:
        raise BadInput("error.no_measured_tables", folder=str(folder))
    return _rows(lines), digest.hexdigest()


def _table_lines(name: str, content: bytes) -> list[_Line]:
    phase = next((word for word in ("prefill", "decode", "encoder") if f"_{word}_" in name), None)
    if phase is None:
        return []
    rows = csv.DictReader(content.decode("utf-8").splitlines())
    return [line for row in rows if (line := _table_line(row, phase)) is not None]


def _table_line(row: dict[str, str], phase: str) -> _Line | None:
    """A row of aiconfigurator's; None for a kernel without a name here, or faster than memory from memory."""
    family = KERNELS.get(row["kernel"])
    if family is None or (row.get("kv_gt_2xL2") == "1" and float(row["frac_peak_bw"]) > 1):
        return None
    depth, keys = float(row["head_dim"]), float(row["kv_len"] if phase == "decode" else row["seqlen"])
    kv_bytes = ELEMENT_BYTES[row.get("kv_dtype") or row["dtype"]]
    if (family, depth) == APART and phase == "prefill":
        family = "fa3-sglang-192"
    return _Line(
        gpu=find_gpu(row["gpu"])[0].name,
        family=family,
        phase="decode-fp8" if phase == "decode" and kv_bytes == 1 else phase,
        measured_us=float(row["latency_ms"]) * 1e3,
        batch=float(row["batch"]),
        seqlen_q=1.0 if phase == "decode" else keys,
        seqlen_kv=keys,
        heads=float(row.get("heads_q") or row["heads"]),
        kv_heads=float(row.get("heads_kv") or row["heads"]),
        head_dim=depth,
        kv_bytes=kv_bytes,
        causal=0.0 if phase == "encoder" else 1.0,
    )


def _record_lines(content: bytes) -> list[_Line]:
    """The timed forward passes of a record that `l4guide measure` wrote."""
    record = json.loads(content)
    if record.get("schema") not in (1, 2) or record.get("gpu") is None:
        return []
    return [
        _Line(
            gpu=find_gpu(record["gpu"])[0].name,
            family=IMPLEMENTATIONS[row["implementation"]],
            phase="decode" if row["task"] == "decode" else "encoder",
            # Tables are replayed with a warm L2, and so is this one of the two times of a record.
            measured_us=1e3 * (row.get("warm_ms") or row["latency_ms"]),
            **{
                name: float(row[name])
                for name in ("batch", "seqlen_q", "seqlen_kv", "heads", "kv_heads", "head_dim")
            },
            kv_bytes=2.0,
            causal=float(row["causal"]),
        )
        for row in record["rows"]
        if row["status"] == "ok"
        and row["attention_pass"] == "forward"
        and row.get("latency_ms")
        and row["implementation"] in IMPLEMENTATIONS
        and row["dtype"] in ("bf16", "fp16")
    ]


def _rows(lines: Sequence[_Line]) -> Rows:
    def column(values: Iterable[float]) -> Array:
        return np.array(list(values), dtype=np.float64)

    depth = column(line.head_dim for line in lines)
    names = ("batch", "seqlen_q", "seqlen_kv", "heads", "kv_heads", "kv_bytes", "causal")
    return Rows(
        problems=Problems(
            **{name: column(getattr(line, name) for line in lines) for name in names},
            head_dim=depth,
            head_dim_v=depth,
            element_bytes=np.full_like(depth, 2.0),
            window=np.full_like(depth, UNLIMITED),
        ),
        measured_us=column(line.measured_us for line in lines),
        gpu=np.array([line.gpu for line in lines]),
        family=np.array([line.family for line in lines]),
        phase=np.array([line.phase for line in lines]),
    )
