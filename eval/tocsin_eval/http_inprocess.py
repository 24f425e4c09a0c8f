"""Batch throughput without HTTP, in a process of its own as the server has one.

python -m tocsin_eval.http_inprocess < JOB.json      (``score_apart`` starts it so)
"""

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from tocsin_models.classifier import load_classifier
from tocsin_models.errors import DataError

REPEATS = 3


def score_apart(texts: Sequence[str], model: Path | None, threads: int | None) -> list[float]:
    """Seconds of each scoring of all texts in one call, after one of the first of them.

    Raises:
        DataError: the process did not succeed.
    """
    job = {"texts": [*texts], "model": model and str(model), "threads": threads}
    done = subprocess.run(
        [sys.executable, "-m", "tocsin_eval.http_inprocess"],
        input=json.dumps(job).encode(),
        stdout=subprocess.PIPE,
        check=False,
    )
    if done.returncode:
        raise DataError(f"scoring in a process of its own ended with code {done.returncode}")
    seconds: list[float] = json.loads(done.stdout)
    return seconds


def main() -> int:
    job = json.load(sys.stdin)
    model = Path(job["model"]) if job["model"] else None
    classifier = load_classifier(model, device="cpu", threads=job["threads"])
    classifier.score(job["texts"][:256])
    seconds = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        classifier.score(job["texts"])
        seconds.append(time.perf_counter() - started)
    print(json.dumps(seconds))
    return 0


if __name__ == "__main__":
    sys.exit(main())
