"""What is learnt of a table: one label or many, how much each weighs, how sure it may be."""

import numpy as np
import pytest
import torch

from tocsin_eval.data import LabelledPassage
from tocsin_models.errors import ConfigError, DataError
from tocsin_models.labels import assign_labels
from tocsin_models.protocols import Scores
from tocsin_training.calibration import Bools, Floats, fit_temperature
from tocsin_training.config import ClassifierConfig, load_config
from tocsin_training.targets import Target, choose_loss, choose_pair_loss, choose_target


def rows(*labels: str, prefix: str = "t") -> list[LabelledPassage]:
    """A passage for each word, its labels between commas."""
    return [
        LabelledPassage(
            id=f"{prefix}{index}",
            article=f"{prefix}{index}",
            text="One.",
            labels=tuple(sorted(filter(None, word.split(",")))),
            source="wire",
        )
        for index, word in enumerate(labels)
    ]


TRAIN = rows("fire", "talks", "fire")


def chosen(train: list[LabelledPassage], problem: str = "auto") -> Target:
    return choose_target(train, rows("fire", prefix="d"), ClassifierConfig(problem=problem), {})


def test_the_data_say_whether_a_row_has_one_label_or_many() -> None:
    # Softmax over labels that may stand together would forbid what the codebook allows.
    assert chosen(TRAIN).is_single_label
    assert not chosen(rows("fire", "talks", "fire,talks")).is_single_label
    assert not chosen(rows("fire", "talks", "")).is_single_label
    assert not chosen(rows("fire", "fire", "fire")).is_single_label
    assert not chosen(TRAIN, "multi_label").is_single_label
    assert chosen(TRAIN, "single_label").is_single_label


@pytest.mark.parametrize(
    ("train", "dev", "settings", "columns", "problem"),
    [
        (TRAIN, TRAIN, {}, {}, "3 articles stand in both --train and --dev, 't0' among them"),
        (rows("", "", ""), [], {}, {}, "no row of --train has a label"),
        (rows("a", "a"), [], {}, {}, "2 articles cannot be split into 3 folds"),
        (TRAIN, rows("war", prefix="d"), {}, {}, "label 'war' stands in 1 rows of --dev"),
        (TRAIN, rows("fire,talks", prefix="d"), {}, {}, "1 rows of --dev have no label or several"),
        (rows("a", "b", ""), [], {"problem": "single_label"}, {}, "'t2' the first of them"),
        (rows("a", "a", "a"), [], {"problem": "single_label"}, {}, "needs two labels or more"),
        (TRAIN, [], {}, {"labels": "fire+talks+rain"}, "label 'rain' is 1 in no row of --train"),
        (
            TRAIN,
            [],
            {"calibration_sources": ["wire", "wir"]},
            {},
            "source 'wir'; there are ['wire']",
        ),
        (TRAIN, [], {"folds_used": 4}, {}, "folds_used=4 is more than folds=3; set folds_used=0"),
        (TRAIN, [], {"threshold_policy": "precision=0.9"}, {}, "set problem=multi_label, or leave"),
        (TRAIN, [], {"pair_names": 8.0, "swap_names": 0.0}, {}, "set swap_names above 0, or pair"),
        (
            TRAIN,
            [],
            {"pair_names": 8.0, "max_steps": 9},
            {},
            "max_steps=9 takes the place of epochs",
        ),
    ],
)
def test_data_that_cannot_be_learnt_from_are_refused(
    train: list[LabelledPassage],
    dev: list[LabelledPassage],
    settings: dict[str, object],
    columns: dict[str, str],
    problem: str,
) -> None:
    with pytest.raises(DataError) as caught:
        choose_target(train, dev, ClassifierConfig(**settings), columns)  # type: ignore[arg-type]
    assert problem in str(caught.value)
    assert len(caught.value.problems) == 1


def test_what_is_not_calibrated_needs_no_folds_and_no_source() -> None:
    """Without it the ablation of the shipped recipe would refuse every desk's data."""
    config = ClassifierConfig(calibration_sources=["nowhere"], folds=100, folds_used=99)
    assert choose_target(TRAIN, [], config, {}, is_calibrated=False).labels == ("fire", "talks")


def test_decisions_without_thresholds_are_the_best_label_or_the_likely_ones() -> None:
    """Without it the ablation gives a row of single labels none or several of them."""
    logits = np.array([[-2.0, -1.0], [3.0, 1.0]])
    single = Target(labels=("a", "b"), is_single_label=True)
    assert single.decide(logits).tolist() == [[False, True], [True, False]]
    many = Target(labels=("a", "b"), is_single_label=False)
    assert many.decide(logits).tolist() == [[False, False], [True, True]]


def test_a_precision_of_labels_that_are_scored_apart_is_not_refused() -> None:
    """Without it nobody could ask for one."""
    config = ClassifierConfig(threshold_policy="precision=0.9", problem="multi_label", folds_used=3)
    assert not choose_target(TRAIN, [], config, {}).is_single_label


def test_choices_are_closed() -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(ClassifierConfig, None, ["problem=softmax", "balance=often"])
    assert caught.value.problems == (
        "problem: 'softmax' is not one of auto, multi_label, single_label",
        "balance: 'often' is not one of none, sqrt, inverse",
    )


def test_inverse_weights_make_every_label_count_the_same() -> None:
    # The point of it: nine calm rows must not outvote the one that matters.
    truth = np.zeros((10, 2), dtype=bool)
    truth[:1, 0] = truth[1:, 1] = True
    logits = torch.zeros((10, 2), requires_grad=True)
    single = choose_loss(truth, Target(labels=("a", "b"), is_single_label=True), "inverse")
    [slopes] = torch.autograd.grad(single(logits, torch.tensor(truth).float()), logits)
    assert slopes.sum(dim=0).tolist() == pytest.approx([0, 0], abs=1e-6)
    many = torch.zeros((10, 2), requires_grad=True)
    multi = choose_loss(truth, Target(labels=("a", "b"), is_single_label=False), "inverse")
    [slopes] = torch.autograd.grad(multi(many, torch.tensor(truth).float()), many)
    assert slopes.sum(dim=0).tolist() == pytest.approx([0, 0], abs=1e-6)


def test_sqrt_weights_lie_between_and_none_leaves_the_loss_alone() -> None:
    truth = np.eye(2, dtype=bool)[[0, 1, 1, 1, 1]]
    target = Target(labels=("a", "b"), is_single_label=True)
    labels = torch.tensor(truth).float()
    torch.manual_seed(0)
    logits = torch.randn((5, 2))
    losses = [
        choose_loss(truth, target, balance)(logits, labels).item()
        for balance in ("none", "sqrt", "inverse")
    ]
    plain = torch.nn.functional.cross_entropy(logits, torch.tensor(truth.argmax(axis=1)))
    assert losses[0] == pytest.approx(plain.item())
    assert sorted(losses) in (losses, losses[::-1])


def test_weighted_single_labels_are_a_weighted_mean() -> None:
    """Without it the learning rate would mean something else for each batch's share of labels."""
    truth = np.eye(2, dtype=bool)[[0, 1, 1, 1, 1]]
    target = Target(labels=("a", "b"), is_single_label=True)
    torch.manual_seed(1)
    logits = torch.randn((5, 2))
    found = choose_loss(truth, target, "inverse")(logits, torch.tensor(truth).float())
    expected = torch.nn.functional.cross_entropy(
        logits, torch.tensor(truth.argmax(axis=1)), weight=torch.tensor([2.5, 0.625])
    )
    assert found.item() == pytest.approx(expected.item())


@pytest.mark.parametrize("is_single", [False, True])
def test_two_readings_of_a_passage_cost_the_divergence_of_their_answers(is_single: bool) -> None:
    """Without it nothing would hold a network to one answer whoever is in the news: the first half
    of the rows are compared with the second, and what both agree on costs nothing."""
    target = Target(labels=("a", "b"), is_single_label=is_single)
    truth = np.eye(2, dtype=bool)[[0, 1, 0, 1]]
    labels = torch.tensor(truth).float()
    plain = choose_loss(truth, target, "none")
    paired = choose_pair_loss(plain, target, 0.5)
    same = torch.tensor([[2.0, -1.0], [0.5, 3.0]]).repeat(2, 1)
    assert paired(same, labels).item() == pytest.approx(plain(same, labels).item())

    moved = same.clone()
    moved[2:, 0] -= 1.5
    kind = torch.distributions.Categorical if is_single else torch.distributions.Bernoulli
    one, other = kind(logits=moved[:2]), kind(logits=moved[2:])
    divergence = sum(
        torch.distributions.kl_divergence(first, second).mean()
        for first, second in ((one, other), (other, one))
    )
    expected = plain(moved, labels) + 0.5 * divergence
    assert paired(moved, labels).item() == pytest.approx(expected.item(), rel=1e-5)


def test_a_label_that_a_fold_lacks_weighs_nothing_new() -> None:
    # All rows of a rare label may stand in one article, and so outside of a fold.
    truth = np.zeros((4, 3), dtype=bool)
    truth[:, 0] = True
    for is_single in (True, False):
        target = Target(labels=("a", "b", "c"), is_single_label=is_single)
        loss = choose_loss(truth, target, "inverse")
        assert torch.isfinite(loss(torch.zeros((4, 3)), torch.tensor(truth).float()))


def drawn(scale: float, count: int = 20_000) -> tuple[Floats, Bools]:
    """Logits, and truth drawn from softmax(scale * logits)."""
    generator = np.random.default_rng(3)
    logits = generator.normal(size=(count, 4)) * 3
    noisy = scale * logits + generator.gumbel(size=logits.shape)
    return logits, np.eye(4, dtype=bool)[noisy.argmax(axis=1)]


@pytest.mark.parametrize("scale", [0.3, 1.0, 2.5])
def test_the_temperature_that_made_the_data_is_found(scale: float) -> None:
    # Networks are too sure of themselves (Guo et al. 2017); "0.9" must mean 0.9 to a desk.
    logits, truth = drawn(scale)
    found = fit_temperature(logits, truth)
    assert found.scale == pytest.approx(scale, rel=0.05)
    assert not found.offset.any()
    assert not found.thresholds.any()

    def loss(value: float) -> float:
        tensor = torch.from_numpy(value * logits)
        return torch.nn.functional.cross_entropy(tensor, torch.from_numpy(truth.argmax(1))).item()

    best = float(found.scale[0])
    assert loss(best) < min(loss(0.98 * best), loss(1.02 * best))


def test_a_model_that_is_always_right_is_not_made_infinitely_sure() -> None:
    truth = np.eye(3, dtype=bool)[[0, 1, 2] * 4]
    found = fit_temperature(np.where(truth, 2.0, 0.0), truth)
    scaled = torch.from_numpy(found.scale * np.where(truth, 2.0, 0.0)).softmax(dim=1)
    assert 0.8 < scaled.max() < 0.99


def test_a_model_that_has_learnt_nothing_is_made_unsure() -> None:
    logits, truth = drawn(0.0)
    assert fit_temperature(logits, truth).scale[0] < 0.05


def test_of_single_labels_the_best_is_given_if_it_reaches_its_threshold() -> None:
    # Thresholds of 0 would otherwise give every label to every passage.
    scores = Scores(
        labels=("a", "b", "c"),
        probabilities=np.array([[0.2, 0.5, 0.3], [0.4, 0.4, 0.2]], np.float32),
        windows=(1, 1),
        is_single_label=True,
    )
    zeros = dict.fromkeys(("a", "b", "c"), 0.0)
    assert assign_labels(scores, 0, zeros)[0] == ("b",)
    assert assign_labels(scores, 1, zeros)[0] == ("a",)
    assert assign_labels(scores, 0, zeros | {"b": 0.6})[0] == ()
    # A caller that asks for some labels is told the best of these.
    assert assign_labels(scores, 0, {"a": 0.0, "c": 0.0}) == (("c",), {"a": 0.2, "c": 0.3})
