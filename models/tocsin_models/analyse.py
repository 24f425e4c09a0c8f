"""The main path: an article in, labelled passages and a summary with receipts out.

The command line, the batch scorer, the service and the evaluation all come through here, so the
same bytes in give the same answer out of each.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from tocsin_models.cleaning import clean
from tocsin_models.errors import TocsinError
from tocsin_models.labels import assign_labels
from tocsin_models.language import check_language
from tocsin_models.protocols import Classifier, Limits, Scores, Summariser
from tocsin_models.records import Analysis, Article, CleanText, Passage


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the caller wants. ``None`` leaves the defaults of the summary's style; a strict
    language refuses an article that the models do not read, instead of warning."""

    max_sentences: int | None = None
    max_words: int | None = None
    strict_language: bool = False


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
    """
    sources = [_clean(article) for article in articles]
    texts = [
        paragraph.text
        for source in sources
        if isinstance(source, CleanText)
        for paragraph in source.paragraphs
    ]
    scores = classifier.score(texts) if classifier else None
    answers: list[Analysis | TocsinError] = []
    first = 0
    for article, source in zip(articles, sources, strict=True):
        if isinstance(source, TocsinError):
            answers.append(source)
            continue
        try:
            answers.append(_read(article, source, scores, first, classifier, summariser, options))
        except TocsinError as error:
            answers.append(error)
        first += len(source.paragraphs)
    return answers


def _clean(article: Article) -> CleanText | TocsinError:
    try:
        return clean(article)
    except TocsinError as error:
        return error


def _read(
    article: Article,
    source: CleanText,
    scores: Scores | None,
    first: int,
    classifier: Classifier | None,
    summariser: Summariser | None,
    options: Options,
) -> Analysis:
    """One article whose scores begin at row ``first``."""
    infos = [model.info for model in (classifier, summariser) if model is not None]
    languages = set.intersection(*(set(info.languages) for info in infos)) if infos else set()
    kept = "\n".join(paragraph.text for paragraph in source.paragraphs)
    language, warning = check_language(
        kept or source.text, tuple(sorted(languages)), options.strict_language
    )
    limits = Limits(max_sentences=options.max_sentences, max_words=options.max_words)
    return Analysis(
        id=article.id,
        language=language,
        warnings=(warning,) if warning else (),
        source=source,
        passages=_label(source, scores, first, classifier) if classifier and scores else (),
        summary=summariser.summarise(source.paragraphs, limits) if summariser else None,
        classifier=classifier.info if classifier else None,
        summariser=summariser.info if summariser else None,
        reason=None if source.paragraphs else "no passage is left: all of the text is boilerplate",
    )


def _label(
    source: CleanText, scores: Scores, first: int, classifier: Classifier
) -> tuple[Passage, ...]:
    passages = []
    for index, paragraph in enumerate(source.paragraphs):
        labels, by_label = assign_labels(scores, first + index, classifier.info.thresholds)
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
