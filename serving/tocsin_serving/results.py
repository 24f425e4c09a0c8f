"""Where a run over an archive is written: whole under its final name, or not at all."""

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TextIO

from tocsin_models.errors import InputError

PART = "part-00000.jsonl"
REJECTS = "rejects.jsonl"


def format_line(record: Mapping[str, Any]) -> str:
    """A record as one line of JSON, without the line end. Raises ValueError for NaN."""
    line = json.dumps(record, ensure_ascii=False, allow_nan=False)
    try:
        line.encode("utf-8")
    except UnicodeEncodeError:
        # Half a surrogate pair, carried along from a JSON escape, is only writable as one again.
        return json.dumps(record, allow_nan=False)
    return line


class Results:
    """The files of a run, as a context: kept when the block ends, removed when it fails.

    ``folder`` gets ``part-00000.jsonl``, and ``rejects.jsonl`` once a row is rejected. ``file``
    gets the same rows as the part, and is replaced if it exists; without a folder its rejects go
    to ``<file>.rejects.jsonl``.
    """

    def __init__(self, folder: Path | None, file: Path | None) -> None:
        parts = [folder / PART] if folder else []
        self.rejects = folder / REJECTS if folder else Path(f"{file}.rejects.jsonl")
        self._targets = [*parts, *([file] if file else [])]
        self._folder = folder
        self._made_folder = False
        self._open: dict[Path, tuple[Path, TextIO]] = {}

    def check(self, source: str) -> None:
        """Refuse, before an hour is spent, what could not be kept.

        Raises:
            InputError: the folder already holds results or is a file; a target is the input.
        """
        for folder in [self._folder] if self._folder else []:
            if folder.exists() and not folder.is_dir():
                raise InputError(f"{folder} is a file; name a new folder for the results")
            found = sorted(path.name for path in (*folder.glob("part-*"), *folder.glob(REJECTS)))
            if found:
                raise InputError(
                    f"{folder} already holds results ({found[0]}); name a new folder, or remove it"
                )
        for target in (*self._targets, self.rejects):
            if target.exists() and not target.is_file():
                raise InputError(f"{target} is not a regular file; name a file for the results")
            if target.exists() and Path(source).exists() and target.samefile(source):
                raise InputError(f"{target} is the input itself; name another file for the results")

    def __enter__(self) -> Self:
        try:
            if self._folder and not self._folder.exists():
                self._make_folder(self._folder)
            for target in self._targets:
                self._start(target)
        except BaseException:
            self._remove()
            raise
        return self

    def write(self, record: Mapping[str, Any]) -> None:
        line = format_line(record)
        for target in self._targets:
            self._write(target, line)

    def reject(self, record: Mapping[str, Any]) -> None:
        self._write(self.rejects, format_line(record))

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is not None:
            self._remove()
            return
        try:
            for _, handle in self._open.values():
                handle.close()
            for target, (scratch, _) in self._open.items():
                scratch.replace(target)
            if self.rejects not in self._open:
                # Of an earlier run with the same file: it would be taken for this one's.
                self.rejects.unlink(missing_ok=True)
        except OSError as failure:
            self._remove()
            raise _cannot_write(failure, self._targets[0]) from None

    def _make_folder(self, folder: Path) -> None:
        try:
            folder.mkdir(parents=True)
        except OSError as error:
            raise _cannot_write(error, folder) from None
        self._made_folder = True

    def _start(self, target: Path) -> TextIO:
        scratch = target.with_name(f".{target.name}.{os.getpid()}.tmp")
        try:
            # newline="\n": a carriage return inside a line would come out doubled on Windows.
            handle = scratch.open("w", encoding="utf-8", newline="\n")
        except OSError as error:
            raise _cannot_write(error, target) from None
        self._open[target] = (scratch, handle)
        return handle

    def _write(self, target: Path, line: str) -> None:
        handle = self._open[target][1] if target in self._open else self._start(target)
        try:
            handle.write(line + "\n")
        except OSError as error:
            raise _cannot_write(error, target) from None

    def _remove(self) -> None:
        for scratch, handle in self._open.values():
            # A full disk fails the last flush too; the file is removed anyway.
            with suppress(OSError):
                handle.close()
            scratch.unlink(missing_ok=True)
        if self._made_folder and self._folder and not any(self._folder.iterdir()):
            self._folder.rmdir()


def _cannot_write(error: OSError, target: Path) -> InputError:
    reason = error.strerror or type(error).__name__
    return InputError(f"{target} cannot be written: {reason}; name another place for the results")
