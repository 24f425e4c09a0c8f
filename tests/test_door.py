"""Who comes through the door of the real service: keys, other origins, BentoML's own clients; and
that what comes out is what the command line says."""

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from tests.server import Server, TinyModels, start_server
from tests.support import run

from tocsin_serving.keys import new_key

DESK = "https://desk.example.org"
TEXT = "Army vows reprisal\n\nWe will answer every strike, the commander vowed.\n\nTalks go on."
PASSAGE = {"passages": [{"id": "a", "text": "The talks were suspended."}]}


@dataclass(frozen=True, kw_only=True)
class Keyed:
    """A server with keys: the file, and the token of a key in it."""

    server: Server
    keys: Path
    token: str

    def post(self, path: str, body: object, token: str | None, **headers: str) -> httpx.Response:
        if token:
            headers["Authorization"] = f"Bearer {token}"
        with self.server.client() as client:
            return client.post(path, json=body, headers=headers)


@pytest.fixture(scope="module")
def keyed(tiny_models: TinyModels, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Keyed]:
    folder = tmp_path_factory.mktemp("keyed")
    keys = folder / "keys.txt"
    token = new_key("desk", keys)
    options = ("--keys", keys, "--metrics-key", "--cors-origin", DESK, "--max-body", "20000")
    with start_server(tiny_models, folder, *options) as server:
        yield Keyed(server=server, keys=keys, token=token)


@pytest.mark.parametrize("path", ["/v1/analyse", "/v1/classify", "/classify", "/summarise"])
def test_no_key_no_answer_on_any_route_that_reads_copy(keyed: Keyed, path: str) -> None:
    # A route that was forgotten would read everybody's articles for anybody.
    for token in (None, "wrong", keyed.token[:-1]):
        refused = keyed.post(path, PASSAGE, token)
        assert refused.status_code == 401
        assert refused.headers["WWW-Authenticate"] == "Bearer"
        assert refused.json()["code"] == "unauthorised"


def test_health_is_open_and_metrics_ask_for_their_scope(keyed: Keyed) -> None:
    # Probes have no keys; metrics tell how much a newsroom works, and on what.
    with keyed.server.client() as client:
        assert client.get("/livez").status_code == client.get("/readyz").status_code == 200
        assert client.get("/metrics").status_code == 401
        bearer = {"Authorization": f"Bearer {keyed.token}"}
        assert client.get("/metrics", headers=bearer).json()["code"] == "forbidden"


def test_a_key_is_revoked_by_editing_the_file(keyed: Keyed) -> None:
    # Who leaves the newsroom must be locked out without a restart in the middle of the day.
    token = new_key("leaver", keyed.keys)
    assert keyed.post("/v1/classify", PASSAGE, token).status_code == 200
    lines = keyed.keys.read_text().splitlines(keepends=True)
    keyed.keys.write_text("".join(line for line in lines if not line.startswith("leaver ")))
    assert keyed.post("/v1/classify", PASSAGE, token).status_code == 401
    assert keyed.post("/v1/classify", PASSAGE, keyed.token).status_code == 200


def test_a_preflight_passes_without_a_key_for_the_origin_that_was_named(keyed: Keyed) -> None:
    # Browsers send none along; with keys in front of it no editor's page could ever call.
    asked = {
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,content-type",
    }
    with keyed.server.client() as client:
        good = client.options("/v1/classify", headers={"Origin": DESK, **asked})
        bad = client.options("/v1/classify", headers={"Origin": "https://evil.example", **asked})
    assert good.status_code == 200
    assert good.headers["Access-Control-Allow-Origin"] == DESK
    assert "Access-Control-Allow-Origin" not in bad.headers


@pytest.mark.parametrize(
    ("path", "body", "has_key", "status"),
    [
        ("/v1/classify", PASSAGE, True, 200),
        ("/v1/classify", PASSAGE, False, 401),
        ("/v1/classify", {"passages": []}, True, 422),
        ("/v1/classify", {"passages": [{"id": "a", "text": "x" * 30_000}]}, True, 413),
        ("/nowhere", {}, True, 404),
        ("/classify", {"passages": []}, True, 422),
    ],
)
def test_every_answer_may_be_read_by_the_page_that_asked(
    keyed: Keyed, path: str, body: object, has_key: bool, status: int
) -> None:
    # Without the header a browser hides even why it was refused.
    answer = keyed.post(path, body, keyed.token if has_key else None, Origin=DESK)
    assert answer.status_code == status
    assert answer.headers["Access-Control-Allow-Origin"] == DESK
    assert "X-Request-Id" in answer.headers["Access-Control-Expose-Headers"]


def test_other_origins_are_off_unless_named(server: Server) -> None:
    # Else any page an editor opens could send what is on his machine.
    with server.client() as client:
        answer = client.post("/v1/classify", json=PASSAGE, headers={"Origin": DESK})
    assert answer.status_code == 200
    assert "Access-Control-Allow-Origin" not in answer.headers


# In a process of its own: BentoML's client leaves a folder to the collector, with a warning.
NATIVE = """
import json, sys, bentoml
url, passages, text = sys.argv[1], json.loads(sys.argv[2]), sys.argv[3]
with bentoml.SyncHTTPClient(url) as client:
    print(json.dumps([client.classify(**passages), client.summarise(text=text, max_sentences=1)]))
"""


def test_bentoml_s_own_client_gets_what_the_public_routes_give(server: Server) -> None:
    # Who runs BentoML has its clients; they must not get another model's answer, or another form.
    with server.client() as client:
        public = client.post("/v1/classify", json=PASSAGE).json()
    command = [sys.executable, "-c", NATIVE, server.url, json.dumps(PASSAGE), TEXT]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    native, summary = json.loads(told)
    assert native == public
    assert len(summary["summary"]["sentences"]) == 1


def test_the_service_says_to_the_byte_what_the_command_line_says(
    server: Server, tiny_models: TinyModels, tmp_path: Path
) -> None:
    # The desk's screen and the archive's record of one article must not differ.
    article = tmp_path / "wire.txt"
    article.write_text(TEXT)
    models = ("--model", tiny_models.classifier, "--summariser", tiny_models.summariser)
    told = run("analyse", "--json", article, *models, "--device", "cpu")
    with server.client() as client:
        answer = client.post("/v1/analyse", json={"id": "wire", "text": TEXT})
    assert answer.content.decode() == told.out.rstrip("\n")
    assert json.loads(told.out)["passages"]
