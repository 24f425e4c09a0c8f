"""``tocsin analyse``: articles in, labelled passages and a summary out."""

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from tocsin_models.errors import TocsinError
from tocsin_serving.commands.loading import load_both
from tocsin_serving.commands.shared import EXIT_REFUSED, print_error, print_json, print_table
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
)

if TYPE_CHECKING:
    from tocsin_models.protocols import Classifier, Summariser


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
            loaded = loaded or load_both(model, summariser, device, threads)
            analysis = analyse_article(article, *loaded, options)
        except (ModelError, ConfigError):
            raise
        except TocsinError as error:
            print_error(error, where)
            is_refused = True
            continue
        if as_json:
            print_json(analysis.to_record())
        else:
            from tocsin_serving.render import render_analysis

            print_table(render_analysis(analysis))
            is_shown = True
    if loaded and is_shown:
        from tocsin_serving.render import render_footer

        print_table(render_footer(loaded[0].info, loaded[1].info))
    if is_refused:
        raise typer.Exit(EXIT_REFUSED)
