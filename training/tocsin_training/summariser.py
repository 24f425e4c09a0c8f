"""Articles with reference summaries in, an extractive summariser's directory out."""

import dataclasses
import json
import random
import tempfile
import time
from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from torch import nn

from tocsin_eval.data import ReferenceSummary, read_summaries
from tocsin_eval.tables import Source
from tocsin_models import hub
from tocsin_models.errors import ConfigError, ModelError
from tocsin_models.extractive import DocumentShape, SentenceScorer
from tocsin_models.manifest import FILE_NAME, Manifest, read_manifest, write_manifest
from tocsin_models.protocols import Limits
from tocsin_models.sentences import split_sentences
from tocsin_models.summariser import load_summariser, summariser_network
from tocsin_models.tokens import TextTokenizer
from tocsin_models.windows import Window, cut_evenly, to_arrays
from tocsin_training.config import SummariserConfig, describe_settings
from tocsin_training.fit import Example, check_length, check_tensorboard, fit
from tocsin_training.oracle import soft_oracle
from tocsin_training.output import describe_data, move_directory, write_directory
from tocsin_training.progress import say
from tocsin_training.quantise import quantise_summariser
from tocsin_training.report import summariser_metrics
from tocsin_training.work import Work, describe_base

# An article of which less than half a sentence of the good extracts is read, or stands in it at
# all, teaches nothing.
LEAST_TARGET = 0.5


def train_summariser(
    train: Sequence[Source],
    dev: Sequence[Source],
    base: str,
    out: Path,
    config: SummariserConfig,
    columns: Mapping[str, str] | None = None,
) -> None:
    """Train ``base`` to choose sentences and write a model directory to ``out``.

    ``base`` is an encoder, or the directory of a summariser, which then learns on from where it
    stands. ``dev`` is read once, after training, and only tells.

    Raises:
        DataError: a file is not in the format of articles with highlights.
        ConfigError: ``base`` is a summariser with another number of document layers, or windows are
            longer than what it reads.
        ModelNotFound: ``base`` cannot be loaded.
    """
    check_tensorboard(config)
    check_length(base, config)
    hf_tokenizer = hub.load_tokenizer(base)
    files = [read_summaries(source, columns=columns) for source in train]
    articles = [*files[0][config.first_row :], *chain.from_iterable(files[1:])]
    random.Random(config.seed).shuffle(articles)
    articles = articles[: config.train_rows or None]
    say(f"{len(articles)} articles to train on")
    with tempfile.TemporaryDirectory() as scratch:
        hf_tokenizer.save_pretrained(scratch)
        tokenizer = TextTokenizer(Path(scratch))
    examples = _prepare(articles, tokenizer, config)

    scorer = _begin(base, config)
    data = describe_data(train=train, dev=dev)
    described = {"config": describe_settings(config), "articles": len(examples)}
    work = Work(out, {**described, **describe_base(base), "data": [dict(row) for row in data]})
    fit(
        _WithLoss(scorer),
        scorer.encoder,
        examples,
        _Collate(tokenizer, config.max_tokens),
        config,
        work.checkpoints("everything"),
    )

    shape = {"document_layers": config.document_layers, "max_windows": config.max_windows}
    scorer.config.update(shape)
    manifest = Manifest(
        name=config.name,
        task="summariser",
        max_tokens=config.max_tokens,
        languages=tuple(config.languages),
        base=base,
        licence=config.licence,
        files={},
        data=data,
        training=described,
    )
    made = work.staging()
    write_directory(made, scorer, hf_tokenizer, manifest)
    if config.int8:
        say("quantising to int8")
        quantise_summariser(made, [article.paragraphs for article in articles], config.seed)
    told = [article for source in dev for article in read_summaries(source, columns=columns)]
    metrics = summariser_metrics(
        load_summariser(made), told[: config.dev_rows], Limits(max_sentences=3), config.seed
    )
    say(f"dev: {json.dumps(metrics)}")
    manifest = read_manifest(made)
    write_manifest(made, dataclasses.replace(manifest, metrics=metrics))
    move_directory(made, out)
    work.remove()


def _begin(base: str, config: SummariserConfig) -> SentenceScorer:
    """The network before training: whole where ``base`` is a summariser, else with new layers."""
    torch.manual_seed(config.seed)
    directory = Path(base)
    if not (directory / FILE_NAME).is_file():
        return SentenceScorer(hub.load_encoder(base), DocumentShape(layers=config.document_layers))
    manifest = read_manifest(directory)
    if manifest.task != "summariser":
        raise ModelError(
            f"{base}: holds a {manifest.task}; give an encoder or a summariser's directory"
        )
    scorer: SentenceScorer = summariser_network(directory, manifest).build()
    layers = len(scorer.document)
    if layers != config.document_layers:
        raise ConfigError(
            "settings", [f"document_layers: is {config.document_layers}, and {base} has {layers}"]
        )
    return scorer.train()


def _prepare(
    articles: Sequence[ReferenceSummary], tokenizer: TextTokenizer, config: SummariserConfig
) -> list[Example]:
    """Windows of each article and, for each piece of a sentence, its target (``soft_oracle``)."""
    room = config.max_tokens - tokenizer.special_tokens
    examples: list[Example] = []
    told = time.monotonic()
    for done, article in enumerate(articles):
        if time.monotonic() - told > 20:
            told = time.monotonic()
            say(f"oracle extracts: {done} of {len(articles)} articles")
        sentences = [
            paragraph[start:end]
            for paragraph in article.paragraphs
            for start, end in split_sentences(paragraph)
        ]
        targets = soft_oracle(
            sentences, article.highlights, config.oracle_sentences, config.oracle_temperature
        )
        read: list[list[int]] = []
        left = config.train_tokens
        for tokens in tokenizer.encode(sentences):
            if len(tokens.ids) > left:
                break
            read.append(tokens.ids)
            left -= len(tokens.ids)
        if targets[: len(read)].sum() < LEAST_TARGET:
            continue
        windows = cut_evenly(read, room, tokenizer.special_tokens)
        if windows:
            examples.append(
                {
                    "input_ids": [token for window in windows for token in window.ids],
                    "windows": windows,
                    "labels": [
                        float(targets[number])
                        for window in windows
                        for number, _, _ in window.pieces
                    ],
                }
            )
    return examples


class _Collate:
    """Examples -> one batch of tensors."""

    def __init__(self, tokenizer: TextTokenizer, max_tokens: int) -> None:
        self._tokenizer = tokenizer
        self._max_tokens = max_tokens

    def __call__(self, rows: Sequence[Example]) -> dict[str, torch.Tensor]:
        articles: list[list[Window]] = [row["windows"] for row in rows]
        arrays = to_arrays(articles, self._tokenizer, self._max_tokens)
        batch = {name: torch.from_numpy(value) for name, value in arrays.items()}
        labels = torch.zeros(batch["slots"].shape)
        for line, row in enumerate(rows):
            labels[line, : len(row["labels"])] = torch.tensor(row["labels"])
        return batch | {"labels": labels}


class _WithLoss(nn.Module):
    """The scorer as Trainer wants it, with its loss over the sentences that are there.

    Cross-entropy between targets and scores, each as shares of the article's whole (ListNet: Cao et
    al. 2007), teaches which sentence goes before which; its gradient is several times the other's.
    Binary cross-entropy makes each score a probability of its own, which editors are shown.
    """

    def __init__(self, scorer: SentenceScorer) -> None:
        super().__init__()
        self.scorer = scorer

    def forward(self, *, labels: torch.Tensor, **inputs: torch.Tensor) -> dict[str, Any]:
        logits = self.scorer(**inputs).float()
        mask = inputs["sentence_mask"]
        alone = nn.functional.binary_cross_entropy_with_logits(logits, labels, reduction="none")
        shares = logits.masked_fill(mask == 0, -1e4).log_softmax(dim=-1)
        wanted = labels / labels.sum(dim=-1, keepdim=True)
        loss = (alone * mask).sum() / mask.sum() - (wanted * shares).sum(dim=-1).mean()
        return {"loss": loss, "logits": logits}
