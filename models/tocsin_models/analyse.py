"""The main path: an article in, labelled passages and a summary with receipts out.

The command line, the batch scorer, the service and the evaluation all come through here, so the
same bytes in give the same answer out of each. The service takes the two halves, ``read`` and
``conclude``, and runs the models between them in batches that several callers share.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from tocsin_models.cleaning import clean
from tocsin_models.errors import ConfigError, TocsinError
from tocsin_models.focus import focus_on, focus_warnings
from tocsin_models.labels import assign_labels
from tocsin_models.language import check_language
from tocsin_models.protocols import (
    BatchSummariser,
    Classifier,
    Focus,
    Limits,
    Scores,
    Style,
    Summariser,
)
from tocsin_models.records import Analysis, Article, CleanText, ModelInfo, Passage, Summary
from tocsin_models.styles import unknown_style


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the caller wants. ``None`` leaves the defaults of the summary's style; ``focus`` are
    labels whose passages the summary shall prefer. A strict language refuses an article that the
    models do not read, instead of warning. ``labels`` are the only ones the answer speaks of (all
    where empty); ``thresholds`` replace the model's own."""

    max_sentences: int | None = None
    max_words: int | None = None
    style: Style = "short"
    focus: tuple[str, ...] = ()
    strict_language: bool = False
    labels: tuple[str, ...] = ()
    thresholds: Mapping[str, float] = field(default_factory=dict)

    @property
    def limits(self) -> Limits:
        """Those that hold for every article: without the focus."""
        return Limits(max_sentences=self.max_sentences, max_words=self.max_words, style=self.style)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """An article before any model has seen it: its paragraphs, its language, what to warn of."""

    id: str
    source: CleanText
    language: str
    warnings: tuple[str, ...]

    @property
    def texts(self) -> list[str]:
        """What the classifier scores."""
        return [paragraph.text for paragraph in self.source.paragraphs]


def analyse(
    article: Article,
    classifier: Classifier | None,
    summariser: Summariser | None,
    options: Options = Options(),
) -> Analysis:
    """Read one article: clean it, label each passage, summarise.

    Without a classifier the answer carries no labels, without a summariser no summary.

    Raises:
        EmptyInput: the article is nothing but white space.
        LanguageRefused: the language is none of the model's, and ``options`` are strict.
        ConfigError: ``options`` name a label that the classifier does not have.
    """
    [answer] = analyse_many([article], classifier, summariser, options)
    if isinstance(answer, TocsinError):
        raise answer
    return answer


def analyse_many(
    articles: Sequence[Article],
    classifier: Classifier | None,
    summariser: Summariser | None,
    options: Options = Options(),
) -> list[Analysis | TocsinError]:
    """As ``analyse``, for many articles with one call of the classifier.

    One answer an article, in order. An article that is refused has its error in place, and costs
    its neighbours nothing.

    Raises:
        ConfigError: ``options`` name a label that the classifier does not have.
    """
    check_options(options, classifier is not None, summariser)
    info = apply_options(classifier.info, options) if classifier else None
    infos = [model.info for model in (classifier, summariser) if model is not None]
    readings = [_read_or_refuse(article, infos, options) for article in articles]
    texts = [text for reading in readings if isinstance(reading, Reading) for text in reading.texts]
    scores = classifier.score(texts) if classifier else None
    labelled: list[tuple[Passage, ...]] = []
    first = 0
    for reading in readings:
        passages: tuple[Passage, ...] = ()
        if isinstance(reading, Reading):
            if scores and info:
                passages = label_passages(reading, scores, first, info)
            first += len(reading.texts)
        labelled.append(passages)
    limits = [limits_for(options, passages) for passages in labelled]
    summaries = _summarise(readings, limits, summariser)
    return [
        reading
        if isinstance(reading, TocsinError)
        else summary
        if isinstance(summary, TocsinError)
        else conclude(
            reading,
            passages,
            summary,
            info,
            summariser.info if summariser else None,
            wish.focus,
        )
        for reading, passages, wish, summary in zip(
            readings, labelled, limits, summaries, strict=True
        )
    ]


def _summarise(
    readings: Sequence[Reading | TocsinError],
    limits: Sequence[Limits],
    summariser: Summariser | None,
) -> list[Summary | TocsinError | None]:
    """A summary for each article that could be read, or why there is none."""
    summaries: list[Summary | TocsinError | None] = [None] * len(readings)
    if summariser is None:
        return summaries
    read = [number for number, item in enumerate(readings) if isinstance(item, Reading)]
    articles = [item.source.paragraphs for item in readings if isinstance(item, Reading)]
    if isinstance(summariser, BatchSummariser):
        found = summariser.summarise_many(articles, [limits[number] for number in read])
        for number, summary in zip(read, found, strict=True):
            summaries[number] = summary
        return summaries
    for number, paragraphs in zip(read, articles, strict=True):
        try:
            summaries[number] = summariser.summarise(paragraphs, limits[number])
        except TocsinError as error:
            summaries[number] = error
    return summaries


def read(article: Article, models: Sequence[ModelInfo], options: Options) -> Reading:
    """Cut an article into paragraphs and tell its language. ``models`` say which they read.

    Raises:
        EmptyInput: the article is nothing but white space.
        LanguageRefused: the language is none of the models', and ``options`` are strict.
    """
    source = clean(article)
    languages = set.intersection(*(set(info.languages) for info in models)) if models else set()
    kept = "\n".join(paragraph.text for paragraph in source.paragraphs)
    language, warning = check_language(
        kept or source.text, tuple(sorted(languages)), options.strict_language
    )
    return Reading(
        id=article.id,
        source=source,
        language=language,
        warnings=(warning,) if warning else (),
    )


def check_options(options: Options, is_labelled: bool, summariser: object) -> None:
    """Refuse a summary that these models cannot give.

    Raises:
        ConfigError: an unknown style; a focus without labels of the passages, or for a summariser
            that writes.
    """
    problems = []
    if problem := unknown_style(options.style):
        problems.append(f"style: {problem}")
    if options.focus and not is_labelled:
        problems.append(
            "focus: nothing is labelled here, so no passage can be preferred; ask for the whole "
            "analysis"
        )
    if options.focus and isinstance(summariser, BatchSummariser) and not summariser.takes_focus:
        problems.append(
            "focus: this summariser writes sentences of its own and cannot prefer passages; use an "
            "extractive one"
        )
    if problems:
        raise ConfigError("options", problems)


def limits_for(options: Options, passages: Sequence[Passage]) -> Limits:
    """The limits of the summary of an article whose passages these are."""
    return replace(options.limits, focus=focus_on(options.focus, passages))


def apply_options(info: ModelInfo, options: Options) -> ModelInfo:
    """The classifier as this caller wants it: the labels asked for, with their thresholds. A focus
    asks for its labels too.

    Raises:
        ConfigError: a label that the classifier does not have, or a threshold outside 0 to 1.
    """
    known = info.thresholds
    problems = [
        f"labels: {label!r} is unknown; the labels are {', '.join(known)}"
        for label in options.labels
        if label not in known
    ]
    for label in options.focus:
        if label not in known:
            problems.append(f"focus: {label!r} is unknown; the labels are {', '.join(known)}")
    for label, value in options.thresholds.items():
        if label not in known:
            problems.append(f"thresholds: {label!r} is unknown; the labels are {', '.join(known)}")
        elif not 0 <= value <= 1:
            problems.append(f"thresholds: {label} is {value}, outside 0 to 1")
    if problems:
        raise ConfigError("options", problems)
    thresholds = {
        label: options.thresholds.get(label, value)
        for label, value in known.items()
        if not options.labels or label in (*options.labels, *options.focus)
    }
    return replace(info, thresholds=thresholds)


def label_passages(
    reading: Reading, scores: Scores, first: int, info: ModelInfo
) -> tuple[Passage, ...]:
    """The paragraphs with their labels; their scores begin at row ``first``."""
    passages = []
    for index, paragraph in enumerate(reading.source.paragraphs):
        labels, by_label = assign_labels(scores, first + index, info.thresholds)
        passages.append(
            Passage(
                index=index,
                kind=paragraph.kind,
                text=paragraph.text,
                start=paragraph.start,
                end=paragraph.end,
                labels=labels,
                scores=by_label,
                windows=scores.windows[first + index],
            )
        )
    return tuple(passages)


def conclude(
    reading: Reading,
    passages: tuple[Passage, ...],
    summary: Summary | None,
    classifier: ModelInfo | None,
    summariser: ModelInfo | None,
    focus: Focus | None = None,
) -> Analysis:
    """What the models found in an article, as one answer. ``focus`` is that of the summary."""
    return Analysis(
        id=reading.id,
        language=reading.language,
        warnings=reading.warnings + focus_warnings(focus, passages, summary),
        source=reading.source,
        passages=passages,
        summary=summary,
        classifier=classifier,
        summariser=summariser,
        reason=(
            None
            if reading.source.paragraphs
            else "no passage is left: all of the text is boilerplate"
        ),
    )


def _read_or_refuse(
    article: Article, models: Sequence[ModelInfo], options: Options
) -> Reading | TocsinError:
    try:
        return read(article, models, options)
    except TocsinError as error:
        return error
