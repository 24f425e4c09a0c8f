"""Training on somebody else's table, through the command line and without touching code."""

import csv
import json
import random
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.support import Ran, run, squeeze

from tocsin_models import hub
from tocsin_models.classifier import load_classifier
from tocsin_models.manifest import read_manifest
from tocsin_training.calibration import NEVER

# A desk's own categories: what each headline ends in decides.
ENDINGS = {
    "Sport": ("won the cup final", "lost the relay again", "signed a new keeper"),
    "Harbour": ("raised the ferry fares", "dredged the outer basin", "moved the fish market"),
    "Weather": ("expects frost by noon", "measured heavy rain", "warned of coastal fog"),
}
OPENINGS = ("The town", "A spokesman", "The club", "The board", "An official", "The station")
COLUMNS = "text=Headline,labels=Category,article=Story"
QUICK = ["folds=2", "int8=false", "bf16=false", "max_tokens=32"]


def desk(count: int, seed: int) -> list[dict[str, str]]:
    generator = random.Random(seed)
    rows = []
    for index in range(count):
        category = list(ENDINGS)[index % 3]
        headline = f"{generator.choice(OPENINGS)} {generator.choice(ENDINGS[category])}"
        story = f"{seed}-{index // 3}"
        rows.append({"Headline": headline, "Category": category, "Story": story, "Page": "1"})
    return rows


def write(path: Path, rows: list[dict[str, str]], delimiter: str = ",") -> Path:
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]), delimiter=delimiter)
        writer.writeheader()
        writer.writerows(rows)
    return path


def train(train: object, dev: object, base: Path, out: Path, *words: str) -> Ran:
    command = ("train", "classifier", "--train", train, "--dev", dev, "--base", base, "--out", out)
    return run(*command, *words)


@pytest.fixture(scope="module")
def trained(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model made of a CSV, told of by a Parquet file of the same columns."""
    import pyarrow
    import pyarrow.parquet

    folder = tmp_path_factory.mktemp("desk")
    table = write(folder / "desk.csv", desk(120, seed=1), ";")
    dev = folder / "dev.parquet"
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(desk(30, seed=2)), dev)
    # At 0.003 the network came out blind to one desk with some seeds; at 0.001 it never did.
    rates = ["learning_rate=0.001", "head_learning_rate=0.003"]
    settings = ["epochs=14", *rates, "batch_size=8", "name=desk"]
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # two wait for each other longer than so small a network runs
    done = train(table, dev, tiny_base, folder / "out", "--columns", COLUMNS, *QUICK, *settings)
    torch.set_num_threads(threads)
    assert done.code == 0, done.err
    return folder / "out"


def test_a_table_of_single_labels_trains_a_single_label_model(trained: Path) -> None:
    manifest = read_manifest(trained)
    assert manifest.labels == ("Harbour", "Sport", "Weather")
    assert manifest.training["problem"] == "single_label"
    assert manifest.training["columns"]["text"] == "Headline"
    assert set(manifest.thresholds.values()) == {0.0}
    # One temperature for all, and nothing added: the best label stays the best.
    assert len({tuple(found.items()) for found in manifest.calibration.values()}) == 1
    assert {found["offset"] for found in manifest.calibration.values()} == {0.0}
    for name in ("accuracy", "macro_f1"):
        found = manifest.metrics[name]
        assert 0.9 < found["value"] <= 1
        assert found["low"] <= found["value"] <= found["high"]
    assert [entry["name"] for entry in manifest.data] == ["desk.csv", "dev.parquet"]


def test_plain_transformers_gives_the_same_probabilities(trained: Path) -> None:
    # The directory is the hand-over; the temperature is in the last layer, for everybody.
    texts = [row["Headline"] for row in desk(30, seed=2)]
    model = hub.load_sequence_classifier(str(trained))
    assert model.config.problem_type == "single_label_classification"
    batch = hub.load_tokenizer(str(trained))(texts, padding=True, return_tensors="pt")
    with torch.inference_mode():
        logits = model(batch["input_ids"], batch["attention_mask"]).logits
    found = load_classifier(trained, device="cpu", precision="f32").score(texts)
    assert np.abs(found.probabilities - logits.softmax(dim=-1).numpy()).max() < 1e-4
    assert found.is_single_label


def test_each_passage_gets_the_one_best_label(trained: Path, tmp_path: Path) -> None:
    rows = [{"id": str(i), "text": row["Headline"]} for i, row in enumerate(desk(12, seed=3))]
    archive = tmp_path / "rows.jsonl"
    archive.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    out = tmp_path / "labels.jsonl"
    done = run("score", archive, "-o", out, "--unit", "passage", "--model", trained, "--quiet")
    assert done.code == 0, done.err
    answers = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert len(answers) == 12
    for answer in answers:
        assert answer["labels"] == [max(answer["scores"], key=answer["scores"].__getitem__)]
        assert sum(answer["scores"].values()) == pytest.approx(1, abs=1e-4)
    article = tmp_path / "story.txt"
    article.write_text("\n\n".join(f"{row['text']} on Monday." for row in rows), encoding="utf-8")
    shown = run("analyse", article, "--model", trained, "--json")
    assert shown.code == 0, shown.err
    assert all(len(passage["labels"]) == 1 for passage in json.loads(shown.out)["passages"])
    assert "Harbour" in run("analyse", article, "--model", trained).out


def test_a_long_passage_of_single_labels_is_the_mean_of_its_windows(trained: Path) -> None:
    # Maxima over windows would add up to more than 1, and two labels could both be at 0.99.
    found = load_classifier(trained, device="cpu").score(
        ["The club won the cup final. The station measured heavy rain. " * 12]
    )
    assert found.windows[0] > 1
    assert found.probabilities.sum() == pytest.approx(1, abs=1e-4)


def test_columns_of_0_and_1_and_a_data_set_train_too(tiny_base: Path, tmp_path: Path) -> None:
    import datasets

    rows = [
        {"Body": row["Headline"], "is_sport": int(index % 3 == 0), "is_sea": int(index % 2)}
        for index, row in enumerate(desk(24, seed=4))
    ]
    datasets.Dataset.from_list(rows).save_to_disk(tmp_path / "train")
    dev = write(tmp_path / "dev.csv", [{key: str(row[key]) for key in row} for row in rows[:9]])
    mapping = ("--columns", "text=Body,labels=is_sport+is_sea")
    settings = (*QUICK, "max_steps=2", "balance=sqrt")
    done = train(tmp_path / "train", dev, tiny_base, tmp_path / "out", *mapping, *settings)
    assert done.code == 0, done.err
    manifest = read_manifest(tmp_path / "out")
    assert manifest.labels == ("is_sea", "is_sport")
    assert manifest.training["problem"] == "multi_label"
    assert manifest.data[0]["name"] == str(tmp_path / "train")


def test_a_precision_may_be_asked_for_on_the_command_line(tiny_base: Path, tmp_path: Path) -> None:
    """Without it the option would be another word than the setting, or be lost on the way."""
    table = write(tmp_path / "desk.csv", desk(24, seed=8))
    dev = write(tmp_path / "dev.csv", desk(6, seed=9))
    out = tmp_path / "out"
    words = ("--columns", COLUMNS, "--threshold-policy")
    done = train(table, dev, tiny_base, out, *words, "precision=2", "epochs=0")
    assert done.code == 2
    assert "2 problems" in done.err
    assert "'precision=2' is neither f1 nor precision=P" in done.err
    assert "epochs: 0.0 is not above 0" in done.err
    assert not out.exists()
    settings = ("threshold_policy=f1", *QUICK, "max_steps=1", "problem=multi_label")
    done = train(table, dev, tiny_base, out, *words, "precision=0.9", *settings)
    assert done.code == 0, done.err
    manifest = read_manifest(out)
    assert manifest.training["config"]["threshold_policy"] == "precision=0.9"
    # The same training by F1 sets others: this one has learnt too little to be that precise.
    done = train(table, dev, tiny_base, tmp_path / "f1", "--columns", COLUMNS, *settings)
    assert done.code == 0, done.err
    found, usual = (read_manifest(folder).thresholds for folder in (out, tmp_path / "f1"))
    assert all(found[label] >= usual[label] for label in usual)
    assert NEVER in found.values()
    assert NEVER not in usual.values()
    told = squeeze(run("train", "classifier", "--help").out)
    assert "--threshold-policy" in told
    assert "threshold_policy=" in told


def test_whatever_is_wrong_with_a_table_is_told_before_training(
    tiny_base: Path, tmp_path: Path
) -> None:
    # An hour of training that ends in "unknown label" would be the alternative.
    table = write(tmp_path / "desk.csv", desk(24, seed=5))
    dev = write(tmp_path / "dev.csv", [*desk(6, seed=6), {**desk(1, seed=7)[0], "Category": "Art"}])
    out = tmp_path / "out"
    done = train(table, dev, tiny_base, out, "--columns", COLUMNS, "folds=9")
    assert done.code == 2
    assert "2 problems" in done.err
    assert "label 'Art' stands in 1 rows of --dev and in none of --train" in done.err
    assert "8 articles cannot be split into 9 folds; give more articles or set folds=8" in done.err
    done = train(table, dev, tiny_base, out, "--columns", "text=Headlin,labels=Category,txt=a")
    assert (done.code, "txt: unknown field; did you mean text?" in done.err) == (2, True)
    done = train(table, dev, tiny_base, out, "--columns", "text=Headlin,labels=Category")
    assert done.code == 2
    assert "no column 'Headlin' for text" in done.err
    assert "did you mean --columns text=Headline?" in done.err
    assert not out.exists()
