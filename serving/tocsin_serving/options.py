"""The options that several commands share, each with its help text and its check."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

import typer
from typer.core import TyperCommand


def at_least_one(value: int | None) -> int | None:
    if value is not None and value < 1:
        raise typer.BadParameter(f"{value} is too small; give 1 or more")
    return value


def as_source(word: str) -> Path:
    """What ``--summariser`` names. ``./models/mine`` stays a directory: as ``models/mine`` it would
    be taken for a Hub id where it is mistyped."""
    return Path(word).absolute() if word.startswith(".") else Path(word)


_LENGTH, _MODELS = "Summary", "Models and machine"
MaxSentences: TypeAlias = Annotated[
    int | None,
    typer.Option(
        callback=at_least_one,
        help="Most sentences of a summary; 1 or more.",
        rich_help_panel=_LENGTH,
    ),
]
MaxWords: TypeAlias = Annotated[
    int | None,
    typer.Option(
        callback=at_least_one, help="Most words of a summary; 1 or more.", rich_help_panel=_LENGTH
    ),
]
Style: TypeAlias = Annotated[
    Literal["headline", "short", "standard"] | None,
    typer.Option(
        help="Length of a summary: headline, one sentence; short (the default), 2 or 3 of 40 to 80 "
        "words; standard, up to 120 words. The two numbers above win over it.",
        rich_help_panel=_LENGTH,
    ),
]
Focus: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        metavar="LABEL",
        help="Prefer passages that carry this label in the summary; may be given again.",
        rich_help_panel=_LENGTH,
    ),
]
StrictLanguage: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--strict-language", help="Refuse what is outside the models' languages, not only warn."
    ),
]
Model: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR",
        help="Classifier directory, instead of the embedded one.",
        rich_help_panel=_MODELS,
    ),
]
SummariserModel: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--summariser",
        metavar="DIR|ID",
        parser=as_source,
        help="Summariser directory, instead of the embedded one; or an encoder-decoder as a "
        "directory or a Hub id (facebook/bart-large-cnn), whose sentences are checked.",
        rich_help_panel=_MODELS,
    ),
]
Device: TypeAlias = Annotated[
    Literal["auto", "cpu", "cuda"],
    typer.Option(help="Where the models run; auto takes a GPU.", rich_help_panel=_MODELS),
]
Threads: TypeAlias = Annotated[
    int | None,
    typer.Option(
        callback=at_least_one,
        help="CPU threads, 1 or more, instead of all physical cores.",
        rich_help_panel=_MODELS,
    ),
]


class ManyFiles(TyperCommand):
    """Lets ``--train a b c`` take several files, as a shell's ``*.jsonl`` expands to."""

    _MANY = ("--train", "--dev", "--data", "--texts", "--without", "--soft", "--teacher")
    # A setting looks like learning_rate=1e-4; anything else after them is a file.
    _SETTING = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*=")

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        return super().parse_args(ctx, list(self.repeat_options(args)))

    def repeat_options(self, args: list[str]) -> Iterator[str]:
        option, has_value = "", False
        for word in args:
            if word.startswith("-"):
                name, equals, _ = word.partition("=")
                option, has_value = name if name in self._MANY else "", bool(equals)
            elif option and self._SETTING.match(word):
                option = ""
            elif option and has_value:
                yield option
            else:
                has_value = True
            yield word


_TABLES = "JSONL, CSV, TSV, Parquet, or a data set (org/name#split)"
Train: TypeAlias = Annotated[
    list[str],
    typer.Option(metavar="FILE...", help=f"Tables to train on, one or more: {_TABLES}."),
]
Dev: TypeAlias = Annotated[
    list[str], typer.Option(metavar="FILE...", help="Tables that only tell how good it is.")
]
Columns: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--columns",
        metavar="FIELD=COLUMN,...",
        help="Which column is which field: text=Headline,labels=Category; labels=a+b joins columns "
        "of 0 and 1. Fields: id, article, text, labels, source, kind, summary, highlights, "
        "paragraphs.",
    ),
]
Base: TypeAlias = Annotated[
    str, typer.Option(metavar="NAME|DIR", help="Encoder to start from: a Hub id or a directory.")
]
Out: TypeAlias = Annotated[Path, typer.Option(metavar="DIR", help="New directory for the model.")]
ThresholdPolicy: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="f1|precision=P",
        help="Thresholds of highest F1, or the lowest at which the share P of what is labelled is "
        "right (precision=0.9). The same as the setting threshold_policy=..., which it overrides.",
    ),
]
Config: TypeAlias = Annotated[
    Path | None, typer.Option(metavar="FILE.yaml", help="Settings; key=value overrides them.")
]
Overrides: TypeAlias = Annotated[
    list[str] | None, typer.Argument(metavar="key=value", help="Settings of the run.")
]
