"""Changes that change nothing of what a text says: each does what it is called, and no more."""

import html
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin_eval.perturb import PERTURBATIONS, perturb

# Invented, with something for every perturbation to change.
TEXT = (
    "“We do not want war,” the minister of Kelmar said – and 'meant' it. It isn’t over — the "
    'rebels said "never", Oruba & Lestria agreed.'
)


@pytest.mark.parametrize("name", PERTURBATIONS)
def test_a_perturbation_changes_the_text_and_always_in_the_same_way(name: str) -> None:
    # Cases that pass on one day and fail on the next would be blamed on the model.
    versions = perturb(name, TEXT)
    assert versions
    assert TEXT not in versions
    assert len(set(versions)) == len(versions)
    assert perturb(name, TEXT) == versions


@given(st.sampled_from(sorted(PERTURBATIONS)), st.text(alphabet="ab '\"’“”–—-.&<\n", max_size=30))
def test_where_there_is_nothing_to_change_there_is_no_version(name: str, text: str) -> None:
    # A version that equals its text would pass whatever the model does.
    versions = perturb(name, text)
    assert text not in versions
    if name in ("html-entities", "double-spaces", "non-breaking-spaces", "upper-case"):
        assert bool(versions) == any(mark in text for mark in AFFECTED[name])


AFFECTED = {
    "html-entities": "'\"’“”&<",
    "double-spaces": " ",
    "non-breaking-spaces": " ",
    "upper-case": "ab",
}


@pytest.mark.parametrize("name", ["upper-case", "lower-case"])
def test_case_is_all_that_changes_between_cases(name: str) -> None:
    [version] = perturb(name, TEXT)
    assert version.casefold() == TEXT.casefold()


@given(st.text(alphabet="ab '\"’“”&<>;", max_size=30))
def test_entities_are_what_a_browser_reads_back(text: str) -> None:
    # Broken feeds escape once too often; what they meant is the text.
    for version in perturb("html-entities", text):
        assert html.unescape(version) == html.unescape(html.escape(text))
        assert not re.search(r"[\"'“”’<>]", version)


def test_typos_swap_two_inner_neighbours_in_each_of_two_words() -> None:
    # More would change the word, and names are evidence: "Kelmar" must stay.
    words = TEXT.split()
    for version in perturb("typos", TEXT):
        changed = [pair for pair in zip(words, version.split(), strict=True) if pair[0] != pair[1]]
        assert len(changed) == 2
        for before, after in changed:
            assert before.strip(",”").islower()
            assert len(before.strip(",”")) >= 5
            places = [place for place in range(len(before)) if before[place] != after[place]]
            assert places[1] == places[0] + 1
            assert sorted(before) == sorted(after)
            assert before[0] == after[0]


def test_quotation_marks_open_before_words_and_close_after_them() -> None:
    text = '"Leave," he said. "They call it \'peace\'; it isn\'t," ("no")'
    curly = "“Leave,” he said. “They call it ‘peace’; it isn’t,” (“no”)"
    assert perturb("curly-quotes", text) == [curly]
    assert perturb("straight-quotes", curly) == [text]
    assert perturb("guillemets", text) == [curly.replace("“", "«").replace("”", "»")]
    assert perturb("guillemets", curly) == perturb("guillemets", text)


def test_the_final_stop_goes_from_inside_the_quotation_marks_too() -> None:
    assert perturb("no-final-stop", "They left. It rained.") == ["They left. It rained"]
    assert perturb("no-final-stop", "“They left.”") == ["“They left”"]
    assert perturb("no-final-stop", "Did they leave?") == []


def test_a_dash_stands_for_the_two_others_and_hyphens_within_words_stay() -> None:
    text = "The hard-line bloc — all of it — left."
    assert perturb("dashes", text) == [
        "The hard-line bloc - all of it - left.",
        "The hard-line bloc – all of it – left.",
    ]
    assert perturb("dashes", "The hard-line bloc left.") == []


def test_contractions_go_both_ways_and_keep_the_capital_of_a_sentence() -> None:
    # Were case or other apostrophes to change too, a failure could not be laid to contractions.
    assert perturb("contractions", "Do not fire. It is late, the army's men said.") == [
        "Don’t fire. It’s late, the army's men said."
    ]
    for mark in "’'":
        short = f"They{mark}re gone and won{mark}t return."
        assert perturb("contractions", short) == ["They are gone and will not return."]
    assert perturb("contractions", "The army's men fired.") == []
