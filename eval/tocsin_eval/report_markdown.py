"""The report as Markdown, for a pull request: all of it but plots and the longest parts.

What is left out is told, and stands in ``report.html`` and ``report.json``.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tocsin_eval.report_detail import Behaviour
from tocsin_eval.report_parts import Case, Cell, Fact, Group, Table, plural
from tocsin_eval.report_view import Gate, View, view

# Suites whose failing cases are told, and how many of each: more than this nobody reads here.
_MOST_SUITES = 12
_MOST_CASES = 3

# What Markdown or HTML would read as more than a letter.
_SPECIAL = re.compile(r"([\\`*_\[\]|~$#@])")


def render_markdown(record: Mapping[str, Any]) -> str:
    """The report of a record; the same bytes for the same record."""
    return "\n".join(_lines(view(record))).rstrip("\n") + "\n"


def _lines(shown: View) -> Iterator[str]:
    yield f"# {_text(shown.title)}"
    yield ""
    if shown.subtitle:
        yield f"Tocsin evaluation on {shown.subtitle}."
        yield ""
    if shown.gate:
        yield from _gate(shown.gate)
    for sentence in shown.sentences:
        sign = f"{sentence.sign} " if sentence.sign else ""
        evidence = f": {sentence.evidence}" if sentence.evidence else ""
        yield f"- {sign}{_text(sentence.text + evidence)}"
    yield ""
    yield from _section("Numbers", shown.headlines)
    yield from _section("Differences", [each.numbers for each in shown.comparisons])
    if shown.labels:
        yield from _section("By label", shown.labels.tables)
        yield from _section("Confusion", [*shown.labels.confusions[:1], shown.labels.together])
    yield from _section("For whom", [shown.slices])
    if shown.behaviour:
        yield from _behaviour(shown.behaviour)
    yield from _cases("Worst errors", shown.worst)
    yield from _cases("Doubtful labels", shown.doubts)
    yield from _summaries(shown)
    yield from _section("Speed and cost", [shown.cost])
    yield "## Provenance"
    yield ""
    yield from _facts(shown.provenance)
    yield from _table(shown.subjects)
    if shown.seconds:
        yield shown.seconds
        yield ""
    yield "## How to read this"
    yield ""
    yield from _facts(shown.guide)


def _gate(gate: Gate) -> Iterator[str]:
    stamp = "✓ PASS" if gate.passed else "✗ FAIL"
    yield f"**{stamp}: {_text(gate.headline)}** ({_text(gate.against)})"
    yield ""
    for sign, rules in (("✗", gate.broken), ("✓", gate.kept)):
        yield from (f"- {sign} {_text(rule)}" for rule in rules)
    yield ""


def _section(title: str, tables: Sequence[Table]) -> Iterator[str]:
    if any(table.rows for table in tables):
        yield f"## {title}"
        yield ""
    for table in tables:
        yield from _table(table)


def _table(table: Table) -> Iterator[str]:
    """A pipe table; pictures are left out."""
    if not table.rows:
        return
    kept = [index for index, column in enumerate(table.columns) if column.kind != "picture"]
    columns = [table.columns[index] for index in kept]
    titles = [_join(column.title, column.note) for column in columns]
    rules = [
        "---:" if column.kind == "number" and index else "---"
        for index, column in enumerate(columns)
    ]
    yield f"**{_text(table.caption)}**"
    yield ""
    yield f"| {' | '.join(titles)} |"
    yield f"|{'|'.join(rules)}|"
    for row in table.rows:
        yield f"| {' | '.join(_cell(row[index]) for index in kept)} |"
    yield ""
    if table.note:
        yield _text(table.note)
        yield ""


def _cell(cell: Cell) -> str:
    text = f"**{_text(cell.text)}**" if cell.is_best else _text(cell.text)
    more = ", ".join(filter(None, (cell.range, cell.note)))
    return f"{text} ({_text(more)})" if more else text


def _join(title: str, note: str) -> str:
    return _text(f"{title} ({note})" if note else title)


def _behaviour(found: Behaviour) -> Iterator[str]:
    yield from _section("Behaviour", [found.kinds, found.failing, found.clean])
    if found.skipped:
        yield f"Left out, because their label is not there: {_text(', '.join(found.skipped))}."
        yield ""
    for group in found.groups[:_MOST_SUITES]:
        yield from _group(group)
    if (more := len(found.groups) - _MOST_SUITES) > 0:
        yield f"{plural(more, 'more suite')} with cases that fail: see report.html."
        yield ""


def _group(group: Group) -> Iterator[str]:
    yield f"**{_text(group.name)}: {group.title}.** {_text(group.note)}"
    yield ""
    for case in group.cases[:_MOST_CASES]:
        yield from _case(case)
    if (more := len(group.cases) - _MOST_CASES) > 0:
        yield f"- {plural(more, 'more case')} in report.html"
    yield ""


def _cases(title: str, cases: Sequence[Case]) -> Iterator[str]:
    if not cases:
        return
    yield f"## {title}"
    yield ""
    for case in cases:
        yield from _case(case)
    yield ""


def _case(case: Case) -> Iterator[str]:
    note = f" ({_text(case.note)})" if case.note else ""
    yield f"- **{_text(case.title)}**{note}"
    for said in case.texts:
        scores = ", ".join(
            f"**{_text(score.label)} {score.text}**"
            if score.is_asked
            else f"{_text(score.label)} {score.text}"
            for score in said.scores
        )
        yield f"  - {_text(said.text)} ({scores})"


def _summaries(shown: View) -> Iterator[str]:
    if not shown.summaries:
        return
    yield "## Summaries least like their references"
    yield ""
    for pair in shown.summaries:
        yield f"- **{_text(pair.id)}** ({pair.note})"
        yield f"  - {_text(shown.candidate)}: {_text(' '.join(pair.summary)) or 'no summary'}"
        yield f"  - reference: {_text(' '.join(pair.reference))}"
    yield ""


def _facts(facts: Sequence[Fact]) -> Iterator[str]:
    for fact in facts:
        yield f"- **{_text(fact.term)}**: {_code(fact.text) if fact.is_code else _text(fact.text)}"
    yield ""


def _text(text: str) -> str:
    """On one line, and nothing in it is markup."""
    flat = " ".join(text.split())
    flat = flat.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _SPECIAL.sub(r"\\\1", flat)


def _code(text: str) -> str:
    """As code, between more backticks than it holds."""
    flat = " ".join(text.split())
    longest = max((len(run) for run in re.findall("`+", flat)), default=0)
    fence = "`" * (longest + 1)
    space = " " if longest else ""
    return f"{fence}{space}{flat}{space}{fence}"
