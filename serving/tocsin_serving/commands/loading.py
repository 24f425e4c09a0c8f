"""The models that a command reads with, loaded side by side."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tocsin_models.backends import Hint
    from tocsin_models.protocols import Classifier, Summariser
    from tocsin_serving.archive.asked import Asked
    from tocsin_serving.archive.scoring import Models


def load_both(
    classifier: Path | None,
    summariser: Path | None,
    device: str,
    threads: int | None,
    hint: "Hint" = "latency",
) -> "tuple[Classifier, Summariser]":
    """Both models at once: hashing and compiling leave Python's lock, so a start on two cores is
    a quarter of a second shorter."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(max_workers=2) as pool:
        first = pool.submit(_load_classifier, classifier, device, threads, hint)
        second = pool.submit(_load_summariser, summariser, device, threads, hint)
        return first.result(), second.result()


def load_models(
    asked: "Asked", model: Path | None, summariser: Path | None, device: str, threads: int | None
) -> "Models":
    """The models that a run over an archive needs."""
    from tocsin_serving.archive.scoring import Models

    if asked.needs_classifier and asked.needs_summariser:
        both = load_both(model, summariser, device, threads, "throughput")
        return Models(classifier=both[0], summariser=both[1])
    return Models(
        classifier=_load_classifier(model, device, threads, "throughput")
        if asked.needs_classifier
        else None,
        summariser=_load_summariser(summariser, device, threads, "throughput")
        if asked.needs_summariser
        else None,
    )


def _load_classifier(
    directory: Path | None, device: str, threads: int | None, hint: "Hint"
) -> "Classifier":
    from tocsin_models.classifier import load_classifier

    return load_classifier(directory, device=device, threads=threads, hint=hint)


def _load_summariser(
    directory: Path | None, device: str, threads: int | None, hint: "Hint"
) -> "Summariser":
    from tocsin_models.abstractive import open_summariser

    return open_summariser(directory, device=device, threads=threads, hint=hint)


def absolute(directory: Path | None) -> Path | None:
    """The same directory on a worker, whatever folder that runs in; a Hub id is one anywhere."""
    from tocsin_models.abstractive import is_hub_id

    return directory if directory is None or is_hub_id(directory) else directory.resolve()
