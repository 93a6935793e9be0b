"""The images and the sound of a request: read from what a user said, and told."""

import math
import re
from collections.abc import Iterator, Mapping

from l4guide.cost import Whole, encoder_bytes, encoder_ms
from l4guide.errors import BadInput
from l4guide.memory.sizes import GIB
from l4guide.model import Architecture, Tower
from l4guide.model.images import MOST_ASPECT, Seen, seen
from l4guide.model.media import IMAGE, SOUND
from l4guide.model.sounds import FRAMES_PER_S, KEPT_FRAMES, heard
from l4guide.step import NO_MEDIA, Media, View
from l4guide.text import Sentence, digits
from l4guide.workload import real_number, whole_number

#: What an image is taken to be where nobody says.
USUAL_SIDE = 1024
MOST_IMAGES, MOST_SIDE, MOST_TOKENS, MOST_SECONDS = 4096, 100_000, 2**24, 86_400.0
#: Positions of Whisper's encoder for a second of sound.
POSITIONS_PER_S = FRAMES_PER_S // KEPT_FRAMES
SIZE = re.compile(r"(\d{1,6})\s*[x×*,]\s*(\d{1,6})")


def media_of(model: Architecture, options: Mapping[str, object]) -> Media:
    """The images and the sound among a user's options, as `inputs.MEDIA` names them.

    Raises:
        BadInput: one is malformed or out of limits, the model has no tower for it, or the rule of its type is not known
            and no number of tokens was given.
    """
    said = {name: value for name, value in options.items() if value is not None}
    of_images = _images(model, said)
    of_sound = _sound(model, said)
    if of_images is NO_MEDIA and of_sound is NO_MEDIA:
        return NO_MEDIA
    return Media(
        images=of_images.images,
        image_tokens=of_images.image_tokens,
        audio_s=of_sound.audio_s,
        audio_tokens=of_sound.audio_tokens,
        views=(*of_images.views, *of_sound.views),
        untimed=(*of_images.untimed, *of_sound.untimed),
        assumed=(*of_images.assumed, *of_sound.assumed),
        windows=of_sound.windows,
    )


def _images(model: Architecture, said: Mapping[str, object]) -> Media:
    asked = {"images", "image_size", "image_tokens"} & said.keys()
    number = whole_number("images", said.get("images", 1), at_least=0, at_most=MOST_IMAGES)
    if not asked or not number:
        return NO_MEDIA
    tower = _tower(model, IMAGE, "images", given="image_tokens" in said)
    assumed = (
        [] if "image_size" in said or "image_tokens" in said else [f"image_size {USUAL_SIDE}x{USUAL_SIDE}"]
    )
    width, height = _size(said.get("image_size"))
    found: Seen | None = None
    if tower is not None and tower.rule is not None:
        found = seen(tower.rule, width, height)
        assumed += _named(tower)
    tokens = found.tokens if found else None
    if "image_tokens" in said:
        tokens = whole_number("image-tokens", said["image_tokens"], at_most=MOST_TOKENS)
    if tokens is None:
        raise BadInput("error.image_tokens_unknown", model=model.name, model_type=model.model_type or "-")
    views = []
    if tower is not None and tower.layers and found is not None and found.positions:
        views.append(View(tower=tower, sequences=number * found.tiles, positions=found.positions))
    return Media(
        images=number,
        image_tokens=number * tokens,
        views=tuple(views),
        untimed=() if views else (IMAGE,),
        assumed=tuple(assumed),
    )


def _sound(model: Architecture, said: Mapping[str, object]) -> Media:
    if not {"audio_s", "audio_tokens"} & said.keys():
        return NO_MEDIA
    seconds = real_number("audio-s", said.get("audio_s", 0.0), at_least=0.0, below=MOST_SECONDS)
    if model.has_encoder:
        return _windows(model, seconds)
    tower = _tower(model, SOUND, "audio-s", given="audio_tokens" in said)
    found = heard(tower.rule, seconds) if tower is not None and tower.rule is not None and seconds else None
    tokens = found.tokens if found else None
    if "audio_tokens" in said:
        tokens = whole_number("audio-tokens", said["audio_tokens"], at_most=MOST_TOKENS)
    elif not seconds:
        return NO_MEDIA
    if tokens is None:
        raise BadInput("error.audio_tokens_unknown", model=model.name, model_type=model.model_type or "-")
    views = []
    if tower is not None and tower.layers and found is not None:
        views.append(View(tower=tower, sequences=found.windows, positions=found.positions))
    return Media(
        audio_s=seconds,
        audio_tokens=tokens,
        views=tuple(views),
        untimed=() if views else (SOUND,),
        assumed=_named(tower) if tower is not None and found else (),
    )


def _windows(model: Architecture, seconds: float) -> Media:
    """Sound that a model's own encoder hears, in padded windows of so many positions.

    Raises:
        BadInput: the encoder does not always hear as much.
    """
    fixed = next((g.mixer.source_tokens for g in model.layers if g.mixer.source_tokens), None)
    if fixed is None:
        raise BadInput("error.sound_is_the_prompt", model=model.name)
    windows = max(1, math.ceil(seconds * POSITIONS_PER_S / fixed))
    return Media(audio_s=seconds, audio_tokens=windows * fixed, windows=windows)


def _tower(model: Architecture, media: str, name: str, *, given: bool) -> Tower | None:
    """The tower for a medium; None where none is known and the tokens were given.

    Raises:
        BadInput: there is none, and the tokens were not given.
    """
    found = next((tower for tower in model.towers if tower.media == media), None)
    if found is None and not given:
        tokens = "image-tokens" if media == IMAGE else "audio-tokens"
        raise BadInput("error.no_tower", model=model.name, name=name, tokens=tokens)
    return found


def _named(tower: Tower) -> tuple[str, ...]:
    """What was taken for granted of the processor, with its value."""
    rule = tower.rule
    if rule is None:
        return ()
    values = {
        "patch_size": rule.patch,
        "spatial_merge_size": rule.merge,
        "min_pixels": rule.least,
        "max_pixels": rule.most,
        "max_dynamic_patch": rule.tiles,
        "mm_tokens_per_image": rule.tokens,
        "image_size": rule.side,
    }
    return tuple(f"{name} {values[name]}" if name in values else name for name in rule.assumed)


def _size(said: object) -> tuple[int, int]:
    """Width and height: of `WxH`, or of so many pixels in a square.

    Raises:
        BadInput: it is neither, or out of limits.
    """
    if said is None:
        return USUAL_SIDE, USUAL_SIDE
    text = str(said).strip().lower()
    found = SIZE.fullmatch(text)
    width, height = (int(found[1]), int(found[2])) if found else (0, 0)
    if found is None and text.isdigit() and len(text) < 12:
        width = height = max(1, round(math.sqrt(int(text))))
    sane = min(width, height) > 0 and max(width, height) <= MOST_SIDE
    if not sane or max(width, height) / min(width, height) > MOST_ASPECT:
        raise BadInput("error.image_size", value=text[:40], most=MOST_SIDE, aspect=MOST_ASPECT)
    return width, height


def media_lines(whole: Whole) -> Iterator[Sentence]:
    """What images and sound come to, what their towers take, and what was assumed."""
    media = whole.question.plan.media
    if media.images:
        values = {"images": media.images, "tokens": media.image_tokens}
        yield Sentence("media.images", {**values, "context": whole.question.context})
    if media.windows:
        heard_s = {"seconds": digits(media.audio_s), "tokens": media.audio_tokens}
        yield Sentence("media.windows", {**heard_s, "windows": media.windows})
    elif media.audio_tokens:
        heard_s = {"seconds": digits(media.audio_s), "tokens": media.audio_tokens}
        yield Sentence("media.sound", {**heard_s, "context": whole.question.context})
    if media.views:
        found = encoder_ms(whole)
        assert found is not None
        low, value, high = (digits(end) for end in found.ends())
        peak = encoder_bytes(whole) / GIB
        yield Sentence("media.encoder", {"ms": value, "low": low, "high": high, "gib": digits(peak)})
    for kind in media.untimed:
        yield Sentence("media.untimed", {"media": Sentence(f"media.{kind}_tower")})
    if media.assumed:
        yield Sentence("media.assumed", {"fields": ", ".join(media.assumed)})
