"""What is asked of every row; two runs may share a folder only if they ask the same."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, TypeAlias

from tocsin_models.errors import ConfigError
from tocsin_models.protocols import Style
from tocsin_models.styles import unknown_style
from tocsin_serving.archive.where import Condition, parse_condition

Unit: TypeAlias = Literal["article", "passage"]
Only: TypeAlias = Literal["classify", "summarise"]
Format: TypeAlias = Literal["parquet", "jsonl"]

# An input column of one of these names is carried along as input_<name>. All names of the record
# and of the flat columns of Parquet are taken, whether a row has them or not and whatever the
# format, so that a column has one name in every file of every run.
RECORD_NAMES = {
    "article": (
        *("schema", "id", "language", "warnings", "text", "passages", "dropped", "labels"),
        *("summary", "summary_text", "reason", "model"),
    ),
    "passage": ("id", "labels", "scores", "windows"),
    "summarise": ("id", "text", "summary", "summary_text", "model"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Everything that decides what comes out, but the input and the models.

    ``only`` None means labels and summary. ``id_column`` None takes a column ``id`` if there is
    one. A row is scored if every condition of ``where`` holds; ``limit`` counts rows read.
    """

    unit: Unit = "article"
    only: Only | None = None
    text_column: str = "text"
    id_column: str | None = None
    thresholds: Mapping[str, float] = field(default_factory=dict)
    max_sentences: int | None = None
    max_words: int | None = None
    style: Style | None = None
    focus: tuple[str, ...] = ()
    strict_language: bool = False
    where: tuple[str, ...] = ()
    limit: int | None = None
    format: Format = "parquet"

    def check(self, has_model: bool = False, has_summariser: bool = False) -> None:
        """Refuse options that are wrong or would have no effect, all at once; the two arguments
        say whether a classifier and a summariser directory were named.

        Raises:
            ConfigError: with a line for every such option.
        """
        problems = []
        if self.unit == "passage" and self.only == "summarise":
            problems.append("--only summarise: a passage has no summary; use --unit article")
        if self.unit == "passage" and self.strict_language:
            problems.append("--strict-language: a passage is too short to tell; use --unit article")
        for name in ("max_sentences", "max_words", "style", "focus"):
            if getattr(self, name) not in (None, ()) and not self.needs_summariser:
                problems.append(f"{_option(name)}: nothing is summarised here; leave it out")
        if self.style is not None and (problem := unknown_style(self.style)):
            problems.append(f"--style: {problem}")
        if self.focus and not self.needs_classifier:
            problems.append("--focus: nothing is labelled here; leave --only summarise out")
        if self.thresholds and not self.needs_classifier:
            problems.append("--threshold: nothing is labelled here; leave it out")
        if has_summariser and not self.needs_summariser:
            problems.append("--summariser: nothing is summarised here; leave it out")
        if has_model and not self.needs_classifier:
            problems.append("--model: nothing is labelled here; leave it out")
        for text in self.where:
            try:
                parse_condition(text)
            except ValueError as error:
                problems.append(f"--where: {error}")
        if problems:
            raise ConfigError("tocsin score", problems)

    @property
    def needs_classifier(self) -> bool:
        return self.only != "summarise"

    @property
    def needs_summariser(self) -> bool:
        return self.unit == "article" and self.only != "classify"

    @property
    def kind(self) -> str:
        """Which record a row is answered with: a key of ``RECORD_NAMES``."""
        return "summarise" if self.only == "summarise" else self.unit

    @property
    def conditions(self) -> tuple[Condition, ...]:
        return tuple(parse_condition(text) for text in self.where)

    def to_record(self) -> dict[str, Any]:
        record = asdict(self) | {"thresholds": dict(self.thresholds), "where": list(self.where)}
        # Left out where there is none, so that a run begun by an older version goes on.
        focus = record.pop("focus")
        return record | ({"focus": list(focus)} if focus else {})

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> "Asked":
        focus = tuple(record.get("focus", ()))
        return cls(**{**record, "where": tuple(record["where"]), "focus": focus})


def parse_thresholds(words: Sequence[str]) -> dict[str, float]:
    """``label=0.4`` words as a mapping.

    Raises:
        ConfigError: a word is not of that form, or its number is outside 0 to 1.
    """
    problems, thresholds = [], {}
    for word in words:
        label, _, number = word.rpartition("=")
        try:
            value = float(number)
        except ValueError:
            value = -1.0
        if not label or not 0 <= value <= 1:
            problems.append(f"--threshold: {word!r} is not label=NUMBER, with a number from 0 to 1")
        elif label in thresholds:
            problems.append(f"--threshold: {label!r} is given twice; give it once")
        thresholds[label] = value
    if problems:
        raise ConfigError("tocsin score", problems)
    return thresholds


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """How two records of ``Asked`` differ, an option a line, in words."""
    return [
        f"{_option(name)}: {_show(before.get(name))} then, {_show(now.get(name))} now"
        for name in {**before, **now}
        if before.get(name) != now.get(name)
    ]


def _option(name: str) -> str:
    return {"thresholds": "--threshold"}.get(name, "--" + name.replace("_", "-"))


def _show(value: Any) -> str:
    if value is None or value == [] or value == {}:
        return "not given"
    if isinstance(value, bool):
        return "given" if value else "not given"
    if isinstance(value, Mapping):
        return " ".join(f"{name}={number}" for name, number in sorted(value.items()))
    return " and ".join(map(repr, value)) if isinstance(value, list) else str(value)
