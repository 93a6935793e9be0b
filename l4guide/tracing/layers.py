"""Layers made of a trace: what attends and what keeps, matched to each other."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from l4guide.model import FULL, LINEAR, NONE, WINDOW, FeedForward, Layers, Mixer
from l4guide.model.mixers import LAYERS
from l4guide.model.traced import Call, Kept, Trace
from l4guide.tracing.found import Found

#: Parts beside the text, whose layers take memory and no time here.
TOWERS = ("vision", "audio")


def layers_of(trace: Trace, found: Found, read: Sequence[Layers]) -> tuple[Layers, ...]:
    """Layers that attend and keep as a model was seen to; `read` are those that were read, to be like where they fit.

    Their products are those that were read, or what the configuration says of them; their weights are not right yet.
    """
    plain = next((group.feed_forward for group in read if group.feed_forward.experts), None)
    plain = plain or next((g.feed_forward for g in read if g.feed_forward.intermediate), None)
    wide = plain or found.product(trace)
    bare = FeedForward(gated=wide.gated)
    caches = _Caches(trace.kept or ())
    groups: list[Layers] = []
    for call in trace.calls:
        if call.component not in TOWERS:
            product = bare if call.cross else wide
            groups += [
                Layers(count=count, mixer=mixer, feed_forward=product)
                for count, mixer in _mixers(call, caches, read)
            ]
    for kept in caches.unseen():
        groups.append(Layers(count=kept.layers, mixer=_unseen(kept), feed_forward=wide))
    groups += _states(trace.kept or (), wide, bare)
    if not groups:
        groups.append(Layers(count=found.number(LAYERS) or 1, mixer=Mixer(kind=NONE), feed_forward=wide))
    return tuple(groups)


def as_called(layers: Sequence[Layers], trace: Trace) -> tuple[Layers, ...]:
    """Layers whose attention needs what its calls were seen to: sinks, a softcap, a bias, chunks, code of its own."""
    calls = [call for call in trace.calls if call.component not in TOWERS]
    return tuple(
        replace(group, mixer=_told(group.mixer, calls)) if group.mixer.attends else group for group in layers
    )


def _told(mixer: Mixer, calls: Sequence[Call]) -> Mixer:
    """A mixer with what the call of its heads, and where there are several of its window, needs."""
    near = [call for call in calls if _shape(call) == _shape(mixer) and call.cross == mixer.cross]
    same = [call for call in near if (call.window or call.chunk) == mixer.window] or near
    if not same:
        return mixer
    return replace(
        mixer,
        softcap=same[0].softcap,
        sinks=same[0].sinks,
        bias=same[0].bias,
        chunked=mixer.window is not None and same[0].chunk is not None,
        own_scores=same[0].through == "eager",
    )


class _Caches:
    """What layers keep that no call has been found for yet."""

    def __init__(self, kept: Sequence[Kept]) -> None:
        self.long = [one for one in kept if one.stride > 1]
        self.left = [one for one in kept if one.elements and one.stride == 1]
        self.source = next((one.source for one in kept if one.cross), None)

    def take(self, call: Call, most: int) -> Kept | None:
        """What `most` layers of a call keep at most, fitting best; None where nothing is left for them."""
        fitting = [one for one in self.left if one.cross == call.cross]
        if not fitting:
            return None
        best = max(fitting, key=lambda one: _likeness(one, call))
        taken = replace(best, layers=min(most, best.layers))
        self._remove(best, taken.layers)
        return taken

    def longer(self, most: int) -> Kept | None:
        """What compressed entries as many layers have beside their last tokens."""
        if not self.long:
            return None
        first = self.long[0]
        taken = replace(first, layers=min(most, first.layers))
        rest = first.layers - taken.layers
        self.long[:1] = [replace(first, layers=rest)] if rest else []
        return taken

    def unseen(self) -> list[Kept]:
        """What is kept by layers that were not seen to attend."""
        return self.left

    def _remove(self, one: Kept, layers: int) -> None:
        place = self.left.index(one)
        rest = one.layers - layers
        self.left[place : place + 1] = [replace(one, layers=rest)] if rest else []


def _likeness(kept: Kept, call: Call) -> tuple[bool, bool, bool]:
    """How well a cache fits a call: the same window, then as many elements as its heads make."""
    columns = call.kv_heads * (call.head_dim + call.head_dim_v)
    window = call.window or call.chunk
    return kept.window == window, kept.elements == columns, kept.elements == call.kv_heads * call.head_dim


def _mixers(call: Call, caches: _Caches, read: Sequence[Layers]) -> Iterator[tuple[int, Mixer]]:
    """Layers of a call by what they keep."""
    plain = _like(call, read)
    left = call.layers
    while left:
        keeps = call.component != "encoder" and caches.take(call, left)
        if not keeps:
            # What decodes and keeps nothing of its own reads what another layer keeps.
            source = caches.source if call.component == "encoder" else None
            yield left, replace(plain, cached=call.causal, borrows_kv=call.causal, source_tokens=source)
            return
        longer = caches.longer(keeps.layers) if keeps.window else None
        layers = longer.layers if longer else keeps.layers
        if longer and layers < keeps.layers:
            caches.left.append(replace(keeps, layers=keeps.layers - layers))
        yield layers, _keeping(plain, call, keeps, longer)
        left -= layers


def _like(call: Call, read: Sequence[Layers]) -> Mixer:
    """A call's heads, as a layer was read that has the same; it keeps nothing special yet."""
    window = call.window or call.chunk
    plain = Mixer(
        kind=FULL,
        heads=call.heads,
        kv_heads=call.kv_heads,
        head_dim=call.head_dim,
        head_dim_v=call.head_dim_v,
    )
    attending = (group.mixer for group in read if group.mixer.attends)
    mixer = next((mixer for mixer in attending if _shape(mixer) == _shape(plain)), plain)
    kind = mixer.kind if mixer.latent_rank else FULL if window is None else WINDOW
    return replace(
        mixer,
        kind=kind,
        window=None if kind == FULL else window,
        cross=call.cross,
        borrows_kv=False,
        source_tokens=None,
        stride=1,
        recent=0,
        index_columns=0,
    )


def _shape(mixer: Mixer | Call) -> tuple[int, ...]:
    return mixer.heads, mixer.kv_heads, mixer.head_dim, mixer.head_dim_v


def _keeping(mixer: Mixer, call: Call, kept: Kept, longer: Kept | None) -> Mixer:
    """A mixer that keeps what was seen, no more and no less."""
    window = kept.window or call.window or call.chunk
    found = replace(mixer, cached=True, source_tokens=kept.source)
    if longer is not None:
        found = replace(
            found,
            kind=FULL,
            window=None,
            stride=longer.stride,
            recent=kept.window or 0,
            index_columns=longer.elements - kept.elements,
        )
    elif window is not None and not mixer.latent_rank:
        found = replace(found, kind=WINDOW, window=window)
    return found if found.cached_columns() == kept.elements else replace(found, kept_columns=kept.elements)


def _unseen(kept: Kept) -> Mixer:
    """A layer that keeps tokens, of whose attention nothing was seen: one head as wide as half of what it keeps."""
    wide = max(1, kept.elements // 2)
    return Mixer(
        kind=FULL if kept.window is None else WINDOW,
        heads=1,
        kv_heads=1,
        head_dim=wide,
        head_dim_v=wide,
        window=kept.window,
        cross=kept.cross,
        source_tokens=kept.source,
        kept_columns=kept.elements,
    )


def _states(kept: Sequence[Kept], wide: FeedForward, bare: FeedForward) -> list[Layers]:
    """Layers with states; one that also attends is there by itself already, and has its product there."""
    return [
        Layers(
            count=one.layers,
            mixer=Mixer(
                kind=LINEAR,
                columns_in=1,
                columns_out=1,
                state_elements=one.state_elements,
                state_element_bytes=one.state_bytes / one.state_elements,
            ),
            feed_forward=bare if one.elements else wide,
        )
        for one in kept
        if one.state_elements
    ]
