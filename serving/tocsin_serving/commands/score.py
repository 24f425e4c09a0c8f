"""``tocsin score``: an archive in, a folder of results out."""

import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from tocsin_serving.commands.loading import absolute, load_models
from tocsin_serving.commands.shared import EXIT_REJECTS, check_extra
from tocsin_serving.options import (
    Device,
    Focus,
    MaxSentences,
    MaxWords,
    Model,
    StrictLanguage,
    Style,
    SummariserModel,
    Threads,
    at_least_one,
)

if TYPE_CHECKING:
    pass

_ROWS, _ANSWERS, _RESULTS, _CLUSTER = "Rows", "Answers", "Results", "Cluster"


def score(
    places: Annotated[
        list[str],
        typer.Argument(
            metavar="IN... OUT",
            help="What to read, then the folder for the results. IN is a file, a folder, a glob in "
            "quotation marks, - for standard input, an address (s3://…) or datasets:ORG/NAME.",
        ),
    ],
    unit: Annotated[
        Literal["article", "passage"],
        typer.Option(
            help="What a row's text is: an article, or one passage to be labelled as is.",
            rich_help_panel=_ROWS,
        ),
    ] = "article",
    text_column: Annotated[
        str, typer.Option(metavar="NAME", help="Column of the text.", rich_help_panel=_ROWS)
    ] = "text",
    id_column: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Column of the id; without it, id, or the row's number where there is none.",
            rich_help_panel=_ROWS,
        ),
    ] = None,
    where: Annotated[
        list[str] | None,
        typer.Option(
            metavar="COLUMN=VALUE",
            help="Only rows for which this holds; also !=, <, <=, >, >=. Numbers compare as "
            "numbers, dates as 2024-05-31. May be given again; all must hold.",
            rich_help_panel=_ROWS,
        ),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            callback=at_least_one,
            help="Read only the first N rows.",
            rich_help_panel=_ROWS,
        ),
    ] = None,
    only: Annotated[
        Literal["classify", "summarise"] | None,
        typer.Option(help="Leave the other half out.", rich_help_panel=_ANSWERS),
    ] = None,
    threshold: Annotated[
        list[str] | None,
        typer.Option(
            metavar="LABEL=NUMBER",
            help="Score from which a label is set, instead of the model's; may be given again.",
            rich_help_panel=_ANSWERS,
        ),
    ] = None,
    max_sentences: MaxSentences = None,
    max_words: MaxWords = None,
    style: Style = None,
    focus: Focus = None,
    strict_language: StrictLanguage = False,
    format: Annotated[
        Literal["parquet", "jsonl"],
        typer.Option(
            help="Of the files in OUT. JSONL rows are the whole record; Parquet has it in columns, "
            "with flat ones beside it.",
            rich_help_panel=_RESULTS,
        ),
    ] = "parquet",
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            metavar="FILE.jsonl",
            help="All rows in one file too, in the order of the input. With one IN, OUT may be "
            "left out; it is then FILE.jsonl.run.",
            rich_help_panel=_RESULTS,
        ),
    ] = None,
    max_rejects: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=0,
            help="Stop once more rows than this are rejected; what is scored is kept.",
            rich_help_panel=_RESULTS,
        ),
    ] = None,
    retry_rejects: Annotated[
        bool,
        typer.Option(
            "--retry-rejects",
            help="Score OUT/rejects.jsonl again, once you have mended its raw rows; name OUT only.",
            rich_help_panel=_RESULTS,
        ),
    ] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", help="No progress and no counts on standard error.")
    ] = False,
    engine: Annotated[
        Literal["embedded", "ray"],
        typer.Option(
            help="Score in this process, or by workers on Ray; the results are the same.",
            rich_help_panel=_CLUSTER,
        ),
    ] = "embedded",
    address: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT",
            help="Ray cluster to use, auto on a machine of one; without it, one is started here.",
            rich_help_panel=_CLUSTER,
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            callback=at_least_one,
            help="Workers, each with models of its own on a GPU or on --threads cores (here 1); "
            "without it, as many as the cluster has room for.",
            rich_help_panel=_CLUSTER,
        ),
    ] = None,
    model: Model = None,
    summariser: SummariserModel = None,
    device: Device = "auto",
    threads: Threads = None,
) -> None:
    """Score an archive: every row is answered, rejected with the reason, or filtered on request.

    IN is JSON Lines, CSV, TSV, Parquet, plain text or HTML (a file a row), compressed or not.
    A run that was stopped, killed or out of disk goes on with the same command. Rows that cannot
    be scored go to OUT/rejects.jsonl with the reason; then the exit code is 3.

    Example: tocsin score archive.jsonl results/

    Example: tocsin score 'wire/*.csv.gz' results/ --text-column body --where 'date>=2024-05'

    Example: tocsin score passages.jsonl -o labels.jsonl --unit passage
    """
    from tocsin_serving.archive.asked import Asked, parse_thresholds
    from tocsin_serving.archive.run import How, print_counts, score_archive
    from tocsin_serving.archive.scoring import Models

    *names, last = places
    if not names:
        if output is None and not retry_rejects:
            raise typer.BadParameter("name a folder OUT for the results, or a file with -o")
        names, last = ([], last) if retry_rejects else ([last], f"{output}.run")
    out = Path(last)
    asked = Asked(
        unit=unit,
        only=only,
        text_column=text_column,
        id_column=id_column,
        thresholds=parse_thresholds(threshold or []),
        max_sentences=max_sentences,
        max_words=max_words,
        style=style,
        focus=tuple(focus or ()),
        strict_language=strict_language,
        where=tuple(where or ()),
        limit=limit,
        format=format,
    )
    asked.check(has_model=model is not None, has_summariser=summariser is not None)

    def load(wanted: Asked) -> Models:
        return load_models(wanted, model, summariser, device, threads)

    how = How(max_rejects=max_rejects, is_quiet=quiet)
    if engine != "ray" and (address or workers):
        raise typer.BadParameter("--address and --workers need --engine ray")
    try:
        if retry_rejects and engine == "ray":
            raise typer.BadParameter("--retry-rejects scores here; leave --engine out")
        if retry_rejects:
            from tocsin_serving.archive.retry import retry_rejects as retry

            if names or output:
                raise typer.BadParameter("--retry-rejects takes OUT alone, and makes no -o FILE")
            counts = retry(out, asked, load)
        elif engine == "ray":
            check_extra("cluster", ("ray",))
            from tocsin_serving.archive.cluster import Cluster, RayEngine

            with Cluster(
                address=address, workers=workers, device=device, threads=threads or 1
            ) as cluster:
                ray_engine = RayEngine(
                    cluster, partial(load_models, asked, absolute(model), absolute(summariser))
                )
                how = replace(how, engine=ray_engine.score, engine_name="ray")
                counts = score_archive(names, out, asked, ray_engine.load, output, how)
        else:
            counts = score_archive(names, out, asked, lambda: load(asked), output, how)
    except KeyboardInterrupt:
        print("tocsin: interrupted; run the same command again to go on", file=sys.stderr)
        raise
    if not quiet:
        print_counts(counts, out)
    if counts.rejected:
        raise typer.Exit(EXIT_REJECTS)
