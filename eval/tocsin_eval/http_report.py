"""What the HTTP benchmarks share: options, the corpus, tables, targets, where it was measured."""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from tocsin_eval.bootstrap import RESAMPLES
from tocsin_eval.data import LabelledPassage, read_passages
from tocsin_eval.http_requests import pick_passages
from tocsin_eval.http_stats import Estimate
from tocsin_eval.provenance import data_source, describe_run
from tocsin_models.errors import DataError, TocsinError
from tocsin_models.manifest import EMBEDDED, read_manifest

CORPUS = Path("training/corpus")
PACKAGES = ("aiohttp", "bentoml", "fastapi", "pydantic", "starlette", "uvicorn", "uvloop")

# The targets of issue 3 are for two cores, with the load generator on them.
CORES = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """``measured`` and ``wanted`` are what a person reads, with their units."""

    what: str
    measured: str
    wanted: str
    is_met: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """One run of a benchmark: ``texts`` are the passages of about fifty tokens of ``rows``."""

    options: argparse.Namespace
    rows: Sequence[LabelledPassage]
    texts: Sequence[str]
    console: Console
    progress: Console

    def say(self, message: str) -> None:
        """Progress, which goes to standard error."""
        self.progress.print(message, markup=False)

    def table(self, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        table = Table(box=box.MARKDOWN)
        for heading in headings:
            table.add_column(heading, no_wrap=True)
        for row in rows:
            table.add_row(*row)
        self.console.print(table, markup=False)

    def line(self, name: str, text: str) -> None:
        self.console.print(f"{name:<9} {text}", soft_wrap=True, markup=False)

    @property
    def draws(self) -> dict[str, Any]:
        """What every interval of this run is drawn with."""
        return {"seed": self.options.seed, "resamples": self.options.resamples}


def run_bench(
    module: str,
    parser: argparse.ArgumentParser,
    measure: Callable[[Bench], list[Target]],
    arguments: Sequence[str] | None,
) -> int:
    """Measure, print, and say by the exit code whether every target was met (0), one was missed
    (1), or nothing could be measured (2)."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    options = parser.parse_args(words)
    load = os.getloadavg()[0]
    keep_to_cores(options.cores)
    console = Console(width=260, highlight=False)
    try:
        files = sorted(options.corpus.glob("*.jsonl"))
        if not files:
            raise DataError(f"{options.corpus}: no *.jsonl there; run this in the repository")
        rows = read_passages(files)
        model = options.model or EMBEDDED["classifier"]
        manifest = read_manifest(model)
        bench = Bench(
            options=options,
            rows=rows,
            texts=pick_passages(rows, model, options.seed),
            console=console,
            progress=Console(stderr=True, highlight=False),
        )
        targets = measure(bench)
    except TocsinError as error:
        print(f"{module}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"{module}: interrupted; what was started is stopped", file=sys.stderr)
        return 130
    bench.table(
        ("target", "measured", "wanted", "met"),
        [(one.what, one.measured, one.wanted, "yes" if one.is_met else "NO") for one in targets],
    )
    bench.line("load", f"{load:.1f} before the run; other processes make every figure worse")
    run = describe_run(
        ["python", "-m", module, *words],
        [data_source("passages", files, len(bench.texts))],
        options.seed,
        {manifest.name: manifest.revision},
    )
    replace(run, versions=run.versions | _versions()).print(console)
    missed = failures(targets)
    for problem in missed:
        console.print(f"FAILED: {problem}", soft_wrap=True, markup=False)
    return 1 if missed else 0


def failures(targets: Sequence[Target]) -> list[str]:
    """What misses its target, a line each."""
    return [f"{one.what}: {one.measured}, target {one.wanted}" for one in targets if not one.is_met]


def at_least(what: str, found: Estimate, bound: float, form: str = "{:.2f}") -> Target:
    return Target(
        what=what,
        measured=estimate(found, form),
        wanted=f"at least {form.format(bound)}",
        is_met=found.value >= bound,
    )


def at_most(what: str, found: Estimate, bound: float, form: str = "{:.2f}") -> Target:
    return Target(
        what=what,
        measured=estimate(found, form),
        wanted=f"at most {form.format(bound)}",
        is_met=found.value <= bound,
    )


def estimate(found: Estimate, form: str = "{:.2f}") -> str:
    """The value with its 95% interval."""
    ends = found.interval
    return f"{form.format(found.value)} ({form.format(ends.low)} to {form.format(ends.high)})"


def milliseconds(found: Estimate) -> str:
    return estimate(found.times(1e3), "{:,.1f}")


def bench_parser(module: str, description: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=f"python -m {module}", description=description)
    parser.add_argument("--model", type=Path, help="classifier directory (default: the embedded)")
    parser.add_argument("--threads", type=int, help="CPU threads for tocsin (default: all cores)")
    parser.add_argument("--corpus", type=Path, default=CORPUS, help="folder of *.jsonl")
    parser.add_argument("--cores", type=int, default=CORES, help="cores that everything runs on")
    parser.add_argument("--seed", type=int, default=0, help="of arrivals and intervals")
    parser.add_argument("--resamples", type=int, default=RESAMPLES, help="for the intervals")
    return parser


def keep_to_cores(cores: int) -> None:
    """Keep this process and all it starts to so many cores, where the system can."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])


def _versions() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
