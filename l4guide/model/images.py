"""How many tokens an image becomes, and what passes its tower: the rules of the processors, without an image.

Each follows transformers' processor of its type (`get_number_of_image_patches` and what it calls).
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import replace

from l4guide.frozen import frozen
from l4guide.model.media import Rule

#: Processors refuse images that are longer than so many times their width.
MOST_ASPECT = 200
#: Tiles of an image that are tried; no processor makes as many.
MOST_TILES = 64
#: Idefics3 takes no image that is larger.
LARGEST_SPLIT = 4096


@frozen
class Seen:
    """An image: `tokens` in the prompt; in the tower `tiles` sequences of `positions` each."""

    tokens: int
    tiles: int
    positions: int


def seen(rule: Rule, width: int, height: int) -> Seen | None:
    """What an image of so many pixels becomes; None where the rule lacks a number or takes no such image."""
    if not (width > 0 < height) or max(width, height) / min(width, height) > MOST_ASPECT:
        return None
    found = RULES.get(rule.name)
    try:
        return (
            None if found is None else found(replace(rule, tiles=min(rule.tiles, MOST_TILES)), width, height)
        )
    except (ZeroDivisionError, ValueError, OverflowError):
        return None


def _positions(rule: Rule) -> int:
    """Patches of a tower that sees images of one size."""
    return (rule.side // rule.patch) ** 2 if rule.patch else 0


def _fixed(rule: Rule, width: int, height: int) -> Seen | None:
    return (
        Seen(tokens=rule.tokens + rule.beside, tiles=1, positions=_positions(rule)) if rule.tokens else None
    )


def _copies(rule: Rule, width: int, height: int) -> Seen:
    """Idefics2: four quarters and the whole, so many tokens each with a mark around it."""
    return Seen(
        tokens=rule.tiles * (rule.tokens + 1) + 1, tiles=max(1, rule.tiles), positions=_positions(rule)
    )


def _patches(rule: Rule, width: int, height: int) -> Seen:
    """Every patch is a token."""
    found = _positions(rule)
    return Seen(tokens=found + rule.has_class, tiles=1, positions=found + 1)


def _resized(rule: Rule, width: int, height: int, frames: int = 1) -> tuple[int, int]:
    """Patches down and across after Qwen2-VL's resizing, which keeps the area within limits."""
    factor = rule.patch * rule.merge
    if frames > 1 and (height < factor or width < factor):
        scale = max(factor / height, factor / width)
        height, width = int(height * scale), int(width * scale)
    tall, wide = round(height / factor) * factor, round(width / factor) * factor
    if frames * tall * wide > rule.most:
        by = math.sqrt(frames * height * width / rule.most)
        tall = max(factor, math.floor(height / by / factor) * factor)
        wide = max(factor, math.floor(width / by / factor) * factor)
    elif frames * tall * wide < rule.least:
        by = math.sqrt(rule.least / (frames * height * width))
        tall = math.ceil(height * by / factor) * factor
        wide = math.ceil(width * by / factor) * factor
    return tall // rule.patch, wide // rule.patch


def _grid(rule: Rule, width: int, height: int) -> Seen:
    down, across = _resized(rule, width, height)
    return Seen(tokens=down * across // rule.merge**2, tiles=1, positions=down * across)


def _frames(rule: Rule, width: int, height: int) -> Seen:
    """GLM-4V: an image counts as two frames of a video against the limits."""
    down, across = _resized(rule, width, height, frames=2)
    return Seen(tokens=down * across // rule.merge**2, tiles=1, positions=down * across)


def _lines(rule: Rule, width: int, height: int) -> Seen:
    """HunyuanOCR: a token ends each line of tokens."""
    down, across = _resized(rule, width, height)
    tokens = down // rule.merge * (across // rule.merge + 1) + rule.beside
    return Seen(tokens=tokens, tiles=1, positions=down * across)


def _budget(rule: Rule, width: int, height: int) -> Seen:
    """Gemma 4: as large as so many tokens allow, the shape kept."""
    most = rule.tokens * rule.merge**2
    step = rule.merge * rule.patch
    by = math.sqrt(most * rule.patch**2 / (height * width))
    tall, wide = math.floor(by * height / step) * step, math.floor(by * width / step) * step
    longest = most // rule.merge**2 * step
    if not tall and not wide:
        raise ValueError
    if not tall:
        tall, wide = step, min(math.floor(width / height) * step, longest)
    elif not wide:
        tall, wide = min(math.floor(height / width) * step, longest), step
    found = tall // rule.patch * (wide // rule.patch)
    return Seen(tokens=found // rule.merge**2, tiles=1, positions=found)


def _rows(rule: Rule, width: int, height: int) -> Seen:
    """Pixtral: patches as they are, up to a longest side; a token ends each row."""
    by = max(height / rule.side, width / rule.side, 1.0)
    if by > 1:
        height, width = math.floor(height / by), math.floor(width / by)
    step = rule.patch * rule.merge
    down, across = (height - 1) // step + 1, (width - 1) // step + 1
    return Seen(tokens=(across + 1) * down, tiles=1, positions=down * across * rule.merge**2)


def closest(width: int, height: int, side: int, most: int) -> tuple[int, int]:
    """Tiles across and down, at most so many, whose shape is closest to an image's."""
    shapes = [(i, j) for i in range(1, most + 1) for j in range(1, most + 1) if i * j <= most]
    best, off = (1, 1), math.inf
    for across, down in sorted(shapes, key=lambda shape: shape[0] * shape[1]):
        here = abs(width / height - across / down)
        if here < off or (here == off and width * height > 0.5 * side**2 * across * down):
            best, off = (across, down), here
    return best


def _tiles(rule: Rule, width: int, height: int) -> Seen:
    """InternVL, Cohere: tiles of one size, and a thumbnail where there are several."""
    across, down = closest(width, height, rule.side, rule.tiles)
    found = across * down + (1 if across * down > 1 else 0)
    tokens = rule.tokens * found + rule.beside
    return Seen(tokens=tokens, tiles=found, positions=_positions(rule) + 1)


def _marked(rule: Rule, width: int, height: int) -> Seen:
    """Aya Vision: the same, with a token before each tile."""
    found = _tiles(rule, width, height)
    return replace(found, tokens=found.tokens + found.tiles - 1)


def _splits(rule: Rule, width: int, height: int) -> Seen:
    """Idefics3, SmolVLM: the longest side becomes four tiles; each has its place written beside it."""
    longest = 4 * rule.side
    if width >= height:
        shape = width / height
        width, height = longest, int(longest / shape)
        height += height % 2
    else:
        shape = width / height
        height, width = longest, int(longest * shape)
        width += width % 2
    if max(width, height) > LARGEST_SPLIT:
        by = LARGEST_SPLIT / max(width, height)
        width, height = int(width * by), int(height * by)
    across, down = math.ceil(max(width, 1) / rule.side), math.ceil(max(height, 1) / rule.side)
    if across * down == 1 or rule.tiles == 1:
        return Seen(tokens=rule.tokens + 3, tiles=1, positions=_positions(rule))
    tokens = rule.tokens + 3 + down * ((rule.tokens + 2) * across + 1)
    return Seen(tokens=tokens, tiles=across * down + 1, positions=_positions(rule))


def _fitted(width: int, height: int, sizes: tuple[tuple[int, int], ...]) -> tuple[int, int]:
    """The size, height first, that keeps most of an image and wastes least."""
    best, most, least = sizes[0], 0.0, math.inf
    for tall, wide in sizes:
        by = min(wide / width, tall / height)
        kept = min(int(width * by) * int(height * by), width * height)
        if kept > most or (kept == most and wide * tall - kept < least):
            best, most, least = (tall, wide), kept, wide * tall - kept
    return best


def _anyres(rule: Rule, width: int, height: int) -> Seen | None:
    """LLaVA-NeXT and OneVision: the whole image, and tiles of it whose padding is cut away again."""
    if not rule.pinpoints:
        return None
    tall, wide = _fitted(width, height, rule.pinpoints)
    along = rule.side // rule.patch
    down, across = along * (tall // rule.side), along * (wide // rule.side)
    tiles = (tall // rule.side) * (wide // rule.side) + 1
    if width / height > across / down:
        padding = (down - int(round(height * (across / width), 7))) // 2
        down -= 2 * padding
    else:
        padding = (across - int(round(width * (down / height), 7))) // 2
        across -= 2 * padding
    lines, cells = down, down * across
    if rule.tiles:
        by = math.sqrt(cells / (rule.tiles * along**2))
        if by > 1.1:
            lines, cells = int(down // by), int(down // by) * int(across // by)
    return Seen(tokens=cells + lines + along**2, tiles=tiles, positions=along**2)


def _chunks(rule: Rule, width: int, height: int) -> Seen:
    """Llama 4: the tiling that enlarges an image least, else shrinks it least, with separators and the whole."""
    shapes = [(i, n // i) for n in range(rule.tiles, 0, -1) for i in range(1, n + 1) if n % i == 0]
    scaled = [(min(i * rule.side / height, j * rule.side / width), i, j) for i, j in shapes]
    larger = [one for one in scaled if one[0] >= 1]
    chosen = min(larger)[0] if larger else max(scaled)[0]
    down, across = min(((i, j) for by, i, j in scaled if by == chosen), key=lambda shape: shape[0] * shape[1])
    tokens = rule.tokens + rule.beside + 1
    if down * across > 1:
        tokens += down * across * rule.tokens + down * across
    tiles = down * across + (1 if down * across > 1 else 0)
    return Seen(tokens=tokens, tiles=tiles, positions=_positions(rule) + 1)


def _crops(rule: Rule, width: int, height: int) -> Seen:
    """Phi-4: crops of one size, their padding cut away; each row of tokens and each view ends in one."""
    across, down = math.ceil(width / rule.side), math.ceil(height / rule.side)
    if across * down > rule.tiles:
        across, down = closest(width, height, rule.side, rule.tiles)
    by = min(across * rule.side / width, down * rule.side / height)
    fine = rule.side // rule.patch
    empty = [
        (tiles * rule.side - int(length * by)) // rule.patch
        if abs(tiles * rule.side / length - by) > 1e-12
        else 0
        for tiles, length in ((down, height), (across, width))
    ]
    # Every other row and column of the mask counts.
    rows, columns = (math.ceil((n * fine - off) / 2) for n, off in zip((down, across), empty, strict=True))
    tokens = rule.tokens + 1 + rows * columns + rows + 16
    return Seen(tokens=tokens, tiles=across * down + 1, positions=fine**2)


def _slices(rule: Rule, width: int, height: int) -> Seen:
    """MiniCPM-V: the whole image, and slices whose shape is closest to that of the tower's square."""
    most = rule.tiles
    wanted = min(math.ceil(width * height / rule.side**2), most)
    best, off = (1, 1), math.inf
    for number in (wanted - 1, wanted, wanted + 1) if wanted > 1 else ():
        if not 1 < number <= most:
            continue
        for down in range(1, number + 1):
            here = abs(math.log(width / height) - math.log(number // down / down))
            if number % down == 0 and (here < off or (here == off and down > best[0])):
                best, off = (down, number // down), here
    tiles = best[0] * best[1] if wanted > 1 and off < math.inf else 0
    each = rule.tokens + rule.beside
    lines = best[0] - 1 if tiles else 0
    return Seen(tokens=each * (1 + tiles) + lines, tiles=1 + tiles, positions=(rule.side // rule.patch) ** 2)


#: By the name that `media_tokens.csv` gives each.
RULES: Mapping[str, Callable[[Rule, int, int], Seen | None]] = {
    "fixed": _fixed,
    "copies": _copies,
    "patches": _patches,
    "grid": _grid,
    "frames": _frames,
    "lines": _lines,
    "budget": _budget,
    "rows": _rows,
    "tiles": _tiles,
    "marked": _marked,
    "splits": _splits,
    "anyres": _anyres,
    "chunks": _chunks,
    "crops": _crops,
    "slices": _slices,
}
