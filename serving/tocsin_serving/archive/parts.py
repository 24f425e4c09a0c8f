"""The files of results: finished shards, in the format that was asked for."""

import json
from collections.abc import Iterator
from pathlib import Path

from tocsin_serving.archive.asked import Asked
from tocsin_serving.archive.plan import SCHEMA, Shape
from tocsin_serving.archive.whole import count_lines, making, write_whole


def part_name(shard: int, asked: Asked) -> str:
    """``part-00000.parquet`` and so on, in the order of the input."""
    return f"part-{shard:05}.{asked.format}"


def write_part(path: Path, lines: Iterator[bytes], shape: Shape) -> None:
    """Lines of the results as a file of the format that was asked for, whole or not at all."""
    if shape.asked.format == "jsonl":
        write_whole(path, lines)
        return
    from tocsin_serving.archive.parquet import write_parquet

    metadata = {"tocsin": json.dumps({"schema": SCHEMA, "models": shape.models})}
    with making(path) as scratch:
        write_parquet(
            scratch,
            (line.decode() for line in lines),
            shape.asked,
            shape.labels,
            shape.columns,
            metadata,
        )


def count_rows(part: Path, asked: Asked) -> int:
    """How many rows of results a shard on the disk holds."""
    if asked.format == "jsonl":
        return count_lines(part)
    from tocsin_serving.archive import parquet

    return parquet.count_rows(part)
