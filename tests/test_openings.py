"""Which sentences say nothing to whoever has not read the one before."""

import time

import pytest
from hypothesis import given, settings
from tests.invented_candidates import LIMITS, articles, has_whole_choice, lacking

from tocsin_models.candidates import make_candidates
from tocsin_models.openings import starts_in_mid_air
from tocsin_models.protocols import Limits
from tocsin_models.selection import Candidate, select
from tocsin_models.styles import room_of


@pytest.mark.parametrize(
    "sentence",
    [
        "He added that the port was closed.",
        "She's leaving for the talks tonight.",
        "They have until Saturday.",
        "It fired nine rockets in answer.",
        "His brother was arrested at the border.",
        "But she refused to sign.",
        "And the envoy left.",
        "So, nobody signed.",
        "Nor did the envoy sign.",
        "IT WAS fired at noon.",
        "IT'S WAR!",
        "Her majestic palace burned.",
        "That, he said, was a lie.",
        "This was denied in Zorvan.",
        "These attacks went on for a week.",
        "The latter denied it.",
        "The former said nothing.",
        "The pair were held at the port.",
        "Meanwhile it rained on the delegation.",
        "Later, he met the envoy.",
        "On Monday, she flew home.",
        "Speaking to reporters, he denied it.",
        "When he was a boy, he hunted on the lake.",
        "As a result, the strait was closed.",
        "However, nobody signed.",
        "Many of them had walked for days.",
        "Since then the army has lost the bridge.",
        "“We will burn the port,” he told state television.",
        '"It isn\'t over," she added.',
        "“They have until Saturday to move those guns.”",
        # Tokenised and lower-cased, as CNN/DailyMail is.
        "he added that the port was closed .",
        "' we won , ' he said .",
        "that , he said , was a lie .",
        "she 's leaving for the talks tonight .",
        "but they have lost the bridge .",
        "the latter denied it .",
        "these attacks went on for a week .",
        "on monday , she flew home .",
        "as a result , the strait was closed .",
        "meanwhile , it fired nine rockets .",
        '" it is not over , " she added .',
    ],
)
def test_a_sentence_that_points_back_is_in_mid_air(sentence: str) -> None:
    # Quoted alone, an editor would ask: who? what?
    assert starts_in_mid_air(sentence)


@pytest.mark.parametrize(
    "sentence",
    [
        "Heavy rain fell on the delegation.",
        "Italy denied it.",
        "Theresa Example refused to sign.",
        "Hershel Example refused to sign.",
        "Thousands fled the port.",
        "So-called volunteers seized the port.",
        "Nor'easter winds closed the port.",
        "IT systems at the ministry failed.",
        "On Monday, IT systems at the ministry failed.",
        "Her Majesty's Government denied it.",
        "His Holiness Pope Example left.",
        "Their Royal Highnesses left the port.",
        "her majesty 's government denied it .",
        "Andes villages were cut off.",
        "It is unclear whether the army fired.",
        "It was the navy that fired first.",
        "It took three days to reach the village.",
        "It emerged that nobody had signed.",
        "When he was a boy, the general hunted on the lake.",
        "This week the army fired first.",
        "These days the lake is empty.",
        "Those who fled were fed.",
        "That the army fired first is known.",
        "The former president left.",
        "The latter half of the talks was secret.",
        "The two sides met on Monday.",
        "Both sides denied it.",
        "On Monday, the general flew home.",
        "So far nobody has signed.",
        "So many fled that the bridge broke.",
        "“We won,” General Ada Example said.",
        "“War” is a word that the envoy avoids.",
        "'Friends of the Lake', a group of farmers, sued.",
        "' we won , ' ada example said .",
        "the port was closed , he added .",
        "it is unclear whether the army fired .",
        "it was the navy that fired first .",
        "this week the army fired first .",
        "those who fled were fed .",
        "the former president left .",
        "both sides denied it .",
        "on monday , the general flew home .",
        "italy denied it .",
        "theirry example refused to sign .",
        "",
        "…",
    ],
)
def test_a_sentence_that_stands_alone_is_left_alone(sentence: str) -> None:
    # Every false alarm takes a good sentence out of a summary.
    assert not starts_in_mid_air(sentence)


@settings(max_examples=300, deadline=None)
@given(articles(), LIMITS)
def test_in_mid_air_only_behind_the_sentence_before_it_where_there_is_a_choice(
    candidates: list[Candidate], limits: Limits
) -> None:
    # "He denied it" behind another sentence than the article's own puts it in the wrong mouth.
    room = room_of(limits)
    chosen = select(candidates, limits)
    hanging = [i for i in chosen if candidates[i].is_mid_air and i - 1 not in chosen]
    if has_whole_choice(candidates, room.most_sentences or 99, room.most_words or 9_999):
        assert hanging == []
    elif hanging:
        # The last resort, and only where every sentence that fits needs another one.
        assert chosen == hanging
        alone = [i for i in range(len(candidates)) if not lacking(candidates, [i])]
        words = limits.max_words or 9_999
        assert all(len(candidates[i].text.split()) > words for i in alone)


def test_a_chain_that_points_back_comes_from_its_beginning_on() -> None:
    texts = ["The general left.", "He met an envoy.", "She denied it.", "Rain fell."]
    candidates = make_candidates(texts, [1, 1, 2, 3], [0.1, 0.1, 0.9, 0.2])
    assert [one.is_mid_air for one in candidates] == [False, True, True, False]
    assert select(candidates, Limits(max_sentences=3)) == [0, 1, 2]
    # Two of the three would leave "He" or "She" without a name.
    assert select(candidates, Limits(max_sentences=2)) == [0, 3]


def test_what_opens_the_article_stands_whatever_it_says() -> None:
    # "She was nine when the war began." is where the article itself begins.
    texts = ["She was nine when the war began.", "Rain fell."]
    candidates = make_candidates(texts, [0, 1], [0.9, 0.1])
    assert not candidates[0].is_mid_air
    assert select(candidates, Limits(max_sentences=1)) == [0]


@pytest.mark.parametrize(
    "unit", ["’a", "'a ", '"a ', "“a,” ", "and ", "when he a ", "it is ", "A, "]
)
def test_hostile_text_takes_no_time(unit: str) -> None:
    # Anybody may send an article; a pattern that goes back over its steps would stop the service.
    started = time.process_time()
    starts_in_mid_air(unit * 20_000)
    assert time.process_time() - started < 1
