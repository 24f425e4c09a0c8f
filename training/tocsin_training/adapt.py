"""Longer pre-training of an encoder on unlabelled news, before it is fine-tuned.

Masked language modelling (Devlin et al. 2019) on the text of the trade: "Don't stop pretraining"
(Gururangan et al. 2020). What comes out is a base like any other.
"""

import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from tocsin_eval.tables import Source
from tocsin_models import hub
from tocsin_models.errors import DataError, ModelNotFound
from tocsin_training.config import AdaptConfig, describe_settings
from tocsin_training.fit import Example, check_length, check_tensorboard, fit
from tocsin_training.output import describe_data, move_directory
from tocsin_training.progress import say
from tocsin_training.unlabelled import read_unlabelled
from tocsin_training.work import Work, describe_base


def adapt_encoder(
    texts: Sequence[Source], without: Sequence[Source], base: str, out: Path, config: AdaptConfig
) -> None:
    """Train ``base`` to fill in masked words of ``texts`` and write it to ``out``, a directory that
    ``--base`` takes; its ``adapt.json`` says what it was made of.

    Which rows are read, and which are left out because of ``without``, says ``read_unlabelled``.

    Raises:
        DataError: a source cannot be read, or nothing is left to read.
        ConfigError: rows are longer than what ``base`` reads.
        ModelNotFound: ``base`` cannot be loaded, or has no mask token.
    """
    check_tensorboard(config)
    check_length(base, config)
    tokenizer = hub.load_tokenizer(base)
    if tokenizer.mask_token_id is None:
        raise ModelNotFound(
            f"{base}: its tokenizer has no mask token, so it cannot be asked for masked words; "
            "choose a base that was trained by masking, such as BERT or MiniLM"
        )
    found, dropped = read_unlabelled(texts, without)
    articles = ["\n".join(article.paragraphs) for article in found]
    random.Random(config.seed).shuffle(articles)
    examples = _cut(articles, tokenizer, config)
    say(
        f"{len(examples)} rows of {config.max_tokens} tokens from {len(articles)} articles; "
        f"{dropped} left out, as they hold passages of --without"
    )
    torch.manual_seed(config.seed)
    encoder = hub.load_encoder(base)
    described = {
        "config": describe_settings(config),
        **describe_base(base),
        "data": list(describe_data(texts=texts, without=without)),
    }
    work = Work(out, described)
    model = MaskedModel(encoder, config.mask_share, tokenizer.mask_token_id)
    fit(model, encoder, examples, _collate, config, work.checkpoints("everything"))
    finished = work.staging()
    encoder.save_pretrained(finished)
    tokenizer.save_pretrained(finished)
    # As output.write_directory: transformers would write where the weights lay.
    settings = finished / "config.json"
    values = json.loads(settings.read_text(encoding="utf-8")) | {"_name_or_path": base}
    settings.write_text(json.dumps(values, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    text = json.dumps(described, indent=2, ensure_ascii=False) + "\n"
    (finished / "adapt.json").write_text(text, encoding="utf-8")
    move_directory(finished, out)
    work.remove()


class MaskedModel(torch.nn.Module):
    """An encoder that is asked for the words it cannot see.

    Of each row ``share`` of the tokens are asked for, drawn afresh at each reading; of these 8 in
    10 are masked, 1 in 10 is another word, 1 in 10 stays. The head (as BERT's, tied to the
    embeddings) is new, because many bases come without theirs; only asked tokens go through it.
    """

    def __init__(self, encoder: Any, share: float, mask_id: int) -> None:
        super().__init__()
        self.encoder = encoder
        words, width = encoder.get_input_embeddings().weight.shape
        self.dense = torch.nn.Linear(encoder.config.hidden_size, width)
        self.norm = torch.nn.LayerNorm(width)
        self.bias = torch.nn.Parameter(torch.zeros(words))
        self._share, self._mask_id = share, mask_id

    def forward(self, input_ids: torch.Tensor, labels: torch.Tensor) -> dict[str, torch.Tensor]:
        """``labels`` is 1 where a token may be asked for: not special, not padding."""
        chance = torch.rand(input_ids.shape, device=input_ids.device)
        asked = (chance < self._share) & labels.bool()
        kind = torch.rand(input_ids.shape, device=input_ids.device)
        other = torch.randint_like(input_ids, len(self.bias))
        seen = torch.where(asked & (kind < 0.8), self._mask_id, input_ids)
        seen = torch.where(asked & (kind >= 0.9), other, seen)
        hidden = self.encoder(input_ids=seen).last_hidden_state[asked]
        hidden = self.norm(torch.nn.functional.gelu(self.dense(hidden)))
        weight = self.encoder.get_input_embeddings().weight
        logits = torch.nn.functional.linear(hidden, weight, self.bias)
        return {"loss": torch.nn.functional.cross_entropy(logits.float(), input_ids[asked])}


def _cut(articles: Sequence[str], tokenizer: Any, config: AdaptConfig) -> list[Example]:
    """Articles one after the other, cut into rows of ``max_tokens``; each row is full."""
    before, after = _frame(tokenizer)
    room = config.max_tokens - len(before) - len(after)
    ids: list[int] = []
    for start in range(0, len(articles), 256):
        chunk = list(articles[start : start + 256])
        for found in tokenizer(chunk, add_special_tokens=False)["input_ids"]:
            ids += found
        if 0 < config.train_tokens <= len(ids):
            ids = ids[: config.train_tokens]
            break
    may_ask = [0] * len(before) + [1] * room + [0] * len(after)
    rows: list[Example] = [
        {"input_ids": [*before, *ids[start : start + room], *after], "labels": may_ask}
        for start in range(0, len(ids) - room + 1, room)
    ]
    if not rows:
        raise DataError(f"--texts: less text than one row of {config.max_tokens} tokens")
    return rows


def _frame(tokenizer: Any) -> tuple[list[int], list[int]]:
    """The special tokens before and after a text."""
    bare = tokenizer("a", add_special_tokens=False)["input_ids"]
    framed = tokenizer("a")["input_ids"]
    start = next(i for i in range(len(framed)) if framed[i : i + len(bare)] == bare)
    return framed[:start], framed[start + len(bare) :]


def _collate(rows: Sequence[Example]) -> dict[str, torch.Tensor]:
    return {name: torch.tensor([row[name] for row in rows]) for name in ("input_ids", "labels")}
