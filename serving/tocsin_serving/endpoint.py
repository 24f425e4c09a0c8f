"""A running service as a ``Classifier`` and a summariser, so that an evaluation can measure what
callers get. A passage that the service cannot read ends the evaluation: none is left out."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from tocsin_models.protocols import Scores
from tocsin_models.records import ModelInfo
from tocsin_serving.client import Tocsin
from tocsin_serving.client_errors import ServiceError
from tocsin_serving.client_records import FailedPassage, ServedModel

# Nobody waits at the other end: a busy service is asked again for most of a minute.
TIMEOUT_S = 60.0
RETRIES = 6


class HasParagraphs(Protocol):
    """An article to be summarised, whatever else is known of it."""

    @property
    def paragraphs(self) -> tuple[str, ...]: ...


class EndpointClassifier:
    """``POST /v1/classify``. Labels and thresholds are the service's own."""

    def __init__(self, client: Tocsin, model: ServedModel) -> None:
        self._client = client
        self.info: ModelInfo = model
        self.labels = tuple(model.labels)
        # As training writes them where each text has one label, the best whatever its score.
        self._is_single_label = not any(model.thresholds.values())

    def score(self, texts: Sequence[str]) -> Scores:
        """As every ``Classifier``; scores are rounded to six digits, as the service sends them.

        Raises:
            ServiceError: the service gave no answer, or could not read a passage.
        """
        if not texts:
            return Scores(
                labels=self.labels,
                probabilities=np.zeros((0, len(self.labels)), np.float32),
                windows=(),
                is_single_label=self._is_single_label,
            )
        rows, windows = [], []
        for result in self._client.classify(texts).results:
            if isinstance(result, FailedPassage):
                error = result.error
                raise ServiceError(
                    f"passage {result.id} was not read ({error.code}): {error.message}"
                )
            rows.append([result.scores[label] for label in self.labels])
            windows.append(result.windows)
        return Scores(
            labels=self.labels,
            probabilities=np.array(rows, np.float32),
            windows=tuple(windows),
            is_single_label=self._is_single_label,
        )


class EndpointSummariser:
    """``POST /v1/summarise``, with the caller's limits."""

    def __init__(
        self, client: Tocsin, model: ServedModel, max_sentences: int | None, max_words: int | None
    ) -> None:
        self.info: ModelInfo = model
        self._client = client
        self._max_sentences = max_sentences
        self._max_words = max_words

    def sentences(self, row: HasParagraphs) -> tuple[str, ...]:
        """The sentences of the article's summary. Raises ServiceError."""
        answer = self._client.summarise(
            paragraphs=list(row.paragraphs),
            max_sentences=self._max_sentences,
            max_words=self._max_words,
        )
        return tuple(sentence.text for sentence in answer.summary.sentences)


class Endpoint:
    """What runs at a URL, told apart by the revisions of its models; ``close`` it in the end."""

    def __init__(
        self,
        url: str,
        key: str | None,
        max_sentences: int | None = None,
        max_words: int | None = None,
    ) -> None:
        """
        Raises:
            ConfigError: the URL or the key is not of the right form.
            ServiceError: nothing answers there, or it has no classifier and summariser.
        """
        client = Tocsin(url, key=key, timeout_s=TIMEOUT_S, retries=RETRIES)
        self.close = client.close
        try:
            models = {model.task: model for model in client.models()}
            if missing := {"classifier", "summariser"} - models.keys():
                raise ServiceError(f"{url}: serves no {min(missing)}; is it `tocsin serve`?")
        except ServiceError:
            self.close()
            raise
        told = [f"{models[task].revision} {models[task].precision}" for task in sorted(models)]
        self.revision = " ".join([url, *told])
        self.classifier = EndpointClassifier(client, models["classifier"])
        self.summariser = EndpointSummariser(client, models["summariser"], max_sentences, max_words)
