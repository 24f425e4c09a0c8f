"""The folder of a run: what is in it is whole, and stays so wherever the run is killed.

    part-00000.parquet …   finished shards, in the order of the input
    .run/lock              who holds it is writing
    .run/plan.json         what was asked, of which models, of which input
    .run/blocks/000012.jsonl    a finished block: a line of counts, results, rejects
    .run/shards/00000.json      the mark that part-00000 is finished; its counts
    .run/shards/00000.rejects.jsonl, 00000.lines.jsonl
    rejects.jsonl, manifest.json    at the end, when .run goes

Every file gets its name by a rename, once it is whole and on the disk, and holds nothing that is
not decided by the plan and the input. So it may be made again at any time, and only the order of
removing matters: blocks go when their shard's mark is there, .run goes when the manifest is.
"""

import json
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from tocsin_models.errors import InputError
from tocsin_serving.archive.parts import count_rows, part_name, write_part
from tocsin_serving.archive.plan import SCHEMA, Counts, Plan
from tocsin_serving.archive.scoring import ScoredBlock
from tocsin_serving.archive.whole import chunks, count_lines, hash_path, write_whole, writing

MANIFEST, REJECTS, RUN, READY = "manifest.json", "rejects.jsonl", ".run", "ready.json"


class Store:
    """Reads and writes the folder of a run. ``commit`` may be called for blocks in any order, by
    one thread at a time; ``join`` and ``finish`` do again what was done by halves."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.run = folder / RUN
        self._blocks = self.run / "blocks"
        self._shards = self.run / "shards"
        self.counts = Counts()
        self._joined: set[int] = set()

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the folder, made if it is not there, and gone again if nothing came into it.

        Raises:
            InputError: another process holds it, or it cannot be written.
        """
        is_new = not self.folder.exists()
        with writing(self.folder):
            self._blocks.mkdir(parents=True, exist_ok=True)
            self._shards.mkdir(exist_ok=True)
            handle = (self.run / "lock").open("ab")
        # Before the clean-up below owns the folder: what a refused run finds there is another's.
        _hold(handle, self.folder)
        try:
            with handle:
                ours = (f"{name}.tmp" for name in ("part-*", REJECTS, MANIFEST))
                left = (path for name in ours for path in self.folder.glob(name))
                for scratch in (*left, *self.run.rglob("*.tmp")):
                    scratch.unlink()
                self.move_in()
                yield
        finally:
            kept = ("plan.json", "stdin", READY)
            if not any((self.run / name).exists() for name in kept):
                shutil.rmtree(self.run, ignore_errors=True)
                if is_new and not any(self.folder.iterdir()):
                    self.folder.rmdir()

    def is_ours(self, path: str) -> bool:
        """Whether a file has the place and the name of one that runs write into the folder."""
        name = Path(path).name
        is_named_so = name.startswith("part-") or name in (REJECTS, MANIFEST)
        return is_named_so and Path(path).parent.resolve() == self.folder.resolve()

    def read_plan(self) -> Plan | None:
        """The plan of a run that was begun and not finished here."""
        path = self.run / "plan.json"
        return Plan.from_record(json.loads(path.read_text("utf-8"))) if path.exists() else None

    def read_manifest(self) -> dict[str, Any] | None:
        """What a finished run says of itself."""
        path = self.folder / MANIFEST
        if not path.exists():
            return None
        try:
            found: dict[str, Any] = json.loads(path.read_text("utf-8"))
            if found["schema"] == SCHEMA:
                return found
        except (ValueError, KeyError, TypeError):
            pass
        raise InputError(f"{path} is not of a run of Tocsin; name a new folder for the results")

    def refuse_strangers(self) -> None:
        """
        Raises:
            InputError: the folder holds files that a run would mix with or replace.
        """
        found = sorted(p.name for p in (*self.folder.glob("part-*"), *self.folder.glob(REJECTS)))
        if found:
            raise InputError(
                f"{self.folder} already holds results ({found[0]}) of no run that could go on; "
                "name a new folder, or remove it"
            )

    def begin(self, plan: Plan) -> None:
        """Keep the plan, or take up the run that has it."""
        if not (self.run / "plan.json").exists():
            write_whole(self.run / "plan.json", [json.dumps(plan.to_record()).encode()])
        self.plan = plan
        self._ranges = plan.shards()
        self._shard_of = {
            block: shard for shard, blocks in enumerate(self._ranges) for block in blocks
        }
        self._left = [set(blocks) for blocks in self._ranges]
        for shard, blocks in enumerate(self._ranges):
            if self._mark(shard).exists():
                self._joined.add(shard)
                self._left[shard].clear()
                self.counts += Counts.from_record(self._read_mark(shard)["counts"])
                self._remove_blocks(blocks)
        for path in self._blocks.glob("*.jsonl"):
            with path.open("rb") as handle:
                self._add(int(path.stem), _read_counts(handle))

    def missing(self) -> list[int]:
        """Numbers of the blocks that are still to be scored, in order."""
        return sorted(number for left in self._left for number in left)

    def unjoined(self) -> list[int]:
        """Shards whose blocks are all there."""
        return [
            shard for shard, left in enumerate(self._left) if not left and shard not in self._joined
        ]

    def commit(self, scored: ScoredBlock) -> None:
        """Keep a block for good.

        Raises:
            InputError: the disk is full, or else cannot be written.
        """
        counts = Counts(
            scored=len(scored.results), rejected=len(scored.rejects), filtered=scored.filtered
        )
        lines = [
            json.dumps({"counts": counts.to_record()}),
            *scored.results,
            *scored.rejects,
        ]
        write_whole(self._block(scored.number), (f"{line}\n".encode() for line in lines))
        self._add(scored.number, counts)

    def join(self, shard: int) -> None:
        """Make a file of the blocks of a shard, mark it finished, and remove the blocks."""
        blocks, plan = self._ranges[shard], self.plan
        part = self.folder / part_name(shard, plan.asked)
        counts = Counts()
        for number in blocks:
            with self._block(number).open("rb") as handle:
                counts += _read_counts(handle)
        write_part(part, self._lines(blocks, rejects=False), plan.shape)
        write_whole(self._rejects(shard), self._lines(blocks, rejects=True))
        if plan.has_file and plan.asked.format == "parquet":
            write_whole(self._kept_lines(shard), self._lines(blocks, rejects=False))
        mark = {
            "name": part.name,
            "rows": counts.scored,
            "sha256": hash_path(part),
            "counts": counts.to_record(),
        }
        write_whole(self._mark(shard), [json.dumps(mark).encode()])
        self._joined.add(shard)
        self._remove_blocks(blocks)

    def write_rejects(self) -> Path | None:
        """What has been rejected until now as one file; None where nothing was."""
        path = self.folder / REJECTS
        if not self.counts.rejected:
            return None
        write_whole(path, self._all_rejects())
        return path

    def finish(self, file: Path | None, extra: Mapping[str, Any]) -> Counts:
        """Join what is left, write rejects, the one file, and last the manifest; then check the
        books against what lies in the folder.

        Raises:
            BooksWrong: rows are missing or doubled. That is a bug of ours, or of the disk.
        """
        plan = self.plan
        for shard in self.unjoined():
            self.join(shard)
        marks = [self._read_mark(shard) for shard in range(len(self._ranges))]
        counts = sum((Counts.from_record(mark["counts"]) for mark in marks), Counts())
        rejects = self.write_rejects()
        self._check_books(counts, rejects)
        if file is not None:
            write_whole(file, self._all_lines())
        manifest = {
            "schema": SCHEMA,
            "inputs": plan.index.to_record()["files"],
            "models": plan.models,
            "labels": list(plan.labels),
            "asked": plan.asked.to_record(),
            "counts": counts.to_record(),
            "has_file": plan.has_file,
            "columns": plan.index.to_record()["columns"],
            "parts": [{name: mark[name] for name in ("name", "rows", "sha256")} for mark in marks],
            **extra,
        }
        text = json.dumps(manifest, indent=2, ensure_ascii=False) + "\n"
        write_whole(self.folder / MANIFEST, [text.encode("utf-8", "backslashreplace")])
        self.clear()
        return counts

    def move_in(self) -> None:
        """Bring files in that belong together: all of them, also where a run was killed at it.

        ``.run/ready.json`` names them, the manifest last; where it is not, they are not all there,
        and go.
        """
        ready, new = self.run / READY, self.run / "new"
        if ready.exists():
            with writing(self.folder):
                for name in json.loads(ready.read_text("utf-8")):
                    if (new / name).exists():
                        (new / name).replace(self.folder / name)
                rejects = self.folder / REJECTS
                if rejects.exists() and rejects.stat().st_size == 0:
                    rejects.unlink()
                ready.unlink()
        shutil.rmtree(new, ignore_errors=True)

    def clear(self) -> None:
        """Remove what a finished run needs no longer."""
        shutil.rmtree(self.run, ignore_errors=True)

    def _check_books(self, counts: Counts, rejects: Path | None) -> None:
        plan, found = self.plan, 0
        for shard in range(len(self._ranges)):
            found += count_rows(self.folder / part_name(shard, plan.asked), plan.asked)
        rejected = count_lines(rejects) if rejects else 0
        on_disk = Counts(scored=found, rejected=rejected, filtered=counts.filtered)
        if on_disk != counts or counts.read != plan.index.rows:
            raise BooksWrong(
                f"{self.folder}: {plan.index.rows} rows lie in the input, the books say {counts}, "
                f"the files hold {on_disk}"
            )

    def _lines(self, blocks: Iterable[int], *, rejects: bool) -> Iterator[bytes]:
        for number in blocks:
            with self._block(number).open("rb") as handle:
                counts = _read_counts(handle)
                for line_number, line in enumerate(handle):
                    if (line_number >= counts.scored) == rejects:
                        yield line

    def _all_rejects(self) -> Iterator[bytes]:
        for shard, blocks in enumerate(self._ranges):
            if shard in self._joined:
                yield from chunks(self._rejects(shard))
            else:
                made = [number for number in blocks if number not in self._left[shard]]
                yield from self._lines(made, rejects=True)

    def _all_lines(self) -> Iterator[bytes]:
        is_jsonl = self.plan.asked.format == "jsonl"
        for shard in range(len(self._ranges)):
            part = self.folder / part_name(shard, self.plan.asked)
            yield from chunks(part if is_jsonl else self._kept_lines(shard))

    def _remove_blocks(self, blocks: range) -> None:
        for number in blocks:
            self._block(number).unlink(missing_ok=True)

    def _add(self, number: int, counts: Counts) -> None:
        self._left[self._shard_of[number]].discard(number)
        self.counts += counts

    def _read_mark(self, shard: int) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self._mark(shard).read_text("utf-8"))
        return found

    def _block(self, number: int) -> Path:
        return self._blocks / f"{number:06}.jsonl"

    def _mark(self, shard: int) -> Path:
        return self._shards / f"{shard:05}.json"

    def _rejects(self, shard: int) -> Path:
        return self._shards / f"{shard:05}.rejects.jsonl"

    def _kept_lines(self, shard: int) -> Path:
        return self._shards / f"{shard:05}.lines.jsonl"


class BooksWrong(Exception):
    """Rows were lost or doubled: not the caller's to mend, so no TocsinError."""


def _hold(handle: BinaryIO, folder: Path) -> None:
    try:
        import fcntl
    except ImportError:  # Windows: two runs at once are the user's to avoid
        return
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        handle.close()
        raise InputError(
            f"{folder}: another run is writing into it; wait for it, or name a new folder"
        ) from None


def _read_counts(handle: BinaryIO) -> Counts:
    """The first line of a block."""
    return Counts.from_record(json.loads(handle.readline())["counts"])
