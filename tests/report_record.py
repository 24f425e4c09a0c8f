"""Invented records of evaluations, as ``evaluate`` makes them: what tests of the report set."""

import json
from collections.abc import Sequence
from typing import Any

from tocsin_eval.verdict import give_verdict

LABELS = ("claim", "diplomacy", "threat")
NAMES = ("candidate-a", "tfidf", "keywords")

# Markup and its characters in a passage have to come out as text.
HOSTILE = (
    "The spokesman for Ruritania & Co. said <script>alert('no')</script> | `twice` ${1} *loud*."
)


def interval(value: float | None, spread: float = 0.03) -> dict[str, float | None]:
    if value is None:
        return {"value": None, "low": None, "high": None}
    return {"value": value, "low": max(0.0, value - spread), "high": min(1.0, value + spread)}


def record(
    *,
    names: Sequence[str] = NAMES,
    labels: Sequence[str] = LABELS,
    has_passages: bool = True,
    has_summaries: bool = True,
    has_behaviour: bool = True,
    has_cost: bool = True,
    is_single_label: bool = False,
    gate: bool | None = None,
) -> dict[str, Any]:
    """``gate`` is whether the candidate passes one; None where there is none. What comes out has
    gone through JSON, as a report's record may have."""
    subjects = [
        subject(
            name,
            number,
            labels if has_passages else (),
            is_single_label,
            has_behaviour and has_passages,
            has_cost,
        )
        for number, name in enumerate(names)
    ]
    comparisons = []
    for number, one in enumerate(subjects):
        if has_summaries:
            one["metrics"] |= summary_metrics(number)
            one["summaries"] = summaries(number)
        for family in ("f1", "rouge") if number else ():
            items = [
                difference(name, subjects[0]["metrics"][name], found)
                for name, found in one["metrics"].items()
                if not name.startswith("behaviour")
                and (name in summary_metrics(0)) == (family == "rouge")
            ]
            if items:
                pair = {"first": subjects[0]["name"], "second": one["name"]}
                comparisons.append({**pair, "numbers": items})
    found: dict[str, Any] = {
        "schema": "tocsin-report/1",
        "data": {
            "passages": 40 if has_passages else 0,
            "articles": 8 if has_passages else 0,
            "labels": dict.fromkeys(labels, 10) if has_passages else {},
            "cardinality": 0.75 if has_passages else None,
            "summaries": 6 if has_summaries else 0,
        },
        "subjects": subjects,
        "comparisons": comparisons,
        "gate": None if gate is None else rulings(names[0], names[-1], gate),
        "seconds": {"scoring": 1.25, "numbers": 0.5},
        "seed": 7,
        "resamples": 10_000,
        "provenance": {
            "command": f"tocsin evaluate {names[0]} --data 'my data.jsonl' --out runs/<report>",
            "data": [{"role": "data", "names": ["my data.jsonl"], "sha256": "ab" * 32, "rows": 46}],
            "seed": 7,
            "models": dict.fromkeys(names, "sha256:" + "cd" * 32),
            "commit": "0123456789ab-dirty",
            "machine": "Invented Processor 9000 @ 2.00GHz",
            "cores": 2,
            "versions": {"tocsin": "0.1.0", "numpy": "2.3.0"},
            "memory_gib": 7.8,
        },
    }
    plain: dict[str, Any] = json.loads(json.dumps(found))
    return {**plain, "verdict": give_verdict(plain)}


def subject(
    name: str,
    number: int,
    labels: Sequence[str],
    is_single_label: bool,
    has_behaviour: bool,
    has_cost: bool,
) -> dict[str, Any]:
    level = 0.9 - 0.2 * number
    return {
        "name": name,
        "kind": "baseline" if number else "model",
        "revision": "sha256:" + "ef" * 32,
        "precision": "int8" if labels else "",
        "device": "cpu" if labels else "",
        "thresholds": {} if is_single_label else dict.fromkeys(labels, 0.4),
        "is_single_label": is_single_label and bool(labels),
        "metrics": metrics(level, labels, is_single_label, has_behaviour) if labels else {},
        "curves": {label: curves(level) for label in labels},
        "confusion": confusion(len(labels), is_single_label) if labels else None,
        "slices": slices(level) if labels else [],
        "behaviour": behaviour(number) if has_behaviour else None,
        "worst": [doubt(labels, HOSTILE, is_carried=True, score=0.03)] if labels else [],
        "label_noise": [doubt(labels, "Talks went on.", is_carried=False, score=0.97)]
        if labels
        else [],
        "summaries": None,
        "cost": cost(number) if has_cost and labels else None,
        "answers": {},
    }


def metrics(
    level: float, labels: Sequence[str], is_single_label: bool, has_behaviour: bool
) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for suffix in ("", "_at_half"):
        for average in ("micro", "macro", "samples"):
            for name in ("precision", "recall", "f1"):
                found[f"{average}_{name}{suffix}"] = interval(level)
        for name in ("precision", "recall", "f1"):
            for index, label in enumerate(labels):
                found[f"{name}{suffix}_{label}"] = interval(level - 0.05 * index / len(labels))
    found |= {"exact_match": interval(level), "hamming_loss": interval(1 - level)}
    found["cardinality"] = {"value": 1.1, "low": 0.9, "high": 1.3}
    if is_single_label:
        found["accuracy"] = interval(level)
    found |= {"ece": interval(0.04), "brier": interval(0.06)}
    for label in labels:
        found[f"brier_{label}"] = interval(0.06)
        if not is_single_label:
            found[f"ece_{label}"] = interval(0.04)
        found[f"average_precision_{label}"] = interval(level)
        # As of a label that every passage carries.
        found[f"roc_auc_{label}"] = interval(None if label == labels[-1] else level)
    found |= {"average_precision": interval(level), "roc_auc": interval(level)}
    found["hamming_loss_at_half"] = {"value": 0.1, "low": None, "high": None}
    if has_behaviour:
        found |= {"behaviour": interval(0.8), "behaviour_invariance": interval(0.7)}
        found["behaviour_pairs"] = interval(0.5, 0.2)
    return found


def difference(
    name: str, ours: dict[str, float | None], theirs: dict[str, float | None]
) -> dict[str, Any]:
    if ours["value"] is None or theirs["value"] is None:
        return {
            "name": name,
            "difference": interval(None),
            **dict.fromkeys(("p_bootstrap", "p_randomisation", "p_holm")),
        }
    value = ours["value"] - theirs["value"]
    p = 0.0004 if abs(value) > 0.1 else 0.42
    return {
        "name": name,
        "difference": {"value": value, "low": value - 0.05, "high": value + 0.05},
        "p_bootstrap": p,
        "p_randomisation": None if "average_precision" in name or "roc_auc" in name else p,
        "p_holm": p,
    }


def curves(level: float) -> dict[str, Any]:
    steps = [step / 20 for step in range(21)]
    return {
        "precision_recall": [(x, 1 - (1 - level) * x**2) for x in steps],
        "roc": [(x, x ** (1 - level)) for x in steps],
        "thresholds": [(x, 0.3 + 0.7 * x, 1 - x**3, level * (1 - (x - 0.4) ** 2)) for x in steps],
        "reliability": [(x, min(1.0, x / level), 10 * (1 - x) + 1) for x in steps[::4]],
    }


def confusion(count: int, is_single_label: bool) -> dict[str, Any]:
    """Ten passages a label, eight of which are given it; of single labels none is without."""
    rows = [[8 if i == j else 1 for j in range(count + 1)] for i in range(count + 1)]
    carried = [10] * (count + 1)
    if is_single_label:
        rows = [[*row[:-1], 0] for row in rows[:-1]] + [[0] * (count + 1)]
        carried[-1] = 0
    square = [[10 if i == j else 2 for j in range(count)] for i in range(count)]
    return {"given": rows, "carried": carried, "together": square, "given_together": square}


def slices(level: float) -> list[dict[str, Any]]:
    parts: tuple[tuple[str, str, int, int], ...]
    parts = (("length", "under 15 words", 25, 20), ("quotation", "with quotation", 22, 0))
    parts += (("region", "Ruritania & the <North>", 3, 3),)
    return [
        {
            "group": group,
            "name": name,
            "passages": passages,
            "articles": 5,
            "labels": labels,
            "micro_f1": interval(level - 0.1 if labels else None, 0.15),
            "wrong": interval(0.1),
        }
        for group, name, passages, labels in parts
    ]


def behaviour(number: int) -> dict[str, Any]:
    failure = {
        "texts": ["It denied <b>everything</b>.", "It vowed & denied everything."],
        "scores": [{"claim": 0.9, "threat": 0.1}, {"claim": 0.2, "threat": 0.4}],
        "problem": "claim given to one and not to another",
    }
    shared = {"ruling": "A denial is a claim.", "cases": 10, "also": 4, "also_right": 3}
    return {
        "skipped": ["surrender"],
        "suites": [
            {
                **shared,
                "name": "denials",
                "kind": "invariance",
                "label": None,
                "passed": 5,
                "share": interval(0.5, 0.2),
                "pairs": 0,
                "pairs_passed": 0,
                "failures": [failure] * 5,
            },
            {
                **shared,
                "name": "vows",
                "kind": "minimum-functionality",
                "label": "threat",
                "passed": 10,
                "share": interval(1.0, 0.2),
                "pairs": 5,
                "pairs_passed": 5 - number,
                "failures": [],
            },
        ],
    }


def doubt(labels: Sequence[str], text: str, *, is_carried: bool, score: float) -> dict[str, Any]:
    return {
        "id": "a-1:0",
        "article": "a-1",
        "text": text,
        "label": labels[0],
        "is_carried": is_carried,
        "score": score,
        "scores": dict.fromkeys(labels, 0.5) | {labels[0]: score},
    }


def summary_metrics(number: int) -> dict[str, Any]:
    values = {"rouge1": 31.5, "rouge2": 8.25, "rougeLsum": 25.0, "density": 40.0, "words": 61.0}
    found: dict[str, Any] = {
        name: {"value": value - number, "low": value - number - 2, "high": value - number + 2}
        for name, value in values.items()
    }
    shares = ("coverage", "novel_2grams", "repeated_trigrams", "most_alike", "unsupported_share")
    found |= {name: interval(0.1 + 0.05 * number, 0.02) for name in (*shares, "position")}
    # As where no summary has two sentences.
    return found | {"novel_3grams": interval(None), "sentences": interval(0.9)}


def summaries(number: int) -> dict[str, Any]:
    worst = {
        "id": "a-3",
        "rouge1": 4.0,
        "summary": [HOSTILE],
        "reference": ["Envoys met in Zenda.", "Nobody signed."],
    }
    empty = {**worst, "id": "a-4", "rouge1": 0.0, "summary": []}
    positions = [0.05 * (number + 1) * step for step in range(6)]
    return {"positions": positions, "answers": {}, "worst": [empty, worst]}


def cost(number: int) -> dict[str, Any]:
    return {
        "device": "cpu",
        "precision": "" if number else "int8",
        "passages": 40,
        "passages_per_s": 1234.5,
        "tokens_per_s": None,
        "p50_ms": 3.25,
        "p99_ms": 14.75,
        "peak_memory_mib": None if number else 500.2,
        "peak_gpu_mib": None,
        "size_mb": None if number else 69.6,
    }


def rulings(candidate: str, incumbent: str, passed: bool) -> dict[str, Any]:
    kept = {
        "number": "macro_f1",
        "passed": True,
        "why": "macro_f1 is not worse: +0.4000 (+0.3500 to +0.4500), p 0.000",
    }
    broken = {
        "number": "ece",
        "passed": False,
        "why": "ece is worse by more than the margin 0.01: -0.0300 (-0.0500 to -0.0100), p 0.001",
    }
    return {
        "candidate": candidate,
        "incumbent": incumbent,
        "rulings": [kept] if passed else [broken, kept],
        "passed": passed,
        "source": "gate.yaml",
    }
