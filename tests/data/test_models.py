"""What must hold for every model preset."""

import pytest

from l4guide.catalogue import CONFIG, Component, Model, model, models

STATUSES = {"config", "found", "family", "stand-in", "not-found"}
REQUIRED = {
    "AutoGLM-Phone-9B",
    "Kimi-K2-Thinking",
    "GLM-4.6V",
    "GLM-4.6V-FP8",
    "GLM-4.6V-Flash",
    "HunyuanOCR",
    "GLM-ASR-Nano-2512",
    "GLM-TTS",
    "Spark-Formalizer-X1-7B",
}
#: Latent attention caches 512 values and 64 rotary dimensions of a token in 16 bit, whatever the heads.
LATENT_BYTES = 2 * (512 + 64)

COMPONENTS = [(m, c) for m in models() if m.status != CONFIG for c in m.components]
EVERY = pytest.mark.parametrize(
    ("owner", "part"), COMPONENTS, ids=[f"{m.name} {c.name}" for m, c in COMPONENTS]
)


def test_the_required_models_are_there() -> None:
    """Every model that the guide promises has a preset."""
    assert REQUIRED <= {m.name for m in models()}


@EVERY
def test_shapes_are_plausible(owner: Model, part: Component) -> None:
    """Head sizes, layers and widths are those of transformers, and only an unpublished shape is empty."""
    assert owner.status in STATUSES
    shape = (part.layers, part.hidden, part.heads, part.kv_heads, part.head_dim, part.head_dim_v)
    if owner.status == "not-found":
        assert (None,) * 6 == shape
        return
    assert None not in shape
    assert 1 <= (part.layers or 0) <= 128
    assert 256 <= (part.hidden or 0) <= 16_384
    assert part.head_dim in {64, 72, 96, 128, 192, 256}
    assert part.head_dim_v in {64, 72, 96, 128, 256}
    assert part.max_context is None or 197 <= part.max_context <= 2**20


@EVERY
def test_kv_heads_divide_heads(owner: Model, part: Component) -> None:
    """Query heads share KV heads evenly, and the kind of attention says how."""
    if part.heads is None or part.kv_heads is None:
        assert "not-found" == owner.status
        return
    assert 0 == part.heads % part.kv_heads
    group = part.heads // part.kv_heads
    kind = part.kind.split()[0]
    assert kind == "MLA" or kind == ("MHA" if group == 1 else "MQA" if part.kv_heads == 1 else "GQA")


@EVERY
def test_kv_bytes_follow_from_the_shape(owner: Model, part: Component) -> None:
    """A token's 16-bit KV cache is what the shape says, and layers with a window keep less."""
    if part.kv_bytes_per_token is None:
        return
    layers, kv_heads = part.layers or 0, part.kv_heads or 0
    width = (
        LATENT_BYTES if part.kind == "MLA" else 2 * kv_heads * ((part.head_dim or 0) + (part.head_dim_v or 0))
    )
    assert layers * width == part.kv_bytes_per_token
    if part.kv_bytes_per_token_full_layers is not None:
        assert part.window
        assert part.kv_bytes_per_token_full_layers < part.kv_bytes_per_token


@EVERY
def test_computed_columns_are_marked(owner: Model, part: Component) -> None:
    """The KV bytes are our own arithmetic and say so; no name is marked that has no value."""
    assert (part.kv_bytes_per_token is not None) == ("kv_bytes_per_token" in part.inferred)
    for name in part.inferred:
        assert getattr(part, name) is not None
    for name in owner.inferred:
        assert getattr(owner, name) is not None


@EVERY
def test_active_parameters_are_a_part(owner: Model, part: Component) -> None:
    """A mixture of experts uses fewer parameters than it has."""
    if owner.parameters_billion and owner.active_parameters_billion:
        assert owner.active_parameters_billion < owner.parameters_billion
    assert part in owner.components


def test_hunyuan_ocr_has_two_head_sizes() -> None:
    """The awkward case: 128 for text, 72 for the vision tower."""
    assert [128, 72] == [part.head_dim for part in model("HunyuanOCR").components]
    assert [True, False] == [part.causal for part in model("HunyuanOCR").components]


def test_the_unpublished_model_borrows_nothing() -> None:
    """Spark-Formalizer-X1-7B has no shape; the later Spark model stands under its own name."""
    formalizer = model("Spark-Formalizer-X1-7B")
    assert "not-found" == formalizer.status
    assert formalizer.components[0].head_dim is None
    assert "stand-in" == model("Spark-X2.5-4B").status
