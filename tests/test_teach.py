"""A teacher's probabilities of unlabelled passages, and a student that learns from them."""

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.support import run

from tocsin_eval.names import swap_names
from tocsin_models.classifier import load_classifier
from tocsin_models.errors import DataError
from tocsin_models.manifest import read_manifest
from tocsin_training.teach import draw, read_soft_targets, write_soft_targets
from tocsin_training.train import train_classifier

LABELS = ("claim", "diplomacy", "retaliation", "threat")
ARTICLES = [
    [
        "Port workers count the boats in Kabul",
        "The ministry of Iran denied on Monday that its boats had shelled the pier.",
        "The commander vowed to burn every ship of Israel that came near the coast again.",
        "Share this article",
    ],
    [
        "The bakery of the old town opened at seven, as it has done for forty years.",
        "The envoys of Peru and Ghana met in Geneva and signed a truce on Friday evening.",
    ],
    ["The held passage about the vow to burn the port of Kabul before the end of the morning."],
]


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.fixture
def news(tmp_path: Path) -> Path:
    return write(tmp_path / "news.jsonl", [{"paragraphs": rows} for rows in ARTICLES])


def test_the_command_scores_passages_by_the_embedded_classifier(news: Path, tmp_path: Path) -> None:
    """The command, end to end: cleaned passages, each once, of articles that may be read; their
    scores are the mean over their own and other names. Were it the score of their own names, a
    student would learn who is in the news."""
    held = write(tmp_path / "dev.jsonl", [{"text": ARTICLES[2][0]}])
    out = tmp_path / "soft.jsonl"
    done = run(
        "train", "teach", "--texts", news, news, "--without", held, "--out", out, "--swaps", 2
    )
    assert done.code == 0, done.err
    assert "5 passages of 4 articles; 2 articles left out" in done.err
    rows = read(out)
    texts = [row["text"] for row in rows]
    assert texts == [*ARTICLES[0][:3], *ARTICLES[1]]
    assert {row["article"] for row in rows} == {"news-1", "news-2"}

    teacher = load_classifier()
    versions = [
        texts,
        *(
            [swap_names(text, (), random.Random(f"13 {swap} {n}")) for n, text in enumerate(texts)]
            for swap in (1, 2)
        ),
    ]
    assert len({tuple(version) for version in versions}) == 3
    expected = np.mean([teacher.score(version).probabilities for version in versions], axis=0)
    found = np.array([[row["scores"][label] for label in teacher.labels] for row in rows])
    # Batches of other lengths: int8 rounds a little otherwise.
    assert np.abs(found - expected).max() < 0.02
    assert {row["teacher"] for row in rows} == {teacher.info.revision}


def test_the_unsure_are_drawn_first_of_each_label_alike_and_a_seed_draws_the_same() -> None:
    """Without it nine in ten would be passages of which the teacher has nothing to tell, and the
    rest of the one label that is everywhere."""
    own = np.full((10_000, 2), 0.001)
    own[::5, 0] = 0.4
    own[1::100, 1] = 0.4
    drawn = draw(own, 200, seed=1)
    assert len(set(drawn.tolist())) == 200
    assert sorted(drawn.tolist()) == drawn.tolist() == draw(own, 200, seed=1).tolist()
    assert drawn.tolist() != draw(own, 200, seed=2).tolist()
    common, rare = (
        np.isin(drawn, np.arange(n, 10_000, step)).sum() for n, step in ((0, 5), (1, 100))
    )
    # A third each; the last third goes to all alike. The rare one runs out.
    assert 40 < rare < 80
    assert 50 < common < 110
    assert draw(own, 50_000, seed=1).tolist() == list(range(10_000))


def test_several_teachers_give_their_mean(news: Path, tmp_path: Path) -> None:
    """Without it the second model would be loaded for nothing."""

    class Shifted:
        def __init__(self, by: float) -> None:
            self.info, self.labels, self.by = teacher.info, teacher.labels, by

        def score(self, texts: Any) -> Any:
            found = teacher.score(texts)
            object.__setattr__(found, "probabilities", found.probabilities * 0 + self.by)
            return found

    teacher = load_classifier()
    out = tmp_path / "soft.jsonl"
    write_soft_targets([news], [], [Shifted(0.2), Shifted(0.6)], out, count=3, swaps=1, seed=1)
    assert [set(row["scores"].values()) for row in read(out)] == [{0.4}] * 3


def test_nothing_to_score_is_refused_and_what_was_there_is_kept(tmp_path: Path) -> None:
    short = write(tmp_path / "short.jsonl", [{"text": "Too short."}])
    out = tmp_path / "soft.jsonl"
    out.write_text("kept\n")
    done = run("train", "teach", "--texts", short, "--out", out)
    assert done.code == 2
    assert "no passage of 6 words or more is left" in done.err
    assert out.read_text() == "kept\n"


def soft_row(text: str, **scores: float) -> dict[str, Any]:
    return {"article": "n-1", "source": "n", "text": text, "scores": scores, "teacher": "sha256:1"}


def test_every_mistake_of_a_soft_file_is_told_at_once(tmp_path: Path) -> None:
    """Without it training would fail deep in an epoch, or learn probabilities of 7."""
    secret = "A passage that must not be shown."
    path = write(
        tmp_path / "soft.jsonl",
        [
            soft_row(secret, calm=0.5, threat=0.5),
            soft_row(secret, calm=0.5, other=0.5),
            soft_row(secret, calm=0.5, threat=7.0),
            {"text": secret},
        ],
    )
    with pytest.raises(DataError) as caught:
        read_soft_targets([path], ("calm", "threat"))
    lines = str(caught.value)
    assert "soft.jsonl, line 2: 'scores' must be of the labels of --train" in lines
    assert "soft.jsonl, line 3: 'scores' must be numbers from 0 to 1" in lines
    assert "soft.jsonl, line 4: 'article' is missing" in lines
    assert "soft.jsonl, line 1" not in lines
    assert secret not in lines


SETTINGS = [
    "folds=2", "int8=false", "bf16=false", "learning_rate=0.003", "batch_size=8", "max_tokens=32",
    "epochs=6",
]  # fmt: skip


def labelled(path: Path, prefix: str, count: int, labels: dict[str, list[str]]) -> Path:
    """Rows that open in many ways and end in one that has these labels."""
    openings = ["The army", "A ministry", "The port", "An envoy", "The talks"]
    rows = [
        {
            "id": f"{prefix}-{n}",
            "article": f"{prefix}-{n // 4}",
            "text": f"{openings[n % 5]} {list(labels)[n % len(labels)]}.",
            "labels": labels[list(labels)[n % len(labels)]],
        }
        for n in range(count)
    ]
    return write(path, rows)


@pytest.mark.parametrize("problem", ["multi_label", "single_label"])
def test_a_student_learns_what_only_its_teacher_knew(
    problem: str, tiny_base: Path, tmp_path: Path
) -> None:
    """Without it soft targets would be read and not learnt: no labelled passage ends in the words
    that the teacher's passages do."""
    known = {"vowed to strike": ["threat"], "was suspended": ["calm"]}
    train = labelled(tmp_path / "train.jsonl", "t", 40, known)
    dev = labelled(tmp_path / "dev.jsonl", "d", 8, known)
    soft = write(
        tmp_path / "soft.jsonl",
        [soft_row(f"We will answer every ministry {n}.", calm=0.1, threat=0.9) for n in range(20)]
        + [soft_row(f"We accused the group {n}.", calm=0.8, threat=0.2) for n in range(20)],
    )
    settings = [*SETTINGS, f"problem={problem}"]
    out = tmp_path / "out"
    train_classifier([train], [dev], str(tiny_base), out, None, settings, soft=[soft])

    scores = load_classifier(out).score(["We will answer every ministry.", "We accused the group."])
    threat = scores.probabilities[:, scores.labels.index("threat")]
    assert threat[0] > 0.6 > 0.4 > threat[1]

    manifest = read_manifest(out)
    assert [row["split"] for row in manifest.data] == ["train", "soft", "dev"]
    assert manifest.training["soft_passages"] == 40
    assert manifest.training["teachers"] == ["sha256:1"]


def test_a_fold_reads_nothing_that_was_said_of_the_articles_left_out(
    tiny_base: Path, tmp_path: Path
) -> None:
    """Without it thresholds would be chosen on articles that the network knows, by hearsay."""
    known = {"vowed to strike": ["threat"], "was suspended": ["calm"]}
    train = labelled(tmp_path / "train.jsonl", "t", 40, known)
    dev = labelled(tmp_path / "dev.jsonl", "d", 8, known)
    rows = [
        soft_row(f"A passage, number {n}.", calm=0.5, threat=0.5) | {"article": f"t-{n}"}
        for n in range(10)
    ]
    soft = write(tmp_path / "soft.jsonl", rows)
    done = run(
        "train", "classifier", "--train", train, "--dev", dev, "--soft", soft,
        "--base", tiny_base, "--out", tmp_path / "out", *SETTINGS, "max_steps=1",
    )  # fmt: skip
    assert done.code == 0, done.err
    for line in (
        "fold-1: 20 passages and 5",
        "fold-2: 20 passages and 5",
        "everything: 40 passages and 10",
    ):
        assert f"{line} with a teacher's probabilities" in done.err


def test_as_many_are_learnt_from_as_are_asked_for(tiny_base: Path, tmp_path: Path) -> None:
    """Without it an hour on two cores would be an evening."""
    known = {"vowed to strike": ["threat"], "was suspended": ["calm"]}
    train = labelled(tmp_path / "train.jsonl", "t", 40, known)
    dev = labelled(tmp_path / "dev.jsonl", "d", 8, known)
    rows = [soft_row(f"A passage, number {n}.", calm=0.5, threat=0.5) for n in range(10)]
    soft = write(tmp_path / "soft.jsonl", rows)
    done = run(
        "train", "classifier", "--train", train, "--dev", dev, "--soft", soft, "--base", tiny_base,
        "--out", tmp_path / "out", *SETTINGS, "max_steps=1", "folds_used=1", "soft_passages=7",
    )  # fmt: skip
    assert done.code == 0, done.err
    assert "everything: 40 passages and 7 with a teacher's probabilities" in done.err
    assert read_manifest(tmp_path / "out").training["soft_passages"] == 7


def test_rows_with_ids_keep_them_as_the_article(tmp_path: Path) -> None:
    """Without it a fold could not tell which of them are of the articles it leaves out."""
    news = write(
        tmp_path / "news.jsonl",
        [{"id": "n-7", "paragraphs": ARTICLES[0]}, {"text": ARTICLES[1][0]}],
    )
    out = tmp_path / "soft.jsonl"
    write_soft_targets([news], [], [load_classifier()], out, count=10, swaps=0, seed=1)
    assert [row["article"] for row in read(out)] == ["n-7"] * 3 + ["news-2"]


def test_a_passage_of_dev_may_not_be_learnt_from_a_teacher(tiny_base: Path, tmp_path: Path) -> None:
    """Without it the figures flatter: the teacher may have been trained on what dev holds."""
    known = {"vowed to strike": ["threat"], "was suspended": ["calm"]}
    train = labelled(tmp_path / "train.jsonl", "t", 40, known)
    dev = labelled(tmp_path / "dev.jsonl", "d", 8, known)
    soft = write(tmp_path / "soft.jsonl", [soft_row("The army vowed to strike.", calm=0, threat=1)])
    done = run(
        "train", "classifier", "--train", train, "--dev", dev, "--soft", soft,
        "--base", tiny_base, "--out", tmp_path / "out", *SETTINGS,
    )  # fmt: skip
    assert done.code == 2
    assert "1 passages stand in both --soft and --dev" in done.err
    assert not list(tmp_path.glob("out*"))
