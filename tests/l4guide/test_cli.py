"""The command line: JSON alone on stdout, one line for what is wrong, and the exit code that goes with it."""

import csv
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from l4guide.cli import main
from l4guide.measure.measurement import Record, write


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of one command."""
    code = main(list(arguments))
    said = capsys.readouterr()
    return code, said.out, said.err


def answered(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    """The JSON of a command that answers."""
    code, out, err = run(capsys, *arguments, "--json")
    assert (0, "") == (code, err)
    return json.loads(out)


SUPPORT = ("support", "--library", "flash-attn", "--gpu", "L4", "--task", "training")


@pytest.mark.parametrize(
    ("version", "head_dim", "extra", "status", "text"),
    [
        (
            "1.0.9",
            128,
            (),
            "refused",
            "requires A100 or H100 GPUs as the implementation needs a large amount",
        ),
        ("2.0.0", 128, (), "ok", ""),
        ("2.5.4", 256, (), "refused", "head dim > 192 requires A100/A800 or H100/H800"),
        ("2.5.5", 256, (), "ok", ""),
        ("2.8.3", 256, ("--dropout", "0.1"), "unsafe", ""),
        ("2.8.3", 320, (), "refused", "FlashAttention forward only supports head dimension at most 256"),
    ],
)
def test_support(
    capsys: pytest.CaptureFixture[str],
    version: str,
    head_dim: int,
    extra: tuple[str, ...],
    status: str,
    text: str,
) -> None:
    """The verdicts that the guide exists for, with the text of that version."""
    said = answered(capsys, *SUPPORT, "--version", version, "--head-dim", str(head_dim), *extra)
    assert status == said["status"]
    assert text in said["message"]
    if status != "ok":
        assert {"code", "found", "needed", "text", "evidence", "source"} <= said["reasons"][0].keys()


def test_a_release_newer_than_the_rules(capsys: pytest.CaptureFixture[str]) -> None:
    """It is answered, as unknown, in `support` and in every cell of the matrix."""
    said = answered(capsys, "support", "--library", "flash-attn", "--version", "2.9.0", "--head-dim", "128")
    assert ("unknown", "2.9.0") == (said["status"], said["version"])
    matrix = answered(capsys, "matrix", "--library", "flash-attn", "--version", "2.9.0")
    assert {"unknown"} == {cell["status"] for row in matrix["rows"] for cell in row["cells"]}


def test_the_same_question_on_a100_is_safe(capsys: pytest.CaptureFixture[str]) -> None:
    """What L4 does silently wrong, A100 does right."""
    arguments = (*SUPPORT[:-4], "--gpu", "A100", "--task", "training")
    said = answered(capsys, *arguments, "--version", "2.8.3", "--head-dim", "256", "--dropout", "0.1")
    assert "ok" == said["status"]


def test_advise_has_the_promised_keys(capsys: pytest.CaptureFixture[str]) -> None:
    """Every key of the contract that is built, and none made up."""
    said = answered(capsys, "advise", "--gpu", "L4", "--task", "training", "--head-dim", "128")
    wanted = {
        "question",
        "answer",
        "headline",
        "implementations",
        "resources",
        "estimate",
        "alternatives",
    }
    assert wanted <= said.keys()
    assert not {"memory", "cost"} & said.keys()
    assert "assumed" in said["question"]


def test_resources_from_the_record(capsys: pytest.CaptureFixture[str]) -> None:
    """The default tile of the flagship kernel fits and spills nothing."""
    said = answered(capsys, "resources", "--gpu", "L4", "--kernel", "backward-dkdv", "--head-dim", "128")
    assert (True, 0, "recorded") == (said["fits"], said["spill_bytes"], said["basis"])


def test_estimate_of_one_call(capsys: pytest.CaptureFixture[str]) -> None:
    """The keys of the contract, with the value inside its interval."""
    shape = ("--batch", "1", "--seqlen-q", "2048", "--seqlen-kv", "2048", "--heads", "32", "--kv-heads", "8")
    kind = ("--head-dim", "128", "--dtype", "bf16", "--kv-dtype", "bf16", "--causal")
    asked = ("--gpu", "L4", "--task", "prefill", "--implementation", "flash-attn")
    said = answered(capsys, "estimate", *asked, *shape, *kind)
    assert said["low_ms"] < said["latency_ms"] < said["high_ms"]
    assert {"tflops", "gb_per_s", "basis"} <= said.keys()


def test_estimate_of_a_table(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Each row keeps its columns and gains the answer's, or the reason why it has none."""
    rows, out = tmp_path / "in.csv", tmp_path / "out.csv"
    rows.write_text("id,gpu,task,head_dim,causal\na,L4,prefill,128,0\nb,L4,prefill,x,1\n", encoding="utf-8")
    code, _, err = run(capsys, "estimate", "--workloads", str(rows), "--out", str(out))
    assert (0, "") == (code, err)
    header, first, second = out.read_text(encoding="utf-8").splitlines()
    assert header.startswith("id,gpu,task,head_dim,causal,latency_ms,low_ms,high_ms,tflops,gb_per_s,basis")
    assert first.startswith("a,L4,prefill,128,0,")
    assert "head-dim must be an integer" in second


def test_a_table_with_an_unknown_column_keeps_it(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """A column that is no option is the user's own and comes back untouched."""
    rows, out = tmp_path / "in.csv", tmp_path / "out.csv"
    rows.write_text("note,head_dim\nmine,64\n", encoding="utf-8")
    assert 0 == run(capsys, "estimate", "--workloads", str(rows), "--out", str(out))[0]
    note, head_dim, latency_ms, *_ = out.read_text(encoding="utf-8").splitlines()[1].split(",")
    assert ("mine", "64") == (note, head_dim)
    assert float(latency_ms) > 0


def test_cost_of_a_model(capsys: pytest.CaptureFixture[str]) -> None:
    """Price with provider and date, throughput and cost with their intervals."""
    said = answered(capsys, "cost", "--gpu", "L4", "--model", "Llama-3.1-8B", "--task", "decode")
    assert 32 == said["layers"]
    assert said["low"] < said["usd_per_million_tokens"] < said["high"]
    assert {"provider", "usd_per_hour", "as_of"} <= said["price"].keys()


CONFIG = {
    "model_type": "qwen3",
    "hidden_size": 2560,
    "num_hidden_layers": 36,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "head_dim": 128,
    "intermediate_size": 9728,
    "vocab_size": 151936,
    "max_position_embeddings": 40960,
    "tie_word_embeddings": True,
}


def test_cost_of_a_pasted_configuration(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Memory, time, cost, energy and every card's place, for a config.json as for the preset of the same model."""
    config = tmp_path / "config.json"
    config.write_text(json.dumps(CONFIG), encoding="utf-8")
    asked = ("--gpu", "L4", "--task", "decode", "--batch", "4", "--price", "0.7")
    said = answered(capsys, "cost", "--config", str(config), *asked)
    preset = answered(capsys, "cost", "--model", "Qwen3-4B", *asked)
    assert preset["tokens_per_s"] == pytest.approx(said["tokens_per_s"])
    assert {"memory", "ranking", "what_would_change", "joules_per_token", "tpot_ms", "ttft_ms"} <= said.keys()
    assert ("given", 0.7) == (said["price"]["kind"], said["price"]["usd_per_hour"])
    assert "yes" == said["memory"]["fits"]


def test_advise_of_a_pasted_configuration(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Its heads are judged as they are written, and memory and cost of the whole model come with the verdict."""
    config = tmp_path / "config.json"
    config.write_text(json.dumps(CONFIG), encoding="utf-8")
    said = answered(capsys, "advise", "--config", str(config), "--task", "decode")
    assert (128, 32, 8) == tuple(said["question"][name] for name in ("head_dim", "heads", "kv_heads"))
    assert "model" == said["cost"]["of"]
    assert said["memory"]["gib"] > 0


def test_a_break_even_map(capsys: pytest.CaptureFixture[str]) -> None:
    """A row for each batch, and a sentence for each winner."""
    asked = ("cost", "--model", "Llama-3.2-1B", "--task", "decode", "--map", "context")
    said = answered(capsys, *asked)
    assert len(said["batch"]) == len(said["winner"])
    code, out, err = run(capsys, *asked)
    assert (0, "") == (code, err)
    assert "%" in out


def test_a_table_may_ask_about_whole_models(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """A row with a model gains its throughput, memory and cost; one bad row loses no other."""
    rows, out = tmp_path / "in.csv", tmp_path / "out.csv"
    rows.write_text(
        "model,gpu,task,batch,seqlen,gpus,price\nLlama-3.1-8B,L4,decode,2,4096,1,0.5\nLlama-3.1-8B,L4,decode,2,999999,1,0.5\n"
        "Qwen3-32B,H100,prefill,1,2048,2,\n",
        encoding="utf-8",
    )
    assert 0 == run(capsys, "estimate", "--workloads", str(rows), "--out", str(out))[0]
    good, bad, two = list(csv.DictReader(out.read_text(encoding="utf-8").splitlines()))
    assert float(good["tokens_per_s"]) > 0
    assert float(good["usd_per_million_tokens"]) > 0
    assert "yes" == good["fits"]
    assert "999999" in bad["problem"]
    assert float(two["ttft_ms"]) > 0


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("{", "not valid JSON"),
        ("[1]", "list"),
        ("{}", "hidden_size"),
        (json.dumps({**CONFIG, "num_hidden_layers": 10**9}), "num_hidden_layers is 1000000000"),
        (json.dumps({**CONFIG, "num_key_value_heads": 5}), "multiple of kv-heads"),
    ],
)
@pytest.mark.parametrize("command", ["cost", "advise"])
def test_a_bad_configuration_is_one_line_and_exit_2(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, command: str, text: str, wanted: str
) -> None:
    """What is wrong with the file and where, and nothing on stdout."""
    config = tmp_path / "config.json"
    config.write_text(text, encoding="utf-8")
    code, out, err = run(capsys, command, "--config", str(config), "--task", "decode")
    assert (2, "", 1) == (code, out, err.count("\n"))
    assert wanted in err


def test_doctor_answers_on_any_machine(capsys: pytest.CaptureFixture[str]) -> None:
    """Python, libraries, GPUs (none is fine), and verdicts on what is installed."""
    said = answered(capsys, "doctor")
    assert isinstance(said["gpus"], list)
    assert all("status" in verdict for verdict in said["verdicts"])


def test_doctor_is_readable_without_json(capsys: pytest.CaptureFixture[str]) -> None:
    """A report of lines, with the Python that runs and the card that is judged for; braces are for --json."""
    code, out, err = run(capsys, "doctor", "--gpu", "A100")
    assert (0, "") == (code, err)
    assert "{" not in out
    assert f"Python {sys.version_info.major}.{sys.version_info.minor}" in out
    assert "A100-80GB-SXM" in out


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        (("advise", "--head-dim", "0"), "head-dim is 0"),
        (("advise", "--head-dim", "-8"), "head-dim is -8"),
        (("advise", "--head-dim", "1.5"), "not '1.5'"),
        (("support", "--head-dim", "abc"), "not 'abc'"),
        (("resources", "--head-dim", "abc"), "not 'abc'"),
        (("resources", "--head-dim", "0"), "head-dim is 0"),
        (("resources", "--block-m", "17"), "17"),
        (("resources", "--kernel", "forwards"), "forward"),
        (("advise", "--gpu", "L44"), "L4"),
        (("advise", "--model", "Lama-3.1-8B"), "Llama-3.1-8B"),
        (("support", "--version", "2.5.99"), "2.5.99"),
        (("matrix", "--library", "flash-attn", "--version", "2.5.99"), "2.5.9"),
        (("support", "--library", "flash"), "flash-attn"),
        (("advise", "--heads", "32", "--kv-heads", "5"), "multiple of kv-heads (5)"),
        (("advise", "--dropout", "-0.1"), "dropout is -0.1"),
        (("advise", "--provider", "nobody"), "nobody"),
        (("cost", "--gpus", "0"), "gpus is 0"),
        (("cost", "--price", "0"), "price is 0"),
        (("cost", "--model", "Llama-3.1-8B", "--price", "-1"), "price is -1"),
        (("estimate", "--price", "0"), "price is 0"),
        (("advise", "--price", "nan"), "price is nan"),
        (("advise", "--tpot-ms", "5"), "--model NAME"),
        (("cost", "--model", "Llama-3.1-8B", "--ttft-ms", "0"), "ttft-ms is 0"),
        (("advise", "--measured", "none.json", "--no-measurements"), "--no-measurements"),
        (("advise", "--measured", "none.json", "--as-fitted"), "--no-measurements"),
        (("cost", "--model", "Llama-3.1-8B", "--seqlen", "200000"), "131072"),
        (("cost", "--model", "Llama-3.1-8B", "--method", "half"), "lora"),
        (("cost", "--model", "Llama-3.1-8B", "--weights", "int3"), "int4"),
        (("cost", "--model", "Llama-3.1-8B", "--load", "0"), "load"),
        (("cost", "--config", "/no/such/config.json"), "config.json"),
        (("cost", "--model", "BERT-base", "--task", "decode"), "does not decode"),
        (("advise", "--model", "Llama-3.1-8B", "--weights", "int3"), "int4"),
        (("advise", "--headdim", "64"), "--headdim"),
        (("frobnicate",), "frobnicate"),
    ],
)
def test_bad_input_is_one_line_and_exit_2(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], wanted: str
) -> None:
    """One line on stderr with the value, nothing on stdout, no traceback."""
    code, out, err = run(capsys, *arguments)
    assert (2, "") == (code, out)
    assert wanted in err
    assert 1 == len(err.splitlines())


def test_bad_input_is_said_in_the_language_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    """Errors are sentences too."""
    _, _, err = run(capsys, "advise", "--head-dim", "0", "--language", "zh")
    assert "必须在" in err


@pytest.mark.parametrize("command", ["report", "estimate"])
def test_a_place_that_cannot_be_written_is_exit_1(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, command: str
) -> None:
    """The path is named and nothing is left behind."""
    rows = tmp_path / "in.csv"
    rows.write_text("head_dim\n64\n", encoding="utf-8")
    extra = ("--workloads", str(rows)) if command == "estimate" else ()
    code, out, err = run(capsys, command, *extra, "--out", str(tmp_path / "no" / "where"))
    assert (1, "") == (code, out)
    assert str(tmp_path / "no") in err
    assert ["in.csv"] == [entry.name for entry in tmp_path.iterdir()]


def test_report_writes_both_files(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """The HTML file, and the JSON beside it."""
    said = answered(capsys, "report", "--out", str(tmp_path / "report.html"))
    assert [Path(said["html"]), Path(said["json"])] == [tmp_path / "report.html", tmp_path / "report.json"]
    assert all(Path(path).stat().st_size > 1000 for path in said.values())


def test_advise_loads_nothing_heavy() -> None:
    """A whole answer needs no torch, Triton, plotly or widgets, so that it stays quick."""
    script = (
        "import sys; from l4guide.cli import main; code = main(['advise', '--json']);"
        "heavy = {'torch', 'triton', 'plotly', 'pandas', 'ipywidgets', 'anywidget'} & set(sys.modules);"
        "sys.exit(code or (f'loaded {sorted(heavy)}' if heavy else 0))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (0, "") == (done.returncode, done.stderr)


def test_matrix(capsys: pytest.CaptureFixture[str]) -> None:
    """The options of the matrix reach it, and --format json is the same as --json."""
    options = ("matrix", "--library", "flash-attn", "--head-dims", "64,256", "--dropout", "0.1")
    said = answered(capsys, *options)
    assert [64, 256] == [column["head_dim"] for column in said["columns"]]
    assert ["ok", "unsafe"] == [cell["status"] for cell in said["rows"][0]["cells"]]
    code, out, _ = run(capsys, *options, "--format", "json")
    assert (0, said) == (code, json.loads(out))


@pytest.mark.parametrize(
    ("format_name", "expected"),
    [("table", "☠"), ("md", "| ☠ unsafe |"), ("csv", "L4,training,bf16,flash-attn,")],
)
def test_matrix_formats(capsys: pytest.CaptureFixture[str], format_name: str, expected: str) -> None:
    """Each format is itself, on stdout alone."""
    code, out, err = run(
        capsys, "matrix", "--library", "flash-attn", "--head-dims", "256", "--format", format_name
    )
    assert (0, "") == (code, err)
    assert expected in out


def test_matrix_timeline(capsys: pytest.CaptureFixture[str]) -> None:
    """Since when, as JSON and in lines; what a timeline has no use for is refused."""
    options = ("matrix", "--timeline", "--library", "flash-attn", "--head-dim", "256")
    assert "2.5.5" == answered(capsys, *options)["spans"][-1]["since"]
    assert "2024-02-22 – now" in run(capsys, *options)[1]
    for wrong in (("--version", "2.0.0"), ("--format", "csv")):
        assert (2, "") == run(capsys, *options, *wrong)[:2]


def test_estimate_of_a_whole_model(capsys: pytest.CaptureFixture[str]) -> None:
    """A model, its cards, price and targets are taken; the step is that of `cost`, without the other cards."""
    asked = ("--model", "Llama-3.1-8B", "--task", "decode", "--gpus", "2", "--price", "0.5", "--batch", "4")
    said, cost = (answered(capsys, command, *asked) for command in ("estimate", "cost"))
    assert ("model", 2, "own", 4) == (said["of"], said["gpus"], said["price"]["pricing"], said["batch"])
    assert (cost["step_ms"], cost["memory"]) == (said["step_ms"], said["memory"])
    assert "ranking" not in said


def test_records_of_runs_are_taken_and_said(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, recorded: Callable[..., Record]
) -> None:
    """`--measured` may be said twice; estimate, cost and advise tell what it did, `--no-measurements` undoes it."""
    files = [str(tmp_path / name) for name in ("a.json", "b.json")]
    for path, implementation in zip(files, ("flash-attn", "l4guide"), strict=True):
        write(recorded(implementation=implementation), Path(path))
    runs = tuple(word for path in files for word in ("--measured", path))
    asked = ("--task", "prefill", "--seqlen", "3000", "--heads", "32", "--kv-heads", "8")
    said = answered(capsys, "estimate", *asked, *runs)
    assert (6, 2) == (said["runs_on_this_card"], len(said["runs"]))
    for command in ("cost", "advise"):
        _, out, _ = run(capsys, command, "--model", "Llama-3.1-8B", "--task", "prefill", *runs)
        assert "calibrated with 6 measurements on this GPU (a.json)" in out
    for none in ("--no-measurements", "--as-fitted"):
        assert 0 == answered(capsys, "estimate", *asked, none)["runs_on_this_card"]
