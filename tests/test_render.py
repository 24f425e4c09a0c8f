"""What a person sees: all of the answer, at any width, with or without colour; text stays text."""

import io
import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console, RenderableType
from tests.support import KeywordClassifier, LeadSummariser

from tocsin_models.manifest import Manifest
from tocsin_models.records import (
    Analysis,
    CleanText,
    Dropped,
    Kind,
    Passage,
    Summary,
    SummarySentence,
)
from tocsin_serving.render import (
    MAX_WIDTH,
    format_metrics,
    make_visible,
    open_console,
    render_analysis,
    render_footer,
    render_manifests,
    short_revision,
)

LONG = " ".join(f"word{number:03d}" for number in range(120)) + " https://example.org/" + "x" * 150
HOSTILE = (
    "A [bold red]spokesman[/] said :bomb: \x1b[2J\x1b]0;title\x07 it \u202edesrever\r\nwas\tso"
)


def passage(index: int, text: str, kind: Kind = "body", **scores: float) -> Passage:
    every = dict.fromkeys(("claim", "threat", "retaliation", "diplomacy"), 0.1) | scores
    labels = tuple(label for label, value in every.items() if value >= 0.5)
    return Passage(
        index=index,
        kind=kind,
        text=text,
        start=0,
        end=len(text),
        labels=labels,
        scores=every,
        windows=3 if text == LONG else 1,
    )


ANALYSIS = Analysis(
    id="invented",
    language="en",
    warnings=("the language could not be told",),
    source=CleanText(
        text="",
        is_extracted=False,
        paragraphs=(),
        dropped=(Dropped(text="Share [b]this[/b]", start=0, end=1, reason="boilerplate: share"),),
    ),
    passages=(
        passage(0, "Brigade vows reprisal", "headline", threat=0.97, retaliation=0.61),
        passage(1, LONG, claim=0.77),
        passage(2, HOSTILE, diplomacy=0.55),
        passage(3, "A quay in Marash.", "caption"),
    ),
    summary=Summary(
        sentences=(
            SummarySentence(text="The envoy left.", start=812, end=934, passage=1, score=0.814),
            SummarySentence(text=HOSTILE, start=1000, end=1071, passage=2, score=0.5),
        ),
        windows=1,
    ),
    classifier=KeywordClassifier().info,
    summariser=LeadSummariser.info,
)


def show(what: RenderableType, width: int, **settings: Any) -> str:
    console = open_console(width)
    buffer = io.StringIO()
    console.file = buffer
    if settings:
        console = Console(
            file=buffer, width=width, highlight=False, markup=False, emoji=False, **settings
        )
    console.print(what)
    return buffer.getvalue()


def squeeze(text: str) -> str:
    """Without white space and frames, so that wrapping does not matter."""
    return re.sub(r"[\s│╭╮╰╯─]", "", text)


@pytest.mark.parametrize("width", [60, 80, 119, 200])
def test_every_passage_is_wrapped_whole_within_the_width(width: int) -> None:
    # A cut passage hides what the label stands on; a line too long breaks the table.
    shown = show(render_analysis(ANALYSIS), width)
    assert max(map(len, shown.splitlines())) <= min(width, MAX_WIDTH)
    words = set(re.findall(r"word\d{3}", shown))
    assert len(words) == 120
    assert shown.count("x" * 10) >= 1
    assert sum(map(len, re.findall(r"x{5,}", shown))) >= 145
    for label, score in [("threat", "0.97"), ("retaliation", "0.61"), ("claim", "0.77")]:
        assert re.search(rf"{label} +{score}", shown)


def test_the_answer_is_complete_without_colour() -> None:
    # A pipe, NO_COLOR and a colour-blind reader get everything from the words alone.
    shown = show(render_analysis(ANALYSIS), 100)
    assert "\x1b" not in shown
    for part in (
        "invented  language en",
        "warning: the language could not be told",
        "threat≥0.50",
        "headline",
        "caption",
        "in 3 windows",
        "Dropped, not read: 1 paragraph",
        "boilerplate: share",
        "passage 1, characters 812–934, score 0.81",
    ):
        assert part in shown


def test_labels_have_a_colour_each_in_the_legend_and_beside_the_passage() -> None:
    # The colour is how an editor finds the threats on a page at a glance.
    shown = show(render_analysis(ANALYSIS), 100, force_terminal=True, color_system="standard")
    for label, code in [("claim", 33), ("threat", 31), ("retaliation", 35), ("diplomacy", 36)]:
        assert f"\x1b[1;{code}m{label}" in shown
    assert re.search(r"\x1b\[31mthreat +0.97", shown)
    assert re.search(r"\x1b\[1;31mBrigade vows reprisal", shown)
    assert re.search(r"\x1b\[3mA quay in Marash\.", shown)


def test_article_text_is_shown_and_never_acted_on() -> None:
    # [bold] and :bomb: are words of the article; ESC could clear the screen or set its title.
    shown = show(render_analysis(ANALYSIS), 120, force_terminal=True, color_system="standard")
    plain = re.sub(r"\x1b\[[\d;]*m", "", shown)
    assert "\x1b" not in plain
    assert "\x07" not in plain
    assert "\u202e" not in plain
    expected = (
        r"A [bold red]spokesman[/] said :bomb: \x1b[2J\x1b]0;title\x07 it \u202edesrever was so"
    )
    assert squeeze(plain).count(squeeze(expected)) == 2
    assert "Share [b]this[/b]" in plain


@given(st.text(st.characters(codec=None, exclude_categories=[])))
def test_no_control_character_reaches_the_terminal(text: str) -> None:
    # One that slips through is enough; everything printable stays as it is.
    shown = make_visible(text)
    assert not re.search(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]", shown)
    if text.isprintable():
        assert shown == text


def test_an_article_without_a_passage_says_why() -> None:
    analysis = replace(
        ANALYSIS,
        passages=(),
        reason="all of the text is boilerplate",
        summary=Summary(sentences=(), windows=0, reason="no sentence"),
    )
    shown = show(render_analysis(analysis), 80)
    assert "nothing to read: all of the text is boilerplate" in shown
    assert "none: no sentence" in shown


def test_labels_of_a_newsrooms_own_model_are_shown_too() -> None:
    # The four labels are only the default; a fixed palette would fail on the fifth.
    labels = [f"own_label_number_{number}" for number in range(9)]
    scores = dict.fromkeys(labels, 0.9)
    info = replace(KeywordClassifier().info, thresholds=dict.fromkeys(labels, 0.5))
    own = replace(ANALYSIS.passages[0], labels=tuple(labels), scores=scores)
    shown = show(render_analysis(replace(ANALYSIS, passages=(own,), classifier=info)), 60)
    for label in labels:
        assert squeeze(label) in squeeze(shown)


def test_the_footer_names_each_model_with_the_start_of_its_revision() -> None:
    # Receipts: which model said so, in a form short enough to read out.
    shown = show(render_footer(ANALYSIS.classifier, ANALYSIS.summariser), 80)
    assert shown.splitlines() == [
        "classifier keywords sha256:0123456789ab f32 cpu",
        "summariser lead sha256:fedcba987654 f32 cpu",
    ]
    assert short_revision("main") == "main"


def test_a_model_is_listed_with_thresholds_and_intervals() -> None:
    # The numbers a newsroom decides by; an interval left out would make them look exact.
    manifest = Manifest(
        name="own-passages",
        task="classifier",
        max_tokens=256,
        languages=("en",),
        base="org/encoder",
        licence="Apache-2.0",
        files={},
        labels=("claim", "threat"),
        thresholds={"claim": 0.417, "threat": 0.5},
        metrics={"macro_f1": {"value": 0.7123, "low": 0.68, "high": 0.74}, "claim": {"f1": 0.5}},
    )
    shown = show(render_manifests([("my-model", manifest, 45_600_000)]), 80)
    for part in ("own-passages", "claim≥0.42, threat≥0.50", "45.6 MB", "Apache-2.0", "my-model"):
        assert part in shown
    assert list(format_metrics(manifest.metrics)) == [
        "macro_f1 0.7123 (0.68 to 0.74)",
        "claim.f1 0.5",
    ]
