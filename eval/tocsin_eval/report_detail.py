"""Where a subject is right and where not: by label, by part of the data, by suite, by case."""

from collections.abc import Sequence
from dataclasses import dataclass

from tocsin_eval.report_numbers import (
    ABSENT,
    describe_number,
    format_count,
    format_number,
    labels_of,
)
from tocsin_eval.report_parts import (
    Case,
    Cell,
    Column,
    Group,
    Said,
    Table,
    build_cell,
    build_scores,
    build_whisker,
    drop_empty,
)
from tocsin_eval.report_side_by_side import Record, build_numbers
from tocsin_eval.slices import LEAST_PASSAGES


@dataclass(frozen=True, slots=True, kw_only=True)
class Labels:
    """Tables of labels: of the candidate, then of each other subject."""

    tables: tuple[Table, ...]
    confusions: tuple[Table, ...]
    together: Table


@dataclass(frozen=True, slots=True, kw_only=True)
class Behaviour:
    """``failing`` are suites with a failure, the worst first, ``clean`` those without; ``groups``
    hold the cases that failed."""

    kinds: Table
    failing: Table
    clean: Table
    groups: tuple[Group, ...]
    skipped: tuple[str, ...]


def build_labels(record: Record, subjects: Sequence[Record]) -> Labels:
    own = subjects[0]
    return Labels(
        tables=tuple(_label_table(record, one) for one in subjects),
        confusions=tuple(_confusion(one) for one in subjects if one["confusion"]),
        together=_together(own),
    )


def _label_table(record: Record, subject: Record) -> Table:
    metrics = subject["metrics"]
    labels = labels_of(metrics)
    is_single = subject["is_single_label"]
    halves = () if is_single else ("precision_at_half", "recall_at_half", "f1_at_half")
    bases = ("precision", "recall", "f1", *halves, "average_precision", "roc_auc", "brier", "ece")
    titles = ("precision", "recall", "F1", *(("precision", "recall", "F1") if halves else ()))
    notes = ("",) * 3 if is_single else ("stored",) * 3 + ("at 0.5",) * 3
    rows = []
    for index, label in enumerate(labels):
        threshold = None if is_single else subject["thresholds"].get(label)
        cells = [
            build_cell(describe_number(f"{base}_{label}", labels), metrics.get(f"{base}_{label}"))
            for base in bases
        ]
        rows.append(
            (
                Cell(text=label),
                Cell(text=format_count(_support(record, subject, index, label))),
                Cell(text=format_number(threshold, 3)),
                *cells,
            )
        )
    columns = (
        Column(title="label", kind="text"),
        Column(title="carried", note="passages"),
        Column(title="threshold", note="stored"),
        *(Column(title=title, note=note) for title, note in zip(titles, notes, strict=True)),
        Column(title="average precision"),
        Column(title="ROC AUC"),
        Column(title="Brier"),
        Column(title="ECE"),
    )
    return drop_empty(Table(caption=subject["name"], columns=columns, rows=tuple(rows)))


def _support(record: Record, subject: Record, index: int, label: str) -> int:
    if subject["confusion"]:
        return int(subject["confusion"]["carried"][index])
    return int(record["data"]["labels"].get(label, 0))


def _confusion(subject: Record) -> Table:
    found = subject["confusion"]
    names = [*labels_of(subject["metrics"]), "none of them"]
    given, carried = found["given"], found["carried"]
    # Of single labels one is always given.
    shown = [i for i in range(len(names)) if carried[i] or any(row[i] for row in given)]
    rows = []
    for i in (i for i in shown if carried[i]):
        cells = []
        for j in shown:
            share = given[i][j] / carried[i]
            cells.append(Cell(text=f"{given[i][j]:,}", note=f"{share:.2f}", shade=share))
        rows.append((Cell(text=names[i], note=f"{carried[i]:,} carry it"), *cells))
    multi = "" if subject["is_single_label"] else " A passage with several labels counts in each."
    return Table(
        caption=subject["name"],
        columns=(
            Column(title="carried ↓  given →", kind="text"),
            *(Column(title=names[j]) for j in shown),
        ),
        rows=tuple(rows),
        note=f"Of the passages that carry a row's label, how many were given a column's, and their "
        f"share.{multi}",
    )


def _together(subject: Record) -> Table:
    found = subject["confusion"]
    labels = labels_of(subject["metrics"])
    rows: list[tuple[Cell, ...]] = []
    if found and not subject["is_single_label"] and len(labels) > 1:
        for i, label in enumerate(labels):
            cells = [
                Cell(
                    text=f"{found['together'][i][j]:,}",
                    note=f"given {found['given_together'][i][j]:,}",
                )
                if i != j
                else Cell(text=ABSENT)
                for j in range(len(labels))
            ]
            rows.append((Cell(text=label), *cells))
    return Table(
        caption=f"Labels that stand together: in the data, and as {subject['name']} gives them",
        columns=(Column(title="label", kind="text"), *(Column(title=name) for name in labels)),
        rows=tuple(rows),
    )


def build_slices(subjects: Sequence[Record]) -> Table:
    own, others = (subjects[0], subjects[1:]) if subjects else ({"slices": []}, [])
    f1 = describe_number("micro_f1")
    beside = [
        {(part["group"], part["name"]): part["micro_f1"] for part in one["slices"]}
        for one in others
    ]
    rows = []
    for part in own["slices"]:
        cell = build_cell(f1, part["micro_f1"])
        is_small = part["passages"] < LEAST_PASSAGES
        rest = (found.get((part["group"], part["name"])) for found in beside)
        rows.append(
            (
                Cell(
                    text=f"{part['group']}: {part['name']}",
                    note="too few to rank" if is_small else "" if part["labels"] else "no label",
                ),
                cell,
                Cell(
                    text="",
                    whisker=build_whisker(
                        part["micro_f1"],
                        (0.0, 1.0),
                        f"micro-F1 {cell.text} ({cell.range or 'no interval'})",
                    ),
                ),
                Cell(text=format_count(part["passages"])),
                Cell(text=format_count(part["articles"])),
                Cell(text=format_count(part["labels"])),
                build_cell(f1, part["wrong"]),
                *(Cell(text=f1.format(found["value"] if found else None)) for found in rest),
            )
        )
    return Table(
        caption=f"Parts of the data, where {own.get('name', '')} is worst first",
        columns=(
            Column(title="part", kind="text"),
            Column(title="micro-F1"),
            Column(title="0 to 1", kind="picture"),
            Column(title="passages"),
            Column(title="articles"),
            Column(title="labels"),
            Column(title="wrong", note="decisions a passage"),
            *(Column(title=one["name"], note="micro-F1") for one in others),
        ),
        rows=tuple(rows),
    )


def build_behaviour(record: Record, subjects: Sequence[Record]) -> Behaviour | None:
    if not subjects or not subjects[0]["behaviour"]["suites"]:
        return None
    own, others = subjects[0], subjects[1:]
    suites = own["behaviour"]["suites"]
    kinds = ("minimum_functionality", "invariance", "direction", "pairs")
    names = ["behaviour", *(f"behaviour_{kind}" for kind in kinds)]
    failing = [suite for suite in suites if suite["failures"]]
    clean = [suite for suite in suites if not suite["failures"]]
    return Behaviour(
        kinds=build_numbers("Share of cases passed", record, subjects, names, ()),
        failing=_suites(f"Suites in which {own['name']} fails, the worst first", failing, others),
        clean=_suites(f"Suites in which {own['name']} passes every case", clean, others),
        groups=tuple(_failures(suite) for suite in failing),
        skipped=tuple(own["behaviour"]["skipped"]),
    )


def _suites(caption: str, suites: Sequence[Record], others: Sequence[Record]) -> Table:
    share = describe_number("behaviour")
    beside = [
        {suite["name"]: suite["share"]["value"] for suite in one["behaviour"]["suites"]}
        for one in others
    ]
    rows = []
    for suite in suites:
        cell = build_cell(share, suite["share"])
        picture = build_whisker(suite["share"], (0.0, 1.0), f"{cell.text} ({cell.range})")
        pairs, also = suite["pairs"], suite["also"]
        rows.append(
            (
                Cell(text=suite["name"], note=suite["kind"].replace("-", " ")),
                Cell(text=f"{suite['passed']} of {suite['cases']}"),
                cell,
                Cell(text="", whisker=picture),
                Cell(text=f"{suite['pairs_passed']} of {pairs}" if pairs else ABSENT),
                Cell(text=f"{suite['also_right']} of {also}" if also else ABSENT),
                *(Cell(text=share.format(found.get(suite["name"]))) for found in beside),
            )
        )
    table = Table(
        caption=caption,
        columns=(
            Column(title="suite", kind="text"),
            Column(title="passed"),
            Column(title="share"),
            Column(title="0 to 1", kind="picture"),
            Column(title="pairs", note="both right"),
            Column(title="other labels", note="right"),
            *(Column(title=one["name"], note="share") for one in others),
        ),
        rows=tuple(rows),
    )
    return drop_empty(table)


def _failures(suite: Record) -> Group:
    cases = [
        Case(
            title=failure["problem"],
            note="",
            texts=tuple(
                Said(text=text, scores=build_scores(scores, suite["label"]))
                for text, scores in zip(failure["texts"], failure["scores"], strict=True)
            ),
        )
        for failure in suite["failures"]
    ]
    return Group(
        name=suite["name"],
        title=f"{len(cases)} of {suite['cases']} cases fail",
        note=suite["ruling"],
        cases=tuple(cases),
    )


def build_error(case: Record, thresholds: Record) -> Case:
    label, threshold = case["label"], thresholds.get(case["label"])
    note = f"score {case['score']:.2f}"
    if threshold is not None:
        note += f", threshold {threshold:.2f}"
    title = f"{label} missed" if case["is_carried"] else f"{label} given wrongly"
    return _shown(case, title, note)


def build_doubt(case: Record) -> Case:
    title = (
        f"{case['label']} in the data" if case["is_carried"] else f"no {case['label']} in the data"
    )
    return _shown(case, title, f"score {case['score']:.2f}")


def _shown(case: Record, title: str, note: str) -> Case:
    said = Said(text=case["text"], scores=build_scores(case["scores"], case["label"]))
    return Case(title=title, note=f"{note}; {case['id']}", texts=(said,))
