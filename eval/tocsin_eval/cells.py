"""A row of a table and its cells, read as what they should be; what is wrong is collected.

A complaint says where it stands and which field it is about, never what the cell holds: messages
end up in logs, and copy is confidential (design, rule 4). A field that cannot be read is noted and
given as something empty, so that one pass over the files finds every mistake.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from tocsin_models.errors import DataError


@dataclass(slots=True)
class Problems:
    """What is wrong with some files: the first lines of it, and how many there are."""

    shown: list[str] = field(default_factory=list)
    count: int = 0
    _told: set[str] = field(default_factory=set)

    def add(self, problem: str) -> None:
        self.count += 1
        if len(self.shown) < DataError.SHOWN:
            self.shown.append(problem)

    def add_once(self, problem: str) -> None:
        """Add what is true of a whole table, though each of its rows would say so."""
        if problem not in self._told:
            self._told.add(problem)
            self.add(problem)

    def raise_if_any(self) -> None:
        """
        Raises:
            DataError: something was added.
        """
        if self.count:
            raise DataError(self.shown, self.count)


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One row: its cells by column, and where it stands.

    ``number`` counts the rows of its table from 1 (in JSON Lines, lines). ``is_uniform`` where
    every row of the table has the same columns. ``part`` is where in the row a nested one stands.
    """

    table: str
    place: str
    number: int
    values: Mapping[str, Any]
    problems: Problems
    is_uniform: bool = False
    part: str = ""

    def complain(self, problem: str) -> None:
        self.problems.add(f"{self.place}: {self.part}{problem}")

    def complain_of_columns(self, problem: str) -> None:
        if self.is_uniform:
            self.problems.add_once(f"{self.table}: {problem}")
        else:
            self.complain(problem)

    def with_values(self, values: Mapping[str, Any]) -> "Record":
        return replace(self, values=values)

    def text(self, name: str) -> str:
        """A text that must be there."""
        value = self.values.get(name)
        if not isinstance(value, str):
            self.complain(f"{name!r} is {kind_of(value)}; it must be a string")
        elif not value.strip():
            self.complain(f"{name!r} is empty")
        elif not is_unicode(value):
            self.complain(f"{name!r} holds half of a surrogate pair, which is not a character")
        else:
            return value
        return ""

    def name(self, name: str, default: str) -> str:
        """The name of something, ``default`` where none is given; a whole number is one too."""
        value = self.values.get(name)
        if value is None:
            return default
        return str(value) if is_whole(value) else self.text(name)

    def flag(self, name: str) -> bool:
        """True or false, as a word or as 0 and 1 too; false where it is not given."""
        value = self.values.get(name)
        found = False if value is None else truth_of(value)
        if found is None:
            self.complain(f"{name!r} is {kind_of(value)}; it must be true or false")
        return found is True

    def items(self, name: str) -> tuple[str, ...]:
        """Texts that must be a list, in JSON too where the cell is a string."""
        value = self.values.get(name)
        if isinstance(value, str) and (parsed := json_list(value)) is not None:
            value = parsed
        if not isinstance(value, list):
            self.complain(f"{name!r} is {kind_of(value)}; it must be a list of strings")
            return ()
        if not value:
            self.complain(f"{name!r} has no item")
        return self._texts(name, value)

    def labels(self, name: str = "labels") -> tuple[str, ...]:
        """Labels, sorted: a list, a list in JSON, one label, or several between ``|`` or ``;``."""
        value = self.values.get(name)
        if isinstance(value, str):
            value = split_labels(value)
            if value is None:
                self.complain(f"{name!r} begins with [ and is not a list in JSON")
                return ()
        elif is_whole(value):
            value = [value]
        if not isinstance(value, list):
            self.complain(f"{name!r} is {kind_of(value)}; it must be a label or a list of them")
            return ()
        found = self._texts(name, [str(item) if is_whole(item) else item for item in value])
        if len(set(found)) < len(found):
            self.complain(f"{name!r} names a label twice")
        return tuple(sorted(set(found)))

    def indicators(self, columns: tuple[str, ...]) -> list[str]:
        """The columns of 0 and 1 that hold 1: their names are the labels."""
        found = []
        for column in columns:
            is_given = truth_of(self.values.get(column))
            if is_given:
                found.append(column)
            elif is_given is None:
                kind = kind_of(self.values.get(column))
                self.complain(f"{column!r} is {kind}; it must be 0 or 1")
        return found

    def rows(self, name: str) -> Iterator["Record"]:
        """The objects of a list."""
        value = self.values.get(name)
        if not isinstance(value, list):
            self.complain(f"{name!r} is {kind_of(value)}; it must be a list of objects")
            return
        for position, item in enumerate(value):
            part = f"item {position} of {name!r}"
            if isinstance(item, dict):
                yield replace(self, values=item, part=f"{part}: ")
            else:
                self.complain(f"{part} is {kind_of(item)}, not an object")

    def scalars(self, without: frozenset[str]) -> dict[str, str]:
        """The other cells as text; lists, objects and empty ones are left out."""
        found: dict[str, str] = {}
        for name, value in self.values.items():
            if name in without or value is None or isinstance(value, list | dict | bytes):
                continue
            text = str(value).lower() if isinstance(value, bool) else str(value).strip()
            if not is_unicode(text):
                self.complain(f"{name!r} holds half of a surrogate pair, which is not a character")
            elif text:
                found[name] = text
        return found

    def _texts(self, name: str, value: list[Any]) -> tuple[str, ...]:
        for position, item in enumerate(value):
            if not isinstance(item, str) or not item.strip() or not is_unicode(item):
                found = kind_of(item) if not isinstance(item, str) else "empty or not Unicode"
                self.complain(f"item {position} of {name!r} is {found}; it must be a string")
                return ()
        return tuple(value)


def split_labels(cell: str) -> list[Any] | None:
    """The labels of a cell that is a string; an empty one has none. None for a broken list."""
    if cell.lstrip().startswith("["):
        return json_list(cell)
    return [part.strip() for part in re.split(r"[|;]", cell) if part.strip()]


def json_list(cell: str) -> list[Any] | None:
    if not cell.lstrip().startswith("["):
        return None
    try:
        found = json.loads(cell)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, list) else None


def truth_of(value: object) -> bool | None:
    """What a cell of 0 and 1 says, in any of the ways in which tables write it."""
    word = str(value).strip().lower()
    if word in ("1", "1.0", "true"):
        return True
    return False if word in ("0", "0.0", "false") else None


def is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def is_unicode(text: str) -> bool:
    return text.isascii() or not any("\ud800" <= character <= "\udfff" for character in text)


def kind_of(value: object) -> str:
    """What a value is, in the words of JSON."""
    if value is None:
        return "missing or null"
    kinds = {bool: "a boolean", int: "a number", float: "a number", str: "a string", list: "a list"}
    return kinds.get(type(value), "an object")
