"""What a run over an archive amounts to: true counts, a page that shows them, queries that run."""

import re
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import duckdb
import pytest
from tests.archive import ARTICLE, results, score, write_rows
from tests.support import run, squeeze

from tocsin_models.errors import InputError
from tocsin_serving.archive.report import draw_timeline, every_month, render_page, write_picture
from tocsin_serving.archive.tally import NO_MONTH, month_of, tally_results

TEXTS = ("The army vowed to shell the port.", "Envoys met for talks.", "Rain fell on the plain.")


def passages(count: int = 40) -> list[dict[str, Any]]:
    """Rows of eleven months; every seventh has no date."""
    return [
        {
            "id": f"p{n}",
            "text": TEXTS[n % 3],
            "filed": None if n % 7 == 6 else f"2024-{1 + n % 11:02}-03",
        }
        for n in range(count)
    ]


@pytest.fixture(params=["parquet", "jsonl"])
def scored(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    source = write_rows(tmp_path / "in.jsonl", passages())
    score(source, tmp_path / "out", unit="passage", format=request.param)
    return tmp_path / "out"


def test_counts_are_those_of_the_rows(scored: Path) -> None:
    # Counted a second way: a month that is off by one row would be believed.
    tally = tally_results(scored, "filed")
    rows, threats = Counter[str](), Counter[str]()
    for row in results(scored):
        month = (row["filed"] or NO_MONTH)[:7]
        rows[month] += 1
        threats[month] += "threat" in row["labels"]
    assert tally.rows == rows
    assert dict(tally.carried["threat"]) == {m: n for m, n in threats.items() if n}
    assert sum(tally.rows.values()) == 40


def test_the_sharpest_passages_lead_to_their_rows(tmp_path: Path) -> None:
    # An editor clicks the file and looks up the row: it has to be the one.
    source = write_rows(tmp_path / "in.jsonl", [{"id": f"a{n}", "text": ARTICLE} for n in range(3)])
    score(source, tmp_path / "out")
    tally = tally_results(tmp_path / "out", top=2)
    assert [len(found) for found in tally.top.values()] == [
        2 * (label in ("threat", "diplomacy")) for label in tally.labels
    ]
    for one in tally.top["threat"]:
        row = results(tmp_path / "out")[one.row - 1]
        assert row["id"] == one.id
        assert one.passage is not None
        assert row["passages"][one.passage]["text"] == one.text


@pytest.mark.parametrize("format", ["parquet", "jsonl"])
def test_a_column_called_passages_is_not_taken_for_those_of_an_article(
    tmp_path: Path, format: str
) -> None:
    # A number of passages, carried along with each passage, ended the report in a traceback.
    rows = [{"id": "p", "text": TEXTS[0], "passages": 3}, {"id": "q", "text": TEXTS[2]}]
    source = write_rows(tmp_path / "in.jsonl", rows)
    score(source, tmp_path / "out", unit="passage", format=format)
    tally = tally_results(tmp_path / "out")
    assert [one.id for one in tally.top["threat"]] == ["p"]


@pytest.mark.parametrize(
    ("value", "month"),
    [
        ("2025-03-09T10:00:00Z", "2025-03"),
        ("2025-03", "2025-03"),
        ("20250309", "2025-03"),
        ("20250309T101500", "2025-03"),
        ("2025-13-01", NO_MONTH),
        ("9 March 2025", NO_MONTH),
        ("", NO_MONTH),
        (None, NO_MONTH),
        (1741514400, NO_MONTH),
        ("2025-031", NO_MONTH),
    ],
)
def test_a_month_is_read_only_from_what_is_a_date(value: Any, month: str) -> None:
    # A guess would put rows into months in which nothing happened.
    assert month_of(value) == month


def test_a_gap_in_the_archive_is_a_gap_in_the_picture() -> None:
    months = every_month(["2024-11", NO_MONTH, "2025-02"])
    assert months == ["2024-11", "2024-12", "2025-01", "2025-02", NO_MONTH]


class Page(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.links: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.links += [v for k, v in attrs if k in ("href", "src", "xlink:href") and v]


def test_the_page_shows_copy_as_text_and_asks_nothing_of_a_network(tmp_path: Path) -> None:
    # An archive holds what others wrote: markup in it must not run in the newsroom's browser.
    text = "Envoys leave\n\nThe group vowed <script>alert(1)</script> & more.\n\nTalks go on."
    rows = [{"id": "<b>x</b>", "text": text, "date": "2025-01-02"}]
    score(write_rows(tmp_path / "in.jsonl", rows), tmp_path / "out")
    page = render_page(tally_results(tmp_path / "out"))
    found = Page(page)
    assert found.tags["script"] == found.tags["b"] == 0
    assert found.tags["svg"] == 1
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; more" in page
    assert {link for link in found.links if not link.startswith("#")} == {"part-00000.jsonl"}
    assert "default-src 'none'" in page


def test_the_same_run_gives_the_same_page(scored: Path) -> None:
    # A page in version control would change every time it is made.
    first, second = (render_page(tally_results(scored, "filed")) for _ in range(2))
    assert first == second


def test_the_command_prints_the_table_and_draws(scored: Path) -> None:
    told = run("report", scored, "--date-column", "filed")
    assert told.code == 0
    assert "2024-01" in squeeze(told.out)
    assert re.search(r"all 40 ", squeeze(told.out))
    assert (scored / "report.html").read_text(encoding="utf-8").startswith("<!doctype html>")
    assert run("report", scored, "--draw", scored / "t.png", "--date-column", "filed").code == 0
    assert (scored / "t.png").read_bytes().startswith(b"\x89PNG")
    # No column of a known name: counted all the same, and said.
    assert "no column holds a date" in run("report", scored).err


def test_what_cannot_be_reported_is_one_line(scored: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for words, problem in (
        ((tmp_path / "empty",), "no finished run"),
        ((scored, "--date-column", "day"), "no such column; there are filed"),
        ((scored, "--draw", tmp_path / "t.gif"), "written as .html or .png"),
    ):
        told = run("report", *words)
        assert (told.code, problem in told.err, told.err.count("\n")) == (2, True, 1)
    with pytest.raises(InputError, match="cannot be written"):
        write_picture(tmp_path / "no" / "t.png", tally_results(scored, "filed"))


def test_many_months_and_labels_still_make_a_picture(scored: Path) -> None:
    tally = tally_results(scored, "filed")
    assert draw_timeline(tally, "png").startswith(b"\x89PNG")


def queries(repository: Path) -> list[str]:
    """The SQL of the README."""
    readme = (repository / "serving" / "README.md").read_text(encoding="utf-8")
    return re.findall(r"```sql\n(.*?)```", readme, flags=re.DOTALL)


def test_the_queries_of_the_readme_run_on_the_folder_as_it_is(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # "SQL at hand" is a promise of the README; a renamed column would break it silently.
    rows = [{"id": f"a{n}", "text": ARTICLE, "published": f"2025-03-{n + 1:02}"} for n in range(12)]
    score(write_rows(tmp_path / "in.jsonl", rows), tmp_path / "results", format="parquet")
    monkeypatch.chdir(tmp_path)
    found = queries(repository)
    assert len(found) >= 2
    connection = duckdb.connect()
    sharpest = connection.execute(found[0]).fetchall()
    assert len(sharpest) == 10
    assert all("vowed" in str(row) for row in sharpest)
    for query in found[1:]:
        assert connection.execute(query).fetchall()
