"""Which column of a table holds which field: ``text=Headline,labels=Category``.

Without a word on a field, its column is the one of its own name. ``kind=`` (no column) says that
the field is not there, though a column of that name may be. Columns of 0 and 1 that each stand for
a label are joined: ``labels=is_threat+is_claim``; their names are the labels.
"""

import difflib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tocsin_eval.cells import Record
from tocsin_models.errors import ConfigError

FIELDS = (
    "id",
    "article",
    "text",
    "labels",
    "source",
    "kind",
    "summary",
    "highlights",
    "paragraphs",
)

# Not to be mapped: they make a row what it is.
_STRUCTURE = ("passages", "boilerplate")

# What published tables call these; only ever offered in a message.
_USUAL = {
    "text": ("headline", "title", "sentence", "content", "body", "passage", "document"),
    "labels": ("label", "category", "categories", "class", "topic", "target"),
    "summary": ("abstract", "highlights", "description"),
}

# A file without a line of column names shows its first row as names: copy is not to be quoted.
_LONGEST_NAME = 40
_MOST_NAMES = 20


def parse_columns(words: Sequence[str]) -> dict[str, str]:
    """Field -> column, from ``--columns`` as it was given, once or more often.

    A word that begins with ``{`` is a JSON object, for column names that hold a comma.

    Raises:
        ConfigError: a word is not ``field=column``, or a field is unknown or named twice; all of
            these at once.
    """
    found: dict[str, str] = {}
    problems: list[str] = []
    for field, column in _pairs(words, problems):
        if field not in FIELDS:
            near = difflib.get_close_matches(field, FIELDS, n=1, cutoff=0.5)
            hint = f"did you mean {near[0]}?" if near else f"known fields: {', '.join(FIELDS)}"
            problems.append(f"{field}: unknown field; {hint}")
        elif field in found:
            problems.append(f"{field}: named twice; a field has one column")
        else:
            found[field] = column
    if problems:
        raise ConfigError("--columns", problems)
    return found


def _pairs(words: Sequence[str], problems: list[str]) -> Iterable[tuple[str, str]]:
    for word in words:
        if word.lstrip().startswith("{"):
            try:
                pairs = json.loads(word)
                yield from ((field, column.strip()) for field, column in pairs.items())
            except (ValueError, AttributeError, RecursionError):
                problems.append(f"{word}: not a JSON object of strings")
            continue
        for pair in word.split(","):
            field, separator, column = pair.partition("=")
            if separator:
                yield field.strip(), column.strip()
            else:
                problems.append(f"{pair}: not of the form field=column")


def pick_fields(record: Record, columns: Mapping[str, str]) -> tuple[Record, Record] | None:
    """The fields of a row by their names, and its other columns; None where a column that was named
    is missing, which is then among the problems.

    A whole article (``passages``) has a form of its own: where a named column is missing there, the
    field of its own name is taken.
    """
    values, is_complete = record.values, True
    fields: dict[str, Any] = {
        name: values[name] for name in _STRUCTURE if values.get(name) is not None
    }
    is_article = "passages" in fields
    used = set(_STRUCTURE)
    for field in FIELDS:
        column = columns.get(field, field)
        if column in values:
            fields[field] = values[column]
            used.add(column)
        elif field == "labels" and "+" in column and not is_article:
            parts = tuple(part.strip() for part in column.split("+"))
            missing = [part for part in parts if part not in values]
            for part in missing:
                record.complain_of_columns(no_column(part, field, values))
            is_complete = is_complete and not missing
            fields[field] = [] if missing else record.indicators(parts)
            used.update(parts)
        elif column and column != field:
            if is_article and field in values:
                fields[field] = values[field]
                used.add(field)
            elif not is_article:
                record.complain_of_columns(no_column(column, field, values))
                is_complete = False
    others = {name: value for name, value in values.items() if name not in used}
    return (record.with_values(fields), record.with_values(others)) if is_complete else None


def no_column(column: str, field: str, names: Iterable[str]) -> str:
    """That a column is missing: which there are, and the one that was likely meant."""
    known = list(names)
    likely = _likely(column, field, [name for name in known if len(name) <= _LONGEST_NAME])
    hint = f"; did you mean --columns {field}={likely}?" if likely else ""
    asked = "" if column == field else f" for {field}"
    return f"no column {column!r}{asked}; there are {list_names(known)}{hint}"


def list_names(names: Iterable[str]) -> str:
    """Column names for a message: not more than a line or two, and no row taken for names."""
    known = [name if len(name) <= _LONGEST_NAME else "one of a longer name" for name in names]
    hidden = len(known) - _MOST_NAMES
    return ", ".join(known[:_MOST_NAMES]) + (f" and {hidden} more" if hidden > 0 else "")


def _likely(column: str, field: str, names: Sequence[str]) -> str | None:
    by_lower = {name.lower(): name for name in names}
    near = difflib.get_close_matches(column.lower(), by_lower, n=1, cutoff=0.6)
    usual = [name for name in (field, *_USUAL.get(field, ())) if name in by_lower]
    return by_lower[(near or usual)[0]] if near or usual else None
