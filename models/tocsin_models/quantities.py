"""Numbers and dates of a text, in the forms in which "5,000" is "five thousand" and "Feb. 29" is
"29 February". They are read from folded text: one kind of dash and of apostrophe."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import TypeAlias


@dataclass(frozen=True, slots=True, kw_only=True)
class Number:
    """Some digits or words; ``keys`` are the values it may stand for. Uncertain ones are words that
    are more often something else: "one of them", "at first"."""

    start: int
    end: int
    keys: tuple[str, ...]
    is_certain: bool = True


_UNITS = re.findall(
    r"\w+",
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen "
    "fifteen sixteen seventeen eighteen nineteen",
)
_TENS = re.findall(r"\w+", "twenty thirty forty fifty sixty seventy eighty ninety")
_SCALES = {
    "hundred": 100,
    "thousand": 1_000,
    "million": 10**6,
    "billion": 10**9,
    "trillion": 10**12,
}
_SMALL = (
    {word: value for value, word in enumerate(_UNITS)}
    | {word: 10 * value for value, word in enumerate(_TENS, start=2)}
    | {"dozen": 12}
)
_IRREGULAR = {
    "first": 1, "second": 2, "third": 3, "fifth": 5, "eighth": 8, "ninth": 9, "twelfth": 12,
}  # fmt: skip
_ORDINALS = (
    {re.sub("y$", "ie", word) + "th": value for word, value in _SMALL.items() if value > 2}
    | {word + "th": value for word, value in _SCALES.items()}
    | _IRREGULAR
)
# "World War II"; the I is more often a person.
ROMAN = {"ii": "2", "iii": "3", "iv": "4"}
# What an article may say for a small number.
COUNTS = {
    "a": "1", "an": "1", "single": "1", "both": "2", "couple": "2", "pair": "2", "twin": "2",
    "twins": "2", "double": "2", "twice": "2", "duo": "2", "trio": "3", "triple": "3",
    "quartet": "4", "no": "0", "none": "0", "nil": "0", "second": "2",
} | ROMAN  # fmt: skip
_SHORT_SCALES = {
    "k": 10**3, "m": 10**6, "mn": 10**6, "mln": 10**6, "bn": 10**9, "tn": 10**12, "trn": 10**12,
}  # fmt: skip

_DIGITS = re.compile(
    r"(?P<digits>\d{1,3}(?:,\d{2,3})+(?:\.\d+)?|\d{1,3}(?:[\u00a0\u202f\u2009]\d{3})+|\d+(?:\.\d+)?)"
    rf"(?:(?P<ordinal>st|nd|rd|th)\b|[\s-]*(?P<scale>{'|'.join(_SCALES)})s?\b"
    rf"|\s?(?P<short>{'|'.join(_SHORT_SCALES)})\b)?",
    re.IGNORECASE,
)
# "11.30" may be a time, or eleven and three tenths.
_CLOCK = re.compile(
    r"(?<![\d.:,])(?P<hour>[01]?\d|2[0-3])(?P<mark>[:.])(?P<minute>[0-5]\d)(?![\d:]|[.,]\d|\s*%)"
    r"(?!\s?(?:hundred|thousand|million|billion|trillion|k|m|mn|mln|bn|tn|trn)\b)"
    r"(?:\s?(?P<half>[ap])\.?m\b)?",
    re.IGNORECASE,
)
_HOUR = re.compile(r"(?<![\d.:,])(?P<hour>0?[1-9]|1[0-2])\s?(?P<half>[ap])\.?m\b", re.IGNORECASE)
_ONE_WORD = "|".join(sorted({*_SMALL, *_SCALES, *_ORDINALS}, key=lambda word: (-len(word), word)))
_WORDS = re.compile(
    rf"\b(?:{_ONE_WORD})\b(?:(?:\s+and\s+|\s*-\s*|\s+)(?:{_ONE_WORD})\b)*", re.IGNORECASE
)
# "two and a half million", "half a million"
_HALVES = re.compile(
    rf"\b(?:(?<![.,])(?P<digits>\d{{1,3}})|(?P<word>{'|'.join(_SMALL)}))[\s-]+and[\s-]+a[\s-]+half"
    rf"(?:[\s-]+(?P<scale>{'|'.join(_SCALES)}))?\b"
    rf"|\bhalf[\s-]+(?:an?[\s-]+)?(?P<halved>{'|'.join(_SCALES)})\b",
    re.IGNORECASE,
)


def read_numbers(text: str) -> Iterator[Number]:
    """Every number of a text, in digits or in words. A time of day comes before its two parts, and
    what is counted in halves before the whole in it."""
    ends = set()
    for found in _HALVES.finditer(text):
        yield Number(start=found.start(), end=found.end(), keys=(_halves_key(found),))
    for found in _HOUR.finditer(text):
        yield Number(start=found.start(), end=found.end(), keys=_hour_keys(found))
    for found in _CLOCK.finditer(text):
        yield Number(start=found.start(), end=found.end(), keys=_clock_keys(found))
    for found in _DIGITS.finditer(text):
        ends.add(found.end())
        yield Number(start=found.start(), end=found.end(), keys=_digit_keys(found))
    for found in _WORDS.finditer(text):
        # "5 million" was read with its digits.
        if found.end() not in ends:
            yield from _word_numbers(found)


def _digit_keys(found: re.Match[str]) -> tuple[str, ...]:
    digits = re.sub(r"[^\d.]", "", found["digits"])
    # What is longer is no quantity; arithmetic on it would be slow or rounded.
    if len(digits) > 24:
        return (digits,)
    value = Decimal(digits)
    scale = (found["scale"] or "").lower()
    short = (found["short"] or "").lower()
    if found["ordinal"]:
        return (f"#{_plain(value)}", _plain(value))
    if scale:
        return (_plain(value * _SCALES[scale]),)
    if short:
        # "5m" is five million, or five metres.
        return (_plain(value * _SHORT_SCALES[short]), _plain(value))
    return (_plain(value),)


def _halves_key(found: re.Match[str]) -> str:
    if found["halved"]:
        return str(_SCALES[found["halved"].lower()] // 2)
    whole = int(found["digits"] or _SMALL[found["word"].lower()])
    scale = _SCALES[found["scale"].lower()] if found["scale"] else 1
    return _plain((whole + Decimal("0.5")) * scale)


def _hour_keys(found: re.Match[str]) -> tuple[str, ...]:
    """ "7pm" is 19:00, and the 7:00 of an article that leaves it at that."""
    hour = int(found["hour"])
    whole_day = hour % 12 + (12 if found["half"].lower() == "p" else 0)
    return (str(hour), f"{hour}:00", f"{whole_day}:00")


def _clock_keys(found: re.Match[str]) -> tuple[str, ...]:
    hour, minute = int(found["hour"]), found["minute"]
    keys = [f"{hour}:{minute}"]
    if (found["half"] or "").lower() == "p" and hour < 12:
        keys.append(f"{hour + 12}:{minute}")
    if minute == "00":
        keys.append(str(hour))
    if found["mark"] == ".":
        keys.append(_plain(Decimal(f"{hour}.{minute}")))
    return tuple(keys)


def _plain(value: Decimal) -> str:
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _word_numbers(found: re.Match[str]) -> Iterator[Number]:
    """The numbers of a run of number words: "twenty-five", "one hundred and six"; "two or three"
    and "six seven" are two each."""
    total = current = 0
    first: int | None = None
    last = found.start()
    previous = ""

    def number(end: int, ordinal: bool = False) -> Number:
        value = str(total + current)
        return Number(
            start=first if first is not None else found.start(),
            end=end,
            keys=(f"#{value}",) if ordinal else (value,),
            is_certain=total + current > (2 if ordinal else 1),
        )

    for word in re.finditer(r"[a-z]+", found.group(), re.IGNORECASE):
        spoken = word.group().lower()
        start, end = found.start() + word.start(), found.start() + word.end()
        if spoken == "and":
            continue
        is_ordinal = spoken in _ORDINALS
        value = _ORDINALS.get(spoken, _SMALL.get(spoken, _SCALES.get(spoken, 0)))
        is_scale = value in _SCALES.values() or (value == 12 and spoken == "dozen")
        fits = first is None or is_scale or _may_follow(previous, value)
        if not fits:
            yield number(last)
            total = current = 0
            first = None
        first = start if first is None else first
        if is_scale and value > 100:
            total, current = total + max(current, 1) * value, 0
        elif is_scale:
            current = max(current, 1) * value
        else:
            current += value
        last, previous = end, spoken
        if is_ordinal:
            yield number(end, ordinal=True)
            total = current = 0
            first = None
    if first is not None:
        yield number(last)


def _may_follow(previous: str, value: int) -> bool:
    """Whether a word for ``value`` goes on with the number that ``previous`` is part of."""
    return previous in _SCALES or (previous in _TENS and 0 < value < 10)


# ("day", day, month), ("month", month), ("year", year), ("weekday", 0 to 6)
DateKey: TypeAlias = tuple[str, int] | tuple[str, int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Date:
    """``readings`` are what it may mean: 3/4 is two. Each is a set of keys that must all be known.
    ``known`` is all that an article with this date says."""

    start: int
    end: int
    readings: tuple[frozenset[DateKey], ...]

    @property
    def known(self) -> frozenset[DateKey]:
        return frozenset(key for reading in self.readings for key in reading)


_MONTH_NAMES = re.findall(
    r"\w+",
    "january february march april may june july august september october november december",
)
_WEEKDAY_NAMES = re.findall(r"\w+", "monday tuesday wednesday thursday friday saturday sunday")
_MONTHS = {name: number for number, name in enumerate(_MONTH_NAMES, start=1)}
_SHORT_MONTHS = {name[:3]: number for name, number in _MONTHS.items()} | {"sept": 9}
_WEEKDAYS = {name: number for number, name in enumerate(_WEEKDAY_NAMES)}
_SHORT_WEEKDAYS = {name[:3]: number for name, number in _WEEKDAYS.items()} | {
    "tues": 1, "wedn": 2, "thur": 3, "thurs": 3,
}  # fmt: skip
# Words that are something else as often, unless the capital or a day beside them tells.
_AMBIGUOUS = {"may", "march"}

_MONTH = rf"(?:{'|'.join(_MONTH_NAMES)}|(?:{'|'.join([*_SHORT_MONTHS])})\b\.?)"
_DAY = r"(?P<day>\d{1,2})(?:st|nd|rd|th)?"
_YEAR = r"(?:,?\s+(?P<year>1[5-9]\d\d|20\d\d)\b(?![,.]?\d))?"
_DATE_FORMS = [
    re.compile(rf"(?<![\d.,$£€]){_DAY}(?:\s+of)?[\s-]+(?P<month>{_MONTH})\b{_YEAR}", re.I),
    re.compile(rf"\b(?P<month>{_MONTH})[\s-]+(?:the\s+)?{_DAY}\b(?![,.]?\d|\s*%){_YEAR}", re.I),
    re.compile(rf"\b(?P<month>{_MONTH}),?(?:\s+of)?\s+(?P<year>1[5-9]\d\d|20\d\d)\b", re.I),
]
# "May 5-7", "5, 6 and 7 May"
_A_DAY = r"\d{1,2}(?:st|nd|rd|th)?"
_DAYS = rf"(?P<days>{_A_DAY}(?:,\s*{_A_DAY}){{0,8}}(?:\s*-\s*|,?\s+(?:and|or|to)\s+){_A_DAY})"
_DAYS_FORMS = [
    re.compile(rf"(?<![\d.,$£€]){_DAYS}(?:\s+of)?\s+(?P<month>{_MONTH})\b", re.I),
    re.compile(rf"\b(?P<month>{_MONTH})\s+{_DAYS}\b(?![,.]?\d|\s*%)", re.I),
]
_NINE_ELEVEN = re.compile(r"(?<![\d/])9/11(?![\d/])")
_NUMERIC_DATE = re.compile(
    r"(?<![\d/.-])(?:(?P<year>\d{4})-(?P<month>\d{1,2})-(?P<day>\d{1,2})"
    r"|(?P<one>\d{1,2})[/.](?P<other>\d{1,2})[/.](?P<late>\d{4}|\d{2}))(?![\d/-])"
)
_DATE_WORD = re.compile(r"\b[^\W\d_]{3,9}\b\.?")
_YEAR_ALONE = re.compile(
    rf"(?<![\w.,$£€/:+-])(?:1[5-9]\d\d|20\d\d)(?![\w/:%]|[.,]\d|[\s-]*(?:{'|'.join(_SCALES)})\b)"
)
_DECADE = re.compile(r"(?<![\w$£€'])(?P<decade>1[5-9]\d0|20\d0)'?s\b")


def read_dates(text: str, *, generous: bool) -> list[Date]:
    """Dates, months, weekdays and years, not overlapping, in the order of the text.

    ``generous`` reads all that may be a date (the article may mean it); otherwise only what surely
    is one.
    """
    found: list[Date] = []
    taken = bytearray(len(text))

    def add(start: int, end: int, *readings: Iterable[DateKey]) -> None:
        if not any(taken[start:end]):
            taken[start:end] = b"\x01" * (end - start)
            found.append(Date(start=start, end=end, readings=tuple(map(frozenset, readings))))

    for date in _NUMERIC_DATE.finditer(text):
        if date["year"]:
            pairs, years = [(int(date["day"]), int(date["month"]))], [int(date["year"])]
        else:
            one, other, late = int(date["one"]), int(date["other"]), date["late"]
            pairs, years = [(one, other), (other, one)], [int(late)] if len(late) == 4 else []
        readings: list[list[DateKey]] = [
            [("day", day, month), ("month", month), *(("year", year) for year in years)]
            for day, month in pairs
            if 1 <= month <= 12 and 1 <= day <= 31
        ]
        if readings:
            add(*date.span(), *readings)
    for date in _NINE_ELEVEN.finditer(text):
        add(*date.span(), [("day", 11, 9)])
    for form in _DAYS_FORMS if generous else ():
        for date in form.finditer(text):
            month = _month_number(date["month"])
            days = [day for day in _days_of(date["days"]) if 1 <= day <= 31]
            add(*date.span(), [("month", month), *(("day", day, month) for day in days)])
    for form in _DATE_FORMS:
        for date in form.finditer(text):
            fields = date.groupdict()
            month = _month_number(fields["month"])
            keys: list[DateKey] = [("month", month)]
            if day := fields.get("day"):
                if not 1 <= int(day) <= 31:
                    continue
                keys.append(("day", int(day), month))
            if year := fields.get("year"):
                keys.append(("year", int(year)))
            add(*date.span(), keys)
    is_lower = text.islower()
    for word in _DATE_WORD.finditer(text):
        key = _date_word(word.group(), generous=generous, is_lower=is_lower)
        if key and (generous or word.start() or word.group().lower() not in _AMBIGUOUS):
            add(word.start(), word.start() + len(word.group().rstrip(".")), [key])
    for date in _DECADE.finditer(text):
        add(*date.span(), [("year", int(date["decade"]))])
    for date in _YEAR_ALONE.finditer(text):
        add(*date.span(), [("year", int(date.group()))])
    return found


def _days_of(text: str) -> Iterator[int]:
    """Each day of "5-7" (three of them) or of "5, 6 and 7"."""
    previous = None
    for found in re.finditer(r"(?P<range>-|\bto\b)?\s*(?P<day>\d+)", text):
        day = int(found["day"])
        yield from range(previous + 1 if found["range"] and previous else day, day + 1)
        previous = day


def _month_number(name: str) -> int:
    plain = name.rstrip(".").lower()
    return _MONTHS.get(plain) or _SHORT_MONTHS[plain]


def _date_word(word: str, *, generous: bool, is_lower: bool) -> DateKey | None:
    """The month or weekday that a word alone stands for."""
    plain = word.rstrip(".").lower()
    is_capitalised = word[0].isupper()
    is_short_certain = is_capitalised and (generous or word.endswith("."))
    plural = plain.removesuffix("s")
    if plain in _WEEKDAYS or plural in _WEEKDAYS:
        return ("weekday", _WEEKDAYS.get(plain, _WEEKDAYS.get(plural, 0)))
    if plain in _MONTHS:
        is_told = is_capitalised or (plain not in _AMBIGUOUS and is_lower)
        return ("month", _MONTHS[plain]) if is_told or (generous and is_lower) else None
    if is_short_certain and plain in _SHORT_MONTHS and plain != "may":
        return ("month", _SHORT_MONTHS[plain])
    if is_short_certain and plain in _SHORT_WEEKDAYS and (generous or plain not in ("sun", "sat")):
        return ("weekday", _SHORT_WEEKDAYS[plain])
    return None
