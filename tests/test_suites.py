"""Behaviour suites: what passes and fails, mistakes of files, and the suites that are shipped."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from tests.support import KeywordClassifier

from tocsin_eval.perturb import PERTURBATIONS, perturb
from tocsin_eval.suites import KINDS, SUITES, SuiteResult, read_suites, run_suites, wilson
from tocsin_models.errors import ConfigError
from tocsin_models.protocols import Scores


class Told(KeywordClassifier):
    """Scores of threat by text, as told; other labels score 0.1."""

    def __init__(self, threat: Mapping[str, float]) -> None:
        super().__init__()
        self._threat = threat

    def score(self, texts: Sequence[str]) -> Scores:
        found = np.full((len(texts), 4), 0.1, np.float32)
        found[:, self.labels.index("threat")] = [self._threat.get(text, 0.1) for text in texts]
        return Scores(labels=self.labels, probabilities=found, windows=(1,) * len(texts))


def write(folder: Path, name: str, values: Any) -> None:
    (folder / f"{name}.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")


def suite(kind: str, *cases: Any, **others: Any) -> dict[str, Any]:
    label = {} if kind == "invariance" else {"label": "threat"}
    return {
        "name": "one",
        "kind": kind,
        "ruling": "Rule 1.",
        "cases": list(cases),
        **label,
    } | others


def run(folder: Path, values: dict[str, Any], classifier: KeywordClassifier) -> SuiteResult:
    write(folder, "one", values)
    [result], skipped = run_suites(classifier, read_suites(folder))
    assert skipped == []
    return result


def problems(folder: Path, values: Any) -> list[str]:
    write(folder, "one", values)
    with pytest.raises(ConfigError) as caught:
        read_suites(folder)
    assert all(problem.startswith("one.yaml: ") for problem in caught.value.problems)
    return [problem.removeprefix("one.yaml: ") for problem in caught.value.problems]


def test_minimum_functionality_asks_whether_the_label_is_right(tmp_path: Path) -> None:
    # Pairs count when both are right; other labels are counted apart and do not fail a case.
    also = {"claim": True, "diplomacy": True}
    cases = [
        {"pair": 1, "text": "They vowed to shell it.", "expect": True},
        {"pair": 1, "text": "They refused to shell it.", "expect": False},
        {"pair": "b", "text": "They swore to shell it.", "expect": True},
        {"pair": "b", "text": "They were warned of rain.", "expect": False},
        {"text": "They denied having vowed it.", "expect": True, "also": also},
    ]
    found = run(tmp_path, suite("minimum-functionality", *cases), KeywordClassifier())
    assert (found.passed, found.pairs, found.pairs_passed) == (3, 2, 1)
    assert (found.also, found.also_right) == (2, 1)
    assert [failure.problem for failure in found.failures] == [
        "threat is not given",
        "threat is given",
    ]
    assert found.failures[0].texts == ("They swore to shell it.",)
    assert found.failures[1].scores[0]["threat"] == pytest.approx(0.9)


def test_invariance_fails_where_any_decision_differs_from_the_text(tmp_path: Path) -> None:
    cases = [
        {"text": "It rained.", "variants": ["It snowed.", "It hailed."]},
        {"text": "It rained.", "variants": ["It snowed.", "He warned and denied it."]},
    ]
    found = run(tmp_path, suite("invariance", *cases), KeywordClassifier())
    assert found.passed == 1
    assert found.failures[0].problem == "claim, threat given to one and not to another"
    assert len(found.failures[0].scores) == 3


def test_invariance_bears_scores_that_move_without_a_decision(tmp_path: Path) -> None:
    case = {"text": "Rain.", "variants": ["Snow."]}
    for score, passed in ((0.49, 1), (0.5, 0)):
        found = run(tmp_path, suite("invariance", case), Told({"Snow.": score}))
        assert found.passed == passed


def test_slots_are_filled_side_by_side(tmp_path: Path) -> None:
    # Variant k takes the k-th word of every list; a product would pair a state with itself.
    fill = {"state": ["Oruba", "Kelmar", "Iran", "Chad"], "rival": ["Mali", "Togo", "Peru", 1]}
    found = run(
        tmp_path,
        suite("invariance", {"text": "{state} met {rival}."}, fill=fill),
        KeywordClassifier(),
    )
    [case] = found.suite.cases
    assert case.texts == ("Oruba met Mali.", "Kelmar met Togo.", "Iran met Peru.", "Chad met 1.")


def test_a_perturbed_suite_holds_the_text_and_all_its_versions(tmp_path: Path) -> None:
    text = "The harbour was closed — again."
    found = run(tmp_path, suite("invariance", {"text": text}, perturb="dashes"), Told({}))
    assert found.suite.cases[0].texts == (text, *perturb("dashes", text))


@pytest.mark.parametrize(
    ("expect", "before", "after", "passes"),
    [
        ("up", 0.2, 0.3, True),  # a tenth, though 0.3 - 0.2 is less in floating point
        ("up", 0.2, 0.29, False),
        ("up", 0.48, 0.5, True),  # given afterwards
        ("up", 0.9, 0.9, True),  # it was given and still is
        ("up", 0.9, 0.89, False),  # given, but lower
        ("up", 0.3, 0.1, False),
        ("down", 0.9, 0.8, True),  # a tenth, though still given
        ("down", 0.9, 0.81, False),
        ("down", 0.5, 0.49, True),  # not given afterwards
        ("down", 0.2, 0.2, True),
        ("down", 0.2, 0.21, False),  # not given, but higher
    ],
)
def test_direction_follows_the_format(
    tmp_path: Path, expect: str, before: float, after: float, passes: bool
) -> None:
    case = {"text": "Rain.", "changed": "Snow.", "expect": expect}
    told = Told({"Rain.": before, "Snow.": after})
    found = run(tmp_path, suite("direction", case), told)
    assert found.passed == passes
    if not passes:
        move = f"from {before:.2f} to {after:.2f}"
        assert found.failures[0].problem == f"threat goes {move}, not {expect}"


def test_suites_of_labels_that_the_classifier_lacks_are_left_out_and_named(tmp_path: Path) -> None:
    # A model with other labels is not to blame; also labels that are only known beside count not.
    case = {"text": "Rain.", "expect": False}
    write(tmp_path, "one", suite("minimum-functionality", case | {"also": {"sport": False}}))
    other = suite("minimum-functionality", case, label="sport", name="other")
    write(tmp_path, "other", other)
    [found], skipped = run_suites(KeywordClassifier(), read_suites(tmp_path))
    assert (found.suite.name, found.also, skipped) == ("one", 0, ["other"])


def test_each_text_is_scored_once_for_all_suites(tmp_path: Path) -> None:
    # 78 suites share texts, and a model that is asked one by one takes minutes.
    cases = [
        {"text": "Rain.", "variants": ["Snow.", "Hail."]},
        {"text": "Snow.", "variants": ["Rain."]},
    ]
    classifier = KeywordClassifier()
    run(tmp_path, suite("invariance", *cases), classifier)
    assert classifier.calls == [3]


GOOD_CASE = {"text": "Rain.", "expect": True}


def test_every_mistake_of_every_file_is_told_at_once(tmp_path: Path) -> None:
    # Mending one mistake a run would take an afternoon for a new suite.
    write(tmp_path, "fine", suite("minimum-functionality", GOOD_CASE, name="fine"))
    (tmp_path / "broken.yaml").write_text("name: broken\ncases: [", encoding="utf-8")
    (tmp_path / "latin.yaml").write_bytes(b"name: \xe9")
    (tmp_path / "list.yaml").write_text("- 1", encoding="utf-8")
    values = suite(
        "minimum-functionality",
        {"expect": True},
        {"text": "Rain.", "expect": "yes", "colour": 1, "size": 2},
        {"text": "Rain.", "expect": True, "pair": 7},
        {"text": "Rain.", "expect": True, "also": ["claim"]},
        name="two",
        ruling="",
        colour=1,
        size=2,
    )
    assert problems_of_all(tmp_path, values) == [
        "broken.yaml: cannot be read as YAML at line 2 (ParserError)",
        "latin.yaml: cannot be read as YAML (UnicodeDecodeError)",
        "list.yaml: is not a suite: a mapping with name, kind, ruling and cases",
        "one.yaml: colour: unknown key",
        "one.yaml: size: unknown key",
        "one.yaml: name is 'two'",
        "one.yaml: ruling is missing: say what the suite holds the classifier to",
        "one.yaml: case 1: has no text",
        "one.yaml: case 2: colour: unknown key",
        "one.yaml: case 2: size: unknown key",
        "one.yaml: case 2: expect is 'yes'",
        "one.yaml: case 4: also is not true or false for each of some labels",
        "one.yaml: pair 7: needs a case where the label is right and one where it is not",
    ]


def problems_of_all(folder: Path, values: Any) -> list[str]:
    """Problems without what they say is known or needed."""
    write(folder, "one", values)
    with pytest.raises(ConfigError) as caught:
        read_suites(folder)
    return [problem.split(";")[0] for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        (suite("unit"), "kind is 'unit'; it must be one of " + ", ".join(KINDS)),
        (suite("invariance"), "has no cases"),
        (suite("invariance", label="threat"), "label belongs to minimum-functionality and"),
        (suite("direction", label=None), "label is missing"),
        (suite("direction", perturb="typos"), "perturb belongs to invariance only"),
        (suite("direction", fill={}), "fill belongs to invariance only"),
        (suite("invariance", perturb="rot13"), "perturb is 'rot13'; known: typos"),
        (suite("invariance", perturb="typos", fill={"a": [1] * 4}), "perturb and fill: a suite"),
        (suite("invariance", fill=["Iran"]), "fill is not a list of words for each slot"),
        (suite("invariance", fill={"state": "Iran"}), "fill is not a list of words for each slot"),
        (suite("invariance", fill={"a": [1] * 4, "b": [1] * 5}), "fill: its lists are not equal"),
        (suite("invariance", fill={"a": [1, 2, 3]}), "fill: its lists have 3 words; at least 4"),
        (suite("invariance", "Rain."), "case 1: has no text"),
        (suite("invariance", {"text": " "}), "case 1: has no text"),
        (suite("invariance", {"text": "Rain."}), "case 1: nothing is changed in it"),
        (suite("invariance", {"text": "A", "variants": ["A"]}), "case 1: nothing is changed in it"),
        (suite("invariance", {"text": "A", "variants": "B"}), "case 1: variants is not a list"),
        (suite("invariance", {"text": "A", "variants": [3]}), "case 1: variants is not a list"),
        (suite("invariance", {"text": "no"}, perturb="typos"), "case 1: nothing is changed in it"),
        (
            suite("invariance", {"text": "{a} {b}"}, fill={"a": ["x", "y", "z", "w"]}),
            "case 1: {b} is no slot of fill",
        ),
        (
            suite("invariance", {"text": "A b.", "variants": ["B"]}, perturb="upper-case"),
            "case 1: variants: the suite's fill or perturb",
        ),
        (suite("direction", GOOD_CASE | {"changed": "B"}), "case 1: expect is True; it must be up"),
        (suite("direction", {"text": "A", "expect": "up"}), "case 1: has no changed text"),
        (
            suite("direction", {"text": "A", "changed": "A", "expect": "up"}),
            "case 1: has no changed text",
        ),
    ],
)
def test_a_mistake_is_named(tmp_path: Path, values: dict[str, Any], problem: str) -> None:
    # A suite that asks something else than its author meant passes for the wrong reason.
    assert any(one.startswith(problem) for one in problems(tmp_path, values))


def test_messages_do_not_carry_the_texts(tmp_path: Path) -> None:
    # Suites of a newsroom may quote its copy, and messages end up in logs.
    values = suite("direction", {"text": "Secret.", "changed": "Secret.", "expect": 1, "pair": 1})
    assert "Secret" not in "".join(problems(tmp_path, values))


def test_a_directory_without_suites_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no \*\.yaml there"):
        read_suites(tmp_path)


def test_the_shipped_suites_are_as_many_as_the_issue_asks_for() -> None:
    # Issue 4: 25 suites, 600 cases, and 150 minimal pairs for the codebook's rulings.
    suites = read_suites()
    assert len(suites) >= 25
    assert {one.kind for one in suites} == set(KINDS)
    assert sum(len(one.cases) for one in suites) >= 600
    pairs = [(one.name, case.pair) for one in suites for case in one.cases if case.pair]
    assert len(set(pairs)) >= 150
    # A pair is one case for the label and one against.
    assert all(pairs.count(pair) == 2 for pair in set(pairs))


def test_every_perturbation_of_a_shipped_suite_changes_each_of_its_texts() -> None:
    # A perturbation that does not bite passes for every model.
    used = set()
    for path in SUITES.glob("*.yaml"):
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
        if name := values.get("perturb"):
            used.add(name)
            for case in values["cases"]:
                assert perturb(name, case["text"]), (path.name, case["text"])
    assert used == set(PERTURBATIONS)


def test_no_text_of_a_shipped_suite_stands_in_it_twice() -> None:
    # Twins would count one answer several times, and make intervals too narrow.
    for one in read_suites():
        texts = [case.texts for case in one.cases]
        assert len(set(texts)) == len(texts), one.name


@given(st.integers(1, 300), st.floats(0, 1))
def test_wilson_ends_where_the_score_test_would_reject(total: int, share: float) -> None:
    # His definition: |passed / total - p| = z * sqrt(p * (1 - p) / total), solved as a quadratic.
    passed, z = round(share * total), NormalDist().inv_cdf(0.975)
    ends = np.roots([total + z * z, -(2 * passed + z * z), passed * passed / total])
    found = wilson(passed, total)
    assert found.value == passed / total
    assert (found.low, found.high) == pytest.approx(sorted(ends.real), abs=1e-6)
    assert 0 <= found.low <= found.value <= found.high <= 1


def test_wilson_on_numbers_from_a_textbook() -> None:
    # Newcombe 1998, table I: 81 of 263, and none of 20.
    found, none = wilson(81, 263), wilson(0, 20)
    assert (found.low, found.high) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert (none.low, none.high) == pytest.approx((0.0, 0.1611), abs=5e-5)


def test_the_share_of_no_cases_does_not_exist() -> None:
    found = wilson(0, 0)
    assert np.isnan([found.value, found.low, found.high]).all()
