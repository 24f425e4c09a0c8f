"""A quotation is chosen whole or not at all, wherever the article leaves a choice."""

import pytest
from hypothesis import given, settings
from tests.invented_candidates import LIMITS, articles, has_whole_choice, lacking

from tocsin_models.candidates import make_candidates
from tocsin_models.protocols import Limits
from tocsin_models.quotation_runs import quotation_runs
from tocsin_models.selection import Candidate, select
from tocsin_models.styles import room_of


@settings(max_examples=300, deadline=None)
@given(articles(), LIMITS)
def test_no_sentence_of_a_quotation_stands_alone_where_there_is_a_choice(
    candidates: list[Candidate], limits: Limits
) -> None:
    # Half a quotation in print is a misquotation: the speaker may have gone on with "but".
    room = room_of(limits)
    chosen = select(candidates, limits)
    if has_whole_choice(candidates, room.most_sentences or 99, room.most_words or 9_999):
        assert not lacking(candidates, chosen)
    else:
        # Better the one best sentence than nothing; then nothing else stands beside it.
        assert len(chosen) <= 1


@pytest.mark.parametrize(
    "paragraph",
    [
        ['"We will not go.', 'We were born here," said the mayor.'],
        ["“We will not go.", "We were born here,” said the mayor."],
        ["The mayor said: 'We will not go.", "We were born here.'"],
        # A paragraph that is left open: the quotation goes on in the next one.
        ["“We will not go.", "We were born here."],
        # Tokenised and lower-cased, as CNN/DailyMail is.
        ['" we will not go .', 'we were born here , " said the mayor .'],
    ],
)
def test_both_halves_of_a_quotation_come_or_neither(paragraph: list[str]) -> None:
    texts = [*paragraph, "Rain fell on Vessaly.", "Envoys met in Zorvan."]
    candidates = make_candidates(texts, [1, 1, 2, 3], [0.9, 0.2, 0.6, 0.5])
    assert select(candidates, Limits(max_sentences=1)) == [2]
    assert select(candidates, Limits(max_sentences=2)) == [0, 1]
    assert select(candidates, Limits(max_sentences=3)) == [0, 1, 2]


def test_a_quotation_that_closes_in_its_sentence_may_stand_alone() -> None:
    texts = ["“We will not go,” said the mayor.", "“We were born here,” said a baker."]
    assert select(make_candidates(texts, [1, 1], [0.9, 0.2]), Limits(max_sentences=1)) == [0]


def test_an_open_paragraph_does_not_hold_the_next_one() -> None:
    # News opens every paragraph of a long speech; all of it would never fit a summary.
    texts = ["Envoys met in Zorvan.", "“We will not go.", "“We were born here.", "Rain fell."]
    candidates = make_candidates(texts, [1, 2, 3, 4], [0.1, 0.2, 0.9, 0.3])
    assert select(candidates, Limits(max_sentences=1)) == [2]


@pytest.mark.parametrize(
    ("sentences", "runs"),
    [
        # Another quotation inside the one that goes on.
        (["“They said ‘never’ to us.", "We go,” said the mayor."], [(0, 1)]),
        (["\"They said 'never' to us.", 'We go," said the mayor.'], [(0, 1)]),
        # Three, with the speaker named in the middle.
        (["“We won,” he said.", "“We lost nine.", "We go on.”"], [(1, 2)]),
        # An apostrophe in the quotation does not end it.
        (["The mayor said: 'We don't know.", "It's over.'"], [(0, 1)]),
        # Two quotations that share a sentence hold all three together.
        (["“We won.", "We go on,” he said, “and on.", "Nobody stops us.”"], [(0, 2)]),
    ],
)
def test_where_quotations_run(sentences: list[str], runs: list[tuple[int, int]]) -> None:
    assert quotation_runs(sentences) == runs
