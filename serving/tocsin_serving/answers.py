"""What callers get back, as types: the handlers build these, and the OpenAPI document is made of
them. The record of an article has a schema of its own, ``tocsin_models/record.schema.json``."""

from typing import Any, NotRequired

# Pydantic makes schemas of the standard library's TypedDict on Python 3.12 and later only.
from typing_extensions import TypedDict

from tocsin_models.manifest import Manifest
from tocsin_models.records import ModelInfo
from tocsin_serving.engine import Labelled


class ClassifierAnswer(TypedDict):
    """Which model answered, and the thresholds in force for this request."""

    name: str
    revision: str
    thresholds: dict[str, float]
    precision: str
    device: str


class PassageError(TypedDict):
    """Why one passage has no scores: ``empty``, ``too_long`` or ``inference_failed``."""

    code: str
    message: str


class PassageAnswer(TypedDict):
    """``labels`` and ``scores`` of a passage, and the ``windows`` it took; or an ``error``."""

    id: str
    labels: NotRequired[list[str]]
    scores: NotRequired[dict[str, float]]
    windows: NotRequired[int]
    error: NotRequired[PassageError]


class ClassifyAnswer(TypedDict):
    """One result a passage, in order."""

    model: ClassifierAnswer
    results: list[PassageAnswer]


class ModelAnswer(TypedDict):
    """A model that is served."""

    name: str
    task: str
    revision: str
    languages: list[str]
    labels: list[str]
    thresholds: dict[str, float]
    metrics: dict[str, Any]
    max_tokens: int
    base: str
    licence: str
    precision: str
    device: str


class ModelsAnswer(TypedDict):
    """The models that are served."""

    models: list[ModelAnswer]


class LabelAnswer(TypedDict):
    """A label: the question it answers, where the model knows it, and its threshold."""

    label: str
    definition: str | None
    threshold: float


class LabelsAnswer(TypedDict):
    """The labels of the classifier, in its order."""

    model: ClassifierAnswer
    labels: list[LabelAnswer]


class HealthAnswer(TypedDict):
    """``status`` is "ok"."""

    status: str


class ProblemErrorAnswer(TypedDict):
    """One thing that is wrong with a request, and where."""

    field: str
    message: str


class ProblemAnswer(TypedDict):
    """Problem details (RFC 9457). ``code`` is stable; the log knows it by ``request_id``."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    request_id: str
    errors: NotRequired[list[ProblemErrorAnswer]]


def classifier_answer(info: ModelInfo) -> ClassifierAnswer:
    return ClassifierAnswer(
        name=info.name,
        revision=info.revision,
        thresholds=dict(info.thresholds),
        precision=info.precision,
        device=info.device,
    )


def passage_answer(name: str, labelled: Labelled) -> PassageAnswer:
    if labelled.failure:
        return passage_error(
            name, "inference_failed", f"the model failed on this passage ({labelled.failure})"
        )
    return PassageAnswer(
        id=name,
        labels=list(labelled.labels),
        scores=labelled.scores,
        windows=labelled.windows,
    )


def passage_error(name: str, code: str, message: str) -> PassageAnswer:
    return PassageAnswer(id=name, error=PassageError(code=code, message=message))


def model_answer(manifest: Manifest, info: ModelInfo) -> ModelAnswer:
    return ModelAnswer(
        name=manifest.name,
        task=manifest.task,
        revision=manifest.revision,
        languages=list(manifest.languages),
        labels=list(manifest.labels),
        thresholds=dict(manifest.thresholds),
        metrics=dict(manifest.metrics),
        max_tokens=manifest.max_tokens,
        base=manifest.base,
        licence=manifest.licence,
        precision=info.precision,
        device=info.device,
    )


def labels_answer(manifest: Manifest, info: ModelInfo) -> LabelsAnswer:
    return LabelsAnswer(
        model=classifier_answer(info),
        labels=[
            LabelAnswer(
                label=label,
                definition=manifest.definitions.get(label),
                threshold=manifest.thresholds[label],
            )
            for label in manifest.labels
        ],
    )
