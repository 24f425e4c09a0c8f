"""The OpenAPI document and the service say the same: schemathesis sends what the document allows
and what it forbids, and checks every answer by it.

This module is also the hooks that schemathesis loads (``SCHEMATHESIS_HOOKS``), below.
"""

import copy
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
import schemathesis
from jsonschema import Draft202012Validator
from tests.server import Server, TinyModels, start_server

from tocsin_serving.problems import CODES
from tocsin_serving.routes import ROUTES
from tocsin_serving.schemas import NativeSummariseRequest

SEED = 3
PAGES = {"/", "/docs", "/assets", "/openapi.json"}
# Below this many seconds a deadline may pass on a busy machine before the answer is there.
SHORT_S = 5.0


@schemathesis.hook
def filter_failure(_: Any, failure: Any, case: Any, response: Any) -> bool:
    """Whether a failed check counts.

    Three refusals of valid requests no schema can foretell, and each is believed only where the
    request gives the reason: a deadline that is too short, a language that must be English, and
    HTML, which may have markup alone. Their status, schema and headers are checked as all others.
    """
    with suppress(ValueError, AttributeError):
        return not _is_excusable(response.json()["code"], case.headers or {}, case.body)
    return True


def _is_excusable(code: str, headers: Any, body: Any) -> bool:
    if code in ("deadline_exceeded", "body_too_slow"):
        return 0 < float(headers.get("X-Request-Timeout", "inf")) < SHORT_S
    if code == "language_refused":
        return isinstance(body, dict) and body.get("strict_language") is True
    if code == "unreadable_article":
        return isinstance(body, dict) and bool({"<", "&"} & set(body.get("html", "")))
    return False


@pytest.fixture(scope="module")
def keyed(tiny_models: TinyModels, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that wants a key on every route that can want one, and the key in its clients."""
    folder = tmp_path_factory.mktemp("keyed")
    command = [sys.executable, "-m", "tocsin_serving.cli", "keys", "new", "desk"]
    command += ["--keys", str(folder / "keys"), "--scope", "score", "--scope", "metrics"]
    made = subprocess.run(command, capture_output=True, text=True, check=True)
    with start_server(tiny_models, folder, "--keys", folder / "keys", "--metrics-key") as running:
        running.headers = {"Authorization": f"Bearer {made.stdout.split()[-1]}"}
        yield running


@pytest.fixture(scope="module")
def document(keyed: Server) -> dict[str, Any]:
    found: dict[str, Any] = httpx.get(f"{keyed.url}/openapi.json").json()
    return found


def with_native_routes(document: dict[str, Any]) -> dict[str, Any]:
    """BentoML's own routes beside the public ones: the same answers, and the same refusals."""
    document = copy.deepcopy(document)
    for route in ("/classify", "/summarise"):
        operation = copy.deepcopy(document["paths"][f"/v1{route}"]["post"])
        operation["operationId"] = f"native{route.replace('/', '_')}"
        document["paths"][route] = {"post": operation}
    content = operation["requestBody"]["content"]["application/json"]
    content["schema"] = NativeSummariseRequest.model_json_schema()
    content["example"] = {"text": "The general vowed to burn the port."}
    return document


def fuzz(server: Server, document: dict[str, Any], folder: Path, most_examples: int) -> float:
    """Run schemathesis with all checks; how many requests the server says that it answered."""
    path = folder / "openapi.json"
    path.write_text(json.dumps(document), "utf-8")
    before = server.metric("tocsin_requests_total")
    tests = Path(__file__).parent
    command = [sys.executable, "-m", "schemathesis.cli", "run", str(path), "--url", server.url]
    command += [f"--header=Authorization:{server.headers['Authorization']}"]
    command += ["--checks=all", "--mode=all", "--phases=examples,coverage,fuzzing,stateful"]
    command += [f"--seed={SEED}", f"--max-examples={most_examples}", "--continue-on-failure"]
    command += ["--generation-database=none", "--workers=2", "--no-color"]
    hooks = {"SCHEMATHESIS_HOOKS": "tests.test_contract", "PYTHONPATH": str(tests.parent)}
    ran = subprocess.run(
        command,
        cwd=folder,
        env=os.environ | hooks,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=900,
    )
    assert ran.returncode == 0, ran.stdout
    assert f"{len(ROUTES) - len(PAGES) - 1} selected" in ran.stdout, "a route was not tried"
    assert server.metric("tocsin_requests_total", status="500") == 0
    assert server.metric("tocsin_requests_total", status="401") > 0, "no key was left out"
    return server.metric("tocsin_requests_total") - before


def test_the_service_does_what_its_document_says(
    keyed: Server, document: dict[str, Any], tmp_path: Path
) -> None:
    # A newsroom's programs are written against the document, not against the code.
    assert fuzz(keyed, with_native_routes(document), tmp_path, most_examples=40) > 500


@pytest.mark.slow
def test_the_service_does_what_its_document_says_in_thousands_of_cases(
    keyed: Server, document: dict[str, Any], tmp_path: Path
) -> None:
    assert fuzz(keyed, with_native_routes(document), tmp_path, most_examples=500) >= 2_000


def test_the_document_is_valid_openapi(document: dict[str, Any]) -> None:
    # Generators of clients stop at the first mistake.
    assert document["openapi"].startswith("3.1.")
    schemathesis.openapi.from_dict(document).validate()
    for schema in document["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)
    broken = copy.deepcopy(document)
    broken["paths"]["/livez"]["get"]["parameters"] = [{"name": "x", "in": "nowhere"}]
    with pytest.raises(Exception, match="nowhere"):
        schemathesis.openapi.from_dict(broken).validate()


def test_every_public_route_is_in_the_document_and_no_other(document: dict[str, Any]) -> None:
    # BentoML's own routes are in its own document, /schema.json.
    assert set(document["paths"]) == {
        template
        for template, route in ROUTES.items()
        if not route.is_native and template not in PAGES
    }


def test_every_code_is_in_the_document_with_its_status(document: dict[str, Any]) -> None:
    # Programs branch on ``code``; one that is not listed is one that nobody handles.
    for path, operations in document["paths"].items():
        for operation in operations.values():
            for status, answer in operation["responses"].items():
                if status == "200":
                    continue
                schema = answer["content"]["application/problem+json"]["schema"]
                codes = schema["properties"]["code"]["enum"]
                assert {CODES[code][0] for code in codes} == {int(status)}, path
    responses = document["paths"]["/v1/analyse"]["post"]["responses"]
    assert {status for status, _ in CODES.values()} == {int(each) for each in responses} - {200}


def values_and_schemas(node: Any) -> Iterator[tuple[Any, Any]]:
    """Each default and example of a document, with the schema that it stands beside."""
    if isinstance(node, list):
        for item in node:
            yield from values_and_schemas(item)
    elif isinstance(node, dict):
        if "example" in node:
            yield node["example"], node["schema"]
        if "default" in node and "properties" not in node:
            yield node["default"], node
        for item in node.values():
            yield from values_and_schemas(item)


def validator(document: dict[str, Any], schema: dict[str, Any]) -> Draft202012Validator:
    return Draft202012Validator(schema | {"components": document["components"]})


def test_defaults_and_examples_are_what_they_illustrate(document: dict[str, Any]) -> None:
    # They are what people paste first.
    found = list(values_and_schemas(document))
    assert len(found) > 10
    for value, schema in found:
        validator(document, schema).validate(value)


def test_examples_are_answered_as_documented(keyed: Server, document: dict[str, Any]) -> None:
    with keyed.client() as client:
        for path, operations in document["paths"].items():
            for method, operation in operations.items():
                content = operation.get("requestBody", {}).get("content", {})
                body = content.get("application/json", {}).get("example")
                answer = client.request(method, path, json=body)
                assert answer.status_code == 200, answer.text
                [(media_type, good)] = operation["responses"]["200"]["content"].items()
                assert answer.headers["content-type"].startswith(media_type)
                if media_type == "application/json":
                    validator(document, good["schema"]).validate(answer.json())


@pytest.mark.parametrize("seconds", ["x", "0", "-1", "nan", ""])
def test_a_deadline_is_read_only_where_it_is_documented(
    keyed: Server, document: dict[str, Any], seconds: str
) -> None:
    # A proxy that adds headers to everything must not make a health check fail.
    with keyed.client() as client:
        for path, operations in document["paths"].items():
            for method, operation in operations.items():
                answer = client.request(method, path, headers={"X-Request-Timeout": seconds})
                assert str(answer.status_code) in operation["responses"], (path, answer.text)
