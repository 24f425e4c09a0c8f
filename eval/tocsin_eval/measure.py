"""Print how good a model is, beside its baseline, with intervals and all it takes to do it again.

    python -m tocsin_eval.measure classifier --data FILE… --train FILE… [--model DIR]
    python -m tocsin_eval.measure summariser --data FILE [--limit N] [--model DIR]
    python -m tocsin_eval.measure                 both, on the data beside the repository

Tables are Markdown, ready for a README; ``--json FILE`` writes the same numbers.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.progress import Progress as ProgressBar
from rich.table import Table

from tocsin_eval.bootstrap import RESAMPLES, Interval
from tocsin_eval.compare import (
    ROUGE_NAMES,
    ClassifierComparison,
    ClassifierResult,
    Progress,
    SummaryResult,
    compare_classifiers,
    compare_summaries,
)
from tocsin_eval.data import LabelledPassage, read_passages, read_summaries
from tocsin_eval.provenance import Provenance, data_source, describe_run
from tocsin_models.errors import DataError, TocsinError

MODULE = "tocsin_eval.measure"

# Where the data stand in a checkout; third-party text is beside the repository, never in it.
CORPUS = Path("training/corpus")
SHARED = Path("../shared/data")


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line: 0, or 2 with one line on standard error where the caller can mend it."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    options = _parser().parse_args(words)
    console = Console(width=160, highlight=False)
    tasks = {"classifier": measure_classifier, "summariser": measure_summariser}
    chosen = [options.task] if options.task else list(tasks)
    try:
        for task in chosen:
            line = words if options.task else [task]
            settings = options if options.task else _parser().parse_args(line)
            tasks[task](settings, line, console)
    except TocsinError as error:
        print(f"tocsin_eval.measure: {error}", file=sys.stderr)
        return 2
    return 0


def measure_classifier(
    options: argparse.Namespace, words: Sequence[str], console: Console
) -> ClassifierComparison:
    """Fit the baseline, load the model, print the table."""
    from tocsin_models.baseline import TfidfClassifier
    from tocsin_models.classifier import load_classifier

    rows = read_passages(options.data)
    train = read_passages(options.train or default_training_files())
    train, left_out = without(train, rows)
    model = load_classifier(options.model, device=options.device, threads=options.threads)
    with _bar("fitting the TF-IDF baseline", None):
        baseline = TfidfClassifier.fit(
            [row.text for row in train],
            [row.labels for row in train],
            [row.article for row in train],
            model.labels,
            options.seed,
        )
    with _bar("scoring passages", 2 * len(rows)) as progress:
        comparison = compare_classifiers(
            baseline,
            model,
            rows,
            seed=options.seed,
            resamples=options.resamples,
            progress=progress,
        )
    infos = (comparison.baseline.info, comparison.model.info)
    sources = [
        data_source("data", options.data, len(rows)),
        data_source("train", options.train or default_training_files(), len(train)),
    ]
    run = describe_run(
        MODULE, words, sources, options.seed, {info.name: info.revision for info in infos}
    )
    print_classifiers(comparison, console)
    if left_out:
        console.print(f"left out of --train, because --data has the same text: {left_out}\n")
    run.print(console)
    _write_json(options.json, asdict(comparison), run)
    return comparison


def measure_summariser(
    options: argparse.Namespace, words: Sequence[str], console: Console
) -> list[SummaryResult]:
    """Load the model, print lead-3, the oracle and the model."""
    from tocsin_models.summariser import load_summariser

    rows = read_summaries(options.data, options.limit)
    model = load_summariser(options.model, device=options.device, threads=options.threads)
    with _bar("summarising articles", len(rows)) as progress:
        results = compare_summaries(
            model, rows, seed=options.seed, resamples=options.resamples, progress=progress
        )
    sources = [data_source("data", [options.data], len(rows))]
    run = describe_run(MODULE, words, sources, options.seed, {model.info.name: model.info.revision})
    print_summaries(results, len(rows), console)
    run.print(console)
    _write_json(options.json, {"rows": len(rows), "systems": [asdict(r) for r in results]}, run)
    return results


def without(
    train: Sequence[LabelledPassage], rows: Sequence[LabelledPassage]
) -> tuple[list[LabelledPassage], int]:
    """Training passages less those whose text is also to be measured on, and how many those are.

    A stock phrase may stand in two articles; an article may not stand on both sides.

    Raises:
        DataError: the two have an article in common.
    """
    shared = {row.article for row in train} & {row.article for row in rows}
    if shared:
        # A baseline that has read the answers makes the comparison worthless.
        raise DataError(
            f"--train and --data have {len(shared)} articles in common ({min(shared)[:80]!r} is "
            "one); take them out of --train"
        )
    texts = {row.text for row in rows}
    kept = [row for row in train if row.text not in texts]
    return kept, len(train) - len(kept)


def print_classifiers(comparison: ClassifierComparison, console: Console) -> None:
    """Two tables and the difference; F1 with its 95% interval in brackets."""
    overall = _table("system", "macro-F1", "micro-F1", "macro-F1 at 0.5", "AP", "Brier", "ECE")
    by_label = _table("system", "label", "carried", "threshold", "precision", "recall", "F1", "AP")
    for result in (comparison.baseline, comparison.model):
        metrics = result.metrics
        overall.add_row(
            result.info.name,
            _range(result.macro_f1, 3),
            _range(result.micro_f1, 3),
            f"{metrics.macro_f1_at_half:.3f}",
            f"{metrics.macro_average_precision:.3f}",
            f"{metrics.brier:.3f}",
            f"{metrics.calibration_error:.3f}",
        )
        _add_labels(by_label, result)
    console.print(overall, by_label)
    console.print(
        f"{comparison.model.info.name} less {comparison.baseline.info.name}: macro-F1 "
        f"{_range(comparison.difference, 3, '+')}, 95% intervals over {comparison.articles} "
        f"articles with {comparison.rows} passages\n",
        soft_wrap=True,
    )


def _add_labels(table: Table, result: ClassifierResult) -> None:
    for item in result.metrics.labels:
        table.add_row(
            result.info.name,
            item.label,
            str(item.support),
            f"{result.info.thresholds[item.label]:.3f}",
            f"{item.precision:.3f}",
            f"{item.recall:.3f}",
            _range(result.f1[item.label], 3),
            f"{item.average_precision:.3f}",
        )


def print_summaries(results: Sequence[SummaryResult], rows: int, console: Console) -> None:
    """Two tables: ROUGE F1 in percent, and the paired differences to lead-3."""
    headings = ("ROUGE-1", "ROUGE-2", "ROUGE-Lsum")
    scores = _table("system", *headings, "sentences")
    over_lead = _table("system", *(f"{name} over lead-3" for name in headings))
    for position, result in enumerate(results):
        cells = [_range(result.scores[name], 2) for name in ROUGE_NAMES]
        scores.add_row(result.name, *cells, f"{result.mean_sentences:.2f}")
        if position:
            cells = [_range(result.over_lead[name], 2, "+") for name in ROUGE_NAMES]
            over_lead.add_row(result.name, *cells)
    console.print(scores, over_lead)
    console.print(f"{rows} articles, 95% intervals over articles\n", soft_wrap=True)


def default_training_files() -> list[Path]:
    """The project's corpus and, where it is there, the real training set beside the repository."""
    real = SHARED / "real" / "train.jsonl"
    return [*sorted(CORPUS.glob("*.jsonl")), *([real] if real.exists() else [])]


def _range(found: Interval, digits: int, sign: str = "") -> str:
    form = f"{sign}.{digits}f"
    return f"{found.value:{form}} ({found.low:{form}} to {found.high:{form}})"


def _table(*headings: str) -> Table:
    table = Table(box=box.MARKDOWN)
    for position, heading in enumerate(headings):
        table.add_column(heading, justify="right" if position else "left", no_wrap=True)
    return table


@contextmanager
def _bar(what: str, total: int | None) -> Iterator[Progress]:
    """A progress bar on standard error, so that what is printed can be piped."""
    with ProgressBar(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=total)
        yield lambda done: bar.advance(task, done)


def _write_json(path: Path | None, numbers: dict[str, Any], run: Provenance) -> None:
    if path is None:
        return
    record = {"run": run.to_record(), **numbers}
    try:
        path.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise DataError(f"{path}: cannot be written ({error.strerror}); choose another") from None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=f"python -m {MODULE}",
        description="Measure a model beside its baseline. Without a task: both, on the data "
        "beside the repository.",
    )
    tasks = parser.add_subparsers(dest="task")
    classifier = tasks.add_parser("classifier", help="F1 per label, beside TF-IDF")
    classifier.add_argument("--data", type=Path, nargs="+", default=[SHARED / "real" / "dev.jsonl"])
    classifier.add_argument(
        "--train", type=Path, nargs="+", help="what the baseline is fitted on (default: the corpus)"
    )
    summariser = tasks.add_parser("summariser", help="ROUGE, beside lead-3 and the oracle")
    summariser.add_argument("--data", type=Path, default=SHARED / "cnndm" / "val.jsonl.zst")
    summariser.add_argument("--limit", type=_above_zero, help="only the first rows")
    for task in (classifier, summariser):
        task.add_argument("--model", type=Path, help="model directory (default: the embedded one)")
        task.add_argument("--device", default="auto", help="auto, cpu or cuda")
        task.add_argument("--threads", type=_above_zero, help="CPU threads (default: all cores)")
        task.add_argument("--seed", type=int, default=0, help="of the draws and of the baseline")
        task.add_argument("--resamples", type=_above_zero, default=RESAMPLES)
        task.add_argument("--json", type=Path, help="also write the numbers here")
    return parser


def _above_zero(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is below 1")
    return number


if __name__ == "__main__":
    sys.exit(main())
