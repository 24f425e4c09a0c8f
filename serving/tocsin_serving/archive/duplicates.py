"""Which ids come twice, among any number of rows, in memory that does not grow with them."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tocsin_models.errors import InputError

# Ids are spread over files by their hash; one file is looked at at a time. Ten million ids make
# files of 5 MB.
_BUCKETS = 64
_BUFFER_BYTES = 1 << 16
# 128 bits of the hash: no two ids of an archive will share them by chance.
_ENTRY = np.dtype([("high", "<u8"), ("low", "<u8"), ("order", "<u8"), ("number", "<u8")])

MAX_DUPLICATES = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Duplicate:
    """Row ``order`` (from 0, over the whole input) has the id of row ``first``, which is
    row ``first_number`` of its file."""

    order: int
    first: int
    first_number: int


class IdLedger:
    """Every id with its place, on disk in ``folder``, until it is known which come twice."""

    def __init__(self, folder: Path) -> None:
        self._paths = [folder / f"ids-{bucket:02}.tmp" for bucket in range(_BUCKETS)]
        self._buffers = [bytearray() for _ in self._paths]
        for path in self._paths:
            path.unlink(missing_ok=True)

    def add(self, id: str, order: int, number: int) -> None:
        digest = hashlib.blake2b(id.encode("utf-8", "surrogatepass"), digest_size=16).digest()
        bucket = digest[0] % _BUCKETS
        buffer = self._buffers[bucket]
        buffer += digest + order.to_bytes(8, "little") + number.to_bytes(8, "little")
        if len(buffer) >= _BUFFER_BYTES:
            self._flush(bucket)

    def duplicates(self) -> list[Duplicate]:
        """All but the first row of each id, in the order of the rows; the files are removed.

        Raises:
            InputError: they are so many that the column cannot be an id.
        """
        found: list[Duplicate] = []
        for bucket, path in enumerate(self._paths):
            if path.exists():
                self._flush(bucket)
            entries = np.frombuffer(
                path.read_bytes() if path.exists() else bytes(self._buffers[bucket]), _ENTRY
            )
            path.unlink(missing_ok=True)
            entries = entries[np.lexsort((entries["order"], entries["low"], entries["high"]))]
            same = (entries["high"][1:] == entries["high"][:-1]) & (
                entries["low"][1:] == entries["low"][:-1]
            )
            first = 0
            for index in (np.flatnonzero(same) + 1).tolist():
                if not same[index - 2] or index == 1:
                    first = index - 1
                found.append(
                    Duplicate(
                        order=int(entries["order"][index]),
                        first=int(entries["order"][first]),
                        first_number=int(entries["number"][first]),
                    )
                )
            if len(found) > MAX_DUPLICATES:
                raise InputError(
                    f"over {MAX_DUPLICATES:,} rows have an id that another row has; name the "
                    "column that tells rows apart with --id-column"
                )
        return sorted(found, key=lambda duplicate: duplicate.order)

    def _flush(self, bucket: int) -> None:
        with self._paths[bucket].open("ab") as handle:
            handle.write(self._buffers[bucket])
        self._buffers[bucket].clear()
