"""The baseline every model has to beat: TF-IDF and logistic regression, behind ``Classifier``.

It is fitted where it is needed, in seconds, and never stored: there is no pickle to trust.
scikit-learn belongs to the ``training`` and ``eval`` extras and is imported inside the functions.
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from tocsin_models.errors import DataError
from tocsin_models.protocols import Scores
from tocsin_models.records import ModelInfo

FOLDS = 5

_Floats = npt.NDArray[np.float64]
_Truth = npt.NDArray[np.bool_]


class TfidfClassifier:
    """One logistic regression per label over words, word pairs and pieces of words.

    The classes are weighted as if they were equally frequent: it ranks and decides well, but its
    probabilities are too high to be taken as shares.
    """

    def __init__(
        self,
        vectoriser: Any,
        coefficients: _Floats,
        intercepts: _Floats,
        labels: Sequence[str],
        thresholds: Mapping[str, float],
    ) -> None:
        """Put fitted parts together: coefficients (features, labels), intercepts (labels,)."""
        self._vectoriser = vectoriser
        self._coefficients = coefficients
        self._intercepts = intercepts
        self._labels = tuple(labels)
        self._info = ModelInfo(
            name="tfidf-baseline",
            revision=_revision(vectoriser, coefficients, intercepts, labels, thresholds),
            precision="f64",
            device="cpu",
            languages=("en",),
            thresholds=dict(thresholds),
        )

    @property
    def info(self) -> ModelInfo:
        return self._info

    @property
    def labels(self) -> tuple[str, ...]:
        return self._labels

    @classmethod
    def fit(
        cls,
        texts: Sequence[str],
        labels: Sequence[Sequence[str]],
        groups: Sequence[str],
        label_names: Sequence[str],
        seed: int,
    ) -> "TfidfClassifier":
        """Fit on all texts, with thresholds chosen on folds that keep each group together.

        Args:
            labels: the labels of each text.
            groups: the article of each text; passages of one article never stand on both sides of
                a fold, because they share names and phrases.
            label_names: the columns, in order.

        Raises:
            DataError: fewer than two groups, an unknown label, or a label that all or none carry.
        """
        truth = _truth(labels, label_names)
        for name, column in zip(label_names, truth.T, strict=True):
            if column.all() or not column.any():
                raise DataError(
                    f"label {name!r} is on {int(column.sum())} of {len(column)} passages; fitting "
                    "needs some with it and some without"
                )
        out_of_fold = _out_of_fold(texts, truth, groups, seed)
        thresholds = {
            name: _best_threshold(truth[:, column], out_of_fold[:, column])
            for column, name in enumerate(label_names)
        }
        vectoriser = _vectoriser()
        features = vectoriser.fit_transform(texts)
        coefficients, intercepts = _regressions(features, truth, seed)
        return cls(vectoriser, coefficients, intercepts, label_names, thresholds)

    def score(self, texts: Sequence[str]) -> Scores:
        """Probability of each label for each text, each text read whole in one window."""
        probabilities = np.zeros((0, len(self._labels)))
        if texts:
            logits = self._vectoriser.transform(texts) @ self._coefficients + self._intercepts
            probabilities = _sigmoid(logits)
        return Scores(
            labels=self._labels,
            probabilities=probabilities.astype(np.float32),
            windows=(1,) * len(texts),
        )


def _vectoriser() -> Any:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.pipeline import make_union

    # Pieces of words add 0.02 macro-F1 over words alone on article-grouped folds of the corpus and
    # the real training set: a weaker baseline would flatter the model above it.
    return make_union(
        TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True),
        TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 5), min_df=3, sublinear_tf=True),
    )


def _regressions(features: Any, truth: _Truth, seed: int) -> tuple[_Floats, _Floats]:
    """Coefficients (features, labels) and intercepts (labels,)."""
    from sklearn.linear_model import LogisticRegression

    coefficients = np.zeros((features.shape[1], truth.shape[1]))
    intercepts = np.zeros(truth.shape[1])
    for index, column in enumerate(truth.T):
        if column.all() or not column.any():
            # A fold can lack a rare label: then it says "always" or "never", and no more.
            intercepts[index] = np.inf if column.all() else -np.inf
            continue
        # The dual solver is five times as fast here as the primal one and ends within 0.0003.
        regression = LogisticRegression(
            solver="liblinear", dual=True, tol=0.01, class_weight="balanced", random_state=seed
        ).fit(features, column)
        coefficients[:, index] = regression.coef_[0]
        intercepts[index] = regression.intercept_[0]
    return coefficients, intercepts


def _out_of_fold(texts: Sequence[str], truth: _Truth, groups: Sequence[str], seed: int) -> _Floats:
    """Probabilities (texts, labels), each from a fit that saw no text of the same group."""
    from sklearn.model_selection import GroupKFold

    folds = min(FOLDS, len(set(groups)))
    if folds < 2:
        raise DataError("all passages are of one article; choosing thresholds needs at least two")
    probabilities = np.zeros(truth.shape)
    splitter = GroupKFold(folds, shuffle=True, random_state=seed)
    for inside, outside in splitter.split(texts, groups=groups):
        vectoriser = _vectoriser()
        features = vectoriser.fit_transform([texts[index] for index in inside])
        coefficients, intercepts = _regressions(features, truth[inside], seed)
        held_out = vectoriser.transform([texts[index] for index in outside])
        probabilities[outside] = _sigmoid(held_out @ coefficients + intercepts)
    return probabilities


def _best_threshold(truth: _Truth, probabilities: _Floats) -> float:
    """The threshold with the highest F1, midway between two neighbouring probabilities."""
    order = np.argsort(-probabilities, kind="stable")
    ranked = probabilities[order]
    hits = np.cumsum(truth[order])
    f1 = 2 * hits / (np.arange(1, len(ranked) + 1) + truth.sum())
    # Equal probabilities cannot be told apart: only the last of a run is a place to cut.
    f1[:-1][ranked[:-1] == ranked[1:]] = -1.0
    last = int(np.argmax(f1))
    below = ranked[last + 1] if last + 1 < len(ranked) else ranked[last]
    return float((ranked[last] + below) / 2)


def _truth(labels: Sequence[Sequence[str]], names: Sequence[str]) -> _Truth:
    unknown = {label for row in labels for label in row} - set(names)
    if unknown:
        raise DataError(f"unknown label {min(unknown)!r}; the labels are {', '.join(names)}")
    return np.array([[name in row for name in names] for row in labels], dtype=np.bool_)


def _sigmoid(logits: _Floats) -> _Floats:
    # By way of tanh, which does not overflow for any logit.
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * logits)))


def _revision(
    vectoriser: Any,
    coefficients: _Floats,
    intercepts: _Floats,
    labels: Sequence[str],
    thresholds: Mapping[str, float],
) -> str:
    """Hash over every fitted number and name: two fits that agree on it score alike."""
    digest = hashlib.sha256()
    for name in [*vectoriser.get_feature_names_out(), *labels]:
        digest.update(name.encode() + b"\0")
    inverse_frequencies = [part.idf_ for _, part in vectoriser.transformer_list]
    limits = np.array([thresholds[label] for label in labels])
    for numbers in (*inverse_frequencies, coefficients, intercepts, limits):
        digest.update(np.ascontiguousarray(numbers, dtype="<f8").tobytes())
    return "sha256:" + digest.hexdigest()
