"""What the routes answer: requests of the contract in, answers of the contract out.

The public routes (``app.py``) and BentoML's own (``service.py``) both come here, so that there is
one place where a request meets the models.
"""

from typing import Any

from tocsin_models.abstractive import summariser_manifest
from tocsin_models.analyse import Options
from tocsin_models.manifest import EMBEDDED, Manifest, read_manifest
from tocsin_serving.answers import (
    ClassifyAnswer,
    LabelsAnswer,
    ModelsAnswer,
    PassageAnswer,
    classifier_answer,
    labels_answer,
    model_answer,
    passage_answer,
    passage_error,
)
from tocsin_serving.calls import Call
from tocsin_serving.engine import Engine
from tocsin_serving.metrics import Metrics, Task
from tocsin_serving.problems import Problem
from tocsin_serving.routes import TEMPLATES
from tocsin_serving.schemas import MOST_PASSAGE_CHARACTERS, ArticleRequest, make_schemas
from tocsin_serving.settings import ServeSettings


class Desk:
    """The service as its routes see it. ``engine`` is there once the models are loaded."""

    def __init__(self, settings: ServeSettings) -> None:
        self.settings = settings
        # Their hashes are checked when the models are loaded.
        self.classifier: Manifest = read_manifest(
            settings.model or EMBEDDED["classifier"], check_hashes=False
        )
        self.summariser: Manifest = summariser_manifest(settings.summariser)
        self.schemas = make_schemas(self.classifier.labels)
        self.metrics = Metrics(routes=TEMPLATES, labels=self.classifier.labels)
        self.is_draining = False
        # Requests whose work has begun; a drain waits for them.
        self.in_flight = 0
        self._engine: Engine | None = None

    def refuse_when_closed(self) -> None:
        """
        Raises:
            Problem: draining, not_ready or queue_full; nothing new is taken.
        """
        if self.is_draining:
            raise Problem(
                "draining", "it finishes what it has and takes nothing new", retry_after_s=1
            )
        self.engine.refuse_when_full()

    @property
    def engine(self) -> Engine:
        """Also while the service drains: what was admitted is finished.

        Raises:
            Problem: not_ready while the models are being loaded.
        """
        if self._engine is None:
            raise Problem("not_ready", "the models are being loaded", retry_after_s=1)
        return self._engine

    async def open(self, engine: Engine) -> None:
        """Ask each model once, then be ready."""
        await engine.warm_up()
        tasks: tuple[Task, Task] = ("classify", "summarise")
        for task, info in zip(tasks, engine.infos, strict=True):
            self.metrics.model(
                task=task,
                name=info.name,
                revision=info.revision,
                precision=info.precision,
                device=info.device,
            )
        self._engine = engine

    def close(self) -> None:
        """End the threads of the engine, if there is one."""
        if self._engine is not None:
            self._engine.stop()

    async def check_ready(self) -> None:
        """
        Raises:
            Problem: draining or not_ready.
        """
        if self.is_draining:
            raise Problem("draining", "it takes nothing new", retry_after_s=1)
        if not await self.engine.is_ready():
            raise Problem(
                "not_ready",
                "a model fails on text that it can read, or does not come back; see the log",
            )

    async def analyse(self, request: ArticleRequest, call: Call) -> dict[str, Any]:
        article = request.to_article(call.request_id)
        analysis = await self.engine.analyse(article, request.to_options(), call)
        return analysis.to_record()

    async def summarise(self, request: ArticleRequest, call: Call) -> dict[str, Any]:
        article = request.to_article(call.request_id)
        analysis = await self.engine.summarise(article, request.to_options(), call)
        return analysis.to_record()

    async def classify(self, request: Any, call: Call) -> ClassifyAnswer:
        """``request`` is of ``schemas.classify``. A passage that cannot be scored has an error in
        place, and costs the others nothing."""
        results: list[PassageAnswer | None] = [
            _refuse_passage(item.id, item.text) for item in request.passages
        ]
        options = Options(labels=tuple(request.labels), thresholds=request.thresholds)
        good = [index for index, result in enumerate(results) if result is None]
        texts = [request.passages[index].text for index in good]
        info, found = await self.engine.classify(texts, options, call)
        call.passages = len(results)
        for index, labelled in zip(good, found, strict=True):
            results[index] = passage_answer(request.passages[index].id, labelled)
        return ClassifyAnswer(
            model=classifier_answer(info), results=[item for item in results if item is not None]
        )

    def models(self) -> ModelsAnswer:
        infos = self.engine.infos
        manifests = (self.classifier, self.summariser)
        return ModelsAnswer(
            models=[
                model_answer(manifest, info)
                for manifest, info in zip(manifests, infos, strict=True)
            ]
        )

    def labels(self) -> LabelsAnswer:
        return labels_answer(self.classifier, self.engine.infos[0])


def _refuse_passage(name: str, text: str) -> PassageAnswer | None:
    if not text.strip():
        return passage_error(name, "empty", "the passage holds nothing but white space")
    if len(text) > MOST_PASSAGE_CHARACTERS:
        return passage_error(
            name,
            "too_long",
            f"the passage has {len(text)} characters, at most {MOST_PASSAGE_CHARACTERS} are read; "
            "send it to /v1/analyse as an article",
        )
    return None
