"""The numbers of one summary, each held against the package or the definition it comes from."""

from dataclasses import asdict

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer

from tocsin_eval.summary_numbers import measure_summary
from tocsin_models.sentences import split_sentences

PARAGRAPHS = (
    "The garrison at Umm Rashid was shelled on Friday. Nobody was hurt.",
    "The ministry blamed the Sons of the Sabkha.\nThey denied it. Talks go on.",
)
SENTENCES = [
    paragraph[start:end] for paragraph in PARAGRAPHS for start, end in split_sentences(paragraph)
]
REFERENCE = ("Umm Rashid was shelled.", "Talks go on.")


@pytest.mark.parametrize(
    "sentences",
    [
        SENTENCES[:3],
        ["The garrison\nwas shelled .", "shelling shelled shells"],
        [],
        [""],
        ["…"],
        ["停火"],
        ["the " * 300],
    ],
)
@pytest.mark.parametrize("reference", [REFERENCE, (), ("…",), ("The\nministry",)])
def test_rouge_is_the_packages(sentences: list[str], reference: tuple[str, ...]) -> None:
    # Published figures are the package's; a difference in the second decimal is a ranking.
    scorer = RougeScorer(["rouge1", "rouge2", "rougeLsum"], use_stemmer=True)

    def lines(texts: list[str] | tuple[str, ...]) -> str:
        return "\n".join(text.replace("\n", " ").strip() for text in texts)

    expected = scorer.score(lines(reference), lines(sentences))
    found = asdict(measure_summary(PARAGRAPHS, sentences, reference))
    for name, score in expected.items():
        assert found[name] == pytest.approx(100 * score.fmeasure, abs=1e-9)


@given(
    st.lists(st.sampled_from(SENTENCES), min_size=1, max_size=4),
    st.lists(st.text(max_size=30), max_size=3),
)
def test_sentences_of_the_article_are_verbatim_and_support_themselves(
    chosen: list[str], reference: list[str]
) -> None:
    found = measure_summary(PARAGRAPHS, chosen, reference)
    assert found.verbatim == found.coverage == 1
    places = [SENTENCES.index(sentence) / (len(SENTENCES) - 1) for sentence in chosen]
    assert found.position == pytest.approx(sum(places) / len(places))
    assert (found.unsupported_names, found.unsupported_quotations) == (0, 0)
    assert found.sentences == len(chosen)


@given(
    st.lists(st.text(max_size=40), max_size=3),
    st.lists(st.text(max_size=40), max_size=3),
    st.none() | st.lists(st.text(max_size=40), max_size=2),
)
def test_any_text_has_numbers_in_their_ranges(
    paragraphs: list[str], sentences: list[str], reference: list[str] | None
) -> None:
    # One odd row must not end an evaluation of thousands.
    found = asdict(measure_summary(paragraphs, sentences, reference))
    shares = [name for name in found if name.startswith("novel")]
    for name in [*shares, "coverage", "repeated_trigrams", "most_alike", "position", "verbatim"]:
        assert found[name] is None or 0 <= found[name] <= 1
    assert all(value is None or isinstance(value, float) for value in found.values())
    assert (found["rouge1"] is None) == (reference is None)


def test_an_empty_summary_scores_nought_and_has_no_place() -> None:
    # Counted as 0 where it is a failure, left out where there is nothing to measure.
    found = measure_summary(PARAGRAPHS, [], REFERENCE)
    assert (found.rouge1, found.rougeLsum, found.sentences, found.words) == (0, 0, 0, 0)
    assert found.unsupported_names == 0
    assert found.coverage is found.position is found.verbatim is found.most_alike is None


def test_one_rewritten_sentence_takes_the_place_away() -> None:
    # A mean over the rest would say where half a summary comes from.
    found = measure_summary(PARAGRAPHS, [SENTENCES[0], "It was quiet in Mina Saif."], REFERENCE)
    assert found.verbatim == 0.5
    assert found.position is None
    assert found.unsupported_names == 1


def test_sentences_cut_otherwise_are_found_but_not_halves_of_words() -> None:
    # Predictions come with the sentences of other splitters.
    both = measure_summary(PARAGRAPHS, ["They denied it. Talks go on."], None)
    assert both.verbatim == 1
    assert both.position == pytest.approx(3 / 4)
    assert measure_summary(PARAGRAPHS, ["he ministry blamed the Sons"], None).verbatim == 0
