"""The TF-IDF baseline behind the ``Classifier`` protocol."""

import random

import numpy as np
import pytest
from sklearn.metrics import f1_score, roc_auc_score

from tocsin_models.baseline import TfidfClassifier, _best_threshold, _out_of_fold
from tocsin_models.errors import DataError
from tocsin_models.protocols import Classifier

LABELS = ("claim", "threat")
WEATHER = ["rain", "wind", "fog", "sun", "hail", "frost", "cloud", "snow"]
STEMS = {
    "claim": "The {} said it had shot down a drone near {}.",
    "threat": "The {} warned it would strike {} again unless ships turned back.",
    "": "Rain closed the market of the {} in {} for the third day.",
}


def articles(count: int, seed: int = 0) -> tuple[list[str], list[list[str]], list[str]]:
    """Invented passages, their labels and the article of each."""
    draw = random.Random(seed)
    texts, labels, groups = [], [], []
    for article in range(count):
        names = [draw.choice(["navy", "guard", "council"]), draw.choice(["Oran", "Miras", "Tell"])]
        for label in draw.sample(list(STEMS), 3):
            texts.append(STEMS[label].format(*names))
            labels.append([label] if label else [])
            groups.append(f"article-{article}")
    return texts, labels, groups


@pytest.fixture(scope="module")
def baseline() -> TfidfClassifier:
    return TfidfClassifier.fit(*articles(20), LABELS, seed=0)


def test_it_stands_behind_the_same_protocol_as_the_model(baseline: TfidfClassifier) -> None:
    # The tables swap it for the model; mypy checks the assignment, this the values.
    classifier: Classifier = baseline
    scores = classifier.score(["The guard warned it would strike Oran again.", "Rain fell."])
    assert scores.labels == LABELS == classifier.labels
    assert scores.probabilities.shape == (2, 2)
    assert scores.probabilities.dtype == np.float32
    assert scores.windows == (1, 1)
    assert set(classifier.info.thresholds) == set(LABELS)
    assert classifier.score([]).probabilities.shape == (0, 2)


def test_it_learns_what_words_can_tell(baseline: TfidfClassifier) -> None:
    # A baseline that has learned nothing makes every model look good.
    texts, labels, _ = articles(8, seed=99)
    thresholds = [baseline.info.thresholds[label] for label in LABELS]
    decided = baseline.score(texts).probabilities >= thresholds
    assert decided.tolist() == [[name in row for name in LABELS] for row in labels]


def test_a_score_does_not_depend_on_its_neighbours(baseline: TfidfClassifier) -> None:
    # The protocol promises it of every classifier.
    texts = articles(5, seed=5)[0]
    together = baseline.score(texts).probabilities
    alone = np.concatenate([baseline.score([text]).probabilities for text in texts])
    assert np.array_equal(together, alone)


def test_the_revision_names_the_fitted_numbers(baseline: TfidfClassifier) -> None:
    # A number comes with its model: the same fit has the same name, another one another.
    again = TfidfClassifier.fit(*articles(20), LABELS, seed=0)
    other = TfidfClassifier.fit(*articles(21), LABELS, seed=0)
    assert again.info == baseline.info
    assert other.info.revision != baseline.info.revision


@pytest.mark.parametrize("seed", range(20))
def test_the_threshold_is_the_best_of_all_there_are(seed: int) -> None:
    # Ties and runs of equal probabilities are where an off-by-one hides.
    generator = np.random.default_rng(seed)
    truth = generator.random(30) < 0.4
    truth[0] = True
    probabilities = np.round(generator.random(30) * 0.5 + truth * 0.3, 1).astype(np.float64)
    best = max(
        f1_score(truth, probabilities >= cut, zero_division=0) for cut in np.unique(probabilities)
    )
    chosen = _best_threshold(truth, probabilities)
    assert f1_score(truth, probabilities >= chosen) == pytest.approx(best)


def test_thresholds_are_chosen_on_articles_that_were_not_fitted() -> None:
    # Only the article's name tells the label here. With its own passages in the fit the name is
    # learned by heart, and a threshold chosen on that would be fit for nothing else.
    draw = random.Random(3)
    articles = np.repeat(np.arange(30), 6)
    truth = (articles % 2 == 1)[:, np.newaxis]
    texts = [f"name{article} " * 2 + " ".join(draw.choices(WEATHER, k=6)) for article in articles]
    by_article = _out_of_fold(texts, truth, [str(article) for article in articles], 0)
    by_passage = _out_of_fold(texts, truth, [str(index) for index in range(180)], 0)
    assert roc_auc_score(truth[:, 0], by_passage[:, 0]) > 0.9
    assert roc_auc_score(truth[:, 0], by_article[:, 0]) < 0.7


@pytest.mark.parametrize(
    ("labels", "groups", "problem"),
    [
        ([["claim"], [], ["threat"], []], ["a", "a", "a", "a"], "at least two"),
        ([["claim"], [], [], []], ["a", "b", "c", "d"], "'threat' is on 0 of 4"),
        ([["claim"], ["denial"], ["threat"], []], ["a", "b", "c", "d"], "'denial'"),
    ],
)
def test_data_that_cannot_be_fitted_are_refused_by_name(
    labels: list[list[str]], groups: list[str], problem: str
) -> None:
    # scikit-learn would say "needs samples of at least 2 classes", which names nothing.
    with pytest.raises(DataError, match=problem):
        TfidfClassifier.fit(
            ["Troops left.", "Rain.", "We will hit.", "Calm."], labels, groups, LABELS, 0
        )


def test_a_fold_without_a_rare_label_is_survived() -> None:
    # A label that stands in one article alone is missing from the fit of that article's fold.
    texts, labels, groups = articles(6)
    labels = [[name for name in row if name != "threat"] for row in labels]
    labels[0] = ["threat"]
    fitted = TfidfClassifier.fit(texts, labels, groups, LABELS, 0)
    assert np.isfinite(fitted.score(texts).probabilities).all()
    assert 0 <= fitted.info.thresholds["threat"] <= 1
