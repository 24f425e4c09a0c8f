"""``--retry-rejects``: rows of ``rejects.jsonl``, mended by hand, scored into a part of their own.

The run's own options and models score them, so that the folder stays one run. The new part, what
is still rejected and the new manifest come into the folder together, or not at all.
"""

import json
import re
from codecs import BOM_UTF8
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from tocsin_models.errors import InputError, TocsinError, UndecodableInput
from tocsin_models.reading import decode, guess_format
from tocsin_models.records import Article
from tocsin_serving.archive.asked import Asked, differences
from tocsin_serving.archive.blocks import BLOCK_BYTES, BLOCK_ROWS, Block
from tocsin_serving.archive.columns import Column, fits
from tocsin_serving.archive.inputs import kind_of
from tocsin_serving.archive.parts import part_name, write_part
from tocsin_serving.archive.plan import Counts, Shape
from tocsin_serving.archive.rows import (
    AnyRow,
    RawRow,
    Reject,
    Row,
    RowReader,
    parse_object,
    row_reader,
)
from tocsin_serving.archive.run import CannotGoOn, refuse_models
from tocsin_serving.archive.scoring import Models, score_block
from tocsin_serving.archive.store import MANIFEST, READY, REJECTS, Store
from tocsin_serving.archive.streams import strip_compression
from tocsin_serving.archive.whole import hash_path, write_whole

# A byte that is not UTF-8, as a reject shows it (``Reject.to_record``).
_SHOWN_BYTE = re.compile(r"\\x[89a-f][0-9a-f]")


def retry_rejects(out: Path, asked: Asked, load: Callable[[Asked], Models]) -> Counts:
    """Score what was rejected again. ``asked`` is what the command line says: nothing, or what the
    run was asked for.

    Raises:
        CannotGoOn: the options or the models are others.
        InputError: the folder holds no finished run.
    """
    store = Store(out)
    if not (out / MANIFEST).exists():
        raise InputError(f"{out} holds no finished run; --retry-rejects mends one that is finished")
    with store.lock():
        manifest = store.read_manifest()
        assert manifest is not None
        counts = Counts.from_record(manifest["counts"])
        if not (out / REJECTS).exists():
            return counts
        run_asked = Asked.from_record(manifest["asked"])
        if asked != Asked() and (problems := differences(manifest["asked"], asked.to_record())):
            raise CannotGoOn(out, problems)
        models = load(run_asked)
        refuse_models(out, manifest["models"], models)
        shape = Shape(
            asked=run_asked,
            labels=tuple(manifest["labels"]),
            columns=tuple(Column(**column) for column in manifest["columns"]),
            models=manifest["models"],
        )
        return _retry(store, manifest, counts, shape, models)


def _retry(
    store: Store, manifest: dict[str, Any], counts: Counts, shape: Shape, models: Models
) -> Counts:
    new = store.run / "new"
    new.mkdir(exist_ok=True)
    again = Counts()
    with (new / "lines").open("wb") as results, (new / REJECTS).open("wb") as rejects:
        for block in _read_blocks(store.folder, manifest, shape):
            scored = score_block(block, models, shape.asked, shape.columns)
            results.writelines(f"{line}\n".encode() for line in scored.results)
            rejects.writelines(f"{line}\n".encode() for line in scored.rejects)
            again += Counts(
                scored=len(scored.results), rejected=len(scored.rejects), filtered=scored.filtered
            )
    if again.read != counts.rejected:
        raise InputError(
            f"{store.folder / REJECTS} has {again.read:,} rows, the run rejected "
            f"{counts.rejected:,}; mend rows, but leave none out"
        )
    names = [REJECTS, MANIFEST]
    if again.scored:
        name = part_name(len(manifest["parts"]), shape.asked)
        with (new / "lines").open("rb") as lines:
            write_part(new / name, iter(lines), shape)
        part = {"name": name, "rows": again.scored, "sha256": hash_path(new / name)}
        manifest["parts"].append(part | {"retried": True})
        names.insert(0, name)
    found = replace(counts, rejected=0) + again
    manifest["counts"] = found.to_record()
    text = json.dumps(manifest, indent=2, ensure_ascii=False) + "\n"
    write_whole(new / MANIFEST, [text.encode("utf-8", "backslashreplace")])
    write_whole(store.run / READY, [json.dumps(names).encode()])
    store.move_in()
    return found


def _read_blocks(folder: Path, manifest: Mapping[str, Any], shape: Shape) -> Iterator[Block]:
    reader = row_reader(shape.asked, len(manifest["inputs"]))
    taken = _ids(folder, manifest, shape.asked)
    rows: list[AnyRow] = []
    size_bytes = number = 0
    for record in _read_rejects(folder / REJECTS):
        row = _read(record, reader)
        if isinstance(row, Row):
            row = _check(row, taken, {column.name: column for column in shape.columns})
        rows.append(row)
        size_bytes += len(_to_text(record["raw"]))
        if len(rows) == BLOCK_ROWS or size_bytes >= BLOCK_BYTES:
            yield Block(number=number, rows=tuple(rows), size_bytes=size_bytes)
            rows, size_bytes, number = [], 0, number + 1
    if rows:
        yield Block(number=number, rows=tuple(rows), size_bytes=size_bytes)


def _read_rejects(path: Path) -> Iterator[dict[str, Any]]:
    """The lines of the rejects, which somebody has edited; blank ones are none.

    Raises:
        InputError: a line is no reject; says which.
    """
    with path.open("rb") as handle:
        for number, line in enumerate(handle, start=1):
            if not line.strip():
                continue
            # An editor may have begun the file with a byte-order mark.
            record = parse_object(line.removeprefix(BOM_UTF8))
            if isinstance(record, TocsinError):
                raise InputError(f"{path}: line {number}: {record}")
            for name in ("file", "row", "id", "reason", "raw"):
                if name not in record:
                    raise InputError(
                        f"{path}: line {number} has no {name}; mend raw and leave the rest"
                    )
            if not isinstance(record["row"], int):
                raise InputError(f"{path}: line {number}: row is no number; leave it as it was")
            yield record


def _to_text(raw: Any) -> str:
    """``raw`` as a run writes it. Who mends a row may also write the object itself."""
    return raw if isinstance(raw, str) else json.dumps(raw, ensure_ascii=False)


def _read_text(record: Mapping[str, Any], text: str) -> Article | TocsinError:
    """A text file as it has been mended, or why it has not been."""
    if not isinstance(record["raw"], str):
        return InputError("raw of a text file is its text; write a string")
    if not text.strip():
        return InputError("the file could not be read, and nobody has written its text into raw")
    try:
        text = decode(text.encode("utf-8", "surrogatepass"), "the file")
    except TocsinError as error:
        return error
    is_undecodable = str(record["reason"]).startswith(UndecodableInput.__name__)
    if is_undecodable and _SHOWN_BYTE.search(text):
        return UndecodableInput("not UTF-8; write characters for what stands in raw as bytes")
    file = strip_compression(str(record["file"]))
    return Article(id=_text_id(record), text=text, format=guess_format(file, text))


def _text_id(record: Mapping[str, Any]) -> str:
    """What a text file is called. Older runs rejected one that was not UTF-8 without an id."""
    return str(record["id"] or Path(strip_compression(str(record["file"]))).stem)


def _read(record: Mapping[str, Any], reader: RowReader) -> AnyRow:
    """A line of the rejects as a row: ``raw`` is an object of the columns, or a text file."""
    text, file = _to_text(record["raw"]), str(record["file"])
    values: dict[str, Any] | Article | TocsinError
    if kind_of(file) == "texts":
        values = _read_text(record, text)
    else:
        values = parse_object(text.encode("utf-8", "surrogatepass"))
    if isinstance(values, TocsinError):
        # Nobody has mended it: what the run said of it still holds.
        return Reject(
            file=file,
            number=int(record["row"]),
            id=record["id"],
            error=values,
            raw=text.encode("utf-8", "surrogatepass"),
            reason=str(record["reason"]),
        )
    return reader.read(
        RawRow(
            file=file,
            number=int(record["row"]),
            start=0,
            raw=text.encode("utf-8", "replace"),
            values=values,
        )
    )


def _check(row: Row, taken: set[str], columns: Mapping[str, Column]) -> Row | Reject:
    """Refuse what would not go into the folder as the others did."""
    if row.article.id in taken:
        return row.reject(InputError("the id stands already in the results; give it another"))
    for name, value in row.columns.items():
        if name not in columns:
            return row.reject(InputError(f"no other row has a column {name}; leave it out"))
        if not fits(value, columns[name].type):
            kind = columns[name].type
            return row.reject(InputError(f"column {name} is {kind} in the others; write that"))
    taken.add(row.article.id)
    return row


def _ids(folder: Path, manifest: Mapping[str, Any], asked: Asked) -> set[str]:
    """Ids of the results, of those that a mended row could have."""
    wanted: set[str] = set()
    for record in _read_rejects(folder / REJECTS):
        values = parse_object(_to_text(record["raw"]).encode("utf-8", "surrogatepass"))
        ids = [record["id"], record["row"], f"{record['file']}:{record['row']}"]
        ids.append(_text_id(record))
        if isinstance(values, dict):
            ids.append(values.get(asked.id_column or "id"))
        wanted.update(str(id) for id in ids)
    found: set[str] = set()
    for part in manifest["parts"]:
        path = folder / part["name"]
        if asked.format == "parquet":
            from tocsin_serving.archive.parquet import read_ids

            found.update(wanted.intersection(read_ids(path)))
        else:
            with path.open("rb") as lines:
                found.update(wanted.intersection(json.loads(line)["id"] for line in lines))
    return found
