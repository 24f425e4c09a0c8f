"""Speed, measured against the ``transformers`` pipeline and against what the machine can do.

    make bench            or   python -m tocsin_eval.bench [--model DIR] [--threads N]

Exit code 1 where scoring is less than six times as fast as the pipeline, or a second start of
``tocsin analyse`` takes over 1.5 s or imports torch or transformers (the targets of issue 2).
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from rich import box
from rich.console import Console
from rich.table import Table

from tocsin_eval.data import LabelledPassage, read_passages
from tocsin_eval.provenance import available_cores, data_source, describe_run
from tocsin_eval.speed import (
    REPEATS,
    STARTS,
    Limit,
    Scoring,
    Start,
    measure_limit,
    measure_scoring,
    measure_start,
)
from tocsin_models.errors import DataError, TocsinError

LEAST_RATIO = 6.0
MOST_START_S = 1.5

CORPUS = Path("training/corpus")
PASSAGES = 1_000


def main(arguments: Sequence[str] | None = None) -> int:
    words = list(sys.argv[1:] if arguments is None else arguments)
    options = _parser().parse_args(words)
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    console = Console(width=160, highlight=False)
    progress = Console(stderr=True)
    try:
        files = sorted(options.corpus.glob("*.jsonl"))
        rows = read_passages(files) if files else []
        if not rows:
            raise DataError(f"{options.corpus}: no *.jsonl there; run this in the repository")
        with progress.status(f"scoring passages {REPEATS} times, with both"):
            scoring, info = measure_scoring(
                options.model, spread(rows, options.passages), options.threads
            )
        with progress.status(f"starting tocsin {STARTS} times"):
            start = measure_start(first_article(rows))
        with progress.status("multiplying matrices"):
            limit = measure_limit()
    except TocsinError as error:
        print(f"tocsin_eval.bench: {error}", file=sys.stderr)
        return 2
    _print(console, scoring, start, limit, options.threads)
    source = data_source("passages", files, scoring.passages)
    if load is not None:
        console.print(
            f"load      {load:.1f} before the run; other processes make every figure worse"
        )
    describe_run(
        ["python", "-m", "tocsin_eval.bench", *words], [source], 0, {info.name: info.revision}
    ).print(console)
    problems = failures(scoring, start)
    for problem in problems:
        console.print(f"FAILED: {problem}", soft_wrap=True)
    return 1 if problems else 0


def spread(rows: Sequence[LabelledPassage], count: int) -> list[str]:
    """``count`` texts evenly spaced over the rows, so that every author and genre is among them."""
    count = min(count, len(rows))
    return [rows[index * len(rows) // count].text for index in range(count)]


def first_article(rows: Sequence[LabelledPassage]) -> str:
    """The first article as plain text, a blank line between paragraphs."""
    return "\n\n".join(row.text for row in rows if row.article == rows[0].article)


def failures(scoring: Scoring, start: Start) -> list[str]:
    """What misses its target, a line each."""
    problems = []
    if scoring.ratio < LEAST_RATIO:
        problems.append(f"scoring is {scoring.ratio:.2f} times the pipeline, target {LEAST_RATIO}")
    if median(start.seconds) > MOST_START_S:
        problems.append(
            f"a second start takes {median(start.seconds):.2f} s, target at most {MOST_START_S}"
        )
    if start.heavy:
        problems.append(f"a second start imports {', '.join(start.heavy)}, target none of them")
    return problems


def _print(
    console: Console, scoring: Scoring, start: Start, limit: Limit, threads: int | None
) -> None:
    ours, theirs = median(scoring.ours_s), median(scoring.pipeline_s)
    rate = scoring.flops / ours
    table = Table(box=box.MARKDOWN)
    for heading in ("what", "measured", "repeats"):
        table.add_column(heading, no_wrap=True)
    for what, measured, repeats in (
        (
            f"transformers pipeline, {scoring.pipeline_dtype}, batch 1",
            f"{scoring.passages / theirs:.0f} passages/s",
            each(scoring.pipeline_s),
        ),
        (
            f"tocsin, {scoring.precision}",
            f"{scoring.passages / ours:.0f} passages/s",
            each(scoring.ours_s),
        ),
        ("tocsin against the pipeline", f"{scoring.ratio:.2f} times", "ratio of medians"),
        ("largest difference of a probability", f"{scoring.largest_difference:.4f}", ""),
        (
            "tocsin analyse, one article, second start",
            f"{median(start.seconds):.2f} s",
            each(start.seconds),
        ),
        ("  imports torch or transformers", ", ".join(start.heavy) or "no", "-X importtime"),
        ("matrix product, numpy f32", f"{limit.numpy_f32 / 1e9:.0f} GFLOP/s", "best of 5"),
        ("matrix product, torch f32", f"{limit.torch_f32 / 1e9:.0f} GFLOP/s", "best of 5"),
        ("matrix product, torch bf16", f"{limit.torch_bf16 / 1e9:.0f} GFLOP/s", "best of 5"),
        (
            "the model, per token",
            f"{scoring.flops / scoring.tokens / 1e6:.1f} MFLOP",
            f"{scoring.tokens / scoring.passages:.1f} tokens a passage, padding not counted",
        ),
        (
            f"scoring, of what {scoring.precision} can do here",
            f"{100 * rate / limit.of(scoring.precision):.0f}%",
            f"{rate / 1e9:.0f} GFLOP/s in {scoring.precision}",
        ),
        (
            "threads, tocsin",
            str(threads) if threads else "all physical cores",
            f"{available_cores()} cores to run on",
        ),
        ("threads, pipeline", str(scoring.pipeline_threads), "torch's default"),
    ):
        table.add_row(what, measured, repeats)
    console.print(table)


def each(seconds: Sequence[float]) -> str:
    """The repeats behind a median, as tables show them."""
    return "median of " + ", ".join(f"{second:.2f}" for second in seconds) + " s"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tocsin_eval.bench", description="Measure speed on this machine's CPU."
    )
    parser.add_argument("--model", type=Path, help="classifier directory (default: the embedded)")
    parser.add_argument("--threads", type=int, help="CPU threads for tocsin (default: all cores)")
    parser.add_argument("--passages", type=int, default=PASSAGES, help="how many are scored")
    parser.add_argument("--corpus", type=Path, default=CORPUS, help="folder of *.jsonl")
    return parser


if __name__ == "__main__":
    sys.exit(main())
