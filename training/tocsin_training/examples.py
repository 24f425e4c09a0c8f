"""Passages as a network takes them: token ids and targets, names exchanged on the way."""

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from tocsin_eval.names import Name, swap_names


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One passage to learn from; ``target`` is a class, or a number from 0 to 1 for each label."""

    text: str
    target: int | list[float]
    names: tuple[Name, ...] = ()


class Examples(torch.utils.data.Dataset[dict[str, Any]]):
    """Rows of ``input_ids`` (a passage longer than a window by its first one) and ``labels``.

    In ``swap_share`` of the passages names are exchanged for others (``tocsin_eval.names``), drawn
    by the seed, the ``epoch`` and the row: the same run reads the same text after a restart too.
    From epoch ``pair_from`` on each also has ``other_ids``, the passage with names drawn again.
    ``shared`` are tokens that are read as others (``name_tokens``).
    """

    epoch = 0

    def __init__(
        self,
        rows: Sequence[Row],
        tokenizer: Any,
        max_tokens: int,
        seed: int,
        swap_share: float = 0.0,
        pair_from: float = math.inf,
        shared: Mapping[int, int] | None = None,
    ) -> None:
        self._rows = rows
        self._tokenizer = tokenizer
        self._max_tokens = max_tokens
        self._seed = seed
        self._swap_share = swap_share
        self._pair_from = pair_from
        self._shared = shared or {}

    @property
    def is_paired(self) -> bool:
        return self.epoch >= self._pair_from

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> dict[str, Any]:
        row = self._rows[index]
        chance = random.Random(f"{self._seed} {self.epoch} {index}")
        example = {"input_ids": self._draw(row, chance), "labels": row.target}
        if self.is_paired:
            example["other_ids"] = self._draw(row, chance)
        return example

    def _draw(self, row: Row, chance: random.Random) -> list[int]:
        text = row.text
        if chance.random() < self._swap_share:
            text = swap_names(text, row.names, chance)
        ids: list[int] = self._tokenizer(text, truncation=True, max_length=self._max_tokens)[
            "input_ids"
        ]
        return [self._shared.get(token, token) for token in ids]
