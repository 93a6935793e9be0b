"""A table of servers measured by others, in the columns of `served_public.csv`, as rows of `data/served.csv`."""

import csv
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from l4guide.serving.measured import Served

#: How the table names models, cards and engines.
MODELS = (
    ("Qwen3-Coder-30B", "Qwen3-30B-A3B"),
    ("GLM-4.5-Air", "GLM-4.5-Air"),
    ("Llama-3.3-70B", "Llama-3.3-70B"),
    ("llama-3.1-70b", "Llama-3.3-70B"),
    ("R1-Distill-Qwen-1.5B", "Qwen2.5-1.5B"),
    ("R1-Distill-Qwen-7B", "Qwen2.5-7B"),
    ("R1-Distill-Qwen-14B", "Qwen2.5-14B"),
    ("R1-Distill-Qwen-32B", "Qwen2.5-32B"),
    ("R1-Distill-Llama-8B", "Llama-3.1-8B"),
    ("Llama-3-8B", "Llama-3.1-8B"),
    ("Llama-3.1-8B", "Llama-3.1-8B"),
    ("gemma-2-9b", "Gemma-2-9B"),
    ("gemma-3-12b", "Gemma-3-12B"),
    ("Qwen2.5-14B", "Qwen2.5-14B"),
    ("Qwen2.5-7B", "Qwen2.5-7B"),
    ("Qwen3-8B", "Qwen3-8B"),
    ("Qwen3-14B", "Qwen3-14B"),
    ("Qwen3-32B", "Qwen3-32B"),
    ("Mistral-7B", "Mistral-7B-v0.1"),
    ("Llama-2-70b", "Llama-2-70B"),
    ("Llama-2-7b", "Llama-2-7B"),
    ("CodeLlama-34b", "CodeLlama-34B"),
    ("gpt-oss-120b", "gpt-oss-120b"),
)
CARDS = {"A100-80GB": "A100-80GB-SXM", "A100-40GB": "A100-40GB-SXM", "H100": "H100 SXM", "H200": "H200 SXM"}
ENGINES = {"vllm": "vllm", "sglang": "sglang", "tensorrt": "tensorrt-llm"}
#: What an engine is taken to be where the table does not say its release.
RELEASES = {"vllm": "0.11", "sglang": "0.5", "tensorrt-llm": "1.0"}
#: The type of the cache where weights say it.
SIXTEEN = {"fp16": "fp16"}
#: Requests in flight where all that were ever to come were there from the start.
NO_END = 100_000
REPLICAS = re.compile(r"(\d+) vLLM replicas? behind nginx, PP=(\w+)")


def read_table(path: Path) -> Iterator[Served]:
    """The rows that say how a server did; rows of pipelines and of sharded prefixes are left out."""
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            found = _row(row) if row["kind"] == "serve" else None
            if found is not None:
                yield found


def _row(row: Mapping[str, str]) -> Served | None:
    model = next((ours for theirs, ours in MODELS if theirs.lower() in row["model"].lower()), None)
    copies = REPLICAS.search(row["note"])
    if model is None or (copies is not None and copies[2] not in ("1", "None")):
        return None
    engine = next(ours for theirs, ours in ENGINES.items() if theirs in row["engine"].lower())
    release = re.search(r"(\d+\.\d+)", row["engine"])
    number = int(copies[1]) if copies else 1
    kind, held, requests, rate = _load(row, number)
    text = row["weights"].lower()
    weights = (
        "mxfp4"
        if "fp4" in text
        else "int4"
        if "4" in text
        else "fp8"
        if "fp8" in text
        else "fp16"
        if "fp16" in text
        else "bf16"
    )
    return Served(
        source=row["source"].split(" ")[0],
        kind=kind,
        gpu=CARDS.get(row["gpu"], row["gpu"]),
        gpus=int(row["gpus"]) // number,
        model=model,
        weights=weights,
        # NVIDIA's checkpoints in fp8, which its engine is measured with, keep their cache so too.
        kv_dtype="fp8" if (weights, engine) == ("fp8", "tensorrt-llm") else SIXTEEN.get(weights, "bf16"),
        engine=engine,
        release=release[1] if release else RELEASES[engine],
        eager="eager" in row["engine"],
        prompt_tokens=_number(row["prompt_tokens"]) or 75.0,
        output_tokens=_number(row["output_tokens"]),
        concurrency=held,
        requests=requests,
        requests_per_s=rate,
        utilization=_number(row["gpu_memory_utilization"]),
        max_model_len=None if not row["max_model_len"] else int(row["max_model_len"]),
        batched_tokens=None,
        seqs=None,
        output_tokens_per_s=None
        if not row["output_tokens_per_s"]
        else float(row["output_tokens_per_s"]) / number,
        ttft_ms=_number(row["ttft_ms"]),
        tpot_ms=_number(row["tpot_ms"]),
        kv_cache_tokens=None,
        kv_cache_gib=None,
        device_gib=None,
        note=row["note"],
    )


def _load(row: Mapping[str, str], copies: int) -> tuple[str, int | None, int | None, float | None]:
    """How requests came: all at once, always so many, or at a rate; how many at a time, in all, and per second."""
    said = re.search(r"(\d+) (?:prompts|requests)", row["note"])
    every = int(said[1]) // copies if said else None
    rate = _number(row["request_rate"])
    if rate is not None and rate != float("inf"):
        return "open", None, every, rate
    if not row["concurrency"]:
        return "closed", NO_END, None, None
    held = int(float(row["concurrency"])) // copies
    if every is not None and every <= held:
        return "burst", None, held, None
    return "closed", held, every, None


def _number(text: str) -> float | None:
    return float(text) if text else None
