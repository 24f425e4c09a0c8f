"""Training, end to end, on tiny bases: what comes out is what every other part loads."""

import json
import random
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from tocsin_eval.data import read_passages, read_summaries
from tocsin_models import hub
from tocsin_models.classifier import load_classifier
from tocsin_models.errors import ConfigError, DataError, ModelError, ModelNotFound
from tocsin_models.manifest import EMBEDDED, read_manifest
from tocsin_models.protocols import Limits
from tocsin_models.records import Paragraph
from tocsin_models.summariser import load_summariser
from tocsin_training import quantise, recipe
from tocsin_training.calibration import NEVER
from tocsin_training.fit import ByteDropout, fit, set_dropout
from tocsin_training.quantise import quantise_classifier
from tocsin_training.train import train_classifier, train_summariser

OPENINGS = ["The ministry", "A spokesman", "The army", "The governor", "An envoy", "The militia"]
THREATS = ["vowed to burn the port", "will strike the capital", "warned of a hard answer"]
PLAIN = ["opened a bakery", "counted the fishing boats", "painted the school yellow"]
SETTINGS = [
    "folds=2",
    "int8=false",
    "bf16=false",
    "learning_rate=0.003",
    "batch_size=8",
    "max_tokens=32",
    "problem=multi_label",
]


def write(path: Path, rows: list[dict[str, object]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def labelled(path: Path, count: int, seed: int) -> Path:
    generator = random.Random(seed)
    rows: list[dict[str, object]] = []
    for index in range(count):
        is_threat = index % 2 == 0
        ending = generator.choice(THREATS if is_threat else PLAIN)
        rows.append(
            {
                "id": f"{seed}-{index}",
                "article": f"{seed}-{index // 4}",
                "text": f"{generator.choice(OPENINGS)} {ending}.",
                "labels": ["threat"] if is_threat else ["calm"],
            }
        )
    return write(path, rows)


@pytest.fixture(scope="module")
def trained(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("classifier")
    train = labelled(folder / "train.jsonl", 96, seed=1)
    dev = labelled(folder / "dev.jsonl", 24, seed=2)
    settings = [*SETTINGS, "epochs=6", "name=tiny"]
    train_classifier([train], [dev], str(tiny_base), folder / "out", None, settings)
    return folder / "out"


def test_a_tiny_encoder_learns_the_difference_and_its_manifest_says_so(trained: Path) -> None:
    # A training loop that does not learn, or a metric that does not see it, would pass all else.
    manifest = read_manifest(trained)
    assert manifest.labels == ("calm", "threat")
    assert manifest.metrics["macro_f1"]["value"] > 0.9
    assert all(0 < value < 1 for value in manifest.thresholds.values())
    scores = load_classifier(trained, device="cpu").score(
        ["The army vowed to burn the port.", "The governor opened a bakery."]
    )
    by_label = dict(zip(scores.labels, scores.probabilities.T, strict=True))
    assert by_label["threat"][0] > manifest.thresholds["threat"] > by_label["threat"][1]


def test_plain_transformers_gives_the_same_probabilities(trained: Path) -> None:
    # The directory is the hand-over: whoever loads it without Tocsin must read the same numbers.
    texts = [row.text for row in read_passages([trained.parent / "dev.jsonl"])]
    model = hub.load_sequence_classifier(str(trained))
    assert model.config.problem_type == "multi_label_classification"
    assert model.dtype == torch.float32
    tokenizer = hub.load_tokenizer(str(trained))
    with torch.inference_mode():
        batch = tokenizer(texts, padding=True, return_tensors="pt")
        expected = model(batch["input_ids"], batch["attention_mask"]).logits.sigmoid().numpy()
    found = load_classifier(trained, device="cpu").score(texts).probabilities
    assert np.abs(found - expected).max() < 0.02


def test_weights_are_stored_in_half_precision_and_say_float32(trained: Path) -> None:
    from safetensors import safe_open

    with safe_open(trained / "model.safetensors", "pt") as tensors:
        kinds = {tensors.get_slice(name).get_dtype() for name in tensors.keys()}  # noqa: SIM118
    assert "F32" not in kinds
    assert "F16" in kinds
    config = json.loads((trained / "config.json").read_text())
    assert config["dtype"] == "float32"


def test_the_same_seed_trains_the_same_model(tiny_base: Path, tmp_path: Path) -> None:
    # Without it no figure of a model card could be made again.
    train = labelled(tmp_path / "train.jsonl", 32, seed=3)
    dev = labelled(tmp_path / "dev.jsonl", 8, seed=4)
    for name in ("a", "b"):
        settings = [*SETTINGS, "max_steps=3"]
        train_classifier([train], [dev], str(tiny_base), tmp_path / name, None, settings)
    assert read_manifest(tmp_path / "a").revision == read_manifest(tmp_path / "b").revision


def test_several_seeds_are_averaged_into_one_model_of_the_same_beginning(
    tiny_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without it the mean could be of one seed, or of networks that began with other new layers:
    such weights lie far apart, and their mean is a worse model than either."""
    begun: list[torch.Tensor] = []
    members: list[dict[str, torch.Tensor]] = []

    def watched(model: Any, *others: Any) -> torch.nn.Module:
        begun.append(model.classifier.weight.detach().clone())
        done = fit(model, *others)
        members.append({name: value.clone() for name, value in done.state_dict().items()})
        return done

    monkeypatch.setattr(recipe, "fit", watched)
    train = labelled(tmp_path / "train.jsonl", 32, seed=3)
    dev = labelled(tmp_path / "dev.jsonl", 8, seed=4)
    settings = [*SETTINGS, "max_steps=3", "seeds=3", "folds_used=1"]
    train_classifier([train], [dev], str(tiny_base), tmp_path / "out", None, settings)
    assert len(members) == 2 * 3, "three in the fold, three on everything"
    assert all(torch.equal(first, begun[0]) for first in begun)
    found = hub.load_sequence_classifier(str(tmp_path / "out")).state_dict()
    # The last layer holds the calibration too.
    names = [name for name in found if not name.startswith("classifier.")]
    for name in names:
        values = torch.stack([member[name] for member in members[3:]])
        torch.testing.assert_close(found[name], values.mean(0), rtol=2e-3, atol=1e-4)
    assert any(not torch.equal(members[3][name], members[4][name]) for name in names)


def test_the_int8_copy_agrees_and_is_under_the_manifests_hash(
    trained: Path, tmp_path: Path
) -> None:
    # It is what most servers run: of other weights it would be another model of the same name.
    folder = tmp_path / "quantised"
    shutil.copytree(trained, folder)
    texts = [row.text for row in read_passages([trained.parent / "train.jsonl"])]
    quantise_classifier(folder, texts, seed=1)
    assert {"model.int8.xml", "model.int8.bin"} <= set(read_manifest(folder).files)
    assert read_manifest(folder).revision != read_manifest(trained).revision
    found = load_classifier(folder, device="cpu")
    assert found.info.precision in ("int8", "f32")
    difference = (
        found.score(texts).probabilities - load_classifier(trained).score(texts).probabilities
    )
    assert np.abs(difference).mean() < 0.03


def test_an_article_in_both_train_and_dev_is_refused(tiny_base: Path, tmp_path: Path) -> None:
    # A split inside articles flatters every figure.
    path = labelled(tmp_path / "train.jsonl", 8, seed=5)
    with pytest.raises(DataError, match="both --train and --dev"):
        train_classifier([path], [path], str(tiny_base), tmp_path / "out", None, [])


def test_places_and_bases_that_cannot_be_used_are_refused_at_once(
    tiny_base: Path, tmp_path: Path
) -> None:
    path = labelled(tmp_path / "train.jsonl", 8, seed=6)
    dev = labelled(tmp_path / "dev.jsonl", 8, seed=7)
    with pytest.raises(ConfigError, match="not empty"):
        train_classifier([path], [dev], str(tiny_base), tmp_path, None, [])
    with pytest.raises(ModelNotFound, match="no such directory"):
        train_classifier([path], [dev], "./nowhere", tmp_path / "out", None, ["folds=2"])
    settings = ["calibration_sources=[wire]", "folds=2"]
    with pytest.raises(DataError, match="calibration_sources"):
        train_classifier([path], [dev], str(tiny_base), tmp_path / "out", None, settings)


def test_folds_that_leave_out_no_passage_to_calibrate_on_are_refused_before_training(
    tiny_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without it a scale would be fitted on no row, and every label be as good as any other."""
    path = labelled(tmp_path / "train.jsonl", 16, seed=8)
    dev = labelled(tmp_path / "dev.jsonl", 8, seed=9)
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    write(path, [row | {"source": f"of-{row['article']}"} for row in rows])
    monkeypatch.setattr(recipe, "fit", lambda *_: pytest.fail("was trained"))
    refused = 0
    for article in {row["article"] for row in rows}:  # half of four are in the other fold
        settings = [*SETTINGS, "folds_used=1", f"calibration_sources=[of-{article}]"]
        with pytest.raises((DataError, pytest.fail.Exception)) as caught:
            train_classifier([path], [dev], str(tiny_base), tmp_path / "out", None, settings)
        if caught.errisinstance(DataError):
            refused += 1
            assert "calibration_sources=['of-8-" in str(caught.value)
            assert "folds_used=1" in str(caught.value)
    assert refused == 2


def test_labels_that_were_not_calibrated_are_named(
    tiny_base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without it a desk would read the raw scores of a rare label as calibrated ones."""
    path = labelled(tmp_path / "train.jsonl", 32, seed=10)
    dev = labelled(tmp_path / "dev.jsonl", 8, seed=11)
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    for row in rows[:4]:
        row["labels"].append("rare")
    write(path, rows)
    settings = [*SETTINGS, "max_steps=1", "threshold_policy=precision=0.9"]
    train_classifier([path], [dev], str(tiny_base), tmp_path / "out", None, settings)
    [line] = [line for line in capsys.readouterr().err.splitlines() if "not calibrated" in line]
    assert "rare" in line.partition(";")[0]
    assert read_manifest(tmp_path / "out").thresholds["rare"] == NEVER


# Dropout by the byte


def test_dropout_drops_its_share_and_keeps_the_mean() -> None:
    """Without it training would drop more or less than the settings say, or scale what it keeps
    wrongly, so that the network that answers is not the one that learnt."""
    torch.manual_seed(5)
    values = torch.rand(300, 1001) + 1  # odd, so that the drawn bytes are cut off
    for share in (0.1, 0.5):
        dropped = ByteDropout(share)(values)
        assert (dropped == 0).float().mean().item() == pytest.approx(share, abs=0.005)
        kept = (dropped / values)[dropped != 0]
        assert torch.allclose(kept, kept[0].expand_as(kept))
        assert dropped.mean().item() == pytest.approx(values.mean().item(), rel=0.005)
        assert dropped.shape == values.shape
    # Rows and columns alike: no position is spared.
    assert (ByteDropout(0.5)(torch.ones(400, 64)) == 0).float().mean(dim=0).min() > 0.3


def test_dropout_is_not_the_same_twice_and_obeys_the_seed() -> None:
    """Without it one set of units would never be trained, or no training could be repeated."""
    values, dropout = torch.ones(64, 64), ByteDropout(0.3)
    torch.manual_seed(1)
    first, second = dropout(values), dropout(values)
    torch.manual_seed(1)
    assert torch.equal(dropout(values), first)
    assert not torch.equal(first, second)


def test_dropout_does_nothing_to_a_network_that_answers_or_without_a_share() -> None:
    """Without it a passage would score differently each time."""
    values = torch.rand(8, 8)
    assert torch.equal(ByteDropout(0.5).eval()(values), values)
    assert torch.equal(ByteDropout(0.0)(values), values)
    # The settings allow up to 1: even then something is left, and nothing is divided by 0.
    assert ByteDropout(0.999)(torch.ones(64, 64)).isfinite().all()


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
def test_gradients_pass_where_activations_did(kind: torch.dtype) -> None:
    """Without it units would be taught by what they did not say. bf16 is what training runs in."""
    torch.manual_seed(2)
    values = torch.ones(32, 33, dtype=kind, requires_grad=True)
    dropped = ByteDropout(0.25)(values)
    assert dropped.dtype == kind
    dropped.sum().backward()
    assert values.grad is not None
    assert torch.equal(values.grad, dropped.detach())
    assert 0 < (values.grad == 0).sum() < values.numel()


def test_every_dropout_of_a_network_is_set_and_none_on_attention_weights(tiny_base: Path) -> None:
    """Without it the setting would reach some layers of some families only."""
    model = hub.load_sequence_classifier(str(tiny_base), ("calm", "threat"))
    set_dropout(model, 0.25)
    found = [module for module in model.modules() if isinstance(module, ByteDropout)]
    assert len(found) == 1 + 2 * 2 + 1  # embeddings, two in each layer, head
    left = [module.p for module in model.modules() if isinstance(module, torch.nn.Dropout)]
    assert left == [0.0, 0.0]
    names = {name for name, module in model.named_modules() if isinstance(module, ByteDropout)}
    assert "dropout" in names


def articles(path: Path, count: int, seed: int) -> Path:
    """Articles whose summary is the sentence that reports shelling."""
    generator = random.Random(seed)
    rows: list[dict[str, object]] = []
    for index in range(count):
        news = f"{generator.choice(OPENINGS)} accused the army of shelling the port."
        sentences = [f"{generator.choice(OPENINGS)} {generator.choice(PLAIN)}." for _ in range(6)]
        sentences.insert(generator.randrange(7), news)
        rows.append({"id": f"{seed}-{index}", "paragraphs": sentences, "highlights": [news]})
    return write(path, rows)


def test_the_extractive_model_learns_which_sentence_is_the_news(
    tiny_base: Path, tmp_path: Path
) -> None:
    train = articles(tmp_path / "train.jsonl", 64, seed=1)
    dev = articles(tmp_path / "dev.jsonl", 16, seed=2)
    settings = ["bf16=false", "epochs=6", "learning_rate=0.003", "batch_size=4", "max_tokens=48"]
    settings += ["document_layers=1", "oracle_sentences=1", "dropout=0", "int8=true"]
    train_summariser([train], [dev], str(tiny_base), tmp_path / "out", None, settings)
    summariser = load_summariser(tmp_path / "out", device="cpu")
    assert read_manifest(tmp_path / "out").metrics["rouge1"]["value"] > 40
    assert "model.int8.xml" in read_manifest(tmp_path / "out").files
    [row] = articles(tmp_path / "one.jsonl", 1, seed=9).read_text().splitlines()
    paragraphs = [
        Paragraph(text=text, start=0, end=len(text)) for text in json.loads(row)["paragraphs"]
    ]
    [sentence] = summariser.summarise(paragraphs, Limits(max_sentences=1)).sentences
    assert "shelling" in sentence.text


def test_the_int8_copy_of_a_summariser_ranks_sentences_as_its_weights_do(
    tiny_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # It is what most processors run, and what the manifest's hash has to cover.
    train = articles(tmp_path / "train.jsonl", 16, seed=1)
    dev = articles(tmp_path / "dev.jsonl", 4, seed=2)
    plain, quantised = tmp_path / "plain", tmp_path / "quantised"
    settings = ["bf16=false", "max_steps=40", "learning_rate=0.003", "max_tokens=48", "dropout=0"]
    train_summariser([train], [dev], str(tiny_base), plain, None, [*settings, "int8=false"])
    shutil.copytree(plain, quantised)
    assert quantise.main([str(quantised), "--articles", str(train)]) == 0
    assert {"model.int8.xml", "model.int8.bin"} <= set(read_manifest(quantised).files)
    assert read_manifest(quantised).revision != read_manifest(plain).revision
    sentences = read_summaries(train)[0].paragraphs
    expected, _ = load_summariser(plain, device="cpu", precision="f32").score_sentences(sentences)
    summariser = load_summariser(quantised, device="cpu")
    assert summariser.info.precision in ("int8", "f32")
    found, _ = summariser.score_sentences(sentences)
    assert np.abs(found - expected).max() < 0.05
    assert found.argmax() == expected.argmax()


def test_a_summariser_learns_on_from_where_it_stands(tiny_base: Path, tmp_path: Path) -> None:
    # transformers takes such a directory for an encoder none of whose weights it knows, and
    # draws new ones: a desk's own articles would unlearn all that the model knew.
    train = articles(tmp_path / "train.jsonl", 8, seed=1)
    dev = articles(tmp_path / "dev.jsonl", 2, seed=2)
    settings = ["bf16=false", "int8=false", "max_steps=2", "max_tokens=48", "dropout=0"]
    first, second = tmp_path / "first", tmp_path / "second"
    train_summariser([train], [dev], str(tiny_base), first, None, settings)
    still = ["learning_rate=1e-9", "head_learning_rate=1e-9", "weight_decay=0"]
    train_summariser([train], [dev], str(first), second, None, [*settings, *still])
    before, after = (load_file(folder / "model.safetensors") for folder in (first, second))
    assert before.keys() == after.keys()
    for name, value in before.items():
        torch.testing.assert_close(after[name], value, rtol=0, atol=1e-4)
    moving = ["learning_rate=0.01", "head_learning_rate=0.01"]
    train_summariser([train], [dev], str(first), tmp_path / "third", None, [*settings, *moving])
    third = load_file(tmp_path / "third" / "model.safetensors")
    assert not torch.allclose(third["score.weight"], before["score.weight"], atol=1e-3)
    more = [*settings, "document_layers=1"]
    with pytest.raises(ConfigError, match=r"document_layers: is 1, and .*first has 2"):
        train_summariser([train], [dev], str(first), tmp_path / "other", None, more)


def test_a_classifier_is_no_beginning_of_a_summariser(trained: Path, tmp_path: Path) -> None:
    # Its encoder has learnt to tell labels apart and forgotten what a sentence is worth.
    table = articles(tmp_path / "train.jsonl", 4, seed=1)
    dev = articles(tmp_path / "dev.jsonl", 2, seed=2)
    with pytest.raises(ModelError, match="holds a classifier; give an encoder or a summariser's"):
        train_summariser([table], [dev], str(trained), tmp_path / "out", None, ["max_tokens=48"])


def test_quantising_refuses_what_it_cannot_do_and_changes_nothing(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # Twice quantised, or a classifier read as a summariser, would be a model that nobody measured.
    table = articles(tmp_path / "train.jsonl", 4, seed=1)
    before = read_manifest(trained).revision
    assert quantise.main([str(trained), "--articles", str(table)]) == 2
    assert "holds a classifier, not a summariser" in capsys.readouterr().err
    embedded = str(EMBEDDED["summariser"])
    assert quantise.main([embedded, "--articles", str(table)]) == 2
    assert "has an int8 network already" in capsys.readouterr().err
    assert read_manifest(trained).revision == before
