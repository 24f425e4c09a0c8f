"""An article's paragraphs -> a summary of whole sentences, each with its place in the text."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tocsin_models.backends import Network, Runner, network_key, open_network
from tocsin_models.errors import ModelDamaged, ModelError
from tocsin_models.manifest import EMBEDDED, Manifest, read_manifest
from tocsin_models.protocols import Limits
from tocsin_models.records import Paragraph, Summary, SummarySentence
from tocsin_models.selection import Candidate, select
from tocsin_models.sentences import split_sentences
from tocsin_models.tokens import TextTokenizer
from tocsin_models.windows import cut_windows, groups_of, to_arrays


def load_summariser(
    directory: Path | None = None, *, device: str = "auto", threads: int | None = None
) -> "ExtractiveSummariser":
    """The summariser of a model directory; the embedded one when none is named.

    Raises:
        ModelNotFound, ModelDamaged: the directory cannot be used.
        ConfigError: the device or the number of threads cannot be had.
    """
    where = directory or EMBEDDED["summariser"]
    manifest = read_manifest(where)
    if manifest.task != "summariser":
        raise ModelError(f"{where}: holds a {manifest.task}, not a summariser")
    tokenizer = TextTokenizer(where)
    network = Network(
        key=network_key(manifest.files, "summariser.py", "extractive.py"),
        build=lambda: _build(where),
        examples=_examples(tokenizer, manifest.max_tokens),
    )
    runner = open_network(network, device, threads)
    max_windows = _read_config(where)["max_windows"]
    return ExtractiveSummariser(manifest, tokenizer, runner, max_windows)


class ExtractiveSummariser:
    """Scores every sentence of an article, in windows, and chooses the best within the limits."""

    def __init__(
        self, manifest: Manifest, tokenizer: TextTokenizer, runner: Runner, max_windows: int
    ) -> None:
        self.info = manifest.info(runner.precision, runner.device)
        self.max_tokens = manifest.max_tokens
        self._tokenizer = tokenizer
        self._runner = runner
        self._max_windows = max_windows

    def summarise(self, paragraphs: Sequence[Paragraph], limits: Limits) -> Summary:
        """The sentences of ``paragraphs`` of kind body that tell the article, in its order."""
        places = [
            (index, paragraph.start + start, paragraph.start + end, paragraph.text[start:end])
            for index, paragraph in enumerate(paragraphs)
            if paragraph.kind == "body"
            for start, end in split_sentences(paragraph.text)
        ]
        if not places:
            return Summary(
                sentences=(), windows=0, reason="the article has no sentence outside its headline"
            )
        scores, windows = self.score_sentences([text for *_, text in places])
        candidates = [
            Candidate(text=text, score=float(score))
            for (*_, text), score in zip(places, scores, strict=True)
        ]
        chosen = tuple(
            SummarySentence(
                text=places[number][3],
                start=places[number][1],
                end=places[number][2],
                passage=places[number][0],
                score=round(candidates[number].score, 6),
            )
            for number in select(candidates, limits)
        )
        reason = None if chosen else f"no sentence fits into {limits.max_words} words"
        return Summary(sentences=chosen, windows=windows, reason=reason)

    def score_sentences(self, sentences: Sequence[str]) -> tuple[npt.NDArray[np.float32], int]:
        """Probability of each sentence of one article, shape (sentences,), and the windows read.

        The document layers see ``max_windows`` windows at once, so cost grows linearly with length.
        """
        room = self.max_tokens - self._tokenizer.special_tokens
        windows = cut_windows([tokens.ids for tokens in self._tokenizer.encode(sentences)], room)
        scores = np.zeros(len(sentences), np.float32)
        for group in groups_of(windows, self._max_windows):
            [logits] = self._runner.run(to_arrays([group], self._tokenizer, self.max_tokens))
            numbers = [number for window in group for number, _, _ in window.pieces]
            # A sentence read in several pieces has the score of its best one.
            np.maximum.at(scores, numbers, 1 / (1 + np.exp(-logits)))
        return scores, len(windows)


def _examples(tokenizer: TextTokenizer, max_tokens: int) -> dict[str, npt.NDArray[Any]]:
    article = cut_windows([[tokenizer.padding_id] * 7] * 5, room=14)
    return to_arrays([article], tokenizer, max_tokens)


def _read_config(directory: Path) -> dict[str, int]:
    try:
        config = json.loads((directory / "config.json").read_text(encoding="utf-8"))
        return {name: int(config[name]) for name in ("document_layers", "max_windows")}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelDamaged(
            f"{directory}: config.json is not a summariser's ({type(error).__name__}: {error}); "
            "copy the directory again"
        ) from None


def _build(directory: Path) -> Any:
    """The torch module, with its weights. Imports torch and transformers."""
    import torch
    from safetensors.torch import load_file

    from tocsin_models import hub
    from tocsin_models.extractive import DocumentShape, SentenceScorer

    # The fused layer of torch's eval mode cannot be converted.
    torch.backends.mha.set_fastpath_enabled(False)
    shape = DocumentShape(layers=_read_config(directory)["document_layers"])
    scorer = SentenceScorer(hub.build_encoder(directory), shape)
    tensors = load_file(directory / "model.safetensors")
    try:
        scorer.load_state_dict({name: tensor.float() for name, tensor in tensors.items()})
    except RuntimeError:
        raise ModelDamaged(
            f"{directory}: its tensors are not those of this version's network; train it again"
        ) from None
    return scorer.eval()
