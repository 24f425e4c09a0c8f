"""What ``bench`` measures: scoring beside the pipeline, a start from the shell, the machine."""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from tocsin_models.classifier import load_classifier
from tocsin_models.errors import DataError
from tocsin_models.manifest import EMBEDDED
from tocsin_models.records import ModelInfo

REPEATS = 3
STARTS = 5
HEAVY = ("torch", "transformers")

# Matrices of this side: 17 GFLOP a product, large enough to reach the machine's best rate.
_SIDE = 2_048


@dataclass(frozen=True, slots=True, kw_only=True)
class Scoring:
    """Seconds of each repeat over the same passages, ours and the pipeline's, taken in turn.

    ``pipeline_dtype`` is what its weights were in; ``largest_difference`` is of a probability.
    """

    passages: int
    tokens: int
    precision: str
    ours_s: tuple[float, ...]
    pipeline_s: tuple[float, ...]
    pipeline_dtype: str
    pipeline_threads: int
    largest_difference: float
    flops: float

    @property
    def ratio(self) -> float:
        return median(self.pipeline_s) / median(self.ours_s)


def measure_scoring(
    directory: Path | None, texts: Sequence[str], threads: int | None
) -> tuple[Scoring, ModelInfo]:
    """Both systems on the CPU in one process, in turn; also which model it was.

    The pipeline runs at its defaults (one text a call), but in float32: the weights are stored in
    float16, in which transformers would run at a third of its speed on a CPU.
    """
    classifier = load_classifier(directory, device="cpu", threads=threads)
    where = directory or EMBEDDED["classifier"]
    pipeline = _pipeline(where)
    systems: list[Callable[[Sequence[str]], Any]] = [
        classifier.score,
        lambda batch: pipeline(list(batch)),
    ]
    for system in systems:
        system(texts[:64])
    seconds: list[list[float]] = [[], []]
    answers: list[Any] = [None, None]
    for _ in range(REPEATS):
        for index, system in enumerate(systems):
            started = time.perf_counter()
            answers[index] = system(texts)
            seconds[index].append(time.perf_counter() - started)

    import torch

    by_label = [{item["label"]: item["score"] for item in row} for row in answers[1]]
    theirs = np.array([[row[label] for label in classifier.labels] for row in by_label])
    lengths = [len(ids) for ids in pipeline.tokenizer(list(texts))["input_ids"]]
    shape = read_shape(where)
    scoring = Scoring(
        passages=len(texts),
        tokens=sum(lengths),
        precision=classifier.info.precision,
        ours_s=tuple(seconds[0]),
        pipeline_s=tuple(seconds[1]),
        pipeline_dtype=str(pipeline.model.dtype).removeprefix("torch."),
        pipeline_threads=torch.get_num_threads(),
        largest_difference=float(np.abs(answers[0].probabilities - theirs).max()),
        flops=float(sum(length * shape.flops_per_token(length) for length in lengths)),
    )
    return scoring, classifier.info


def _pipeline(directory: Path) -> Any:
    # The directory is all that is needed; without this the library may still ask the Hub about it.
    os.environ["HF_HUB_OFFLINE"] = "1"
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    import torch
    import transformers

    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    return transformers.pipeline(
        "text-classification",
        model=str(directory),
        tokenizer=str(directory),
        dtype=torch.float32,
        device="cpu",
        top_k=None,
        function_to_apply="sigmoid",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What decides the arithmetic of an encoder: weights that every token is multiplied with."""

    weights: int
    layers: int
    hidden: int

    def flops_per_token(self, length: int) -> float:
        """Operations for one token of a text of ``length`` tokens, an addition and a product each
        counted: two a weight, and four a layer, position and channel for attention."""
        return 2.0 * self.weights + 4.0 * self.layers * self.hidden * length


def read_shape(directory: Path) -> Shape:
    """The shape of a model directory; look-ups and what runs once a text are left out."""
    from safetensors import safe_open

    config = json.loads((directory / "config.json").read_text(encoding="utf-8"))
    weights = 0
    with safe_open(str(directory / "model.safetensors"), framework="np") as tensors:
        for name in tensors.keys():  # noqa: SIM118 - not a mapping, it only has keys()
            sides = tensors.get_slice(name).get_shape()
            if len(sides) == 2 and not re.search("embed|pooler|classifier|head", name):
                weights += sides[0] * sides[1]
    return Shape(weights=weights, layers=config["num_hidden_layers"], hidden=config["hidden_size"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """Wall seconds of ``tocsin analyse`` on one article from the shell, the first run left out;
    ``heavy`` names the libraries of ``HEAVY`` that it imported."""

    seconds: tuple[float, ...]
    heavy: tuple[str, ...]


def measure_start(text: str) -> Start:
    """``tocsin analyse FILE`` as a person at a shell runs it, its cache filled by a first run.

    Raises:
        DataError: the command is not installed, or does not succeed.
    """
    beside = Path(sys.executable).parent / "tocsin"
    command = str(beside) if beside.exists() else shutil.which("tocsin")
    if command is None:
        raise DataError("tocsin: no such command; install the project (pip install -e .)")
    with tempfile.TemporaryDirectory() as folder:
        article = Path(folder) / "article.txt"
        article.write_text(text, encoding="utf-8")
        _run([command, "analyse", str(article)])
        seconds = []
        for _ in range(STARTS):
            started = time.perf_counter()
            _run([command, "analyse", str(article)])
            seconds.append(time.perf_counter() - started)
        told = _run([sys.executable, "-X", "importtime", command, "analyse", str(article)])
    return Start(seconds=tuple(seconds), heavy=imported(told, HEAVY))


def imported(importtime: str, libraries: Sequence[str]) -> tuple[str, ...]:
    """Which libraries stand in what ``python -X importtime`` printed, whole or in part."""
    lines = [line.rpartition("|")[2].strip() for line in importtime.splitlines() if "|" in line]
    found = {line.partition(".")[0] for line in lines}
    return tuple(library for library in libraries if library in found)


def _run(command: Sequence[str]) -> str:
    """What a command wrote on standard error."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:]
        raise DataError(f"tocsin analyse ended with code {done.returncode}: {''.join(last)[:300]}")
    return done.stderr


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """Best rate of a large matrix product here, in floating-point operations a second."""

    numpy_f32: float
    torch_f32: float
    torch_bf16: float

    def of(self, precision: str) -> float:
        """What scoring in this precision can reach at most; VNNI does twice the products of bf16,
        and neither numpy nor torch has a plain int8 product to measure that with."""
        rates = {"int8": 2 * self.torch_bf16, "bf16": self.torch_bf16}
        return rates.get(precision, max(self.numpy_f32, self.torch_f32))


def measure_limit() -> Limit:
    """Best of five products of square matrices, with the threads each library takes by itself."""
    import torch

    left = np.random.default_rng(0).standard_normal((_SIDE, _SIDE), dtype=np.float32)
    wide = torch.from_numpy(left)
    narrow = wide.to(torch.bfloat16)
    return Limit(
        numpy_f32=_rate(lambda: left @ left),
        torch_f32=_rate(lambda: wide @ wide),
        torch_bf16=_rate(lambda: narrow @ narrow),
    )


def _rate(product: Callable[[], Any]) -> float:
    product()
    best = float("inf")
    for _ in range(5):
        started = time.perf_counter()
        product()
        best = min(best, time.perf_counter() - started)
    return 2.0 * _SIDE**3 / best
