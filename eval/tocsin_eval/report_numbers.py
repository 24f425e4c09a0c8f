"""What a report calls each number, which way is better, and how it is printed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from tocsin_eval.gate import is_cost

Unit: TypeAlias = Literal["share", "percent", "count"]

# Below this a difference is called one, as in the verdict.
ALPHA = 0.05
# What stands where a number does not exist.
ABSENT = "–"

_TITLES = {
    "accuracy": "accuracy",
    "average_precision": "average precision",
    "behaviour": "behaviour cases passed",
    "behaviour_direction": "direction",
    "behaviour_invariance": "invariance",
    "behaviour_minimum_functionality": "minimum functionality",
    "behaviour_pairs": "minimal pairs, both right",
    "bertscore": "BERTScore F1",
    "brier": "Brier score",
    "cardinality": "labels given a passage",
    "compression": "compression",
    "coverage": "coverage",
    "density": "density",
    "ece": "calibration error (ECE)",
    "empty_share": "empty summaries",
    "exact_match": "exact match",
    "f1": "F1",
    "hamming_loss": "Hamming loss",
    "macro_f1": "macro-F1",
    "micro_f1": "micro-F1",
    "most_alike": "most alike two sentences",
    "nli_support": "NLI support",
    "novel_1grams": "novel words",
    "novel_2grams": "novel bigrams",
    "novel_3grams": "novel trigrams",
    "position": "position in the article",
    "repeated_trigrams": "repeated trigrams",
    "roc_auc": "ROC AUC",
    "rouge1": "ROUGE-1",
    "rouge2": "ROUGE-2",
    "rougeLsum": "ROUGE-Lsum",
    "samples_f1": "samples-F1",
    "sentences": "sentences",
    "unsupported_share": "with something unsupported",
    "verbatim": "verbatim sentences",
    "words": "words",
}
_UNITS: dict[str, tuple[Unit, int]] = {
    **dict.fromkeys(("rouge1", "rouge2", "rougeLsum"), ("percent", 2)),
    **dict.fromkeys(("compression", "density", "sentences"), ("count", 2)),
    "cardinality": ("count", 3),
    "words": ("count", 1),
}
# More or less of these is a matter of taste, not of quality.
_NEITHER = frozenset(
    (
        *("cardinality", "compression", "coverage", "density", "novel_1grams", "novel_2grams"),
        *("novel_3grams", "position", "sentences", "verbatim", "words"),
    )
)
# Numbers that each label has, as ``<name>_<label>``.
_BY_LABEL = ("precision", "recall", "f1", "average_precision", "roc_auc", "brier", "ece")


@dataclass(frozen=True, slots=True, kw_only=True)
class Number:
    """A number of a record. ``better`` is None where neither more nor less is better."""

    name: str
    title: str
    unit: Unit
    digits: int
    better: Literal["more", "less"] | None

    def format(self, value: float | None) -> str:
        return format_number(value, self.digits)

    def format_range(self, interval: Mapping[str, Any]) -> str:
        """``0.920–0.960``, or nothing where the number was not resampled."""
        low, high = interval["low"], interval["high"]
        if low is None or high is None:
            return ""
        joint = "–" if low >= 0 else " to "
        return f"{self.format(low)}{joint}{self.format(high)}"

    def format_change(self, value: float | None) -> str:
        return format_number(value, self.digits, sign="+")

    def judge(self, value: float | None, p: float | None) -> str:
        """What a difference comes to, in words."""
        if value is None or p is None:
            return "not compared"
        if p >= ALPHA or value == 0:
            return "not told apart"
        if self.better is None:
            return "more" if value > 0 else "less"
        return "better" if (value > 0) == (self.better == "more") else "worse"


def labels_of(metrics: Mapping[str, Any]) -> list[str]:
    """The labels that a classifier's numbers are of, in its order."""
    return [name.removeprefix("brier_") for name in metrics if name.startswith("brier_")]


def describe_number(name: str, labels: Sequence[str] = ()) -> Number:
    """Title, unit and direction of a number by its name in the record."""
    base, title = name, _TITLES.get(name) or ""
    if not title:
        base, title = _of_label(name, labels)
    unit, digits = _UNITS.get(base, ("share", 3))
    if name.startswith("unsupported_") and name != "unsupported_share":
        unit, digits = "count", 2
    better: Literal["more", "less"] | None = "less" if is_cost(name) else "more"
    if base == "empty_share":
        better = "less"
    return Number(
        name=name,
        title=title,
        unit=unit,
        digits=digits,
        better=None if base in _NEITHER else better,
    )


def _of_label(name: str, labels: Sequence[str]) -> tuple[str, str]:
    for label in labels:
        stem = name.removesuffix(f"_{label}")
        base = stem.removesuffix("_at_half")
        if stem != name and base in _BY_LABEL:
            half = " at 0.5" if stem != base else ""
            return base, f"{_TITLES.get(base, base)}{half}, {label}"
    base = name.removesuffix("_at_half")
    half = " at 0.5" if base != name else ""
    for average in ("macro", "micro", "samples"):
        base = base.replace(f"{average}_", f"{average}-", 1) if base.startswith(average) else base
    base = base.removeprefix("unsupported_") + " unsupported" if "unsupported_" in base else base
    return name, f"{_TITLES.get(base, base.replace('-f1', '-F1').replace('_', ' '))}{half}"


def format_number(value: float | None, digits: int, sign: Literal["", "+"] = "") -> str:
    """With a real minus, and no sign before a zero."""
    if value is None:
        return ABSENT
    text = f"{value:{sign}.{digits}f}"
    if not text.strip("+-0."):
        return text.lstrip("+-")
    return text.replace("-", "−")


def format_p(value: float | None) -> str:
    if value is None:
        return ABSENT
    return "<0.0001" if value < 0.00005 else f"{value:.4f}"


def format_count(value: float | None, digits: int = 0) -> str:
    return ABSENT if value is None else f"{value:,.{digits}f}"
