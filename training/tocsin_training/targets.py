"""What a classifier is to learn: its labels, whether a row has one or any number of them, and how
much each counts. All that is wrong with the data is told before anything is trained."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from tocsin_eval.data import LabelledPassage
from tocsin_models.errors import ConfigError, DataError
from tocsin_models.hub import ProblemType
from tocsin_training.config import ClassifierConfig

_SHOWN_SOURCES = 8

Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
Matrix = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Labels, sorted; with ``is_single_label`` each row has exactly one of them (softmax), else any
    number (sigmoid)."""

    labels: tuple[str, ...]
    is_single_label: bool

    @property
    def problem_type(self) -> ProblemType:
        if self.is_single_label:
            return "single_label_classification"
        return "multi_label_classification"

    def of(self, passage: LabelledPassage) -> list[float]:
        """What the network is trained towards: 1 for each label of the passage, 0 for the rest."""
        return [float(label in passage.labels) for label in self.labels]

    def matrix(self, passages: Sequence[LabelledPassage]) -> Matrix:
        """Truth, shape (passages, labels)."""
        return np.array([[label in row.labels for label in self.labels] for row in passages])

    def decide(self, logits: npt.NDArray[np.float64]) -> Matrix:
        """Logits of shape (texts, labels) as decisions without thresholds: what is likelier than
        not, or, of single labels, the likeliest one."""
        if self.is_single_label:
            return np.asarray(logits.argmax(axis=1)[:, None] == np.arange(len(self.labels)))
        return np.asarray(logits > 0)

    def probabilities(self, logits: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Logits of shape (texts, labels) as probabilities."""
        tensor = torch.from_numpy(logits)
        found = tensor.softmax(dim=-1) if self.is_single_label else tensor.sigmoid()
        return np.asarray(found.numpy(), dtype=np.float64)


def choose_target(
    train: Sequence[LabelledPassage],
    dev: Sequence[LabelledPassage],
    config: ClassifierConfig,
    columns: Mapping[str, str],
    *,
    is_calibrated: bool = True,
) -> Target:
    """The labels of ``train``, and what kind of problem they are.

    ``problem: auto`` takes single labels where every row of ``train`` has exactly one, of two or
    more. Without ``is_calibrated`` no folds and no rows to calibrate on are asked for.

    Raises:
        ConfigError: a definition is of a label that no row has.
        DataError: with all that is wrong: articles in both sets, a label that nothing can be learnt
            of, too few articles for the folds, more folds used than there are, a source to
            calibrate on that no row has, a threshold policy for single labels, pairs of names
            without exchanged names or without a last epoch.
    """
    labels = tuple(sorted({label for row in train for label in row.labels}))
    if unknown := sorted(set(config.definitions) - set(labels)):
        raise ConfigError(
            "definitions", [f"{label}: no training row has this label" for label in unknown]
        )
    is_single = len(labels) > 1 and all(len(row.labels) == 1 for row in train)
    target = Target(
        labels=labels,
        is_single_label=is_single if config.problem == "auto" else config.problem == "single_label",
    )
    problems = [
        *_overlap(train, dev),
        *_label_problems(train, dev, target, columns),
        *(_calibration_problems(train, config) if is_calibrated else []),
        *_policy_problems(target, config),
        *_pair_problems(config),
    ]
    if problems:
        raise DataError(problems)
    return target


def choose_loss(truth: Matrix, target: Target, balance: str) -> Loss:
    """Mean cross-entropy of logits and of targets from 0 to 1, each (rows, labels): over sigmoids,
    or, of single labels, over a softmax. ``balance`` gives rare labels more weight in it.

    ``truth`` are the labelled rows trained on. ``inverse`` gives the positives of a label as much
    weight as its negatives (single labels: every label as much as any other); ``sqrt`` takes the
    square root of that. King and Zeng (2001) is the classic on it; probabilities move too, which
    calibration sets right for labels that are scored apart, and not for single ones.
    """
    positives = truth.sum(axis=0).astype(np.float64)
    # A fold may lack a label that stands in few articles; there it has no positive to weigh.
    shares = np.maximum(positives, 1) / len(truth)
    ratios = 1 / (len(target.labels) * shares) if target.is_single_label else 1 / shares - 1
    power = {"none": 0.0, "sqrt": 0.5, "inverse": 1.0}[balance]
    raised = np.where(positives > 0, ratios, 1.0) ** power
    weights = torch.tensor(raised, dtype=torch.float32)

    def single_label_loss(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        weight = weights.to(logits.device)
        losses = torch.nn.functional.cross_entropy(
            logits.float(), labels, weight=weight, reduction="none"
        )
        return losses.sum() / (labels @ weight).sum()

    def multi_label_loss(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.binary_cross_entropy_with_logits(
            logits.float(), labels, pos_weight=weights.to(logits.device)
        )

    return single_label_loss if target.is_single_label else multi_label_loss


def choose_pair_loss(loss: Loss, target: Target, weight: float) -> Loss:
    """``loss`` of all rows, and ``weight`` times how far apart the two answers to a passage are.

    The second half of the rows are those of the first read with other names, in the same order.
    The distance is Jeffreys' divergence of the probabilities, the mean over passages and labels
    (of single labels the sum over classes): counterfactual logit pairing (Garg et al. 2019,
    "Counterfactual fairness in text classification through robustness"), with the symmetric
    divergence of R-Drop (Liang et al. 2021), which leaves alone what both are sure of.
    """

    def multi_label(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
        return ((first.sigmoid() - second.sigmoid()) * (first - second)).mean()

    def single_label(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
        moved = first.softmax(dim=-1) - second.softmax(dim=-1)
        return (moved * (first.log_softmax(dim=-1) - second.log_softmax(dim=-1))).sum(-1).mean()

    divergence = single_label if target.is_single_label else multi_label

    def both(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        first, second = logits.float().chunk(2)
        return loss(logits, labels) + weight * divergence(first, second)

    return both


def _overlap(train: Sequence[LabelledPassage], dev: Sequence[LabelledPassage]) -> list[str]:
    shared = {row.article for row in train} & {row.article for row in dev}
    if not shared:
        return []
    return [
        f"{len(shared)} articles stand in both --train and --dev, {min(shared)!r} among them; "
        "split by article, or the figures flatter"
    ]


def _label_problems(
    train: Sequence[LabelledPassage],
    dev: Sequence[LabelledPassage],
    target: Target,
    columns: Mapping[str, str],
) -> list[str]:
    if not target.labels:
        return [
            "no row of --train has a label; name the column that holds them: --columns labels=…"
        ]
    problems = []
    parts = [part.strip() for part in columns.get("labels", "").split("+")]
    if len(parts) > 1:
        problems += [
            f"label {label!r} is 1 in no row of --train; leave it out of --columns labels=… or add "
            "rows that have it"
            for label in sorted(set(parts) - set(target.labels))
        ]
    unknown = Counter(label for row in dev for label in row.labels if label not in target.labels)
    problems += [
        f"label {label!r} stands in {count} rows of --dev and in none of --train; add rows that "
        "have it, or mend its spelling"
        for label, count in sorted(unknown.items())
    ]
    if target.is_single_label:
        if len(target.labels) < 2:
            problems.append(
                f"single_label needs two labels or more; --train has {target.labels[0]!r}"
            )
        for name, rows in (("--train", train), ("--dev", dev)):
            if wrong := [row.id for row in rows if len(row.labels) != 1]:
                problems.append(
                    f"{len(wrong)} rows of {name} have no label or several, {wrong[0]!r} the first "
                    "of them; a single-label model needs exactly one each: mend the rows, or set "
                    "problem=multi_label"
                )
    return problems


def _calibration_problems(train: Sequence[LabelledPassage], config: ClassifierConfig) -> list[str]:
    problems = []
    if (articles := len({row.article for row in train})) < config.folds:
        problems.append(
            f"{articles} articles cannot be split into {config.folds} folds; give more articles"
            + (f" or set folds={articles}" if articles > 1 else "")
        )
    if config.folds_used > config.folds:
        problems.append(
            f"folds_used={config.folds_used} is more than folds={config.folds}; set folds_used=0 "
            "for all of them"
        )
    sources = sorted({row.source for row in train if row.source})
    shown = f"{sources[:_SHOWN_SOURCES]}" + (" and others" if sources[_SHOWN_SOURCES:] else "")
    problems += [
        f"calibration_sources: no training passage has the source {wanted!r}; there are {shown}; "
        "calibration_sources=[] takes all passages"
        for wanted in config.calibration_sources
        if wanted not in sources
    ]
    return problems


def _policy_problems(target: Target, config: ClassifierConfig) -> list[str]:
    """Of single labels the best is given whatever its score, so there is no threshold to choose."""
    if not target.is_single_label or config.threshold_policy == "f1":
        return []
    return [
        f"threshold_policy={config.threshold_policy} is for labels that are scored apart, and each "
        "row has exactly one label; set problem=multi_label, or leave threshold_policy out"
    ]


def _pair_problems(config: ClassifierConfig) -> list[str]:
    """Both readings of a pair would be the same text, or which epoch is the last is not known."""
    problems = []
    if config.pair_names and not config.swap_names > 0:
        problems.append(
            f"pair_names={config.pair_names} compares readings with other names, and swap_names=0 "
            "exchanges none; set swap_names above 0, or pair_names=0"
        )
    if config.pair_names and config.max_steps > 0:
        problems.append(
            f"pair_names={config.pair_names} is for the last epoch, and max_steps="
            f"{config.max_steps} takes the place of epochs; set epochs instead, or pair_names=0"
        )
    return problems
