"""The gate: may a candidate take the place of the model that is in use?

The first subject is the candidate. It may not be worse than the incumbent on a protected number,
neither significantly nor by more than the number's margin, and it has to keep to its floors and
ceilings. The rules stand in a YAML file:

    incumbent: incumbent.jsonl     # a subject; a file's path counts from the gate's own folder
    alpha: 0.05                    # of the paired tests, corrected over the protected numbers
    protected: {macro_f1: 0.02}    # how much worse it may be, though not significantly (Holm)
    floors: {macro_f1: 0.6}
    ceilings: {ece: 0.08}
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tocsin_eval.bootstrap import Interval
from tocsin_eval.significance import Difference, holm
from tocsin_models.errors import ConfigError

_KEYS = ("incumbent", "alpha", "protected", "floors", "ceilings")
# Less is better of these, and of their forms by label.
_COSTS = (
    "hamming_loss",
    "ece",
    "brier",
    "unsupported",
    "repeated_trigrams",
    "most_alike",
    "empty_share",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class GateRules:
    """What a gate file says. ``incumbent`` is None where only floors and ceilings count."""

    source: str
    incumbent: str | None
    alpha: float
    protected: Mapping[str, float]
    floors: Mapping[str, float]
    ceilings: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruling:
    """One rule held against the candidate: ``why`` says what was found, passed or not."""

    number: str
    passed: bool
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GateResult:
    candidate: str
    incumbent: str | None
    rulings: tuple[Ruling, ...]

    @property
    def passed(self) -> bool:
        return all(ruling.passed for ruling in self.rulings)


def read_gate(path: Path) -> GateRules:
    """
    Raises:
        ConfigError: names every mistake of the file.
    """
    try:
        loader = _Loader(path.read_text(encoding="utf-8"))
        values = loader.get_single_data()
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(str(path), [f"cannot be read as YAML ({type(error).__name__})"]) from None
    if not isinstance(values, dict):
        raise ConfigError(str(path), [f"must hold some of {', '.join(_KEYS)}"])
    problems = [f"{key}: stands twice; keep one" for key in loader.twice]
    problems += [
        f"{key}: unknown key; known: {', '.join(_KEYS)}" for key in values if key not in _KEYS
    ]
    tables = {name: values.get(name) or {} for name in ("protected", "floors", "ceilings")}
    for name, table in tables.items():
        if not isinstance(table, dict):
            problems.append(f"{name}: must map a number to a limit, as in macro_f1: 0.02")
            continue
        problems += [
            f"{name}: {number} is {limit!r}, not a number"
            for number, limit in table.items()
            # A limit that is NaN or infinite would let everything pass, or nothing.
            if isinstance(limit, bool)
            or not isinstance(limit, int | float)
            or not abs(limit) < math.inf
        ]
    alpha = values.get("alpha", 0.05)
    if not isinstance(alpha, float) or not 0 < alpha < 1:
        problems.append(f"alpha: {alpha!r} is not between 0 and 1")
    incumbent = values.get("incumbent")
    if incumbent is not None and not isinstance(incumbent, str):
        problems.append(f"incumbent: {incumbent!r} is no subject; give its name in quotes")
    elif tables["protected"] and not incumbent:
        problems.append("incumbent: protected numbers need one; name a subject")
    if not any(tables.values()):
        problems.append("no rule: give protected, floors or ceilings")
    if problems:
        raise ConfigError(str(path), problems)
    return GateRules(
        source=str(path),
        incumbent=_beside(path, incumbent) if incumbent else None,
        alpha=alpha,
        **tables,
    )


class _Loader(yaml.SafeLoader):
    """Counts the keys that stand ``twice``: YAML itself would quietly drop the first rule."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.twice: list[str] = []

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value]
        self.twice += sorted({str(key) for key in keys if keys.count(key) > 1})
        return super().construct_mapping(node, deep)


def _beside(gate: Path, word: str) -> str:
    """A path counts from the gate's own folder, wherever the command is run."""
    beside = gate.parent / word
    return str(beside) if beside.exists() else word


def is_cost(number: str) -> bool:
    """Whether less of a number is better."""
    return any(number == cost or number.startswith(f"{cost}_") for cost in _COSTS)


def hold(
    rules: GateRules,
    candidate: str,
    metrics: Mapping[str, Interval],
    incumbent: str | None,
    differences: Mapping[str, Difference],
) -> GateResult:
    """Hold a candidate with these ``metrics`` against the rules; ``differences`` are what it has
    more than the incumbent.

    Raises:
        ConfigError: a rule is about a number that was not measured.
    """
    problems = []
    for table, known in ((rules.protected, differences), (rules.floors, metrics)):
        problems += [name for name in table if name not in known]
    problems += [name for name in rules.ceilings if name not in metrics]
    if problems:
        raise ConfigError(
            rules.source,
            [f"{name}: was not measured; there are {_some(metrics)}" for name in problems],
        )
    protected = [differences[name] for name in rules.protected]
    corrected = holm([difference.p for difference in protected])
    rulings = [
        _protect(difference, rules.protected[difference.name], p, rules.alpha)
        for difference, p in zip(protected, corrected, strict=True)
    ]
    limits: Any = (("floor", rules.floors, 1), ("ceiling", rules.ceilings, -1))
    for what, table, sign in limits:
        for name, limit in table.items():
            value = metrics[name].value
            # NaN keeps to nothing: a number that does not exist has not been reached.
            passed = sign * (value - limit) >= 0
            verb = "keeps to" if passed else "misses"
            rulings.append(
                Ruling(
                    number=name,
                    passed=bool(passed),
                    why=f"{name} {value:.4g} {verb} the {what} {limit:.4g}",
                )
            )
    return GateResult(candidate=candidate, incumbent=incumbent, rulings=tuple(rulings))


def _protect(difference: Difference, margin: float, p: float, alpha: float) -> Ruling:
    found = difference.difference
    loss = found.value if is_cost(difference.name) else -found.value
    ends = "" if math.isnan(found.low) else f" ({found.low:+.4f} to {found.high:+.4f})"
    range_ = f"{found.value:+.4f}{ends}, p {p:.3f}"
    if loss > margin:
        why = f"is worse by more than the margin {margin:g}"
    elif loss > 0 and p < alpha:
        why = f"is significantly worse (below {alpha:g})"
    elif loss != loss:
        why = "could not be compared"
    else:
        why = "is not worse" if loss <= 0 else "is within the margin, and not significantly worse"
        return Ruling(number=difference.name, passed=True, why=f"{difference.name} {why}: {range_}")
    return Ruling(number=difference.name, passed=False, why=f"{difference.name} {why}: {range_}")


def _some(metrics: Mapping[str, Any]) -> str:
    return ", ".join(list(metrics)[:12]) + ", …"
