"""``tocsin evaluate``, behind its options: open what was named, measure, write the report."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress as ProgressBar

from tocsin_eval.data import EvaluationData, read_evaluation
from tocsin_eval.evaluate import Settings, evaluate
from tocsin_eval.gate import read_gate
from tocsin_eval.output import check_folder, write_report
from tocsin_eval.provenance import data_source, describe_run
from tocsin_eval.report_html import render_html
from tocsin_eval.report_markdown import render_markdown
from tocsin_eval.store import Progress, Store
from tocsin_eval.subjects import Endpoint, Subject, SubjectOptions, open_subjects
from tocsin_eval.tables import Source

ANSWERS_CACHE = "cache"
INCUMBENT = "incumbent"


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What was asked for on the command line; ``words`` name the subjects, ``command`` is all that
    was typed. ``limit`` takes the first rows of either kind."""

    words: tuple[str, ...]
    data: tuple[Source, ...]
    out: Path
    command: tuple[str, ...]
    columns: Mapping[str, str] = field(default_factory=dict)
    gate: Path | None = None
    limit: int | None = None
    subject_options: SubjectOptions = field(default_factory=SubjectOptions)
    settings: Settings = field(default_factory=Settings)
    is_quiet: bool = False


def run_evaluation(
    request: Request, connect: Callable[[str], Endpoint], console: Console
) -> dict[str, Any]:
    """Evaluate, write the report's files into ``request.out``, print the verdict, and return the
    record.

    Raises:
        TocsinError: something named cannot be used; no report is written then. Answers that were
            already given are kept, and a later run goes on from there.
    """
    gate = read_gate(request.gate) if request.gate else None
    check_folder(request.out)
    everything = read_evaluation(request.data, request.columns)
    data = _first(everything, request.limit)
    words = list(request.words)
    if gate is not None and gate.incumbent is not None:
        words.append(f"{INCUMBENT}={gate.incumbent}")
    show = _bars(request.is_quiet)
    with show("opening the subjects", None):
        subjects = open_subjects(words, request.subject_options, connect, data.passages)
        subjects = _without_the_rest(subjects, everything, data)
    record = evaluate(
        subjects,
        data,
        request.subject_options,
        request.settings,
        Store(request.out / ANSWERS_CACHE),
        show,
        gate,
    )
    record["provenance"] = _provenance(request, data, subjects)
    with show("drawing the report", None):
        write_report(request.out, record, render_html(record), render_markdown(record))
    if not request.is_quiet:
        for sentence in record["verdict"]:
            console.print(sentence, soft_wrap=True, markup=False, highlight=False)
        console.print(
            f"Report: {request.out / 'report.html'} (and .md, .json)",
            soft_wrap=True,
            markup=False,
            highlight=False,
        )
    return record


def gate_of(record: Mapping[str, Any]) -> bool:
    """Whether the candidate may pass; true without a gate."""
    return record["gate"] is None or bool(record["gate"]["passed"])


def _first(data: EvaluationData, limit: int | None) -> EvaluationData:
    if limit is None:
        return data
    return replace(data, passages=data.passages[:limit], summaries=data.summaries[:limit])


def _without_the_rest(
    subjects: Sequence[Subject], everything: EvaluationData, data: EvaluationData
) -> list[Subject]:
    """Predictions of rows that are known but boilerplate, or past the limit, are no mistake."""
    known = everything.left_out | {row.id for row in everything.passages}
    rest = known - {row.id for row in data.passages}
    return [
        replace(subject, predictions=subject.predictions.without(rest))
        if subject.predictions
        else subject
        for subject in subjects
    ]


def _provenance(
    request: Request, data: EvaluationData, subjects: Sequence[Subject]
) -> dict[str, Any]:
    rows = len(data.passages) + len(data.summaries)
    sources = [data_source("data", request.data, rows)]
    models = {subject.name: subject.revision for subject in subjects}
    run = describe_run(request.command, sources, request.settings.seed, models)
    return run.to_record() | {"memory_gib": _memory_gib()}


def _memory_gib() -> float | None:
    if not hasattr(os, "sysconf"):
        return None
    return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30), 1)


def _bars(is_quiet: bool) -> Any:
    """Opens a progress bar on standard error, so that what is printed can be piped."""

    @contextmanager
    def show(what: str, total: int | None) -> Iterator[Progress]:
        console = Console(stderr=True)
        # Into a log, a bar would write an empty line a step.
        if is_quiet or not console.is_terminal:
            yield lambda done: None
            return
        with ProgressBar(console=console, transient=True) as bar:
            task = bar.add_task(what, total=total)
            yield lambda done: bar.advance(task, done)

    return show
