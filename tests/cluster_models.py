"""Ways to load models that a cluster's workers can import: they get the name, not the code."""

import os
from collections.abc import Sequence
from dataclasses import replace

from tests.support import KeywordClassifier, LeadSummariser

from tocsin_models.errors import ModelNotFound
from tocsin_models.protocols import Scores
from tocsin_serving.archive.scoring import Models


def load_keywords(device: str, threads: int) -> Models:
    return Models(classifier=KeywordClassifier(), summariser=LeadSummariser())


def load_missing(device: str, threads: int) -> Models:
    raise ModelNotFound("/models/desk: no such directory; name one that holds a classifier")


def load_other(device: str, threads: int) -> Models:
    """Another model in every process, as on machines that were not updated together."""
    classifier = KeywordClassifier()
    classifier.info = replace(classifier.info, name=f"keywords-{os.getpid()}")
    return Models(classifier=classifier, summariser=LeadSummariser())


def load_quoting(device: str, threads: int) -> Models:
    return Models(classifier=QuotingClassifier(), summariser=LeadSummariser())


class QuotingClassifier(KeywordClassifier):
    """Fails as foreign libraries do: with the text in the message."""

    def score(self, texts: Sequence[str]) -> Scores:
        raise ValueError(f"cannot read {texts[0]!r}")
