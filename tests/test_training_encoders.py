"""Encoders of six families train, are saved, and answer alike in Tocsin and outside it."""

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from tests.test_training import OPENINGS, PLAIN, THREATS, labelled, write

from tocsin_models import hub
from tocsin_models.classifier import load_classifier
from tocsin_models.errors import ConfigError
from tocsin_models.manifest import read_manifest
from tocsin_training.classifier import train_classifier
from tocsin_training.config import ClassifierConfig
from tocsin_training.fit import parameter_groups

LAYERS = 3
SIZES = {
    "hidden_size": 16,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "max_position_embeddings": 70,
}
FAMILIES: dict[str, dict[str, Any]] = {
    "bert": SIZES,
    "roberta": SIZES,
    "deberta-v2": SIZES
    | {"relative_attention": True, "pos_att_type": ["p2c", "c2p"], "position_buckets": 8}
    | {"position_biased_input": False, "share_att_key": True, "norm_rel_ebd": "layer_norm"},
    "distilbert": {"dim": 16, "hidden_dim": 24, "n_layers": LAYERS, "n_heads": 2}
    | {"max_position_embeddings": 70},
    "modernbert": SIZES | {"local_attention": 8, "global_attn_every_n_layers": 2},
    "electra": SIZES | {"embedding_size": 12},
}
BYTE_PAIRS = ("roberta", "modernbert")
SENTENCES = [f"{opening} {ending}." for opening in OPENINGS for ending in (*THREATS, *PLAIN)]


def byte_pairs() -> Any:
    """A byte-level BPE as RoBERTa has it, its padding not number 0."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=330, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(SENTENCES, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    names = dict(zip(("bos", "pad", "eos", "unk", "mask"), special, strict=True))
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        cls_token="<s>",
        sep_token="</s>",
        **{f"{name}_token": token for name, token in names.items()},
    )


@pytest.fixture(params=FAMILIES)
def family(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def base(family: str, tiny_base: Path, tmp_path: Path) -> Path:
    """A random encoder of the family with a tokenizer of its own."""
    tokenizer = byte_pairs() if family in BYTE_PAIRS else hub.load_tokenizer(str(tiny_base))
    ids = {
        f"{name}_token_id": getattr(tokenizer, f"{name}_token_id")
        for name in ("pad", "bos", "eos", "cls", "sep")
    }
    config = transformers.AutoConfig.for_model(
        # Weights so large that texts are told apart, though nothing is learnt.
        family,
        vocab_size=len(tokenizer),
        initializer_range=0.2,
        **FAMILIES[family],
        **ids,
    )
    torch.manual_seed(0)
    transformers.AutoModel.from_config(config).save_pretrained(tmp_path / "base")
    tokenizer.save_pretrained(tmp_path / "base")
    return tmp_path / "base"


def tables(folder: Path, is_single_label: bool) -> tuple[Path, Path]:
    """Passages to train on and to tell; with several labels, too few of each to calibrate."""
    if is_single_label:
        return labelled(folder / "train.jsonl", 16, 1), labelled(folder / "dev.jsonl", 8, 2)
    chance = random.Random(3)
    made = []
    for name, count in (("train", 16), ("dev", 8)):
        rows: list[dict[str, object]] = [
            {
                "id": f"{name}-{index}",
                "article": f"{name}-{index // 2}",
                "text": chance.choice(SENTENCES),
                "labels": [[], ["threat"], ["calm", "threat"], [], [], [], [], []][index % 8],
            }
            for index in range(count)
        ]
        made.append(write(folder / f"{name}.jsonl", rows))
    return made[0], made[1]


def test_windows_longer_than_what_a_family_has_positions_for_are_refused_at_once(
    family: str, base: Path, tmp_path: Path
) -> None:
    """Without it torch fails in the middle of a training, or a model is written whose manifest
    promises windows that end in a traceback."""
    # RoBERTa's first positions are the padding's; the other two know distances and angles.
    room = {"roberta": 68, "deberta-v2": None, "modernbert": None}.get(family, 70)
    assert hub.longest_input(str(base)) == room
    if room is None:
        return
    encoder = hub.load_encoder(str(base))
    encoder(input_ids=torch.full((1, room), 5))
    with pytest.raises((IndexError, RuntimeError)):
        encoder(input_ids=torch.full((1, room + 1), 5))
    train, dev = tables(tmp_path, is_single_label=False)
    config = ClassifierConfig(folds=2, max_tokens=room + 1)
    with pytest.raises(ConfigError, match=f"max_tokens: {room + 1} is more than the {room} tokens"):
        train_classifier([train], [dev], str(base), tmp_path / "out", config)
    assert not list(tmp_path.glob("out*"))


def test_every_family_trains_and_answers_alike_inside_and_outside_tocsin(
    family: str, base: Path, tmp_path: Path
) -> None:
    """Without it a family whose head, padding or tokenizer is otherwise made could be trained for
    hours into a directory that answers differently in plain transformers, or not at all."""
    is_single_label = family in ("roberta", "electra")
    train, dev = tables(tmp_path, is_single_label)
    config = ClassifierConfig(
        folds=2,
        int8=False,
        bf16=False,
        max_steps=2,
        batch_size=4,
        max_tokens=48,
        layer_decay=0.5,
        name_tokens=True,
    )
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # two wait for each other longer than so small a network runs
    train_classifier([train], [dev], str(base), tmp_path / "out", config)
    torch.set_num_threads(threads)
    problem = "single_label" if is_single_label else "multi_label"
    assert read_manifest(tmp_path / "out").training["problem"] == problem

    # Of several lengths, so that some are padded, and two that differ in a listed name alone.
    texts = [
        SENTENCES[0],
        f"{SENTENCES[1]} {SENTENCES[2]}",
        "Ships.",
        "To Iran.",
        "To Saudi Arabia.",
    ]
    model = transformers.AutoModelForSequenceClassification.from_pretrained(
        tmp_path / "out", attn_implementation="eager"
    ).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "out")
    batch = tokenizer(texts, padding=True, return_tensors="pt")
    with torch.inference_mode():
        logits = model(batch["input_ids"], attention_mask=batch["attention_mask"]).logits
    expected = logits.softmax(dim=-1) if is_single_label else logits.sigmoid()
    # How far a random network tells texts apart hangs on the temperature it is given; the answers
    # have to agree far more closely than that, or any answer would do.
    spread = float(expected.std(dim=0).min())
    assert spread > 1e-5, "the texts are told apart"
    found = load_classifier(tmp_path / "out", device="cpu", precision="f32").score(texts)
    assert found.is_single_label == is_single_label
    assert tuple(model.config.id2label.values()) == found.labels
    assert np.abs(found.probabilities - expected.numpy()).max() < min(1e-4, spread / 10)
    assert expected[3].numpy() == pytest.approx(expected[4].numpy(), abs=spread / 100)


def test_the_rate_falls_from_layer_to_layer_in_every_family(family: str, base: Path) -> None:
    """Without it a family that names its layers otherwise would learn at the rate of embeddings,
    an eighth of what was asked for, and nothing would say so."""
    config = ClassifierConfig(learning_rate=0.008, head_learning_rate=0.05, layer_decay=0.5)
    model = hub.load_sequence_classifier(str(base), ("calm", "threat"))
    groups = parameter_groups(model, model.base_model, config)
    rate = {id(one): group["lr"] for group in groups for one in group["params"]}
    assert len(rate) == sum(len(group["params"]) for group in groups)
    assert set(rate) == {id(one) for one in model.parameters()}

    encoder = model.base_model
    [layers] = [
        module
        for module in encoder.modules()
        if isinstance(module, torch.nn.ModuleList) and len(module) == LAYERS
    ]
    for layer, expected in zip(layers, (0.002, 0.004, 0.008), strict=True):
        assert {rate[id(one)] for one in layer.parameters()} == {expected}
    embeddings = {rate[id(one)] for one in encoder.embeddings.parameters()}
    assert embeddings == {0.001}
    if family == "modernbert":
        assert rate[id(encoder.final_norm.weight)] == 0.008, "it stands above the top layer"
    inside = {id(one) for one in encoder.parameters()}
    head = {rate[id(one)] for one in model.parameters() if id(one) not in inside}
    assert head == {0.05}
    if family == "bert":
        assert {rate[id(one)] for one in encoder.pooler.parameters()} == {0.05}
