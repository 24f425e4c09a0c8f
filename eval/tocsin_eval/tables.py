"""Any table -> its rows, each with its place: JSON Lines, CSV, TSV, Parquet, a ``datasets`` id.

A file's kind is told by its suffix, also before ``.gz`` or ``.zst``; without one it is JSON Lines.
What is no file and looks like ``org/name[:config][@revision][#split]`` is a data set of the Hub, or
of a local directory in the place of ``org/name``. The only file that imports ``datasets``.
"""

import hashlib
import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from tocsin_eval.cells import Problems, Record
from tocsin_eval.formats import (
    class_names,
    name_classes,
    parquet_rows,
    read_csv,
    read_json_lines,
    records,
)
from tocsin_eval.streams import COMPRESSED, split_name, unreadable
from tocsin_models.errors import DataError

Source: TypeAlias = str | Path

LINES = ("", ".jsonl", ".ndjson", ".json")
SUFFIXES = (*LINES[1:], ".csv", ".tsv", ".parquet")

_DATASET = re.compile(
    r"(?P<name>[^:@#]+)(?::(?P<config>[^@#]+))?(?:@(?P<revision>[^#]+))?(?:#(?P<split>.+))?"
)
_HUB_NAME = re.compile(r"\w[\w.-]*/\w[\w.-]*")
_FILES = (*SUFFIXES, *COMPRESSED, ".arrow", ".txt", ".xls", ".xlsx", ".xml", ".zip")


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetId:
    """A data set of the Hub, or a directory that ``datasets`` reads. ``split`` as it was asked."""

    name: str
    config: str | None
    revision: str | None
    split: str | None


def locate(source: Source) -> Path | DatasetId:
    """What a source names: a file, whether or not it is there, or a data set.

    A name that ends like a file, or whose folder is there, is a file that is missing: a typing
    error is no reason to open a connection.
    """
    path = Path(source)
    found = _DATASET.fullmatch(str(source))
    try:
        if found is None or (path.exists() and not path.is_dir()):
            return path
        place = Path(found["name"])
        is_hub_name = (
            _HUB_NAME.fullmatch(found["name"])
            and not found["name"].endswith(_FILES)
            and not place.parent.is_dir()
        )
        return DatasetId(**found.groupdict()) if place.is_dir() or is_hub_name else path
    except OSError:  # a folder on the way may not be looked into
        return path


def is_file(source: Source) -> bool:
    return isinstance(locate(source), Path)


def source_name(source: Source) -> str:
    """How a source is called in a table: a file by its name, a data set by its id."""
    found = locate(source)
    return found.name if isinstance(found, Path) else str(source)


def source_stem(source: Source) -> str:
    """What rows without an id are called by: ``desk`` for desk.csv, ``name-split`` for a set."""
    found = locate(source)
    if isinstance(found, Path):
        return split_name(found)[0]
    return f"{Path(found.name).name}-{found.split or 'train'}"


def source_sha256(source: Source) -> str:
    """SHA-256 of a file's bytes, or of a data set's rows as JSON, one a line.

    Raises:
        DataError: it cannot be read.
    """
    digest = hashlib.sha256()
    update_digest(digest, source)
    return digest.hexdigest()


def update_digest(digest: Any, source: Source) -> None:
    """Hash a source as ``source_sha256`` does, behind what was hashed before."""
    found = locate(source)
    if isinstance(found, DatasetId):
        for _, row in _dataset_rows(str(source), found):
            digest.update(json.dumps(row, sort_keys=True, default=str).encode() + b"\n")
        return
    try:
        with found.open("rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
    except OSError as error:
        raise unreadable(found, error) from None


def read_table(source: Source, problems: Problems) -> Iterator[Record]:
    """The rows of a source, in order. What cannot be read is added to ``problems``, and reading
    goes on where it can."""
    found = locate(source)
    try:
        if isinstance(found, DatasetId):
            yield from records(str(source), _dataset_rows(str(source), found), problems)
            return
        _, suffix = split_name(found)
        if suffix in LINES:
            yield from read_json_lines(found, problems)
        elif suffix in (".csv", ".tsv"):
            yield from read_csv(found, "\t" if suffix == ".tsv" else None, problems)
        elif suffix == ".parquet":
            yield from records(str(found), parquet_rows(found), problems)
        else:
            raise DataError(f"{found}: ends in {suffix!r}; read are {', '.join(SUFFIXES)}")
    except DataError as error:
        problems.add(str(error))


def _dataset_rows(source: str, found: DatasetId) -> Iterator[tuple[int, dict[str, Any]]]:
    try:
        rows = _open_dataset(found)
        names = class_names(rows.features.to_dict()) if rows.features else {}
        for number, row in enumerate(rows, start=1):
            yield number, name_classes(row, names)
    except DataError as error:
        raise DataError(f"{source}: {error}") from None
    # datasets and the libraries below it have no common root; none of theirs is ours to trace.
    except Exception as error:
        # Errors of reading may quote a row; a plain ValueError is of the split or the config.
        said = f": {' '.join(str(error).split())[:200]}" if type(error) is ValueError else ""
        raise DataError(
            f"{source}: cannot be loaded by datasets ({type(error).__name__}{said}); give a file, "
            "a directory, or an id that can be reached (org/name:config@revision#split)"
        ) from None


def _open_dataset(found: DatasetId) -> Any:
    """A ``Dataset`` or ``IterableDataset``. Local ones are streamed: no copy is left in a cache."""
    # Read when huggingface_hub is imported; it reports each request's environment otherwise.
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    try:
        import datasets
    except ImportError:
        raise DataError("needs the package datasets: pip install 'tocsin[eval]'") from None
    datasets.config.HF_UPDATE_DOWNLOAD_COUNTS = False
    datasets.disable_progress_bars()
    datasets.logging.set_verbosity_error()
    directory = Path(found.name)
    is_local = directory.is_dir()
    if is_local and (directory / "state.json").is_file():
        if found.split is not None:
            raise DataError("holds one data set without splits; leave #split out")
        return datasets.load_from_disk(found.name)
    if is_local and (directory / "dataset_dict.json").is_file():
        splits = datasets.load_from_disk(found.name)
    else:
        wanted = None if is_local else found.split or "train"
        splits = datasets.load_dataset(
            found.name, found.config, split=wanted, revision=found.revision, streaming=is_local
        )
        if not is_local:
            return splits
    split = found.split or "train"
    if split not in splits:
        raise DataError(f"has no split {split!r}; it has {', '.join(splits)}: add #split")
    return splits[split]
