"""Everything Tocsin refuses, as one small tree.

    TocsinError
    ├── InputError               what was handed in cannot be read as an article
    │   ├── EmptyInput           nothing but white space
    │   ├── UndecodableInput     not UTF-8, or not text at all
    │   └── UnreadableFile       missing, a directory, no permission
    ├── LanguageRefused          outside the model's languages, and the caller asked to be strict
    ├── ModelError               a model directory cannot be used
    │   ├── ModelNotFound        no such directory or Hub id
    │   └── ModelDamaged         a file is missing, or its hash is not the manifest's
    ├── DataError                a training or evaluation file is not what it should be
    └── ConfigError              settings are wrong; all mistakes at once

A message names the thing, the value, the allowed range and the next step. It never carries the
article's text: messages end up in logs, and copy is confidential (design, rule 4).
"""

from collections.abc import Sequence


class TocsinError(Exception):
    """The caller can mend this. One line at a terminal, a 4xx over HTTP, never a traceback."""


class InputError(TocsinError):
    """What was handed in cannot be read as an article."""


class EmptyInput(InputError):
    """The input holds nothing but white space."""


class UndecodableInput(InputError):
    """The input is not UTF-8, or is not text at all."""


class UnreadableFile(InputError):
    """A path is missing, is a directory, or may not be read."""


class LanguageRefused(TocsinError):
    """The article is outside the model's languages and the caller asked for strictness."""


class ModelError(TocsinError):
    """A model directory cannot be used."""


class ModelNotFound(ModelError):
    """Neither a directory nor a name that can be resolved."""


class ModelDamaged(ModelError):
    """A file of a model directory is missing, or does not have the hash its manifest names."""


class DataError(TocsinError):
    """A file of labelled rows is not in the format it should be.

    ``problems`` says what is wrong, a line each: of ``count`` of them the first twenty.
    """

    SHOWN = 20

    def __init__(self, problems: str | Sequence[str], count: int | None = None) -> None:
        found = (problems,) if isinstance(problems, str) else tuple(problems)
        self.problems = found[: self.SHOWN]
        self.count = len(found) if count is None else count
        hidden = self.count - len(self.problems)
        rest = [f"and {hidden} more"] if hidden else []
        lines = [f"{self.count} problems", *self.problems, *rest]
        super().__init__(self.problems[0] if self.count == 1 else "\n  ".join(lines))


class ConfigError(TocsinError):
    """One or more settings are wrong; ``problems`` holds every one of them, a line each."""

    def __init__(self, source: str, problems: Sequence[str]) -> None:
        self.source = source
        self.problems = tuple(problems)
        count = "1 problem" if len(self.problems) == 1 else f"{len(self.problems)} problems"
        super().__init__("\n  ".join([f"{source}: {count}", *self.problems]))
