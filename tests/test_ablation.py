"""What is missing in an ablation is what its row says, and the figures are those of the answers."""

import json
import random
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, f1_score

from tocsin_eval.data import LabelledPassage
from tocsin_training.ablation import draw_articles, list_variants, main
from tocsin_training.config import ClassifierConfig
from tocsin_training.outcomes import Answers, compare_answers, render_outcomes
from tocsin_training.recipe import Recipe

SETTINGS = ["max_steps=2", "bf16=false", "max_tokens=32", "batch_size=4"]


def passage(number: int, article: int, source: str = "wire") -> LabelledPassage:
    return LabelledPassage(
        id=f"p{number}", article=f"a{article}", text=f"Text {number}.", labels=(), source=source
    )


def table(path: Path, articles: int, seed: int, sources: list[str]) -> Path:
    chance = random.Random(seed)
    rows = [
        {
            "id": f"{seed}-{article}-{place}",
            "article": f"{seed}-{article}",
            "source": sources[article % len(sources)],
            "text": f"Iran {chance.choice(['will strike', 'met'])} the envoy {article} {place}.",
            "labels": ["threat"] if (article + place) % 2 else ["diplomacy"],
        }
        for article in range(articles)
        for place in range(3)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_an_article_is_drawn_whole_and_more_passages_keep_those_of_fewer() -> None:
    # A passage beside its siblings of another part would make the curve a curve of leaks.
    rows = [passage(n, n // 4) for n in range(80)]
    few, many = draw_articles(rows, 10, 13), draw_articles(rows, 30, 13)
    assert len(few) == 12
    assert len(many) == 32
    assert many[:12] == few
    assert draw_articles(rows, 10, 14) != few
    assert sorted(row.id for row in draw_articles(rows, 0, 13)) == sorted(row.id for row in rows)


def test_a_variant_reads_what_its_name_says() -> None:
    # "Real only" with written passages in it would measure nothing.
    drawn = [
        passage(n, n, ["authored", "authored-news", "contrast", "cnn"][n % 4]) for n in range(64)
    ]
    found = {item.name: item for item in list_variants(ClassifierConfig(), "a-base")}
    read = {name: {row.source for row in item.select(drawn)} for name, item in found.items()}
    assert read["written passages only"] == {"authored", "authored-news", "contrast"}
    assert read["real passages only"] == {"cnn"}
    assert read["without contrast passages"] == {"authored", "authored-news", "cnn"}
    assert len(found["an eighth of the passages"].select(drawn)) == 8
    assert found["half"].select(drawn) == drawn[:32]
    assert found["without exchanged names"].settings["swap_names"] == 0
    assert found["listed names not told apart"].settings == {"name_tokens": True}
    assert found["seed 15"].settings == {"seed": 15}
    assert found["with longer pre-training"].base == "a-base"
    assert "with longer pre-training" not in {
        item.name for item in list_variants(ClassifierConfig())
    }


def test_figures_are_those_of_scikit_learn_and_the_difference_is_paired() -> None:
    # The table decides what is kept of the recipe.
    chance = np.random.default_rng(0)
    truth = chance.random((300, 2)) < 0.3
    articles = [f"a{n // 5}" for n in range(300)]
    logits = truth + chance.normal(size=truth.shape) - 0.5
    moved = logits.copy()
    moved[:30] *= -1
    answers = [
        Answers(name=name, passages=size, scores=own, given=own > 0, given_swapped=others > 0)
        for name, size, own, others in (
            ("one", 8, logits, moved),
            ("same", 8, logits * 2, logits * 2),
            ("noise", 4, chance.random(truth.shape), moved),
        )
    ]
    has_name = np.arange(300) < 60
    one, same, noise = compare_answers(answers, truth, articles, has_name, 0)
    wanted = average_precision_score(truth, logits, average="macro")
    assert one.average_precision.value == pytest.approx(wanted, abs=1e-6)
    assert one.macro_f1.value == pytest.approx(f1_score(truth, logits > 0, average="macro"))
    assert one.average_precision.low < wanted < one.average_precision.high
    assert one.flips == 0.5
    assert same.flips == 0
    # Paired: the same ranking differs from itself in no resample.
    assert (same.more.low, same.more.value, same.more.high) == pytest.approx((0, 0, 0), abs=1e-6)
    assert noise.more.high < 0
    lines = render_outcomes([one, same, noise]).splitlines()
    assert len(lines) == 5
    assert lines[2].startswith("| one | 8 |")
    assert "50.0%" in lines[2]
    # Where no passage holds a name there is no share of them.
    [bare] = compare_answers(answers[:1], truth, articles, np.zeros(300, dtype=bool), 0)
    assert render_outcomes([bare]).endswith("| – |\n")


def test_every_variant_is_trained_once_and_the_table_and_the_curve_are_written(
    tiny_base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    # Hours of trainings that an interruption loses are not run again by anybody.
    train = table(tmp_path / "train.jsonl", 20, 1, ["authored", "wire", "contrast"])
    dev = table(tmp_path / "dev.jsonl", 6, 2, ["wire"])
    out = tmp_path / "out"
    command = [
        "--train", str(train), "--dev", str(dev), "--base", str(tiny_base), "--out", str(out),
        "--passages", "48", *SETTINGS,
    ]  # fmt: skip
    stages: list[str] = []
    fine_tune = Recipe.fine_tune

    def counted(self: Recipe, rows: list[LabelledPassage], stage: str) -> object:
        if len(stages) == 3 and "stopped" not in stages:
            stages.append("stopped")
            raise KeyboardInterrupt
        stages.append(stage)
        return fine_tune(self, rows, stage)

    monkeypatch.setattr(Recipe, "fine_tune", counted)
    with pytest.raises(KeyboardInterrupt):
        main(command)
    assert not out.exists()
    assert main(command) == 0
    assert len(stages) == len(set(stages)) == 12
    # What Trainer says of each training stands before it.
    printed = capsys.readouterr().out
    printed = printed[printed.index("| trained") :]
    assert printed == (out / "ablation.md").read_text(encoding="utf-8")
    assert [line.split(" | ")[0] for line in printed.splitlines()[2:]] == [
        f"| {item.name}" for item in list_variants(ClassifierConfig())
    ]
    svg = (out / "learning-curve.svg").read_text(encoding="utf-8")
    assert ElementTree.fromstring(svg).tag.endswith("svg")
    assert ">48</text>" in svg
    assert not (tmp_path / "out.unfinished").exists()


def test_what_the_data_do_not_hold_is_left_out_and_said(
    tiny_base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # Desks have no written passages: a row that is the recipe once more would be read as a finding.
    train = table(tmp_path / "train.jsonl", 8, 1, ["desk"])
    dev = table(tmp_path / "dev.jsonl", 6, 2, ["desk"])
    command = ["--train", str(train), "--dev", str(dev), "--base", str(tiny_base)]
    assert (
        main([*command, "--out", str(tmp_path / "out"), *SETTINGS, "max_steps=1", "swap_names=0"])
        == 0
    )
    told = capsys.readouterr()
    assert "written passages only" not in told.out
    assert "left out: written passages only; the data hold no such rows" in told.err
    # Nor is a recipe that exchanges no names another one without.
    for name in ("real passages only", "without exchanged names"):
        assert f"left out: {name}; that is what the recipe does with these data" in told.err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--out", "taken"], "--out exists and is not empty"),
        (["--out", "."], "--out has no name of its own"),
        (["--out", "new", "swap_name=1"], "did you mean swap_names?"),
        (["--out", "new", "--dev", "nowhere.jsonl"], "nowhere.jsonl"),
        (["--out", "new", "--dev", "quiet.jsonl"], "no row of --dev has 'threat'"),
    ],
)
def test_a_mistake_is_told_before_anything_is_trained(
    words: list[str], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    # It would come out after an hour else.
    monkeypatch.chdir(tmp_path)
    table(Path("train.jsonl"), 8, 1, ["desk"])
    table(Path("dev.jsonl"), 4, 2, ["desk"])
    rows = Path("dev.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    quiet = "".join(row for row in rows if "threat" not in row)
    Path("quiet.jsonl").write_text(quiet, encoding="utf-8")
    Path("taken").mkdir()
    Path("taken/file").touch()
    assert main(["--train", "train.jsonl", "--dev", "dev.jsonl", *words]) == 2
    assert told in capsys.readouterr().err
    assert not Path("new.unfinished").exists()
