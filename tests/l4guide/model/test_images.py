"""Tokens of images: as transformers' own processors count them, from their installed source, without an image."""

import ast
import json
import math
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from types import CodeType, SimpleNamespace
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from l4guide.catalogue import source
from l4guide.errors import BadInput
from l4guide.model import from_config
from l4guide.model.images import seen
from l4guide.model.media import IMAGE, SOUND, Row, Rule, rows
from l4guide.model.sounds import heard

SIDES = st.integers(30, 3000)
TEXT = {
    "model_type": "qwen2",
    "hidden_size": 1024,
    "intermediate_size": 2048,
    "num_hidden_layers": 4,
    "num_attention_heads": 8,
    "num_key_value_heads": 8,
    "head_dim": 128,
    "vocab_size": 1000,
    "num_experts_per_tok": 1,
}
VIT = {"hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16, "intermediate_size": 4096}


def rule(model_type: str, media: str = IMAGE, vision: Mapping[str, Any] = {}, **fields: Any) -> Rule:
    """The rule of a model of this type with a tower."""
    tower = "vision_config" if media == IMAGE else "audio_config"
    config = {"model_type": model_type, "text_config": TEXT, tower: {**VIT, **vision}, **fields}
    found = next(one.rule for one in from_config(config, "model").towers)
    assert found is not None
    return found


def tokens(found: Rule, width: int, height: int) -> int | None:
    """Tokens of an image."""
    become = seen(found, width, height)
    return None if become is None else become.tokens


def functions(module: str, names: tuple[str, ...], **around: Any) -> SimpleNamespace:
    """Functions and methods of an installed module of transformers, run without what it imports."""
    spec = find_spec("transformers")
    if spec is None or spec.origin is None:
        pytest.skip("transformers is not installed")
    found: dict[str, Any] = {"math": math, **around}
    for code in compiled(Path(spec.origin).parent / f"{module}.py", names):
        exec(code, found)
    assert set(names) <= found.keys()
    return SimpleNamespace(**found)


@cache
def compiled(path: Path, names: tuple[str, ...]) -> tuple[CodeType, ...]:
    """Functions of a file by name, without decorators and annotations."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef) and node.name in names:
            node.decorator_list = []
            node.returns = None
            for argument in (*node.args.args, *node.args.kwonlyargs):
                argument.annotation = None
            found.append(compile(ast.Module(body=[node], type_ignores=[]), str(path), "exec"))
    return tuple(found)


def test_every_rule_is_known_and_has_its_source() -> None:
    """A row names a rule that exists, and a source that exists."""
    from l4guide.model.images import RULES as OF_IMAGES
    from l4guide.model.sounds import RULES as OF_SOUNDS

    for row in rows().values():
        assert row.rule in {IMAGE: OF_IMAGES, SOUND: OF_SOUNDS}[row.media]
        assert all(source(key).key == key for key in row.sources)
        assert {*row.inferred, *row.unverified} <= set(Row.__dataclass_fields__)


@settings(deadline=None)
@given(width=SIDES, height=SIDES)
@example(width=1024, height=1024)
def test_qwen(width: int, height: int) -> None:
    """Qwen2-VL's and Qwen3-VL's grids are those of its image processor."""
    theirs = functions("models/qwen2_vl/image_processing_qwen2_vl", ("smart_resize",))
    for found in (rule("qwen2_5_vl"), rule("qwen3_vl", vision={"patch_size": 16, "spatial_merge_size": 2})):
        factor = found.patch * found.merge
        tall, wide = theirs.smart_resize(height, width, factor, found.least, found.most)
        assert tall // factor * (wide // factor) == tokens(found, width, height)


@settings(deadline=None)
@given(width=SIDES, height=SIDES)
def test_glm(width: int, height: int) -> None:
    """GLM-4V counts an image as two frames."""
    theirs = functions("models/glm4v/image_processing_glm4v", ("smart_resize",))
    found = rule("glm4v")
    tall, wide = theirs.smart_resize(2, height, width, 2, 28, found.least, found.most)
    assert tall // 28 * (wide // 28) == tokens(found, width, height)


@settings(deadline=None)
@given(width=SIDES, height=SIDES)
def test_gemma4(width: int, height: int) -> None:
    """Gemma 4 keeps the shape within 280 tokens."""
    theirs = functions("models/gemma4/image_processing_gemma4", ("get_aspect_ratio_preserving_size",))
    found = rule("gemma4", vision={"patch_size": 16, "pooling_kernel_size": 3, "default_output_length": 280})
    tall, wide = theirs.get_aspect_ratio_preserving_size(height, width, 16, 280 * 9, 3)
    assert tall // 16 * (wide // 16) // 9 == tokens(found, width, height)


@settings(deadline=None)
@given(width=SIDES, height=SIDES)
def test_pixtral(width: int, height: int) -> None:
    """Mistral 3 merges two by two patches of 14, up to 1,540 pixels."""
    theirs = functions(
        "models/pixtral/image_processing_pixtral",
        ("get_resize_output_image_size", "_num_image_tokens"),
        get_image_size=lambda image, _: image,
    )
    found = rule("mistral3", vision={"patch_size": 14, "image_size": 1540}, spatial_merge_size=2)
    tall, wide = theirs.get_resize_output_image_size((height, width), (1540, 1540), (28, 28))
    assert (wide // 28 + 1) * (tall // 28) == tokens(found, width, height)


@settings(deadline=None)
@given(width=SIDES, height=SIDES)
def test_internvl(width: int, height: int) -> None:
    """InternVL's tiles of 448, at most twelve, 256 tokens each."""
    theirs = functions(
        "models/got_ocr2/image_processing_got_ocr2",
        ("get_optimal_tiled_canvas", "get_all_supported_aspect_ratios"),
    )
    found = rule("internvl", vision={"image_size": [448, 448], "patch_size": [14, 14]}, downsample_ratio=0.5)
    across, down = theirs.get_optimal_tiled_canvas((height, width), (448, 448), 1, 12)
    tiles = across * down + (across * down > 1)
    assert 2 + 256 * tiles == tokens(found, width, height)


@settings(deadline=None)
@given(width=SIDES, height=SIDES)
def test_smolvlm(width: int, height: int) -> None:
    """Idefics3 and SmolVLM split into tiles with rows and columns."""
    names = (
        "get_number_of_image_patches",
        "_resize_output_size_rescale_to_max_len",
        "_resize_output_size_scale_below_upper_bound",
    )
    theirs = functions("models/idefics3/image_processing_idefics3", names, MAX_IMAGE_SIZE=4096)
    said = SimpleNamespace(
        do_image_splitting=True, max_image_size={"longest_edge": 512}, size={"longest_edge": 2048}
    )
    _, down, across = theirs.get_number_of_image_patches(said, height, width)
    found = rule("smolvlm", vision={"image_size": 512, "patch_size": 16}, scale_factor=4)
    expected = 64 + 3 + down * ((64 + 2) * across + 1)
    assert expected == tokens(found, width, height)


@settings(deadline=None)
@given(width=SIDES, height=SIDES)
def test_llava_next(width: int, height: int) -> None:
    """LLaVA-NeXT's tiles with their padding cut away."""
    names = ("_get_number_of_features", "_get_unpadded_features")
    fit = functions("image_processing_utils", ("select_best_resolution",))
    pinpoints = [[336, 672], [672, 336], [672, 672], [1008, 336], [336, 1008]]
    theirs = functions(
        "models/llava_next/processing_llava_next", names, select_best_resolution=fit.select_best_resolution
    )
    said = SimpleNamespace(
        patch_size=14,
        num_additional_image_tokens=1,
        image_processor=SimpleNamespace(image_grid_pinpoints=pinpoints),
    )
    said._get_unpadded_features = lambda *sizes: theirs._get_unpadded_features(said, *sizes)
    vision = {"image_size": 336, "patch_size": 14, "model_type": "clip_vision_model"}
    found = rule("llava_next", vision=vision, image_grid_pinpoints=pinpoints)
    assert theirs._get_number_of_features(said, height, width, 336, 336) - 1 == tokens(found, width, height)


@settings(deadline=None)
@given(width=SIDES, height=SIDES)
def test_minicpm(width: int, height: int) -> None:
    """MiniCPM-V's grid of slices, 64 tokens and two around each."""
    theirs = functions("models/minicpmv4_6/image_processing_minicpmv4_6", ("get_sliced_grid",))
    grid = theirs.get_sliced_grid(None, (height, width), 9, 448)
    found = rule("minicpmv", image_size=448)
    expected = 66 * (1 + (grid[0] * grid[1] if grid else 0)) + (grid[0] - 1 if grid else 0)
    assert expected == tokens(found, width, height)


@pytest.mark.parametrize(
    ("found", "size", "expected"),
    [
        (("gemma3", {"image_size": 896, "patch_size": 14}, {"mm_tokens_per_image": 256}), (900, 300), 256),
        (
            ("llava", {"image_size": 336, "patch_size": 14, "model_type": "clip_vision_model"}, {}),
            (640, 480),
            576,
        ),
        (("paligemma", {"image_size": 448, "patch_size": 14}, {}), (640, 480), 1024),
        (("llama4", {"image_size": 336, "patch_size": 14, "pixel_shuffle_ratio": 0.5}, {}), (336, 336), 147),
    ],
)
def test_known_counts(
    found: tuple[str, dict[str, Any], dict[str, Any]], size: tuple[int, int], expected: int
) -> None:
    """Tokens that the models' pages state."""
    name, vision, fields = found
    assert expected == tokens(rule(name, vision=vision, **fields), *size)


def test_a_processor_that_is_there_counts(tmp_path: Path) -> None:
    """What preprocessor_config.json says, pasted or beside, goes before what is assumed, which is named."""
    usual = rule("qwen2_vl")
    assert ("min_pixels", "max_pixels") == tuple(n for n in usual.assumed if "pixels" in n)
    pasted = rule("qwen2_vl", preprocessor_config={"min_pixels": 3136, "max_pixels": 1003520})
    assert (1003520, ()) == (pasted.most, tuple(n for n in pasted.assumed if "pixels" in n))
    newer = rule("qwen3_vl", preprocessor_config={"size": {"shortest_edge": 65536, "longest_edge": 1048576}})
    assert (65536, 1048576, ()) == (newer.least, newer.most, tuple(n for n in newer.assumed if "pixels" in n))
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"model_type": "qwen2_vl", "text_config": TEXT, "vision_config": VIT}))
    (tmp_path / "preprocessor_config.json").write_text(json.dumps({"max_pixels": 1003520}))
    from l4guide.advise.config import read_architecture

    found = read_architecture(path).towers[0].rule
    assert found is not None
    assert 1003520 == found.most


@settings(deadline=None)
@given(
    name=st.sampled_from(sorted({row.rule for row in rows().values()})),
    numbers=st.lists(st.integers(0, 2**31), min_size=7, max_size=7),
    width=st.integers(-1, 2**31),
    height=st.integers(-1, 2**31),
)
def test_nothing_malformed_raises(name: str, numbers: list[int], width: int, height: int) -> None:
    """A rule with any numbers gives tokens or none."""
    columns = ("patch", "merge", "least", "most", "side", "tiles", "tokens")
    given: dict[str, Any] = dict(zip(columns, numbers, strict=True))
    found = Rule(name=name, **given)
    become = seen(found, width, height)
    assert become is None or become.tokens >= 0


@settings(max_examples=150, deadline=None)
@given(
    name=st.sampled_from(sorted({row.model_type for row in rows().values()})),
    vision=st.dictionaries(
        st.sampled_from(
            [
                *(
                    "patch_size",
                    "image_size",
                    "spatial_merge_size",
                    "num_heads",
                    "depth",
                    "hidden_size",
                    "window_size",
                ),
                *(
                    "fullatt_block_indexes",
                    "pixel_shuffle_ratio",
                    "head_dim",
                    "pooling_kernel_size",
                    "tokens",
                ),
            ]
        ),
        st.none()
        | st.booleans()
        | st.integers(-2, 2**40)
        | st.floats()
        | st.text(max_size=4)
        | st.lists(st.integers(-1, 99), max_size=3),
    ),
    processor=st.none()
    | st.text(max_size=3)
    | st.dictionaries(
        st.sampled_from(
            ["size", "min_pixels", "max_pixels", "patch_size", "image_grid_pinpoints", "max_patches"]
        ),
        st.integers(-2, 2**40)
        | st.text(max_size=3)
        | st.lists(st.lists(st.integers(-2, 999)), max_size=3)
        | st.dictionaries(
            st.sampled_from(["height", "longest_edge", "shortest_edge"]), st.integers(-1, 2**40)
        ),
    ),
    width=st.integers(1, 5000),
)
def test_hostile_towers_end_in_tokens_or_a_line(
    name: str, vision: dict[str, Any], processor: Any, width: int
) -> None:
    """A tower or a processor of any numbers is read, or refused in one line."""
    config = {
        "model_type": name,
        "text_config": TEXT,
        "vision_config": vision,
        "preprocessor_config": processor,
    }
    with suppress(BadInput):
        for tower in from_config(config, "model").towers:
            become = None if tower.rule is None else seen(tower.rule, width, 333)
            assert become is None or become.tokens >= 0


def test_an_image_is_split_unless_the_processor_says_not() -> None:
    """Idefics2 sees five images of 64 tokens with marks around them, as its checkpoint's processor does by default."""
    vision = {"image_size": 980, "patch_size": 14}
    assert 5 * 65 + 1 == tokens(rule("idefics2", vision=vision), 640, 480)
    whole = {"do_image_splitting": False}
    assert 64 + 2 == tokens(rule("idefics2", vision=vision, preprocessor_config=whole), 640, 480)
    tiled = {"image_size": 512, "patch_size": 16}
    found = rule("smolvlm", vision=tiled, scale_factor=4, preprocessor_config=whole)
    assert 64 + 3 == tokens(found, 640, 480)


@pytest.mark.parametrize(
    ("name", "fields", "seconds", "expected"),
    [
        ("qwen2_audio", {}, 30, 750),
        ("qwen2_audio", {}, 10, 250),
        ("voxtral", {}, 30, 375),
        ("voxtral", {}, 31, 750),
        ("ultravox", {"stack_factor": 8}, 30, 188),
        ("ultravox", {"stack_factor": 8}, 5, 32),
        ("ultravox", {"stack_factor": 8}, 31, 195),
        ("gemma3n", {}, 3, 188),
        ("gemma4", {}, 3, 75),
        ("qwen3_omni_moe", {}, 10, 130),
        ("phi4_multimodal", {}, 8, 100),
    ],
)
def test_sounds(name: str, fields: dict[str, Any], seconds: float, expected: int) -> None:
    """Tokens of so many seconds of sound."""
    found = heard(rule(name, SOUND, **fields), seconds)
    assert found is not None
    assert expected == found.tokens
