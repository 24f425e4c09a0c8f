"""How long a summary of each style is."""

from collections.abc import Mapping
from dataclasses import dataclass

from tocsin_models.errors import ConfigError
from tocsin_models.protocols import Limits, Style


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """What a summary may fill. It goes on until ``least_sentences`` and ``least_words`` stand, and
    never past the rest; None is no limit."""

    most_sentences: int | None = None
    most_words: int | None = None
    least_sentences: int = 0
    least_words: int | None = None

    @property
    def usual_words(self) -> float:
        """Words of an editor's summary for this room, which extracts are held against. It says in
        fewer what an extract, of whole sentences, needs all of the room for."""
        found: list[float] = []
        if self.most_sentences is not None:
            found.append(_EDITORS_SENTENCE * self.most_sentences)
        if self.most_words is not None:
            found.append(
                _EDITORS_SHARE * ((self.least_words or self.most_words) + self.most_words) / 2
            )
        return min(found)


# Highlights of CNN/DailyMail have 14 and 15 words a sentence, where their articles have 20 and
# more: three quarters.
_EDITORS_SENTENCE = 15
_EDITORS_SHARE = 0.75

# The style "short": what a front page has room for (issue 7, "Editors' wishes").
DEFAULT_SENTENCES = 3
LEAST_WORDS, MOST_WORDS = 40, 80

STYLES: Mapping[Style, Room] = {
    "headline": Room(most_sentences=1),
    "short": Room(
        most_sentences=DEFAULT_SENTENCES,
        most_words=MOST_WORDS,
        least_sentences=2,
        least_words=LEAST_WORDS,
    ),
    "standard": Room(most_words=120, least_sentences=2, least_words=80),
}


def unknown_style(style: str) -> str | None:
    """What is wrong with the name of a style, or None."""
    return None if style in STYLES else f"{style!r} is unknown; the styles are {', '.join(STYLES)}"


def room_of(limits: Limits) -> Room:
    """The room that a style leaves, with what is explicit in place of its own: an explicit number
    of sentences also lifts the style's limit of words, and either has the room filled.

    Raises:
        ConfigError: the style is unknown.
    """
    if problem := unknown_style(limits.style):
        raise ConfigError("limits", [f"style: {problem}"])
    style = STYLES[limits.style]
    if limits.max_sentences is None and limits.max_words is None:
        return style
    if limits.max_sentences is None:
        return Room(most_sentences=style.most_sentences, most_words=limits.max_words)
    return Room(most_sentences=limits.max_sentences, most_words=limits.max_words)
