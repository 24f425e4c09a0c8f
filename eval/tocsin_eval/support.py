"""What the check of names, numbers, dates and quotations (``tocsin_models.support``) catches:

    python -m tocsin_eval.support --data FILE…

prints it, on summaries marked faithful or not.
"""

import argparse
import json
import sys
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tocsin_models.errors import DataError, TocsinError
from tocsin_models.support import KINDS, unsupported


@dataclass(frozen=True, slots=True, kw_only=True)
class _Judged:
    """A summary that people marked. ``edits`` are the kinds of change that made it unfaithful."""

    article: str
    summary: str
    is_faithful: bool
    edits: tuple[str, ...]


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line: 0, or 2 with one line on standard error where the caller can mend it."""
    parser = argparse.ArgumentParser(
        prog="python -m tocsin_eval.support",
        description="What the check of names, numbers, dates and quotations catches. A summary is "
        "called unfaithful where it has at least one item that the article lacks.",
    )
    parser.add_argument(
        "--data",
        type=Path,
        nargs="+",
        required=True,
        help='JSON Lines: {"id", "article", "summary", "faithful": true or false}, with "edit": '
        "[…] where the kinds of error are known",
    )
    parser.add_argument("--seed", type=int, default=0, help="of the resamples")
    options = parser.parse_args(arguments)
    try:
        tables = [_read_judged(path) for path in options.data]
    except TocsinError as error:
        print(f"tocsin_eval.support: {error}", file=sys.stderr)
        return 2
    for path, rows in zip(options.data, tables, strict=True):
        _print_table(path.stem, rows, options.seed)
    return 0


def _read_judged(path: Path) -> list[_Judged]:
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8"
        raise DataError(f"{path}: cannot be read ({reason}); name a JSON Lines file") from None
    rows = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        where = f"{path}, line {number}"
        try:
            fields = json.loads(line)
        except ValueError:
            raise DataError(f"{where}: is not JSON") from None
        rows.append(_judged(where, fields))
    if len({row.is_faithful for row in rows}) < 2:
        raise DataError(f"{path}: needs at least one summary marked faithful and one marked not")
    return rows


def _judged(where: str, fields: Any) -> _Judged:
    kinds = {"article": str, "summary": str, "faithful": bool}
    for name, kind in kinds.items():
        if not isinstance(fields, dict) or not isinstance(fields.get(name), kind):
            expected = "true or false" if kind is bool else "a string"
            raise DataError(f"{where}: {name!r} must be {expected}")
    return _Judged(
        article=fields["article"],
        summary=fields["summary"],
        is_faithful=fields["faithful"],
        edits=tuple(map(str, fields.get("edit") or ())),
    )


def _print_table(name: str, rows: Sequence[_Judged], seed: int) -> None:
    """Shares are percent; intervals are 95%, over articles, of which each has all its summaries."""
    found = [{item.kind for item in unsupported(row.summary, row.article)} for row in rows]
    articles = [row.article for row in rows]
    faithful = [row.is_faithful for row in rows]
    of = f"{len(rows)} summaries of {len(set(articles))} articles, {sum(faithful)} faithful"
    print(f"{name}: {of}\n")
    print("| what is looked at | flagged, unfaithful | flagged, faithful | balanced accuracy |")
    print("|---|---:|---:|---:|")
    looks = [("all", set(KINDS)), *((f"{kind}s only", {kind}) for kind in KINDS)]
    for title, kinds in looks:
        flagged = [bool(kinds & seen) for seen in found]
        print(f"| {title} | {' | '.join(_rates(flagged, faithful, articles, seed))} |")
    by_edit: defaultdict[str, list[int]] = defaultdict(list)
    for index, row in enumerate(rows):
        for edit in row.edits if not row.is_faithful else ():
            by_edit[edit].append(index)
        if len(row.edits) == 1 and not row.is_faithful:
            by_edit[f"{row.edits[0]} alone"].append(index)
    if by_edit:
        print("\n| kind of edit | summaries | flagged |\n|---|---:|---:|")
    for edit, indices in sorted(by_edit.items()):
        flagged = [bool(found[index]) for index in indices]
        within = [articles[index] for index in indices]
        caught = _rates(flagged, [False] * len(indices), within, seed)[0]
        print(f"| {edit} | {len(indices)} | {caught} |")
    print()


def _rates(
    flagged: Sequence[bool], faithful: Sequence[bool], articles: Sequence[str], seed: int
) -> list[str]:
    """Share flagged of the unfaithful and of the faithful, and balanced accuracy, in percent."""
    import numpy as np

    from tocsin_eval.bootstrap import article_sums, interval, ratio, resample_sums

    is_flagged, is_faithful = np.array(flagged), np.array(faithful)
    counts = article_sums(
        np.stack(
            [is_flagged & ~is_faithful, ~is_faithful, is_flagged & is_faithful, is_faithful], axis=1
        ),
        articles,
    )
    draws = resample_sums(counts, seed=seed)
    rows = np.concatenate([counts.sum(axis=0)[None], draws])
    caught, alarmed = ratio(rows[:, 0], rows[:, 1]), ratio(rows[:, 2], rows[:, 3])
    intervals = [
        interval(100 * float(values[0]), 100 * values[1:])
        for values in (caught, alarmed, (caught + 1 - alarmed) / 2)
    ]
    return [f"{one.value:.1f} ({one.low:.1f} to {one.high:.1f})" for one in intervals]


if __name__ == "__main__":
    sys.exit(main())
