"""The docs page works on a machine without a network, and tells nobody that it was opened."""

import base64
import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest
from tests.browser import Browser, open_browser
from tests.server import Server


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


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    yield from open_browser(tmp_path)


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
