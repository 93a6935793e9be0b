"""What can go wrong in a way that a user should read: one line that names the value, the limit and the way out."""

from l4guide.text import Sentence


class Problem(Exception):
    """Something a user can act on; its message is a `Sentence`, so it reads in either language."""

    exit_code = 1

    def __init__(self, key: str, /, **values: object) -> None:
        self.sentence = Sentence(key, values)
        super().__init__(key)

    def __str__(self) -> str:
        return self.sentence.say()

    def say(self, language: str = "en") -> str:
        """The message in `language`."""
        return self.sentence.say(language)


class BadInput(Problem):
    """The question cannot be asked like this (exit code 2)."""

    exit_code = 2


class CannotDo(Problem):
    """The question is fine, but this machine cannot do what it needs (exit code 1)."""


class BadData(Problem):
    """A row under `data/` is broken; the message names file, row and column."""
