"""How to read a report: what its words mean, in a line or two each, where it uses them."""

from collections.abc import Iterator, Mapping
from typing import Any

from tocsin_eval.numbers import RANKING_RESAMPLES
from tocsin_eval.report_parts import Fact
from tocsin_eval.slices import RESAMPLES as SLICE_RESAMPLES

_PASSAGES = (
    (
        "precision, recall",
        "Of the passages that were given a label, the share that carry it; of the passages that "
        "carry it, the share that were given it.",
    ),
    (
        "F1",
        "2PR/(P+R): high only where precision and recall both are. Macro-F1 is the plain mean over "
        "labels, so a rare label counts as much as a common one; micro-F1 pools all decisions.",
    ),
    (
        "thresholds",
        "A label is given where its score reaches the model’s stored threshold; “at 0.5” ignores "
        "what was stored.",
    ),
    (
        "average precision, ROC AUC",
        "How well scores rank passages, whatever the threshold: the area under the curve of "
        "precision and recall, and the chance that a passage with the label scores above one "
        "without. 1 is perfect; luck gives the label’s share, and 0.5.",
    ),
    (
        "Brier score, ECE",
        "Are scores probabilities? Mean squared distance of score and truth, and how far the mean "
        "score is from the share that carries the label, in ten bins. 0 is perfect.",
    ),
)
_SINGLE = (
    (
        "accuracy",
        "The share of passages that were given their one label.",
    ),
)
_BEHAVIOUR = (
    (
        "behaviour",
        "Small written cases. Minimum functionality: is a ruling of the codebook kept? Invariance: "
        "do decisions stay when what should not matter changes? Direction: does a score move the "
        "way it should? A minimal pair differs in one point only and counts when both are right. "
        "Intervals of these shares are Wilson’s.",
    ),
)
_SUMMARIES = (
    (
        "ROUGE-1, ROUGE-2, ROUGE-Lsum",
        "Overlap with a summary that a person wrote, of words, word pairs and longest common "
        "sequences: F1, 0 to 100. It measures likeness, not truth.",
    ),
    (
        "coverage, density, compression",
        "The share of a summary’s words that are copied in runs from the article, the mean length "
        "of the run that a word stands in, and how many times longer the article is.",
    ),
    (
        "with something unsupported",
        "The share of summaries with a name, number, date or quotation that the article does not "
        "have.",
    ),
    (
        "repeated trigrams, most alike two sentences",
        "Repetition inside a summary: the share of three-word runs that come again, and the word "
        "overlap of its two most similar sentences.",
    ),
    (
        "position",
        "Where in the article the sentences stand: 0 is the start, 1 the end.",
    ),
)


def explain(record: Mapping[str, Any]) -> Iterator[Fact]:
    """The words that this record's report uses."""
    yield Fact(
        term="95% interval",
        text=f"What another sample of articles of this kind might have given. Articles are drawn "
        f"anew, with all their passages, {record['resamples']:,} times (for rankings at most "
        f"{RANKING_RESAMPLES:,}, for parts of the data {SLICE_RESAMPLES:,}); 95% of the draws lie "
        f"within. A wide one means: too few articles.",
    )
    if record["comparisons"]:
        yield Fact(
            term="p",
            text="How often a difference at least as large would come up if the two were alike. "
            "Bootstrap draws articles anew, randomisation swaps the two subjects’ answers article "
            "by article; Holm corrects for asking of several labels at once and decides: under "
            "0.05 the two are told apart. “Not told apart” does not mean equal.",
        )
    subjects = record["subjects"]
    if record["data"]["passages"]:
        if any(one["is_single_label"] for one in subjects):
            yield from _facts(_SINGLE)
        for term, text in _PASSAGES:
            if term != "thresholds" or not all(one["is_single_label"] for one in subjects):
                yield Fact(term=term, text=text)
    if any(one["behaviour"] for one in subjects):
        yield from _facts(_BEHAVIOUR)
    if record["data"]["summaries"]:
        yield from _facts(_SUMMARIES)


def _facts(pairs: tuple[tuple[str, str], ...]) -> Iterator[Fact]:
    for term, text in pairs:
        yield Fact(term=term, text=text)
