"""How a classifier is fine-tuned, once its target and its settings are known: what the folds, the
last training and the ablations share."""

import dataclasses
import functools
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from tocsin_eval.data import LabelledPassage
from tocsin_models import hub
from tocsin_training.config import ClassifierConfig
from tocsin_training.examples import Examples, Row
from tocsin_training.fit import Example, fit
from tocsin_training.name_tokens import NameTokens, add_name_tokens
from tocsin_training.progress import say
from tocsin_training.targets import Loss, Target, choose_loss, choose_pair_loss
from tocsin_training.teach import SoftPassage
from tocsin_training.work import Work


def load_tokenizer(base: str, config: ClassifierConfig) -> tuple[Any, NameTokens | None]:
    """The tokenizer of a base, and the names that were added to it where ``name_tokens`` is set.

    Raises:
        ModelNotFound: ``base`` cannot be loaded.
    """
    tokenizer = hub.load_tokenizer(base)
    return tokenizer, add_name_tokens(tokenizer) if config.name_tokens else None


@dataclasses.dataclass(frozen=True, slots=True)
class Recipe:
    """What every fine-tuning of a run shares."""

    base: str
    target: Target
    tokenizer: Any
    config: ClassifierConfig
    work: Work
    soft: Sequence[SoftPassage] = ()
    names: NameTokens | None = None

    def fine_tune(
        self,
        passages: Sequence[LabelledPassage],
        stage: str,
        left_out: Sequence[LabelledPassage] = (),
    ) -> torch.nn.Module:
        """The base, fine-tuned on ``passages`` and on what a teacher said of passages of articles
        that are not among those ``left_out``; ``stage`` names the checkpoints.

        With several ``seeds`` it is the mean of the weights of as many fine-tunings, each with an
        order, dropout and exchanged names of its own (Wortsman et al. 2022, "Model soups"). All
        begin with the same new layers: only then do their weights lie close enough for a mean.
        """
        config = self.config
        soft = self._soft_rows(left_out)
        beside = f" and {len(soft)} with a teacher's probabilities" if self.soft else ""
        say(f"{stage}: {len(passages)} passages{beside}")
        rows = [*self._rows(passages), *soft]
        loss = choose_loss(self.target.matrix(passages), self.target, config.balance)
        if config.seeds == 1:
            return self._fine_tune(rows, loss, config.seed, self.work.checkpoints(stage))
        total: dict[str, torch.Tensor] = {}
        for seed in range(config.seed, config.seed + config.seeds):
            say(f"seed {seed}, of {config.seeds} to be averaged")
            model = self._fine_tune(rows, loss, seed, self.work.checkpoints(stage, seed))
            # What is not a float, a table of positions, say, is the same in all.
            for name, value in model.state_dict().items():
                if value.is_floating_point():
                    total[name] = total.get(name, 0) + value
        mean = {name: value / config.seeds for name, value in total.items()}
        model.load_state_dict({**model.state_dict(), **mean})
        return model

    def _fine_tune(
        self, rows: Sequence[Row], loss: Loss, seed: int, checkpoints: Path
    ) -> torch.nn.Module:
        config = self.config
        # New layers are drawn at loading, so the seed must be set before it too.
        torch.manual_seed(config.seed)
        model = hub.load_sequence_classifier(
            self.base, self.target.labels, self.target.problem_type
        )
        if self.names:
            self.names.begin(model)
        last_epoch = math.ceil(config.epochs) - 1 if config.pair_names else math.inf
        examples = Examples(
            rows,
            self.tokenizer,
            config.max_tokens,
            seed,
            config.swap_names,
            last_epoch,
            self.names.shared if self.names else None,
        )
        of_pairs = choose_pair_loss(loss, self.target, config.pair_names)

        def of_batch(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
            return (of_pairs if examples.is_paired else loss)(logits, labels)

        model = fit(
            model,
            model.base_model,
            examples,
            functools.partial(_collate, tokenizer=self.tokenizer),
            dataclasses.replace(config, seed=seed),
            checkpoints,
            of_batch,
        )
        if self.names:
            self.names.tie(model)
        return model

    def logits(
        self, model: torch.nn.Module, passages: Sequence[LabelledPassage]
    ) -> npt.NDArray[np.float64]:
        """Shape (passages, labels), of the passages with their own names."""
        rows = self._rows(passages)
        examples = Examples(rows, self.tokenizer, self.config.max_tokens, self.config.seed)
        read = [examples[index] for index in range(len(examples))]
        order = sorted(range(len(read)), key=lambda index: len(read[index]["input_ids"]))
        found: list[npt.NDArray[np.float64]] = [np.empty(0)] * len(read)
        with torch.inference_mode():
            for start in range(0, len(order), 32):
                chunk = order[start : start + 32]
                batch = _collate([read[index] for index in chunk], self.tokenizer)
                del batch["labels"]
                for index, row in zip(chunk, model(**batch).logits.double().numpy(), strict=True):
                    found[index] = row
        return np.stack(found)

    def _rows(self, passages: Sequence[LabelledPassage]) -> list[Row]:
        return [
            Row(text=passage.text, target=self.target.of(passage), names=passage.names)
            for passage in passages
        ]

    def _soft_rows(self, left_out: Sequence[LabelledPassage]) -> list[Row]:
        articles = {passage.article for passage in left_out}
        return [
            Row(text=row.text, target=[row.scores[label] for label in self.target.labels])
            for row in self.soft
            if row.article not in articles
        ]


def _collate(rows: Sequence[Example], tokenizer: Any) -> dict[str, torch.Tensor]:
    """Of paired examples the other readings stand behind all first ones, in the same order."""
    paired = [row for row in rows if "other_ids" in row]
    ids = [*(row["input_ids"] for row in rows), *(row["other_ids"] for row in paired)]
    batch = tokenizer.pad({"input_ids": ids}, return_tensors="pt")
    return {
        "input_ids": batch["input_ids"],
        "attention_mask": batch["attention_mask"],
        "labels": torch.tensor([row["labels"] for row in [*rows, *paired]]),
    }
