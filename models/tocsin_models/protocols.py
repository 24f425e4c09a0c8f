"""What a classifier and a summariser must be able to do, whatever they are made of.

A fine-tuned encoder, the TF-IDF baseline, a live endpoint and a ten-line keyword matcher in a test
are interchangeable behind these two.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias, runtime_checkable

import numpy as np
import numpy.typing as npt

from tocsin_models.records import ModelInfo, Paragraph, Summary


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """Probabilities of shape (texts, labels), float32, columns in the order of ``labels``, and
    for each text the number of windows it was read in. Rows need not sum to 1, unless
    ``is_single_label``: then each text has exactly one label, the best."""

    labels: tuple[str, ...]
    probabilities: npt.NDArray[np.float32]
    windows: tuple[int, ...]
    is_single_label: bool = False


Style: TypeAlias = Literal["headline", "short", "standard"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Focus:
    """Labels that a summary of one article shall prefer: what the sentences of each paragraph gain
    in log-odds, and the indices of the paragraphs that carry one of the labels."""

    labels: tuple[str, ...]
    gains: tuple[float, ...]
    carriers: frozenset[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How long a summary may be, and what it shall prefer. ``None`` leaves the default of the
    style; what is explicit wins over it."""

    max_sentences: int | None = None
    max_words: int | None = None
    style: Style = "short"
    focus: Focus | None = None


class Classifier(Protocol):
    """Labels passages."""

    @property
    def info(self) -> ModelInfo: ...

    @property
    def labels(self) -> tuple[str, ...]: ...

    def score(self, texts: Sequence[str]) -> Scores:
        """Probability of each label for each text. A text's row does not depend on the others."""
        ...


class Summariser(Protocol):
    """Chooses or writes the sentences that tell an article."""

    @property
    def info(self) -> ModelInfo: ...

    def summarise(self, paragraphs: Sequence[Paragraph], limits: Limits) -> Summary:
        """Summary of the article these paragraphs make up, in order; never of headline or caption.

        ``SummarySentence.passage`` is the position in ``paragraphs``.
        """
        ...


@runtime_checkable
class BatchSummariser(Summariser, Protocol):
    """One that is faster on many articles together. One that writes sentences of its own does not
    take a focus."""

    takes_focus: bool

    def summarise_many(
        self, articles: Sequence[Sequence[Paragraph]], limits: Sequence[Limits]
    ) -> list[Summary]:
        """As ``summarise``, of each article within its own limits, in order."""
        ...
