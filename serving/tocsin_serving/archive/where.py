"""``--where 'desk=foreign'``: which rows are wanted, by one column each."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

_FORM = re.compile(r"\s*(?P<column>.+?)\s*(?P<sign>!=|<=|>=|=|<|>)\s*(?P<value>.*?)\s*", re.DOTALL)
_SIGNS: dict[str, Callable[[Any, Any], bool]] = {
    "=": lambda found, wanted: found == wanted,
    "!=": lambda found, wanted: found != wanted,
    "<": lambda found, wanted: found < wanted,
    ">": lambda found, wanted: found > wanted,
    "<=": lambda found, wanted: found <= wanted,
    ">=": lambda found, wanted: found >= wanted,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """``column sign value``. Two numbers are compared as numbers, all else as text: ISO dates then
    sort as time does. A row without the column, or with null there, fulfils ``!=`` alone."""

    column: str
    sign: str
    value: str

    def holds(self, values: Mapping[str, Any]) -> bool:
        found = values.get(self.column)
        if found is None:
            return self.sign == "!="
        if isinstance(found, bool):
            found = str(found).lower()
        numbers = _number(found), _number(self.value)
        compare = _SIGNS[self.sign]
        if None not in numbers:
            return compare(*numbers)
        return compare(str(found), self.value)


def parse_condition(text: str) -> Condition:
    """
    Raises:
        ValueError: it has no sign, or no column before it.
    """
    match = _FORM.fullmatch(text)
    if not match:
        raise ValueError(
            f"{text!r} is not a condition; write COLUMN=VALUE, or !=, <, <=, >, >= for ="
        )
    return Condition(**match.groupdict())


def _number(value: Any) -> float | None:
    if isinstance(value, str) and not value.strip():
        return None
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return None
