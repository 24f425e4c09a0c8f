"""Answers that cost time, kept beside the report: a second run takes seconds, a killed one goes on.

One file a subject and task, JSON Lines: a header, then an answer a row in the order of the data. It
is named by a hash of the data, the subject's revision, the options, our code and what runs it, so
whatever would change an answer makes another file. Summaries hold sentences of the articles; that
is why answers lie in the folder of the report, which the user chose, and not in a cache elsewhere.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

import tocsin_eval
import tocsin_models
from tocsin_eval.provenance import available_cores, processor_name
from tocsin_models.errors import DataError

FORMAT = 1

# What runs our code and the networks: answers hang on it, to the last digits.
_PACKAGES = (
    *("numpy", "openvino", "scikit-learn", "sentencex", "tocsin", "tokenizers", "torch"),
    "transformers",
)

Row = TypeVar("Row")
# Called with how many rows are done, for a progress bar.
Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A header (facts about the subject, known once it has been loaded) and an answer a row."""

    header: Mapping[str, Any]
    answers: list[Any]


class Store:
    """The answers in one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def answers(
        self,
        key: Mapping[str, str],
        rows: Sequence[Row],
        load: Callable[[], tuple[Mapping[str, Any], Callable[[Sequence[Row]], list[Any]]]],
        *,
        at_once: int,
        progress: Progress = lambda done: None,
    ) -> Kept:
        """An answer for every row: those kept from before, and the rest computed ``at_once`` rows a
        time, each time kept.

        ``load`` gives the header and the function that answers; it is not called when nothing is
        left to compute. Both must be made of what JSON can hold.

        Raises:
            DataError: the folder cannot be written.
        """
        path = self._path(key)
        header, answers = _read(path, len(rows))
        progress(len(answers))
        if header is not None and len(answers) == len(rows):
            return Kept(header=header, answers=answers)
        found, answer = load()
        if header != json.loads(json.dumps(found)):
            # The machine runs the model in another way than when the file was begun.
            header, answers = found, []
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            scratch = path.with_suffix(".tmp")
            scratch.write_text(_lines([header, *answers]), encoding="utf-8")
            scratch.replace(path)
            with path.open("a", encoding="utf-8", newline="\n") as stream:
                for start in range(len(answers), len(rows), at_once):
                    batch = answer(rows[start : start + at_once])
                    answers += batch
                    stream.write(_lines(batch))
                    stream.flush()
                    progress(len(batch))
        except OSError as error:
            raise DataError(
                f"{self._folder}: cannot be written ({error.strerror}); name another --out"
            ) from None
        return Kept(header=header, answers=answers)

    def _path(self, key: Mapping[str, str]) -> Path:
        told = {
            "format": FORMAT,
            "code": _code_sha256(),
            "versions": [version(name) for name in _PACKAGES],
            "machine": [processor_name(), available_cores()],
            **key,
        }
        digest = hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()
        return self._folder / f"{digest[:32]}.jsonl"


@cache
def _code_sha256() -> str:
    """Hash of our sources as they are installed: an answer is theirs as much as the weights'."""
    digest = hashlib.sha256()
    for package in (tocsin_models, tocsin_eval):
        folder = Path(package.__path__[0])
        for path in sorted(folder.rglob("*.py")):
            digest.update(f"{path.relative_to(folder.parent)} ".encode())
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def _lines(values: Sequence[Any]) -> str:
    return "".join(json.dumps(value, ensure_ascii=False) + "\n" for value in values)


def _read(path: Path, most: int) -> tuple[Any, list[Any]]:
    """Header and answers; the last line is left out where a kill cut it short."""
    try:
        content = path.read_bytes()
    except OSError:
        return None, []
    whole = content[: content.rfind(b"\n") + 1].splitlines()
    try:
        values = [json.loads(line) for line in whole]
    except ValueError:
        return None, []
    return (values[0], values[1 : most + 1]) if values else (None, [])
