"""The records of Tocsin: what goes in, what comes out, and what always holds of them.

All offsets count Unicode code points from 0, the end excluded. CR and LF are one each, a leading
byte-order mark is not counted. ``text[start:end]`` is the passage or sentence, character for
character, where ``text`` is the input (plain text) or what was extracted from it (HTML).

The JSON form, ``Analysis.to_record()``, is described by ``record.schema.json`` beside this file.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

SCHEMA = "tocsin/1"

Kind: TypeAlias = Literal["headline", "body", "caption"]
Format: TypeAlias = Literal["text", "html", "paragraphs"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Article:
    """One article as it came in. ``text`` is plain text or HTML, as ``format`` says; one that came
    in paragraphs has them in ``paragraphs``, and no ``text``."""

    id: str
    text: str = ""
    format: Format = "text"
    paragraphs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Paragraph:
    """A paragraph that survived cleaning; ``CleanText.text[start:end] == text``."""

    text: str
    start: int
    end: int
    kind: Kind = "body"


@dataclass(frozen=True, slots=True, kw_only=True)
class Dropped:
    """A paragraph that cleaning took out, with the reason; offsets as in ``Paragraph``."""

    text: str
    start: int
    end: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CleanText:
    """An article cut into what is read and what is dropped.

    ``text`` is what every offset points into. ``is_extracted`` is true where it is not the input
    itself (HTML, paragraphs), so that the record has to carry it. Paragraphs and dropped ones are
    in the order of the text and do not overlap.
    """

    text: str
    is_extracted: bool
    paragraphs: tuple[Paragraph, ...]
    dropped: tuple[Dropped, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """A paragraph with its labels. ``scores`` are probabilities; ``windows`` is how many pieces
    the paragraph was read in (1 unless it was longer than the encoder reads)."""

    index: int
    kind: Kind
    text: str
    start: int
    end: int
    labels: tuple[str, ...]
    scores: Mapping[str, float]
    windows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SummarySentence:
    """A sentence of the summary and where it stands: offsets, and the index of its passage.

    One that a model wrote stands nowhere: its offsets are those of the article's sentence that
    supports it best, its ``score`` how much of it that sentence has. Where ``replaced`` the text is
    that sentence, and ``reason`` says what was wrong with the one that was written.
    """

    text: str
    start: int
    end: int
    passage: int
    score: float
    replaced: bool = False
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """Sentences in the order of the article, or as a model wrote them. Empty only with a
    ``reason``. ``focus`` are the labels it was asked to prefer. ``checked`` is how many written
    sentences were held against the article, None where none was written."""

    sentences: tuple[SummarySentence, ...]
    windows: int
    method: str = "extractive"
    style: str = "short"
    focus: tuple[str, ...] = ()
    reason: str | None = None
    checked: int | None = None

    @property
    def text(self) -> str:
        return " ".join(sentence.text for sentence in self.sentences)

    def to_record(self) -> dict[str, Any]:
        record: dict[str, Any] = {
            "text": self.text,
            "method": self.method,
            "style": self.style,
            "windows": self.windows,
            "sentences": [
                {
                    "text": sentence.text,
                    "start": sentence.start,
                    "end": sentence.end,
                    "passage": sentence.passage,
                    "score": sentence.score,
                    **({"replaced": True, "reason": sentence.reason} if sentence.replaced else {}),
                }
                for sentence in self.sentences
            ],
        }
        if self.focus:
            record["focus"] = list(self.focus)
        if self.checked is not None:
            record["checked"] = self.checked
            record["replaced"] = sum(sentence.replaced for sentence in self.sentences)
        if self.reason is not None:
            record["reason"] = self.reason
        return record


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelInfo:
    """Which model answered. ``revision`` is a hash over every file that decides a score;
    ``languages`` are ISO 639-1 codes; ``thresholds`` is empty for a summariser."""

    name: str
    revision: str
    precision: str
    device: str
    languages: tuple[str, ...]
    thresholds: Mapping[str, float] = field(default_factory=dict)

    def to_record(self) -> dict[str, Any]:
        record: dict[str, Any] = {"name": self.name, "revision": self.revision}
        if self.thresholds:
            record["thresholds"] = dict(self.thresholds)
        return record | {"precision": self.precision, "device": self.device}


@dataclass(frozen=True, slots=True, kw_only=True)
class Analysis:
    """All that Tocsin says of one article.

    ``classifier`` is None when only a summary was asked for (then no passage carries scores), and
    ``summary`` and ``summariser`` are None when only labels were. ``reason`` is set when no passage
    was left to read.
    """

    id: str
    language: str
    warnings: tuple[str, ...]
    source: CleanText
    passages: tuple[Passage, ...]
    summary: Summary | None
    classifier: ModelInfo | None
    summariser: ModelInfo | None
    reason: str | None = None

    def labels(self) -> dict[str, dict[str, Any]]:
        """Per label that some passage carries: the indices of those passages, the highest score."""
        found: dict[str, dict[str, Any]] = {}
        for passage in self.passages:
            for label in passage.labels:
                entry = found.setdefault(label, {"passages": [], "max_score": 0.0})
                entry["passages"].append(passage.index)
                entry["max_score"] = max(entry["max_score"], passage.scores[label])
        return found

    def to_record(self) -> dict[str, Any]:
        """The object of ``record.schema.json``; without a classifier only id, text, summary and
        model."""
        model = {
            name: info.to_record()
            for name, info in (("classifier", self.classifier), ("summariser", self.summariser))
            if info is not None
        }
        if self.classifier is None:
            text = {"text": self.source.text} if self.source.is_extracted else {}
            summary = {"summary": self.summary.to_record()} if self.summary else {}
            return {"id": self.id, **text, **summary, "model": model}
        record: dict[str, Any] = {
            "schema": SCHEMA,
            "id": self.id,
            "language": self.language,
            "warnings": list(self.warnings),
        }
        if self.source.is_extracted:
            record["text"] = self.source.text
        record["passages"] = [
            {
                "index": passage.index,
                "kind": passage.kind,
                "text": passage.text,
                "start": passage.start,
                "end": passage.end,
                "labels": list(passage.labels),
                "scores": dict(passage.scores),
                "windows": passage.windows,
            }
            for passage in self.passages
        ]
        record["dropped"] = [
            {"text": item.text, "start": item.start, "end": item.end, "reason": item.reason}
            for item in self.source.dropped
        ]
        record["labels"] = self.labels()
        if self.summary is not None:
            record["summary"] = self.summary.to_record()
        if self.reason is not None:
            record["reason"] = self.reason
        record["model"] = model
        return record
