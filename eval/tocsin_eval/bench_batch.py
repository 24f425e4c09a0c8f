"""``tocsin score`` beside what people write today: ``datasets.map`` with the pipeline.

    make bench-batch      or   python -m tocsin_eval.bench_batch [--rows N] [--memory-mb 10 1000]

Both score the same passages with the same model on the CPU. Ours is the real process, from the
shell: start-up, which is what a run over a single row takes, is taken off, as building the pipeline
is not counted either; the ratio with both in stands below. Rows are enough for ten seconds of ours,
in which it meets most of the shapes that it compiles kernels for. Exit code 1 where it is less
than six times as fast, or where its memory passes 1.2 GiB (the targets of issue 5).
"""

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import psutil  # type: ignore[import-untyped]
from rich import box
from rich.console import Console
from rich.table import Table

from tocsin_eval.bench import CORPUS, each, spread
from tocsin_eval.data import read_passages
from tocsin_eval.provenance import available_cores, data_source, describe_run
from tocsin_models.errors import DataError, TocsinError
from tocsin_models.manifest import EMBEDDED, Manifest, hash_files, read_manifest, write_manifest

LEAST_RATIO = 6.0
MOST_MEMORY_MIB = 1.2 * 1024
BATCH_SIZE = 32
ROWS = 4_000
REPEATS = 3
# Megabytes of input with the default model, and with a tiny one that gets through so many.
MEMORY_MB = (10, 1_000)
# What a row of the tiny model's input carries along: without it a gigabyte is five million
# passages, and tokenising them takes half an hour.
CARRIED_BYTES = 4_000
_LOOK_EVERY_S = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """Wall seconds of each repeat, ours and theirs taken in turn. ``start_s`` are of ours with one
    row and of building the pipeline; ``largest_difference`` is of a probability."""

    rows: int
    ours_s: tuple[float, ...]
    our_start_s: tuple[float, ...]
    pipeline_s: tuple[float, ...]
    pipeline_start_s: float
    pipeline_threads: int
    largest_difference: float

    @property
    def ours_per_s(self) -> float:
        return self.rows / (median(self.ours_s) - median(self.our_start_s))

    @property
    def pipeline_per_s(self) -> float:
        return self.rows / median(self.pipeline_s)

    @property
    def ratio(self) -> float:
        return self.ours_per_s / self.pipeline_per_s

    @property
    def ratio_with_start(self) -> float:
        return (median(self.pipeline_s) + self.pipeline_start_s) / median(self.ours_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class Peak:
    """Most memory that a run held at a time, over an input of ``input_mb`` megabytes."""

    model: str
    input_mb: float
    rows: int
    seconds: float
    memory_mib: float


def main(arguments: Sequence[str] | None = None) -> int:
    words = list(sys.argv[1:] if arguments is None else arguments)
    options = _parser().parse_args(words)
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    console = Console(width=160, highlight=False)
    progress = Console(stderr=True)
    peaks: list[Peak] = []
    try:
        files = sorted(options.corpus.glob("*.jsonl"))
        passages = read_passages(files) if files else []
        if not passages:
            raise DataError(f"{options.corpus}: no *.jsonl there; run this in the repository")
        texts = spread(passages, options.rows)
        with progress.status(f"scoring {len(texts)} rows {REPEATS} times, with both"):
            rates = measure_rates(texts, options.threads)
        with tempfile.TemporaryDirectory() as folder:
            default_mb, tiny_mb = options.memory_mb
            with progress.status(f"memory: {default_mb} MB with the default model"):
                peaks.append(measure_peak(None, texts, default_mb, Path(folder) / "default"))
            tiny = build_tiny_model(Path(folder) / "tiny-model")
            with progress.status(f"memory: {tiny_mb} MB with a tiny model"):
                peaks.append(measure_peak(tiny, texts, tiny_mb, Path(folder) / "tiny"))
    except TocsinError as error:
        print(f"tocsin_eval.bench_batch: {error}", file=sys.stderr)
        return 2
    _print(console, rates, peaks)
    if load is not None:
        console.print(
            f"load      {load:.1f} before the run; other processes make every figure worse"
        )
    manifest = read_manifest(EMBEDDED["classifier"], check_hashes=False)
    source = data_source("passages", files, rates.rows)
    models = {manifest.name: manifest.revision}
    command = ["python", "-m", "tocsin_eval.bench_batch", *words]
    describe_run(command, [source], 0, models).print(console)
    problems = failures(rates, peaks)
    for problem in problems:
        console.print(f"FAILED: {problem}", soft_wrap=True)
    return 1 if problems else 0


def measure_rates(texts: Sequence[str], threads: int | None = None) -> Rates:
    """Both systems over the same rows, in turn.

    The pipeline runs in float32: the weights are stored in float16, in which transformers would
    run at a third of its speed on a CPU.

    Raises:
        DataError: ``tocsin score`` does not succeed.
    """
    import datasets
    import torch

    datasets.disable_progress_bars()
    started = time.perf_counter()
    pipeline = _pipeline()
    pipeline_start_s = time.perf_counter() - started
    dataset = datasets.Dataset.from_dict({"text": list(texts)})
    ours_s, our_start_s, pipeline_s = [], [], []
    found: list[dict[str, float]] = []
    theirs: Any = None

    def label(batch: Any) -> dict[str, Any]:
        return {"labels": pipeline(batch["text"], batch_size=BATCH_SIZE)}

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        one = _write_rows(folder / "one.jsonl", texts[:1])
        source = _write_rows(folder / "in.jsonl", texts)
        _score(one, folder / "warm-up", threads)
        for repeat in range(REPEATS):
            our_start_s.append(_score(one, folder / f"one{repeat}", threads).seconds)
            ours_s.append(_score(source, folder / f"out{repeat}", threads).seconds)
            started = time.perf_counter()
            # Nothing is taken from the cache, in memory or on disk.
            theirs = dataset.map(
                label,
                batched=True,
                batch_size=BATCH_SIZE,
                load_from_cache_file=False,
                keep_in_memory=True,
                new_fingerprint=f"repeat{repeat}",
            )
            pipeline_s.append(time.perf_counter() - started)
        lines = (folder / "out0" / "part-00000.jsonl").read_text("utf-8").splitlines()
        found = [json.loads(line)["scores"] for line in lines]
    differences = [
        abs(item["score"] - ours[item["label"]])
        for ours, row in zip(found, theirs["labels"], strict=True)
        for item in row
    ]
    return Rates(
        rows=len(texts),
        ours_s=tuple(ours_s),
        our_start_s=tuple(our_start_s),
        pipeline_s=tuple(pipeline_s),
        pipeline_start_s=pipeline_start_s,
        pipeline_threads=torch.get_num_threads(),
        largest_difference=max(differences),
    )


def measure_peak(model: Path | None, texts: Sequence[str], input_mb: float, folder: Path) -> Peak:
    """``tocsin score`` over so many megabytes of the texts, again and again.

    Raises:
        DataError: it does not succeed.
    """
    folder.mkdir()
    source = folder / "in.jsonl"
    rows = _fill(source, texts, round(input_mb * 1e6), 0 if model is None else CARRIED_BYTES)
    ran = _score(source, folder / "out", None, model)
    source.unlink()
    return Peak(
        model="default" if model is None else "tiny",
        input_mb=input_mb,
        rows=rows,
        seconds=ran.seconds,
        memory_mib=ran.memory_mib,
    )


def failures(rates: Rates, peaks: Iterable[Peak]) -> list[str]:
    """What misses its target, a line each."""
    problems = []
    if rates.ratio < LEAST_RATIO:
        problems.append(f"scoring is {rates.ratio:.2f} times the pipeline, target {LEAST_RATIO}")
    problems += [
        f"{peak.input_mb:g} MB with the {peak.model} model took {peak.memory_mib:.0f} MiB, target "
        f"at most {MOST_MEMORY_MIB:.0f}"
        for peak in peaks
        if peak.memory_mib > MOST_MEMORY_MIB
    ]
    return problems


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ran:
    seconds: float
    memory_mib: float


def _score(source: Path, out: Path, threads: int | None, model: Path | None = None) -> _Ran:
    beside = Path(sys.executable).parent / "tocsin"
    command = str(beside) if beside.exists() else shutil.which("tocsin")
    if command is None:
        raise DataError("tocsin: no such command; install the project (pip install -e .)")
    options = ["--unit", "passage", "--format", "jsonl", "--quiet", "--device", "cpu"]
    options += ["--threads", str(threads)] if threads else []
    options += ["--model", str(model)] if model else []
    started = time.perf_counter()
    memory_bytes = 0
    with psutil.Popen([command, "score", str(source), str(out), *options]) as process:
        while process.poll() is None:
            # What wait4 tells of a child counts this process's own memory in.
            with suppress(psutil.Error):
                memory_bytes = max(memory_bytes, process.memory_info().rss)
            with suppress(psutil.TimeoutExpired):
                process.wait(_LOOK_EVERY_S)
    seconds = time.perf_counter() - started
    if process.returncode:
        raise DataError(f"tocsin score ended with code {process.returncode}")
    return _Ran(seconds=seconds, memory_mib=memory_bytes / 2**20)


def _write_rows(path: Path, texts: Iterable[str]) -> Path:
    lines = (json.dumps({"id": str(n), "text": text}) + "\n" for n, text in enumerate(texts))
    with path.open("w", encoding="utf-8") as handle:
        handle.writelines(lines)
    return path


def _fill(path: Path, texts: Sequence[str], size_bytes: int, carried_bytes: int) -> int:
    written = rows = 0
    page = "x" * carried_bytes
    with path.open("w", encoding="utf-8") as handle:
        while written < size_bytes:
            row = {"id": str(rows), "text": texts[rows % len(texts)], "page": page}
            line = json.dumps(row) + "\n"
            written += handle.write(line)
            rows += 1
    return rows


def _pipeline() -> Any:
    # The directory is all that is needed; without this the library may still ask the Hub about it.
    os.environ["HF_HUB_OFFLINE"] = "1"
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    import torch
    import transformers

    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    where = str(EMBEDDED["classifier"])
    return transformers.pipeline(
        "text-classification",
        model=where,
        tokenizer=where,
        dtype=torch.float32,
        device="cpu",
        top_k=None,
        function_to_apply="sigmoid",
    )


def build_tiny_model(folder: Path) -> Path:
    """A classifier of one thin layer with random weights: what is left to measure is the rest."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers
    from transformers import BertConfig, BertForSequenceClassification

    embedded = read_manifest(EMBEDDED["classifier"], check_hashes=False)
    folder.mkdir()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(vocab_size=200, special_tokens=special)
    tokenizer.train_from_iterator(["The ministry denied arming the group."], trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=1,
        intermediate_size=8,
        max_position_embeddings=512,
        problem_type="multi_label_classification",
        id2label=dict(enumerate(embedded.labels)),
        label2id={label: number for number, label in enumerate(embedded.labels)},
    )
    BertForSequenceClassification(config).save_pretrained(folder)
    manifest = Manifest(
        name="tiny",
        task="classifier",
        max_tokens=512,
        languages=("en",),
        base="random",
        licence="Apache-2.0",
        files=hash_files(folder),
        labels=embedded.labels,
        thresholds=dict.fromkeys(embedded.labels, 0.5),
    )
    write_manifest(folder, manifest)
    return folder


def _print(console: Console, rates: Rates, peaks: Iterable[Peak]) -> None:
    table = Table(box=box.MARKDOWN)
    for heading in ("what", "measured", "how"):
        table.add_column(heading, no_wrap=True)
    theirs = f"datasets.map, transformers pipeline, float32, batch {BATCH_SIZE}"
    for what, measured, how in (
        (theirs, f"{rates.pipeline_per_s:.0f} rows/s", each(rates.pipeline_s)),
        ("tocsin score --unit passage", f"{rates.ours_per_s:.0f} rows/s", each(rates.ours_s)),
        ("tocsin score against the pipeline", f"{rates.ratio:.2f} times", "without start-up"),
        ("  the same", f"{rates.ratio_with_start:.2f} times", "with the start-up of both"),
        (
            "  start-up of tocsin score, taken off",
            f"{median(rates.our_start_s):.2f} s",
            f"a run over one row, {each(rates.our_start_s)}",
        ),
        ("  building the pipeline, not counted", f"{rates.pipeline_start_s:.2f} s", "imports too"),
        ("largest difference of a probability", f"{rates.largest_difference:.4f}", ""),
        *(
            (
                f"peak memory, {peak.input_mb:g} MB, {peak.model} model",
                f"{peak.memory_mib:.0f} MiB",
                f"{peak.rows:,} rows in {peak.seconds:.0f} s"
                + (f", each carries {CARRIED_BYTES:,} bytes along" if peak.model == "tiny" else ""),
            )
            for peak in peaks
        ),
        ("threads, pipeline", str(rates.pipeline_threads), f"{available_cores()} cores to run on"),
    ):
        table.add_row(what, measured, how)
    console.print(table)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tocsin_eval.bench_batch",
        description="Measure tocsin score on this machine's CPU.",
    )
    parser.add_argument("--rows", type=int, default=ROWS, help="how many passages are scored")
    parser.add_argument("--threads", type=int, help="CPU threads for tocsin (default: all cores)")
    parser.add_argument("--corpus", type=Path, default=CORPUS, help="folder of *.jsonl")
    parser.add_argument(
        "--memory-mb",
        type=float,
        nargs=2,
        default=MEMORY_MB,
        metavar=("DEFAULT", "TINY"),
        help="megabytes of input for the default and for the tiny model",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
