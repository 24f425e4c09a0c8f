"""The docs page works on a machine without a network, and tells nobody that it was opened."""

import base64
import fcntl
import json
import os
import re
import select
import shutil
import subprocess
import time
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from tests.server import Server

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
READY_S = 20.0


class References(HTMLParser):
    """What a page loads: the values of its ``src`` and ``href``, and its inline scripts."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.scripts = ""
        self._is_script = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._is_script = tag == "script"
        self.found += [value for name, value in attrs if name in ("src", "href") and value]

    def handle_endtag(self, tag: str) -> None:
        self._is_script = False

    def handle_data(self, data: str) -> None:
        self.scripts += data if self._is_script else ""


def test_the_page_loads_only_what_the_service_has(server: Server) -> None:
    # FastAPI's own page takes Swagger UI from a content network, BentoML's a tag manager as well.
    with server.client() as client:
        page = client.get("/docs")
        references = References(page.text)
        assert len(references.found) == 3
        for reference in references.found:
            assert re.fullmatch(r"assets/[a-z.-]+", reference)
            assert client.get(f"/{reference}").status_code == 200
        assert "SwaggerUIBundle" in references.scripts
        assert "//" not in references.scripts
        styles = client.get("/assets/swagger-ui.css").text
    assert "@import" not in styles
    targets = re.findall(r"url\(\s*[\"']?([^\"')]*)", styles)
    assert targets
    assert all(target.startswith("data:") for target in targets)


def test_the_page_may_load_nothing_else_even_if_it_tried(server: Server) -> None:
    with server.client() as client:
        policy = client.get("/docs").headers["content-security-policy"]
    directives = {name: rest for name, *rest in map(str.split, policy.split(";"))}
    assert directives["default-src"] == ["'none'"]
    assert directives["frame-ancestors"] == ["'none'"]
    allowed = {source for sources in directives.values() for source in sources}
    assert allowed == {"'none'", "'self'", "'unsafe-inline'", "data:"}
    assert "data:" not in directives["script-src"]


def test_no_page_of_bentoml_is_left(server: Server) -> None:
    with server.client() as client:
        index = client.get("/")
        assert (index.status_code, index.headers["location"]) == (307, "docs")
        assert client.get("/docs.json").status_code == 404
        for path in ("/", "/docs", "/static_content/index.html", "/index.html"):
            assert "googletagmanager" not in client.get(path, follow_redirects=True).text


class Browser:
    """A headless Chromium with one page, spoken to over a pipe (its DevTools protocol).

    ``events`` are all that it said of its own accord.
    """

    def __init__(self, folder: Path) -> None:
        assert CHROMIUM
        self.events: list[dict[str, Any]] = []
        self._heard = b""
        self._number = 0
        commands, self._to = _pipe()
        self._from, answers = _pipe()
        flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        flags += ["--no-first-run", "--disable-background-networking", "--disable-sync"]
        flags += ["--disable-component-update", "--window-size=1280,1600", "about:blank"]

        def place() -> None:
            os.dup2(commands, 3)
            os.dup2(answers, 4)

        with (folder / "chromium.log").open("wb") as log:
            self._process = subprocess.Popen(
                [CHROMIUM, "--remote-debugging-pipe", f"--user-data-dir={folder}", *flags],
                pass_fds=(3, 4),
                preexec_fn=place,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        os.close(commands)
        os.close(answers)
        self._session: dict[str, str] = {}
        target = self.call("Target.createTarget", url="about:blank")
        self._session = {
            "sessionId": self.call(
                "Target.attachToTarget", targetId=target["targetId"], flatten=True
            )["sessionId"]
        }
        for domain in ("Network", "Log", "Runtime", "Page"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """The result of one call; what the browser says meanwhile is kept."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters, **self._session}
        os.write(self._to, json.dumps(message).encode() + b"\0")
        while True:
            heard = self._read(READY_S)
            assert heard is not None, f"no answer to {method}"
            if heard.get("id") == self._number:
                result: dict[str, Any] = heard["result"]
                return result
            self.events.append(heard)

    def evaluate(self, expression: str) -> Any:
        """The value of an expression of JavaScript in the page; of a promise, its result."""
        answer = self.call(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def wait(self, expression: str) -> Any:
        """The first true value of an expression."""
        deadline = time.monotonic() + READY_S
        while not (value := self.evaluate(expression)):
            assert time.monotonic() < deadline, f"not so: {expression}; {self.complaints()}"
            time.sleep(0.05)
        return value

    def listen(self, seconds: float) -> None:
        """Keep what the browser says until it has been quiet for so long."""
        while heard := self._read(seconds):
            self.events.append(heard)

    def requested(self) -> list[str]:
        """Addresses that the page asked for, in order."""
        return [
            event["params"]["request"]["url"]
            for event in self.events
            if event["method"] == "Network.requestWillBeSent"
        ]

    def complaints(self) -> list[dict[str, Any]]:
        """Errors and warnings in the console, refusals of the policy and exceptions among them."""
        found = []
        for event in self.events:
            what = event["params"]
            kinds = {
                "Runtime.consoleAPICalled": what.get("type"),
                "Log.entryAdded": what.get("entry", {}).get("level"),
                "Runtime.exceptionThrown": "error",
            }
            if kinds.get(event["method"]) in ("error", "warning", "assert"):
                found.append(event)
        return found

    def close(self) -> None:
        os.close(self._to)  # its end of file ends the browser
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._from)

    def _read(self, timeout_s: float) -> dict[str, Any] | None:
        deadline = time.monotonic() + timeout_s
        while b"\0" not in self._heard:
            left_s = deadline - time.monotonic()
            if left_s <= 0 or not select.select([self._from], [], [], left_s)[0]:
                return None
            piece = os.read(self._from, 1 << 20)
            assert piece, "the browser has gone"
            self._heard += piece
        message, _, self._heard = self._heard.partition(b"\0")
        heard: dict[str, Any] = json.loads(message)
        return heard


def _pipe() -> tuple[int, int]:
    """Both ends, above the numbers 3 and 4 that the browser reads and writes."""
    ends = os.pipe()
    moved = [fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in ends]
    for end in ends:
        os.close(end)
    return moved[0], moved[1]


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("no chromium is installed (Debian: apt-get install chromium)")
    found = Browser(tmp_path)
    yield found
    found.close()


def test_a_browser_shows_the_page_and_tries_a_route_out(
    server: Server, browser: Browser, tmp_path: Path
) -> None:
    # A policy that is too strict leaves a blank page, of which no other test knows.
    browser.call("Page.navigate", url=f"{server.url}/docs")
    browser.wait("document.querySelectorAll('.opblock').length == 8")
    browser.evaluate("document.querySelector('.opblock-summary-control').click()")
    for button in (".try-out__btn", ".btn.execute"):
        browser.wait(f"!!document.querySelector('{button}')")
        browser.evaluate(f"document.querySelector('{button}').click()")
    status = "document.querySelector('.live-responses-table tbody .response-col_status')?.innerText"
    assert browser.wait(status).split()[0] == "200"
    shot = base64.b64decode(browser.call("Page.captureScreenshot")["data"])
    (tmp_path / "docs.png").write_bytes(shot)
    assert len(shot) > 20_000
    browser.listen(0.5)
    assert browser.complaints() == []
    called = [url for url in browser.requested() if not url.startswith("data:")]
    assert all(url.startswith(f"{server.url}/") for url in called)
    assert f"{server.url}/v1/analyse" in called


def test_a_browser_stops_what_the_page_may_not_load(server: Server, browser: Browser) -> None:
    # The rule failing: complaints are heard, and a call to elsewhere is refused before it is made.
    browser.call("Page.navigate", url=f"{server.url}/docs")
    browser.wait("document.querySelectorAll('.opblock').length == 8")
    tried = "fetch('http://192.0.2.1/').then(() => 'called', () => 'refused')"
    assert browser.evaluate(tried) == "refused"
    browser.listen(0.5)
    assert any("Content Security Policy" in json.dumps(each) for each in browser.complaints())
