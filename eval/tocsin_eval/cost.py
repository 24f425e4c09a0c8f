"""What a model costs on this machine: passages and tokens a second, latency, memory, size.

    python -m tocsin_eval.cost DIRECTORY [--device D] [--threads N] [--precision P]
        [--batch-tokens N] < texts.json

Each model runs in a process of its own, so that its peak memory is its own: the texts (a JSON list)
come in on standard input and never touch the disk, the numbers go out on standard output. A runner
hands back numpy arrays, which waits for the GPU: what is timed is finished work.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from tocsin_eval.subjects import Subject, SubjectOptions
from tocsin_models.errors import ModelError, TocsinError
from tocsin_models.manifest import FILE_NAME

REPEATS = 3
# Enough calls that the 99th percentile is not the maximum.
SINGLE_CALLS = 200
# Texts that are timed: some seconds on a laptop.
MOST_TEXTS = 512
_TIME_LIMIT_S = 600


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """``passages_per_s`` and ``tokens_per_s`` are the median of ``REPEATS`` runs over ``passages``
    texts; latencies are of one passage a call, in milliseconds; memory is the process's peak
    resident set, and on a GPU torch's peak allocation beside it, in MiB; None where unknown."""

    device: str
    precision: str
    passages: int
    passages_per_s: float
    tokens_per_s: float | None
    p50_ms: float
    p99_ms: float
    peak_memory_mib: float | None
    peak_gpu_mib: float | None
    size_mb: float | None


def measure_cost(subject: Subject, texts: Sequence[str], options: SubjectOptions) -> Cost | None:
    """The cost of a subject's classifier; None where it has none that runs.

    Raises:
        ModelError: the process that measures failed.
    """
    sample = spread(texts, MOST_TEXTS)
    if subject.classifier is None or not sample:
        return None
    directory = next(iter(subject.directories), None)
    if directory is None:
        return _time(subject.classifier().score, sample, subject.classifier().info.device)
    command = [sys.executable, "-m", "tocsin_eval.cost", str(directory)]
    command += ["--device", options.device, "--precision", options.precision]
    command += ["--threads", str(options.threads)] if options.threads else []
    command += ["--batch-tokens", str(options.batch_tokens)] if options.batch_tokens else []
    try:
        ran = subprocess.run(
            command,
            input=json.dumps(sample),
            capture_output=True,
            text=True,
            encoding="utf-8",
            check=True,
            timeout=_TIME_LIMIT_S,
        )
    except subprocess.CalledProcessError as error:
        reason = error.stderr.strip().splitlines()[-1:] or ["no reason given"]
        raise ModelError(f"{subject.name}: its cost cannot be measured: {reason[0]}") from None
    except subprocess.TimeoutExpired:
        raise ModelError(
            f"{subject.name}: {len(sample)} passages took over {_TIME_LIMIT_S} s; use --no-cost"
        ) from None
    return Cost(**json.loads(ran.stdout))


def spread(texts: Sequence[str], count: int) -> list[str]:
    """``count`` texts evenly spaced over all of them."""
    count = min(count, len(texts))
    return [texts[index * len(texts) // count] for index in range(count)]


def _time(
    score: Callable[[Sequence[str]], Any], texts: Sequence[str], device: str, **more: Any
) -> Cost:
    score(texts[:64])
    seconds = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        score(texts)
        seconds.append(time.perf_counter() - started)
    singles = []
    for number in range(SINGLE_CALLS):
        started = time.perf_counter()
        score([texts[number % len(texts)]])
        singles.append(1000 * (time.perf_counter() - started))
    p50, p99 = np.percentile(singles, [50, 99])
    tokens = more.pop("tokens", None)
    facts: Mapping[str, Any] = {
        "precision": "",
        "peak_memory_mib": None,
        "peak_gpu_mib": None,
        "size_mb": None,
        **more,
    }
    return Cost(
        device=device,
        passages=len(texts),
        passages_per_s=len(texts) / median(seconds),
        tokens_per_s=tokens / median(seconds) if tokens else None,
        p50_ms=float(p50),
        p99_ms=float(p99),
        **facts,
    )


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tocsin_eval.cost")
    parser.add_argument("directory", type=Path)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--batch-tokens", type=int)
    options = parser.parse_args(arguments)
    texts = json.load(sys.stdin)
    try:
        cost = _measure(options, texts)
    except TocsinError as error:
        print(error, file=sys.stderr)
        return 2
    print(json.dumps(asdict(cost)))
    return 0


def _measure(options: argparse.Namespace, texts: Sequence[str]) -> Cost:
    from tocsin_models.classifier import load_classifier
    from tocsin_models.plain import load_plain_classifier

    how = {
        "device": options.device,
        "threads": options.threads,
        "precision": options.precision,
    }
    directory: Path = options.directory
    if (directory / FILE_NAME).is_file():
        classifier = load_classifier(directory, **how)
    else:
        classifier = load_plain_classifier(str(directory), **how)
    classifier.batch_tokens = options.batch_tokens or classifier.batch_tokens
    tokens = sum(len(window.ids) for window in classifier.cut(texts))
    info = classifier.info
    cost = _time(classifier.score, texts, info.device, tokens=tokens, precision=info.precision)
    size = sum(path.stat().st_size for path in directory.iterdir() if path.is_file())
    measured = {"peak_memory_mib": peak_memory_mib(), "peak_gpu_mib": _gpu_peak(info.device)}
    return Cost(**(asdict(cost) | measured | {"size_mb": size / 1e6}))


def peak_memory_mib() -> float:
    """The most memory that this process had resident."""
    status = Path("/proc/self/status")
    for line in status.read_text().splitlines() if status.exists() else ():
        # Not ru_maxrss: on Linux a process starts with the peak of the one that started it.
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / (1 << 10)
    # Counted in KiB on Linux, in bytes on macOS.
    unit = 1 << 20 if sys.platform == "darwin" else 1 << 10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def _gpu_peak(device: str) -> float | None:
    if device != "cuda":
        return None
    import torch

    return float(torch.cuda.max_memory_allocated() / (1 << 20))


if __name__ == "__main__":
    sys.exit(main())
