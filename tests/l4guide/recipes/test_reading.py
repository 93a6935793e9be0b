"""Files of training tools: what they set, what is assumed, what is not understood; and nothing of theirs runs."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from l4guide.advise import model_answer
from l4guide.cli import main
from l4guide.errors import BadInput
from l4guide.recipes import Reading, read_recipe
from l4guide.recipes.models import preset_of, preset_of_builder
from l4guide.recipes.parse import MOST_BYTES, parse_keys
from l4guide.recipes.reading import reading_of, tables
from l4guide.recipes.values import READERS
from l4guide.step.recipe import FIELDS, OPTIMIZERS, recipe_of

AXOLOTL = """
base_model: NousResearch/Meta-Llama-3.1-8B
load_in_8bit: false
load_in_4bit: true
datasets:
  - path: a/b
    type: alpaca
adapter: qlora
sequence_len: 4096
sample_packing: true
lora_r: 32
lora_alpha: 16
lora_target_linear: true
gradient_accumulation_steps: 4
micro_batch_size: 2
optimizer: adamw_bnb_8bit
learning_rate: 2e-4
bf16: auto
gradient_checkpointing: true
flash_attention: true
plugins:
  - axolotl.integrations.cut_cross_entropy.CutCrossEntropyPlugin
cut_cross_entropy: true
tensor_parallel_size: 2
"""
LLAMA_FACTORY = """
### model
model_name_or_path: Qwen/Qwen2.5-7B-Instruct
stage: sft
finetuning_type: full
cutoff_len: 1024
template: qwen
per_device_train_batch_size: 1
gradient_accumulation_steps: 2
bf16: true
deepspeed: examples/deepspeed/ds_z2_config.json
use_galore: true
"""
TORCHTUNE = """
model:
  _component_: torchtune.models.llama3_1.qlora_llama3_1_8b
  lora_attn_modules: ['q_proj', 'v_proj', 'output_proj']
  apply_lora_to_mlp: True
  apply_lora_to_output: False
  lora_rank: 8
tokenizer:
  _component_: torchtune.models.llama3.llama3_tokenizer
  max_seq_len: 2048
batch_size: 2
optimizer:
  _component_: torch.optim.AdamW
  fused: True
  lr: 3e-4
loss:
  _component_: torchtune.modules.loss.CEWithChunkedOutputLoss
gradient_accumulation_steps: 16
compile: False
dtype: bf16
enable_activation_checkpointing: True
enable_activation_offloading: True
metric_logger:
  _component_: torchtune.training.metric_logging.DiskLogger
"""
TRL: dict[str, Any] = {
    "model_name_or_path": "meta-llama/Llama-3.2-3B",
    "use_peft": True,
    "lora_r": 64,
    "lora_target_modules": ["q_proj", "v_proj"],
    "use_dora": True,
    "per_device_train_batch_size": 4,
    "optim": "paged_adamw_8bit",
    "loss_type": "chunked_nll",
    "learning_rate": 1e-4,
    "something_new": 3,
}


def read(text: str, name: str = "file.yaml") -> Reading:
    """A text, read."""
    return reading_of(parse_keys(text, name), name)


def test_an_axolotl_file() -> None:
    """QLoRA by its keys; what is not understood is listed, what matters to nobody is not."""
    found = read(AXOLOTL)
    assert "axolotl" == found.tool
    wanted = {
        "model": "Llama-3.1-8B",
        "method": "qlora",
        "lora_rank": 32,
        "seqlen": 4096,
        "batch": 2,
        "accumulation": 4,
        "optimizer": "adamw-8bit",
        "loss": "chunked",
        "recompute": "full",
        "task": "training",
    }
    assert wanted.items() <= found.options.items()
    assert ("tensor_parallel_size: 2",) == found.unread
    assert {} == found.assumed


def test_a_llama_factory_file() -> None:
    """Full training by ZeRO 2; the tool recomputes unless told not to, and GaLore is not modelled."""
    found = read(LLAMA_FACTORY)
    assert "LLaMA-Factory" == found.tool
    wanted = {"model": "Qwen2.5-7B", "method": "full", "zero": "2", "seqlen": 1024, "batch": 1}
    assert wanted.items() <= found.options.items()
    assert {"recompute": "full"} == found.assumed
    assert ("use_galore: True",) == found.unread


def test_a_torchtune_file() -> None:
    """Its builder names the model and the method; adapters are in 16 bits as everything is."""
    found = read(TORCHTUNE)
    assert "torchtune" == found.tool
    wanted = {
        "model": "Llama-3.1-8B",
        "method": "qlora",
        "lora_rank": 8,
        "lora_targets": ("q_proj", "v_proj", "o_proj", "mlp"),
        "optimizer": "adamw",
        "loss": "chunked",
        "recompute": "offload",
        "master_weights": False,
        "accumulation": 16,
        "batch": 2,
        "seqlen": 2048,
    }
    assert wanted.items() <= found.options.items()
    assert () == found.unread


def test_a_trl_file_in_json() -> None:
    """DoRA by TRL's arguments; its defaults of length and recomputation are named."""
    found = read(json.dumps(TRL))
    assert "TRL" == found.tool
    wanted = {"method": "dora", "lora_rank": 64, "optimizer": "paged-adamw-8bit", "loss": "chunked"}
    assert wanted.items() <= found.options.items()
    assert {"recompute": "full", "seqlen": 1024, "weights": "fp32"} == found.assumed
    assert ("something_new: 3",) == found.unread


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ({}, "fp32"),
        ({"dtype": "bfloat16"}, None),
        ({"torch_dtype": "auto"}, None),
        ({"load_in_4bit": True}, None),
        ({"load_in_8bit": True}, "int8"),
        ({"use_peft": False}, None),
    ],
)
def test_trl_loads_frozen_weights_in_32_bits(said: dict[str, Any], kept: str | None) -> None:
    """TRL loads in fp32 where its file names no dtype; a full fine-tuning has that copy anyway."""
    found = read(json.dumps({"use_peft": True, "lora_r": 8, "max_length": 512, **said}))
    assert kept == found.options.get("weights")


def test_plain_training_arguments() -> None:
    """Arguments of transformers keep all activations unless told otherwise."""
    found = read(json.dumps({"per_device_train_batch_size": 2, "optim": "adafactor", "bf16": True}))
    assert ("TrainingArguments", "none") == (found.tool, found.options["recompute"])
    assert "adafactor" == found.options["optimizer"]


def test_eight_bits_and_settings_within_the_file() -> None:
    """LLM.int8() under adapters is kept so; DeepSpeed's stage is read where its settings stand in the file."""
    eight = read("base_model: a/b\nadapter: lora\nload_in_8bit: true\ngradient_checkpointing: unsloth\n")
    assert ("lora", "int8", "offload") == tuple(eight.options[n] for n in ("method", "weights", "recompute"))
    inside = {"optim": "adamw_torch", "deepspeed": {"zero_optimization": {"stage": 1, "overlap_comm": True}}}
    found = read(json.dumps(inside))
    assert "1" == found.options["zero"]
    assert () == found.unread
    assert ("deepspeed: my.json",) == read('{"optim": "sgd", "deepspeed": "my.json"}').unread


@pytest.mark.parametrize(
    ("name", "preset"),
    [
        ("meta-llama/Llama-3.1-8B-Instruct", "Llama-3.1-8B"),
        ("unsloth/Meta-Llama-3.1-8B-bnb-4bit", "Llama-3.1-8B"),
        ("mistralai/Mistral-7B-v0.1", "Mistral-7B-v0.1"),
        ("Qwen/Qwen2.5-7B", "Qwen2.5-7B"),
        ("nobody/knows-this", None),
        ("", None),
    ],
)
def test_names_of_models(name: str, preset: str | None) -> None:
    """A repository's name means the preset of the same letters, or none."""
    assert preset == preset_of(name)


def test_builders_of_torchtune() -> None:
    """Functions are named by letters and digits alone."""
    names = ("llama3_1_8b", "qwen2_5_7b", "mistral_7b", "nobody_7b")
    assert ["Llama-3.1-8B", "Qwen2.5-7B", "Mistral-7B-v0.1", None] == [preset_of_builder(n) for n in names]


def test_the_tables_name_what_exists() -> None:
    """Every kind of value is read, every option of a default and every optimizer exists."""
    plain = {"batch", "seqlen", "accumulation", "lora_rank"}
    for tool in tables()["tool"]:
        assert set(tool["keys"].values()) <= plain | set(READERS), tool["name"]
        assert set(tool["defaults"]) <= set(FIELDS) | {"batch", "seqlen", "weights"}
    assert set(tables()["optimizers"]) <= set(OPTIMIZERS)


def test_options_win_over_the_file(tmp_path: Path) -> None:
    """What is said beside the file is taken; the answer says what the file set and what it did not understand."""
    path = tmp_path / "axolotl.yml"
    path.write_text(AXOLOTL, encoding="utf-8")
    answer = model_answer("RTX 4090", {"recipe": str(path), "seqlen": 1024, "loss": "full"})
    question = answer.whole.question
    assert (1024, "full", "qlora") == (
        question.context,
        question.plan.recipe.loss,
        question.plan.recipe.method,
    )
    said = answer.to_json()
    assert ["tensor_parallel_size: 2"] == said["recipe_file"]["not_understood"]  # type: ignore[index]


def test_the_command_line_reads_a_recipe(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`cost --recipe FILE` needs nothing else; a file without a known model asks for one."""
    path = tmp_path / "8B.yaml"
    path.write_text(TORCHTUNE, encoding="utf-8")
    assert 0 == main(["cost", "--recipe", str(path), "--gpu", "RTX 4090", "--json"])
    said = json.loads(capsys.readouterr().out)
    assert ("training", "qlora", 16) == (said["task"], said["method"], said["recipe"]["accumulation"])
    path.write_text("micro_batch_size: 2\nbase_model: nobody/knows\n", encoding="utf-8")
    assert 2 == main(["cost", "--recipe", str(path)])
    error = capsys.readouterr().err
    assert "--model" in error
    assert 1 == len(error.strip().splitlines())


BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{new}: &{new} [*{old},*{old},*{old},*{old},*{old},*{old},*{old},*{old},*{old}]\n"
    for old, new in zip("abcdefghij", "bcdefghijk", strict=True)
)
HOSTILE = {
    "code": "base_model: !!python/object/apply:os.system ['touch owned']\n",
    "object": "!!python/object/new:subprocess.Popen [[touch, owned]]\n",
    "deep list": "a: " + "[" * 5000 + "]" * 5000,
    "deep keys": "{" + '"a":{' * 3000 + "}" * 3001,
    "itself": "base_model: &x\n  inner: *x\nmicro_batch_size: 2\n",
    "bomb": BOMB + "micro_batch_size: 2\nbase_model: *k\n",
    "large": "a: " + "x" * (MOST_BYTES + 1),
    "many": "\n".join(f"k{number}: 1" for number in range(20_000)),
    "number": "micro_batch_size: " + "9" * 6000 + "\nbase_model: x\n",
    "date": "base_model: 2024-99-99\nmicro_batch_size: 1\n",
    "bytes": "\x00\x01",
    "list": "- a\n- b\n",
    "nothing": "",
    "word": "hello",
    "tabs": "a:\n\t- b",
    "unhashable": "? [a, b]\n: c\nmicro_batch_size: 1\n",
    "negative": "micro_batch_size: -4\nbase_model: meta-llama/Llama-3.1-8B\nsequence_len: 1e999\n",
}


def outcome(path: Path) -> str:
    """What is said of a file: why it cannot be read, or what it sets."""
    try:
        reading = read_recipe(path)
    except BadInput as error:
        return str(error)
    recipe_of(reading.options)
    return " ".join(line.say() for line in reading.lines())


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_files_end_in_a_line_or_an_answer(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing of theirs runs, nothing grows without end, and what cannot be read is said in one line."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "recipe.yaml"
    path.write_text(HOSTILE[kind], encoding="utf-8")
    said = outcome(path)
    assert "\n" not in said
    assert len(said) < 20_000
    assert [path] == list(tmp_path.iterdir())


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    """A missing file and a folder are said so."""
    for path in (tmp_path / "none.yaml", tmp_path):
        with pytest.raises(BadInput, match=r"cannot be read"):
            read_recipe(path)


KEYS = sorted({key for tool in tables()["tool"] for key in (*tool["keys"], *tool["marks"]) if "." not in key})
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=12),
    st.lists(st.text(max_size=5), max_size=3),
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(st.sampled_from(KEYS), VALUES, min_size=1, max_size=8))
def test_any_values_are_read_or_listed(keys: dict[str, object]) -> None:
    """Whatever stands behind known keys is an option that can be asked, or is listed; or the file is declined."""
    try:
        found = reading_of(keys, "any.json")
    except BadInput:
        return
    recipe_of(found.options)
    for name in ("batch", "seqlen"):
        assert found.options.get(name, 1) >= 1  # type: ignore[operator]
