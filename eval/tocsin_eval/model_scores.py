"""Scores of summaries that need a model, which the user names: BERTScore, and support by NLI.

Any encoder of ``transformers`` serves for the one, any sequence classifier with a label called
"entailment" for the other. They come through ``hub``: a directory or a Hub id, safetensors only, no
code from the model's repository. Nothing is cut off: what is longer than the model reads goes
through in windows.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from tocsin_models.errors import ModelError
from tocsin_models.manifest import hash_files
from tocsin_models.sentences import split_sentences

Array: TypeAlias = npt.NDArray[np.float64]

# What a model is taken to read where it names no limit (T5 and its kin do not).
_MAX_TOKENS = 512
_BATCH_TOKENS = 8_192


class BertScore:
    """BERTScore F1 (Zhang et al. 2020): each token of the summary is held against the most similar
    one of the reference and the other way round, by the cosine of their contextual embeddings in
    one layer. No inverse document frequency, no rescaling; special tokens are left out.

    ``layer`` counts from 0 (the embeddings) to the number of layers. Without one it is three
    quarters up, where the paper's table 8 has the best of most encoders. ``name`` is the source,
    ``revision`` a hash over the model's files and the layer.
    """

    def __init__(self, source: str, *, layer: int | None = None, device: str = "cpu") -> None:
        """Load the encoder.

        Raises:
            ModelNotFound: nothing there that ``transformers`` can load.
            ModelError: the model has no such layer.
        """
        from tocsin_models import hub

        directory = hub.fetch(source)
        self._tokenizer = hub.load_tokenizer(str(directory))
        model = hub.load_encoder(str(directory))
        # Of a translator or summariser the half that reads.
        encoder = model.get_encoder() if model.config.is_encoder_decoder else model
        layers = int(model.config.num_hidden_layers)
        self.layer = round(0.75 * layers) if layer is None else layer
        if not 0 <= self.layer <= layers:
            raise ModelError(f"{source}: layer {layer} is outside 0 to {layers}")
        self.name = source
        self.revision = _revision(directory, f"layer {self.layer}")
        self._max_tokens = _max_tokens(model.config, self._tokenizer)
        self._device = device
        self._encoder = encoder.to(device).eval()

    def score(self, summaries: Sequence[str], references: Sequence[str]) -> Array:
        """F1 of each summary with its reference: float64, shape (summaries,), -1 to 1, in practice
        above 0. A text without a token scores 0, on either side."""
        if len(summaries) != len(references):
            raise ValueError(f"{len(summaries)} summaries, {len(references)} references")
        texts = sorted({*summaries, *references})
        embedded = dict(zip(texts, self._embed(texts), strict=True))
        return np.array(
            [
                _greedy_f1(embedded[summary], embedded[reference])
                for summary, reference in zip(summaries, references, strict=True)
            ],
            dtype=np.float64,
        )

    def _embed(self, texts: Sequence[str]) -> list[npt.NDArray[np.float32]]:
        """Unit vectors of the tokens of each text: float32, shape (tokens, size)."""
        import torch

        pieces = self._windows(texts)
        found: list[list[npt.NDArray[np.float32]]] = [[] for _ in texts]
        vectors: dict[int, npt.NDArray[np.float32]] = {}
        for batch in _batches([len(ids) for _, ids, _ in pieces]):
            inputs = self._tokenizer.pad(
                {"input_ids": [pieces[index][1] for index in batch]}, return_tensors="pt"
            )
            with torch.inference_mode():
                hidden = self._encoder(
                    input_ids=inputs["input_ids"].to(self._device),
                    attention_mask=inputs["attention_mask"].to(self._device),
                    output_hidden_states=True,
                ).hidden_states[self.layer]
            for row, index in zip(hidden.float().cpu().numpy(), batch, strict=True):
                kept = [place for place, special in enumerate(pieces[index][2]) if not special]
                vectors[index] = row[kept]
        for index, (owner, _, _) in enumerate(pieces):
            found[owner].append(vectors[index])
        return [_unit(np.concatenate(rows)) if rows else _NO_TOKENS for rows in found]

    def _windows(self, texts: Sequence[str]) -> list[tuple[int, list[int], list[int]]]:
        """Windows of all texts, in order: the text's index, token ids, and 1 for each special one.

        Consecutive and without overlap, so each token has one embedding.
        """
        if not texts:
            return []
        encoded = self._tokenizer(
            list(texts),
            truncation=True,
            max_length=self._max_tokens,
            stride=0,
            return_overflowing_tokens=True,
            return_special_tokens_mask=True,
        )
        owners = encoded["overflow_to_sample_mapping"]
        masks = encoded["special_tokens_mask"]
        return [
            (int(owner), ids, mask)
            for owner, ids, mask in zip(owners, encoded["input_ids"], masks, strict=True)
            if not all(mask)
        ]


class NliSupport:
    """How far an article entails a summary (SummaC-ZS, Laban et al. 2022): the mean over the
    summary's sentences of the largest probability of entailment over windows of the article.

    A window is as many whole sentences as fit into ``window_tokens`` (at least one; a longer one is
    cut). A sentence of the summary that leaves a window no room in the model is cut too, and counts
    as the mean of its pieces. ``name`` is the source, ``revision`` a hash over the model's files
    and the window.
    """

    def __init__(self, source: str, *, window_tokens: int = 128, device: str = "cpu") -> None:
        """Load the classifier.

        Raises:
            ModelNotFound: nothing there that ``transformers`` can load.
            ModelError: none of its labels is called entailment, or ``window_tokens`` is below 1.
        """
        from tocsin_models import hub

        if window_tokens < 1:
            raise ModelError(f"{source}: window_tokens is {window_tokens}, below 1")
        directory = hub.fetch(source)
        self._tokenizer = hub.load_tokenizer(str(directory))
        model = hub.load_sequence_classifier(str(directory))
        self._label = _entailment_label(source, model.config)
        self._is_sigmoid = (
            model.config.problem_type == "multi_label_classification"
            or len(model.config.id2label) == 1
        )
        self.name = source
        self.revision = _revision(directory, f"window {window_tokens}")
        room = _max_tokens(model.config, self._tokenizer)
        room -= self._tokenizer.num_special_tokens_to_add(pair=True)
        # At most half of the room, so that any pair fits; some is left over, because a text may
        # have a token or two more alone than it had within a longer one.
        spare = min(8, room // 8)
        self._window_tokens = max(1, min(window_tokens, room // 2))
        self._sentence_tokens = max(1, room - self._window_tokens - spare)
        self._device = device
        self._model = model.to(device).eval()

    def score(self, summaries: Sequence[Sequence[str]], articles: Sequence[str]) -> Array:
        """Support of each summary (its sentences) by its article: float64, shape (summaries,), 0 to
        1. NaN for a summary without a sentence; 0 where the article is empty."""
        if len(summaries) != len(articles):
            raise ValueError(f"{len(summaries)} summaries, {len(articles)} articles")
        found = [self._support(*pair) for pair in zip(summaries, articles, strict=True)]
        return np.array(found, dtype=np.float64)

    def _support(self, sentences: Sequence[str], article: str) -> float:
        hypotheses = [
            self._cut(sentence, [(0, len(sentence))], self._sentence_tokens)
            for sentence in sentences
            if sentence.strip()
        ]
        if not hypotheses:
            return float("nan")
        windows = self._cut(article, split_sentences(article), self._window_tokens)
        if not windows:
            return 0.0
        pieces = sorted({piece for pieces in hypotheses for piece in pieces})
        pairs = [(window, piece) for piece in pieces for window in windows]
        best = self._entailment(pairs).reshape(len(pieces), len(windows)).max(axis=1)
        support = dict(zip(pieces, best, strict=True))
        return float(np.mean([np.mean([support[piece] for piece in one]) for one in hypotheses]))

    def _cut(self, text: str, spans: Sequence[tuple[int, int]], most_tokens: int) -> list[str]:
        """Pieces of a text of at most so many tokens that join whole spans where these fit."""
        places: list[tuple[int, int, int]] = []
        for start, end in spans:
            encoded = self._tokenizer(
                text[start:end], add_special_tokens=False, return_offsets_mapping=True
            )
            offsets = encoded["offset_mapping"]
            if len(offsets) <= most_tokens:
                places.append((start, end, len(offsets)))
                continue
            first = 0
            while first < len(offsets):
                last = _word_end(offsets, first, most_tokens)
                places.append(
                    (start + offsets[first][0], start + offsets[last - 1][1], last - first)
                )
                first = last
        pieces: list[tuple[int, int, int]] = []
        for start, end, length in places:
            if pieces and pieces[-1][2] + length <= most_tokens:
                pieces[-1] = (pieces[-1][0], end, pieces[-1][2] + length)
            else:
                pieces.append((start, end, length))
        return [text[start:end] for start, end, _ in pieces if text[start:end].strip()]

    def _entailment(self, pairs: Sequence[tuple[str, str]]) -> Array:
        """Probability that the first text entails the second, shape (pairs,)."""
        import torch

        encoded = self._tokenizer(
            [premise for premise, _ in pairs], [hypothesis for _, hypothesis in pairs]
        )
        found = np.zeros(len(pairs), dtype=np.float64)
        for batch in _batches([len(ids) for ids in encoded["input_ids"]]):
            inputs = self._tokenizer.pad(
                {name: [rows[index] for index in batch] for name, rows in encoded.items()},
                return_tensors="pt",
            )
            with torch.inference_mode():
                logits = self._model(**inputs.to(self._device)).logits.double().cpu()
            chances = torch.sigmoid(logits) if self._is_sigmoid else torch.softmax(logits, dim=-1)
            found[batch] = chances[:, self._label].numpy()
        return found


def _word_end(offsets: Sequence[tuple[int, int]], first: int, most: int) -> int:
    """The index behind the last of at most so many tokens from ``first``: behind a word, unless the
    word is longer than half of them."""
    last = min(first + most, len(offsets))
    for cut in range(last, first + most // 2, -1):
        if cut == len(offsets) or offsets[cut][0] > offsets[cut - 1][1]:
            return cut
    return last


_NO_TOKENS: npt.NDArray[np.float32] = np.zeros((0, 1), dtype=np.float32)


def _unit(rows: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    unit = np.zeros_like(rows)
    np.divide(rows, norms, out=unit, where=norms > 0)
    return unit


def _greedy_f1(summary: npt.NDArray[np.float32], reference: npt.NDArray[np.float32]) -> float:
    if not len(summary) or not len(reference):
        return 0.0
    similar = summary.astype(np.float64) @ reference.T.astype(np.float64)
    precision, recall = float(similar.max(axis=1).mean()), float(similar.max(axis=0).mean())
    total = precision + recall
    return 2 * precision * recall / total if total > 0 else 0.0


def _entailment_label(source: str, config: Any) -> int:
    labels = {int(index): str(label) for index, label in config.id2label.items()}
    for index, label in labels.items():
        if label.strip().casefold() == "entailment":
            return index
    names = ", ".join(labels[index] for index in sorted(labels))
    raise ModelError(
        f"{source}: none of its labels is called entailment (it has {names}); name a model that "
        "was trained on natural language inference, or correct id2label in its config.json"
    )


def _max_tokens(config: Any, tokenizer: Any) -> int:
    """Tokens that the model reads at once, special ones included."""
    limits = [int(tokenizer.model_max_length)]
    if positions := getattr(config, "max_position_embeddings", None):
        # RoBERTa and its kin count positions from behind the padding's id.
        is_shifted = config.model_type in _SHIFTED
        limits.append(int(positions) - (int(config.pad_token_id) + 1 if is_shifted else 0))
    least = min(limits)
    # A tokenizer that knows no limit names an astronomical one.
    return least if least < 1_000_000 else _MAX_TOKENS


_SHIFTED = frozenset(
    {
        "roberta",
        "xlm-roberta",
        "camembert",
        "longformer",
        "mpnet",
        "xlm-roberta-xl",
        "data2vec-text",
    }
)


def _revision(directory: Path, options: str) -> str:
    text = json.dumps([hash_files(directory), options], sort_keys=True)
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def _batches(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Indices in batches of similar length, each of at most ``_BATCH_TOKENS`` with its padding."""
    batch: list[int] = []
    for index in sorted(range(len(lengths)), key=lambda index: (lengths[index], index)):
        if batch and lengths[index] * (len(batch) + 1) > _BATCH_TOKENS:
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch
