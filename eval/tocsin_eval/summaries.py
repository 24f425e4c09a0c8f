"""Summaries measured: the numbers of every article, their means, and the articles told worst."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np

from tocsin_eval.bootstrap import Array
from tocsin_eval.data import ReferenceSummary
from tocsin_eval.numbers import Numbers, measure_means
from tocsin_eval.summary_numbers import measure_summary

# Articles shown with their summaries: those with the lowest ROUGE-1.
_WORST = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class SummaryScorers:
    """Models that the user named for further scores: directories or Hub ids, or None."""

    bertscore: str | None = None
    nli: str | None = None


class Resampling(Protocol):
    """What of the settings counts here."""

    @property
    def seed(self) -> int: ...

    @property
    def resamples(self) -> int: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredSummaries:
    """Numbers of all subjects, and of each what a report shows."""

    numbers: Numbers
    shown: tuple[dict[str, Any], ...]


def measure_summaries(
    rows: Sequence[ReferenceSummary],
    answers: Sequence[Sequence[tuple[str, ...]]],
    scorers: SummaryScorers,
    how: Resampling,
) -> MeasuredSummaries:
    """``answers`` holds for each subject the sentences for each of ``rows``."""
    tables = [[_numbers(row, told) for row, told in zip(rows, one, strict=True)] for one in answers]
    names = list(tables[0][0])
    arrays = [np.array([[line[name] for name in names] for line in table]) for table in tables]
    for name, columns in _model_scores(rows, answers, scorers):
        names.append(name)
        arrays = [np.column_stack([a, c]) for a, c in zip(arrays, columns, strict=True)]
    numbers = measure_means(arrays, names, seed=how.seed, resamples=how.resamples)
    return MeasuredSummaries(
        numbers=numbers,
        shown=tuple(
            _show(rows, told, array, names) for told, array in zip(answers, arrays, strict=True)
        ),
    )


def _numbers(row: ReferenceSummary, sentences: Sequence[str]) -> dict[str, float]:
    found = asdict(measure_summary(row.paragraphs, sentences, row.highlights))
    unsupported = sum(value for name, value in found.items() if name.startswith("unsupported_"))
    found["unsupported_share"] = float(unsupported > 0)
    found["empty_share"] = float(not sentences)
    return {name: float("nan") if value is None else value for name, value in found.items()}


def _model_scores(
    rows: Sequence[ReferenceSummary],
    answers: Sequence[Sequence[tuple[str, ...]]],
    scorers: SummaryScorers,
) -> list[tuple[str, list[Array]]]:
    found: list[tuple[str, list[Array]]] = []
    if scorers.bertscore:
        from tocsin_eval.model_scores import BertScore

        bert = BertScore(scorers.bertscore)
        references = [" ".join(row.highlights) for row in rows]
        told = [bert.score([" ".join(one) for one in told], references) for told in answers]
        found.append(("bertscore", told))
    if scorers.nli:
        from tocsin_eval.model_scores import NliSupport

        nli = NliSupport(scorers.nli)
        articles = ["\n".join(row.paragraphs) for row in rows]
        found.append(("nli_support", [nli.score(told, articles) for told in answers]))
    return found


def _show(
    rows: Sequence[ReferenceSummary],
    answers: Sequence[tuple[str, ...]],
    array: Array,
    names: Sequence[str],
) -> dict[str, Any]:
    scores = array[:, list(names).index("rouge1")]
    positions = array[:, list(names).index("position")]
    return {
        "positions": [round(float(value), 4) for value in positions if not np.isnan(value)],
        "answers": {row.id: list(told) for row, told in zip(rows, answers, strict=True)},
        "worst": [
            {
                "id": rows[index].id,
                "rouge1": float(scores[index]),
                "summary": list(answers[index]),
                "reference": list(rows[index].highlights),
            }
            for index in np.argsort(scores, kind="stable")[:_WORST]
        ],
    }
