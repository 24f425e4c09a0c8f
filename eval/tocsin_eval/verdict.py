"""The verdict: what a report says first, in sentences that somebody who decides can act on."""

from collections.abc import Iterator, Mapping
from typing import Any

# What decides between two systems, by task: the number, what it is called, digits.
HEADLINES = (
    ("macro_f1", "macro-F1", 3),
    ("rouge1", "ROUGE-1", 2),
)
ALPHA = 0.05


def give_verdict(record: Mapping[str, Any]) -> list[str]:
    """Sentences: of the gate, of the first subject against each other one, of its weak spots."""
    return [*_gate(record), *_against_others(record), *_weak_spots(record)]


def _gate(record: Mapping[str, Any]) -> Iterator[str]:
    gate = record["gate"]
    if gate is None:
        return
    if gate["passed"]:
        yield f"{gate['candidate']} passes the gate: {len(gate['rulings'])} rules kept."
        return
    broken = [ruling for ruling in gate["rulings"] if not ruling["passed"]]
    yield f"{gate['candidate']} does not pass the gate: {len(broken)} rules broken."
    for ruling in broken:
        yield f"{ruling['why']}."


def _against_others(record: Mapping[str, Any]) -> Iterator[str]:
    for comparison in record["comparisons"]:
        numbers = {item["name"]: item for item in comparison["numbers"]}
        for name, title, digits in HEADLINES:
            if name not in numbers or numbers[name]["difference"]["value"] is None:
                continue
            item = numbers[name]
            found, p = item["difference"], item["p_randomisation"]
            value, low, high = (found[part] for part in ("value", "low", "high"))
            if p is not None and p < ALPHA:
                standing = "better than" if value > 0 else "worse than"
            else:
                standing = "not told apart from"
            # Of one article there is no interval.
            range_ = "" if low is None else f"{low:+.{digits}f} to {high:+.{digits}f}, "
            yield (
                f"{comparison['first']} is {standing} {comparison['second']} in {title}: "
                f"{value:+.{digits}f} ({range_}p {p:.4f})."
            )


def _weak_spots(record: Mapping[str, Any]) -> Iterator[str]:
    first = record["subjects"][0]
    labels = [
        (interval["value"], name.removeprefix("f1_"))
        for name, interval in first["metrics"].items()
        if name.startswith("f1_") and not name.startswith("f1_at_half")
    ]
    if labels:
        value, label = min(labels)
        yield f"The weakest label of {first['name']} is {label}, F1 {value:.3f}."
    ranked = [part for part in first["slices"] if part["labels"] and part["passages"] >= 20]
    if ranked:
        part = ranked[0]
        value = part["micro_f1"]["value"]
        yield (
            f"It is worst on {part['group']} “{part['name']}”: micro-F1 "
            f"{value:.3f} on {part['passages']} passages."
        )
    if first["behaviour"]:
        suites = first["behaviour"]["suites"]
        passed, cases = sum(s["passed"] for s in suites), sum(s["cases"] for s in suites)
        if not cases:
            return  # every suite is of a label that it does not have
        yield (
            f"It passes {passed} of {cases} behaviour cases ({passed / cases:.0%}); the worst "
            f"suite is {suites[0]['name']}, {suites[0]['passed']} of {suites[0]['cases']}."
        )
