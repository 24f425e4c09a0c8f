"""What a run was asked to do, of which models and which input, and how it is cut into shards."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tocsin_serving.archive.asked import Asked
from tocsin_serving.archive.columns import Column
from tocsin_serving.archive.index import Index

SCHEMA = "tocsin-batch/1"

# A file that a spreadsheet still opens and that a query reads in parallel with others.
SHARD_ROWS = 10_000
SHARD_BYTES = 64_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """How a run went; ``read`` is always ``scored + rejected + filtered``."""

    scored: int = 0
    rejected: int = 0
    filtered: int = 0

    @property
    def read(self) -> int:
        return self.scored + self.rejected + self.filtered

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(
            scored=self.scored + other.scored,
            rejected=self.rejected + other.rejected,
            filtered=self.filtered + other.filtered,
        )

    def to_record(self) -> dict[str, int]:
        return {
            "read": self.read,
            "scored": self.scored,
            "rejected": self.rejected,
            "filtered": self.filtered,
        }

    @classmethod
    def from_record(cls, record: Mapping[str, int]) -> "Counts":
        return cls(**{name: value for name, value in record.items() if name != "read"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What decides how lines of results look as a file."""

    asked: Asked
    labels: tuple[str, ...]
    columns: tuple[Column, ...]
    models: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a run is: with the input it decides every byte of the results."""

    asked: Asked
    models: Mapping[str, Any]
    labels: tuple[str, ...]
    index: Index
    has_file: bool
    started: str

    @property
    def shape(self) -> Shape:
        return Shape(
            asked=self.asked, labels=self.labels, columns=self.index.columns, models=self.models
        )

    def shards(self) -> list[range]:
        """The numbers of the blocks of each shard."""
        shards, begin, rows, size_bytes = [], 0, 0, 0
        for span in self.index.spans:
            rows, size_bytes = rows + span.rows, size_bytes + span.size_bytes
            if rows >= SHARD_ROWS or size_bytes >= SHARD_BYTES:
                shards.append(range(begin, span.number + 1))
                begin, rows, size_bytes = span.number + 1, 0, 0
        if begin < len(self.index.spans):
            shards.append(range(begin, len(self.index.spans)))
        return shards

    def to_record(self) -> dict[str, Any]:
        return {
            "schema": SCHEMA,
            "asked": self.asked.to_record(),
            "models": self.models,
            "labels": list(self.labels),
            "has_file": self.has_file,
            "started": self.started,
            "index": self.index.to_record(),
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> "Plan":
        return cls(
            asked=Asked.from_record(record["asked"]),
            models=record["models"],
            labels=tuple(record["labels"]),
            index=Index.from_record(record["index"]),
            has_file=record["has_file"],
            started=record["started"],
        )
