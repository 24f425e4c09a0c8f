"""Rows of a data set by its ``datasets`` id. The only file of serving that imports ``datasets``.

Asking for ``datasets:org/name`` is asking for the Hub: nothing else here opens a connection. A
folder of data files (``datasets:./folder``) stays on this machine.
"""

import os
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from tocsin_models.errors import InputError
from tocsin_serving.archive.inputs import DATASET, Source
from tocsin_serving.archive.parquet import to_plain
from tocsin_serving.archive.rows import RawRow, to_raw

DEFAULT_SPLIT = "train"


def read_dataset(source: Source, start: int) -> Iterator[RawRow]:
    dataset = _load(source.name)
    for index in range(start, len(dataset)):
        values = {name: to_plain(value) for name, value in dataset[index].items()}
        yield RawRow(
            file=source.name, number=index + 1, start=index, raw=to_raw(values), values=values
        )


def read_dataset_names(source: Source) -> tuple[str, ...]:
    return tuple(_load(source.name).column_names)


def fingerprint(source: Source) -> str:
    """SHA-256 over all rows: what ``datasets`` calls a fingerprint depends on its version too."""
    import hashlib

    digest = hashlib.sha256()
    for row in read_dataset(source, 0):
        digest.update(row.raw)
        digest.update(b"\n")
    return digest.hexdigest()


@lru_cache(maxsize=4)
def _load(name: str) -> Any:
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    try:
        import datasets
    except ImportError:
        raise InputError(f"{name}: needs a package: pip install datasets") from None
    id, _, split = name.removeprefix(DATASET).partition("#")
    datasets.disable_progress_bars()
    try:
        # A picture or a sound would be decoded, which no text needs.
        return datasets.load_dataset(id, split=split or DEFAULT_SPLIT)
    except Exception as error:  # the library raises a dozen kinds
        raise InputError(
            f"{name}: cannot be loaded ({type(error).__name__}); give {DATASET}ORG/NAME or "
            f"{DATASET}ORG/NAME#SPLIT ({DEFAULT_SPLIT} without #)"
        ) from None
