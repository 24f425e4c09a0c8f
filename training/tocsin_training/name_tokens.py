"""A token for each listed name, and one vector for all names of a kind.

Exchanging names in training teaches a network to overlook most of them. Here it cannot tell them
apart: "Iran" and "Brazil" are the same vector, as in relation extraction, where the entities are
masked by their type (Zhang et al. 2017, "Position-aware attention and supervised data improve slot
filling"). The names become entries of the tokenizer, so that whoever loads the directory, plain
``transformers`` too, reads them so. A name that no list holds is read in pieces as before; where a
lower-case form was an entry already (573 of all-MiniLM's), a longer word that begins with that
piece ("mali ##now ##ski") now begins with the vector of the kind.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from tokenizers import AddedToken

from tocsin_eval.names import listed_forms


@dataclass(frozen=True, slots=True)
class NameTokens:
    """``shared``: the token of each name -> the token that stands for its kind. ``pieces``: the
    tokens that each name was read as before."""

    shared: Mapping[int, int]
    pieces: Mapping[int, list[int]]
    vocabulary: int

    def begin(self, model: Any) -> None:
        """Make room for the names in a network; a kind begins at the mean of its names' vectors."""
        before = model.get_input_embeddings().weight.detach().clone()
        if len(before) < self.vocabulary:
            model.resize_token_embeddings(self.vocabulary, mean_resizing=False)
        rows: dict[int, list[torch.Tensor]] = {}
        for name, kind in self.shared.items():
            rows.setdefault(kind, []).append(before[self.pieces[name]].mean(dim=0))
        with torch.no_grad():
            weight = model.get_input_embeddings().weight
            for kind, means in rows.items():
                weight[kind] = torch.stack(means).mean(dim=0)
        self.tie(model)

    def tie(self, model: Any) -> None:
        """Give every name the vector of its kind. While a network learns, only the kinds' own are
        read (``Examples``), so that they stay one."""
        names, kinds = (torch.tensor(list(ids)) for ids in (self.shared, self.shared.values()))
        with torch.no_grad():
            weight = model.get_input_embeddings().weight
            weight[names] = weight[kinds]


def add_name_tokens(tokenizer: Any) -> NameTokens:
    """Put every listed name into the vocabulary of a fast tokenizer, as it is written."""
    forms = listed_forms()
    pieces = {
        form: tokenizer(form, add_special_tokens=False)["input_ids"] for form in sorted(forms)
    }
    # Found in the text as it stands: in lower case "Turkey" and "turkey" would be one word.
    tokenizer.add_tokens([AddedToken(form, single_word=True, normalized=False) for form in pieces])
    first: dict[str, int] = {}
    shared: dict[int, int] = {}
    for form in pieces:
        token = tokenizer.convert_tokens_to_ids(form)
        shared[token] = first.setdefault(forms[form], token)
    return NameTokens(
        shared,
        {tokenizer.convert_tokens_to_ids(form): found for form, found in pieces.items()},
        len(tokenizer),
    )
