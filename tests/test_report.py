"""A report says first what was decided, tells every number, and lets no word of an article run."""

import re
from collections import Counter
from functools import cache
from html.parser import HTMLParser
from typing import Any

import pytest
from tests.report_record import HOSTILE, LABELS, NAMES, record

from tocsin_eval.report_html import MOST_LABELS, render_html
from tocsin_eval.report_markdown import render_markdown

VARIANTS: dict[str, dict[str, Any]] = {
    "all of it": {},
    "passes a gate": {"gate": True},
    "fails a gate": {"gate": False},
    "passages only": {"has_summaries": False},
    "summaries only": {"has_passages": False},
    "single labels": {"is_single_label": True, "has_summaries": False},
    "no suites, no cost": {"has_behaviour": False, "has_cost": False},
    "one subject": {"names": NAMES[:1]},
    "one label": {"labels": LABELS[:1]},
    "labels of another newsroom": {"labels": ("a & b", "<c>", "f1_x", "数字", "$m$")},
}

# They have no end tag.
_VOID = {"meta", "link", "img", "br"}


class Page(HTMLParser):
    """What a reader sees of a page, and its bones. Malformed nesting is an error."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.text = ""
        self.headings: list[str] = []
        self.tags: Counter[str] = Counter()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self._open: list[str] = []
        self.feed(html)
        self.close()
        assert self._open == []
        self.text = " ".join(self.text.split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        self.ids += [value for name, value in attrs if name == "id" and value]
        self.links += [value for name, value in attrs if name == "href" and value]
        if tag not in _VOID:
            self._open.append(tag)
        if tag in ("h2", "h3"):
            self.headings.append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self._open:
            self.text += f" {data}" if data.strip() else data
        if self._open[-1:] in (["h2"], ["h3"]):
            self.headings[-1] += data


@cache
def html_of(variant: str) -> str:
    """Drawing takes a second, so it is done once."""
    return render_html(record(**VARIANTS[variant]))


@pytest.fixture(scope="module")
def page() -> Page:
    return Page(html_of("fails a gate"))


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_part_that_was_not_measured_leaves_no_trace(variant: str) -> None:
    # "None" or "nan" in a report makes its reader doubt the rest.
    made = record(**VARIANTS[variant])
    told, markdown = Page(html_of(variant)), render_markdown(made)
    for text in (told.text, markdown):
        assert not re.search(r"\b(None|nan|NaN|null|Undefined|inf)\b", text)
    has_passages = bool(made["data"]["passages"])
    assert ("Curves" in told.headings) == has_passages
    assert ("Confusion" in told.headings) == has_passages
    assert ("Differences" in told.headings) == bool(made["comparisons"])
    assert ("Summaries" in told.headings) == bool(made["data"]["summaries"])
    first = made["subjects"][0]
    assert ("Behaviour" in told.headings) == bool(first["behaviour"])
    assert ("Speed and cost" in told.headings) == bool(first["cost"])
    sections = re.findall(r"^## (.*)$", markdown, re.MULTILINE)
    assert ("Behaviour" in sections) == bool(first["behaviour"])
    assert ("Worst errors" in sections) == has_passages


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_contents_lead_to_parts_that_are_there(variant: str) -> None:
    told = Page(html_of(variant))
    inner = [link.removeprefix("#") for link in told.links if link.startswith("#")]
    assert len(inner) > 2
    assert set(inner) <= set(told.ids)
    assert len(told.ids) == len(set(told.ids))


@pytest.mark.parametrize("variant", ["all of it", "single labels", "labels of another newsroom"])
def test_the_same_record_gives_the_same_bytes(variant: str) -> None:
    # Reports are compared and cached by their hash.
    made = record(**VARIANTS[variant])
    assert render_html(made) == html_of(variant)
    assert render_markdown(made) == render_markdown(record(**VARIANTS[variant]))


def test_words_of_an_article_are_shown_and_never_run(page: Page) -> None:
    # Articles come from anywhere: their markup would be ours.
    assert page.text.count(HOSTILE) == 2
    assert "It denied <b>everything</b>." in page.text
    assert page.tags["script"] == 0
    assert not any(name.startswith("on") for _, name, _ in page.attributes)


def test_the_page_loads_nothing_and_its_policy_forbids_it(page: Page) -> None:
    policy = next(v for _, name, v in page.attributes if name == "content" and "default-src" in v)
    rules = {name: rest for name, *rest in map(str.split, policy.split(";"))}
    assert rules["default-src"] == ["'none'"]
    assert rules["style-src"] == ["'unsafe-inline'"]
    assert rules["img-src"] == ["data:"]
    assert set(rules) == {"default-src", "style-src", "img-src", "base-uri", "form-action"}
    loaded = [value for _, name, value in page.attributes if name in ("src", "srcset", "action")]
    assert loaded
    assert all(value.startswith("data:image/svg+xml;base64,") for value in loaded)
    assert all(link.startswith("#") or link == "data:," for link in page.links)


def test_the_verdict_stands_before_everything_else() -> None:
    told = Page(html_of("fails a gate")).text
    assert (
        told.index("does not pass the gate") < told.index("is better than") < told.index("Numbers")
    )
    markdown = render_markdown(record(gate=False))
    assert (
        markdown.index("✗ FAIL") < markdown.index("is better than") < markdown.index("## Numbers")
    )


def test_a_broken_gate_says_which_rule_and_in_words_not_in_colour_alone(page: Page) -> None:
    assert "✗ Fail" in page.text
    assert page.text.count("calibration error (ECE) is worse by more than the margin 0.01") == 1
    assert "−0.0300 (−0.0500 to −0.0100)" in page.text
    assert "✓ Pass" in Page(html_of("passes a gate")).text
    assert "gate" not in Page(html_of("all of it")).text


def test_tables_pictures_and_images_can_be_heard(page: Page) -> None:
    # A screen reader finds a cell by the headings of its row and column.
    assert page.tags["caption"] == page.tags["table"] > 5
    scopes = [value for tag, name, value in page.attributes if tag == "th" and name == "scope"]
    assert len(scopes) == page.tags["th"]
    assert set(scopes) == {"row", "col"}
    alternatives = [v for tag, name, v in page.attributes if tag == "img" and name == "alt"]
    assert len(alternatives) == page.tags["img"] == 4 * len(LABELS) + 1
    assert all(len(text) > 20 for text in alternatives)


@pytest.mark.parametrize("variant", ["all of it", "single labels", "summaries only"])
def test_an_engineer_finds_every_number(variant: str) -> None:
    # The headline picks; what it leaves out must not be lost.
    made = record(**VARIANTS[variant])
    told = Page(html_of(variant)).text
    for subject in made["subjects"]:
        for name, interval in subject["metrics"].items():
            if interval["value"] is None or name.startswith("rouge") or interval["value"] > 1.5:
                continue
            assert f"{interval['value']:.3f}" in told or f"{interval['value']:.2f}" in told, name


def test_shares_have_three_digits_rouge_two_and_a_minus_is_a_minus(page: Page) -> None:
    assert "0.900" in page.text
    assert "31.50" in page.text
    assert "29.50–33.50" in page.text
    assert not re.search(r"(?<![\w.])-\d", page.text)


def test_single_labels_are_told_by_accuracy_and_need_no_threshold() -> None:
    told = Page(html_of("single labels")).text
    assert told.index("accuracy") < told.index("macro-F1", told.index("Labels of passages"))
    assert "Labels that stand together" not in told
    assert "none of them" not in told
    assert "threshold stored" not in told


def test_a_difference_is_called_by_its_corrected_p_and_by_which_way_is_better() -> None:
    made = record(has_summaries=False)
    for item in made["comparisons"][0]["numbers"]:
        if item["name"] == "ece":
            item |= {"difference": {"value": -0.2, "low": -0.3, "high": -0.1}, "p_holm": 0.01}
        if item["name"] == "macro_f1":
            item |= {"difference": {"value": 0.2, "low": 0.1, "high": 0.3}, "p_holm": 0.06}
    markdown = render_markdown(made)
    section = markdown[markdown.index("## Differences") :]
    # Less error is better; and 0.06 does not tell two systems apart, whatever the difference.
    assert re.search(r"\| calibration error \(ECE\)[^|]*\| better \|", section)
    assert re.search(r"\| macro-F1 \| not told apart \|", section)


def test_words_of_an_article_are_no_markup_in_markdown() -> None:
    markdown = render_markdown(record())
    assert "<script>" not in markdown
    assert "Ruritania &amp; Co. said &lt;script&gt;" in markdown
    assert r"\| \`twice\` \${1} \*loud\*" in markdown
    for line in markdown.splitlines():
        if line.startswith("|"):
            table = re.sub(r"\\\|", "", line)
            assert table.count("|") > 2


def test_tables_of_markdown_have_as_many_cells_in_every_row() -> None:
    markdown = render_markdown(record(labels=("a|b", "c"), gate=True))
    tables = re.findall(r"(?:^\|.*\n)+", markdown, re.MULTILINE)
    assert len(tables) > 5
    for table in tables:
        rows = [re.sub(r"\\\|", "", row).count("|") for row in table.splitlines()]
        assert len(set(rows)) == 1


def test_failing_cases_are_shown_with_their_scores_and_what_is_left_out_is_told() -> None:
    told = Page(html_of("all of it")).text
    assert "5 of 10 cases fail" in told
    assert told.count("It vowed & denied everything.") == 5
    assert "claim 0.20" in told
    markdown = render_markdown(record())
    assert markdown.count("It vowed &amp; denied everything.") == 3
    assert "2 more cases in report.html" in markdown


def test_of_many_labels_some_have_no_curves_and_the_report_says_which() -> None:
    # Four panels a label: a hundred labels would make a page that no browser likes.
    labels = tuple(f"topic{number:02}" for number in range(MOST_LABELS + 2))
    told = Page(render_html(record(labels=labels, names=NAMES[:1], has_summaries=False)))
    assert told.tags["img"] == 4 * MOST_LABELS
    assert f"Not drawn, but in the tables: {', '.join(labels[-2:])}." in told.text


def test_the_command_can_be_read_off_and_typed_again(page: Page) -> None:
    command = record()["provenance"]["command"]
    assert command in page.text
    assert f"`{command}`" in render_markdown(record())
    assert "ab" * 32 in page.text
    assert "ef" * 32 in page.text
    without = record()
    del without["provenance"]
    assert "Provenance" in Page(render_html(without)).headings
