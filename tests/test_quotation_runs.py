"""Which sentences hold one quotation together."""

import pytest

from tocsin_models.quotation_runs import quotation_runs


@pytest.mark.parametrize(
    ("sentences", "runs"),
    [
        (["“We will burn the port.", "Nobody will stop us,” he said.", "Rain fell."], [(0, 1)]),
        (['"We won.', "We lost nine.", 'We go on," he said.'], [(0, 2)]),
        (["The mayor said: 'We won.", "We go on.'", "Rain fell."], [(0, 1)]),
        (["‘We won.", "We go on,’ said the mayor."], [(0, 1)]),
        (["Rain fell.", '" we won .', 'we go on , " he said .'], [(1, 2)]),
        (["Rain fell.", "' we won .", "we go on , ' he said ."], [(1, 2)]),
        # British: the mark stands in front of the comma or the full stop.
        (["‘It isn’t over.", "We won’t leave the port’, said the mayor."], [(0, 1)]),
        (["Rain fell.", "'We burned nine ships.", "We go on to burn ships', he said."], [(1, 2)]),
        (["The mayor said: ‘We won.", "We go on’."], [(0, 1)]),
        (["«We won.", "We go on.»", "“We?", "Yes.”"], [(0, 1), (2, 3)]),
    ],
)
def test_a_quotation_of_several_sentences_holds_them_together(
    sentences: list[str], runs: list[tuple[int, int]]
) -> None:
    # Half a quotation in print is a misquotation.
    assert quotation_runs(sentences) == runs


def test_a_quotation_ends_with_its_paragraph() -> None:
    # Each paragraph of a long quotation opens with a mark; only the last one is closed.
    assert quotation_runs(["“We won.", "We go on."]) == [(0, 1)]
    assert quotation_runs(["“We won."]) == []


@pytest.mark.parametrize(
    "sentences",
    [
        ['"We won," he said.', '"We go on," he added.'],
        ["“We won.”", "Rain fell.", "“We go on.”"],
        ['The gun has a 5" barrel.', "It is new."],
        ["The troops' camp burned.", "The envoys' cars burned."],
        ["the troops ' camp burned .", "the envoys ' cars burned ."],
        ["They don't fire.", "It's over, isn't it."],
        ["it was ' over ' by noon .", "the port was ' lost ' by night ."],
        ["Nine 'volunteers' came.", "All were 'soldiers'."],
        ["'Volunteers' came.", "All were 'soldiers', he said."],
        ["‘Volunteers’ came.", "All were ‘soldiers’, he said."],
        [],
    ],
)
def test_sentences_without_a_common_quotation_are_free(sentences: list[str]) -> None:
    assert quotation_runs(sentences) == []


def test_a_mark_too_few_does_not_hold_the_rest_of_an_article_together() -> None:
    # Nothing of twenty sentences could be chosen.
    assert quotation_runs(['" we won .', *["rain fell ."] * 20]) == []
