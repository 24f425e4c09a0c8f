"""For whom a classifier is right: the same numbers on parts of the data, the worst parts first."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from tocsin_eval.bootstrap import (
    Array,
    Decisions,
    Interval,
    article_sums,
    interval,
    ratio,
    telling,
)
from tocsin_eval.bootstrap import resample_sums as resample
from tocsin_eval.classification import Predictions
from tocsin_eval.columns import list_names
from tocsin_eval.data import LabelledPassage
from tocsin_models.errors import ConfigError

# Intervals of parts are for orientation: a fifth of the resamples moves their ends by under 0.005.
RESAMPLES = 2_000
# A part with fewer passages is told but not ranked: its interval would span most of the scale.
LEAST_PASSAGES = 20
# More values than this and a column is an id or a date, not a part.
_MOST_VALUES = 30

# Columns that are parts by themselves where the data have them.
COLUMNS = ("genre", "region", "era")

_QUOTE = re.compile(r"[\"“”«»„]|(?<!\w)['‘](?=\w)")
# A form of "to be" and a participle within three words; irregular ones that war reporting uses.
_PASSIVE = re.compile(
    r"\b(?:is|are|was|were|be|been|being)\s+(?:\w+\s+){0,2}?"
    r"(?:\w+ed|hit|shot|struck|killed|held|taken|driven|sunk|blown|torn|cut|put|set|told|seen|"
    r"given|made|found|known|said|sent|brought|caught|burnt|lost|left|met|paid|sworn|thrown)\b",
    re.IGNORECASE,
)
_NEGATION = re.compile(
    r"\b(?:not|no|never|neither|nor|none|nobody|nothing|without|cannot|den(?:y|ies|ied|ying))\b"
    r"|n[’']t\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """A part of the passages: ``rows`` is true where a passage belongs to it, shape (rows,)."""

    group: str
    name: str
    rows: Decisions


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceResult:
    """What a classifier does on a part. ``micro_f1`` pools all decisions and is NaN where the part
    carries no label; ``wrong`` is how many decisions a passage are wrong."""

    group: str
    name: str
    passages: int
    articles: int
    labels: int
    micro_f1: Interval
    wrong: Interval


def built_in_slices(
    passages: Sequence[LabelledPassage], columns: Sequence[str] = ()
) -> list[Slice]:
    """Parts by what a passage is (length, quotation, passive, negation, position, kind), by its
    source, by ``COLUMNS`` where the data have them, and by further ``columns`` of the data.

    Raises:
        ConfigError: one of ``columns`` is neither a part by itself nor in any row.
    """
    groups: dict[str, Callable[[LabelledPassage], str]] = {
        "length": _length,
        "quotation": lambda passage: _has(_QUOTE, passage, "quotation"),
        "voice": lambda passage: "passive" if _PASSIVE.search(passage.text) else "active",
        "negation": lambda passage: _has(_NEGATION, passage, "negation"),
        "position": _Positions(passages),
        "kind": lambda passage: passage.kind,
        "source": lambda passage: passage.source,
    }
    there = {name for passage in passages for name in passage.columns}
    if unknown := [name for name in columns if name not in there and name not in groups]:
        known = list_names([*groups, *sorted(there)])
        raise ConfigError(
            "slices", [f"{name!r} is no column of the data; there are {known}" for name in unknown]
        )
    for column in (*COLUMNS, *columns):
        groups.setdefault(column, _column(column))
    found = []
    for group, name_of in groups.items():
        names = np.array([name_of(passage) for passage in passages])
        values = [name for name in np.unique(names) if name]
        if len(values) > 1 and (len(values) <= _MOST_VALUES or group in columns):
            found += [Slice(group=group, name=str(name), rows=names == name) for name in values]
    return found


def measure_slices(
    found: Predictions, slices: Sequence[Slice], *, seed: int, resamples: int = RESAMPLES
) -> list[SliceResult]:
    """The worst first, by micro-F1; parts that carry no label after them, by wrong decisions; parts
    of fewer than ``LEAST_PASSAGES`` passages last."""
    if not slices:
        return []
    hits = np.stack([found.truth & found.decided, found.truth, found.decided], axis=-1)
    wrong = (found.truth != found.decided).sum(axis=1)
    ones = np.ones(len(wrong))
    numbers = np.column_stack([hits.sum(axis=1), wrong, ones])
    sums = np.stack(
        [article_sums(numbers * part.rows[:, None], found.articles) for part in slices], axis=1
    )
    drawn = resample(sums, seed=seed, resamples=resamples)
    values, draws = _statistics(sums.sum(axis=0)), _statistics(drawn)
    articles = (sums[..., -1] > 0).sum(axis=0)
    results = [
        SliceResult(
            group=part.group,
            name=part.name,
            passages=int(part.rows.sum()),
            articles=int(count),
            labels=int(found.truth[part.rows].sum()),
            micro_f1=interval(float(values[0][index]), telling(draws[0][:, index], count)),
            wrong=interval(float(values[1][index]), telling(draws[1][:, index], count)),
        )
        for index, (part, count) in enumerate(zip(slices, articles, strict=True))
    ]
    return sorted(results, key=_badness)


def _badness(result: SliceResult) -> tuple[bool, bool, float]:
    has_labels = result.labels > 0
    rank = result.micro_f1.value if has_labels else -result.wrong.value
    return result.passages < LEAST_PASSAGES, not has_labels, rank


def _statistics(sums: Array) -> tuple[Array, Array]:
    """Micro-F1 and wrong decisions a passage from sums of shape (…, 5)."""
    hits, carried, given, wrong, rows = np.moveaxis(sums, -1, 0)
    f1 = ratio(2 * hits, carried + given)
    f1[carried == 0] = np.nan
    errors = ratio(wrong, rows)
    errors[rows == 0] = np.nan
    return f1, errors


def _length(passage: LabelledPassage) -> str:
    words = len(passage.text.split())
    return "under 15 words" if words < 15 else "15 to 40 words" if words <= 40 else "over 40 words"


def _has(pattern: re.Pattern[str], passage: LabelledPassage, name: str) -> str:
    return f"with {name}" if pattern.search(passage.text) else f"without {name}"


def _column(name: str) -> Callable[[LabelledPassage], str]:
    return lambda passage: passage.columns.get(name, "")


class _Positions:
    """Where in its article a passage stands, for articles of which more than one is known."""

    def __init__(self, passages: Sequence[LabelledPassage]) -> None:
        self._last: dict[str, int] = {}
        for passage in passages:
            if passage.position is not None:
                last = self._last.get(passage.article, 0)
                self._last[passage.article] = max(last, passage.position)

    def __call__(self, passage: LabelledPassage) -> str:
        last = self._last.get(passage.article, 0)
        if passage.position is None or not last:
            return ""
        if passage.kind == "headline":
            return "headline"
        share = passage.position / (last + 1)
        return "first third" if share < 1 / 3 else "second third" if share < 2 / 3 else "last third"
