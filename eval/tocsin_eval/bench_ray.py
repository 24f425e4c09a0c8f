"""``tocsin score --engine ray`` beside the embedded engine, on this machine.

    make bench-ray      or   python -m tocsin_eval.bench_ray [--rows N] [--workers N]

Both are the real process, from the shell, over the same passages, in turn, with the default model.
Start-up is taken off and printed: of the embedded engine what the manifest says came before the
scoring, of Ray all until the first results, whose blocks then do not count either. Exit code 1
where Ray has less than 0.75 of the embedded rate (issue 5), or any byte differs.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from statistics import median

from rich import box
from rich.console import Console
from rich.table import Table

from tocsin_eval.bench import CORPUS, spread
from tocsin_eval.data import read_passages
from tocsin_eval.provenance import data_source, describe_run
from tocsin_models.errors import DataError, TocsinError
from tocsin_models.manifest import EMBEDDED, read_manifest

LEAST_SHARE = 0.75
ROWS = 20_000
REPEATS = 3
# As serving/tocsin_serving/archive/blocks.py; eval does not import serving.
BLOCK_ROWS = 250
TIMEOUT_S = 1_800


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """A run of the command: ``rows`` that were scored in ``seconds``, after ``start_s``."""

    rows: int
    seconds: float
    start_s: float
    parts: tuple[str, ...]

    @property
    def rows_per_s(self) -> float:
        return self.rows / self.seconds


def main(arguments: Sequence[str] | None = None) -> int:
    words = list(sys.argv[1:] if arguments is None else arguments)
    options = _parser().parse_args(words)
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    console = Console(width=120, highlight=False)
    try:
        files = sorted(options.corpus.glob("*.jsonl"))
        passages = read_passages(files) if files else []
        if not passages:
            raise DataError(f"{options.corpus}: no *.jsonl there; run this in the repository")
        # Again and again where the corpus is shorter: a text's score does not depend on the others.
        texts = list(islice(cycle(spread(passages, options.rows)), options.rows))
        embedded, ray = measure(texts, options.workers, options.repeats)
    except TocsinError as error:
        print(f"tocsin_eval.bench_ray: {error}", file=sys.stderr)
        return 2
    share = median(ran.rows_per_s for ran in ray) / median(ran.rows_per_s for ran in embedded)
    table = Table(box=box.SIMPLE_HEAD)
    for name in ("engine", "rows/s (median)", "each", "start-up s, each"):
        table.add_column(name, justify="left" if name == "engine" else "right")
    for name, runs in (("embedded", embedded), (f"ray, {options.workers} workers", ray)):
        table.add_row(
            name,
            f"{median(ran.rows_per_s for ran in runs):.0f}",
            " ".join(f"{ran.rows_per_s:.0f}" for ran in runs),
            " ".join(f"{ran.start_s:.1f}" for ran in runs),
        )
    console.print(table)
    console.print(f"rows      {options.rows} in each run")
    console.print(f"share     {share:.2f} of the embedded rate, target {LEAST_SHARE}")
    if load is not None:
        console.print(f"load      {load:.1f} before the run; other processes make it worse")
    manifest = read_manifest(EMBEDDED["classifier"], check_hashes=False)
    source = data_source("passages", files, min(len(passages), len(texts)))
    models = {manifest.name: manifest.revision}
    command = ["python", "-m", "tocsin_eval.bench_ray", *words]
    describe_run(command, [source], 0, models).print(console)
    is_same = len({ran.parts for ran in (*embedded, *ray)}) == 1
    if not is_same:
        console.print("FAILED: the results differ")
    if share < LEAST_SHARE:
        console.print(f"FAILED: {share:.2f} of the embedded rate, target {LEAST_SHARE}")
    return 0 if is_same and share >= LEAST_SHARE else 1


def measure(
    texts: Sequence[str], workers: int = 2, repeats: int = REPEATS
) -> tuple[list[Ran], list[Ran]]:
    """Both engines over the same passages, in turn: embedded, Ray.

    Raises:
        DataError: a run does not succeed, or is too short to leave anything but start-up.
    """
    if len(texts) < 8 * workers * BLOCK_ROWS:
        raise DataError(f"--rows: {len(texts)} is too few; give {8 * workers * BLOCK_ROWS} or more")
    embedded, ray = [], []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = folder / "in.jsonl"
        with source.open("w", encoding="utf-8") as handle:
            for number, text in enumerate(texts):
                handle.write(json.dumps({"id": str(number), "text": text}) + "\n")
        for repeat in range(repeats):
            embedded.append(_score(source, folder / f"embedded{repeat}", 0))
            ray.append(_score(source, folder / f"ray{repeat}", workers))
    return embedded, ray


def _score(source: Path, out: Path, workers: int) -> Ran:
    """``workers`` 0 is the embedded engine."""
    beside = Path(sys.executable).parent / "tocsin"
    command = str(beside) if beside.exists() else shutil.which("tocsin")
    if command is None:
        raise DataError("tocsin: no such command; install the project (pip install -e .)")
    options = ["--unit", "passage", "--format", "jsonl", "--quiet", "--device", "cpu"]
    if workers:
        options += ["--engine", "ray", "--workers", str(workers)]
    started = time.perf_counter()
    ran = subprocess.run(
        [command, "score", str(source), str(out), *options],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
    )
    whole_s = time.perf_counter() - started
    if ran.returncode:
        raise DataError(f"tocsin score ended with code {ran.returncode}: {ran.stderr.strip()}")
    manifest = json.loads((out / "manifest.json").read_text("utf-8"))
    rows, seconds = manifest["counts"]["read"], manifest["timings"]["last_scoring_s"]
    if workers:
        found = re.search(r"first results after ([\d.]+) s", ran.stderr)
        assert found is not None, ran.stderr
        # By then every worker may be at the end of its first block: none of them counts.
        rows, seconds = rows - workers * BLOCK_ROWS, seconds - float(found[1])
    return Ran(
        rows=rows,
        seconds=seconds,
        start_s=whole_s - seconds,
        parts=tuple(part["sha256"] for part in manifest["parts"]),
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tocsin_eval.bench_ray", description=__doc__)
    parser.add_argument("--rows", type=int, default=ROWS, help="passages to score")
    parser.add_argument("--workers", type=int, default=2, help="workers of one core each")
    parser.add_argument("--repeats", type=int, default=REPEATS, help="runs of each engine")
    parser.add_argument("--corpus", type=Path, default=CORPUS, help="folder of labelled articles")
    return parser


if __name__ == "__main__":
    sys.exit(main())
