"""The input's other columns: what each is called in the results, and its type over all rows.

Both are decided once, over the whole input, so that a column has one name and one type in every
file of a run, in whatever order its blocks are scored.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from tocsin_models.errors import InputError

ColumnType: TypeAlias = Literal["string", "int64", "float64", "bool", "json"]

# Rows whose fields are named by data (a date, an id) would make a column of each.
MAX_COLUMNS = 1_000

_INT64 = 2**63
_EXACT_IN_FLOAT = 2**53


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """``name`` in the input, ``written_as`` in the results. ``type`` is how Parquet has it: json
    where rows hold lists, objects, or values of several types, each then written as JSON."""

    name: str
    written_as: str
    type: ColumnType


class ColumnTypes:
    """What the rows of an input have been seen to hold."""

    def __init__(self) -> None:
        self._seen: dict[str, set[str]] = {}

    def add(self, columns: Mapping[str, Any]) -> None:
        """
        Raises:
            InputError: there are more columns than ``MAX_COLUMNS``.
        """
        for name, value in columns.items():
            kinds = self._seen.get(name)
            if kinds is None:
                if len(self._seen) >= MAX_COLUMNS:
                    raise InputError(
                        f"the rows have more than {MAX_COLUMNS:,} columns of different names; put "
                        "what is named by data into one column that holds an object"
                    )
                kinds = self._seen[name] = set()
            kinds.add(_kind(value))

    def columns(self, taken: Iterable[str]) -> tuple[Column, ...]:
        """In the order in which they were first seen; ``taken`` are names of the record's own."""
        used = set(taken)
        found = []
        for name, kinds in self._seen.items():
            new = name
            while new in used or (new != name and new in self._seen):
                new = f"input_{new}"
            used.add(new)
            found.append(Column(name=name, written_as=new, type=_type(kinds)))
        return tuple(found)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._seen)


def to_cell(value: Any, type: ColumnType) -> Any:
    """A value of a column as a cell of Parquet. Half a surrogate pair is written as ``\\ud800``."""
    if value is None:
        return None
    if type == "json":
        return json.dumps(value, ensure_ascii=False).encode("utf-8", "backslashreplace").decode()
    if type == "string":
        return value.encode("utf-8", "backslashreplace").decode()
    return float(value) if type == "float64" else value


def fits(value: Any, type: ColumnType) -> bool:
    """Whether a value can be written into a column that has its type already."""
    if value is None or type == "json":
        return True
    kind = _kind(value)
    allowed = {"string": {"string"}, "bool": {"bool"}, "int64": {"int", "long"}}
    return kind in allowed.get(type, {"int", "float"})


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, str):
        return "string"
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int):
        if abs(value) <= _EXACT_IN_FLOAT:
            return "int"
        return "long" if -_INT64 <= value < _INT64 else "json"
    return "float" if isinstance(value, float) else "json"


def _type(kinds: set[str]) -> ColumnType:
    held = kinds - {"null"}
    if held <= {"string"}:
        return "string"
    if held == {"bool"}:
        return "bool"
    if held <= {"int", "long"}:
        return "int64"
    if held <= {"int", "float"}:
        return "float64"
    return "json"
