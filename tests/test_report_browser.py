"""The report in a real browser: nothing is loaded or cut off, and the verdict is seen first."""

import base64
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.browser import Browser, open_browser
from tests.report_record import NAMES, record

from tocsin_eval.report_html import render_html

# A laptop and a telephone, in CSS pixels.
SCREENS = [(1280, 800), (400, 800)]

# Elements whose box leaves the page, where no box of their own lets them scroll.
_CUT_OFF = """
[...document.querySelectorAll('main *, header *')].filter(element =>
  !element.closest('.scroll, svg') && element.getBoundingClientRect().right > innerWidth + 1
).map(element => element.outerHTML.slice(0, 80))
"""


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    yield from open_browser(tmp_path)


def show(browser: Browser, html: str, folder: Path, width: int, height: int) -> str:
    """Open a page from a file; its address."""
    path = folder / "report.html"
    path.write_text(html, encoding="utf-8")
    browser.call(
        "Emulation.setDeviceMetricsOverride",
        width=width,
        height=height,
        deviceScaleFactor=1,
        mobile=width < 500,
    )
    browser.call("Page.navigate", url=path.as_uri())
    browser.wait(f"location.href == {path.as_uri()!r} && document.readyState == 'complete'")
    return path.as_uri()


@pytest.mark.parametrize(("width", "height"), SCREENS)
@pytest.mark.parametrize("gate", [False, None])
def test_the_report_opens_offline_and_shows_its_verdict_first(
    browser: Browser, tmp_path: Path, width: int, height: int, gate: bool | None
) -> None:
    # Long names, and a label without a space, are what pushes a page sideways.
    made = record(
        gate=gate,
        names=("https-newsroom-example-org-tocsin-classifier-of-2026-11", *NAMES[1:]),
        labels=("claim", "an_unusually_long_label_without_any_space_in_it"),
    )
    address = show(browser, render_html(made), tmp_path, width, height)
    sizes = "[document.documentElement.scrollWidth, innerWidth]"
    for is_open in (False, True):
        browser.evaluate(f"document.querySelectorAll('details').forEach(d => d.open = {is_open:d})")
        scroll_width, inner_width = browser.evaluate(sizes)
        assert inner_width == width
        assert scroll_width <= inner_width
        assert browser.evaluate(_CUT_OFF) == []
    first = ".gate" if gate is not None else ".sentences li"
    box = browser.evaluate(f"document.querySelector('{first}').getBoundingClientRect().toJSON()")
    assert 0 <= box["top"] < box["bottom"] <= height
    pictures = "[...document.images].map(image => image.naturalWidth > 0 && image.complete)"
    drawn = browser.evaluate(pictures)
    assert len(drawn) == 9
    assert all(drawn)
    browser.listen(0.5)
    assert browser.complaints() == []
    assert {url for url in browser.requested() if not url.startswith("data:")} == {address}


def test_the_policy_stops_a_page_that_would_call_out(browser: Browser, tmp_path: Path) -> None:
    # The rule failing: were a passage's markup ever let through, it could neither run nor load.
    evil = "<img src='http://192.0.2.1/x.png'><script>document.title = 'run'</script>"
    html = render_html(record()).replace("<header>", f"{evil}<header>", 1)
    show(browser, html, tmp_path, 1280, 800)
    browser.listen(0.5)
    assert browser.evaluate("document.title") != "run"
    assert len(browser.complaints()) >= 2


def test_the_report_prints_on_paper_without_cutting_its_tables(
    browser: Browser, tmp_path: Path
) -> None:
    show(browser, render_html(record(gate=True)), tmp_path, 1280, 800)
    browser.call("Emulation.setEmulatedMedia", media="print")
    # A4 less its margins is 186 mm wide: 703 CSS pixels.
    browser.call(
        "Emulation.setDeviceMetricsOverride",
        width=703,
        height=1000,
        deviceScaleFactor=1,
        mobile=False,
    )
    assert browser.evaluate("document.documentElement.scrollWidth") <= 703
    wide = "[...document.querySelectorAll('table')].map(t => t.getBoundingClientRect().right)"
    assert max(browser.evaluate(wide)) <= 703
    printed = browser.call("Page.printToPDF", preferCSSPageSize=True, printBackground=True)
    assert base64.b64decode(printed["data"]).startswith(b"%PDF")
