"""What follows from the numbers and frames around a message, by the names that symptoms ask for."""

import re
from collections.abc import Callable, Mapping

from l4guide.diagnose.amounts import is_square, shape_of, shapes_in, vocabulary_in
from l4guide.diagnose.operators import operators_of
from l4guide.diagnose.setting import Setting

#: Blanks of a sentence that every finding fills, beside those of its texts.
FILLED_BY_ALL = frozenset({"library"})
#: More than this is asked for at once by what grows with the square of the length, or with the vocabulary.
LARGE_BYTES = 2**30
MASK = re.compile(r"attn_mask ?= ?(?!none)[\w.\[]")
#: Words by which kernels and modules of attention are called.
ATTENTION = re.compile(r"attn|attention|flash|fmha|sdpa|_mla_|mla_")
NOT_BUILT = ("operator wasn't built", "xformers wasn't build with cuda support")


def _is_vocabulary(setting: Setting) -> bool:
    """The size asked for is that of a tensor whose last side is a vocabulary."""
    asked = setting.amounts.asked
    found = shape_of(asked, setting.nearby) if asked else None
    if found is None:
        return False
    last, known = found[0][-1], vocabulary_in(setting.nearby)
    return last == known or (len(found[0]) <= 3 and last > 30_000)


def _is_squares(setting: Setting) -> bool:
    """The size asked for is that of scores: heads times queries times as many keys."""
    asked = setting.amounts.asked
    if asked is None:
        return any(is_square(shape) for shape in shapes_in(setting.message[:400]))
    found = shape_of(asked, setting.nearby)
    return found is not None and is_square(found[0])


def _is_attention(setting: Setting) -> bool:
    """The kernel that failed, or the library that launched it, is one of attention."""
    kernel = setting.kernel
    if kernel is not None and ATTENTION.search(kernel):
        return True
    origin = setting.origin()
    return origin is not None and origin.attention


def _is_not_built(setting: Setting) -> bool:
    """Every operator of xFormers says that it was not built; one that no wheel has says it alone."""
    listed = operators_of(setting, "because")
    if not listed:
        return any(phrase in setting.scope for phrase in NOT_BUILT)
    return all(any(phrase in " ".join(why).lower() for phrase in NOT_BUILT) for why in listed.values())


def _is_words(setting: Setting) -> bool:
    """Somebody says it: it stands neither in the frames of a traceback nor in the first line of its message."""
    traceback = setting.traceback
    return traceback is None or (traceback.message is not None and setting.index > traceback.message)


FACTS: Mapping[str, Callable[[Setting], bool]] = {
    "fragmented": lambda setting: setting.amounts.is_fragmented,
    "taken": lambda setting: setting.amounts.is_taken,
    "large": lambda setting: (setting.amounts.asked or 0) >= LARGE_BYTES,
    "masked": lambda setting: bool(MASK.search(setting.ran.code if setting.ran else "")),
    "gqa": lambda setting: "enable_gqa=true" in setting.scope,
    "vocabulary": _is_vocabulary,
    "squares": _is_squares,
    "attention": _is_attention,
    "not-built": _is_not_built,
    "words": _is_words,
    "bare": lambda setting: setting.site is None,
}
