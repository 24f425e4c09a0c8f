"""The OpenAPI 3.1 document: routes from the application, schemas from the models and the record.

Its schemas are the JSON Schemas that the requests are validated by and the record is tested
against, so that the document cannot say anything else than the service does.
"""

import json
from importlib.resources import files
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import TypeAdapter
from pydantic.json_schema import models_json_schema

from tocsin_serving.answers import (
    ClassifyAnswer,
    HealthAnswer,
    LabelsAnswer,
    ModelsAnswer,
    ProblemAnswer,
)
from tocsin_serving.desk import Desk
from tocsin_serving.problems import CODES, MEDIA_TYPE

_REFERENCE = "#/components/schemas/"
_ABOUT = """\
Reads conflict news: labels each passage, and writes a summary whose every sentence says where in
the article it stands. Errors are problem details (RFC 9457) with a stable `code`; none repeats what
was sent. A score does not depend on what else was sent, or by whom.
"""
_ANYWHERE = (401, 403, 404, 405, 429, 500)
_SCORING = (408, 413, 415, 422, 503, 504)
_NOT_READY = 503

# Name -> (what it says, its schema).
_HEADERS: dict[str, tuple[str, dict[str, Any]]] = {
    "X-Request-Id": (
        "What the log knows this request by: yours, if you sent one.",
        {"type": "string", "pattern": "^[A-Za-z0-9._-]{1,64}$"},
    ),
    "Server-Timing": (
        "Milliseconds that it queued, was tokenised, and was read by the models.",
        {
            "type": "string",
            "pattern": r"^queue;dur=[0-9.]+, tokenise;dur=[0-9.]+, infer;dur=[0-9.]+$",
        },
    ),
    "Retry-After": (
        "Whole seconds after which to try again.",
        {"type": "integer", "minimum": 1},
    ),
    "Allow": ("What this route answers.", {"type": "string"}),
    "WWW-Authenticate": ("How to send a key.", {"const": "Bearer"}),
}
_HEADERS_OF = {401: "WWW-Authenticate", 405: "Allow", 429: "Retry-After", 503: "Retry-After"}
_STORY = (
    "The general vowed to burn the port if a single ship was touched.\n\n"
    "Envoys of both states met in Vessaly on Monday for talks on a ceasefire."
)
_EXAMPLES = {
    "AnalyseRequest": {"id": "wire-1", "text": _STORY, "max_sentences": 2},
    "SummariseRequest": {"id": "wire-1", "paragraphs": _STORY.split("\n\n"), "max_words": 40},
    "ClassifyRequest": {
        "passages": [
            {"id": str(number), "text": text} for number, text in enumerate(_STORY.split("\n\n"))
        ]
    },
}
_PARAMETERS = [
    {
        "name": "X-Request-Id",
        "in": "header",
        "description": "1 to 64 letters, digits, dots, dashes, underscores; else one is made.",
        "schema": {"type": "string"},
        "example": "desk-4.7",
    },
    {
        "name": "X-Request-Timeout",
        "in": "header",
        "description": "Seconds after which the answer is of no use; it is then 504. At most what "
        "the service allows.",
        "schema": {"type": "number", "exclusiveMinimum": 0},
        "example": 10,
    },
]


def reads(schema: str) -> dict[str, Any]:
    """A scoring route's body and headers, for ``openapi_extra``."""
    content = {"schema": _reference(schema), "example": _EXAMPLES[schema]}
    return {
        "requestBody": {"required": True, "content": {"application/json": content}},
        "parameters": _PARAMETERS,
    }


def answers_with(
    schema: str | None, *, is_scoring: bool = False, needs_models: bool = False
) -> dict[int | str, dict[str, Any]]:
    """A route's answers: ``schema`` (None: plain text), and the problems it may have."""
    statuses = _ANYWHERE + (_SCORING if is_scoring else ()) + ((_NOT_READY,) * needs_models)
    good: dict[str, Any] = (
        {"text/plain": {"schema": {"type": "string"}}}
        if schema is None
        else {"application/json": {"schema": _reference(schema)}}
    )
    shown = ["X-Request-Id", *(["Server-Timing"] if is_scoring else [])]
    answers: dict[int | str, dict[str, Any]] = {
        200: {"description": "The answer.", "content": good, "headers": _headers(shown)}
    }
    for status in sorted(set(statuses)):
        titles = {code: title for code, (number, title) in CODES.items() if number == status}
        problem = {
            "allOf": [_reference(ProblemAnswer.__name__)],
            "properties": {"status": {"const": status}, "code": {"enum": list(titles)}},
        }
        answers[status] = {
            "description": "; ".join(f"`{code}`: {title}" for code, title in titles.items()),
            "content": {MEDIA_TYPE: {"schema": problem}},
            "headers": _headers(["X-Request-Id", *_HEADERS_OF.get(status, "").split()]),
        }
    return answers


def build_document(app: FastAPI, desk: Desk) -> dict[str, Any]:
    """The whole document, for the labels of this desk's classifier."""
    document = get_openapi(
        title=app.title,
        version=app.version,
        openapi_version="3.1.0",
        description=_ABOUT,
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
        routes=app.routes,
    )
    for path in document["paths"].values():
        for operation in path.values():
            # FastAPI's own, of a shape that is never answered.
            if "HTTPValidationError" in json.dumps(operation["responses"].get("422", "")):
                del operation["responses"]["422"]
    components: dict[str, Any] = {"schemas": _schemas(desk)}
    if desk.settings.keys:
        components["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
        for path, methods in document["paths"].items():
            if path.startswith("/v1/") or (path == "/metrics" and desk.settings.metrics_key):
                for operation in methods.values():
                    operation["security"] = [{"key": []}]
    document["components"] = components
    return document


def _schemas(desk: Desk) -> dict[str, Any]:
    requests = {
        "AnalyseRequest": desk.schemas.analyse,
        "SummariseRequest": desk.schemas.summarise,
        "ClassifyRequest": desk.schemas.classify,
    }
    found: dict[str, Any] = {}
    _, together = models_json_schema(
        [(model, "validation") for model in requests.values()], ref_template=_REFERENCE + "{model}"
    )
    found |= together["$defs"]
    found["SummariseRequest"] = found.pop(desk.schemas.summarise.__name__)
    for answer in (ClassifyAnswer, ModelsAnswer, LabelsAnswer, HealthAnswer, ProblemAnswer):
        schema = TypeAdapter(answer).json_schema(ref_template=_REFERENCE + "{model}")
        found |= schema.pop("$defs", {})
        found[answer.__name__] = schema
    return found | _record_schemas()


def _record_schemas() -> dict[str, Any]:
    """``record.schema.json``, its parts under names of the document's."""
    text = (files("tocsin_models") / "record.schema.json").read_text(encoding="utf-8")
    parts: dict[str, Any] = json.loads(text)["$defs"]
    names = {"analysis": "Record", "summary_only": "SummaryRecord"}
    named = {name: names.get(name, "Record" + name.title().replace("_", "")) for name in parts}
    body = json.dumps(parts)
    for name, new in named.items():
        body = body.replace(f'"#/$defs/{name}"', f'"{_REFERENCE}{new}"')
    return {named[name]: schema for name, schema in json.loads(body).items()}


def _reference(schema: str) -> dict[str, str]:
    return {"$ref": _REFERENCE + schema}


def _headers(names: list[str]) -> dict[str, Any]:
    return {name: {"description": _HEADERS[name][0], "schema": _HEADERS[name][1]} for name in names}
