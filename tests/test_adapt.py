"""Pre-training an encoder further: what it reads, what it must not read, and what comes out."""

import json
from pathlib import Path

import pytest
import torch

from tocsin_models import hub
from tocsin_models.errors import DataError
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


def test_no_text_left_is_said(tiny_base: Path, tmp_path: Path) -> None:
    """Without it torch fails on an empty batch, and says nothing of --texts."""
    texts = write(tmp_path / "texts.jsonl", [HELD])
    with pytest.raises(DataError, match="no row is left"):
        adapt_encoder([texts], [texts], str(tiny_base), tmp_path / "out", CONFIG)
    long = AdaptConfig(max_tokens=200)
    with pytest.raises(DataError, match="less text than one row of 200 tokens"):
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
