"""A run that stops goes on where it was, if it is the same run; else it says what differs."""

import dataclasses
import io
import itertools
import json
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.archive import QUIET, contents, models, rejects, results, score, write_rows
from tests.support import KeywordClassifier

from tocsin_models.errors import InputError
from tocsin_serving.archive import plan, store
from tocsin_serving.archive.asked import Asked
from tocsin_serving.archive.blocks import InputChanged
from tocsin_serving.archive.pipeline import TooManyRejects
from tocsin_serving.archive.plan import Counts
from tocsin_serving.archive.run import CannotGoOn, How, score_archive
from tocsin_serving.archive.scoring import Models


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tocsin_serving.archive.index.BLOCK_ROWS", 5)
    monkeypatch.setattr("tocsin_serving.archive.pipeline.WINDOW_ROWS", 1)
    monkeypatch.setattr(plan, "SHARD_ROWS", 15)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    rows: list[Any] = [
        {"id": f"r{n}", "text": f"{n} vowed talks", "n": n} if n % 9 else b"broken"
        for n in range(60)
    ]
    return write_rows(tmp_path / "in.jsonl", rows)


class Killed(BaseException):
    """Stands for kill -9 at a place of our choosing: nothing catches it."""


@pytest.mark.parametrize("format", ["jsonl", "parquet"])
def test_killed_before_any_change_to_the_disk_a_run_ends_as_if_it_had_not_been(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, format: str
) -> None:
    # Every rename and every removal is a step between two states of the folder; each of these
    # states must lead to the same bytes.
    monkeypatch.setattr(plan, "SHARD_ROWS", 10)
    rows: list[Any] = [*({"text": f"{n} talks"} for n in range(14)), b"broken"]
    source = write_rows(tmp_path / "in.jsonl", rows)
    whole = tmp_path / "whole"
    file = tmp_path / "whole.jsonl"
    counts = score(source, whole, file, unit="passage", format=format)
    steps = 0

    def count_down(left: Iterator[int]) -> Any:
        def step(original: Any) -> Any:
            def call(*arguments: Any, **options: Any) -> Any:
                nonlocal steps
                steps += 1
                if next(left) == 0:
                    raise Killed
                return original(*arguments, **options)

            return call

        return step

    for killed_at in itertools.count():
        out = tmp_path / f"out{killed_at}"
        with monkeypatch.context() as patch:
            step = count_down(iter(range(killed_at, -1000, -1)))
            patch.setattr(Path, "replace", step(Path.replace))
            patch.setattr(Path, "unlink", step(Path.unlink))
            patch.setattr(shutil, "rmtree", step(shutil.rmtree))
            try:
                score(source, out, tmp_path / "out.jsonl", unit="passage", format=format)
                break
            except Killed:
                pass
        classifier = KeywordClassifier()
        again = score(
            source,
            out,
            tmp_path / "out.jsonl",
            unit="passage",
            format=format,
            classifier=classifier,
        )
        assert again == counts
        assert contents(out) == contents(whole)
        assert (tmp_path / "out.jsonl").read_bytes() == file.read_bytes()
    assert killed_at > 20


def test_a_run_that_goes_on_scores_only_what_is_missing(source: Path, tmp_path: Path) -> None:
    class Stopping(KeywordClassifier):
        def score(self, texts: Any) -> Any:
            if len(self.calls) == 7:
                raise Killed
            return super().score(texts)

    with pytest.raises(Killed):
        score(source, tmp_path / "out", unit="passage", classifier=Stopping())
    classifier = KeywordClassifier()
    assert score(source, tmp_path / "out", unit="passage", classifier=classifier).scored == 53
    # At most the block in the model and the one being written were lost.
    assert 5 <= len(classifier.calls) <= 6


def test_a_finished_run_is_counted_and_not_scored_again(source: Path, tmp_path: Path) -> None:
    counts = score(source, tmp_path / "out", unit="passage")
    classifier = KeywordClassifier()
    assert score(source, tmp_path / "out", unit="passage", classifier=classifier) == counts
    assert classifier.calls == []


def stop_early(source: Path, out: Path, **options: Any) -> None:
    class Stopping(KeywordClassifier):
        def score(self, texts: Any) -> Any:
            if len(self.calls) == 4:
                raise Killed
            return super().score(texts)

    with pytest.raises(Killed):
        score(source, out, classifier=Stopping(), **options)


@pytest.mark.parametrize("is_finished", [False, True])
def test_another_run_is_refused_with_the_difference_named(
    source: Path, tmp_path: Path, is_finished: bool
) -> None:
    # Half a folder at one threshold and half at another would look like one result.
    out = tmp_path / "out"
    if is_finished:
        score(source, out, unit="passage", thresholds={"claim": 0.4})
    else:
        stop_early(source, out, unit="passage", thresholds={"claim": 0.4})
    before = contents(out)
    with pytest.raises(CannotGoOn) as refused:
        score(source, out, tmp_path / "f.jsonl", thresholds={"claim": 0.5}, where=("n<9",))
    assert refused.value.problems == (
        "--unit: passage then, article now",
        "--threshold: claim=0.4 then, claim=0.5 now",
        "--where: not given then, 'n<9' now",
        "--output: not given then, given now",
    )
    assert "name a new folder, or ask as it did" in str(refused.value)

    class Other(KeywordClassifier):
        def __init__(self) -> None:
            super().__init__()
            self.info = dataclasses.replace(self.info, revision="sha256:ffff")

    with pytest.raises(CannotGoOn, match="classifier: keywords sha256:0123456789ab f32 cpu then, "):
        score(source, out, unit="passage", thresholds={"claim": 0.4}, classifier=Other())
    assert contents(out) == before


@pytest.mark.parametrize("is_finished", [False, True])
def test_another_input_is_refused_with_the_file_named(
    source: Path, tmp_path: Path, is_finished: bool
) -> None:
    out = tmp_path / "out"
    if is_finished:
        score(source, out, unit="passage")
    else:
        stop_early(source, out, unit="passage")
    with source.open("ab") as handle:
        handle.write(b'{"text": "One more."}\n')
    with pytest.raises(CannotGoOn, match=r"in.jsonl: has changed \(SHA-256 [0-9a-f]{12} then, "):
        score(source, out, unit="passage")
    other = write_rows(tmp_path / "other.jsonl", [{"text": "a"}])
    with pytest.raises(CannotGoOn, match=r"other\.jsonl: was not read then"):
        score([source, other], out, unit="passage")


def test_an_input_that_changes_in_mid_run_is_refused_and_put_back_goes_on(
    source: Path, tmp_path: Path
) -> None:
    # A file that is still being written to: its rows must not be scored as if they were others.
    whole = tmp_path / "whole"
    score(source, whole, unit="passage")
    original = source.read_bytes()

    class Changing(KeywordClassifier):
        def score(self, texts: Any) -> Any:
            if len(self.calls) == 3:
                source.write_bytes(original.replace(b"vowed", b"spoke"))
            return super().score(texts)

    out = tmp_path / "out"
    # Read in one go, a short file would be in memory before it changes.
    source.write_bytes(original.replace(b" vowed", b" vowed" + b"\\n" * 200_000))
    original = source.read_bytes()
    with pytest.raises(InputChanged, match=r"in\.jsonl: rows from .* on are not what they were"):
        score(source, out, unit="passage", classifier=Changing())
    with pytest.raises(CannotGoOn, match="has changed"):
        score(source, out, unit="passage")
    source.write_bytes(original)
    assert score(source, out, unit="passage").read == 60
    assert [row["id"] for row in results(out)] == [row["id"] for row in results(whole)]


def test_a_full_disk_is_one_line_and_once_freed_the_run_goes_on(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, out = tmp_path / "whole", tmp_path / "out"
    counts = score(source, whole, unit="passage")
    told: list[str] = []
    for room in itertools.count(1):
        left = iter(range(room, -1000, -1))

        def fail(descriptor: int, left: Iterator[int] = left) -> None:
            if next(left) <= 0:
                raise OSError(28, "No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", fail)
            try:
                score(source, out, unit="passage")
                break
            except InputError as error:
                told.append(str(error))
        assert not list(out.rglob("*.tmp"))
    assert len(told) > 5
    assert all("No space left on device; mend that" in line for line in told)
    assert score(source, out, unit="passage") == counts
    assert contents(out) == contents(whole)


def test_two_runs_do_not_write_into_one_folder(source: Path, tmp_path: Path) -> None:
    first = store.Store(tmp_path / "out")
    with first.lock(), pytest.raises(InputError, match="another run is writing into it; wait"):
        score(source, tmp_path / "out", unit="passage")
    assert score(source, tmp_path / "out", unit="passage").read == 60


def test_a_run_that_is_refused_leaves_the_other_one_its_folder(
    source: Path, tmp_path: Path
) -> None:
    # Cron starts a run while one is in its first pass, when no plan says that the folder is in use:
    # cleaned up by the second, the first could not write its plan.
    asked = Asked(unit="passage", format="jsonl")

    def load() -> Models:
        with pytest.raises(InputError, match="another run is writing into it"):
            score(source, tmp_path / "out", unit="passage")
        return models(asked)

    assert score_archive([str(source)], tmp_path / "out", asked, load, how=QUIET).read == 60


@pytest.mark.parametrize("name", ["part-00000.jsonl", "part-00007.parquet", "rejects.jsonl"])
def test_a_folder_that_holds_other_results_is_refused(
    source: Path, tmp_path: Path, name: str
) -> None:
    # A run would mix with them, or replace a night's work.
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / name).write_text("earlier\n")
    with pytest.raises(InputError, match=r"already holds results.*name a new folder"):
        score(source, tmp_path / "out")
    (tmp_path / "out" / "manifest.json").write_text(json.dumps({"schema": "other"}))
    with pytest.raises(InputError, match="is not of a run of Tocsin"):
        score(source, tmp_path / "out")
    assert (tmp_path / "out" / name).read_text() == "earlier\n"


def test_results_never_land_on_or_in_the_input(source: Path, tmp_path: Path) -> None:
    # On the next run they would be read as rows.
    before = source.read_bytes()
    with pytest.raises(InputError, match="is the input itself"):
        score(source, tmp_path / "out", source)
    folder = tmp_path / "wire"
    folder.mkdir()
    write_rows(folder / "a.jsonl", [{"text": "a"}])
    with pytest.raises(InputError, match=r"lies within the input .*; name a place outside"):
        score(folder, folder / "out")
    with pytest.raises(InputError, match="is a file; name the folder for the results last"):
        score(source, source)
    with pytest.raises(InputError, match="not a regular file"):
        score(source, tmp_path / "out", Path("/dev/null"))
    with pytest.raises(InputError, match="cannot be written: there is no folder"):
        score(source, tmp_path / "out", tmp_path / "gone" / "all.jsonl")
    with pytest.raises(InputError, match="results go to a folder on this machine"):
        score(source, Path("s3://bucket/out"))
    with pytest.raises(InputError, match="cannot be written: Not a directory"):
        score(source, source / "out")
    assert source.read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.jsonl", "wire"]


def test_a_glob_does_not_lead_results_onto_the_input(tmp_path: Path) -> None:
    # A name is looked at before anything is read; what a glob finds has to be looked at too, or the
    # results replace the archive.
    one = write_rows(tmp_path / "a.jsonl", [{"id": "a", "text": "Talks."}])
    before = one.read_bytes()
    with pytest.raises(InputError, match=r"a\.jsonl is one of the inputs; name another place"):
        score(str(tmp_path / "*.jsonl"), tmp_path / "out", one, unit="passage")
    assert one.read_bytes() == before
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("out", ["out", "."])
def test_a_glob_does_not_find_what_its_own_run_has_written(tmp_path: Path, out: str) -> None:
    # Stopped, a run has written rejects.jsonl; found as an input that was not there before, it
    # would keep the run from ever going on.
    for name in ("a", "b"):
        write_rows(tmp_path / f"{name}.jsonl", [{"id": name, "text": "Talks."}, b"broken"])
    pattern = str(tmp_path / "**" / "*.jsonl")
    with pytest.raises(TooManyRejects):
        score(pattern, tmp_path / out, unit="passage", how=How(is_quiet=True, max_rejects=1))
    assert rejects(tmp_path / out)
    for _ in ("goes on", "is only counted"):
        counts = score(pattern, tmp_path / out, unit="passage")
        assert counts == Counts(scored=2, rejected=2)


def test_a_finished_run_over_a_pipe_is_counted_or_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Its copy of the pipe is gone with the run; looked for all the same, it is a traceback.
    def pipe(data: bytes) -> Counts:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
        return score("-", tmp_path / "out", unit="passage")

    rows = b'{"id": "a", "text": "Talks."}\n'
    assert pipe(rows) == pipe(rows) == pipe(b"") == Counts(scored=1)
    with pytest.raises(CannotGoOn, match=r"standard input: has changed \(SHA-256 "):
        pipe(rows * 2)
    assert not (tmp_path / "out" / ".run").exists()


def test_a_finished_run_does_not_pass_over_a_file_that_is_gone(
    source: Path, tmp_path: Path
) -> None:
    # Counted and left with 0, it would be taken to have written what -o asks for.
    file = tmp_path / "all.jsonl"
    score(source, tmp_path / "out", file, unit="passage")
    file.unlink()
    with pytest.raises(InputError, match=r"all\.jsonl is not there, and .*name a new folder"):
        score(source, tmp_path / "out", file, unit="passage")


def test_what_is_counted_is_what_lies_there(source: Path, tmp_path: Path) -> None:
    assert score(source, tmp_path / "out", unit="passage", where=("n<30",)) == Counts(
        scored=26, rejected=7, filtered=27
    )
