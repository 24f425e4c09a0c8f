"""What each subject says of the data, asked once and kept."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tocsin_eval.bootstrap import Array, Decisions
from tocsin_eval.classification import Predictions, best_label, label_matrix
from tocsin_eval.data import LabelledPassage, ReferenceSummary
from tocsin_eval.store import Kept, Progress, Store
from tocsin_eval.subjects import Subject, SubjectOptions
from tocsin_models.errors import ModelError
from tocsin_models.labels import DIGITS
from tocsin_models.protocols import Scores
from tocsin_models.records import ModelInfo

# Enough that a classifier fills its batches, few enough that a kill costs seconds.
PASSAGES_AT_ONCE = 1_024
# An endpoint is asked in the portions that one request takes.
ENDPOINT_AT_ONCE = 128
ARTICLES_AT_ONCE = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Classified:
    """A subject's answers on the passages. ``thresholds`` are empty for decisions that came with
    the predictions; ``precision`` and ``device`` are empty where no model ran here."""

    predictions: Predictions
    thresholds: Mapping[str, float]
    precision: str
    device: str


def classify(
    subject: Subject,
    passages: Sequence[LabelledPassage],
    labels: tuple[str, ...],
    options: SubjectOptions,
    store: Store,
    progress: Progress,
) -> Classified:
    """Scores and decisions, scores rounded as every answer of Tocsin is (``labels.DIGITS``).

    Raises:
        DataError: predictions do not fit the passages.
        TocsinError: the subject cannot be loaded, or an endpoint stopped answering; what it has
            answered is kept.
    """
    truth = label_matrix([row.labels for row in passages], labels)
    if subject.predictions is not None:
        progress(len(passages))
        return _from_predictions(subject, passages, labels, truth)

    kept = _score(subject, [row.text for row in passages], options, store, progress)
    own = kept.header["labels"]
    scores = np.array(kept.answers)[:, [own.index(label) for label in labels]]
    thresholds = {label: kept.header["thresholds"][label] for label in labels}
    decided = scores >= np.array([thresholds[label] for label in labels])
    if kept.header["single"]:
        decided &= best_label(scores)
    return Classified(
        predictions=_predictions(passages, labels, truth, scores, decided, kept.header["single"]),
        thresholds=thresholds,
        precision=kept.header["precision"],
        device=kept.header["device"],
    )


def align(answers: Sequence[Classified]) -> list[Classified]:
    """The same questions to all subjects: where one gives single labels and each passage carries
    exactly one, all are held to that; elsewhere a single label is a decision like others."""
    found = [answer.predictions for answer in answers]
    is_single = any(one.is_single_label for one in found) and bool(
        (found[0].truth.sum(axis=1) == 1).all()
    )
    return [
        replace(answer, predictions=replace(one, is_single_label=is_single))
        for answer, one in zip(answers, found, strict=True)
    ]


class KeptClassifier:
    """A subject's classifier whose answers are kept: asked the same again, it loads nothing."""

    def __init__(self, subject: Subject, options: SubjectOptions, store: Store) -> None:
        self.labels = subject.labels or ()
        self.info = ModelInfo(
            name=subject.name, revision=subject.revision, precision="", device="", languages=()
        )
        self._subject = subject
        self._options = options
        self._store = store

    def score(self, texts: Sequence[str]) -> Scores:
        """As every ``Classifier``; ``info`` has the thresholds from then on. Raises as
        ``classify``."""
        kept = _score(self._subject, texts, self._options, self._store, lambda done: None)
        header = kept.header
        self.labels = tuple(header["labels"])
        self.info = replace(
            self.info,
            precision=header["precision"],
            device=header["device"],
            thresholds=header["thresholds"],
        )
        return Scores(
            labels=self.labels,
            probabilities=np.array(kept.answers, np.float32).reshape(len(texts), len(self.labels)),
            windows=(1,) * len(texts),
            is_single_label=header["single"],
        )


def _score(
    subject: Subject,
    texts: Sequence[str],
    options: SubjectOptions,
    store: Store,
    progress: Progress,
) -> Kept:
    """Rounded scores of each text, and what the classifier says of itself."""

    def load() -> tuple[dict[str, Any], Any]:
        assert subject.classifier is not None
        classifier = subject.classifier()
        single = classifier.score(texts[:1]).is_single_label
        header = {
            "labels": list(classifier.labels),
            "thresholds": dict(classifier.info.thresholds),
            "single": single,
            "precision": classifier.info.precision,
            "device": classifier.info.device,
        }

        def answer(some: Sequence[str]) -> list[list[float]]:
            found = classifier.score(some).probabilities
            if not np.isfinite(found).all():
                raise ModelError(f"{subject.name}: gives scores that are no number; train it again")
            return [[round(float(value), DIGITS) for value in row] for row in found]

        return header, answer

    return store.answers(
        {"task": "classify", "data": sha256(texts), "subject": subject.revision, **options.key()},
        texts,
        load,
        at_once=ENDPOINT_AT_ONCE if subject.kind == "endpoint" else PASSAGES_AT_ONCE,
        progress=progress,
    )


def summarise(
    subject: Subject,
    rows: Sequence[ReferenceSummary],
    options: SubjectOptions,
    store: Store,
    progress: Progress,
) -> list[tuple[str, ...]]:
    """The sentences of each article's summary. Raises as ``classify``."""
    if subject.predictions is not None:
        progress(len(rows))
        return subject.predictions.match_summaries(rows)

    def load() -> tuple[dict[str, Any], Any]:
        assert subject.summariser is not None
        summariser = subject.summariser()
        header = {"precision": summariser.info.precision, "device": summariser.info.device}
        return header, lambda some: [list(summariser.sentences(row)) for row in some]

    # The oracle reads the references too.
    data = sha256([[row.paragraphs, row.highlights] for row in rows])
    kept = store.answers(
        {"task": "summarise", "data": data, "subject": subject.revision, **options.key()},
        rows,
        load,
        at_once=ARTICLES_AT_ONCE,
        progress=progress,
    )
    return [tuple(answer) for answer in kept.answers]


def sha256(value: Any) -> str:
    """Hash of what a subject is asked."""
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()


def _from_predictions(
    subject: Subject,
    passages: Sequence[LabelledPassage],
    labels: tuple[str, ...],
    truth: Decisions,
) -> Classified:
    assert subject.predictions is not None
    found = subject.predictions.match(passages, labels)
    scores = np.array([[row.scores[label] for label in labels] for row in found])
    has_decision = np.array([row.labels is not None for row in found])
    told = label_matrix([row.labels or () for row in found], labels)
    is_single = all(row.is_single_label for row in found)
    cut = best_label(scores) if is_single else scores >= 0.5
    decided = np.where(has_decision[:, None], told, cut)
    return Classified(
        predictions=_predictions(passages, labels, truth, scores, decided, is_single),
        thresholds={} if has_decision.all() else dict.fromkeys(labels, 0.5),
        precision="",
        device="",
    )


def _predictions(
    passages: Sequence[LabelledPassage],
    labels: tuple[str, ...],
    truth: Decisions,
    scores: Array,
    decided: Decisions,
    is_single_label: bool,
) -> Predictions:
    return Predictions(
        labels=labels,
        truth=truth,
        scores=scores.astype(np.float64),
        decided=decided,
        articles=tuple(row.article for row in passages),
        is_single_label=is_single_label,
    )
