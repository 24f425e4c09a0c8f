"""What can be evaluated, and how it is named on the command line.

| word | subject |
|---|---|
| ``default`` | the embedded models |
| a directory | a model that ``tocsin train`` wrote, or any sequence classifier of transformers |
| ``org/name[@commit]`` | a sequence classifier on the Hub |
| ``tfidf:FILE[,FILE…]`` | TF-IDF and logistic regression, fitted on these labelled rows |
| ``keywords``, ``keywords:FILE.yaml`` | a label where one of its words stands |
| ``lead-3``, ``textrank``, ``lexrank`` | summaries without a model |
| ``oracle`` | the best extract there is: it reads the reference |
| a file | predictions, JSON Lines, CSV or Parquet |
| ``http://…`` | a running Tocsin service |

``NAME=WORD`` gives a subject a name of its own.
"""

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Literal, Protocol, TypeAlias

from tocsin_eval.data import LabelledPassage, ReferenceSummary, data_sha256, read_passages
from tocsin_eval.keywords import WORDS, KeywordClassifier, read_keywords
from tocsin_eval.predictions import FilePredictions, read_predictions
from tocsin_models.analyse import Options, analyse
from tocsin_models.backends import Precision
from tocsin_models.baseline import TfidfClassifier
from tocsin_models.errors import ConfigError, DataError
from tocsin_models.manifest import EMBEDDED, FILE_NAME, read_manifest
from tocsin_models.protocols import Classifier, Summariser
from tocsin_models.records import Article, ModelInfo

Kind: TypeAlias = Literal["model", "baseline", "predictions", "endpoint"]
SUMMARY_BASELINES = ("lead-3", "textrank", "lexrank", "oracle")

_NAMED = re.compile(r"([A-Za-z0-9][\w .+-]*)=(.+)", re.DOTALL)
_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+(@\w+)?")
_FILE_SUFFIX = re.compile(r"\.[A-Za-z]\w*$")


class ArticleSummariser(Protocol):
    """Sentences that tell an article, by whatever means."""

    @property
    def info(self) -> ModelInfo: ...

    def sentences(self, row: ReferenceSummary) -> tuple[str, ...]: ...


class Endpoint(Protocol):
    """A running service: its revision, and its two halves. Made by the command line, since a client
    of the service is no business of this package."""

    @property
    def revision(self) -> str: ...

    @property
    def classifier(self) -> Classifier: ...

    @property
    def summariser(self) -> ArticleSummariser: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class SubjectOptions:
    """How subjects are run. ``options`` are those of a summary; ``threads`` None is all cores;
    ``columns`` are the names of the data's columns, which a baseline's rows share."""

    device: str = "auto"
    threads: int | None = None
    precision: Precision = "auto"
    batch_tokens: int | None = None
    options: Options = field(default_factory=Options)
    columns: Mapping[str, str] = field(default_factory=dict)
    seed: int = 0

    def key(self) -> dict[str, str]:
        """What decides an answer beside the subject and the data."""
        limits = self.options.limits
        return {
            "device": self.device,
            "precision": self.precision,
            "batch_tokens": str(self.batch_tokens),
            "limits": f"{limits.max_sentences} {limits.max_words}",
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """Something to be evaluated. What it loads it loads when first asked, so that a run whose
    answers are cached loads nothing.

    ``revision`` names what decides the answers. ``labels`` is None where only the data can tell.
    """

    name: str
    kind: Kind
    revision: str
    labels: tuple[str, ...] | None = None
    classifier: Callable[[], Classifier] | None = None
    summariser: Callable[[], ArticleSummariser] | None = None
    predictions: FilePredictions | None = None
    directories: tuple[Path, ...] = ()

    @property
    def classifies(self) -> bool:
        return self.classifier is not None or bool(
            self.predictions and (self.predictions.passages or self.predictions.texts)
        )

    @property
    def summarises(self) -> bool:
        return self.summariser is not None or bool(self.predictions and self.predictions.summaries)


class LocalSummariser:
    """A summariser on this machine, through ``analyse`` as everywhere."""

    def __init__(self, summariser: Summariser, options: Options) -> None:
        self.info = summariser.info
        self._summariser = summariser
        self._options = options

    def sentences(self, row: ReferenceSummary) -> tuple[str, ...]:
        article = Article(id=row.id, format="paragraphs", paragraphs=row.paragraphs)
        summary = analyse(article, None, self._summariser, self._options).summary
        return tuple(sentence.text for sentence in summary.sentences) if summary else ()


class _OracleSummariser:
    """Reads the reference: what no choice of as many sentences is likely to exceed."""

    def __init__(self, options: Options) -> None:
        from tocsin_eval.summary_baselines import Oracle

        self._options = options
        self._make = Oracle
        self.info = Oracle(()).info

    def sentences(self, row: ReferenceSummary) -> tuple[str, ...]:
        return LocalSummariser(self._make(row.highlights), self._options).sentences(row)


def open_subjects(
    words: Sequence[str],
    options: SubjectOptions,
    connect: Callable[[str], Endpoint],
    measured: Sequence[LabelledPassage] = (),
) -> list[Subject]:
    """The subjects that ``words`` name. ``measured`` are the rows they will be measured on: a
    baseline that is fitted may not have seen them.

    Raises:
        ConfigError: a word names nothing, or two subjects have one name.
        ModelNotFound, ModelDamaged, DataError: what is named cannot be used.
    """
    subjects = [open_subject(word, options, connect, measured) for word in words]
    names = [subject.name for subject in subjects]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        word = words[names.index(twice[0])]
        raise ConfigError("subjects", [f"two are called {twice[0]!r}; name one as NAME={word}"])
    return subjects


def open_subject(
    word: str,
    options: SubjectOptions,
    connect: Callable[[str], Endpoint],
    measured: Sequence[LabelledPassage] = (),
) -> Subject:
    """One subject; see ``open_subjects``."""
    # A folder may well be called lr=1e-4.
    if not Path(word).exists() and (named := _NAMED.fullmatch(word)):
        name, inner = named.groups()
        return replace(open_subject(inner, options, connect, measured), name=name)
    kind, _, rest = word.partition(":")
    if word == "default":
        return _embedded(options)
    if kind in ("http", "https"):
        return _endpoint(word, connect)
    if kind == "keywords":
        words = read_keywords(Path(rest)) if rest else WORDS
        return _baseline(KeywordClassifier(words))
    if kind == "tfidf":
        return _tfidf(rest, options, measured)
    if word in SUMMARY_BASELINES:
        return _summary_baseline(word, options)
    path = Path(word)
    if word and path.is_dir():
        return _directory(path, options)
    if path.is_file():
        return _file(path)
    # A version as in org/name-v1.5 is no suffix of a file.
    if _HUB_ID.fullmatch(word) and not _FILE_SUFFIX.search(word):
        return _plain(word, options)
    raise ConfigError(
        "subjects",
        [
            f"{word!r} names none: it is no file or directory; known words: default, "
            f"tfidf:FILE, keywords, {', '.join(SUMMARY_BASELINES)}, a URL, a Hub id (org/name)"
        ],
    )


def _embedded(options: SubjectOptions) -> Subject:
    both = [_directory(EMBEDDED[task], options) for task in ("classifier", "summariser")]
    return Subject(
        name="default",
        kind="model",
        revision=" ".join(subject.revision for subject in both),
        labels=both[0].labels,
        classifier=both[0].classifier,
        summariser=both[1].summariser,
        directories=tuple(EMBEDDED.values()),
    )


def _directory(path: Path, options: SubjectOptions) -> Subject:
    if not (path / FILE_NAME).is_file():
        return _plain(str(path), options)
    manifest = read_manifest(path)
    return Subject(
        name=manifest.name,
        kind="model",
        revision=manifest.revision,
        labels=manifest.labels or None,
        classifier=(lambda: _classifier(path, options)) if manifest.task == "classifier" else None,
        summariser=(lambda: _summariser(path, options)) if manifest.task == "summariser" else None,
        directories=(path,),
    )


def _classifier(path: Path, options: SubjectOptions) -> Classifier:
    from tocsin_models.classifier import load_classifier

    found = load_classifier(
        path, device=options.device, threads=options.threads, precision=options.precision
    )
    found.batch_tokens = options.batch_tokens or found.batch_tokens
    return found


def _summariser(path: Path, options: SubjectOptions) -> LocalSummariser:
    from tocsin_models.abstractive import open_summariser

    # Its network is never stored in int8: asked for that, it runs in what it is meant to.
    precision: Precision = "auto" if options.precision == "int8" else options.precision
    found = open_summariser(
        path, device=options.device, threads=options.threads, precision=precision
    )
    return LocalSummariser(found, options.options)


def _plain(source: str, options: SubjectOptions) -> Subject:
    from tocsin_models.abstractive import abstractive_manifest, is_encoder_decoder
    from tocsin_models.plain import (
        fetch_directory,
        load_plain_classifier,
        plain_manifest,
        read_config,
    )

    directory = fetch_directory(source)
    if is_encoder_decoder(read_config(directory / "config.json", source)):
        written = abstractive_manifest(directory, source)
        return Subject(
            name=written.name.rpartition("/")[2],
            kind="model",
            revision=written.revision,
            summariser=lambda: _summariser(Path(source), options),
            directories=(directory,),
        )
    manifest = plain_manifest(directory, source)

    def load() -> Classifier:
        found = load_plain_classifier(
            str(directory),
            device=options.device,
            threads=options.threads,
            precision=options.precision,
        )
        found.batch_tokens = options.batch_tokens or found.batch_tokens
        return found

    return Subject(
        name=manifest.name,
        kind="model",
        revision=manifest.revision,
        labels=manifest.labels,
        classifier=load,
        directories=(directory,),
    )


def _baseline(classifier: Classifier) -> Subject:
    return Subject(
        name=classifier.info.name,
        kind="baseline",
        revision=classifier.info.revision,
        labels=classifier.labels,
        classifier=lambda: classifier,
    )


def _tfidf(files: str, options: SubjectOptions, measured: Sequence[LabelledPassage]) -> Subject:
    paths = [
        path
        for word in files.split(",")
        if word
        for path in (sorted(Path(word).glob("*.jsonl")) if Path(word).is_dir() else [Path(word)])
    ]
    if not paths:
        raise ConfigError(
            "subjects", ["tfidf needs labelled rows to fit on: tfidf:FILE[,FILE…] or tfidf:FOLDER"]
        )
    kept, _ = without(read_passages(paths, options.columns), measured)
    labels = tuple(sorted({label for row in kept for label in row.labels}))

    @cache
    def fit() -> Classifier:
        return TfidfClassifier.fit(
            [row.text for row in kept],
            [row.labels for row in kept],
            [row.article for row in kept],
            labels,
            options.seed,
        )

    told = [
        *("tfidf", data_sha256(paths), options.seed, sorted(options.columns.items())),
        # What it is fitted on hangs on what is measured.
        [[row.id, row.text] for row in kept],
    ]
    return Subject(
        name="tfidf",
        kind="baseline",
        revision="sha256:" + hashlib.sha256(json.dumps(told).encode()).hexdigest(),
        labels=labels,
        classifier=fit,
    )


def without(
    train: Sequence[LabelledPassage], measured: Sequence[LabelledPassage]
) -> tuple[list[LabelledPassage], int]:
    """Training passages less those whose text is also to be measured on, and how many those are.

    A stock phrase may stand in two articles; an article may not stand on both sides.

    Raises:
        DataError: the two have an article in common.
    """
    # A row without an article is its own, by a number that any other file may use as well.
    shared = _articles(train) & _articles(measured)
    if shared:
        # A baseline that has read the answers makes the comparison worthless.
        raise DataError(
            f"tfidf is fitted on {len(shared)} articles that it would be measured on "
            f"({min(shared)[:80]!r} is one); take them out"
        )
    texts = {row.text for row in measured}
    kept = [row for row in train if row.text not in texts]
    return kept, len(train) - len(kept)


def _articles(rows: Sequence[LabelledPassage]) -> set[str]:
    return {row.article for row in rows if row.article != row.id}


def _summary_baseline(word: str, options: SubjectOptions) -> Subject:
    from tocsin_eval import summary_baselines

    def load() -> ArticleSummariser:
        if word == "oracle":
            return _OracleSummariser(options.options)
        return LocalSummariser(summary_baselines.BASELINES[word](), options.options)

    return Subject(name=word, kind="baseline", revision=load().info.revision, summariser=load)


def _file(path: Path) -> Subject:
    return Subject(
        name=path.stem,
        kind="predictions",
        revision="sha256:" + data_sha256([path]),
        predictions=read_predictions(path),
    )


def _endpoint(url: str, connect: Callable[[str], Endpoint]) -> Subject:
    endpoint = connect(url)
    return Subject(
        name=url,
        kind="endpoint",
        revision=endpoint.revision,
        labels=endpoint.classifier.labels,
        classifier=lambda: endpoint.classifier,
        summariser=lambda: endpoint.summariser,
    )


def common_labels(
    subjects: Sequence[Subject], passages: Sequence[LabelledPassage]
) -> tuple[str, ...]:
    """The labels of an evaluation: those of its classifiers, in the order of the first.

    Raises:
        ConfigError: two subjects do not have the same labels.
        DataError: the data carry a label that no subject has.
    """
    carried = sorted({label for row in passages for label in row.labels})
    known: Mapping[str, tuple[str, ...]] = {
        subject.name: subject.labels
        or (subject.predictions.labels if subject.predictions else tuple(carried))
        for subject in subjects
        if subject.classifies
    }
    (first, labels), *others = known.items()
    for name, found in others:
        if set(found) != set(labels):
            odd = min(set(found) ^ set(labels))
            raise ConfigError(
                "subjects",
                [f"{first!r} and {name!r} do not have the same labels: only one has {odd!r}"],
            )
    if unknown := sorted(set(carried) - set(labels)):
        raise DataError(
            f"the data carry the label {unknown[0]!r}, which {first!r} does not have; it has "
            f"{', '.join(labels)}"
        )
    return labels
