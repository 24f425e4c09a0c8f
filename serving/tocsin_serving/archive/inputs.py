"""What was named on the command line -> the sources of a run, in an order that stays the same."""

import glob
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path, PurePath, PurePosixPath
from typing import Literal, TypeAlias

from tocsin_models.errors import InputError, UndecodableInput, UnreadableFile
from tocsin_serving.archive.streams import file_system, is_address, read_head, strip_compression

Kind: TypeAlias = Literal["jsonl", "csv", "tsv", "parquet", "texts", "dataset"]

STANDARD_INPUT = "-"
PIPED = "standard input"
DATASET = "datasets:"
FORMATS = ".jsonl, .csv, .tsv, .parquet, .txt or .html, each also with .gz or .zst"

_KINDS: dict[str, Kind] = {
    **{".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "jsonl"},
    **{".csv": "csv", ".tsv": "tsv", ".tab": "tsv", ".parquet": "parquet", ".pq": "parquet"},
    **{".txt": "texts", ".text": "texts", ".md": "texts"},
    **{".html": "texts", ".htm": "texts", ".xhtml": "texts", ".xht": "texts"},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Something that rows are read from one after the other: a file, a data set, or text files,
    which are a row each. ``name`` is what people call it; ``ids`` are the names of text files."""

    name: str
    kind: Kind
    paths: tuple[str, ...]
    ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Found:
    path: str
    kind: Kind
    id: str


def find_sources(
    names: Sequence[str],
    standard_input: Path,
    is_result: Callable[[str], bool] = lambda path: False,
) -> list[Source]:
    """The sources of a run: arguments in their order, a folder's or a glob's files by name.

    ``standard_input`` is the file in which what came through ``-`` is kept (``spool``). A file that
    ``is_result`` of this run is none that a glob means.

    Raises:
        UnreadableFile: something is missing, or there is no file in it.
        InputError: a file is of no format we read, or is named twice.
    """
    sources: list[Source] = []
    for name in names:
        if name == STANDARD_INPUT:
            source = Source(name=PIPED, kind="jsonl", paths=(str(standard_input),))
            sources.append(source)
        elif name.startswith(DATASET):
            sources.append(Source(name=name, kind="dataset", paths=(name,)))
        else:
            sources += _group(name, _find(name, is_result))
    paths = [path for source in sources for path in source.paths]
    # Not by what links lead to: an archive may well hold a link to its latest file.
    places = [path if is_address(path) else os.path.abspath(path) for path in paths]  # noqa: PTH100
    if len(set(places)) < len(places):
        twice = next(n for n, place in enumerate(places) if place in places[:n])
        raise InputError(f"{paths[twice]} is named twice; name it once")
    return sources


def kind_of(path: str) -> Kind | None:
    """What a file holds, by its name."""
    return _KINDS.get(Path(strip_compression(path)).suffix.lower())


def spool(target: Path) -> bool:
    """Keep standard input in a file, so that a run that was killed needs no second pipe; whether
    anything came through it.

    Raises:
        InputError: what comes now is not what came before.
    """
    scratch = target.with_name(target.name + ".tmp")
    with scratch.open("wb") as handle:
        shutil.copyfileobj(sys.stdin.buffer, handle, 1 << 20)
    if target.exists() and scratch.stat().st_size == 0:
        scratch.unlink()
        return False
    if target.exists() and not _same(target, scratch):
        scratch.unlink()
        raise InputError(
            "standard input: not what it was when this run began; pipe the same rows, or nothing, "
            "to go on, or name a new folder"
        )
    scratch.replace(target)
    return target.stat().st_size > 0


def _same(one: Path, other: Path) -> bool:
    import filecmp

    return filecmp.cmp(one, other, shallow=False)


def _find(name: str, is_result: Callable[[str], bool]) -> list[_Found]:
    if is_address(name):
        system, inside = file_system(name)
        try:
            if any(sign in name for sign in "*?["):
                paths = sorted(system.glob(inside))
            elif system.isdir(inside):
                begin = len(inside.rstrip("/"))
                paths = sorted(
                    item
                    for item in system.find(inside)
                    if _is_visible(PurePosixPath(item[begin:].lstrip("/")))
                )
            else:
                return [_told(name, _stem(name))]
            found = [system.unstrip_protocol(item) for item in paths if not system.isdir(item)]
        except OSError as error:
            raise UnreadableFile(
                f"{name} cannot be listed: {error.strerror or type(error).__name__}; check it"
            ) from None
        return _some(name, [_told(item, _stem(item)) for item in found])
    path = Path(name)
    if path.is_dir():
        # What rglob yields begins as the path does, not as the name: ./wire yields wire/1.txt.
        below = sorted(
            str(item)
            for item in path.rglob("*")
            if item.is_file() and _is_visible(item.relative_to(path))
        )
        return _some(name, [_told(item, _relative(item, name)) for item in below])
    if not path.exists() and any(sign in name for sign in "*?["):
        # Path.glob takes no pattern that begins at the root.
        matches = sorted(filter(os.path.isfile, glob.glob(name, recursive=True)))  # noqa: PTH207
        base = _fixed_part(name)
        told = [_told(item, _relative(item, base)) for item in matches if not is_result(item)]
        return _some(name, told)
    return [_told(name, _stem(name))]


def _some(name: str, found: list[_Found]) -> list[_Found]:
    if not found:
        raise UnreadableFile(f"{name}: there is no file; check the path, or name files")
    return found


def _is_visible(inside: PurePath) -> bool:
    """Whether nobody hid a file, by its path in the folder that was named: of .git or .DS_Store no
    newsroom means the text."""
    return not any(part.startswith(".") for part in inside.parts)


def _told(path: str, id: str) -> _Found:
    """A file with its kind, by its name, or else by how it begins."""
    suffix = Path(strip_compression(path)).suffix.lower()
    head = read_head(path)
    if head.startswith(b"PAR1"):
        return _Found(path, "parquet", id)
    kind = kind_of(path)
    if kind is None and head.lstrip(b"\xef\xbb\xbf \r\n\t").startswith(b"{"):
        kind = "jsonl"
    if kind is None:
        raise InputError(f"{path}: its name does not say what it holds; call it {FORMATS}")
    if kind == "parquet" and head:
        raise UndecodableInput(f"{path} is not Parquet, though its name says so; copy it again")
    if head.startswith((b"\xff\xfe", b"\xfe\xff")) and kind != "texts":
        raise UndecodableInput(f"{path} is UTF-16; convert it to UTF-8: iconv -f UTF-16 -t UTF-8")
    if head.startswith(b"PK\x03\x04"):
        raise UndecodableInput(f"{path} is a zip archive; unpack it first")
    if kind == "jsonl" and suffix == ".json" and head.lstrip(b"\xef\xbb\xbf \r\n\t")[:1] == b"[":
        raise InputError(f"{path} is one JSON array; write an object a line: jq -c '.[]'")
    return _Found(path, kind, id)


def _group(name: str, found: list[_Found]) -> Iterator[Source]:
    """Text files in a row are one source, so that they are read in full blocks."""
    for kind, files in groupby(found, key=lambda item: item.kind):
        items = list(files)
        if kind == "texts":
            paths = tuple(item.path for item in items)
            ids = tuple(item.id for item in items)
            yield Source(name=name, kind=kind, paths=paths, ids=ids)
        else:
            for item in items:
                yield Source(name=item.path, kind=kind, paths=(item.path,))


def _stem(path: str) -> str:
    return Path(strip_compression(path)).stem


def _relative(path: str, folder: str) -> str:
    """A text file's id: its path below what was named, without its suffix."""
    whole = PurePosixPath(Path(path).relative_to(folder).as_posix())
    bare = PurePosixPath(strip_compression(str(whole)))
    return str(bare.with_suffix(""))


def _fixed_part(pattern: str) -> str:
    """The folder above the first wildcard of a glob."""
    parts = Path(pattern).parts
    first = next(index for index, part in enumerate(parts) if any(sign in part for sign in "*?["))
    return str(Path(*parts[:first])) if first else "."
