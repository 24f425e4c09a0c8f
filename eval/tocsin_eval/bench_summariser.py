"""How fast the extractive summariser reads, beside the classifier and beside plain torch.

    make bench-summariser    or   python -m tocsin_eval.bench_summariser [--summariser DIR]

Exit code 1 where, in one run, it reads less than 0.85 times as many tokens a second as the
classifier in the same precision, or fewer than 4 times as many articles a second as the same
network in torch float32, one article at a time (the targets of issue 7).
"""

import argparse
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, cast

import numpy as np
import numpy.typing as npt
from rich import box
from rich.console import Console
from rich.table import Table

from tocsin_eval.bench import each
from tocsin_eval.data import read_passages
from tocsin_eval.provenance import available_cores, data_source, describe_run
from tocsin_models.backends import Arrays, Precision, TorchRunner
from tocsin_models.classifier import load_classifier
from tocsin_models.cleaning import clean
from tocsin_models.errors import DataError, TocsinError
from tocsin_models.manifest import EMBEDDED, read_manifest
from tocsin_models.protocols import Limits
from tocsin_models.records import Article, Paragraph
from tocsin_models.summariser import load_summariser, summariser_network
from tocsin_models.tokens import TextTokenizer
from tocsin_models.windows import to_arrays

LEAST_OF_CLASSIFIER = 0.85
LEAST_OF_TORCH = 4.0

CORPUS = Path("training/corpus")
ARTICLES = 150
# One article at a time in float32 takes a tenth of a second.
TORCH_ARTICLES = 30
REPEATS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """Seconds of each repeat, the systems in turn. Tokens are those of the text: what is padding
    or is a special token is not counted."""

    articles: int
    tokens: int
    torch_articles: int
    precision: str
    classifier_s: tuple[float, ...]
    classifier_tokens: int
    summariser_s: tuple[float, ...]
    torch_s: tuple[float, ...]

    @property
    def of_classifier(self) -> float:
        ours = self.tokens / median(self.summariser_s)
        return ours / (self.classifier_tokens / median(self.classifier_s))

    @property
    def of_torch(self) -> float:
        ours = self.articles / median(self.summariser_s)
        return ours / (self.torch_articles / median(self.torch_s))


def main(arguments: Sequence[str] | None = None) -> int:
    words = list(sys.argv[1:] if arguments is None else arguments)
    options = _parser().parse_args(words)
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    console = Console(width=160, highlight=False)
    try:
        files = sorted(options.corpus.glob("*.jsonl"))
        rows = read_passages(files) if files else []
        if not rows:
            raise DataError(f"{options.corpus}: no *.jsonl there; run this in the repository")
        texts: dict[str, list[str]] = {}
        for row in rows:
            texts.setdefault(row.article, []).append(row.text)
        articles = ["\n\n".join(parts) for parts in texts.values()]
        chosen = [articles[i * len(articles) // ARTICLES] for i in range(ARTICLES)]
        with Console(stderr=True).status(f"reading {ARTICLES} articles {REPEATS} times, by three"):
            reading = measure(options.summariser or EMBEDDED["summariser"], chosen)
    except TocsinError as error:
        print(f"tocsin_eval.bench_summariser: {error}", file=sys.stderr)
        return 2
    _print(console, reading)
    if load is not None:
        console.print(
            f"load      {load:.1f} before the run; other processes make every figure worse"
        )
    manifest = read_manifest(options.summariser or EMBEDDED["summariser"])
    describe_run(
        ["python", "-m", "tocsin_eval.bench_summariser", *words],
        [data_source("articles", files, reading.articles)],
        0,
        {manifest.name: manifest.revision},
    ).print(console)
    problems = failures(reading)
    for problem in problems:
        console.print(f"FAILED: {problem}", soft_wrap=True)
    return 1 if problems else 0


def measure(directory: Path, texts: Sequence[str]) -> Reading:
    """Read the articles with each system on this machine's CPU, in turn, in one process.

    The classifier reads their paragraphs, the summariser the articles, both set up for throughput
    as in ``tocsin score``; torch runs the summariser's network as it was trained.
    """
    manifest = read_manifest(directory)
    summariser = load_summariser(directory, device="cpu", hint="throughput")
    precision = cast(Precision, summariser.info.precision)
    classifier = load_classifier(device="cpu", precision=precision, hint="throughput")
    plain = TorchRunner(summariser_network(directory, manifest).build(), "cpu")
    tokenizer = TextTokenizer(directory)

    articles = [clean(Article(id=str(i), text=text)).paragraphs for i, text in enumerate(texts)]
    passages = [paragraph.text for paragraphs in articles for paragraph in paragraphs]
    limits = [Limits()] * len(articles)
    special = len(classifier.cut([""])[0].ids)
    few = articles[:: max(1, len(articles) // TORCH_ARTICLES)]

    def one_by_one(some: Sequence[Sequence[Paragraph]]) -> list[npt.NDArray[np.float32]]:
        inputs: list[Arrays] = [
            to_arrays([group], tokenizer, manifest.max_tokens)
            for paragraphs in some
            for group in summariser.read(paragraphs).groups
        ]
        return [plain.run(arrays) for arrays in inputs]

    systems: list[Callable[[], Any]] = [
        lambda: classifier.score(passages),
        lambda: summariser.summarise_many(articles, limits),
        lambda: one_by_one(few),
    ]
    seconds: list[list[float]] = [[], [], []]
    for system in systems:
        system()  # kernels are compiled for each shape that comes
    for _ in range(REPEATS):
        for index, system in enumerate(systems):
            started = time.perf_counter()
            system()
            seconds[index].append(time.perf_counter() - started)
    return Reading(
        articles=len(articles),
        tokens=sum(
            len(window.ids)
            for paragraphs in articles
            for group in summariser.read(paragraphs).groups
            for window in group
        ),
        torch_articles=len(few),
        precision=precision,
        classifier_s=tuple(seconds[0]),
        classifier_tokens=sum(len(window.ids) - special for window in classifier.cut(passages)),
        summariser_s=tuple(seconds[1]),
        torch_s=tuple(seconds[2]),
    )


def failures(reading: Reading) -> list[str]:
    """What misses its target, a line each."""
    problems = []
    if reading.of_classifier < LEAST_OF_CLASSIFIER:
        problems.append(
            f"{reading.of_classifier:.2f} of the classifier's tokens a second, target "
            f"{LEAST_OF_CLASSIFIER}"
        )
    if reading.of_torch < LEAST_OF_TORCH:
        problems.append(
            f"{reading.of_torch:.2f} times torch one by one, target {LEAST_OF_TORCH:.0f}"
        )
    return problems


def _print(console: Console, reading: Reading) -> None:
    table = Table(box=box.MARKDOWN)
    for heading in ("what", "measured", "repeats"):
        table.add_column(heading, no_wrap=True)
    classifier, ours = median(reading.classifier_s), median(reading.summariser_s)
    torch = median(reading.torch_s)
    for what, measured, repeats in (
        (
            f"classifier, {reading.precision}",
            f"{reading.classifier_tokens / classifier:,.0f} tokens/s",
            each(reading.classifier_s),
        ),
        (
            f"summariser, {reading.precision}",
            f"{reading.tokens / ours:,.0f} tokens/s",
            each(reading.summariser_s),
        ),
        ("summariser against the classifier", f"{reading.of_classifier:.2f} times", "medians"),
        (
            "its network in torch float32, one by one",
            f"{reading.torch_articles / torch:.1f} articles/s",
            each(reading.torch_s),
        ),
        (
            f"summariser, {reading.articles} articles",
            f"{reading.articles / ours:.1f} articles/s",
            "cutting and choosing included",
        ),
        ("summariser against torch", f"{reading.of_torch:.2f} times", "medians"),
        ("cores", str(available_cores()), ""),
    ):
        table.add_row(what, measured, repeats)
    console.print(table)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tocsin_eval.bench_summariser",
        description="Measure how fast the summariser reads on this machine's CPU.",
    )
    parser.add_argument("--summariser", type=Path, help="its directory (default: the embedded)")
    parser.add_argument("--corpus", type=Path, default=CORPUS, help="folder of *.jsonl")
    return parser


if __name__ == "__main__":
    sys.exit(main())
