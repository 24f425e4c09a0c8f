"""An encoder-decoder of plain ``transformers`` as a ``Summariser``: what it writes is checked
against the article, and replaced by the article's own sentences where it fails.

Importing this loads neither torch nor transformers; loading a model does.
"""

import copy
import json
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tocsin_models.backends import Hint, Precision, refuse_unknown
from tocsin_models.errors import ConfigError, ModelError
from tocsin_models.grounding import Written, ground, most_telling
from tocsin_models.manifest import EMBEDDED, FILE_NAME, Manifest, file_sha256, read_manifest
from tocsin_models.plain import fetch_directory, read_config
from tocsin_models.protocols import Limits
from tocsin_models.records import Paragraph, Summary
from tocsin_models.sentences import split_sentences
from tocsin_models.styles import room_of
from tocsin_models.summariser import (
    ExtractiveSummariser,
    Sentence,
    body_sentences,
    load_summariser,
)

HUB_ID = re.compile(r"\w[\w.-]*/[\w.-]+(@\w+)?")

# What encoders read where nothing tells.
_MAX_TOKENS = 512
# Tokenizers say 10**30 for "no limit".
_NO_LIMIT = 1_000_000
# Settings of ``generate`` that a model may bring; of what it does not bring, those that BART, T5
# and PEGASUS were published with.
_SEARCH: dict[str, Any] = {
    "num_beams": 4,
    "length_penalty": 1.0,
    "no_repeat_ngram_size": 3,
    "early_stopping": True,
}
# Tokens for a word, with some to spare (BART's and T5's English has 1.3), and for a sentence.
_TOKENS_A_WORD = 1.6
_WORDS_A_SENTENCE = 35
# A window of a few words is not told at length: no model can without inventing.
_LEAST_TOKENS = 16
# Tokens of text that are read together, padding included.
_BATCH_TOKENS = {"cpu": 4_096, "cuda": 32_768}
_END = re.compile(r"[.!?…][\"'”’)\]\s]*$")


def open_summariser(
    source: Path | None = None,
    *,
    device: str = "auto",
    threads: int | None = None,
    precision: Precision = "auto",
    hint: Hint = "latency",
) -> "ExtractiveSummariser | AbstractiveSummariser":
    """Whatever ``--summariser`` names: a Tocsin directory (the embedded one when None), or an
    encoder-decoder as a directory or a Hub id (``org/name@commit``). ``hint`` is for the former: a
    model that writes keeps all cores busy by itself.

    Raises:
        ModelNotFound, ModelDamaged: it cannot be read.
        ModelError: it is no summariser.
        ConfigError: the device, the number of threads or the precision cannot be had.
    """
    if is_tocsin(source):
        return load_summariser(
            source, device=device, threads=threads, precision=precision, hint=hint
        )
    return load_abstractive(str(source), device=device, threads=threads, precision=precision)


def is_tocsin(source: Path | None) -> bool:
    """Whether it is ours to load: a directory with a manifest, or none of which ``transformers``
    could make anything, so that the error is ours too. Opens no connection."""
    if source is None or (source / FILE_NAME).is_file():
        return True
    if source.is_dir():
        return not (source / "config.json").is_file()
    return not is_hub_id(source)


def is_hub_id(source: Path) -> bool:
    """Whether it names a repository on the Hub: not a directory, and of the form org/name."""
    return not source.is_dir() and HUB_ID.fullmatch(str(source)) is not None


def summariser_manifest(source: Path | None) -> Manifest:
    """What is known about whatever ``--summariser`` names, without loading it; hashes of a Tocsin
    directory are not checked. Raises as ``open_summariser``."""
    if is_tocsin(source):
        return read_manifest(source or EMBEDDED["summariser"], check_hashes=False)
    return abstractive_manifest(fetch_directory(str(source)), str(source))


def load_abstractive(
    source: str,
    *,
    device: str = "auto",
    threads: int | None = None,
    precision: Precision = "auto",
) -> "AbstractiveSummariser":
    """The encoder-decoder of a directory or a Hub id; bfloat16 on a GPU, float32 on a CPU.

    Raises:
        ModelNotFound: the directory or the Hub id cannot be read.
        ModelError: it is no encoder-decoder.
        ConfigError: the device, the number of threads or the precision cannot be had.
    """
    refuse_unknown(device, threads, precision)
    if precision == "int8":
        raise ConfigError("precision", ["int8: an abstractive model runs in f32 or bf16"])
    directory = fetch_directory(source)
    manifest = abstractive_manifest(directory, source)
    import torch

    from tocsin_models import hub

    if device == "cuda" and not torch.cuda.is_available():
        raise ConfigError(
            "device",
            ["cuda: torch finds no GPU; use --device cpu, or install a CUDA build of torch"],
        )
    if threads is not None:
        torch.set_num_threads(threads)
    place = "cuda" if device != "cpu" and torch.cuda.is_available() else "cpu"
    if precision == "auto":
        precision = "bf16" if place == "cuda" else "f32"
    tokenizer = hub.load_tokenizer(str(directory))
    model = hub.load_seq2seq(str(directory), is_bf16=precision == "bf16").to(place)
    return AbstractiveSummariser(manifest, model, tokenizer, _task(directory), precision)


def abstractive_manifest(directory: Path, source: str) -> Manifest:
    """What the files of an encoder-decoder tell, in the form of a manifest. Its files are the
    weights and the JSON beside them, which together decide what is written.

    Raises:
        ModelError: it is no encoder-decoder.
    """
    config = read_config(directory / "config.json", source)
    if not is_encoder_decoder(config):
        kind = ", ".join(map(str, config.get("architectures") or [])) or config.get("model_type")
        raise ModelError(
            f"{source}: {kind or 'unknown'} is no encoder-decoder, so it cannot write a summary; "
            "name one such as facebook/bart-large-cnn, or a directory that "
            "`tocsin train summariser` wrote"
        )
    paths = sorted(path for path in directory.iterdir() if path.suffix in (".json", ".safetensors"))
    return Manifest(
        name=str(Path(source).resolve().name) if Path(source).is_dir() else source,
        task="summariser",
        max_tokens=_max_tokens(config, directory),
        languages=("en",),
        base=source,
        licence="unknown",
        files={path.name: file_sha256(path) for path in paths},
    )


def is_encoder_decoder(config: dict[str, Any]) -> bool:
    """Whether ``config.json`` is of a model that reads one text and writes another."""
    kinds = str(config.get("architectures"))
    return config.get("is_encoder_decoder") is True and "Classification" not in kinds


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """A window as the encoder reads it, number ``index`` of its article; between ``least`` and
    ``most`` tokens are written for it."""

    index: int
    ids: tuple[int, ...]
    least: int
    most: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ArticleWindows:
    """An article made ready for the model; each of ``groups`` takes one call."""

    paragraphs: tuple[Paragraph, ...]
    sentences: tuple[Sentence, ...]
    groups: tuple[tuple[Piece, ...], ...]


class AbstractiveSummariser:
    """Writes a summary of each window of an article, keeps the best sentences, checks each.

    As the extractive one it takes three steps, so that a service can let others in between:
    ``read`` an article, ``run`` each group, ``choose``.
    """

    takes_focus = False

    def __init__(
        self, manifest: Manifest, model: Any, tokenizer: Any, task: dict[str, Any], precision: str
    ) -> None:
        self.info = manifest.info(precision, model.device.type)
        self.max_tokens = manifest.max_tokens
        self._model = model.eval()
        self._tokenizer = tokenizer
        self._prefix = str(task.get("prefix") or "")
        own = {name: getattr(model.generation_config, name, None) for name in _SEARCH}
        own = {name: value for name, value in own.items() if value is not None}
        self._search = _SEARCH | own | {name: task[name] for name in _SEARCH if name in task}
        self._least = int(task.get("min_length") or model.generation_config.min_length or 0)
        self._longest = _decoder_room(model.config.to_dict())
        framed = tokenizer(self._prefix)["input_ids"]
        self._room = max(1, self.max_tokens - len(framed))

    def summarise(self, paragraphs: Sequence[Paragraph], limits: Limits) -> Summary:
        """What the model writes of the paragraphs of kind body, checked against all of them."""
        [summary] = self.summarise_many([paragraphs], [limits])
        return summary

    def summarise_many(
        self, articles: Sequence[Sequence[Paragraph]], limits: Sequence[Limits]
    ) -> list[Summary]:
        """As ``summarise``, for many articles, whose windows share batches."""
        readings = [
            self.read(paragraphs, own) for paragraphs, own in zip(articles, limits, strict=True)
        ]
        pieces = [
            (number, piece)
            for number, reading in enumerate(readings)
            for group in reading.groups
            for piece in group
        ]
        found: list[dict[int, list[Written]]] = [{} for _ in readings]
        for batch in self._batches(pieces):
            for (number, piece), written in zip(
                batch, self.run([piece for _, piece in batch]), strict=True
            ):
                found[number][piece.index] = written
        return [
            self._conclude(reading, [texts[index] for index in sorted(texts)], own)
            for reading, texts, own in zip(readings, found, limits, strict=True)
        ]

    def read(self, paragraphs: Sequence[Paragraph], limits: Limits) -> ArticleWindows:
        """Cut the paragraphs of kind body into windows of whole sentences, as even as can be."""
        sentences = body_sentences(paragraphs)
        pieces = [
            self._piece(index, text, limits)
            for index, text in enumerate(self._windows([one.text for one in sentences]))
        ]
        groups = self._batches([(0, piece) for piece in pieces])
        return ArticleWindows(
            paragraphs=tuple(paragraphs),
            sentences=sentences,
            groups=tuple(tuple(piece for _, piece in group) for group in groups),
        )

    def cost(self, group: Sequence[Piece]) -> int:
        """Tokens that a call with this group reads and, at most, writes."""
        longest = max(len(piece.ids) for piece in group)
        return len(group) * (longest + group[0].most * int(self._search["num_beams"]))

    def run(self, group: Sequence[Piece]) -> list[list[Written]]:
        """What the model writes of each piece, as sentences, in one call."""
        import torch

        longest = max(len(piece.ids) for piece in group)
        padding = self._tokenizer.pad_token_id
        ids = torch.tensor(
            [[*piece.ids, *[padding] * (longest - len(piece.ids))] for piece in group]
        )
        mask = torch.tensor([[n < len(piece.ids) for n in range(longest)] for piece in group])
        inputs = {"input_ids": ids, "attention_mask": mask.long()}
        if self._model.config.model_type == "led":
            # One token that all others see: else nothing travels further than a window of 512
            # (Beltagy, Peters and Cohan 2020, section 5).
            inputs["global_attention_mask"] = torch.zeros_like(ids)
            inputs["global_attention_mask"][:, 0] = 1
        inputs = {name: tensor.to(self._model.device) for name, tensor in inputs.items()}
        with torch.inference_mode():
            found = self._model.generate(
                **inputs, generation_config=self._generation(group[0].least, group[0].most)
            )
        return [self._sentences(row, group[0].most) for row in found.tolist()]

    def choose(
        self,
        reading: ArticleWindows,
        results: Sequence[Sequence[Sequence[Written]]],
        limits: Limits,
    ) -> Summary:
        """The summary of an article of whose groups the model wrote ``results``."""
        pieces = [piece for group in reading.groups for piece in group]
        texts = [written for result in results for written in result]
        ordered = sorted(zip(pieces, texts, strict=True), key=lambda pair: pair[0].index)
        return self._conclude(reading, [written for _, written in ordered], limits)

    def _conclude(
        self, reading: ArticleWindows, windows: Sequence[Sequence[Written]], limits: Limits
    ) -> Summary:
        """Of one window the model's own order of importance holds; of several the sentences that
        tell most are kept. They are not summarised once more: that would take as long again, and
        what is written of what was written is further from the article."""
        if not reading.sentences:
            return Summary(
                sentences=(),
                windows=0,
                method="abstractive",
                style=limits.style,
                reason="the article has no sentence outside its headline",
                checked=0,
            )
        texts = [one for window in windows for one in window]
        written = [
            Written(index=index, text=one.text, is_finished=one.is_finished)
            for index, one in enumerate(texts)
        ]
        if len(windows) > 1:
            written = most_telling(written, "\n".join(one.text for one in reading.sentences))
        chosen, checked = ground(written, reading.sentences, reading.paragraphs, limits)
        reason = None
        if not chosen:
            reason = (
                f"no sentence fits into {limits.max_words} words"
                if checked and limits.max_words is not None
                else "the model wrote no sentence"
            )
        return Summary(
            sentences=chosen,
            windows=len(windows),
            method="abstractive",
            style=limits.style,
            reason=reason,
            checked=checked,
        )

    def _windows(self, texts: Sequence[str]) -> Iterator[str]:
        """Texts that the encoder can read, of whole sentences, all about as long: a short rest
        would be told at the same length as a full window."""
        pieces = [piece for text in texts for piece in self._cut(text)]
        total = sum(tokens for _, tokens in pieces)
        aim = total / max(1, math.ceil(total / self._room))
        window: list[str] = []
        filled = 0
        for text, tokens in pieces:
            if window and (filled + tokens > self._room or filled >= aim):
                yield " ".join(window)
                window, filled = [], 0
            window.append(text)
            filled += tokens
        if window:
            yield " ".join(window)

    def _cut(self, text: str) -> Iterator[tuple[str, int]]:
        """A sentence with its number of tokens; in pieces where it is longer than a window, cut
        between words where there is a gap."""
        safe = text.encode("utf-8", "replace").decode()
        found = self._tokenizer(" " + safe, add_special_tokens=False, return_offsets_mapping=True)
        offsets = found["offset_mapping"]
        if len(offsets) <= self._room or len(safe) < 2:
            yield safe, len(offsets)
            return
        middle = min(max(1, offsets[len(offsets) // 2][0] - 1), len(safe) - 1)
        gap = safe.rfind(" ", 1, middle + 1)
        cut = gap if gap > 0 else middle
        yield from self._cut(safe[:cut])
        yield from self._cut(safe[cut:].lstrip(" "))

    def _piece(self, index: int, text: str, limits: Limits) -> Piece:
        ids = self._tokenizer(self._prefix + text, truncation=True, max_length=self.max_tokens)[
            "input_ids"
        ]
        room = room_of(limits)
        words = room.most_words or _WORDS_A_SENTENCE * (room.most_sentences or 1)
        most = math.ceil(_TOKENS_A_WORD * words) + _LEAST_TOKENS
        most = min(most, max(_LEAST_TOKENS, len(ids)), self._longest)
        return Piece(index=index, ids=tuple(ids), least=min(self._least, most // 2), most=most)

    def _batches(self, pieces: Sequence[tuple[int, Piece]]) -> Iterator[list[tuple[int, Piece]]]:
        """Pieces of the same bounds and about the same length, so that little is padding; a
        piece's own bounds hold whoever shares its batch."""
        room = _BATCH_TOKENS[self.info.device]
        batch: list[tuple[int, Piece]] = []
        for item in sorted(
            pieces, key=lambda pair: (pair[1].most, pair[1].least, -len(pair[1].ids))
        ):
            if batch:
                first = batch[0][1]
                is_alike = (first.most, first.least) == (item[1].most, item[1].least)
                if not is_alike or (len(batch) + 1) * len(first.ids) > room:
                    yield batch
                    batch = []
            batch.append(item)
        if batch:
            yield batch

    def _generation(self, least: int, most: int) -> Any:
        config = copy.deepcopy(self._model.generation_config)
        for name, value in self._search.items():
            setattr(config, name, value)
        # Both count the token that the decoder starts from.
        config.min_length, config.max_length = least + 1, most + 1
        config.min_new_tokens = config.max_new_tokens = None
        config.do_sample = False
        return config

    def _sentences(self, ids: Sequence[int], most: int) -> list[Written]:
        text = self._tokenizer.decode(ids, skip_special_tokens=True)
        # PEGASUS writes a line end so.
        text = " ".join(text.replace("<n>", " ").split())
        spans = split_sentences(text)
        written = sum(one != self._tokenizer.pad_token_id for one in ids)
        is_cut = written >= most and not _END.search(text)
        return [
            Written(index=0, text=text[start:end], is_finished=not is_cut or end != spans[-1][1])
            for start, end in spans
        ]


def _task(directory: Path) -> dict[str, Any]:
    """What the model was trained to be given for a summary: T5's prefix, lengths, beams."""
    tasks = read_config(directory / "config.json", str(directory)).get("task_specific_params")
    found = tasks.get("summarization") if isinstance(tasks, dict) else None
    return found if isinstance(found, dict) else {}


def _max_tokens(config: dict[str, Any], directory: Path) -> int:
    """What the encoder reads, special tokens included: the least of what its files say."""
    path = directory / "tokenizer_config.json"
    tokenizer = _json_or_nothing(path)
    told = [
        config.get("max_encoder_position_embeddings") or config.get("max_position_embeddings"),
        tokenizer.get("model_max_length"),
        config.get("n_positions"),
    ]
    known = [int(value) for value in told if isinstance(value, int | float) and value < _NO_LIMIT]
    return max(8, min(known, default=_MAX_TOKENS))


def _decoder_room(config: dict[str, Any]) -> int:
    """Tokens that the decoder can write; T5 and its kin count no positions."""
    told = config.get("max_decoder_position_embeddings") or config.get("max_position_embeddings")
    return int(told) - 2 if isinstance(told, int) and told > 2 else _NO_LIMIT


def _json_or_nothing(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
