"""From a record to what a report shows, in order: no formatting is left to do after this.

``view`` is the whole; ``report_html`` and ``report_markdown`` only set it. A part that the record
does not have is empty here, and then has no heading there.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from tocsin_eval.report_detail import (
    Behaviour,
    Labels,
    build_behaviour,
    build_doubt,
    build_error,
    build_labels,
    build_slices,
)
from tocsin_eval.report_guide import explain
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
    Fact,
    SummaryPair,
    Table,
    drop_empty,
    join_words,
    plural,
)
from tocsin_eval.report_side_by_side import (
    Comparison,
    Record,
    build_comparisons,
    build_every_number,
    build_glances,
    build_headlines,
    standing_of,
)

# A hyphen before a number, and not inside a word or a range.
_MINUS = re.compile(r"(?<![\w.])-(?=\d)")

# The standings of ``verdict``, and a sign of each.
_SIGNS = ((" is better than ", "▲"), (" is worse than ", "▼"), (" is not told apart from ", "≈"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """``broken`` and ``kept`` are sentences, one a rule."""

    passed: bool
    headline: str
    against: str
    broken: tuple[str, ...]
    kept: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sentence:
    """A sentence of the verdict: what it says, and from which numbers, or none. ``sign`` is of a
    comparison, and empty for the rest."""

    text: str
    evidence: str
    sign: str


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    candidate: str
    title: str
    subtitle: str
    gate: Gate | None
    sentences: tuple[Sentence, ...]
    glances: tuple[Table, ...]
    headlines: tuple[Table, ...]
    every_number: tuple[Table, ...]
    comparisons: tuple[Comparison, ...]
    labels: Labels | None
    slices: Table
    behaviour: Behaviour | None
    worst: tuple[Case, ...]
    doubts: tuple[Case, ...]
    summaries: tuple[SummaryPair, ...]
    cost: Table
    seconds: str
    provenance: tuple[Fact, ...]
    subjects: Table
    guide: tuple[Fact, ...]


def view(record: Record) -> View:
    subjects: Sequence[Record] = record["subjects"]
    candidate = subjects[0]
    classifying = [one for one in subjects if labels_of(one["metrics"])]
    summarising = [one for one in subjects if "rouge1" in one["metrics"]]
    own = classifying[0] if classifying else candidate
    names = [one["name"] for one in subjects]
    labels = labels_of(own["metrics"])
    return View(
        candidate=candidate["name"],
        title=" against ".join([names[0], join_words(names[1:])]) if names[1:] else names[0],
        subtitle=_subtitle(record["data"]),
        gate=_gate(record, labels),
        sentences=tuple(_sentences(record)),
        glances=tuple(build_glances(record, classifying, summarising)),
        headlines=tuple(build_headlines(record, classifying, summarising, labels)),
        every_number=tuple(build_every_number(record, classifying, summarising, labels)),
        comparisons=tuple(build_comparisons(record, own["is_single_label"], labels)),
        labels=build_labels(record, classifying) if classifying else None,
        slices=build_slices(classifying),
        behaviour=build_behaviour(record, [one for one in classifying if one["behaviour"]]),
        worst=tuple(build_error(case, own["thresholds"]) for case in own["worst"]),
        doubts=tuple(build_doubt(case) for case in own["label_noise"]),
        summaries=tuple(_pairs(summarising)),
        cost=_cost(record, subjects),
        seconds=_seconds(record["seconds"]),
        provenance=tuple(_provenance(record)),
        subjects=_subjects(record),
        guide=tuple(explain(record)),
    )


def _subtitle(data: Record) -> str:
    parts = []
    if data["passages"]:
        articles = plural(data["articles"], "article")
        parts.append(f"{plural(data['passages'], 'passage')} of {articles}")
    if data["summaries"]:
        parts.append(f"{plural(data['summaries'], 'article')} with reference summaries")
    return " and ".join(parts)


def _gate(record: Record, labels: Sequence[str]) -> Gate | None:
    gate = record["gate"]
    if gate is None:
        return None
    count = len(gate["rulings"])
    told: dict[bool, list[str]] = {True: [], False: []}
    for ruling in gate["rulings"]:
        title = describe_number(ruling["number"], labels).title
        why = ruling["why"].removeprefix(ruling["number"]).strip()
        told[ruling["passed"]].append(_proper(f"{title} {why}"))
    if gate["passed"]:
        headline = f"{gate['candidate']} passes the gate"
    else:
        headline = f"{gate['candidate']} does not pass the gate"
    kept = f"{len(told[True])} of {plural(count, 'rule')} kept"
    incumbent = gate["incumbent"]
    return Gate(
        passed=gate["passed"],
        headline=headline,
        against=f"{kept}, against {incumbent}" if incumbent else kept,
        broken=tuple(told[False]),
        kept=tuple(told[True]),
    )


def _proper(sentence: str) -> str:
    """With a real minus before digits, and a full stop."""
    return _MINUS.sub("−", sentence).rstrip(".") + "."


def _sentences(record: Record) -> Iterator[Sentence]:
    """The verdict, less what the banner of the gate says."""
    sentences = list(record["verdict"])
    if record["gate"] is not None:
        whys = {ruling["why"].rstrip(".") for ruling in record["gate"]["rulings"]}
        sentences = [each for each in sentences[1:] if each.rstrip(".") not in whys]
    for sentence in map(_proper, sentences):
        text, colon, evidence = sentence.partition(": ")
        signs = [sign for phrase, sign in _SIGNS if phrase in text]
        yield Sentence(
            text=text if colon else sentence,
            evidence=evidence,
            sign=signs[0] if signs else "",
        )


def _pairs(subjects: Sequence[Record]) -> Iterator[SummaryPair]:
    own = subjects[0]["summaries"] if subjects else None
    for one in own["worst"] if own else ():
        yield SummaryPair(
            id=one["id"],
            note=f"ROUGE-1 {format_number(one['rouge1'], 2)}",
            summary=tuple(one["summary"]),
            reference=tuple(one["reference"]),
        )


def _cost(record: Record, subjects: Sequence[Record]) -> Table:
    rows = []
    for one in subjects:
        cost = one["cost"]
        if cost is None:
            continue
        how = " ".join(filter(None, (cost["device"], cost["precision"])))
        rows.append(
            (
                Cell(text=one["name"], note=standing_of(record, one["name"])),
                Cell(text=how or ABSENT),
                Cell(text=_figures(cost["passages_per_s"])),
                Cell(text=_figures(cost["tokens_per_s"])),
                Cell(text=_figures(cost["p50_ms"])),
                Cell(text=_figures(cost["p99_ms"])),
                Cell(text=_figures(cost["peak_memory_mib"])),
                Cell(text=_figures(cost["peak_gpu_mib"])),
                Cell(text=_figures(cost["size_mb"])),
            )
        )
    count = max((one["cost"]["passages"] for one in subjects if one["cost"]), default=0)
    return drop_empty(
        Table(
            caption=f"Measured on this machine with {plural(count, 'passage')} of these data",
            columns=(
                Column(title="subject", kind="text"),
                Column(title="runs on", kind="text"),
                Column(title="passages", note="a second"),
                Column(title="tokens", note="a second"),
                Column(title="one passage", note="median, ms"),
                Column(title="one passage", note="99th percentile, ms"),
                Column(title="memory", note="peak, MiB"),
                Column(title="GPU memory", note="peak, MiB"),
                Column(title="on disk", note="MB"),
            ),
            rows=tuple(rows),
        )
    )


def _figures(value: float | None) -> str:
    """Three figures, as far as such measurements repeat."""
    if value is None:
        return ABSENT
    return format_count(value, 0 if value >= 100 else 1 if value >= 10 else 2)


def _seconds(seconds: Mapping[str, float]) -> str:
    told = [f"{name} {value:.1f} s" for name, value in seconds.items()]
    return f"This evaluation took: {', '.join(told)}." if told else ""


def _provenance(record: Record) -> Iterator[Fact]:
    run = record.get("provenance") or {}
    if command := run.get("command"):
        yield Fact(term="command", text=command, is_code=True)
    for source in run.get("data", ()):
        names = ", ".join(source["names"])
        yield Fact(term=source["role"], text=f"{plural(source['rows'], 'row')} of {names}")
        yield Fact(term="SHA-256", text=source["sha256"], is_code=True)
    if gate := record["gate"]:
        yield Fact(term="gate", text=gate["source"], is_code=True)
    yield Fact(
        term="chance", text=f"seed {record['seed']}, {record['resamples']:,} resamples of articles"
    )
    if commit := run.get("commit"):
        yield Fact(term="commit", text=commit, is_code=True)
    if machine := run.get("machine"):
        memory = run.get("memory_gib")
        more = f", {memory:g} GiB of memory" if memory else ""
        yield Fact(term="machine", text=f"{machine}, {plural(run['cores'], 'core')}{more}")
    if versions := run.get("versions"):
        told = ", ".join(f"{name} {version}" for name, version in versions.items())
        yield Fact(term="versions", text=told)
    yield Fact(term="schema", text=record["schema"], is_code=True)


def _subjects(record: Record) -> Table:
    rows = [
        (
            Cell(text=one["name"], note=standing_of(record, one["name"])),
            Cell(text=one["kind"]),
            Cell(text=" ".join(filter(None, (one["device"], one["precision"]))) or ABSENT),
            Cell(text=one["revision"] or ABSENT),
        )
        for one in record["subjects"]
    ]
    titles = ("subject", "kind", "answered on", "revision")
    return Table(
        caption="What was measured",
        columns=tuple(Column(title=title, kind="text") for title in titles),
        rows=tuple(rows),
    )
