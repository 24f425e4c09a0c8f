"""The public contract: a FastAPI application whose routes are a line each."""

from importlib.metadata import version
from pathlib import Path
from typing import Any

import fastapi_offline
from fastapi import FastAPI, Request
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse, PlainTextResponse, RedirectResponse
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException
from starlette.responses import Response

from tocsin_models.errors import TocsinError
from tocsin_serving.answers import (
    ClassifyAnswer,
    HealthAnswer,
    LabelsAnswer,
    ModelsAnswer,
)
from tocsin_serving.calls import CALL
from tocsin_serving.desk import Desk
from tocsin_serving.lines import format_line
from tocsin_serving.openapi import answers_with, build_document, reads
from tocsin_serving.problems import MEDIA_TYPE, Problem, to_problem
from tocsin_serving.schemas import parse

# Swagger UI out of a package: the page loads nothing from elsewhere, and is told to try nothing.
_ASSETS = Path(fastapi_offline.__file__).parent / "static"
_POLICY = (
    "default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)


def build_app(desk: Desk) -> FastAPI:
    """The application over a desk."""
    app = FastAPI(
        title="Tocsin",
        version=version("tocsin"),
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
        # Spans and logs of FastAPI's own carry raw paths and the messages of exceptions.
        telemetry={
            "tracing": False,
            "metrics": False,
            "logs": False,
            "operation_spans": False,
            "auto_configure": False,
        },
    )
    _add_scoring(app, desk)
    _add_facts(app, desk)
    _add_pages(app, desk)
    for kind in (Problem, TocsinError, HTTPException, Exception):
        app.add_exception_handler(kind, _refuse)
    return app


def _add_scoring(app: FastAPI, desk: Desk) -> None:
    schemas = desk.schemas

    @app.post(
        "/v1/analyse",
        tags=["Read articles"],
        summary="Label the passages of an article and summarise it",
        openapi_extra=reads("AnalyseRequest"),
        responses=answers_with("Record", is_scoring=True),
    )
    async def analyse(request: Request) -> Response:
        body = parse(schemas.analyse, await request.body())
        return _json(await desk.analyse(body, CALL.get()))

    @app.post(
        "/v1/classify",
        tags=["Read articles"],
        summary="Label passages as they stand, 1 to 256",
        openapi_extra=reads("ClassifyRequest"),
        responses=answers_with(ClassifyAnswer.__name__, is_scoring=True),
    )
    async def classify(request: Request) -> Response:
        body = parse(schemas.classify, await request.body())
        return _json(await desk.classify(body, CALL.get()))

    @app.post(
        "/v1/summarise",
        tags=["Read articles"],
        summary="Summarise an article; every sentence says where it stands",
        openapi_extra=reads("SummariseRequest"),
        responses=answers_with("SummaryRecord", is_scoring=True),
    )
    async def summarise(request: Request) -> Response:
        body = parse(schemas.summarise, await request.body())
        return _json(await desk.summarise(body, CALL.get()))


def _add_facts(app: FastAPI, desk: Desk) -> None:
    @app.get(
        "/v1/models",
        tags=["What is served"],
        summary="The models, with their revisions, thresholds and measured quality",
        responses=answers_with(ModelsAnswer.__name__, needs_models=True),
    )
    async def models() -> Response:
        return _json(desk.models())

    @app.get(
        "/v1/labels",
        tags=["What is served"],
        summary="The labels, with their definitions",
        responses=answers_with(LabelsAnswer.__name__, needs_models=True),
    )
    async def labels() -> Response:
        return _json(desk.labels())

    @app.get(
        "/livez",
        tags=["Health"],
        summary="Whether the process answers",
        responses=answers_with(HealthAnswer.__name__),
    )
    async def livez() -> Response:
        return _json(HealthAnswer(status="ok"))

    @app.get(
        "/readyz",
        tags=["Health"],
        summary="Whether the models answer",
        responses=answers_with(HealthAnswer.__name__, needs_models=True),
    )
    async def readyz() -> Response:
        await desk.check_ready()
        return _json(HealthAnswer(status="ok"))

    @app.get(
        "/metrics",
        tags=["Health"],
        summary="Counters and histograms for Prometheus",
        response_class=PlainTextResponse,
        responses=answers_with(None),
    )
    async def metrics() -> Response:
        content, media_type = desk.metrics.render()
        return Response(content, media_type=media_type)


def _add_pages(app: FastAPI, desk: Desk) -> None:
    document: dict[str, Any] = {}
    app.mount("/assets", StaticFiles(directory=_ASSETS), name="assets")

    @app.get("/openapi.json", include_in_schema=False)
    async def openapi() -> Response:
        if not document:
            document.update(build_document(app, desk))
        return _json(document)

    @app.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        page = get_swagger_ui_html(
            openapi_url="openapi.json",
            title="Tocsin",
            swagger_js_url="assets/swagger-ui-bundle.js",
            swagger_css_url="assets/swagger-ui.css",
            swagger_favicon_url="assets/favicon.png",
            swagger_ui_parameters={"defaultModelsExpandDepth": 0, "validatorUrl": None},
        )
        page.headers["content-security-policy"] = _POLICY
        return page

    @app.get("/", include_in_schema=False)
    async def index() -> RedirectResponse:
        return RedirectResponse("docs")


async def _refuse(_: Request, error: Exception) -> Response:
    """Any error as problem details. What is not ours is said by the door's log, not here."""
    headers: dict[str, str] = {}
    match error:
        case Problem():
            problem = error
        case TocsinError():
            problem = to_problem(error)
        case HTTPException(status_code=405):
            problem = Problem("method_not_allowed", "this route does not answer that method")
            headers = dict(error.headers or {})
        case HTTPException(status_code=404):
            problem = Problem("not_found", "no such path; /docs lists them")
        case _:
            problem = Problem("internal", "a fault of the service; its log has the request id")
    call = CALL.get()
    call.problem = problem
    return Response(
        problem.to_body(call.request_id),
        status_code=problem.status,
        headers=headers | dict(problem.headers),
        media_type=MEDIA_TYPE,
    )


def _json(record: Any) -> Response:
    """The same bytes as ``tocsin analyse --json``, less the line end."""
    return Response(format_line(record).encode(), media_type="application/json")
