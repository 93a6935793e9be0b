"""Cards and models are found by any reasonable name; a broken table is named, not half read."""

import csv
import subprocess
import sys
from pathlib import Path

import pytest

from l4guide import catalogue
from l4guide.catalogue import folder
from l4guide.errors import BadData, BadInput
from l4guide.text import LANGUAGES

DEVICE_NAMES = {
    "NVIDIA L4": "L4",
    "NVIDIA L40S": "L40S",
    "NVIDIA A10G": "A10G",
    "Tesla T4": "T4",
    "Tesla V100-SXM2-16GB": "V100-SXM2-16GB",
    "NVIDIA A100-SXM4-80GB": "A100-80GB-SXM",
    "NVIDIA A100-SXM4-40GB": "A100-40GB-SXM",
    "NVIDIA A100-PCIE-40GB": "A100-40GB-PCIe",
    "NVIDIA A100 80GB PCIe": "A100-80GB-PCIe",
    "NVIDIA GeForce RTX 4090": "RTX 4090",
    "NVIDIA RTX 6000 Ada Generation": "RTX 6000 Ada",
    "NVIDIA RTX PRO 6000 Blackwell Server Edition": "RTX PRO 6000 Blackwell Server",
    "NVIDIA H100 80GB HBM3": "H100 SXM",
    "NVIDIA H100 PCIe": "H100 PCIe",
    "NVIDIA H100 NVL": "H100 NVL",
    "NVIDIA H200": "H200 SXM",
    "NVIDIA B200": "B200 SXM",
    "AMD Instinct MI300X": "MI300X",
}

AMBIGUOUS = {
    "A100-80GB": "A100-80GB-SXM",
    "a100 80": "A100-80GB-SXM",
    "A100": "A100-80GB-SXM",
    "H100": "H100 SXM",
    "V100": "V100-SXM2-16GB",
    "RTX PRO 6000": "RTX PRO 6000 Blackwell Server",
}


@pytest.mark.parametrize(("name", "expected"), DEVICE_NAMES.items())
def test_device_names_are_known(name: str, expected: str) -> None:
    """What NVML and torch call a card is one of its names."""
    assert expected == catalogue.gpu(name).name


@pytest.mark.parametrize("name", ["l4", "L4", " nvidia  l4 ", "NVIDIA-L4", "nvidia_L4", "Ｌ４"])
def test_names_are_forgiving(name: str) -> None:
    """Case, spaces, hyphens, width and vendor words do not matter, and an exact name carries no remark."""
    gpu, remark = catalogue.find_gpu(name)
    assert "L4" == gpu.name
    assert remark is None


@pytest.mark.parametrize(("name", "expected"), AMBIGUOUS.items())
def test_ambiguous_names_say_what_was_taken(name: str, expected: str) -> None:
    """A name without the card's form takes the SXM (else Server) card and says so in every language."""
    gpu, remark = catalogue.find_gpu(name)
    assert expected == gpu.name
    assert remark is not None
    for language in LANGUAGES:
        assert name in remark.say(language)
        assert expected in remark.say(language)


@pytest.mark.parametrize(
    "name", ["L5", "", "   ", "H100 SXN", "nvidia", "x" * 100_000, "L4; rm -rf /", "{name}"]
)
def test_unknown_gpu_names_the_nearest_and_the_list(name: str) -> None:
    """An unknown card is bad input: one line with the nearest names and where all of them are."""
    with pytest.raises(BadInput) as caught:
        catalogue.gpu(name)
    for language in LANGUAGES:
        message = caught.value.say(language)
        assert "\n" not in message
        assert "gpus.csv" in message
        assert len(message) < 500
    assert any(gpu.name in str(caught.value) for gpu in catalogue.gpus())


def test_nearest_gpu_names_are_near() -> None:
    """A mistyped L4 is answered with the L4."""
    with pytest.raises(BadInput, match="nearest: L4, "):
        catalogue.gpu("L4X")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("llama-3.1-8b", "Llama-3.1-8B"),
        ("meta-llama/Llama-3.1-8B-Instruct", "Llama-3.1-8B"),
        ("hunyuan ocr", "HunyuanOCR"),
        ("zai-org/GLM-4.6V-FP8", "GLM-4.6V-FP8"),
        ("gpt2", "GPT-2 (124M)"),
    ],
)
def test_model_names_are_forgiving(name: str, expected: str) -> None:
    """A model is found by its name in any writing, and by the name of its repository."""
    assert expected == catalogue.model(name).name


def test_unknown_model_names_the_nearest() -> None:
    """An unknown model is bad input that names near ones."""
    with pytest.raises(BadInput, match=r"Llama-3\.1-8B.*models\.csv"):
        catalogue.model("llama-3.1-9b")


def test_a_gpu_name_is_not_a_model() -> None:
    """Cards and models do not answer for each other, although they share one table of aliases."""
    with pytest.raises(BadInput):
        catalogue.model("L4")
    with pytest.raises(BadInput):
        catalogue.gpu("gpt2")


@pytest.mark.parametrize(
    ("name", "card", "gib"),
    [
        ("2080 Ti 22GB", "RTX 2080 Ti (22 GiB)", 22),
        ("NVIDIA GeForce RTX 4090 48 GB", "RTX 4090 (48 GiB)", 48),
        ("4090 D 96GiB", "RTX 4090 D (96 GiB)", 96),
        ("RTX 4090 (48 GiB)", "RTX 4090 (48 GiB)", 48),
        ("L4 24GB", "L4", 24),
    ],
)
def test_a_name_may_give_a_card_another_memory(name: str, card: str, gib: float) -> None:
    """A listed card with another memory is that card changed, under a name that says so, and is found again by it."""
    found, _ = catalogue.find_gpu(name)
    assert (card, gib) == (found.name, found.memory_gb)
    assert found == catalogue.gpu(found.name)
    listed = found.base or found.name
    assert catalogue.gpu(listed).bandwidth_gb_per_s == found.bandwidth_gb_per_s
    assert (found.name != listed) == bool(found.own)


@pytest.mark.parametrize("name", ["Nothing 22GB", "4090 0GB", "GB", "22GB", "4090 99999GB"])
def test_a_memory_makes_no_card(name: str) -> None:
    """Without a listed card in front of it, or without a size, a memory is no name."""
    with pytest.raises(BadInput):
        catalogue.find_gpu(name)


@pytest.mark.parametrize(
    ("name", "card", "count"),
    [
        ("g6.xlarge", "L4", 1),
        ("g6.12xlarge", "L4", 4),
        ("g2-standard-24", "L4", 2),
        ("NC24ads_A100_v4", "A100-80GB-PCIe", 1),
        ("standard_nc40ads_h100_v5", "H100 NVL", 1),
        ("BM.GPU.H100.8", "H100 SXM", 8),
        ("p5en.48xlarge", "H200 SXM", 8),
    ],
)
def test_an_instance_stands_for_its_cards(name: str, card: str, count: int) -> None:
    """A provider's machine is its card, with a remark that says how many."""
    machine = catalogue.find_instance(name)
    found, remark = catalogue.find_gpu(name)
    assert machine is not None
    assert (card, count) == (found.name, machine.count)
    assert remark is not None
    assert f"{count} × {card}" in remark.say("en")


def test_a_part_of_a_card_has_its_part_of_the_memory() -> None:
    """A quarter of an L4 has a quarter of what programs find on one, and its time is said to be shared."""
    found, remark = catalogue.find_gpu("g6f.2xlarge")
    assert ("L4 (1/4)", 6, 5722, "L4") == (found.name, found.memory_gb, found.usable_memory_mib, found.base)
    assert remark is not None
    assert "share" in remark.say("en")


@pytest.mark.parametrize(
    ("name", "expected", "words"),
    [
        ("unsloth/gemma-4-E4B-it-GGUF", "Gemma-4-E4B", ("gguf",)),
        ("Qwen/Qwen3.6-35B-A3B-FP8", "Qwen3.6-35B-A3B", ("fp8",)),
        ("Qwen2.5-7B-Instruct-AWQ", "Qwen2.5-7B", ("instruct", "awq")),
        ("mlx-community/Qwen3.5-9B-4bit", "Qwen3.5-9B", ("4bit",)),
        ("zai-org/GLM-4.6V-FP8", "GLM-4.6V-FP8", ()),
    ],
)
def test_a_variant_is_its_model(name: str, expected: str, words: tuple[str, ...]) -> None:
    """A checkpoint that others trained or stored differently is the model it was made from, and says what was cut."""
    found, cut = catalogue.find_model(name)
    assert (expected, words) == (found.name, cut)


@pytest.mark.parametrize(
    "name", ["Qwen3-8B-Instruct-2507", "Llama-3.1-8B-Vision", "it", "GGUF", "-", "a/b/c"]
)
def test_what_changes_the_layers_is_no_variant(name: str) -> None:
    """Words that are not known to leave the layers alone are not cut."""
    with pytest.raises(BadInput):
        catalogue.find_model(name)


def test_sources_are_found_by_key() -> None:
    """A source key leads to its page, and an unknown key is a programming mistake."""
    assert catalogue.source("litgpt").url.startswith("https://")
    with pytest.raises(KeyError):
        catalogue.source("nobody-said-so")


def test_arch_is_the_capability_as_a_number() -> None:
    """The L4 is 89, an RTX 5090 is 120, and a card without CUDA has none."""
    assert 89 == catalogue.gpu("L4").arch
    assert 120 == catalogue.gpu("RTX 5090").arch
    assert catalogue.gpu("MI300X").arch is None


def test_data_inside_the_package_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An installed package reads the data it ships, a checkout the folder beside the package."""
    package = tmp_path / "l4guide"
    package.mkdir()
    monkeypatch.setattr(folder, "__file__", str(package / "catalogue" / "folder.py"))
    find = folder.data_folder.__wrapped__
    assert tmp_path / "data" == find()
    (package / "data").mkdir()
    assert package / "data" == find()


def test_reading_loads_nothing_heavy() -> None:
    """A fresh process that looks a card up loads the standard library and l4guide alone."""
    code = (
        "import sys; from l4guide import catalogue; catalogue.gpu('L4'); catalogue.all_prices();"
        "heavy = {'numpy', 'torch', 'triton', 'pandas', 'plotly', 'pydantic', 'difflib'} & set(sys.modules);"
        "sys.exit(', '.join(heavy) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ("", 0) == (done.stderr, done.returncode)


def write_table(path: Path, name: str, change: dict[str, str], line: int = 2) -> Path:
    """A copy of a table of `data/` with cells of one line changed."""
    with (catalogue.data_folder() / name).open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    rows[line - 2].update(change)
    copy = path / name
    with copy.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return copy


SOURCES = {source.key for source in catalogue.sources()}
GPUS = {gpu.name for gpu in catalogue.gpus()}
NAMES = GPUS | {model.name for model in catalogue.models()}


@pytest.mark.parametrize(
    ("column", "value", "expected"),
    [
        ("sm_count", "fifty-eight", "a whole number above 0"),
        ("sm_count", "58.5", "a whole number above 0"),
        ("sm_count", "-58", "a whole number above 0"),
        ("sm_count", "0", "a whole number above 0"),
        ("sm_count", "", "a whole number above 0"),
        ("tensor_16bit_tflops", "nan", "a finite number above 0"),
        ("memory_gb", "inf", "a finite number above 0"),
        ("bandwidth_gb_per_s", "-300", "a finite number above 0"),
        ("bf16_tensor_cores", "maybe", "yes or no"),
        ("vendor", "NVDIA", "in NVIDIA, AMD"),
        ("sources", "a-blog", "which has no 'a-blog'"),
        ("sources", "", "in sources.csv"),
        ("inferred", "sm_cont", "which has no 'sm_cont'"),
        ("unverified", "speed", "which has no 'speed'"),
        ("name", "", "a non-empty text"),
        ("name", "T4", "line 2 has it too"),
    ],
)
def test_a_broken_gpu_cell_is_named(tmp_path: Path, column: str, value: str, expected: str) -> None:
    """A broken cell stops the reader with file, line, column, the value and what it should be."""
    copy = write_table(tmp_path, "gpus.csv", {column: value}, line=4)
    with pytest.raises(BadData) as caught:
        catalogue.read_gpus(copy, SOURCES)
    message = str(caught.value)
    assert f"gpus.csv line 4, column {column}: {value!r} should be" in message
    assert expected in message
    assert "\n" not in message
    assert "4" in caught.value.say("zh")


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("usd_per_hour", "free"),
        ("usd_per_hour", "-0.5"),
        ("as_of", "2026-10-01..03"),
        ("as_of", "commit date unknown"),
        ("gpu", "L4 (form unstated)"),
        ("pricing", "reserved"),
        ("source", "FEED"),
    ],
)
def test_a_broken_price_cell_is_named(tmp_path: Path, column: str, value: str) -> None:
    """A price without number, date, known card, pricing or source is refused."""
    copy = write_table(tmp_path, "prices.csv", {column: value})
    with pytest.raises(BadData, match=rf"prices\.csv line 2, column {column}"):
        catalogue.read_prices(copy, GPUS, SOURCES)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("heads", "5/10/20"),
        ("causal", "partly"),
        ("head_dim", "-64"),
        ("sources", "LITGPT"),
        ("inferred", "size"),
        ("status", "guessed"),
    ],
)
def test_a_broken_model_cell_is_named(tmp_path: Path, column: str, value: str) -> None:
    """A model's shape is whole numbers or empty, and its sources are known."""
    copy = write_table(tmp_path, "models.csv", {column: value})
    with pytest.raises(BadData, match=rf"models\.csv line 2, column {column}"):
        catalogue.read_models(copy, SOURCES)


def test_an_alias_of_nothing_is_named(tmp_path: Path) -> None:
    """An alias leads to a card or model that exists."""
    copy = write_table(tmp_path, "aliases.csv", {"name": "L4000"})
    with pytest.raises(BadData, match=r"aliases\.csv line 2, column name"):
        catalogue.read_aliases(copy, NAMES)


def test_a_broken_source_is_named(tmp_path: Path) -> None:
    """A source has a date."""
    copy = write_table(tmp_path, "sources.csv", {"as_of": "lately"})
    with pytest.raises(BadData, match=r"sources\.csv line 2, column as_of"):
        catalogue.read_sources(copy)


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    """A table without one of its columns is refused as a whole."""
    path = tmp_path / "sources.csv"
    path.write_text("key,title,publisher,url\nhere,A page,Someone,https://example.org\n", encoding="utf-8")
    with pytest.raises(BadData, match=r"sources\.csv has no column as_of"):
        catalogue.read_sources(path)


@pytest.mark.parametrize(
    "row", ["here,A page,Someone,https://example.org", "here,A,page,Someone,https://e.org,2026-01-01"]
)
def test_a_row_of_the_wrong_width_is_named(tmp_path: Path, row: str) -> None:
    """A row that lost or gained a comma is refused by its line."""
    path = tmp_path / "sources.csv"
    path.write_text(f"key,title,publisher,url,as_of\n{row}\n", encoding="utf-8")
    with pytest.raises(BadData, match=r"sources\.csv line 2 has \d cells for 5 columns"):
        catalogue.read_sources(path)


@pytest.mark.parametrize("content", [None, b"\xff\xfe\x00", b'key,title,publisher,url,as_of\n"open'])
def test_an_unreadable_table_is_named(tmp_path: Path, content: bytes | None) -> None:
    """A file that is missing, not UTF-8 or not CSV is one line that names it."""
    path = tmp_path / "sources.csv"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(BadData, match=r"sources\.csv cannot be read") as caught:
        catalogue.read_sources(path)
    assert "\n" not in str(caught.value)
