"""Parts of the data: who belongs to which, numbers as scikit-learn's, the worst first."""

from typing import Any

import numpy as np
import pytest
from sklearn.metrics import f1_score

from tocsin_eval.classification import Predictions
from tocsin_eval.data import LabelledPassage
from tocsin_eval.slices import LEAST_PASSAGES, Slice, built_in_slices, measure_slices
from tocsin_models.errors import ConfigError


def passage(text: str = "It rained.", **others: Any) -> LabelledPassage:
    fields: dict[str, Any] = {"id": "p", "article": "a", "labels": (), "source": "gazette"}
    return LabelledPassage(text=text, **(fields | others))


def parts(group: str, rows: list[LabelledPassage], *columns: str) -> list[str]:
    """The part of each row in a group, "" where it belongs to none."""
    found = [part for part in built_in_slices(rows, columns) if part.group == group]
    assert all(sum(part.rows[row] for part in found) <= 1 for row in range(len(rows)))
    return [next((part.name for part in found if part.rows[row]), "") for row in range(len(rows))]


@pytest.mark.parametrize(
    ("group", "inside", "outside"),
    [
        ("quotation", "“We left,” he said.", "The army's men left, and the workers' too."),
        ("quotation", "He spoke of 'peace' again.", "They don’t know."),
        ("voice", "The bridge was badly hit by shells.", "Shells hit the bridge."),
        ("voice", "Two men were being held.", "He is a general who held two men."),
        ("negation", "The ministry didn’t arm them.", "The ministry noted another nonaligned bid."),
        ("negation", "They denied it.", "They said so."),
    ],
)
def test_a_passage_belongs_to_the_part_that_its_words_say(
    group: str, inside: str, outside: str
) -> None:
    # "Worst on negation" would send somebody looking in the wrong place.
    first, second = parts(group, [passage(inside), passage(outside)])
    named = {"voice": ("passive", "active")}.get(group, (f"with {group}", f"without {group}"))
    assert (first, second) == named


def test_lengths_are_told_apart_at_15_and_40_words() -> None:
    rows = [passage("word " * count) for count in (14, 15, 40, 41)]
    names = ["under 15 words", "15 to 40 words", "15 to 40 words", "over 40 words"]
    assert parts("length", rows) == names


def test_a_position_is_a_third_of_the_article_and_the_headline_stands_apart() -> None:
    rows = [passage(kind="headline", position=0)]
    rows += [passage(position=index) for index in range(1, 9)]
    # Of articles of which one passage is known, and of passages alone, nothing is known.
    rows += [passage(article="b", position=0), passage(article="c")]
    assert parts("position", rows) == [
        "headline",
        *["first third"] * 2,
        *["second third"] * 3,
        *["last third"] * 3,
        "",
        "",
    ]


def test_columns_are_parts_where_the_data_have_them() -> None:
    # Region, era and genre by themselves, others when asked for; rows without one are in no part.
    rows = [passage(columns={"region": "Kelmar", "desk": "night"})]
    rows += [passage(columns={"region": "Oruba", "desk": "day"}), passage()]
    assert parts("region", rows) == ["Kelmar", "Oruba", ""]
    assert parts("desk", rows) == ["", "", ""]
    assert parts("desk", rows, "desk") == ["night", "day", ""]


@pytest.mark.parametrize("group", ["source", "kind", "length", "quotation", "position"])
def test_asking_for_a_part_that_is_there_by_itself_changes_nothing(group: str) -> None:
    # Who asks for the parts by source wants to see them; a column of that name, taken out of the
    # row when it was read, would leave none.
    rows = [passage(kind="headline", position=0)]
    rows += [passage("“No.” " * 15, position=1, source="wire")]
    before = parts(group, rows)
    assert len(set(before)) == 2
    assert parts(group, rows, group) == before


def test_a_column_that_no_row_has_is_refused_with_those_there_are() -> None:
    # A report without the part that was asked for reads as if nothing were wrong in it.
    rows = [passage(columns={"desk": "night"}), passage(columns={"shift": "late"})]
    with pytest.raises(ConfigError) as error:
        built_in_slices(rows, ("dekc", "desk", "region"))
    assert [problem.split(" is no column")[0] for problem in error.value.problems] == [
        "'dekc'",
        "'region'",
    ]
    known = "length, quotation, voice, negation, position, kind, source, desk, shift"
    assert error.value.problems[0].endswith(f"there are {known}")


def test_what_has_one_value_or_very_many_is_no_part_unless_it_was_asked_for() -> None:
    # An id as a column would give as many parts as passages.
    rows = [passage(source=f"outlet {number}") for number in range(31)]
    assert parts("source", rows) == [""] * 31
    assert "" not in parts("source", rows[:30])
    assert parts("kind", rows) == [""] * 31
    numbered = [passage(columns={"day": str(number)}) for number in range(31)]
    assert "" not in parts("day", numbered, "day")


def predictions(rows: int = 200) -> Predictions:
    generator = np.random.default_rng(1)
    truth = generator.random((rows, 3)) < 0.3
    wrong = generator.random((rows, 3)) < np.linspace(0.0, 0.4, rows)[:, None]
    return Predictions(
        labels=("claim", "threat", "diplomacy"),
        truth=truth,
        scores=np.zeros((rows, 3)),
        decided=truth ^ wrong,
        articles=tuple(f"article-{row // 5}" for row in range(rows)),
    )


def part(name: str, rows: range, of: int = 200) -> Slice:
    inside = np.zeros(of, dtype=np.bool_)
    inside[list(rows)] = True
    return Slice(group="test", name=name, rows=inside)


def test_the_numbers_of_a_part_are_those_of_its_rows_alone() -> None:
    found = predictions()
    [result] = measure_slices(found, [part("middle", range(52, 120))], seed=0, resamples=300)
    truth, decided = found.truth[52:120], found.decided[52:120]
    expected = f1_score(truth, decided, average="micro")
    assert result.micro_f1.value == pytest.approx(expected, abs=1e-9)
    assert result.wrong.value == pytest.approx((truth != decided).sum() / 68, abs=1e-9)
    assert result.micro_f1.low < result.micro_f1.value < result.micro_f1.high
    # 52 and 119 cut through articles; both count.
    assert (result.passages, result.articles, result.labels) == (68, 14, int(truth.sum()))


def test_the_worst_part_comes_first_and_those_too_small_to_rank_last() -> None:
    # Who reads only the first line has to see where the model fails.
    slices = [
        part("good", range(0, 60)),
        part("tiny and bad", range(200 - LEAST_PASSAGES + 1, 200)),
        part("bad", range(140, 200)),
        part("just large enough", range(90, 90 + LEAST_PASSAGES)),
    ]
    found = measure_slices(predictions(), slices, seed=0, resamples=50)
    assert [one.name for one in found] == ["bad", "just large enough", "good", "tiny and bad"]


def test_a_part_without_any_label_is_told_by_its_wrong_decisions() -> None:
    # F1 is 0 there however good the model is: other news would always look worst.
    found = predictions()
    found.truth[:100] = False
    slices = [part("quiet", range(0, 50)), part("loud", range(50, 100))]
    slices += [part("with labels", range(100, 200))]
    results = measure_slices(found, slices, seed=0, resamples=50)
    assert results[0].name == "with labels"
    assert results[1].wrong.value > results[2].wrong.value
    for one in results[1:]:
        assert np.isnan([one.micro_f1.value, one.micro_f1.low]).all()
        assert one.wrong.low <= one.wrong.value <= one.wrong.high


def test_a_part_of_one_article_has_no_interval() -> None:
    # Drawn once or twice it gives the same number: an interval without width would look certain.
    found = measure_slices(predictions(), [part("one", range(5)), part("two", range(10))], seed=0)
    for one in found:
        ends = [one.micro_f1.low, one.micro_f1.high, one.wrong.low, one.wrong.high]
        assert np.isnan(ends).all() == (one.articles == 1)
        assert not np.isnan([one.micro_f1.value, one.wrong.value]).any()
    assert sorted(one.articles for one in found) == [1, 2]


def test_intervals_of_parts_are_told_by_the_seed_and_no_part_is_no_error() -> None:
    slices = [part("all", range(200))]
    first, again, other = (
        measure_slices(predictions(), slices, seed=seed, resamples=50) for seed in (3, 3, 4)
    )
    assert first == again != other
    assert measure_slices(predictions(), [], seed=0) == []
