"""``tocsin train``: labelled text in, a model directory out."""

from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from tocsin_serving.commands.shared import EXIT_CODES, check_extra
from tocsin_serving.options import (
    Base,
    Columns,
    Config,
    Dev,
    ManyFiles,
    Out,
    Overrides,
    ThresholdPolicy,
    Train,
)

# What the extra adds and its code imports.
_TRAINING_MODULES = ("accelerate", "rouge_score", "sklearn", "yaml", "zstandard")

Texts: TypeAlias = Annotated[
    list[str],
    typer.Option(
        metavar="FILE...",
        help="Unlabelled text, in the cells text, paragraphs or passages[].text: JSONL, CSV, "
        "TSV, Parquet, .gz, .zst, or a data set (org/name#split).",
    ),
]
Without: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        metavar="FILE...",
        help="Tables that will be measured on: a text with a line much like a passage of "
        "theirs is left out (under 12 words, the same words).",
    ),
]

train_app = typer.Typer(
    help="Train a classifier or a summariser into a model directory.", no_args_is_help=True
)


@train_app.command("classifier", cls=ManyFiles, epilog=EXIT_CODES)
def train_classifier_command(
    train: Train,
    dev: Dev,
    base: Base,
    out: Out,
    config: Config = None,
    columns: Columns = None,
    soft: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FILE...",
            help="Also learn from passages with a teacher's probabilities: what tocsin train teach "
            "wrote.",
        ),
    ] = None,
    threshold_policy: ThresholdPolicy = None,
    overrides: Overrides = None,
) -> None:
    """Fine-tune an encoder to label passages.

    Example: tocsin train classifier --train corpus/*.jsonl --dev dev.jsonl
    --base sentence-transformers/all-MiniLM-L6-v2 --out my-model epochs=3

    Example: tocsin train classifier --train desk.csv --dev desk-june.csv
    --columns text=Headline,labels=Category --base my-encoder --out desk-model
    """
    check_extra("training", _TRAINING_MODULES)
    from tocsin_training.train import train_classifier

    settings = list(overrides or [])
    if threshold_policy is not None:
        settings.append(f"threshold_policy={threshold_policy}")
    train_classifier(train, dev, base, out, config, settings, columns or [], soft or [])


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
    check_extra("training", _TRAINING_MODULES)
    from tocsin_training.train import train_summariser

    train_summariser(train, dev, base, out, config, overrides or [], columns or [])


@train_app.command("teach", cls=ManyFiles, epilog=EXIT_CODES)
def train_teach_command(
    texts: Texts,
    out: Annotated[
        Path,
        typer.Option(metavar="FILE.jsonl", help="Where to write them; replaced if it is there."),
    ],
    without: Without = None,
    teacher: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="DIR...",
            help="Classifiers that score; of several the mean. The embedded one without this.",
        ),
    ] = None,
    passages: Annotated[
        int,
        typer.Option(
            min=1,
            help="How many to write, drawn the likelier the less sure the teachers are of them.",
        ),
    ] = 40_000,
    swaps: Annotated[
        int,
        typer.Option(
            min=0, max=100, help="How often to score each with other names; the mean is kept."
        ),
    ] = 3,
    seed: Annotated[int, typer.Option(min=0, help="Of the draws of passages and of names.")] = 13,
) -> None:
    """Score unlabelled passages with a trained classifier, for another to learn from.

    A classifier trained with --soft FILE learns the teacher's probabilities beside the labels, and
    that they stay the same whoever is in the news.

    Example: tocsin train teach --texts news.jsonl.zst --without dev.jsonl --teacher my-model
    --out soft.jsonl
    """
    check_extra("training", _TRAINING_MODULES)
    from tocsin_training.train import write_soft_targets

    teachers: list[Path | None] = [*teacher] if teacher else [None]
    write_soft_targets(texts, without or [], teachers, out, count=passages, swaps=swaps, seed=seed)


@train_app.command("adapt", cls=ManyFiles, epilog=EXIT_CODES)
def adapt_encoder_command(
    texts: Texts,
    base: Base,
    out: Annotated[Path, typer.Option(metavar="DIR", help="New directory for the encoder.")],
    without: Without = None,
    config: Config = None,
    overrides: Overrides = None,
) -> None:
    """Pre-train an encoder further on unlabelled news, by filling in masked words.

    The directory that comes out is a --base for tocsin train classifier and summariser.

    Example: tocsin train adapt --texts news.jsonl.zst --without dev.jsonl
    --base sentence-transformers/all-MiniLM-L6-v2 --out news-encoder epochs=1
    """
    check_extra("training", _TRAINING_MODULES)
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
