"""BERTScore and support by NLI with tiny random models, each computed a second time by hand."""

import json
import shutil
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from tocsin_eval.model_scores import BertScore, NliSupport
from tocsin_models import hub
from tocsin_models.errors import ModelError, ModelNotFound
from tocsin_models.sentences import split_sentences

SUMMARIES = ["The ministry denied shelling the port.", "Talks suspended", "port " * 300]
REFERENCES = ["The army accused the ministry.", "The talks were suspended, he vowed.", "The port."]
ARTICLE = (
    "The ministry denied arming the group. It accused the army of shelling the port. We will "
    "answer every strike, the commander vowed. The talks were suspended."
)
# The tiny base reads 128 tokens, two of them special.
ROOM = 126


@pytest.fixture(scope="module")
def nli(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Makes a random classifier of the tiny base with these labels."""

    def build(*labels: str, problem_type: hub.ProblemType = "single_label_classification") -> Path:
        folder: Path = tmp_path_factory.mktemp("nli")
        shutil.copytree(tiny_base, folder, dirs_exist_ok=True)
        torch.manual_seed(1)
        model = hub.load_sequence_classifier(str(tiny_base), labels, problem_type)
        # Far from a third each, so that the largest is one and not another.
        torch.nn.init.normal_(model.classifier.weight, std=3.0)
        model.save_pretrained(folder)
        return folder

    return build


def embed_by_hand(folder: Path, text: str, layer: int) -> list[torch.Tensor]:
    """One window after the other, special tokens put on and taken off by position."""
    tokenizer, model = hub.load_tokenizer(str(folder)), hub.load_encoder(str(folder)).eval()
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    rows: list[torch.Tensor] = []
    for start in range(0, len(ids), ROOM):
        window = [tokenizer.cls_token_id, *ids[start : start + ROOM], tokenizer.sep_token_id]
        with torch.no_grad():
            states = model(torch.tensor([window]), output_hidden_states=True).hidden_states
        rows.extend(states[layer][0][1:-1])
    return rows


@pytest.mark.parametrize("layer", [0, 1, 2])
def test_bertscore_is_the_papers_greedy_matching(tiny_base: Path, layer: int) -> None:
    # Equations of section 3 of Zhang et al. 2020, one cosine at a time.
    found = BertScore(str(tiny_base), layer=layer).score(SUMMARIES, REFERENCES)
    assert found.dtype == np.float64
    for score, summary, reference in zip(found, SUMMARIES, REFERENCES, strict=True):
        ours = embed_by_hand(tiny_base, summary, layer)
        theirs = embed_by_hand(tiny_base, reference, layer)
        cosines = [
            [float(torch.nn.functional.cosine_similarity(a, b, dim=0)) for b in theirs]
            for a in ours
        ]
        precision = sum(map(max, cosines)) / len(ours)
        recall = sum(map(max, zip(*cosines, strict=True))) / len(theirs)
        expected = 2 * precision * recall / (precision + recall)
        assert score == pytest.approx(expected, abs=1e-5)


def test_bertscore_of_a_text_with_itself_is_one_and_of_nothing_nought(tiny_base: Path) -> None:
    scorer = BertScore(str(tiny_base))
    assert scorer.layer == 2
    assert scorer.score(SUMMARIES, SUMMARIES) == pytest.approx([1, 1, 1], abs=1e-6)
    assert scorer.score(["", "Talks", " "], ["Talks", "", ""]).tolist() == [0, 0, 0]
    assert scorer.score([], []).shape == (0,)
    with pytest.raises(ValueError, match="references"):
        scorer.score(["a"], [])


def test_a_score_does_not_depend_on_its_neighbours(tiny_base: Path) -> None:
    scorer = BertScore(str(tiny_base))
    alone = [
        scorer.score([one], [other])[0] for one, other in zip(SUMMARIES, REFERENCES, strict=True)
    ]
    assert scorer.score(SUMMARIES, REFERENCES) == pytest.approx(alone, abs=1e-5)


def test_nothing_behind_the_models_limit_is_cut_off(
    tiny_base: Path, nli: Callable[..., Path]
) -> None:
    # bert-score and most NLI scripts truncate: the end of a long text would count for nothing.
    long = "port " * 200
    scorer = BertScore(str(tiny_base))
    one, other = scorer.score([long + "talks were suspended", long], [long, long])
    assert one < other
    support = NliSupport(str(nli("entailment", "neutral")), window_tokens=10)
    hypothesis = [["The talks were suspended."]]
    alone = {
        ARTICLE[start:end]: float(support.score(hypothesis, [ARTICLE[start:end]])[0])
        for start, end in split_sentences(ARTICLE)[:3]
    }
    weakest, *_, strongest = sorted(alone, key=lambda sentence: alone[sentence])
    found = support.score(hypothesis, [f"{weakest} " * 60 + strongest])
    assert alone[weakest] < alone[strongest] == pytest.approx(found[0], abs=1e-5)


def test_a_layer_that_is_not_there_is_an_error_with_the_range(tiny_base: Path) -> None:
    with pytest.raises(ModelError, match="layer 3 is outside 0 to 2"):
        BertScore(str(tiny_base), layer=3)


@pytest.mark.parametrize(
    "labels", [("contradiction", "ENTAILMENT", "neutral"), ("Entailment", "not_entailment")]
)
@pytest.mark.parametrize(
    "problem_type", ["single_label_classification", "multi_label_classification"]
)
def test_support_is_the_mean_of_the_best_windows(
    nli: Callable[..., Path], labels: tuple[str, ...], problem_type: str
) -> None:
    folder = nli(*labels, problem_type=problem_type)
    # No two sentences of the article fit into ten tokens: one window each.
    found = NliSupport(str(folder), window_tokens=10).score([SUMMARIES[:2]], [ARTICLE])
    tokenizer = hub.load_tokenizer(str(folder))
    model = hub.load_sequence_classifier(str(folder)).eval()
    column = [label.lower() for label in labels].index("entailment")

    def probability(premise: str, hypothesis: str) -> float:
        with torch.no_grad():
            logits = model(**tokenizer(premise, hypothesis, return_tensors="pt")).logits[0]
        if problem_type == "multi_label_classification":
            return float(torch.sigmoid(logits)[column])
        return float(torch.softmax(logits, dim=0)[column])

    windows = [ARTICLE[start:end] for start, end in split_sentences(ARTICLE)]
    lengths = [len(tokenizer(window, add_special_tokens=False)["input_ids"]) for window in windows]
    assert max(lengths) <= 10 < min(a + b for a, b in pairwise(lengths))
    best = [max(probability(window, one) for window in windows) for one in SUMMARIES[:2]]
    assert found == pytest.approx([sum(best) / 2], abs=1e-5)


def test_sentences_join_until_a_window_is_full(nli: Callable[..., Path]) -> None:
    # A window that holds all is one call: the same as the article whole.
    folder = nli("entailment", "neutral")
    tokenizer = hub.load_tokenizer(str(folder))
    model = hub.load_sequence_classifier(str(folder)).eval()
    with torch.no_grad():
        pair = tokenizer(ARTICLE, SUMMARIES[0], return_tensors="pt")
        expected = float(torch.softmax(model(**pair).logits[0], dim=0)[0])
    found = NliSupport(str(folder), window_tokens=60).score([SUMMARIES[:1]], [ARTICLE])
    assert found == pytest.approx([expected], abs=1e-5)


@pytest.mark.parametrize("text", [ARTICLE, "port " * 90, "x" * 300, "", "The  talks\n were."])
def test_a_long_sentence_is_cut_between_words_and_nothing_is_lost(
    nli: Callable[..., Path], text: str
) -> None:
    scorer = NliSupport(str(nli("entailment", "neutral")))
    tokenizer = scorer._tokenizer
    pieces = scorer._cut(text, [(0, len(text))] if text else [], 12)
    assert "".join("".join(pieces).split()) == "".join(text.split())
    assert all(
        len(tokenizer(piece, add_special_tokens=False)["input_ids"]) <= 12 for piece in pieces
    )
    if text != "x" * 300:
        assert [word for piece in pieces for word in piece.split()] == text.split()


def test_long_sentences_and_empty_sides_have_a_score_or_none(nli: Callable[..., Path]) -> None:
    scorer = NliSupport(str(nli("entailment", "neutral")))
    found = scorer.score([["port " * 400], [], [" "], ["Talks."]], [ARTICLE, ARTICLE, ARTICLE, " "])
    assert 0 < found[0] < 1
    assert np.isnan(found[1])
    assert np.isnan(found[2])
    assert found[3] == 0


def test_a_model_without_entailment_names_its_labels(
    nli: Callable[..., Path], tiny_base: Path
) -> None:
    # Any column would give numbers between 0 and 1, and nobody would see that they mean nothing.
    with pytest.raises(ModelError, match="it has claim, not_entailment"):
        NliSupport(str(nli("claim", "not_entailment")))
    with pytest.raises(ModelError, match="LABEL_0, LABEL_1"):
        NliSupport(str(tiny_base))


def test_pickles_and_paths_that_are_not_there_are_refused(tiny_base: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound):
        BertScore("./nowhere")
    folder = tmp_path / "pickled"
    shutil.copytree(tiny_base, folder)
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(ModelNotFound):
        BertScore(str(folder))


def test_the_revision_follows_files_and_options(tiny_base: Path, tmp_path: Path) -> None:
    # Cached scores are kept by it.
    folder = tmp_path / "copy"
    shutil.copytree(tiny_base, folder)
    same = BertScore(str(tiny_base)).revision
    assert BertScore(str(folder)).revision == same
    assert BertScore(str(folder), layer=1).revision != same
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps({**config, "x": 1}), encoding="utf-8")
    assert BertScore(str(folder)).revision != same
