"""The main path: subjects and data in, a report out that says who is better, for whom, how sure.

``evaluate`` asks every subject (answers are kept, so a killed run goes on), measures, compares the
first with all others, holds it against the gate, and returns the record that ``report.json`` is.
"""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field, is_dataclass
from pathlib import Path
from typing import Any

from tocsin_eval.answers import Classified, KeptClassifier, align, classify, sha256, summarise
from tocsin_eval.bootstrap import RESAMPLES, Interval
from tocsin_eval.cost import Cost, measure_cost
from tocsin_eval.data import EvaluationData, LabelledPassage, ReferenceSummary
from tocsin_eval.findings import find_confusion, find_curves, find_label_noise, find_worst
from tocsin_eval.gate import GateResult, GateRules, hold
from tocsin_eval.numbers import Numbers, measure_classifiers
from tocsin_eval.slices import built_in_slices, measure_slices
from tocsin_eval.store import Progress, Store
from tocsin_eval.subjects import Subject, SubjectOptions, common_labels
from tocsin_eval.suites import SuiteResult, read_suites, run_suites, wilson
from tocsin_eval.summaries import SummaryScorers, measure_summaries
from tocsin_eval.verdict import give_verdict
from tocsin_models.errors import ConfigError

SCHEMA = "tocsin-report/1"

# Opens a progress bar: what is done, and of how many.
Show = Callable[[str, int | None], AbstractContextManager[Progress]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How to measure. ``slice_by`` are columns of the data; ``suites`` is None where behaviour is
    not to be tested; ``cost`` whether speed and memory are measured."""

    seed: int = 0
    resamples: int = RESAMPLES
    slice_by: tuple[str, ...] = ()
    suites: Path | None = None
    cost: bool = True
    scorers: SummaryScorers = field(default_factory=SummaryScorers)


def evaluate(
    subjects: Sequence[Subject],
    data: EvaluationData,
    options: SubjectOptions,
    settings: Settings,
    store: Store,
    show: Show,
    gate: GateRules | None = None,
) -> dict[str, Any]:
    """The report's record: numbers, strings, lists and objects only, None for what does not exist.

    The first subject is the candidate; what it has more than each of the others is told with tests.

    Raises:
        ConfigError: the subjects do not fit each other, or the gate asks for what was not measured.
        TocsinError: a subject cannot be asked.
    """
    classifying = [subject for subject in subjects if data.passages and subject.classifies]
    summarising = [subject for subject in subjects if data.summaries and subject.summarises]
    for subject in subjects:
        if subject not in classifying and subject not in summarising:
            has = "passages with labels" if data.passages else "articles with summaries"
            raise ConfigError("subjects", [f"{subject.name!r} has no answer to {has}"])
    seconds: dict[str, float] = {}
    records: dict[str, dict[str, Any]] = {subject.name: _describe(subject) for subject in subjects}
    comparisons: list[dict[str, Any]] = []
    if classifying:
        _classification(
            classifying,
            data.passages,
            options,
            settings,
            store,
            show,
            records,
            comparisons,
            seconds,
        )
    if summarising:
        with _timed(seconds, "summaries"):
            answers = _ask_summaries(summarising, data.summaries, options, store, show)
        with _timed(seconds, "summary numbers"), show("measuring summaries", None):
            found = measure_summaries(data.summaries, answers, settings.scorers, settings)
        for index, subject in enumerate(summarising):
            records[subject.name]["metrics"] |= found.numbers.metrics[index]
            records[subject.name]["summaries"] = found.shown[index]
        comparisons += _comparisons(summarising, found.numbers)
    record: dict[str, Any] = {
        "schema": SCHEMA,
        "data": _describe_data(data),
        "subjects": list(records.values()),
        "comparisons": comparisons,
        "gate": None,
        "seconds": seconds,
        "seed": settings.seed,
        "resamples": settings.resamples,
    }
    if gate is not None:
        result = _hold(gate, subjects, records, comparisons)
        record["gate"] = asdict(result) | {"passed": result.passed, "source": gate.source}
    plain: dict[str, Any] = _plain(record)
    return {**plain, "verdict": give_verdict(plain)}


def _classification(
    subjects: Sequence[Subject],
    passages: Sequence[LabelledPassage],
    options: SubjectOptions,
    settings: Settings,
    store: Store,
    show: Show,
    records: Mapping[str, dict[str, Any]],
    comparisons: list[dict[str, Any]],
    seconds: dict[str, float],
) -> None:
    """Fills in what the subjects do on passages: numbers, parts, behaviour, doubts, cost."""
    labels = common_labels(subjects, passages)
    slices = built_in_slices(passages, settings.slice_by)
    with (
        _timed(seconds, "scoring"),
        show("scoring passages", len(subjects) * len(passages)) as tick,
    ):
        answers = align(
            [classify(subject, passages, labels, options, store, tick) for subject in subjects]
        )
    with _timed(seconds, "numbers"), show("resampling", None):
        numbers = measure_classifiers(
            [answer.predictions for answer in answers],
            seed=settings.seed,
            resamples=settings.resamples,
        )
        for subject, answer, metrics in zip(subjects, answers, numbers.metrics, strict=True):
            records[subject.name] |= _classified(answer, passages)
            records[subject.name]["metrics"] = dict(metrics)
            parts = measure_slices(answer.predictions, slices, seed=settings.seed)
            records[subject.name]["slices"] = parts
    comparisons += _comparisons(subjects, numbers)
    if settings.suites is not None:
        suites = read_suites(settings.suites)
        with _timed(seconds, "behaviour"), show("behaviour suites", len(subjects)) as tick:
            for subject in subjects:
                if subject.classifier is not None:
                    results, skipped = run_suites(KeptClassifier(subject, options, store), suites)
                    records[subject.name]["behaviour"] = _behaviour(results, skipped)
                    records[subject.name]["metrics"] |= _behaviour_metrics(results)
                tick(1)
    if settings.cost:
        with _timed(seconds, "cost"), show("speed and memory", len(subjects)) as tick:
            for subject in subjects:
                cost = _cost(subject, [row.text for row in passages], options, store)
                records[subject.name]["cost"] = cost
                tick(1)


def _cost(
    subject: Subject, texts: Sequence[str], options: SubjectOptions, store: Store
) -> Cost | None:
    """What a subject costs, measured once: on another day the machine may be busier."""
    key = {"task": "cost", "data": sha256(texts), "threads": str(options.threads), **options.key()}
    kept = store.answers(
        {**key, "subject": subject.revision},
        [texts],
        lambda: ({}, lambda rows: [_plain(measure_cost(subject, rows[0], options))]),
        at_once=1,
    )
    return Cost(**kept.answers[0]) if kept.answers[0] else None


def _ask_summaries(
    subjects: Sequence[Subject],
    rows: Sequence[ReferenceSummary],
    options: SubjectOptions,
    store: Store,
    show: Show,
) -> list[list[tuple[str, ...]]]:
    with show("summarising articles", len(subjects) * len(rows)) as tick:
        return [summarise(subject, rows, options, store, tick) for subject in subjects]


def _describe(subject: Subject) -> dict[str, Any]:
    return {
        "name": subject.name,
        "kind": subject.kind,
        "revision": subject.revision,
        "precision": "",
        "device": "",
        "thresholds": {},
        "is_single_label": False,
        "metrics": {},
        "curves": {},
        "confusion": None,
        "slices": [],
        "behaviour": None,
        "worst": [],
        "label_noise": [],
        "summaries": None,
        "cost": None,
    }


def _classified(answer: Classified, passages: Sequence[LabelledPassage]) -> dict[str, Any]:
    found = answer.predictions
    return {
        "precision": answer.precision,
        "device": answer.device,
        "thresholds": dict(answer.thresholds),
        "is_single_label": found.is_single_label,
        "curves": find_curves(found),
        "confusion": find_confusion(found),
        "worst": find_worst(found, passages),
        "label_noise": find_label_noise(found, passages),
        "answers": {
            row.id: {
                "scores": dict(zip(found.labels, map(float, scores), strict=True)),
                "labels": [
                    label for label, given in zip(found.labels, decided, strict=True) if given
                ],
                # Measured again they are asked the same questions.
                **({"single_label": True} if found.is_single_label else {}),
            }
            for row, scores, decided in zip(passages, found.scores, found.decided, strict=True)
        },
    }


def _behaviour(results: Sequence[SuiteResult], skipped: Sequence[str]) -> dict[str, Any]:
    """The suites, the worst first, each with its failures."""
    ordered = sorted(results, key=lambda result: result.share.value)
    return {
        "skipped": list(skipped),
        "suites": [
            {
                "name": result.suite.name,
                "kind": result.suite.kind,
                "ruling": result.suite.ruling,
                "label": result.suite.label,
                "cases": len(result.suite.cases),
                "passed": result.passed,
                "share": result.share,
                "pairs": result.pairs,
                "pairs_passed": result.pairs_passed,
                "also": result.also,
                "also_right": result.also_right,
                "failures": result.failures,
            }
            for result in ordered
        ],
    }


def _behaviour_metrics(results: Sequence[SuiteResult]) -> dict[str, Interval]:
    """The share of cases that pass, over all suites and by kind; of minimal pairs with both right.
    Intervals are Wilson's."""
    found: dict[str, Interval] = {}
    groups: dict[str, list[SuiteResult]] = {"behaviour": list(results)}
    for result in results:
        name = "behaviour_" + result.suite.kind.replace("-", "_")
        groups.setdefault(name, []).append(result)
    for name, members in groups.items():
        cases = sum(len(result.suite.cases) for result in members)
        found[name] = wilson(sum(result.passed for result in members), cases)
    if pairs := sum(result.pairs for result in results):
        passed = sum(result.pairs_passed for result in results)
        found["behaviour_pairs"] = wilson(passed, pairs)
    return found


def _comparisons(subjects: Sequence[Subject], numbers: Numbers) -> list[dict[str, Any]]:
    return [
        {"first": subjects[0].name, "second": other.name, "numbers": list(differences.values())}
        for other, differences in zip(subjects[1:], numbers.differences, strict=True)
    ]


def _hold(
    gate: GateRules,
    subjects: Sequence[Subject],
    records: Mapping[str, dict[str, Any]],
    comparisons: Sequence[Mapping[str, Any]],
) -> GateResult:
    """The first subject against the last, which is the incumbent where the gate names one."""
    candidate = subjects[0].name
    incumbent = subjects[-1].name if gate.incumbent is not None else None
    differences = {
        item.name: item
        for comparison in comparisons
        if comparison["first"] == candidate and comparison["second"] == incumbent
        for item in comparison["numbers"]
    }
    return hold(gate, candidate, records[candidate]["metrics"], incumbent, differences)


def _describe_data(data: EvaluationData) -> dict[str, Any]:
    counts: dict[str, int] = {}
    for passage in data.passages:
        for label in passage.labels:
            counts[label] = counts.get(label, 0) + 1
    total = len(data.passages)
    return {
        "passages": total,
        "articles": len({passage.article for passage in data.passages}),
        "labels": dict(sorted(counts.items())),
        "cardinality": sum(counts.values()) / total if total else None,
        "summaries": len(data.summaries),
    }


class _timed:  # noqa: N801 - reads as a statement
    """Adds the seconds that a block takes."""

    def __init__(self, seconds: dict[str, float], name: str) -> None:
        self._seconds, self._name = seconds, name

    def __enter__(self) -> None:
        self._started = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        self._seconds[self._name] = round(time.perf_counter() - self._started, 3)


def _plain(value: Any) -> Any:
    """What JSON can hold: records as objects, NaN as null."""
    if is_dataclass(value) and not isinstance(value, type):
        return _plain(asdict(value))
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value
