"""``tocsin evaluate``: models side by side, with intervals, into a report."""

import os
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from tocsin_serving.commands.shared import EXIT_GATE, check_extra
from tocsin_serving.options import Columns, Device, MaxSentences, MaxWords, Threads

# What the extra adds and its code imports.
_EVAL_MODULES = ("datasets", "rouge_score", "sklearn", "sumy", "yaml")

EVALUATE_CODES = (
    "Exit codes: 0 the report is written; 1 it is, and the candidate does not pass the gate; "
    "2 data, a subject or an option cannot be used (standard error says why); 130 interrupted: "
    "run it again and it goes on. A service that asks for a key gets the one in TOCSIN_KEY."
)


def evaluate(
    subjects: Annotated[
        list[str],
        typer.Argument(
            metavar="SUBJECT...",
            help="What is measured, the candidate first: default, a model directory, a Hub id, "
            "tfidf:FILE, keywords, lead-3, textrank, lexrank, oracle, a file of predictions, or "
            "the URL of a running service. NAME=SUBJECT names one.",
        ),
    ],
    data: Annotated[
        list[str],
        typer.Option(
            metavar="FILE...",
            help="Labelled passages, or articles with reference summaries: JSONL, CSV, TSV, "
            "Parquet, .gz, .zst, or a datasets id.",
        ),
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for the report.")],
    gate: Annotated[
        Path | None,
        typer.Option(metavar="FILE.yaml", help="Rules the candidate has to keep; exit code 1."),
    ] = None,
    columns: Columns = None,
    slice_by: Annotated[
        list[str] | None, typer.Option(metavar="COLUMN", help="Also tell parts by this column.")
    ] = None,
    suites: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Behaviour suites, instead of the ones of Tocsin."),
    ] = None,
    no_suites: Annotated[bool, typer.Option("--no-suites", help="Leave behaviour out.")] = False,
    no_cost: Annotated[bool, typer.Option("--no-cost", help="Leave speed and memory out.")] = False,
    bertscore: Annotated[
        str | None, typer.Option(metavar="MODEL", help="Also BERTScore, with this encoder.")
    ] = None,
    nli: Annotated[
        str | None, typer.Option(metavar="MODEL", help="Also NLI support, with this model.")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first N rows.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of resampling and of fitted baselines.")] = 0,
    resamples: Annotated[
        int, typer.Option(min=100, help="Bootstrap resamples; 10,000 steady the third digit.")
    ] = 10_000,
    max_sentences: MaxSentences = None,
    max_words: MaxWords = None,
    device: Device = "auto",
    dtype: Annotated[
        Literal["auto", "f32", "bf16", "int8"],
        typer.Option(help="Precision of the models; auto is what they are meant to run in."),
    ] = "auto",
    batch_size: Annotated[
        int | None,
        typer.Option(min=16, metavar="TOKENS", help="Tokens a batch holds, instead of the usual."),
    ] = None,
    threads: Threads = None,
    quiet: Annotated[
        bool, typer.Option("--quiet", help="Print no progress and no verdict.")
    ] = False,
) -> None:
    """Measure models side by side: is the first better, for whom, and how sure are we?

    Writes report.html, report.md and report.json into --out. Answers are kept there too: run again,
    it takes seconds; killed, it goes on.

    Example: tocsin evaluate default keywords --data eval/golden/golden.jsonl --out report

    Example: tocsin evaluate my-model default --data dev.csv --columns text=Headline,labels=Topic
    --out report --gate gate.yaml
    """
    check_extra("eval", _EVAL_MODULES)
    from contextlib import ExitStack, closing

    from rich.console import Console

    from tocsin_eval.columns import parse_columns
    from tocsin_eval.command import Request, gate_of, run_evaluation
    from tocsin_eval.evaluate import Settings
    from tocsin_eval.subjects import SubjectOptions
    from tocsin_eval.suites import SUITES
    from tocsin_eval.summaries import SummaryScorers
    from tocsin_models.analyse import Options
    from tocsin_serving.endpoint import Endpoint

    names = parse_columns(columns or [])
    request = Request(
        words=tuple(subjects),
        data=tuple(data),
        out=out,
        command=("tocsin", *sys.argv[1:]),
        columns=names,
        gate=gate,
        limit=limit,
        subject_options=SubjectOptions(
            device=device,
            threads=threads,
            precision=dtype,
            batch_tokens=batch_size,
            options=Options(max_sentences=max_sentences, max_words=max_words),
            columns=names,
            seed=seed,
        ),
        settings=Settings(
            seed=seed,
            resamples=resamples,
            slice_by=tuple(slice_by or ()),
            suites=None if no_suites else suites or SUITES,
            cost=not no_cost,
            scorers=SummaryScorers(bertscore=bertscore, nli=nli),
        ),
        is_quiet=quiet,
    )
    with ExitStack() as endpoints:

        def connect(url: str) -> Endpoint:
            key = os.environ.get("TOCSIN_KEY") or None
            return endpoints.enter_context(closing(Endpoint(url, key, max_sentences, max_words)))

        record = run_evaluation(request, connect, Console())
    if not gate_of(record):
        raise typer.Exit(EXIT_GATE)
