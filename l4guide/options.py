"""The options of the command line by what they say something of: name and what it means."""

import argparse

#: Options of the question; each is handed on as text so that one place validates it and says what is wrong.
QUESTION = (
    ("task", "prefill, decode or training"),
    ("head-dim", "columns of one head, such as 128"),
    ("head-dim-v", "columns of one head of V where they differ"),
    ("batch", "sequences in one call"),
    ("seqlen", "tokens in a sequence, for queries and keys alike"),
    ("seqlen-q", "query tokens in a sequence"),
    ("seqlen-kv", "key tokens in a sequence"),
    ("heads", "query heads"),
    ("kv-heads", "key and value heads; must divide the query heads"),
    ("dtype", "fp16, bf16, fp32 or fp8"),
    ("kv-dtype", "type of the KV cache"),
    ("dropout", "dropout probability, 0 or more and below 1"),
    ("window", "sliding window: keys to the left that a query sees"),
    ("softcap", "soft cap on the scores; 0 is none"),
    ("paged-block-size", "tokens in a page of a paged KV cache"),
    ("num-splits", "pieces that the keys are split into: 1 is none, 0 leaves it to a heuristic"),
)
FLAGS = ("alibi", "deterministic", "varlen", "block_sparse", "append_kv", "score_mod")
PRICE = (
    ("gpus", "cards that serve at once"),
    ("price", "your own price in USD per GPU-hour"),
    ("provider", "take this provider's published price"),
    ("region", "take the published price of this region"),
    ("tariff", "what you pay for energy, in USD per kWh"),
)
#: Options of a whole model.
MODEL = (
    ("weights", "type that the weights are stored in: bf16, fp16, fp32, fp8 or int4"),
    ("method", "how it is trained: full, lora or qlora"),
    ("lora-rank", "rank of the adapters (default 16)"),
    ("load", "tokens per second to hold for a month"),
    ("run-tokens", "tokens of a training run or a job"),
    ("max-latency-ms", "longest first token (prefill), token (decode) or step (training)"),
    ("ttft-ms", "longest time to the first token of a request"),
    ("tpot-ms", "longest time of each token after the first"),
)
#: Both are on unless said otherwise.
MODEL_FLAGS = (("recompute", "run the forward again in training"), ("flash", "never write scores"))


def add_question(
    parser: argparse.ArgumentParser,
    *,
    model: bool = False,
    price: bool = False,
    runs: bool = False,
    gpu: str | None = "L4",
) -> None:
    """Let a command take the question: of the workload, and where asked for of a model, its price and recorded runs."""
    parser.add_argument(
        "--gpu", default=gpu, help=f"a card, however written (default {gpu or 'the attached one'})"
    )
    for name, text in QUESTION + (PRICE if price else ()):
        parser.add_argument(f"--{name}", help=text)
    parser.add_argument(
        "--causal", action=argparse.BooleanOptionalAction, default=None, help="causal mask (default yes)"
    )
    for name in FLAGS:
        parser.add_argument(f"--{name.replace('_', '-')}", action="store_true", default=None)
    if model:
        parser.add_argument("--model", help="a model preset; fills heads, kv-heads and head-dim")
        parser.add_argument("--config", metavar="FILE", help="a model's config.json, in place of a preset")
        for name, text in MODEL:
            parser.add_argument(f"--{name}", help=text)
        for name, text in MODEL_FLAGS:
            parser.add_argument(
                f"--{name}", action=argparse.BooleanOptionalAction, default=None, help=f"{text} (default yes)"
            )
        parser.add_argument("--component", help="one attention component of the model")
    if runs:
        parser.add_argument(
            "--measured",
            metavar="FILE",
            action="append",
            help="put the estimate right by this record of runs; may be said again",
        )
        parser.add_argument(
            "--no-measurements", action="store_true", default=None, help="use no recorded run at all"
        )
        # What it was called before.
        parser.add_argument(
            "--as-fitted",
            dest="no_measurements",
            action="store_true",
            default=None,
            help=argparse.SUPPRESS,
        )
    if price:
        parser.add_argument("--spot", action="store_true", default=None, help="take spot prices")
