"""The options of the command line by what they say something of: name and what it means."""

import argparse

#: What an attention call is estimated for where nobody names an implementation.
USUAL = "flash-attn"
#: Options of the question; each is handed on as text so that one place validates it and says what is wrong.
QUESTION = (
    ("task", "prefill, decode or training"),
    ("head-dim", "dimension of one head, such as 128"),
    ("head-dim-v", "head_dim of V, if it differs"),
    ("batch", "batch size: sequences per call"),
    ("seqlen", "tokens per sequence, for both queries and keys"),
    ("seqlen-q", "query tokens per sequence"),
    ("seqlen-kv", "key tokens per sequence"),
    ("heads", "number of query heads"),
    ("kv-heads", "number of KV heads; must divide the number of query heads"),
    ("dtype", "fp16, bf16, fp32 or fp8"),
    ("kv-dtype", "dtype of the KV cache"),
    ("dropout", "dropout probability, at least 0 and below 1"),
    ("window", "sliding window: number of keys to the left that a query sees"),
    ("softcap", "softcap of the scores; 0 means none"),
    ("paged-block-size", "tokens per page of a paged KV cache"),
    ("num-splits", "split-KV: number of splits; 1 means none, 0 uses a heuristic"),
    ("mask", "a mask tensor beside causal: none, bool or additive (a bias, relative positions)"),
)
FLAGS = {
    "alibi": "ALiBi slopes",
    "deterministic": "deterministic backward pass",
    "varlen": "variable-length sequences",
    "block_sparse": "block-sparse attention",
    "append_kv": "append to the KV cache in the same call",
    "score_mod": "a custom score_mod",
    "mask_grad": "the additive mask is trained, so its gradient is needed",
    "sinks": "attention sinks: a learnt score a head without a key (gpt-oss)",
    "enable_gqa": "PyTorch: K and V with their own heads (enable_gqa=True); otherwise they are repeated",
    "own_scores": "the model's own code computes the scores (disentangled attention)",
}
PRICE = (
    ("gpus", "number of GPUs"),
    ("price", "your own price in USD per GPU-hour"),
    ("provider", "use this provider's published price"),
    ("region", "use the published price of this region"),
    ("tariff", "your electricity price in USD per kWh"),
)
#: What a card has that is not listed, or not so.
CARD = (
    ("compute-capability", "compute capability of a GPU that is not listed, such as 8.9"),
    ("memory-gib", "the GPU's memory in GiB, in place of the listed one"),
    ("bandwidth-gb-s", "its memory bandwidth in GB/s"),
    ("tflops", "its dense 16-bit tensor rate in TFLOP/s, with fp32 accumulation"),
    ("sms", "its number of SMs"),
    ("boost-mhz", "its boost clock in MHz"),
    ("tdp-w", "its power limit in W"),
    ("nvlink-gb-s", "its NVLink bandwidth in GB/s, both directions"),
)
#: Options of a whole model.
MODEL = (
    ("weights", "type of the stored weights: bf16, fp8, int4, nf4, mxfp4-experts, q4_k_m and others"),
    ("images", "images of a request"),
    ("image-size", "pixels of an image: WIDTHxHEIGHT, or all of them (default 1024x1024)"),
    ("image-tokens", "tokens of one image, if the model's rule is not known"),
    ("audio-s", "seconds of sound in a request"),
    ("audio-tokens", "tokens of the sound, if the model's rule is not known"),
    ("load", "tokens per second to sustain for a month"),
    ("run-tokens", "total tokens of a training run or job"),
    ("max-latency-ms", "maximum time of the first token (prefill), a token (decode) or a step (training)"),
    ("ttft-ms", "maximum time to first token"),
    ("tpot-ms", "maximum time per output token after the first"),
)
#: Options of a server under load.
SERVER = (
    ("prompt-tokens", "tokens of a prompt (default 1000)"),
    ("output-tokens", "tokens of an answer (default 300)"),
    ("concurrency", "the load: so many requests always in flight"),
    ("requests-per-s", "the load: requests per second"),
    ("users", "the load: users who each wait for an answer before they ask again"),
    ("think-s", "seconds that a user pauses between answers (default 0)"),
    ("percentile", "share of requests in per cent that keep the targets (default 95)"),
    ("engine", "vllm, sglang or tensorrt-llm, with a release: vllm:0.11"),
    ("gpu-memory-utilization", "share of GPU memory that the engine takes"),
    ("prefix-share", "share of a prompt that all requests have in common"),
    ("max-model-len", "the longest sequence of the server"),
)
#: On unless said otherwise.
MODEL_FLAGS = (("flash", "use fused attention, which never writes the scores to memory"),)
#: Options of a training recipe.
RECIPE = (
    ("method", "training method: full, lora, qlora or dora"),
    ("lora-rank", "LoRA rank (default 16)"),
    (
        "lora-targets",
        "matrices with adapters: attention, mlp, all or names such as q_proj,v_proj (default all)",
    ),
    (
        "optimizer",
        "adamw (default), adamw-8bit, paged-adamw-8bit, adafactor, lion, muon, sgd or none",
    ),
    ("loss", "full (default: the logits of all tokens at once) or chunked"),
    (
        "zero",
        "what data-parallel GPUs share: 0 nothing, 1 states, 2 gradients too, 3 weights too (default 3)",
    ),
    ("accumulation", "batches whose gradients one step adds up (default 1)"),
)
RECIPE_FLAGS = (
    (
        "master-weights",
        "fp32 copy of 16-bit weights, or adapters in fp32 (default yes, but for 8-bit optimizers)",
    ),
    ("fused-step", "update each weight within the backward pass (default no)"),
)


#: What the question holds beside the options listed above, which have no text of their own or one a command.
UNLISTED = (
    *("causal", "model", "config", "index", "component", "no_trace"),
    *("recompute", "recipe", "spot", "measured", "no_measurements", "eager"),
)


def question(options: argparse.Namespace) -> dict[str, object]:
    """What was said of the workload, the model and the price, by option name; what was not said is absent."""
    said_of = (*QUESTION, *CARD, *PRICE, *MODEL, *MODEL_FLAGS, *RECIPE, *RECIPE_FLAGS, *SERVER)
    listed = [name.replace("-", "_") for name, _ in said_of]
    names = (*listed, *FLAGS, *UNLISTED)
    said = {name: value for name in names if (value := getattr(options, name, None)) is not None}
    if "recipe" not in said:
        return said
    from l4guide.advise.opened import opened  # only a file is worth the wait

    return opened(said)


def add_question(
    parser: argparse.ArgumentParser,
    *,
    model: bool = False,
    price: bool = False,
    runs: bool = False,
    card: bool = True,
    gpu: str | None = "L4",
) -> None:
    """Let a command take the question: of the workload, and where asked for of a model, its price and recorded runs."""
    parser.add_argument(
        "--gpu",
        default=gpu,
        help=f"a GPU in any spelling, or a provider's instance (default {gpu or 'the attached one'})",
    )
    for name, text in QUESTION + (CARD if card else ()) + (PRICE if price else ()):
        parser.add_argument(f"--{name}", help=text)
    parser.add_argument(
        "--causal", action=argparse.BooleanOptionalAction, default=None, help="causal mask (default yes)"
    )
    for name, text in FLAGS.items():
        parser.add_argument(f"--{name.replace('_', '-')}", action="store_true", default=None, help=text)
    if model:
        parser.add_argument("--model", help="a model preset; sets heads, kv-heads and head-dim")
        parser.add_argument("--config", metavar="FILE", help="a model's config.json, instead of a preset")
        parser.add_argument(
            "--no-trace",
            action="store_true",
            default=None,
            help="read the config.json where transformers could build it: quicker, but may miscount rare types",
        )
        parser.add_argument(
            "--index", metavar="FILE", help="the checkpoint's model.safetensors.index.json, beside --config"
        )
        for name, text in MODEL:
            parser.add_argument(f"--{name}", help=text)
        for name, text in MODEL_FLAGS:
            parser.add_argument(
                f"--{name}", action=argparse.BooleanOptionalAction, default=None, help=f"{text} (default yes)"
            )
        parser.add_argument("--component", help="one attention component of the model")
        add_recipe(parser)
    if runs:
        parser.add_argument(
            "--measured",
            metavar="FILE",
            action="append",
            help="calibrate the estimates with this benchmark record; may be repeated",
        )
        parser.add_argument(
            "--no-measurements", action="store_true", default=None, help="ignore all benchmark records"
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
        parser.add_argument("--spot", action="store_true", default=None, help="use spot prices")


def add_recipe(parser: argparse.ArgumentParser) -> None:
    """Let a command take how a model is trained."""
    parser.add_argument(
        "--recipe",
        metavar="FILE",
        help="an axolotl, LLaMA-Factory, torchtune or TRL file (YAML or JSON); options said here win",
    )
    for name, text in RECIPE:
        parser.add_argument(f"--{name}", help=text)
    for name, text in RECIPE_FLAGS:
        parser.add_argument(f"--{name}", action=argparse.BooleanOptionalAction, default=None, help=text)
    parser.add_argument(
        "--recompute",
        nargs="?",
        const="full",
        help="what the backward pass runs again: full (default), selective, offload or none",
    )
    parser.add_argument(
        "--no-recompute", dest="recompute", action="store_const", const="none", help="keep all activations"
    )


def add_trace(parser: argparse.ArgumentParser) -> None:
    """Let a command take one model, by its configuration, as a preset or by its type."""
    parser.add_argument("--config", metavar="FILE", help="a model's config.json")
    parser.add_argument("--model", help="a model preset")
    parser.add_argument("--model-type", help="a model type of transformers, at its default configuration")
    parser.add_argument("--context", default="2048", help="tokens per sequence in the cache (default 2048)")


def add_matrix(parser: argparse.ArgumentParser) -> None:
    """The options of `l4guide matrix`."""
    add_question(parser, card=False)
    parser.add_argument("--head-dims", help="head_dims of the columns, separated by commas")
    parser.add_argument("--library", help="libraries, separated by commas (default: all)")
    parser.add_argument("--version", help="a release of the library, or all (default: the newest)")
    parser.add_argument("--format", choices=("table", "csv", "json", "md"), default="table")
    parser.add_argument("--timeline", action="store_true", help="support by release date, for one head-dim")


def add_measure(parser: argparse.ArgumentParser) -> None:
    """The options of `l4guide measure`."""
    parser.add_argument("--quick", action="store_true", help="one minute instead of ten")
    parser.add_argument("--out", metavar="FILE", help="path of the record (default: a new file)")
    parser.add_argument("--resume", action="store_true", help="continue an interrupted run")
    parser.add_argument("--read", metavar="FILE", help="show a record without measuring")
    parser.add_argument("--against", metavar="FILE", help="compare with an earlier record")
    parser.add_argument("--tune", action="store_true", help="time other tiles instead")


def add_all(parser: argparse.ArgumentParser) -> None:
    """Let a command print everything it found."""
    parser.add_argument("--all", action="store_true", help="print every GPU and every reason")


def add_advise(parser: argparse.ArgumentParser) -> None:
    """The options of `l4guide advise`."""
    add_question(parser, model=True, price=True, runs=True)
    add_all(parser)


def add_support(parser: argparse.ArgumentParser) -> None:
    """The options of `l4guide support`."""
    add_question(parser)
    add_all(parser)
    parser.add_argument("--library", default="flash-attn")
    parser.add_argument("--version", help="a release (default: the newest known)")


def add_resources(parser: argparse.ArgumentParser) -> None:
    """The options of `l4guide resources`."""
    parser.add_argument("--gpu", default="L4")
    for name, text in CARD:
        parser.add_argument(f"--{name}", help=text)
    parser.add_argument("--kernel", default="forward", help="forward, backward-dkdv, backward-dq or decode")
    parser.add_argument("--head-dim", default="128")
    parser.add_argument("--head-dim-v", help="head_dim of V (default: that of Q and K)")
    parser.add_argument("--dtype", default="bf16")
    parser.add_argument(
        "--causal", action=argparse.BooleanOptionalAction, default=True, help="causal mask (default yes)"
    )
    for name in ("block-m", "block-n", "warps", "stages"):
        parser.add_argument(f"--{name}")
    parser.add_argument("--compile", action="store_true", help="compile for the GPU now")


def add_estimate(parser: argparse.ArgumentParser) -> None:
    """The options of `l4guide estimate`."""
    add_question(parser, model=True, price=True, runs=True)
    parser.add_argument(
        "--implementation", help=f"default: {USUAL}; for a whole model the fastest measured one"
    )
    parser.add_argument("--workloads", metavar="IN.csv", help="answer every row of a CSV")
    parser.add_argument("--out", metavar="OUT.csv", help="path of the answered rows")


def add_cost(parser: argparse.ArgumentParser) -> None:
    """The options of `l4guide cost`."""
    add_question(parser, model=True, price=True, runs=True)
    add_all(parser)
    parser.add_argument(
        "--implementation", help="the implementation to time (default: the fastest measured one)"
    )
    parser.add_argument(
        "--map", choices=("context", "head_dim"), help="map the cheapest GPU over this and the batch"
    )


def add_plan(parser: argparse.ArgumentParser) -> None:
    """The options of `l4guide plan`."""
    add_question(parser, model=True, price=True, runs=True)
    for name, text in SERVER:
        parser.add_argument(f"--{name}", help=text)
    parser.add_argument("--eager", action="store_true", default=None, help="the engine uses no CUDA graphs")
    add_all(parser)


def add_diagnose(parser: argparse.ArgumentParser) -> None:
    """The options of `l4guide diagnose`."""
    parser.add_argument(
        "file",
        nargs="?",
        metavar="FILE",
        help="file with the text (default: standard input, which is passed on with the finding added at the end)",
    )
    parser.add_argument("--quiet", action="store_true", help="print the finding alone")


def add_doctor(parser: argparse.ArgumentParser) -> None:
    """The options of `l4guide doctor`."""
    add_question(parser, card=False, gpu=None)


def add_report(parser: argparse.ArgumentParser) -> None:
    """The options of `l4guide report`."""
    add_question(parser, model=True, price=True, runs=True)
    parser.add_argument("--out", default="report.html")


def add_lab(parser: argparse.ArgumentParser) -> None:
    """The options of `l4guide lab`."""
    parser.add_argument("--port", type=int)
    parser.add_argument(
        "--browser",
        action=argparse.BooleanOptionalAction,
        help="open a browser (default: if this machine has a screen)",
    )
