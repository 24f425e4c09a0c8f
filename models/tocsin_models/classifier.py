"""Passages -> calibrated probabilities, by a fine-tuned encoder."""

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tocsin_models.backends import (
    Hint,
    Network,
    Precision,
    Runner,
    int8_file,
    network_key,
    open_network,
)
from tocsin_models.errors import ModelDamaged, ModelError
from tocsin_models.manifest import EMBEDDED, Manifest, read_manifest
from tocsin_models.passages import split_windows
from tocsin_models.protocols import Scores
from tocsin_models.sentences import split_sentences
from tocsin_models.tokens import TextTokenizer, padded_length

# Tokens a batch holds. Past a few thousand a larger batch is not faster on a CPU (make bench), and
# on a GPU this still fills the device.
BATCH_TOKENS = {"cpu": 2_048, "cuda": 65_536}
# The same where each core of a CPU has a batch of its own.
CORE_BATCH_TOKENS = 512


def load_classifier(
    directory: Path | None = None,
    *,
    device: str = "auto",
    threads: int | None = None,
    precision: Precision = "auto",
    hint: Hint = "latency",
) -> "EncoderClassifier":
    """The classifier of a model directory; the embedded one when none is named.

    ``throughput`` is for hundreds of texts a call: it scores them faster, and one alone slower.

    Raises:
        ModelNotFound, ModelDamaged: the directory cannot be used.
        ConfigError: the device, the number of threads or the precision cannot be had.
    """
    where = directory or EMBEDDED["classifier"]
    manifest = read_manifest(where)
    if manifest.task != "classifier":
        raise ModelError(f"{where}: holds a {manifest.task}, not a classifier")
    is_single_label = _problem_type(where) == "single_label_classification"
    runner = open_network(classifier_network(where, manifest), device, threads, precision, hint)
    return EncoderClassifier(manifest, TextTokenizer(where), runner, is_single_label, hint)


def classifier_network(directory: Path, manifest: Manifest) -> Network:
    """(input_ids, attention_mask) -> logits, the int64 inputs of shape (windows, tokens)."""
    return Network(
        key=network_key(manifest.files, "classifier.py", "hub.py"),
        build=lambda: _build(directory),
        examples={
            "input_ids": np.ones((2, 16), np.int64),
            "attention_mask": np.ones((2, 16), np.int64),
        },
        int8=int8_file(directory, manifest.files),
        rows_stand_alone=True,
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
        self,
        manifest: Manifest,
        tokenizer: TextTokenizer,
        runner: Runner,
        is_single_label: bool,
        hint: Hint = "latency",
    ) -> None:
        self.info = manifest.info(runner.precision, runner.device)
        self.labels = manifest.labels
        self.max_tokens = manifest.max_tokens
        self._has_few_shapes = hint == "throughput" and runner.device == "cpu"
        self.batch_tokens = (
            CORE_BATCH_TOKENS if self._has_few_shapes else BATCH_TOKENS[runner.device]
        )
        self._tokenizer = tokenizer
        self._runner = runner
        self._is_single_label = is_single_label

    def score(self, texts: Sequence[str]) -> Scores:
        """Probability of each label for each text; of a long one as ``gather`` puts it together."""
        return self.score_windows(self.cut(texts))

    def score_windows(self, windows: Sequence[TextWindow]) -> Scores:
        """Scores of the texts that ``windows`` were cut from, in batches of one length each."""
        # Largest first, so that no core waits long for the last batch of another.
        batches = sorted(
            self._batches(windows), key=lambda batch: -windows[batch[0][0]].length * batch[1]
        )
        found = np.zeros((len(windows), len(self.labels)), np.float32)
        outputs = self._runner.run_all(
            self._pad([windows[index] for index in members], rows) for members, rows in batches
        )
        for (members, _), logits in zip(batches, outputs, strict=True):
            found[members] = self._probabilities(logits[: len(members)])
        return self.gather(windows, found)

    def cut(self, texts: Sequence[str]) -> list[TextWindow]:
        """The windows of each text, in order; at least one a text."""
        return [
            TextWindow(owner=owner, ids=ids, length=padded_length(len(ids), self.max_tokens))
            for owner, ids in self._windows(texts)
        ]

    def run(self, windows: Sequence[TextWindow]) -> npt.NDArray[np.float32]:
        """Probabilities, shape (windows, labels), in one call for windows of one length."""
        return self._probabilities(self._runner.run(self._pad(windows, len(windows))))

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

    def _batches(self, windows: Sequence[TextWindow]) -> Iterator[tuple[list[int], int]]:
        """Indices of windows of one length, and the rows their batch is filled up to."""
        by_length: defaultdict[int, list[int]] = defaultdict(list)
        for index, window in enumerate(windows):
            by_length[window.length].append(index)
        for length, members in sorted(by_length.items()):
            most = max(1, self.batch_tokens // length)
            count = len(members)
            sizes = batch_sizes(count, most) if self._has_few_shapes else [most] * -(-count // most)
            start = 0
            for size in sizes:
                batch = members[start : start + size]
                yield batch, size if self._has_few_shapes else len(batch)
                start += size

    def _pad(self, windows: Sequence[TextWindow], rows: int) -> dict[str, npt.NDArray[Any]]:
        [length] = {window.length for window in windows}
        ids = [window.ids for window in windows]
        ids += [ids[-1]] * (rows - len(ids))
        return pad_windows(ids, length, self._tokenizer.padding_id)

    def _probabilities(self, logits: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        return _softmax(logits) if self._is_single_label else _sigmoid(logits)

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


def batch_sizes(count: int, most: int) -> list[int]:
    """Rows of the batches for ``count`` windows of one length, the last of them filled up: a power
    of two, or a quarter of it for what is left over.

    OpenVINO compiles its kernels anew for every number of tokens that it meets, which takes 80 ms
    and 5 MiB, as much as scoring twenty passages; powers of two make lengths meet in few of them.
    """
    full = 1 << (most.bit_length() - 1)
    small = max(1, full // 4)
    whole, rest = divmod(count, full)
    if rest > full - small:
        return [full] * (whole + 1)
    return [full] * whole + [small] * -(-rest // small)


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
