"""Behaviour: does a classifier do what the codebook rules, and leave alone what should not matter?

In the manner of CheckList (Ribeiro et al. 2020, "Beyond Accuracy"), with its three kinds of test.
*Minimum functionality*: is the label in question right for a text? *Invariance*: does a change that
does not matter (a name, a typing error) leave every decision as it was? *Direction*: does a change
move the score of a label to the side it should? Cases stand in ``suites/*.yaml``.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias, cast

import yaml

from tocsin_eval.bootstrap import Interval
from tocsin_eval.perturb import PERTURBATIONS, perturb
from tocsin_models.errors import ConfigError
from tocsin_models.labels import DIGITS, assign_labels
from tocsin_models.protocols import Classifier

Kind: TypeAlias = Literal["minimum-functionality", "invariance", "direction"]
KINDS: tuple[Kind, ...] = ("minimum-functionality", "invariance", "direction")
SUITES = Path(__file__).parent / "suites"

# How far a score has to move to count as moved, where the decision does not tell.
LEAST_MOVE = 0.1
# Names that an invariance suite has to try in each slot.
LEAST_WORDS = 4

_SUITE_KEYS = {"name", "kind", "ruling", "label", "perturb", "fill", "cases"}
_CASE_KEYS: dict[Kind, set[str]] = {
    "minimum-functionality": {"text", "expect", "pair", "also"},
    "invariance": {"text", "variants"},
    "direction": {"text", "changed", "expect"},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """``texts`` are the text and its changed versions. ``expect`` is whether the label is right
    (minimum functionality) or whether its score rises (direction); ``also`` are other labels that
    are known. Two cases of a ``pair`` differ in what the ruling turns on."""

    texts: tuple[str, ...]
    expect: bool | None = None
    pair: str | None = None
    also: Mapping[str, bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Suite:
    """``label`` is the label in question; None for invariance, which asks for all."""

    name: str
    kind: Kind
    ruling: str
    label: str | None
    cases: tuple[Case, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A case that failed: its texts, and the scores of each text by label."""

    texts: tuple[str, ...]
    scores: tuple[Mapping[str, float], ...]
    problem: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteResult:
    """How many of a suite's cases passed, with Wilson's 95% interval of the share; of minimal pairs
    how many have both right; of other labels that were known, where the classifier has them, how
    many are right."""

    suite: Suite
    passed: int
    share: Interval
    pairs: int
    pairs_passed: int
    also: int
    also_right: int
    failures: tuple[Failure, ...]


def read_suites(directory: Path = SUITES) -> list[Suite]:
    """All suites of a directory, by name.

    Raises:
        ConfigError: names every mistake of every file.
    """
    problems: list[str] = []
    suites = []
    paths = sorted(directory.glob("*.yaml"))
    if not paths:
        raise ConfigError(str(directory), ["no *.yaml there; name a directory of suites"])
    for path in paths:
        try:
            values = yaml.safe_load(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            mark = getattr(error, "problem_mark", None)
            place = f" at line {mark.line + 1}" if mark else ""
            problems.append(f"{path.name}: cannot be read as YAML{place} ({type(error).__name__})")
            continue
        found = [f"{path.name}: {problem}" for problem in _problems(values, path.stem)]
        problems += found
        if not found:
            suites.append(_suite(values))
    if problems:
        raise ConfigError(str(directory), problems)
    return suites


def run_suites(
    classifier: Classifier, suites: Sequence[Suite]
) -> tuple[list[SuiteResult], list[str]]:
    """Results of the suites whose label the classifier has, and the names of those left out."""
    asked = [suite for suite in suites if suite.label is None or suite.label in classifier.labels]
    texts = list({text: None for suite in asked for case in suite.cases for text in case.texts})
    scores = classifier.score(texts)
    answers = {
        text: assign_labels(scores, row, classifier.info.thresholds)
        for row, text in enumerate(texts)
    }
    skipped = [suite.name for suite in suites if suite not in asked]
    return [_result(suite, answers) for suite in asked], skipped


def wilson(passed: int, total: int) -> Interval:
    """A share with Wilson's 95% interval (Wilson 1927), which holds near 0 and 1 too."""
    if not total:
        return Interval(value=float("nan"), low=float("nan"), high=float("nan"))
    z = 1.959964
    share = passed / total
    centre = (share + z * z / (2 * total)) / (1 + z * z / total)
    spread = z / (1 + z * z / total)
    spread *= (share * (1 - share) / total + z * z / (4 * total * total)) ** 0.5
    # Rounding must not put the share outside of its own interval, nor either outside of 0 to 1.
    low, high = min(share, centre - spread), max(share, centre + spread)
    return Interval(value=share, low=max(0.0, low), high=min(1.0, high))


_Answers: TypeAlias = Mapping[str, tuple[tuple[str, ...], dict[str, float]]]


def _result(suite: Suite, answers: _Answers) -> SuiteResult:
    problems = [_problem(suite, case, answers) for case in suite.cases]
    pairs: dict[str, list[bool]] = {}
    also = right = 0
    for case, problem in zip(suite.cases, problems, strict=True):
        if case.pair is not None:
            pairs.setdefault(case.pair, []).append(problem is None)
        given, scores = answers[case.texts[0]]
        for label in case.also.keys() & scores.keys():
            also += 1
            right += (label in given) == case.also[label]
    failures = tuple(
        Failure(
            texts=case.texts,
            scores=tuple(answers[text][1] for text in case.texts),
            problem=problem,
        )
        for case, problem in zip(suite.cases, problems, strict=True)
        if problem is not None
    )
    passed = len(suite.cases) - len(failures)
    return SuiteResult(
        suite=suite,
        passed=passed,
        share=wilson(passed, len(suite.cases)),
        pairs=len(pairs),
        pairs_passed=sum(all(both) for both in pairs.values()),
        also=also,
        also_right=right,
        failures=failures,
    )


def _problem(suite: Suite, case: Case, answers: _Answers) -> str | None:
    """Why a case fails, or None."""
    if suite.kind == "invariance":
        labels, *changed = [set(answers[text][0]) for text in case.texts]
        flipped = sorted({label for other in changed for label in labels ^ other})
        return f"{', '.join(flipped)} given to one and not to another" if flipped else None
    label = cast(str, suite.label)
    if suite.kind == "minimum-functionality":
        is_given = label in answers[case.texts[0]][0]
        if is_given == case.expect:
            return None
        return f"{label} is given" if is_given else f"{label} is not given"
    before, after = (answers[text][1][label] for text in case.texts)
    is_given = label in answers[case.texts[1]][0]
    # Scores have six digits: 0.3 less 0.2 is a move of 0.1, not of 0.09999999999999998.
    move = round(after - before if case.expect else before - after, DIGITS)
    if move >= LEAST_MOVE or (move >= 0 and is_given == case.expect):
        return None
    return f"{label} goes from {before:.2f} to {after:.2f}, not {'up' if case.expect else 'down'}"


def _suite(values: dict[str, Any]) -> Suite:
    return Suite(
        name=values["name"],
        kind=values["kind"],
        ruling=values["ruling"],
        label=values.get("label"),
        cases=tuple(_case(case, values) for case in values["cases"]),
    )


def _case(case: dict[str, Any], values: dict[str, Any]) -> Case:
    pair = case.get("pair")
    expect = case.get("expect")
    return Case(
        texts=tuple(_texts(case, values)),
        expect=expect == "up" if values["kind"] == "direction" else expect,
        pair=None if pair is None else str(pair),
        also=case.get("also", {}),
    )


def _texts(case: dict[str, Any], values: dict[str, Any]) -> Iterator[str]:
    if fill := values.get("fill"):
        versions = len(next(iter(fill.values())))
        for version in range(versions):
            text = case["text"]
            for slot, words in fill.items():
                text = text.replace("{" + slot + "}", str(words[version]))
            yield text
        return
    yield case["text"]
    if name := values.get("perturb"):
        yield from perturb(name, case["text"])
    yield from case.get("variants", ())
    if "changed" in case:
        yield case["changed"]


def _problems(values: Any, stem: str) -> Iterator[str]:
    if not isinstance(values, dict) or not isinstance(values.get("cases"), list):
        yield "is not a suite: a mapping with name, kind, ruling and cases"
        return
    yield from _unknown_keys(values, _SUITE_KEYS)
    if values.get("name") != stem:
        yield f"name is {values.get('name')!r}; it must be the file's, {stem!r}"
    if not _is_text(values.get("ruling")):
        yield "ruling is missing: say what the suite holds the classifier to"
    if not values["cases"]:
        yield "has no cases"
    kind = values.get("kind")
    if kind not in KINDS:
        yield f"kind is {kind!r}; it must be one of {', '.join(KINDS)}"
        return
    if kind == "invariance" and "label" in values:
        yield "label belongs to minimum-functionality and direction, and to them only"
    if kind != "invariance" and not _is_text(values.get("label")):
        yield "label is missing: name the label in question"
    changes = list(_change_problems(values, kind))
    yield from changes
    for number, case in enumerate(values["cases"], start=1):
        for problem in _case_problems(case, kind, values, can_change=not changes):
            yield f"case {number}: {problem}"
    yield from _pair_problems(values["cases"])


def _change_problems(values: dict[str, Any], kind: Kind) -> Iterator[str]:
    """What is wrong with ``perturb`` and ``fill``, which change every text of a suite."""
    for name in ("perturb", "fill"):
        if name in values and kind != "invariance":
            yield f"{name} belongs to invariance only"
    if "perturb" in values and "fill" in values:
        yield "perturb and fill: a suite has one of them"
    if "perturb" in values and values["perturb"] not in tuple(PERTURBATIONS):
        yield f"perturb is {values['perturb']!r}; known: {', '.join(PERTURBATIONS)}"
    if "fill" not in values:
        return
    fill = values["fill"]
    lists = list(fill.values()) if isinstance(fill, dict) else []
    if not lists or not all(isinstance(words, list) for words in lists):
        yield "fill is not a list of words for each slot"
    elif len({len(words) for words in lists}) > 1:
        yield "fill: its lists are not equally long"
    elif len(lists[0]) < LEAST_WORDS:
        yield f"fill: its lists have {len(lists[0])} words; at least {LEAST_WORDS} are needed"


def _case_problems(
    case: Any, kind: Kind, values: dict[str, Any], *, can_change: bool
) -> Iterator[str]:
    """``can_change``: ``perturb`` and ``fill`` are in order, so that texts can be changed."""
    if not isinstance(case, dict) or not _is_text(case.get("text")):
        yield "has no text"
        return
    yield from _unknown_keys(case, _CASE_KEYS[kind])
    expect = case.get("expect")
    if kind == "minimum-functionality":
        if not isinstance(expect, bool):
            yield f"expect is {expect!r}; it must be true or false"
        also = case.get("also", {})
        if not isinstance(also, dict) or not all(isinstance(one, bool) for one in also.values()):
            yield "also is not true or false for each of some labels"
    elif kind == "direction":
        if expect not in ("up", "down"):
            yield f"expect is {expect!r}; it must be up or down"
        if not _is_text(case.get("changed")) or case["changed"] == case["text"]:
            yield "has no changed text"
    else:
        variants = case.get("variants", [])
        if not isinstance(variants, list) or not all(map(_is_text, variants)):
            yield "variants is not a list of texts"
        elif variants and ("fill" in values or "perturb" in values):
            yield "variants: the suite's fill or perturb already changes the text"
        elif can_change:
            texts = list(_texts(case, values))
            if len(set(texts)) < 2:
                yield "nothing is changed in it: give variants, slots of fill, or what perturb does"
            if "fill" in values and (slot := re.search(r"\{.*?\}", texts[0])):
                yield f"{slot[0]} is no slot of fill"


def _pair_problems(cases: Sequence[Any]) -> Iterator[str]:
    pairs: dict[str, set[bool]] = {}
    for case in cases:
        if isinstance(case, dict) and "pair" in case and isinstance(case.get("expect"), bool):
            pairs.setdefault(str(case["pair"]), set()).add(case["expect"])
    for pair, expected in pairs.items():
        if len(expected) < 2:
            yield f"pair {pair}: needs a case where the label is right and one where it is not"


def _unknown_keys(values: dict[Any, Any], known: set[str]) -> Iterator[str]:
    for key in values:
        if key not in known:
            yield f"{key}: unknown key; known: {', '.join(sorted(known))}"


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())
