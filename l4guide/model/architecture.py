"""A model's shape: its layers, what each mixes tokens with and what each multiplies, and how many weights that is."""

from l4guide.frozen import frozen
from l4guide.model.media import Rule
from l4guide.model.stored import Stored, in_type
from l4guide.model.traced import Trace
from l4guide.text import Sentence

FULL, WINDOW, LATENT, LINEAR, NONE = "full", "window", "latent", "linear", "none"
#: A recurrent state is kept in fp32.
STATE_ELEMENT_BYTES = 4


@frozen
class Mixer:
    """How a layer mixes tokens.

    `kind` is full (every key), window (the last `window` keys), latent (MLA: a compressed cache of `latent_rank`
    columns beside `rope_dim` rotary ones), linear (a state of constant size: `state_elements` a sequence) or none.
    A linear layer says its projections' columns in `columns_in` and `columns_out`, and in `inner_weights` what it has
    beside them. An encoder's layer attends and keeps nothing: it is not `cached`. One that `borrows_kv` reads the keys
    and values of another layer: it neither projects nor keeps any. A `cross` one reads an encoder's tokens.
    """

    kind: str
    heads: int = 0
    kv_heads: int = 0
    head_dim: int = 0
    head_dim_v: int = 0
    window: int | None = None
    latent_rank: int = 0
    rope_dim: int = 0
    query_rank: int = 0
    state_elements: int = 0
    columns_in: int = 0
    columns_out: int = 0
    #: Values are the keys themselves, so that only keys are projected and cached.
    shared_kv: bool = False
    inner_weights: int = 0
    cached: bool = True
    borrows_kv: bool = False
    cross: bool = False
    #: Tokens of the encoder where it always has so many, as of half a minute of sound.
    source_tokens: int | None = None
    #: Columns of the keys by which sparse attention chooses what it reads, beside the cache.
    index_columns: int = 0
    #: Keys that the index chooses for each query, 0 where all are read; and the index's heads, with their width.
    selected: int = 0
    index_heads: int = 0
    index_dim: int = 0
    #: One key is kept for every so many tokens, beside those of the `recent` last ones.
    stride: int = 1
    recent: int = 0
    #: Elements that a token leaves in the cache, where they were counted and do not follow from the heads.
    kept_columns: int | None = None
    state_element_bytes: float = STATE_ELEMENT_BYTES
    #: What an implementation must do beyond products and a softmax: cap the scores, let a learnt score a head join
    #: them without a key, add a term of its own for each head; `chunked` keys are those of one stretch of `window`.
    softcap: float | None = None
    sinks: bool = False
    bias: bool = False
    chunked: bool = False
    #: The model's own code computes the scores, which no other implementation stands in for.
    own_scores: bool = False

    @property
    def attends(self) -> bool:
        """Whether it is softmax attention, which the estimator times."""
        return self.kind in (FULL, WINDOW, LATENT)

    @property
    def reach(self) -> int | None:
        """Keys before a query that it reads, where its layer has a window."""
        return self.window if self.kind in (WINDOW, LATENT) else None

    @property
    def is_sparse(self) -> bool:
        """Whether a query reads fewer keys than there are tokens before it, not for a window alone."""
        return self.stride > 1 or self.selected > 0

    def weights(self, hidden: int) -> int:
        """Weights of its projections."""
        if self.kind == LINEAR:
            return hidden * (self.columns_in + self.columns_out) + self.inner_weights
        if not self.attends:
            return self.inner_weights
        wide_q, wide_o = self.heads * self.head_dim, self.heads * self.head_dim_v
        query = hidden * self.query_rank + self.query_rank * wide_q if self.query_rank else hidden * wide_q
        if self.kind == LATENT:
            nope = self.head_dim - self.rope_dim
            down = hidden * (self.latent_rank + self.rope_dim)
            up = self.latent_rank * self.heads * (nope + self.head_dim_v)
            return query + down + up + wide_o * hidden + self.inner_weights
        if self.borrows_kv:
            return query + wide_o * hidden + self.inner_weights
        return query + self.source_weights(hidden) + wide_o * hidden + self.inner_weights

    def source_weights(self, hidden: int) -> int:
        """Weights that make keys and values of the tokens that are read."""
        values = 0 if self.shared_kv else self.head_dim_v
        return hidden * self.kv_heads * (self.head_dim + values)

    @property
    def state_bytes(self) -> int:
        """Bytes of the state of one sequence, which does not grow with it."""
        return round(self.state_elements * self.state_element_bytes)

    def cached_columns(self) -> int:
        """Elements that one token leaves in the cache of one layer; 0 where the state has constant size."""
        if not self.attends or not self.cached or self.borrows_kv:
            return 0
        if self.kept_columns is not None:
            return self.kept_columns
        if self.kind == LATENT:
            return self.latent_rank + self.rope_dim + self.index_columns
        return self.kv_heads * (self.head_dim + (0 if self.shared_kv else self.head_dim_v))


@frozen
class FeedForward:
    """What a layer multiplies after mixing: a dense product, or `active` of `experts` beside shared ones.

    Sizes are columns; `gated` has three matrices in place of two. Every layer with experts may have a dense part.
    """

    intermediate: int = 0
    gated: bool = True
    experts: int = 0
    active: int = 0
    expert_intermediate: int = 0
    #: Hidden size inside the experts, where they work in a space of their own.
    expert_hidden: int | None = None

    @property
    def matrices(self) -> int:
        """Matrices of one product."""
        return 3 if self.gated else 2

    def router_weights(self, hidden: int) -> int:
        """Weights that choose the experts."""
        return hidden * self.experts

    def dense_weights(self, hidden: int) -> int:
        """Weights that every token passes, the router's included."""
        inside = 2 * hidden * self.expert_hidden if self.expert_hidden and self.experts else 0
        return self.matrices * hidden * self.intermediate + self.router_weights(hidden) + inside

    def expert_weights(self, hidden: int) -> int:
        """Weights of one expert."""
        return self.matrices * (self.expert_hidden or hidden) * self.expert_intermediate

    def weights(self, hidden: int) -> int:
        """All weights."""
        return self.dense_weights(hidden) + self.experts * self.expert_weights(hidden)

    def active_weights(self, hidden: int) -> int:
        """Weights that one token is multiplied with."""
        return self.dense_weights(hidden) + self.active * self.expert_weights(hidden)


@frozen
class Layers:
    """So many layers that are alike; `stored` of them have weights of their own where others use them again."""

    count: int
    mixer: Mixer
    feed_forward: FeedForward
    stored: int | None = None

    @property
    def own(self) -> int:
        """Layers that have weights of their own."""
        return self.count if self.stored is None else self.stored


@frozen
class Tower:
    """A vision or audio tower: what passes it sees all of its sequence, and nothing is kept.

    `media` is image or sound; `rule` says what one becomes, None where that is not known for the type. `weights` are
    all of the tower, its first and last products included, which the layers are not.
    """

    media: str
    hidden: int
    layers: tuple[Layers, ...]
    weights: int
    rule: Rule | None = None


@frozen
class Architecture:
    """All that memory and time need to know of a model.

    `usual_context` is what it reads of every image, where images are all it reads.
    `vocabulary` is 0 where embeddings are not counted. `assumed` names what the description does not say and how
    it was filled; `remarks` are keys of sentences on what is not counted as it runs; `unread` are fields of numbers
    that nothing asked for. `tower_weights` are those of vision or audio towers; `towers` those whose layers are known.
    `model_type` is what a config.json says of itself, "-" where it says none; None where none was read. `stored` is
    how its checkpoint keeps the weights; None where there is no checkpoint.
    Embeddings are `embedding_width` wide where that is not the hidden size; `table_weights` are those of positions,
    types and layers, which are looked up. `trace` is what transformers was seen to build and run, now or when it was
    recorded, or would by the recorded expressions of its type: its counts then go before those of the layers.
    `untraced` is why it was not traced where that was tried.
    """

    name: str
    hidden: int
    vocabulary: int
    tied_embeddings: bool
    layers: tuple[Layers, ...]
    max_context: int | None
    usual_context: int | None = None
    stored: Stored | None = None
    model_type: str | None = None
    causal: bool = True
    tower_weights: int = 0
    towers: tuple[Tower, ...] = ()
    embedding_width: int | None = None
    table_weights: int = 0
    assumed: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()
    trace: Trace | None = None
    untraced: Sentence | None = None

    @property
    def is_traced(self) -> bool:
        """Whether it was counted in transformers' own modules, rather than read."""
        return self.trace is not None and self.trace.was_run

    @property
    def weight_dtype(self) -> str | None:
        """The type that its checkpoint keeps most weights in; None where it is not known."""
        return None if self.stored is None else self.stored.dtype

    def kept_in(self, weights: str) -> Stored:
        """How its weights are kept in a type: as its checkpoint does where that is its type, else all layers alike."""
        if self.stored is None:
            return in_type(weights)
        own = self.stored.dtype or "bf16"
        if weights == own or {weights, own} <= {"bf16", "fp16"}:
            return self.stored
        return in_type(weights, further=self.stored.further)

    @property
    def has_encoder(self) -> bool:
        """Whether it has a decoder that reads an encoder of its own."""
        return any(group.mixer.cross for group in self.layers)

    @property
    def kind(self) -> str:
        """What it is: a decoder, an encoder (nothing but reads), or an encoder-decoder."""
        return "encoder-decoder" if self.has_encoder else "decoder" if self.causal else "encoder"

    @property
    def modules(self) -> dict[str, int]:
        """Weights by kind of module, as a trace names them; without one, norms and biases are left out."""
        if self.trace is not None:
            return dict(self.trace.modules)
        hidden, tied = self.hidden, self.tied_embeddings
        head = 0 if tied else self.vocabulary * (self.embedding_width or hidden)
        found = {"embedding": self.embedding_weights - head, "head": head, "tower": self.tower_weights}
        found |= dict.fromkeys(("attention", "state", "mlp", "experts", "router"), 0)
        for group in self.layers:
            wide, count = group.feed_forward, group.own
            router = wide.router_weights(hidden)
            found["state" if group.mixer.kind == LINEAR else "attention"] += count * group.mixer.weights(
                hidden
            )
            found["mlp"] += count * (wide.dense_weights(hidden) - router)
            found["experts"] += count * wide.experts * wide.expert_weights(hidden)
            found["router"] += count * router
        return {kind: number for kind, number in found.items() if number}

    @property
    def layer_count(self) -> int:
        """Layers in all."""
        return sum(group.count for group in self.layers)

    @property
    def head_dims(self) -> tuple[int, ...]:
        """Widths of a head of queries and keys, as they occur."""
        return tuple(dict.fromkeys(g.mixer.head_dim for g in self.layers if g.mixer.attends))

    @property
    def embedding_weights(self) -> int:
        """Weights of the embeddings, and of the output product where it is another matrix."""
        wide = self.embedding_width or self.hidden
        return self.vocabulary * wide * (1 if self.tied_embeddings else 2) + self.table_weights

    @property
    def layer_weights(self) -> int:
        """Weights of all layers; norms and biases, well under a thousandth, are left out."""
        return sum(
            g.own * (g.mixer.weights(self.hidden) + g.feed_forward.weights(self.hidden)) for g in self.layers
        )

    @property
    def parameters(self) -> int:
        """All weights, towers included."""
        if self.trace is not None:
            return self.trace.parameters
        return self.layer_weights + self.embedding_weights + self.tower_weights

    @property
    def active_parameters(self) -> int:
        """Weights that one token is multiplied with, the output product included."""
        if self.trace is not None and self.trace.active_parameters is not None:
            return self.trace.active_parameters
        inside = sum(
            g.count * (g.mixer.weights(self.hidden) + g.feed_forward.active_weights(self.hidden))
            for g in self.layers
        )
        return inside + self.vocabulary * self.hidden
