"""The gate: what a candidate may not be worse in, and which floors and ceilings it keeps to."""

from pathlib import Path

import pytest

from tocsin_eval.bootstrap import Interval
from tocsin_eval.gate import GateResult, GateRules, hold, is_cost, read_gate
from tocsin_eval.significance import Difference
from tocsin_models.errors import ConfigError


def gate(folder: Path, text: str) -> Path:
    path = folder / "gate.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def exactly(value: float) -> Interval:
    return Interval(value=value, low=value, high=value)


def difference(name: str, value: float, p: float) -> Difference:
    return Difference(
        name=name, difference=exactly(value), p_bootstrap=p, p_randomisation=p, p_holm=p
    )


def judge(folder: Path, text: str, *found: Difference, **metrics: float) -> GateResult:
    rules = read_gate(gate(folder, "incumbent: old\n" + text))
    differences = {item.name: item for item in found}
    measured = {name: exactly(value) for name, value in metrics.items()}
    return hold(rules, "new", measured, "old", differences)


def test_a_gate_reads_what_its_file_says(tmp_path: Path) -> None:
    text = "incumbent: default\nprotected: {macro_f1: 0.02}\nfloors: {macro_f1: 1}\n"
    assert read_gate(gate(tmp_path, text)) == GateRules(
        source=str(tmp_path / "gate.yaml"),
        incumbent="default",
        alpha=0.05,
        protected={"macro_f1": 0.02},
        floors={"macro_f1": 1},
        ceilings={},
    )


def test_a_file_beside_the_gate_is_found_from_anywhere(tmp_path: Path) -> None:
    # CI runs in the repository, a person in eval/; the incumbent's answers lie beside the gate.
    (tmp_path / "old.jsonl").touch()
    text = "incumbent: old.jsonl\nfloors: {macro_f1: 0.5}\n"
    assert read_gate(gate(tmp_path, text)).incumbent == str(tmp_path / "old.jsonl")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "must hold some of"),
        ("- macro_f1", "must hold some of"),
        ("floors: {macro_f1: 0.5", "cannot be read as YAML"),
        ("alpha: 0.05", "no rule"),
        ("floor: {macro_f1: 0.5}", "floor: unknown key; known: incumbent, alpha"),
        ("floors: [macro_f1]", "floors: must map a number to a limit"),
        ("floors: {macro_f1: high}", "floors: macro_f1 is 'high', not a number"),
        ("floors: {macro_f1: true}", "floors: macro_f1 is True, not a number"),
        ("ceilings: {ece: .nan}", "ceilings: ece is nan, not a number"),
        ("floors: {macro_f1: -.inf}", "floors: macro_f1 is -inf, not a number"),
        ("floors: {macro_f1: 0.8, ece: 0, macro_f1: 0.1}", "macro_f1: stands twice; keep one"),
        ("floors: {macro_f1: 0.8}\nfloors: {ece: 0}", "floors: stands twice; keep one"),
        ("floors: {'macro_f1': 0.8, macro_f1: 0.1}", "macro_f1: stands twice; keep one"),
        ("protected: {macro_f1: 0.02}", "incumbent: protected numbers need one"),
        ("incumbent: 3\nfloors: {macro_f1: 0.5}", "incumbent: 3 is no subject"),
        ("incumbent: [old]\nprotected: {macro_f1: 0}", "incumbent: ['old'] is no subject"),
        ("alpha: 5\nfloors: {macro_f1: 0.5}", "alpha: 5 is not between 0 and 1"),
        ("alpha: often\nfloors: {macro_f1: 0.5}", "alpha: 'often' is not between 0 and 1"),
    ],
)
def test_a_gate_with_a_mistake_lets_nothing_through(tmp_path: Path, text: str, said: str) -> None:
    # A rule with a typing error that is not applied is a gate that stands open.
    with pytest.raises(ConfigError) as error:
        read_gate(gate(tmp_path, text))
    assert said in str(error.value)


def test_all_mistakes_are_told_at_once_and_a_missing_file_is_one(tmp_path: Path) -> None:
    text = "floor: 1\nalpha: 2\nincumbent: 3\nceilings: {ece: low, brier: .nan}\n"
    with pytest.raises(ConfigError) as error:
        read_gate(gate(tmp_path, text))
    assert len(error.value.problems) == 5
    with pytest.raises(ConfigError, match="FileNotFoundError"):
        read_gate(tmp_path / "none.yaml")


@pytest.mark.parametrize(
    ("value", "p", "passes", "why"),
    [
        (+0.030, 0.001, True, "is not worse"),
        (0.0, 1.0, True, "is not worse"),
        (-0.010, 0.400, True, "is within the margin, and not significantly worse"),
        (-0.010, 0.049, False, "is significantly worse (below 0.05)"),
        (-0.021, 0.400, False, "is worse by more than the margin 0.02"),
        (float("nan"), 1.0, False, "could not be compared"),
    ],
)
def test_worse_is_significantly_worse_or_worse_by_more_than_the_margin(
    tmp_path: Path, value: float, p: float, passes: bool, why: str
) -> None:
    # Significance alone lets a small golden set hide a large loss; the margin alone lets many
    # small ones add up.
    result = judge(
        tmp_path, "protected: {macro_f1: 0.02}", difference("macro_f1", value, p), macro_f1=0.7
    )
    assert result.passed is passes
    assert why in result.rulings[0].why


@pytest.mark.parametrize("name", ["ece", "brier_claim", "hamming_loss", "unsupported_names"])
def test_of_an_error_more_is_worse(tmp_path: Path, name: str) -> None:
    # Read the other way round, the gate would praise what makes the model worse.
    rules = f"protected: {{{name}: 0.01}}"
    assert not judge(tmp_path, rules, difference(name, +0.02, 0.5)).passed
    assert judge(tmp_path, rules, difference(name, -0.02, 0.001)).passed
    assert not is_cost("f1_claim")


def test_protected_numbers_are_corrected_together(tmp_path: Path) -> None:
    # Of twenty numbers one falls "significantly" by luck; a gate that stops for it is switched off.
    names = [f"f1_{letter}" for letter in "abcd"]
    rules = f"protected: {{{', '.join(f'{name}: 0.1' for name in names)}}}"
    small = [difference(name, -0.01, 0.04) for name in names]
    assert judge(tmp_path, rules, *small).passed
    assert not judge(tmp_path, rules, difference(names[0], -0.01, 0.01), *small[1:]).passed


@pytest.mark.parametrize(
    ("rule", "value", "passes"),
    [
        ("floors: {macro_f1: 0.6}", 0.6, True),
        ("floors: {macro_f1: 0.6}", 0.5999, False),
        ("ceilings: {macro_f1: 0.6}", 0.6, True),
        ("ceilings: {macro_f1: 0.6}", 0.6001, False),
        ("floors: {macro_f1: 0.6}", float("nan"), False),
        ("ceilings: {macro_f1: 0.6}", float("nan"), False),
    ],
)
def test_a_limit_itself_keeps_to_it_and_what_does_not_exist_keeps_to_nothing(
    tmp_path: Path, rule: str, value: float, passes: bool
) -> None:
    result = judge(tmp_path, rule, macro_f1=value)
    assert result.passed is passes
    assert ("keeps to" if passes else "misses") in result.rulings[0].why


def test_a_rule_on_what_was_not_measured_is_an_error_and_not_a_pass(tmp_path: Path) -> None:
    for rule in ("protected: {f1_treat: 0}", "floors: {f1_treat: 0}", "ceilings: {f1_treat: 0}"):
        with pytest.raises(ConfigError, match="f1_treat: was not measured; there are macro_f1"):
            judge(tmp_path, rule, difference("macro_f1", 0, 1), macro_f1=0.7)
