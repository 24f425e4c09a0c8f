"""A record as one line of JSON."""

import json
from collections.abc import Mapping
from typing import Any


def format_line(record: Mapping[str, Any]) -> str:
    """A record as one line of JSON, without the line end. Raises ValueError for NaN."""
    line = json.dumps(record, ensure_ascii=False, allow_nan=False)
    try:
        line.encode("utf-8")
    except UnicodeEncodeError:
        # Half a surrogate pair, carried along from a JSON escape, is only writable as one again.
        return json.dumps(record, allow_nan=False)
    return line
