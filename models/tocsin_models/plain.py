"""A sequence classifier of plain ``transformers``, without our manifest, as a ``Classifier``.

The Hub is full of them, and an evaluation has to put them beside ours. Their thresholds are 0.5 and
their probabilities are as they come: nobody has calibrated them.
"""

import json
from pathlib import Path
from typing import Any

from tocsin_models.backends import Precision, open_network
from tocsin_models.classifier import EncoderClassifier, classifier_network
from tocsin_models.errors import ModelError
from tocsin_models.manifest import Manifest, hash_files
from tocsin_models.tokens import TextTokenizer

# Where a tokenizer names no length, what most encoders read.
_MAX_TOKENS = 512


def load_plain_classifier(
    source: str,
    *,
    device: str = "auto",
    threads: int | None = None,
    precision: Precision = "auto",
) -> EncoderClassifier:
    """The classifier of a directory or a Hub id (``org/name@commit``); imports transformers.

    Raises:
        ModelNotFound: the directory or the Hub id cannot be read.
        ModelError: it is no sequence classifier with named labels, or has no ``tokenizer.json``.
        ConfigError: the device, the number of threads or the precision cannot be had.
    """
    directory = fetch_directory(source)
    manifest = plain_manifest(directory, source)
    runner = open_network(classifier_network(directory, manifest), device, threads, precision)
    is_single_label = all(value == 0.0 for value in manifest.thresholds.values())
    return EncoderClassifier(manifest, TextTokenizer(directory), runner, is_single_label)


def fetch_directory(source: str) -> Path:
    """A directory as it is; a Hub id as ``hub.fetch`` has it, which alone imports transformers."""
    if Path(source).is_dir():
        return Path(source)
    from tocsin_models import hub

    return hub.fetch(source)


def plain_manifest(directory: Path, source: str) -> Manifest:
    """What ``config.json`` tells, in the form of a manifest. Thresholds are 0.5 for several labels
    at once, and 0 for a single one, of which the best is given whatever its score.

    Raises:
        ModelError: it is no sequence classifier with named labels.
    """
    config = read_config(directory / "config.json", source)
    labels = _labels(config.get("id2label"))
    is_classifier = "SequenceClassification" in str(config.get("architectures"))
    if not is_classifier or len(labels) < 2:
        raise ModelError(
            f"{source}: is no sequence classifier of two labels or more; name one, or train one "
            "with `tocsin train classifier`"
        )
    if not (directory / "tokenizer.json").is_file():
        raise ModelError(f"{source}: has no tokenizer.json; save its fast tokenizer beside it")
    is_multi_label = config.get("problem_type") == "multi_label_classification"
    return Manifest(
        name=(str(Path(source).resolve()) if Path(source).is_dir() else source).rpartition("/")[2],
        task="classifier",
        max_tokens=_max_tokens(directory, config),
        languages=("en",),
        base=source,
        licence="unknown",
        files=hash_files(directory),
        labels=labels,
        thresholds=dict.fromkeys(labels, 0.5 if is_multi_label else 0.0),
    )


def _max_tokens(directory: Path, config: dict[str, Any]) -> int:
    told = directory / "tokenizer_config.json"
    tokenizer = read_config(told, str(directory)) if told.is_file() else {}
    longest = tokenizer.get("model_max_length") or _MAX_TOKENS
    # RoBERTa's kin count positions from 2, so two of them hold no token.
    positions = (config.get("max_position_embeddings") or _MAX_TOKENS + 2) - 2
    return max(8, int(min(longest, max(positions, 8), _MAX_TOKENS)))


def _labels(names: Any) -> tuple[str, ...]:
    """The names in the order of their columns; none where that cannot be told."""
    try:
        labels = tuple(str(names[key]) for key in sorted(names, key=int))
    except (TypeError, ValueError, KeyError):
        return ()
    return labels if len(set(labels)) == len(labels) else ()


def read_config(path: Path, source: str) -> dict[str, Any]:
    """The object in a JSON file of the model that ``source`` names.

    Raises:
        ModelError: there is none.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(
            f"{source}: {path.name} cannot be read ({type(error).__name__}); give a model directory"
        ) from None
    if not isinstance(found, dict):
        raise ModelError(f"{source}: {path.name} holds no object; give a model directory")
    return found
