"""The images and the sound of a request: what passes the towers, and what they add to the prompt."""

from l4guide.frozen import frozen
from l4guide.model import Tower


@frozen
class View:
    """What passes a tower for one request: so many sequences of so many positions each."""

    tower: Tower
    sequences: int
    positions: int


@frozen
class Media:
    """The images and the sound of one request.

    `image_tokens` and `audio_tokens` are what they add to the prompt, all together; None where that is not known.
    `views` are what passes the towers, as far as their layers are known; `untimed` names the media whose are not.
    `assumed` names numbers that no configuration said. `windows` of sound are the prompt of a model's own encoder,
    each a sequence of its own; 0 where sound passes a tower.
    """

    images: int = 0
    image_tokens: int | None = 0
    audio_s: float = 0.0
    audio_tokens: int | None = 0
    views: tuple[View, ...] = ()
    untimed: tuple[str, ...] = ()
    assumed: tuple[str, ...] = ()
    windows: int = 0

    @property
    def tokens(self) -> int:
        """Tokens of the prompt beside its text."""
        return (self.image_tokens or 0) + (0 if self.windows else self.audio_tokens or 0)


NO_MEDIA = Media()
