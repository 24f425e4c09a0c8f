"""What the service answers, as typed records, and how they are read from its JSON.

A record is read by the types of its dataclass; fields that only a newer service sends are ignored.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from functools import cache
from types import UnionType
from typing import Any, TypeVar, cast, get_args, get_origin, get_type_hints

from tocsin_models.records import Dropped, ModelInfo, Passage, Summary

Record = TypeVar("Record")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What every scoring answer carries.

    ``request_id`` stands in the service's log lines of all tries. ``timing_ms`` is where the time
    went in the service (``queue``, ``tokenise``, ``infer``), empty if it did not say.
    """

    request_id: str
    timing_ms: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Models:
    """Which models answered. Their ``languages`` are empty here; ``models()`` has them."""

    classifier: ModelInfo | None = None
    summariser: ModelInfo | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundLabel:
    """A label that some passage carries: the indices of those passages, and the highest score."""

    passages: tuple[int, ...]
    max_score: float


@dataclass(frozen=True, slots=True, kw_only=True)
class AnalysedArticle(Answer):
    """``POST /v1/analyse``. ``record`` is the answer as it came (``record.schema.json``).

    Offsets point into the text that was sent or, where that was HTML or paragraphs, into ``text``.
    """

    id: str
    language: str
    warnings: tuple[str, ...]
    text: str | None = None
    passages: tuple[Passage, ...]
    dropped: tuple[Dropped, ...]
    labels: Mapping[str, FoundLabel]
    summary: Summary | None = None
    reason: str | None = None
    model: Models
    record: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class SummarisedArticle(Answer):
    """``POST /v1/summarise``. ``text`` and ``record`` as for an analysis."""

    id: str
    text: str | None = None
    summary: Summary
    model: Models
    record: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledPassage:
    """A passage that was read; as ``Passage``, without its place."""

    id: str
    labels: tuple[str, ...]
    scores: Mapping[str, float]
    windows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RowError:
    """Why a passage was not read; ``code`` is ``empty``, ``too_long`` or ``inference_failed``."""

    code: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedPassage:
    """A passage that was not read. It has no ``labels``: none found is another thing."""

    id: str
    error: RowError


@dataclass(frozen=True, slots=True, kw_only=True)
class Classification(Answer):
    """``POST /v1/classify``: a result for each passage, in the order they were given."""

    model: ModelInfo
    results: tuple[LabelledPassage | FailedPassage, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedModel(ModelInfo):
    """An entry of ``GET /v1/models``. ``metrics`` are measured quality, as in the manifest."""

    task: str
    labels: tuple[str, ...]
    metrics: Mapping[str, Any]
    max_tokens: int
    base: str
    licence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    """``GET /v1/models``."""

    models: tuple[ServedModel, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """A label: the question it answers, where the model knows it, and from which score on a
    passage carries it."""

    label: str
    definition: str | None = None
    threshold: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Scheme:
    """``GET /v1/labels``."""

    labels: tuple[Label, ...]
    model: ModelInfo


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """``GET /readyz``."""

    status: str


def read_answer(kind: type[Record], content: bytes, **more: object) -> Record:
    """The JSON object in ``content``, with ``more`` beside its fields, as the dataclass ``kind``.

    Raises:
        ValueError, TypeError, AttributeError: it is not one. If it is not even JSON, the error
            holds ``content``, though its message does not.
    """
    answer = json.loads(content)
    return cast(Record, _read(kind, {**answer, "record": answer, **more}))


_types = cache(get_type_hints)


def _read(kind: Any, value: Any) -> Any:
    """``value``, out of JSON, as the type ``kind``; a field that is missing is a TypeError."""
    origin, inner = get_origin(kind), get_args(kind)
    if kind == LabelledPassage | FailedPassage:
        kind = FailedPassage if "error" in value else LabelledPassage
    elif origin is UnionType:  # of None and one other
        return None if value is None else _read(inner[0], value)
    elif origin is tuple:
        return tuple(_read(inner[0], item) for item in value)
    elif origin is Mapping:
        return {name: _read(inner[1], item) for name, item in value.items()}
    if not is_dataclass(kind):
        return value
    if kind is ModelInfo:
        value = {"languages": (), **value}  # only models() has them
    names = [item.name for item in fields(kind) if item.name in value]
    return kind(**{name: _read(_types(kind)[name], value[name]) for name in names})
