"""Passages -> calibrated probabilities, by a fine-tuned encoder."""

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tocsin_models.backends import Network, Precision, Runner, network_key, open_network
from tocsin_models.errors import ModelDamaged, ModelError
from tocsin_models.manifest import EMBEDDED, Manifest, read_manifest
from tocsin_models.passages import split_windows
from tocsin_models.protocols import Scores
from tocsin_models.sentences import split_sentences
from tocsin_models.tokens import TextTokenizer, padded_length

# The quantised network beside the safetensors, its weights in the .bin of the same name.
INT8_FILE = "model.int8.xml"

# Tokens a batch holds. Past a few thousand a larger batch is not faster on a CPU (make bench), and
# on a GPU this still fills the device.
BATCH_TOKENS = {"cpu": 2_048, "cuda": 65_536}


def load_classifier(
    directory: Path | None = None,
    *,
    device: str = "auto",
    threads: int | None = None,
    precision: Precision = "auto",
) -> "EncoderClassifier":
    """The classifier of a model directory; the embedded one when none is named.

    Raises:
        ModelNotFound, ModelDamaged: the directory cannot be used.
        ConfigError: the device, the number of threads or the precision cannot be had.
    """
    where = directory or EMBEDDED["classifier"]
    manifest = read_manifest(where)
    if manifest.task != "classifier":
        raise ModelError(f"{where}: holds a {manifest.task}, not a classifier")
    is_single_label = _problem_type(where) == "single_label_classification"
    runner = open_network(classifier_network(where, manifest), device, threads, precision)
    return EncoderClassifier(manifest, TextTokenizer(where), runner, is_single_label)


def classifier_network(directory: Path, manifest: Manifest) -> Network:
    """(input_ids, attention_mask) -> logits, the int64 inputs of shape (windows, tokens)."""
    return Network(
        key=network_key(manifest.files, "classifier.py", "hub.py"),
        build=lambda: _build(directory),
        examples={
            "input_ids": np.ones((2, 16), np.int64),
            "attention_mask": np.ones((2, 16), np.int64),
        },
        int8=directory / INT8_FILE if INT8_FILE in manifest.files else None,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class TextWindow:
    """Token ids, special ones included, of text number ``owner`` or of a piece of it, and the
    ``length`` it is padded to. Only windows of one length may share a call of the network."""

    owner: int
    ids: Sequence[int]
    length: int


class EncoderClassifier:
    """Scores passages of any length, in windows where they are longer than the encoder reads.

    ``score`` is three steps, which the service takes one by one, so that windows of different
    callers can share a call: ``cut`` into windows, ``run`` windows of one length, ``gather``.
    """

    def __init__(
        self, manifest: Manifest, tokenizer: TextTokenizer, runner: Runner, is_single_label: bool
    ) -> None:
        self.info = manifest.info(runner.precision, runner.device)
        self.labels = manifest.labels
        self.max_tokens = manifest.max_tokens
        self.batch_tokens = BATCH_TOKENS[runner.device]
        self._tokenizer = tokenizer
        self._runner = runner
        self._is_single_label = is_single_label

    def score(self, texts: Sequence[str]) -> Scores:
        """Probability of each label for each text; of a long one as ``gather`` puts it together."""
        windows = self.cut(texts)
        by_length: defaultdict[int, list[int]] = defaultdict(list)
        for index, window in enumerate(windows):
            by_length[window.length].append(index)
        found = np.zeros((len(windows), len(self.labels)), np.float32)
        for length, members in sorted(by_length.items()):
            rows = max(1, self.batch_tokens // length)
            for start in range(0, len(members), rows):
                batch = members[start : start + rows]
                found[batch] = self.run([windows[index] for index in batch])
        return self.gather(windows, found)

    def cut(self, texts: Sequence[str]) -> list[TextWindow]:
        """The windows of each text, in order; at least one a text."""
        return [
            TextWindow(owner=owner, ids=ids, length=padded_length(len(ids), self.max_tokens))
            for owner, ids in self._windows(texts)
        ]

    def run(self, windows: Sequence[TextWindow]) -> npt.NDArray[np.float32]:
        """Probabilities, shape (windows, labels), in one call for windows of one length."""
        [length] = {window.length for window in windows}
        ids = [window.ids for window in windows]
        logits = self._runner.run(pad_windows(ids, length, self._tokenizer.padding_id))
        return _softmax(logits) if self._is_single_label else _sigmoid(logits)

    def gather(
        self, windows: Sequence[TextWindow], probabilities: npt.NDArray[np.float32]
    ) -> Scores:
        """Scores of texts whose windows have ``probabilities``, shape (windows, labels): over the
        windows of a text the maximum, of single labels the mean, which sums to 1 again."""
        owners = np.array([window.owner for window in windows], np.intp)
        counts = np.bincount(owners)
        found = np.zeros((len(counts), len(self.labels)), np.float32)
        if self._is_single_label:
            np.add.at(found, owners, probabilities / counts[owners, None].astype(np.float32))
        else:
            np.maximum.at(found, owners, probabilities)
        return Scores(
            labels=self.labels,
            probabilities=found,
            windows=tuple(counts.tolist()),
            is_single_label=self._is_single_label,
        )

    def _windows(self, texts: Sequence[str]) -> Iterator[tuple[int, list[int]]]:
        room = self.max_tokens - self._tokenizer.special_tokens
        for owner, (text, tokens) in enumerate(
            zip(texts, self._tokenizer.encode(texts), strict=True)
        ):
            if len(tokens.ids) <= room:
                yield owner, self._tokenizer.frame(tokens.ids)
                continue
            sentences = split_sentences(text)
            for first, end in split_windows(tokens.offsets, sentences, room):
                yield owner, self._tokenizer.frame(tokens.ids[first:end])


def pad_windows(
    windows: Sequence[Sequence[int]], length: int, padding_id: int
) -> dict[str, npt.NDArray[Any]]:
    """The network's inputs for windows of at most ``length`` tokens, special tokens included."""
    ids = np.full((len(windows), length), padding_id, np.int64)
    mask = np.zeros((len(windows), length), np.int64)
    for row, window in enumerate(windows):
        ids[row, : len(window)] = window
        mask[row, : len(window)] = 1
    return {"input_ids": ids, "attention_mask": mask}


def _sigmoid(logits: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    # In two branches, so that exp never overflows.
    small = np.exp(-np.abs(logits))
    return np.where(logits >= 0, 1 / (1 + small), small / (1 + small)).astype(np.float32)


def _softmax(logits: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    found: npt.NDArray[np.float32] = powers / powers.sum(axis=-1, keepdims=True)
    return found


def _problem_type(directory: Path) -> str:
    try:
        config = json.loads((directory / "config.json").read_text(encoding="utf-8"))
        return str(config["problem_type"])
    except (OSError, ValueError, KeyError) as error:
        raise ModelDamaged(
            f"{directory}: config.json names no problem_type ({type(error).__name__}); it must say "
            "multi_label_classification or single_label_classification"
        ) from None


def _build(directory: Path) -> Any:
    """The torch module: (input_ids, attention_mask) -> logits. Imports torch and transformers."""
    import torch

    from tocsin_models import hub

    class Logits(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = hub.load_sequence_classifier(str(directory)).eval()

        def forward(self, input_ids: Any, attention_mask: Any) -> Any:
            return self.model(input_ids=input_ids, attention_mask=attention_mask).logits

    return Logits().eval()
