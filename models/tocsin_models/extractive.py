"""The network that chooses sentences: an encoder over windows, a transformer over sentences.

As in BERTSUM (Liu and Lapata 2019) sentence vectors go through document layers before each gets a
score. Two things differ. The article is cut into windows of whole sentences, so that reading costs
grow linearly and nothing is left unread; and a sentence's vector is the mean over its tokens, which
is what the base was trained to give (Reimers and Gurevych 2019), instead of an inserted [CLS].
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

# Sentences further down share the last position: what is rare in training is not learnt.
POSITIONS = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentShape:
    """Sizes of the part above the encoder."""

    layers: int
    heads: int = 6


class SentenceScorer(nn.Module):
    """Logits of "belongs in the summary" for the sentences of a batch of articles.

    ``input_ids``, ``attention_mask``: (windows, tokens), the windows of all articles in a row.
    ``pooling``: (windows, slots, tokens), float32: row ``s`` averages over the tokens of the
    window's ``s``-th sentence and is zero where there is none.
    ``slots``: (articles, sentences), which row of pooling, counted through all windows, holds the
    sentence; ``positions``: (articles, sentences), its number in the article;
    ``sentence_mask``: (articles, sentences), 1 for a sentence, 0 for padding.
    Returns (articles, sentences).
    """

    def __init__(self, encoder: Any, shape: DocumentShape) -> None:
        super().__init__()
        self.encoder = encoder
        self.config = encoder.config
        size = encoder.config.hidden_size
        self.positions = nn.Embedding(POSITIONS, size)
        nn.init.normal_(self.positions.weight, std=0.02)
        self.document = nn.ModuleList(
            nn.TransformerEncoderLayer(
                size,
                shape.heads,
                dim_feedforward=4 * size,
                activation="gelu",
                batch_first=True,
                norm_first=True,
            )
            for _ in range(shape.layers)
        )
        self.norm = nn.LayerNorm(size)
        self.score = nn.Linear(size, 1)

    def forward(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        pooling: torch.Tensor,
        slots: torch.Tensor,
        positions: torch.Tensor,
        sentence_mask: torch.Tensor,
    ) -> torch.Tensor:
        hidden = self.encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        pooled = torch.bmm(pooling.to(hidden.dtype), hidden)
        vectors = pooled.flatten(0, 1)[slots] + self.positions(positions.clamp(max=POSITIONS - 1))
        ignored = sentence_mask == 0
        for layer in self.document:
            vectors = layer(vectors, src_key_padding_mask=ignored)
        logits: torch.Tensor = self.score(self.norm(vectors)).squeeze(-1)
        return logits
