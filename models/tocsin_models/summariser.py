"""An article's paragraphs -> a summary of whole sentences, each with its place in the text."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
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
from tocsin_models.candidates import is_reporting, make_candidates
from tocsin_models.datelines import dateline_end
from tocsin_models.errors import ModelDamaged, ModelError
from tocsin_models.manifest import EMBEDDED, Manifest, read_manifest
from tocsin_models.protocols import Limits
from tocsin_models.records import Paragraph, Summary, SummarySentence
from tocsin_models.selection import count_words, select
from tocsin_models.sentences import split_sentences
from tocsin_models.tokens import TextTokenizer, padded_length
from tocsin_models.windows import Window, cut_evenly, cut_windows, groups_of, to_arrays


def load_summariser(
    directory: Path | None = None,
    *,
    device: str = "auto",
    threads: int | None = None,
    precision: Precision = "auto",
    hint: Hint = "latency",
) -> "ExtractiveSummariser":
    """The summariser of a model directory; the embedded one when none is named. With the hint
    ``throughput``, ``summarise_many`` reads several articles side by side.

    Raises:
        ModelNotFound, ModelDamaged: the directory cannot be used.
        ConfigError: the device, the number of threads or the precision cannot be had.
    """
    where = directory or EMBEDDED["summariser"]
    manifest = read_manifest(where)
    if manifest.task != "summariser":
        raise ModelError(f"{where}: holds a {manifest.task}, not a summariser")
    tokenizer = TextTokenizer(where)
    runner = open_network(summariser_network(where, manifest), device, threads, precision, hint)
    max_windows = _read_config(where)["max_windows"]
    return ExtractiveSummariser(manifest, tokenizer, runner, max_windows)


def summariser_network(directory: Path, manifest: Manifest) -> Network:
    """The inputs of ``extractive.SentenceScorer`` -> logits of the sentences."""
    return Network(
        key=network_key(manifest.files, "summariser.py", "extractive.py"),
        build=lambda: _build(directory),
        examples=_examples(TextTokenizer(directory), manifest.max_tokens),
        int8=int8_file(directory, manifest.files),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Sentence:
    """A sentence that may be chosen: its place in the article's text, and its passage's index."""

    passage: int
    start: int
    end: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """An article made ready for the network: its sentences, and the windows that hold them in
    ``groups``, each of which takes one call."""

    sentences: tuple[Sentence, ...]
    groups: tuple[tuple[Window, ...], ...]


def body_sentences(paragraphs: Sequence[Paragraph]) -> tuple[Sentence, ...]:
    """The sentences of the paragraphs of kind body, in their order."""
    return tuple(
        Sentence(
            passage=index,
            start=paragraph.start + start,
            end=paragraph.start + end,
            text=paragraph.text[start:end],
        )
        for index, paragraph in enumerate(paragraphs)
        if paragraph.kind == "body"
        for start, end in split_sentences(paragraph.text)
    )


class ExtractiveSummariser:
    """Scores every sentence of an article, in windows, and chooses the best within the limits.

    ``summarise`` is three steps, which the service takes one by one, so that nobody has to wait
    for the whole of somebody else's article: ``read`` it, ``run`` each group, ``choose``.
    """

    takes_focus = True

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
        reading = self.read(paragraphs)
        return self.choose(reading, [self.run(group) for group in reading.groups], limits)

    def summarise_many(
        self, articles: Sequence[Sequence[Paragraph]], limits: Sequence[Limits]
    ) -> list[Summary]:
        """As ``summarise``, for many articles: some are cut and others chosen from while the
        network reads."""
        readings: list[Reading] = []
        summaries: list[Summary] = []
        waiting: list[npt.NDArray[np.float32]] = []

        def choose_next() -> None:
            reading = readings[len(summaries)]
            groups = len(reading.groups)
            own = limits[len(summaries)]
            summaries.append(self.choose(reading, waiting[:groups], own))
            del waiting[:groups]

        for found in self._runner.run_all(self._arrays(articles, readings)):
            waiting.append(found[0])
            # An article is read before its groups are, and one of several groups waits for all.
            while waiting and len(waiting) >= len(readings[len(summaries)].groups):
                choose_next()
        while len(summaries) < len(articles):  # no sentence, no group
            choose_next()
        return summaries

    def _arrays(
        self, articles: Sequence[Sequence[Paragraph]], readings: list[Reading]
    ) -> Iterator[dict[str, npt.NDArray[Any]]]:
        """The inputs of every group of every article; what was read is added to ``readings``."""
        for paragraphs in articles:
            readings.append(self.read(paragraphs))
            for group in readings[-1].groups:
                yield to_arrays([group], self._tokenizer, self.max_tokens)

    def read(self, paragraphs: Sequence[Paragraph]) -> Reading:
        """Cut the paragraphs of kind body into sentences, and these into windows."""
        sentences = body_sentences(paragraphs)
        return Reading(
            sentences=sentences, groups=self._groups([sentence.text for sentence in sentences])
        )

    def run(self, group: Sequence[Window]) -> npt.NDArray[np.float32]:
        """Logits of the group's pieces of sentences, in order, in one call of the network."""
        arrays = to_arrays([group], self._tokenizer, self.max_tokens)
        logits: npt.NDArray[np.float32] = self._runner.run(arrays)[0]
        return logits

    def cost(self, group: Sequence[Window]) -> int:
        """Tokens that a call with this group reads, padding included."""
        longest = max(len(window.ids) for window in group) + self._tokenizer.special_tokens
        return len(group) * padded_length(longest, self.max_tokens)

    def choose(
        self, reading: Reading, logits: Sequence[npt.NDArray[np.float32]], limits: Limits
    ) -> Summary:
        """The summary of an article whose groups have these ``logits``.

        Raises:
            ConfigError: the style is unknown.
        """
        scores = _best_piece(reading.groups, logits, len(reading.sentences))
        found = [
            (_without_dateline(sentence), round(float(score), 6))
            for sentence, score in zip(reading.sentences, scores, strict=True)
            if is_reporting(sentence.text)
        ]
        candidates = make_candidates(
            [sentence.text for sentence, _ in found],
            [sentence.passage for sentence, _ in found],
            [score for _, score in found],
            limits.focus,
        )
        chosen = tuple(
            SummarySentence(
                text=found[number][0].text,
                start=found[number][0].start,
                end=found[number][0].end,
                passage=found[number][0].passage,
                score=found[number][1],
            )
            for number in select(candidates, limits)
        )
        return Summary(
            sentences=chosen,
            windows=sum(len(group) for group in reading.groups),
            style=limits.style,
            focus=limits.focus.labels if limits.focus else (),
            reason=None if chosen else _why_empty(reading, [one for one, _ in found], limits),
        )

    def score_sentences(self, sentences: Sequence[str]) -> tuple[npt.NDArray[np.float32], int]:
        """Probability of each sentence of one article, shape (sentences,), and the windows read."""
        groups = self._groups(sentences)
        scores = _best_piece(groups, [self.run(group) for group in groups], len(sentences))
        return scores, sum(len(group) for group in groups)

    def _groups(self, sentences: Sequence[str]) -> tuple[tuple[Window, ...], ...]:
        """What the document layers see at once: ``max_windows`` windows, so that cost grows
        linearly with length."""
        room = self.max_tokens - self._tokenizer.special_tokens
        windows = cut_evenly(
            [tokens.ids for tokens in self._tokenizer.encode(sentences)],
            room,
            self._tokenizer.special_tokens,
        )
        return tuple(tuple(group) for group in groups_of(windows, self._max_windows))


def _without_dateline(sentence: Sentence) -> Sentence:
    cut = dateline_end(sentence.text)
    return replace(sentence, start=sentence.start + cut, text=sentence.text[cut:])


def _why_empty(reading: Reading, reporting: Sequence[Sentence], limits: Limits) -> str:
    if not reading.sentences:
        return "the article has no sentence outside its headline"
    if not reporting:
        return "every sentence outside the headline is a credit, a prompt or a caption"
    shortest = min(count_words(sentence.text) for sentence in reporting)
    return f"no sentence fits into {limits.max_words} words; the shortest has {shortest}"


def _best_piece(
    groups: Sequence[Sequence[Window]], logits: Sequence[npt.NDArray[np.float32]], sentences: int
) -> npt.NDArray[np.float32]:
    """Probability of each sentence; one that was read in several pieces has its best one's."""
    scores = np.zeros(sentences, np.float32)
    for group, found in zip(groups, logits, strict=True):
        numbers = [number for window in group for number, _, _ in window.pieces]
        np.maximum.at(scores, numbers, 1 / (1 + np.exp(-found)))
    return scores


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
