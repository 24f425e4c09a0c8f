"""What is dropped and why; and above all what never is."""

import json
import time
from pathlib import Path

import pytest

from tocsin_eval.boilerplate import LabelledText, dropped_passages, main, measure, read
from tocsin_models.boilerplate import REASONS, drop_reason, drop_reasons
from tocsin_models.errors import DataError

LEAD = "The army of Ardesh said on Monday that it had struck a depot near the river."
ANSWER = "Officials in Zorvan denied that there was a depot and asked for a meeting."


def reason_within(line: str) -> str | None:
    """Why a line is dropped from the middle of an article of ten paragraphs."""
    body = [LEAD, ANSWER] * 2
    return drop_reasons(["Army hits depot", *body, line, *body])[5]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("09.14 GMT", "time stamp"),
        ("Last updated 05.40", "time stamp"),
        ("Updated: Monday, 3 March 2031, 10:15 GMT", "time stamp"),
        ("March 3, 2031", "time stamp"),
        ("Share this article", "share prompt"),
        ("Facebook | Twitter | Email", "share prompt"),
        ("Follow us on Telegram", "share prompt"),
        ("Sign up to our morning briefing", "newsletter prompt"),
        ("READ MORE: Envoy leaves Zorvan", "related link"),
        ("Also read: Squid prices fall", "related link"),
        ("Opinion: Why the talks fell through", "related link"),
        ("Comments are now closed.", "comment form"),
        ("Were you there? Send your pictures to the newsdesk", "comment form"),
        ("This is a developing story and will be updated.", "developing story"),
        ("More to follow", "developing story"),
        ("This blog is now closed.", "live page notice"),
        ("Refresh this page for the latest.", "live page notice"),
        ("The views expressed here are the author's own.", "disclaimer"),
        ("This interview has been edited for length and clarity.", "disclaimer"),
        ("Ada Example contributed to this report.", "credit line"),
        ("(Reporting by Ada Example; editing by Bo Sample)", "credit line"),
        ("For more information, media should contact the press office.", "contact line"),
        ("press@example.org", "contact line"),
        ("© 2031 Example Press. All rights reserved.", "copyright"),
        ("Advertisement", "advertisement"),
        ("Tags: drones, river, Ardesh", "tag list"),
        ("Home | World | Ardesh | Live", "navigation"),
        ("Skip to main content", "navigation"),
        ("Photo: Ada Example/Agency", "image credit"),
        ("Example reported from Vessaly and Sample from Kyrrin.", "credit line"),
        ("Example Press writers Ada Example in Vessaly and Bo Sample contributed.", "credit line"),
        ("With reporting by Ada Example in Vessaly", "credit line"),
        ("For another view, click here.", "related link"),
        ("Scroll down for video", "related link"),
        ("Read more about the talks", "related link"),
        ("Watch the depot burn »", "related link"),
        ("TM & © 2031 Example Press", "copyright"),
        ("Ada Example/AFP via Getty Images", "image credit"),
        ("Image source, Example Agency", "image credit"),
        ("(END VIDEO)", "transcript mark"),
        ("The river", "crosshead"),
        ("Who leads the brigade?", "crosshead"),
    ],
)
def test_boilerplate_is_dropped_with_its_reason(line: str, reason: str) -> None:
    # Unread, each would be scored as a passage and shown to an editor.
    assert reason in REASONS
    assert reason_within(line) == reason


@pytest.mark.parametrize(
    "line",
    [
        "Follow our orders or be killed",
        "Send us your sons, the decree said.",
        "Tell our enemies that we are coming.",
        "Leave the river bank or burn",
        "Join us on the front, the preacher urged.",
        "Share the bread or share the grave.",
        "We are closing the strait for the night.",
        "Register now or face the firing squad.",
        "Close the strait, the commander ordered.",
        "Next time we will not miss.",
        "Victory or death",
        "“Read more: it is war,” he said.",
        "'Share this,' the captive wrote.",
        "The author was shot dead by gunmen.",
        "Reporting by rights groups has found mass graves.",
        "Compiled by inspectors, the report says the army killed nine.",
        "(c) Withdraw all forces from the zone.",
        "By Friday the port will burn.",
        "By Friday Vessaly for Ardesh was lost.",
        "Clashes reported from Vessaly and Kyrrin.",
        "Hospital staff say the blockade contributed.",
        "Read more and you die, the note said.",
        "Opinion: A state that cannot keep a clinic open should not be astonished.",
        "Updated figures put the dead at 90.",
        "More dead were found on Monday.",
        "Search teams found nine bodies.",
        "Home to 40,000 people, the town fell on Monday.",
        "MODERATOR: Minister, is that a warning?",
        "QUESTION: Are we at war?",
        "Cease-fire reached on the river bank",
        "07.31 The army says it has struck a depot.",
    ],
)
def test_news_that_looks_like_boilerplate_is_kept(line: str) -> None:
    # A dropped threat is lost for good: precision comes before recall.
    assert reason_within(line) is None


@pytest.mark.parametrize(
    "line",
    [
        "By Ada Example",
        "By Ada Example in Vessaly",
        "By Ada Example for the Example Press",
        "By Ada Example and Bo Sample | Example Press",
    ],
)
def test_a_byline_is_dropped_beside_the_headline_and_nowhere_else(line: str) -> None:
    # Deep in an article the same words may head a document that is quoted.
    assert drop_reasons(["Army hits depot", line, *[LEAD, ANSWER] * 4])[1] == "byline"
    assert reason_within(line) != "byline"


def test_lines_of_boilerplate_in_one_block_are_dropped_and_a_line_of_news_saves_it() -> None:
    # Pasted pages run the buttons of a page together without blank lines.
    assert reason_within("Share this article\nAdvertisement") == "share prompt"
    assert reason_within("Share this article\nThe army struck again.") is None


def test_a_long_paragraph_is_never_boilerplate() -> None:
    # Editors write "Read more: …" above whole columns.
    assert drop_reason("Read more: " + "the army said it had struck a depot " * 9) is None


def test_the_headline_stays_whatever_it_looks_like() -> None:
    assert drop_reasons(["Opinion: end this war", LEAD, ANSWER])[0] is None
    assert drop_reasons(["The river", LEAD, ANSWER])[0] is None


def test_lists_verse_and_hard_wrapped_lines_are_not_crossheads() -> None:
    # They have the length of crossheads, and may name the dead.
    names = ["Ada Example", "Bo Sample", "Cy Specimen"]
    assert drop_reasons([LEAD, "The dead were named as:", names[0], LEAD, ANSWER])[2] is None
    assert not any(drop_reasons([LEAD, ANSWER, *names, LEAD, ANSWER]))
    wrapped = ["The army said that it had", "struck a", "Zorvan depot on Monday and"] * 6
    assert not any(drop_reasons(wrapped))


def test_an_interviewers_questions_are_not_crossheads() -> None:
    questions = ["Were you there at dawn?", "What did the brigade want?"]
    assert not any(drop_reasons(["Head", LEAD, questions[0], ANSWER, questions[1], LEAD]))


def test_what_html_marks_as_a_heading_is_a_crosshead_up_to_eight_words() -> None:
    lines = ["Head", LEAD, "How the river became a border", ANSWER, "Army vows revenge", LEAD]
    assert drop_reasons(lines)[2] is None
    assert drop_reasons(lines, frozenset((2, 4)))[2] == "crosshead"
    # A live blog's headings report: one with a threat in it stays.
    assert drop_reasons(lines, frozenset((2, 4)))[4] is None


@pytest.mark.parametrize(
    "unit",
    [
        *("Ada ", "By Ada ", "Share this ", "2021 ", "| ", "a | ", "#a ", "Photo: A", "a@a", "("),
        *(
            "views expressed ",
            "reporting by Ada ",
            "[the ",
            "facebook ",
            "\n",
            "a\n\n",
            "see the a ",
        ),
    ],
)
def test_hostile_text_takes_linear_time(unit: str) -> None:
    # A pattern that backtracks would let one request stall a service.
    began = time.perf_counter()
    for length in (60, 599, 100_000):
        drop_reasons([(unit * length)[:length], LEAD, (unit * length)[:length], ANSWER])
    assert time.perf_counter() - began < 1.0


def test_the_measure_counts_per_article(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # The table in eval/README.md is this one; a wrong share would be believed.
    rows: list[dict[str, str | bool]] = [
        {"text": "Army hits depot"},
        {"text": LEAD},
        {"text": "Share this article", "boilerplate": True},
        {"text": "A line that nobody could tell.", "boilerplate": True},
        {"text": "Advertisement"},
        {"text": ANSWER},
    ]
    whole = tmp_path / "whole.jsonl"
    whole.write_text(json.dumps({"id": "one", "passages": rows}) + "\n", encoding="utf-8")
    single = tmp_path / "single.jsonl"
    single.write_text(
        "".join(
            json.dumps({"id": str(n), "article": "one", **row}) + "\n" for n, row in enumerate(rows)
        ),
        encoding="utf-8",
    )
    assert read(whole) == read(single)
    assert dropped_passages(read(whole)[0]) == {2: "share prompt", 4: "advertisement"}
    found = measure(read(whole))
    assert (found.precision.value, found.recall.value, found.f1.value) == (0.5, 0.5, 0.5)
    assert found.dropped_wrongly == {"advertisement": 1}
    main(["--data", str(whole), str(single)])
    assert "| all | 2 | 12 | 4 | 0.500" in capsys.readouterr().out


def test_the_interval_resamples_articles() -> None:
    # Passages of one article are not independent: the interval would come out too narrow.
    right = LabelledText(
        id="r", passages=("Share this article", LEAD), is_boilerplate=(True, False)
    )
    wrong = LabelledText(id="w", passages=("Advertisement", LEAD), is_boilerplate=(False, False))
    precision = measure([right, wrong] * 4).precision
    assert precision.low < precision.value == 0.5 < precision.high
    assert measure([right] * 8).precision.low == 1.0


def test_a_line_that_is_no_row_is_named(tmp_path: Path) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_text('{"id": "a", "article": "a", "text": "x"}\n{"id": 1}\n', encoding="utf-8")
    with pytest.raises(DataError, match=r"bad\.jsonl, line 2: neither"):
        read(path)


def test_on_the_corpus_nearly_nothing_is_dropped_wrongly(repository: Path) -> None:
    # The floors of eval/README.md, "Boilerplate": a new rule that costs news must not pass, nor one
    # that no longer finds what the rules were written on, the articles `A` to `Z`.
    files = sorted((repository / "training/corpus").glob("*.jsonl"))
    articles = {path.stem: read(path) for path in files}
    whole = measure([article for found in articles.values() for article in found])
    rules_of = [found for name, found in articles.items() if len(name) == 1]
    written_on = measure([article for found in rules_of for article in found])
    others = [found for name, found in articles.items() if len(name) > 1]
    unseen = measure([article for found in others for article in found])
    assert whole.precision.value >= 0.98
    assert written_on.precision.value >= 0.98
    assert written_on.recall.value >= 0.7
    assert unseen.precision.value >= 0.95
    assert unseen.recall.value >= 0.45
