"""Speed and quality commands from end to end, on a real encoder that is merely tiny."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import transformers
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from torch.utils.flop_counter import FlopCounterMode

from tocsin_eval import bench
from tocsin_eval.data import LabelledPassage
from tocsin_eval.speed import Limit, Scoring, Start, imported, measure_scoring, read_shape
from tocsin_models.manifest import Manifest, hash_files, write_manifest

LABELS = ("claim", "threat")
WORDS = ["the", "navy", "said", "it", "warned", "again", "left", "port", "rain", "fell", "."]


def build_model(directory: Path) -> Path:
    """A model directory as training writes it: two layers of 32 channels, weights at random."""
    directory.mkdir()
    torch.manual_seed(0)
    vocabulary = {word: index for index, word in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]"])}
    vocabulary |= {word: index for index, word in enumerate(WORDS, start=len(vocabulary))}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    fast = transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]"
    )
    fast.save_pretrained(directory)
    config = transformers.BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=64,
        id2label=dict(enumerate(LABELS)),
        problem_type="multi_label_classification",
    )
    transformers.BertForSequenceClassification(config).save_pretrained(directory)
    manifest = Manifest(
        name="tiny",
        task="classifier",
        max_tokens=64,
        languages=("en",),
        base="none",
        licence="Apache-2.0",
        files=hash_files(directory),
        labels=LABELS,
        thresholds=dict.fromkeys(LABELS, 0.5),
    )
    write_manifest(directory, manifest)
    return directory


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_model(tmp_path_factory.mktemp("models") / "tiny")


TEXTS = ["The navy said it left port.", "It warned again.", "Rain fell.", "The port said so."]


def test_both_systems_score_the_same_texts_to_the_same_probabilities(model: Path) -> None:
    # A speed against a pipeline that computes something else would be no speed at all.
    scoring, info = measure_scoring(model, TEXTS, threads=1)
    assert info.name == "tiny"
    assert scoring.largest_difference < 0.01
    assert scoring.pipeline_dtype == "float32"
    assert scoring.passages == 4
    # Two special tokens a text; a full stop is a token.
    assert scoring.tokens == (7 + 2) + (4 + 2) + (3 + 2) + (5 + 2)
    assert len(scoring.ours_s) == len(scoring.pipeline_s) == 3


def test_the_arithmetic_of_an_encoder_is_what_torch_counts(model: Path) -> None:
    # The share of the machine's limit rests on this formula.
    encoder = transformers.BertForSequenceClassification(
        transformers.BertConfig(**json.loads((model / "config.json").read_text()))
    )
    length = 24
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        encoder(input_ids=torch.ones((1, length), dtype=torch.long))
    once_a_text = 2 * (32 * 32 + 32 * len(LABELS))
    expected = counter.get_total_flops() - once_a_text
    assert length * read_shape(model).flops_per_token(length) == expected


def test_passages_are_spread_evenly_and_always_the_same() -> None:
    # The first thousand would all be by the first few authors.
    rows = [
        LabelledPassage(id=str(index), article="a", text=str(index), labels=(), source="")
        for index in range(10)
    ]
    assert bench.spread(rows, 5) == ["0", "2", "4", "6", "8"]
    assert bench.spread(rows, 99) == [row.text for row in rows]


def test_the_article_that_is_started_on_is_one_whole_article() -> None:
    rows = [
        LabelledPassage(id=name, article=name[0], text=f"Text {name}.", labels=(), source="")
        for name in ("a0", "a1", "b0")
    ]
    assert bench.first_article(rows) == "Text a0.\n\nText a1."


def test_imports_are_read_from_what_python_prints() -> None:
    # The claim "imports neither torch nor transformers" is only as good as this reader.
    command = [sys.executable, "-X", "importtime", "-c", "import json.decoder"]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    assert imported(told, ["torch", "json", "decoder"]) == ("json",)


@pytest.mark.parametrize(
    ("pipeline_s", "start_s", "heavy", "missed"),
    [
        (6.0, 1.5, (), 0),
        (5.9, 1.5, (), 1),
        (6.0, 1.6, (), 1),
        (6.0, 1.5, ("torch",), 1),
        (1.0, 9.0, ("torch", "transformers"), 3),
    ],
)
def test_each_target_that_is_missed_is_named(
    pipeline_s: float, start_s: float, heavy: tuple[str, ...], missed: int
) -> None:
    # make bench is the check of three targets: one that never failed would check nothing.
    scoring = Scoring(
        passages=1,
        tokens=1,
        precision="f32",
        ours_s=(0.5, 1.0, 9.0),
        pipeline_s=(pipeline_s,) * 3,
        pipeline_dtype="float32",
        pipeline_threads=1,
        largest_difference=0.0,
        flops=1.0,
    )
    start = Start(seconds=(start_s,) * 5, heavy=heavy)
    assert len(bench.failures(scoring, start)) == missed


def test_the_limit_is_that_of_the_precision_scoring_runs_in() -> None:
    # Against the wrong rate the share could pass 100 %.
    limit = Limit(numpy_f32=1.0, torch_f32=2.0, torch_bf16=5.0)
    assert (limit.of("f32"), limit.of("bf16")) == (2.0, 5.0)


def test_bench_outside_the_repository_says_what_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert bench.main(["--corpus", str(tmp_path)]) == 2
    assert "run this in the repository" in capsys.readouterr().err
