"""How many tokens a sound becomes, and what passes its tower."""

import math
from collections.abc import Callable, Mapping

from l4guide.frozen import frozen
from l4guide.model.media import Rule

#: Frames of a spectrogram in a second, and of them those that Whisper's encoder keeps.
FRAMES_PER_S, KEPT_FRAMES = 100, 2


@frozen
class Heard:
    """A sound: `tokens` in the prompt; in the tower `windows` sequences of `positions` each."""

    tokens: int
    windows: int
    positions: int


def heard(rule: Rule, seconds: float) -> Heard | None:
    """What a sound of so many seconds becomes; None where its rule is not known."""
    found = RULES.get(rule.name)
    return None if found is None else found(rule, seconds)


def _windows(rule: Rule, seconds: float) -> tuple[int, int]:
    """Windows, padded where the tower always hears as much, and their positions in the tower."""
    per_s = FRAMES_PER_S // KEPT_FRAMES
    if not rule.side:
        return 1, max(1, math.ceil(seconds * per_s))
    return max(1, math.ceil(seconds / rule.side)), rule.side * per_s


def _halved(rule: Rule, seconds: float) -> Heard:
    """Whisper's encoder and a pooling of two: 25 tokens a second."""
    windows, positions = _windows(rule, seconds)
    tokens = 0
    for number in range(windows):
        left = seconds - number * rule.side
        frames = math.ceil((min(left, rule.side) if rule.side else left) * FRAMES_PER_S)
        tokens += max(0, ((frames - 1) // 2 + 1 - 2) // 2 + 1)
    return Heard(tokens=tokens, windows=windows, positions=positions)


def _thirteen(rule: Rule, seconds: float) -> Heard:
    """Qwen3-Omni: 13 tokens of each second, and of what is left an eighth of its frames."""
    frames = math.ceil(seconds * FRAMES_PER_S)
    left = frames % FRAMES_PER_S
    halved = (left - 1) // 2 + 1
    tokens = ((halved - 1) // 2 + 1 - 1) // 2 + 1 + frames // FRAMES_PER_S * 13
    return Heard(tokens=tokens, windows=1, positions=max(1, tokens))


def _stacked(rule: Rule, seconds: float) -> Heard:
    """Voxtral: so many frames of padded windows make a token."""
    windows, positions = _windows(rule, seconds)
    return Heard(tokens=windows * math.ceil(positions / rule.merge), windows=windows, positions=positions)


def _unpadded(rule: Rule, seconds: float) -> Heard:
    """Ultravox: so many frames of each window make a token, without what pads the last one."""
    windows, _ = _windows(rule, seconds)
    longest = rule.side or seconds
    frames = [math.ceil(min(seconds - n * longest, longest) * FRAMES_PER_S) for n in range(windows)]
    return Heard(
        tokens=sum(math.ceil(number / (KEPT_FRAMES * rule.merge)) for number in frames),
        windows=windows,
        positions=max(1, math.ceil(frames[0] / KEPT_FRAMES)),
    )


def _fixed(rule: Rule, seconds: float) -> Heard:
    windows = max(1, math.ceil(seconds / rule.side)) if rule.side else 1
    return Heard(tokens=windows * rule.tokens, windows=windows, positions=rule.tokens)


def _steps(rule: Rule, seconds: float) -> Heard:
    """A token for so many milliseconds, up to a most."""
    tokens = math.ceil(seconds * 1e3 / rule.beside)
    tokens = min(tokens, rule.tokens) if rule.tokens else tokens
    return Heard(tokens=tokens, windows=1, positions=max(1, tokens))


#: By the name that `media_tokens.csv` gives each.
RULES: Mapping[str, Callable[[Rule, float], Heard]] = {
    "halved": _halved,
    "thirteen": _thirteen,
    "stacked": _stacked,
    "unpadded": _unpadded,
    "fixed": _fixed,
    "steps": _steps,
}
