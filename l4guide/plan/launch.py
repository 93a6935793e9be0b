"""The command line that starts a server as it was planned."""

from collections.abc import Mapping

from l4guide.plan.asked import Asked
from l4guide.plan.card import Card

#: What each engine calls what is said to it; None where it does not ask.
SPELLINGS: Mapping[str, Mapping[str, str | None]] = {
    "vllm": {
        "model": "{}",
        "cards": "--tensor-parallel-size {}",
        "length": "--max-model-len {}",
        "memory": "--gpu-memory-utilization {}",
        "sequences": "--max-num-seqs {}",
        "half": "--dtype half",
        "fp8": "--kv-cache-dtype fp8",
        "narrowed": "--quantization fp8",
        "eager": "--enforce-eager",
    },
    "sglang": {
        "model": "--model-path {}",
        "cards": "--tp {}",
        "length": "--context-length {}",
        "memory": "--mem-fraction-static {}",
        "sequences": "--max-running-requests {}",
        "half": "--dtype half",
        "fp8": "--kv-cache-dtype fp8_e4m3",
        "narrowed": "--quantization fp8",
        "eager": "--disable-cuda-graph",
    },
    "tensorrt-llm": {
        "model": "{}",
        "cards": "--tp_size {}",
        "length": "--max_seq_len {}",
        "memory": "--kv_cache_free_gpu_memory_fraction {}",
        "sequences": "--max_batch_size {}",
        "half": None,
        "fp8": None,
        "narrowed": None,
        "eager": None,
    },
}


def launch(card: Card, asked: Asked) -> str:
    """The engine's command for one copy, with the numbers that were found.

    Sequences are limited where a target is: more at once would miss it. Weights of 16 bits are narrowed to fp8 as they
    are loaded; those of fewer bits are a checkpoint of their own.
    """
    spelling, room = SPELLINGS[asked.engine.name], card.room
    said: dict[str, object] = {"model": asked.question.model.name}
    if room.plan.gpus > 1:
        said["cards"] = room.plan.gpus
    said |= {"length": room.max_model_len, "memory": f"{room.utilization:g}"}
    if asked.targets.any:
        said["sequences"] = max(1, round(card.best.concurrency.value.item()))
    flags = {
        "half": room.plan.dtype == "fp16",
        "fp8": room.plan.kv_dtype == "fp8",
        "narrowed": room.plan.weights == "fp8"
        and asked.question.model.weight_dtype in (None, "bf16", "fp16"),
        "eager": asked.request.eager,
    }
    said |= {name: "" for name, wanted in flags.items() if wanted}
    words = (word.format(value) for name, value in said.items() if (word := spelling[name]) is not None)
    return " ".join((asked.engine.binary, *words))
