"""``tocsin``: the command line. Everything heavy is imported inside the command that needs it."""

import io
import logging
import os
import sys
import warnings
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from tocsin_models.errors import TocsinError
from tocsin_serving.options import (
    Base,
    Columns,
    Config,
    Dev,
    Device,
    Focus,
    ManyFiles,
    MaxSentences,
    MaxWords,
    Model,
    Out,
    Overrides,
    StrictLanguage,
    Style,
    SummariserModel,
    Threads,
    ThresholdPolicy,
    Train,
    at_least_one,
)

if TYPE_CHECKING:
    from tocsin_models.backends import Hint
    from tocsin_models.protocols import Classifier, Summariser
    from tocsin_serving.archive.asked import Asked
    from tocsin_serving.archive.scoring import Models

EXIT_GATE = 1
EXIT_REFUSED = 2
EXIT_REJECTS = 3

# What the extras add and their code imports.
_EVAL_MODULES = ("datasets", "rouge_score", "sklearn", "sumy", "yaml")
_TRAINING_MODULES = ("accelerate", "rouge_score", "sklearn", "yaml", "zstandard")

_ROWS, _ANSWERS, _RESULTS, _CLUSTER = "Rows", "Answers", "Results", "Cluster"

EXIT_CODES = (
    "Exit codes: 0 all is answered; 2 an input, a model or an option cannot be used (one line on "
    "standard error says why); 3 score wrote some rows to rejects.jsonl; 130 interrupted "
    "(the same score command goes on)."
)
EVALUATE_CODES = (
    "Exit codes: 0 the report is written; 1 it is, and the candidate does not pass the gate; "
    "2 data, a subject or an option cannot be used (standard error says why); 130 interrupted: "
    "run it again and it goes on. A service that asks for a key gets the one in TOCSIN_KEY."
)
LABELS = (
    "Labels of the embedded model: claim, an assertion that the outlet does not vouch for; threat, "
    "harm announced or held out; retaliation, force as an answer to an earlier act; diplomacy, "
    "parties dealing with each other by political means. A passage has any number of them."
)

app = typer.Typer(
    name="tocsin",
    help="Read conflict news: label each passage, and write a summary whose every sentence says "
    "where in the article it stands.\n\n" + LABELS,
    epilog=EXIT_CODES,
    no_args_is_help=True,
    add_completion=False,
    # A rich traceback prints local variables, and those hold article text.
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
train_app = typer.Typer(
    help="Train a classifier or a summariser into a model directory.", no_args_is_help=True
)
keys_app = typer.Typer(help="Make keys for callers of the service.", no_args_is_help=True)
app.add_typer(train_app, name="train", rich_help_panel="Make models")
app.add_typer(keys_app, name="keys", rich_help_panel="Serve")


def main() -> None:
    """Run the command line and exit; an error that the caller can mend is one line."""
    warnings.showwarning = _show_warning
    _show_notes()
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A terminal in Latin-1 shows \u2019 for what it cannot spell, instead of a traceback.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        app()
    except TocsinError as error:
        report(error)
        sys.exit(EXIT_REFUSED)
    finally:
        _flush()


def report(error: TocsinError, prefix: str = "") -> None:
    from tocsin_serving.render import make_visible

    lines = [make_visible(line) for line in f"{prefix}{error}".split("\n")]
    print("tocsin: error: " + "\n".join(lines), file=sys.stderr, flush=True)


@app.callback(invoke_without_command=True)
def root(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", is_eager=True)
    ] = False,
) -> None:
    if version:
        from importlib.metadata import version as installed_version

        typer.echo(f"tocsin {installed_version('tocsin')}")
        raise typer.Exit


@app.command(rich_help_panel="Read articles", epilog=EXIT_CODES)
def analyse(
    files: Annotated[
        list[str], typer.Argument(metavar="FILE", help="Articles in UTF-8; - is standard input.")
    ],
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object a line instead of a table.")
    ] = False,
    format: Annotated[
        Literal["text", "html"] | None,
        typer.Option(help="What the files hold; told from the name and the first bytes."),
    ] = None,
    strict_language: StrictLanguage = False,
    max_sentences: MaxSentences = None,
    max_words: MaxWords = None,
    style: Style = None,
    focus: Focus = None,
    model: Model = None,
    summariser: SummariserModel = None,
    device: Device = "auto",
    threads: Threads = None,
) -> None:
    """Label the passages of articles and summarise them.

    Example: tocsin analyse report.txt

    Example: curl -s https://example.org/report.html | tocsin analyse - --format html --json
    """
    from tocsin_models.analyse import Options
    from tocsin_models.analyse import analyse as analyse_article
    from tocsin_models.errors import ConfigError, ModelError
    from tocsin_models.reading import read_article

    options = Options(
        max_sentences=max_sentences,
        max_words=max_words,
        style=style or "short",
        focus=tuple(focus or ()),
        strict_language=strict_language,
    )
    loaded: tuple[Classifier, Summariser] | None = None
    is_refused = is_shown = False
    for file in files:
        where = ""  # reading names the file itself
        try:
            article = read_article(file, format)
            where = f"{file}: "
            # Only now: a mistyped path is told at once, without waiting for the models.
            loaded = loaded or _load_both(model, summariser, device, threads)
            analysis = analyse_article(article, *loaded, options)
        except (ModelError, ConfigError):
            raise
        except TocsinError as error:
            report(error, where)
            is_refused = True
            continue
        if as_json:
            _print_json(analysis.to_record())
        else:
            from tocsin_serving.render import render_analysis

            _print_table(render_analysis(analysis))
            is_shown = True
    if loaded and is_shown:
        from tocsin_serving.render import render_footer

        _print_table(render_footer(loaded[0].info, loaded[1].info))
    if is_refused:
        raise typer.Exit(EXIT_REFUSED)


@app.command(rich_help_panel="Read articles", epilog=EXIT_CODES)
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
        return _load_models(wanted, model, summariser, device, threads)

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
            _check_extra("cluster", ("ray",))
            from tocsin_serving.archive.cluster import Cluster, RayEngine

            with Cluster(
                address=address, workers=workers, device=device, threads=threads or 1
            ) as cluster:
                ray_engine = RayEngine(
                    cluster, partial(_load_models, asked, _absolute(model), _absolute(summariser))
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


@app.command("report", rich_help_panel="Read articles", epilog=EXIT_CODES)
def report_command(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder of a finished tocsin score.")],
    draw: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Where to draw it: .html for the page, .png for the timeline; OUT/report.html "
            "without it.",
        ),
    ] = None,
    date_column: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Column that holds the date; published, date, … without it."
        ),
    ] = None,
    top: Annotated[
        int, typer.Option(min=1, max=1_000, help="Sharpest passages to show for each label.")
    ] = 10,
) -> None:
    """Count the results of a run by label and month, and draw them.

    Example: tocsin report results/

    Example: tocsin report results/ --draw timeline.png --date-column filed
    """
    from tocsin_serving.archive.report import counts_table, write_picture
    from tocsin_serving.archive.tally import tally_results

    tally = tally_results(out, date_column, top)
    target = draw or out / "report.html"
    write_picture(target, tally)
    _print_table(counts_table(tally))
    if tally.date_column is None:
        print("tocsin: no column holds a date; name one with --date-column", file=sys.stderr)
    print(f"tocsin: drawn into {target}", file=sys.stderr)


@app.command(rich_help_panel="Serve", epilog=EXIT_CODES)
def serve(
    host: Annotated[
        str, typer.Option(help="IP address to listen on; any but loopback needs --keys.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="TCP port to listen on.")] = 3000,
    keys: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Who may call (tocsin keys new); read again on change."),
    ] = None,
    metrics_key: Annotated[
        bool,
        typer.Option("--metrics-key", help="Ask for a key with the scope metrics at /metrics."),
    ] = False,
    rate: Annotated[
        float | None, typer.Option(metavar="N", help="Requests a second a key may send.")
    ] = None,
    cors_origin: Annotated[
        list[str] | None,
        typer.Option(metavar="URL", help="Web origin that may call; may be given again."),
    ] = None,
    timeout: Annotated[
        float, typer.Option(metavar="S", help="Seconds a request has if it does not say.")
    ] = 30.0,
    max_timeout: Annotated[
        float, typer.Option(metavar="S", help="Most seconds a request may ask for.")
    ] = 120.0,
    grace: Annotated[
        float, typer.Option(metavar="S", help="Seconds to finish what is admitted, on SIGTERM.")
    ] = 30.0,
    max_body: Annotated[
        int, typer.Option(metavar="BYTES", help="Largest body that is read.")
    ] = 2_097_152,
    queue_tokens: Annotated[
        int, typer.Option(metavar="N", help="Tokens that may wait; past that it is 429.")
    ] = 65_536,
    model: Model = None,
    summariser: SummariserModel = None,
    device: Device = "auto",
    threads: Threads = None,
) -> None:
    """Answer over HTTP: POST /v1/analyse, /v1/classify, /v1/summarise; /docs explains them.

    Example: tocsin serve --port 3000

    Example: tocsin keys new desk --keys keys.txt && tocsin serve --host 0.0.0.0 --keys keys.txt
    """
    from tocsin_serving.serve import start
    from tocsin_serving.settings import ServeSettings

    start(
        ServeSettings(
            host=host,
            port=port,
            device=device,
            threads=threads,
            model=model,
            summariser=summariser,
            keys=keys,
            metrics_key=metrics_key,
            rate_per_s=rate,
            timeout_s=timeout,
            max_timeout_s=max_timeout,
            grace_s=grace,
            max_body_bytes=max_body,
            queue_tokens=queue_tokens,
            cors_origins=tuple(cors_origin or ()),
        )
    )


@keys_app.command("new", epilog=EXIT_CODES)
def new_key_command(
    name: Annotated[str, typer.Argument(help="Who it is for; logs show this name.")],
    keys: Annotated[Path, typer.Option(metavar="FILE", help="Key file; made if it is not there.")],
    rate: Annotated[
        float | None, typer.Option(metavar="N", help="Requests a second this key may send.")
    ] = None,
    scope: Annotated[
        list[str] | None,
        typer.Option(help="What it may do: score (default), metrics; may be given again."),
    ] = None,
) -> None:
    """Make a key and print its token, once: the file keeps only a hash.

    Delete or comment out its line in the file to revoke it; a running server sees that at once.

    Example: tocsin keys new newsdesk --keys keys.txt --rate 20
    """
    from tocsin_serving.keys import new_key

    typer.echo(new_key(name, keys, scopes=tuple(scope or ["score"]), rate_per_s=rate))


@train_app.command("classifier", cls=ManyFiles, epilog=EXIT_CODES)
def train_classifier_command(
    train: Train,
    dev: Dev,
    base: Base,
    out: Out,
    config: Config = None,
    columns: Columns = None,
    threshold_policy: ThresholdPolicy = None,
    overrides: Overrides = None,
) -> None:
    """Fine-tune an encoder to label passages.

    Example: tocsin train classifier --train corpus/*.jsonl --dev dev.jsonl
    --base sentence-transformers/all-MiniLM-L6-v2 --out my-model epochs=3

    Example: tocsin train classifier --train desk.csv --dev desk-june.csv
    --columns text=Headline,labels=Category --base my-encoder --out desk-model
    """
    _check_extra("training", _TRAINING_MODULES)
    from tocsin_training.train import train_classifier

    settings = list(overrides or [])
    if threshold_policy is not None:
        settings.append(f"threshold_policy={threshold_policy}")
    train_classifier(train, dev, base, out, config, settings, columns or [])


@train_app.command("summariser", cls=ManyFiles, epilog=EXIT_CODES)
def train_summariser_command(
    train: Train,
    dev: Dev,
    base: Base,
    out: Out,
    config: Config = None,
    columns: Columns = None,
    overrides: Overrides = None,
) -> None:
    """Train the extractive summariser on articles with reference summaries.

    Example: tocsin train summariser --train news.jsonl --dev dev.jsonl
    --base sentence-transformers/all-MiniLM-L6-v2 --out my-summariser
    """
    _check_extra("training", _TRAINING_MODULES)
    from tocsin_training.train import train_summariser

    train_summariser(train, dev, base, out, config, overrides or [], columns or [])


@train_app.command("adapt", cls=ManyFiles, epilog=EXIT_CODES)
def adapt_encoder_command(
    texts: Annotated[
        list[str],
        typer.Option(
            metavar="FILE...",
            help="Unlabelled text, in the cells text, paragraphs or passages[].text: JSONL, CSV, "
            "TSV, Parquet, .gz, .zst, or a data set (org/name#split).",
        ),
    ],
    base: Base,
    out: Annotated[Path, typer.Option(metavar="DIR", help="New directory for the encoder.")],
    without: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FILE...",
            help="Tables that will be measured on: a text with a line much like a passage of "
            "theirs is left out (under 12 words, the same words).",
        ),
    ] = None,
    config: Config = None,
    overrides: Overrides = None,
) -> None:
    """Pre-train an encoder further on unlabelled news, by filling in masked words.

    The directory that comes out is a --base for tocsin train classifier and summariser.

    Example: tocsin train adapt --texts news.jsonl.zst --without dev.jsonl
    --base sentence-transformers/all-MiniLM-L6-v2 --out news-encoder epochs=1
    """
    _check_extra("training", _TRAINING_MODULES)
    from tocsin_training.train import adapt_encoder

    adapt_encoder(texts, without or [], base, out, config, overrides or [])


@train_app.command("join", cls=ManyFiles, epilog=EXIT_CODES)
def train_join_command(
    standoff: Annotated[
        list[str],
        typer.Argument(
            metavar="STANDOFF...",
            help="Labels without their text: rows of id, sha256, article, source and labels.",
        ),
    ],
    texts: Annotated[
        list[str],
        typer.Option(
            metavar="FILE...",
            help="Tables that may hold the texts, in text, paragraphs or passages[].text: JSONL, "
            "CSV, TSV, Parquet, .gz, .zst, or a data set (org/name#split).",
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(metavar="FILE.jsonl", help="Where to write them; replaced if it is there."),
    ],
) -> None:
    """Join labels that are kept without their text to the text, where you have it.

    The labels of news that is not ours to ship are kept beside the SHA-256 of each passage. A
    passage is found where it is a text, a paragraph or a line of FILE, whole; only white space may
    differ. Standard error says how many of each source were found. What was found is a table for
    --train of tocsin train classifier.

    Example: tocsin train join training/standoff/news.jsonl --texts stories.jsonl.zst
    --out news-with-text.jsonl
    """
    from tocsin_training.standoff import join_labels

    join_labels(standoff, texts, out)


@app.command(rich_help_panel="Make models", cls=ManyFiles, epilog=EVALUATE_CODES)
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
    _check_extra("eval", _EVAL_MODULES)
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


@app.command(rich_help_panel="Make models", epilog=EXIT_CODES)
def models(
    directories: Annotated[
        list[Path] | None,
        typer.Argument(metavar="DIR", help="Model directories, instead of the embedded ones."),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object a line instead of a table.")
    ] = False,
) -> None:
    """Show models: revision, languages, thresholds, metrics, size, licence.

    The files are checked against their hashes.

    Example: tocsin models my-model
    """
    from tocsin_models.manifest import EMBEDDED, read_manifest
    from tocsin_serving.render import render_manifests

    is_refused = False
    rows = []
    for directory in directories or EMBEDDED.values():
        try:
            manifest = read_manifest(directory)
        except TocsinError as error:
            report(error)
            is_refused = True
            continue
        size_bytes = sum(path.stat().st_size for path in directory.iterdir() if path.is_file())
        rows.append((str(directory), manifest, size_bytes))
    if as_json:
        for where, manifest, size_bytes in rows:
            facts = {
                "name": manifest.name,
                "task": manifest.task,
                "revision": manifest.revision,
                "languages": list(manifest.languages),
                "labels": list(manifest.labels),
                "thresholds": dict(manifest.thresholds),
                "metrics": dict(manifest.metrics),
                "max_tokens": manifest.max_tokens,
                "base": manifest.base,
                "licence": manifest.licence,
                "size_bytes": size_bytes,
                "directory": where,
            }
            _print_json(facts)
    else:
        _print_table(render_manifests(rows))
    if is_refused:
        raise typer.Exit(EXIT_REFUSED)


def _load_both(
    classifier: Path | None,
    summariser: Path | None,
    device: str,
    threads: int | None,
    hint: "Hint" = "latency",
) -> "tuple[Classifier, Summariser]":
    """Both models at once: hashing and compiling leave Python's lock, so a start on two cores is
    a quarter of a second shorter."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(max_workers=2) as pool:
        first = pool.submit(_load_classifier, classifier, device, threads, hint)
        second = pool.submit(_load_summariser, summariser, device, threads, hint)
        return first.result(), second.result()


def _load_models(
    asked: "Asked", model: Path | None, summariser: Path | None, device: str, threads: int | None
) -> "Models":
    """The models that a run over an archive needs."""
    from tocsin_serving.archive.scoring import Models

    if asked.needs_classifier and asked.needs_summariser:
        both = _load_both(model, summariser, device, threads, "throughput")
        return Models(classifier=both[0], summariser=both[1])
    return Models(
        classifier=_load_classifier(model, device, threads, "throughput")
        if asked.needs_classifier
        else None,
        summariser=_load_summariser(summariser, device, threads, "throughput")
        if asked.needs_summariser
        else None,
    )


def _load_classifier(
    directory: Path | None, device: str, threads: int | None, hint: "Hint"
) -> "Classifier":
    from tocsin_models.classifier import load_classifier

    return load_classifier(directory, device=device, threads=threads, hint=hint)


def _load_summariser(
    directory: Path | None, device: str, threads: int | None, hint: "Hint"
) -> "Summariser":
    from tocsin_models.abstractive import open_summariser

    return open_summariser(directory, device=device, threads=threads, hint=hint)


def _print_table(table: Any) -> None:
    from tocsin_serving.render import open_console

    open_console().print(table)


def _print_json(record: dict[str, Any]) -> None:
    """JSON is UTF-8 (RFC 8259), whatever the locale says."""
    from tocsin_serving.lines import format_line

    sys.stdout.flush()
    sys.stdout.buffer.write(format_line(record).encode() + b"\n")
    sys.stdout.buffer.flush()


def _check_extra(extra: str, modules: Sequence[str]) -> None:
    """Name every missing package of an extra at once, before anything heavy is imported."""
    missing = [name for name in modules if find_spec(name) is None]
    if missing:
        raise TocsinError(
            f"this needs {', '.join(missing)}, not installed here: pip install 'tocsin[{extra}]'"
        )


def _absolute(directory: Path | None) -> Path | None:
    """The same directory on a worker, whatever folder that runs in; a Hub id is one anywhere."""
    from tocsin_models.abstractive import is_hub_id

    return directory if directory is None or is_hub_id(directory) else directory.resolve()


def _show_notes() -> None:
    """What takes seconds says so, on standard error."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("tocsin: %(message)s"))
    notes = logging.getLogger("tocsin")
    notes.handlers = [handler]
    notes.setLevel(logging.INFO)


def _show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    """A warning of ours is for the person at the terminal: one line, no source code."""
    print(f"tocsin: warning: {message}", file=sys.stderr)


def _flush() -> None:
    """Send what is left, and keep the interpreter's own flush from complaining about a reader
    that has gone (``tocsin analyse … | head``)."""
    import os

    try:
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    main()
