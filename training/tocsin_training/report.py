"""What a freshly trained model is said to do, as its manifest keeps it."""

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from tocsin_eval.bootstrap import (
    article_counts,
    interval,
    label_f1,
    macro_f1,
    micro_f1,
    resample_sums,
)
from tocsin_eval.classification import best_label, decide, label_matrix
from tocsin_eval.data import LabelledPassage, ReferenceSummary
from tocsin_eval.rouge import rouge
from tocsin_models.protocols import Limits, Summariser
from tocsin_models.records import Paragraph

Metrics = dict[str, Any]


def classifier_metrics(
    passages: Sequence[LabelledPassage],
    labels: Sequence[str],
    probabilities: npt.NDArray[np.float64],
    thresholds: dict[str, float],
    seed: int,
    is_single_label: bool = False,
) -> Metrics:
    """Macro, micro and per-label F1 at the thresholds, each with its interval by article; of single
    labels the best one is given, and micro F1 is called what it is then: accuracy."""
    truth = label_matrix([passage.labels for passage in passages], labels)
    if is_single_label:
        decided = best_label(probabilities)
    else:
        decided = decide(probabilities.astype(np.float32), labels, thresholds)
    counts = article_counts(truth, decided, [passage.article for passage in passages])
    total, draws = counts.sum(axis=0), resample_sums(counts, seed=seed)
    found = {
        "macro_f1": interval(float(macro_f1(total)), macro_f1(draws)),
        "accuracy" if is_single_label else "micro_f1": interval(
            float(micro_f1(total)), micro_f1(draws)
        ),
    }
    for column, label in enumerate(labels):
        found[f"f1_{label}"] = interval(label_f1(total)[column], label_f1(draws)[:, column])
    return {"passages": len(passages)} | _rounded(found.items(), 4)


def summariser_metrics(
    summariser: Summariser, articles: Sequence[ReferenceSummary], limits: Limits, seed: int
) -> Metrics:
    """ROUGE F1 in percent over articles, each with its interval."""
    scores = []
    for article in articles:
        paragraphs = [Paragraph(text=text, start=0, end=len(text)) for text in article.paragraphs]
        chosen = summariser.summarise(paragraphs, limits).sentences
        prediction = "\n".join(sentence.text for sentence in chosen)
        scores.append(dataclasses.astuple(rouge(prediction, "\n".join(article.highlights))))
    values = np.array(scores)
    means, draws = values.mean(axis=0), resample_sums(values, seed=seed) / len(values)
    names = ("rouge1", "rouge2", "rougeLsum")
    found = {name: interval(means[i], draws[:, i]) for i, name in enumerate(names)}
    return {"articles": len(articles)} | _rounded(found.items(), 2)


def _rounded(found: Iterable[tuple[str, Any]], digits: int) -> Metrics:
    return {
        name: {part: round(value, digits) for part, value in dataclasses.asdict(item).items()}
        for name, item in found
    }
