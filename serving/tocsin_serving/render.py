"""An analysis and a model directory as a person at a terminal reads them.

Article text is shown as it is: never read as rich's markup, and with control characters written
out, so that a hostile article can neither colour the screen nor move the cursor.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from tocsin_models.manifest import Manifest
from tocsin_models.records import Analysis, Dropped, ModelInfo, Passage, Summary

# Lines beyond about 120 columns are hard to read on a wide screen.
MAX_WIDTH = 120
_MAX_LABEL_WIDTH = 18

_STYLES = {"claim": "yellow", "threat": "red", "retaliation": "magenta", "diplomacy": "cyan"}
_OTHER_STYLES = ("green", "blue", "bright_red", "bright_yellow", "bright_magenta", "bright_cyan")

_LINE_ENDS = re.compile(r"[ \t]*[\r\n\u2028\u2029]+[ \t]*|\t")
# C0, C1 and DEL steer a terminal, U+202D and U+202E turn text round, a surrogate is no character.
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u202d\u202e\ud800-\udfff]")


def open_console(width: int | None = None) -> Console:
    """A console on standard output that takes text literally, at most ``MAX_WIDTH`` wide."""
    console = Console(width=width, highlight=False, markup=False, emoji=False)
    console.width = min(console.width, MAX_WIDTH)
    return console


def make_visible(text: str) -> str:
    """The text on one line: line ends and tabs as a space, other controls as ``\\x1b``."""
    return _CONTROLS.sub(_escape, _LINE_ENDS.sub(" ", text))


def render_analysis(analysis: Analysis) -> RenderableType:
    """Header, legend, passages, what was dropped, and the summary with its receipts."""
    thresholds = analysis.classifier.thresholds if analysis.classifier else {}
    styles = _choose_styles(thresholds or _labels_of(analysis.passages))
    parts: list[RenderableType] = [_render_header(analysis)]
    parts += [Text(f"warning: {make_visible(line)}", "yellow") for line in analysis.warnings]
    if analysis.reason is not None:
        parts.append(Text(f"nothing to read: {make_visible(analysis.reason)}"))
    if analysis.passages:
        parts += [_render_legend(styles, thresholds), Text()]
        parts.append(_render_passages(analysis.passages, styles))
    if analysis.source.dropped:
        parts.append(_render_dropped(analysis.source.dropped))
    if analysis.summary is not None:
        parts.append(_render_summary(analysis.summary))
    return Group(*parts)


def render_footer(classifier: ModelInfo | None, summariser: ModelInfo | None) -> RenderableType:
    """Which models answered: name, the start of the revision, precision and device."""
    lines = [
        make_visible(
            f"{task} {info.name} {short_revision(info.revision)} {info.precision} {info.device}"
        )
        for task, info in (("classifier", classifier), ("summariser", summariser))
        if info is not None
    ]
    return Text("\n".join(lines), style="dim")


def render_manifests(rows: Iterable[tuple[str, Manifest, int]]) -> RenderableType:
    """Model directories: (where, manifest, size in bytes) each, as a list of facts."""
    return Group(*(_render_manifest(*row) for row in rows))


def short_revision(revision: str) -> str:
    """The scheme and 12 digits of a revision, enough to tell revisions apart by eye."""
    scheme, separator, digest = revision.rpartition(":")
    return f"{scheme}{separator}{digest[:12]}"


def _render_header(analysis: Analysis) -> RenderableType:
    title = Text(make_visible(analysis.id), style="bold", overflow="fold")
    title.append(f"  language {make_visible(analysis.language)}", style="not bold dim")
    return Group(Rule(characters="─", style="dim"), title)


def _render_legend(styles: Mapping[str, str], thresholds: Mapping[str, float]) -> Text:
    legend = Text()
    for label, style in styles.items():
        legend.append("   " if legend else "")
        legend.append(make_visible(label), style=f"bold {style}")
        if label in thresholds:
            # No space, so that a label and its threshold stay on one line.
            legend.append(f"≥{thresholds[label]:.2f}", style="dim")
    return legend


def _render_passages(passages: Sequence[Passage], styles: Mapping[str, str]) -> Table:
    table = Table(box=None, show_header=False, padding=(1, 1, 0, 1), pad_edge=False, expand=True)
    label_width = min(max(map(len, styles), default=0), _MAX_LABEL_WIDTH)
    table.add_column(justify="right", style="dim", no_wrap=True)
    table.add_column(ratio=1, overflow="fold")
    table.add_column(width=label_width + 5, overflow="fold")
    for passage in passages:
        table.add_row(
            str(passage.index),
            Text(make_visible(passage.text), style=_style_of(passage, styles)),
            _render_labels(passage, styles, label_width),
        )
    return table


def _style_of(passage: Passage, styles: Mapping[str, str]) -> str:
    """The colour of the strongest label; headlines bold, captions in italics."""
    strongest = max(passage.labels, key=lambda label: passage.scores[label], default="")
    weight = {"headline": "bold ", "caption": "italic "}.get(passage.kind, "")
    return (weight + styles.get(strongest, "")).strip()


def _render_labels(passage: Passage, styles: Mapping[str, str], width: int) -> Text:
    lines = [Text(passage.kind, style="dim")] if passage.kind != "body" else []
    for label in sorted(passage.labels, key=lambda label: -passage.scores[label]):
        name = f"{make_visible(label):<{width}} {passage.scores[label]:.2f}"
        lines.append(Text(name, style=styles.get(label, "")))
    if passage.windows > 1:
        lines.append(Text(f"in {passage.windows} windows", style="dim"))
    return Text("\n").join(lines)


def _render_dropped(dropped: Sequence[Dropped]) -> RenderableType:
    count = "1 paragraph" if len(dropped) == 1 else f"{len(dropped)} paragraphs"
    table = Table(box=None, show_header=False, padding=(0, 1), pad_edge=False, style="dim")
    table.add_column(style="dim", max_width=24, overflow="fold")
    table.add_column(style="dim", overflow="fold")
    for item in dropped:
        table.add_row(Text(make_visible(item.reason)), Text(make_visible(item.text)))
    return Group(Text(f"\nDropped, not read: {count}", style="dim"), table)


def _render_summary(summary: Summary) -> RenderableType:
    body = Text(overflow="fold")
    for sentence in summary.sentences:
        body.append("\n\n" if body else "")
        body.append(make_visible(sentence.text))
        where = f"passage {sentence.passage}, characters {sentence.start}–{sentence.end}"
        body.append(f"\n{where}, score {sentence.score:.2f}", style="dim")
        if sentence.replaced:
            instead = make_visible(f"in place of one that was written: {sentence.reason}")
            body.append(f"\n{instead}", style="yellow")
    if not summary.sentences:
        body.append(make_visible(f"none: {summary.reason}"), style="dim")
    title = Text("Summary", style="bold")
    panel = Panel(body, title=title, title_align="left", border_style="dim", padding=(0, 1))
    return Group(Text(), panel)


def _render_manifest(where: str, manifest: Manifest, size_bytes: int) -> RenderableType:
    table = Table(box=None, show_header=False, padding=(0, 1), pad_edge=False)
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    facts = [
        ("task", manifest.task),
        ("revision", short_revision(manifest.revision)),
        ("languages", ", ".join(manifest.languages)),
        ("labels", ", ".join(f"{x}≥{manifest.thresholds[x]:.2f}" for x in manifest.labels)),
        ("metrics", "\n".join(format_metrics(manifest.metrics))),
        ("base", manifest.base),
        ("size", f"{size_bytes / 1e6:.1f} MB"),
        ("licence", manifest.licence),
        ("directory", where),
    ]
    for name, value in facts:
        if value:
            table.add_row(name, Text("\n".join(map(make_visible, value.split("\n")))))
    return Group(Text(make_visible(manifest.name), style="bold"), table, Text())


def format_metrics(metrics: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """A line for each number: ``macro_f1 0.712 (0.681 to 0.742)``; nested names joined by a dot."""
    for name, value in metrics.items():
        full = f"{prefix}{name}"
        if isinstance(value, Mapping) and {"value", "low", "high"} <= value.keys():
            yield f"{full} {value['value']:.4g} ({value['low']:.4g} to {value['high']:.4g})"
        elif isinstance(value, Mapping):
            yield from format_metrics(value, f"{full}.")
        elif isinstance(value, float):
            yield f"{full} {value:.4g}"
        else:
            yield f"{full} {value}"


def _choose_styles(labels: Iterable[str]) -> dict[str, str]:
    """A colour for each label: its own for the default four, the next free one for any other."""
    others = [label for label in labels if label not in _STYLES]
    chosen = {
        label: _OTHER_STYLES[index % len(_OTHER_STYLES)] for index, label in enumerate(others)
    }
    return {label: _STYLES.get(label) or chosen[label] for label in labels}


def _labels_of(passages: Sequence[Passage]) -> list[str]:
    return list(passages[0].scores) if passages else []


def _escape(found: re.Match[str]) -> str:
    code = ord(found.group())
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
