"""Names of a kind are one vector: which of them stands in a text changes no probability."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers

from tocsin_eval.names import listed_forms
from tocsin_models import hub
from tocsin_models.classifier import load_classifier
from tocsin_training.name_tokens import add_name_tokens
from tocsin_training.train import train_classifier

SETTINGS = [
    "name_tokens=true", "folds=2", "int8=false", "bf16=false", "learning_rate=0.003",
    "batch_size=8", "max_tokens=48", "epochs=2", "problem=multi_label",
]  # fmt: skip


def rows(path: Path, count: int) -> Path:
    states = ["Iran", "Brazil", "Norway", "Chad"]
    lines = [
        {
            "id": f"{path.stem}-{n}",
            "article": f"{path.stem}-{n // 3}",
            "text": f"{states[n % 4]} {['will strike', 'met envoys of'][n % 2]} Kenya.",
            "labels": [["threat"], ["calm"]][n % 2],
        }
        for n in range(count)
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def trained(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("names")
    train, dev = rows(folder / "train.jsonl", 48), rows(folder / "dev.jsonl", 12)
    train_classifier([train], [dev], str(tiny_base), folder / "out", None, SETTINGS)
    return folder / "out"


def test_each_form_has_the_kind_that_the_lists_give_it() -> None:
    # A town that counted as a state would be told from other towns.
    forms = listed_forms()
    assert {forms[form] for form in ("Iran", "Iranian", "IRAN", "iran", "U.S.", "u.s.")} == {
        "state"
    }
    assert forms["Iranians"] == "people"
    assert forms["Abuja"] == forms["abuja"] == "place"
    assert forms["the Houthis"] == "armed_group"
    # Other words, where nothing is in capitals.
    assert not {"us", "turkey", "polish"} & forms.keys()
    assert forms["Turkey"] == "state"


def test_only_listed_names_are_read_otherwise(tiny_base: Path) -> None:
    # A name found inside a word, or a word taken for a name, would damage what it stands in.
    plain, tokenizer = hub.load_tokenizer(str(tiny_base)), hub.load_tokenizer(str(tiny_base))
    names = add_name_tokens(tokenizer)

    def read(text: str) -> list[int]:
        return [names.shared.get(token, token) for token in tokenizer(text)["input_ids"]]

    for text in ("He let us eat turkey.", "Chadwick, a Nigerianised malice.", "Ruritania fell."):
        assert read(text) == plain(text)["input_ids"]
    assert read("Iran struck, the Iranians said.") == read("Peru struck, the Peruvians said.")
    assert read("IRAN: iran's U.S. ally") == read("PERU: peru's British ally")
    assert read("Hit by the Houthis in Abuja.") == read("Hit by the Janjaweed in Addis Ababa.")
    assert read("Iran fell.") != read("Abuja fell.")


def probabilities(directory: Path, texts: list[str]) -> np.ndarray[Any, Any]:
    tokenizer = transformers.AutoTokenizer.from_pretrained(directory)
    model = transformers.AutoModelForSequenceClassification.from_pretrained(directory)
    with torch.inference_mode():
        logits = model(**tokenizer(texts, padding=True, return_tensors="pt")).logits
    return np.asarray(logits.sigmoid().numpy())


def test_another_name_changes_no_probability_here_or_in_plain_transformers(trained: Path) -> None:
    # It is what the setting promises: vectors that had drifted apart in training would decide.
    texts = ["Iran will strike Kenya.", "Norway will strike Peru.", "Ruritania will strike Kenya."]
    ours = load_classifier(trained, device="cpu", precision="f32").score(texts).probabilities
    theirs = probabilities(trained, texts)
    assert ours == pytest.approx(theirs, abs=1e-4)
    assert theirs[0] == pytest.approx(theirs[1], abs=1e-6)
    # One that no list holds is read piece by piece, and so may.
    assert theirs[0] != pytest.approx(theirs[2], abs=1e-6)


def test_a_classifier_with_names_is_a_base_like_any_other(trained: Path, tmp_path: Path) -> None:
    # A desk that trains on from it would else meet a vocabulary of two sizes.
    train, dev = rows(tmp_path / "t.jsonl", 24), rows(tmp_path / "d.jsonl", 6)
    out = tmp_path / "out"
    train_classifier([train], [dev], str(trained), out, None, [*SETTINGS, "max_steps=2"])
    texts = ["Iran will strike Kenya.", "Norway will strike Peru."]
    first, second = probabilities(out, texts)
    assert first == pytest.approx(second, abs=1e-6)
