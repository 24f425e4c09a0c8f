"""The real process, killed with kill -9 at any moment, out of disk, its input changed under it."""

import json
import random
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import pytest
from tests.archive import contents, read_lines, results
from tests.server import TinyModels

COMMAND = [sys.executable, "-c", "from tocsin_serving.cli import main; main()"]
WORDS = ("vowed", "denied", "talks", "ship", "reprisal", "said", "port", "the", "army", "strike")


def write_archive(path: Path, rows: int) -> Path:
    """Short passages; every hundredth row is broken, and every thousandth id comes twice."""
    draw = random.Random(7)
    with path.open("w", encoding="utf-8") as handle:
        for number in range(rows):
            if number % 100 == 99:
                handle.write('{"id": "broken\n')
                continue
            id = f"r{number - 1 if number % 1000 == 500 else number}"
            text = " ".join(draw.choices(WORDS, k=draw.randint(1, 20)))
            handle.write(json.dumps({"id": id, "text": text, "n": number}) + "\n")
    return path


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """``tocsin score`` of one archive with the tiny model, into any folder."""

    source: Path
    model: Path
    format: str = "parquet"

    def command(self, out: Path) -> list[str]:
        options = ["--unit", "passage", "--model", str(self.model), "--format", self.format]
        file = out.with_name(out.name + ".jsonl")
        return [*COMMAND, "score", str(self.source), str(out), "-o", str(file), "--quiet", *options]

    def run(
        self, out: Path, before: Callable[[], None] | None = None
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(out), capture_output=True, text=True, preexec_fn=before, check=False
        )

    def start(self, out: Path) -> subprocess.Popen[str]:
        return subprocess.Popen(self.command(out), stderr=subprocess.PIPE, text=True)


def wait_for_blocks(out: Path, process: subprocess.Popen[str], least: int = 1) -> None:
    while process.poll() is None and len(list(out.glob(".run/blocks/*.jsonl"))) < least:
        time.sleep(0.005)


def same(out: Path, whole: Path) -> bool:
    file, whole_file = (path.with_name(path.name + ".jsonl") for path in (out, whole))
    return contents(out) == contents(whole) and file.read_bytes() == whole_file.read_bytes()


def kill_at_random(job: Job, folder: Path, kills: int, seed: int) -> None:
    whole = folder / "whole"
    with job.start(whole) as process:
        started = time.monotonic()
        wait_for_blocks(whole, process)
        start_s = time.monotonic() - started
        process.wait()
        work_s = time.monotonic() - started - start_s
    assert process.returncode == 3
    check_books(job, whole)
    draw = random.Random(seed)
    done, number, last = 0, 0, folder / "out0"
    while done < kills:
        last = folder / f"out{number}"
        with job.start(last) as process:
            # From the first pass over the input to well into the scoring.
            delay_s = start_s * draw.uniform(0.5, 1.1) + draw.uniform(0, 3 * work_s / kills)
            try:
                process.wait(delay_s)
            except subprocess.TimeoutExpired:
                process.kill()
                done += 1
                continue
        # It was done before it could be killed: compared, and begun again elsewhere.
        assert process.returncode == 3
        assert same(last, whole)
        number += 1
    assert job.run(last).returncode == 3
    assert same(last, whole)


def check_books(job: Job, out: Path) -> None:
    """Each row of the input once, in the results or in the rejects."""
    rows = job.source.read_text("utf-8").splitlines()
    scored = [row["n"] for row in results(out)]
    assert scored == sorted(set(scored))
    found = read_lines(out / "rejects.jsonl")
    assert [rows[reject["row"] - 1] for reject in found] == [reject["raw"] for reject in found]
    both = [*scored, *(reject["row"] - 1 for reject in found)]
    assert sorted(both) == list(range(len(rows)))
    file = out.with_name(out.name + ".jsonl")
    assert [row["n"] for row in read_lines(file)] == scored


def test_a_few_kills_of_the_real_process_leave_no_trace(
    tiny_models: TinyModels, tmp_path: Path
) -> None:
    # Power fails, the kernel kills for memory: what is on the disk must be enough.
    source = write_archive(tmp_path / "in.jsonl", 3_000)
    kill_at_random(Job(source=source, model=tiny_models.classifier), tmp_path, kills=3, seed=1)


@pytest.mark.slow
@pytest.mark.parametrize("format", ["parquet", "jsonl"])
def test_twenty_thousand_rows_and_twenty_kills(
    tiny_models: TinyModels, tmp_path: Path, format: str
) -> None:
    source = write_archive(tmp_path / "in.jsonl", 20_000)
    job = Job(source=source, model=tiny_models.classifier, format=format)
    kill_at_random(job, tmp_path, kills=20, seed=2)


@contextmanager
def small_disk(folder: Path, size_kib: int) -> Iterator[bool]:
    """A file system of so little room, where we may mount one; says whether it is there."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size_kib}k", "tmpfs", str(folder)]
    is_mounted = shutil.which("mount") is not None and (
        subprocess.run(mount, capture_output=True, check=False).returncode == 0
    )
    try:
        yield is_mounted
    finally:
        if is_mounted:
            subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.slow
def test_a_disk_that_fills_up_and_is_freed_costs_nothing(
    tiny_models: TinyModels, tmp_path: Path
) -> None:
    source = write_archive(tmp_path / "in.jsonl", 20_000)
    job = Job(source=source, model=tiny_models.classifier)
    assert job.run(tmp_path / "whole").returncode == 3
    # The lines lie there as blocks, are joined, and come into the one file.
    lines_kib = (tmp_path / "whole.jsonl").stat().st_size // 1024
    sizes = [lines_kib * share // 8 for share in (2, 5, 9, 14)]
    with small_disk(tmp_path / "disk", sizes[0]) as is_mounted:
        out = tmp_path / "disk" / "out"
        refused = 0
        for size_kib in sizes:
            if is_mounted:
                remount = f"remount,size={size_kib}k"
                subprocess.run(["mount", "-o", remount, str(tmp_path / "disk")], check=True)

            def limit(size_kib: int = size_kib) -> None:
                # Where we may not mount: no file larger than this.
                if not is_mounted:
                    most = size_kib * 1024 // 8
                    resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))

            ran = job.run(out, limit)
            if ran.returncode == 3:
                break
            refused += 1
            assert ran.returncode == 2
            assert "mend that (free space, another place) and run the same command" in ran.stderr
            assert ran.stderr.count("\n") == 1
        if is_mounted:
            remount = "remount,size=256m"
            subprocess.run(["mount", "-o", remount, str(tmp_path / "disk")], check=True)
        assert refused >= 2
        assert job.run(out).returncode == 3
        assert same(out, tmp_path / "whole")


@pytest.mark.slow
def test_an_input_that_changes_under_a_run_is_refused_and_put_back_goes_on(
    tiny_models: TinyModels, tmp_path: Path
) -> None:
    source = write_archive(tmp_path / "in.jsonl", 20_000)
    job = Job(source=source, model=tiny_models.classifier)
    assert job.run(tmp_path / "whole").returncode == 3
    original, out = source.read_bytes(), tmp_path / "out"
    with job.start(out) as process:
        wait_for_blocks(out, process, least=2)
        half = len(original) // 2
        with source.open("r+b") as handle:
            handle.seek(half)
            handle.write(original[half:].replace(b"vowed", b"spoke"))
        assert process.stderr is not None
        errors = process.stderr.read()
    assert process.returncode == 2
    assert "in.jsonl: rows from" in errors
    again = job.run(out)
    assert again.returncode == 2
    assert "in.jsonl: has changed (SHA-256 " in again.stderr
    source.write_bytes(original)
    assert job.run(out).returncode == 3
    assert same(out, tmp_path / "whole")


@pytest.mark.slow
def test_memory_does_not_grow_with_the_input(tiny_models: TinyModels, tmp_path: Path) -> None:
    # Ten times the rows: what lies between the threads is bounded, and so are the shapes of
    # batches, for each of which OpenVINO keeps kernels. It grew by 245 MiB when they were not.
    peaks = []
    for rows in (20_000, 200_000):
        source = write_archive(tmp_path / f"in{rows}.jsonl", rows)
        job = Job(source=source, model=tiny_models.classifier)
        peak_mib = 0.0
        with psutil.Popen(job.command(tmp_path / f"out{rows}")) as process:
            while process.poll() is None:
                # What wait4 tells of a child counts this process's own memory in.
                with suppress(psutil.Error):
                    peak_mib = max(peak_mib, process.memory_info().rss / 2**20)
                time.sleep(0.02)
        assert process.returncode == 3
        peaks.append(peak_mib)
    assert peaks[1] < 1.2 * 1024
    assert peaks[1] < peaks[0] + 100
