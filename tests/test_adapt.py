"""Pre-training an encoder further: what it reads, what it must not read, and what comes out."""

import hashlib
import json
import shutil
from pathlib import Path

import pytest
import torch
from tests.support import run

from tocsin_models import hub
from tocsin_models.errors import DataError, ModelNotFound
from tocsin_training.adapt import MaskedModel, adapt_encoder
from tocsin_training.config import AdaptConfig

PLAIN = "The army of Sahlan painted the long school at the quiet end of the town in the morning."
HELD = "The envoy of Varkhan vowed to burn the port of Kabul before the end of the quiet morning."
CONFIG = AdaptConfig(max_tokens=16, batch_size=4, max_steps=3, bf16=False, mask_share=0.5)


def write(path: Path, texts: list[str]) -> Path:
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts), encoding="utf-8")
    return path


def test_what_comes_out_is_a_base_with_other_weights(tiny_base: Path, tmp_path: Path) -> None:
    """Without it the hour is spent, and --base does not take what came out, or it is unchanged."""
    texts = write(tmp_path / "texts.jsonl", [PLAIN] * 20)
    adapt_encoder([texts], [], str(tiny_base), tmp_path / "out", CONFIG)

    before, after = hub.load_encoder(str(tiny_base)), hub.load_encoder(str(tmp_path / "out"))
    weights = [model.get_input_embeddings().weight for model in (before, after)]
    assert not torch.equal(*weights)
    hub.load_sequence_classifier(str(tmp_path / "out"), ("a", "b"), "multi_label_classification")
    assert hub.load_tokenizer(str(tmp_path / "out"))(PLAIN) == hub.load_tokenizer(str(tiny_base))(
        PLAIN
    )
    assert not (tmp_path / "out.unfinished").exists()


def test_a_text_that_holds_a_passage_of_without_is_not_read(
    tiny_base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without it a model is measured on passages that it has read, and looks better than it is."""
    near = HELD.replace("quiet morning", "cold morning").upper()
    texts = write(tmp_path / "texts.jsonl", [PLAIN] * 20 + [f"{PLAIN}\n{HELD}", near])
    held = write(tmp_path / "held.jsonl", [HELD])

    adapt_encoder([texts], [held], str(tiny_base), tmp_path / "out", CONFIG)

    assert "from 20 articles; 2 left out" in capsys.readouterr().err


def test_a_short_passage_is_found_only_as_a_whole_line(
    tiny_base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without it the help would promise what is not looked for. Few words are shared by chance."""
    short = "The envoy vowed to burn the port."
    texts = write(
        tmp_path / "texts.jsonl", [PLAIN] * 20 + [f"{PLAIN}\n{short}", f"{PLAIN} {short}"]
    )
    held = write(tmp_path / "held.jsonl", [short])
    adapt_encoder([texts], [held], str(tiny_base), tmp_path / "out", CONFIG)
    assert "from 21 articles; 1 left out" in capsys.readouterr().err


def test_the_directory_says_what_it_was_made_of(tiny_base: Path, tmp_path: Path) -> None:
    """Without it nobody could tell, months later, whether a base had read the test set."""
    texts = write(tmp_path / "texts.jsonl", [PLAIN] * 20)
    held = write(tmp_path / "held.jsonl", [HELD])
    adapt_encoder([texts], [held], str(tiny_base), tmp_path / "out", CONFIG)
    made = json.loads((tmp_path / "out" / "adapt.json").read_text(encoding="utf-8"))
    assert made["base"] == str(tiny_base)
    assert made["config"]["mask_share"] == 0.5
    digests = [hashlib.sha256(path.read_bytes()).hexdigest() for path in (texts, held)]
    assert made["data"] == [
        {"split": "texts", "name": "texts.jsonl", "sha256": digests[0]},
        {"split": "without", "name": "held.jsonl", "sha256": digests[1]},
    ]
    weights = (tiny_base / "model.safetensors").read_bytes()
    assert made["base_sha256"] == {"model.safetensors": hashlib.sha256(weights).hexdigest()}
    config = json.loads((tmp_path / "out" / "config.json").read_text(encoding="utf-8"))
    assert config["_name_or_path"] == str(tiny_base)


def test_a_base_that_knows_no_mask_is_refused_at_once(tiny_base: Path, tmp_path: Path) -> None:
    """Without it torch fails on None, after the texts were read."""
    base = tmp_path / "base"
    shutil.copytree(tiny_base, base)
    path = base / "tokenizer_config.json"
    settings = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(settings | {"mask_token": None}), encoding="utf-8")
    with pytest.raises(ModelNotFound, match="no mask token"):
        adapt_encoder([tmp_path / "none.jsonl"], [], str(base), tmp_path / "out", CONFIG)
    assert not list(tmp_path.glob("out*"))


def test_several_files_may_follow_without(tiny_base: Path, tmp_path: Path) -> None:
    """Without it the second table of a test set would be taken for a setting, and be refused."""
    texts = write(tmp_path / "texts.jsonl", [PLAIN] * 20 + [HELD, HELD[4:]])
    held = [write(tmp_path / f"{n}.jsonl", [text]) for n, text in enumerate((HELD, HELD[4:]))]
    words = ["--texts", texts, "--without", *held, "--base", tiny_base, "--out", tmp_path / "out"]
    settings = ("max_tokens=16", "batch_size=4", "max_steps=1", "bf16=false")
    done = run("train", "adapt", *words, *settings)
    assert done.code == 0, done.err
    assert "from 20 articles; 2 left out" in done.err
    made = json.loads((tmp_path / "out" / "adapt.json").read_text(encoding="utf-8"))
    assert [row["name"] for row in made["data"]] == ["texts.jsonl", "0.jsonl", "1.jsonl"]


def test_no_text_left_is_said(tiny_base: Path, tmp_path: Path) -> None:
    """Without it torch fails on an empty batch, and says nothing of --texts."""
    texts = write(tmp_path / "texts.jsonl", [HELD])
    with pytest.raises(DataError, match="no row is left"):
        adapt_encoder([texts], [texts], str(tiny_base), tmp_path / "out", CONFIG)
    long = AdaptConfig(max_tokens=100)
    with pytest.raises(DataError, match="less text than one row of 100 tokens"):
        adapt_encoder([texts], [], str(tiny_base), tmp_path / "out", long)
    assert not (tmp_path / "out").exists()


def test_only_words_are_asked_for_and_the_right_one_costs_least(tiny_base: Path) -> None:
    """Without it padding or special tokens are learnt, or the loss looks at other places than those
    that were masked."""
    torch.manual_seed(1)
    encoder = hub.load_encoder(str(tiny_base))
    tokenizer = hub.load_tokenizer(str(tiny_base))
    model = MaskedModel(encoder, 0.5, tokenizer.mask_token_id)
    ids = torch.tensor([tokenizer(PLAIN)["input_ids"]] * 8)
    may_ask = torch.ones_like(ids)
    may_ask[:, 4:] = 0
    # One word takes the place of all that may be asked for, and the head is made to say it.
    ids[:, :4] = 7
    with torch.no_grad():
        model.bias[7] = 50.0
        assert float(model(ids, may_ask)["loss"]) < 1e-3
        model.bias[7] = -50.0
        assert float(model(ids, may_ask)["loss"]) > 10
