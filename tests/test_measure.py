"""Systems side by side: values against scikit-learn and rouge, intervals, tables, provenance."""

import json
import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from sklearn.metrics import f1_score

from tocsin_eval import measure
from tocsin_eval.compare import compare_classifiers, compare_summaries, join_paragraphs
from tocsin_eval.data import LabelledPassage, ReferenceSummary
from tocsin_eval.provenance import data_source, describe_run
from tocsin_eval.rouge import mean_rouge
from tocsin_models.protocols import Limits, Scores
from tocsin_models.records import ModelInfo, Paragraph, Summary, SummarySentence

LABELS = ("claim", "threat")


class KeywordClassifier:
    """Gives a label where one of its words stands in the text."""

    labels = LABELS

    def __init__(self, name: str, claim: str, threat: str) -> None:
        self._words = (claim, threat)
        self.info = ModelInfo(
            name=name,
            revision=f"sha256:{name}",
            precision="f32",
            device="cpu",
            languages=("en",),
            thresholds={"claim": 0.5, "threat": 0.7},
        )

    def score(self, texts: Sequence[str]) -> Scores:
        found = [[0.8 if word in text else 0.1 for word in self._words] for text in texts]
        return Scores(
            labels=LABELS,
            probabilities=np.array(found, np.float32),
            windows=(1,) * len(texts),
        )


class LastSentences:
    """Takes the last paragraphs: a summariser that lead-3 should beat."""

    info = ModelInfo(
        name="last", revision="sha256:last", precision="f32", device="cpu", languages=("en",)
    )

    def summarise(self, paragraphs: Sequence[Paragraph], limits: Limits) -> Summary:
        count = limits.max_sentences or 1
        chosen = list(enumerate(paragraphs))[-count:]
        return Summary(
            windows=1,
            sentences=tuple(
                SummarySentence(
                    text=paragraph.text,
                    start=paragraph.start,
                    end=paragraph.end,
                    passage=index,
                    score=1.0,
                )
                for index, paragraph in chosen
            ),
        )


def passages(count: int) -> list[LabelledPassage]:
    draw = random.Random(1)
    rows = []
    for index in range(count):
        labels = [label for label in LABELS if draw.random() < 0.4]
        words = [
            word
            for label, word in (("claim", "said"), ("threat", "warned"))
            if (label in labels) != (draw.random() < 0.1)
        ]
        text = f"The navy {' and '.join(words) or 'left'} on day {index}."
        article = f"article-{index // 4}"
        rows.append(
            LabelledPassage(
                id=str(index), article=article, text=text, labels=tuple(labels), source="test"
            )
        )
    return rows


GOOD = KeywordClassifier("good", "said", "warned")
POOR = KeywordClassifier("poor", "said", "day")


def test_a_comparison_says_what_scikit_learn_says_and_by_how_much_the_model_is_better() -> None:
    # These are the figures of the issue: macro-F1, the baseline's, and the difference.
    rows = passages(200)
    found = compare_classifiers(POOR, GOOD, rows, seed=0, resamples=2_000)
    truth = [[label in row.labels for label in LABELS] for row in rows]
    for system, result in ((POOR, found.baseline), (GOOD, found.model)):
        decided = system.score([row.text for row in rows]).probabilities >= 0.5
        expected = f1_score(truth, decided, average="macro")
        assert result.macro_f1.value == pytest.approx(expected)
        assert result.metrics.macro_f1 == pytest.approx(expected)
        assert result.micro_f1.value == pytest.approx(result.metrics.micro_f1)
        assert result.f1["threat"].value == pytest.approx(result.metrics.labels[1].f1)
        assert result.macro_f1.low < expected < result.macro_f1.high
    assert found.difference.value == pytest.approx(
        found.model.macro_f1.value - found.baseline.macro_f1.value
    )
    assert found.difference.low > 0
    assert (found.rows, found.articles) == (200, 50)


def test_a_system_compared_with_itself_differs_by_nothing_in_every_resample() -> None:
    # Were the draws not paired, the interval would be as wide as that of two strangers.
    found = compare_classifiers(GOOD, GOOD, passages(80), seed=0, resamples=500)
    assert (found.difference.low, found.difference.value, found.difference.high) == (0, 0, 0)


def test_the_same_seed_prints_the_same_intervals() -> None:
    # A table that cannot be printed again is no evidence.
    rows = passages(80)
    first, again, other = (
        compare_classifiers(POOR, GOOD, rows, seed=seed, resamples=500) for seed in (3, 3, 4)
    )
    assert first == again != other


def test_every_row_is_scored_once_by_each_system_and_told_to_the_progress_bar() -> None:
    # 600 rows are three batches: a row lost at an edge would pass every smaller test.
    done: list[int] = []
    found = compare_classifiers(
        POOR, GOOD, passages(600), seed=0, resamples=10, progress=done.append
    )
    assert sum(done) == 1_200
    assert found.rows == 600


def summaries() -> list[ReferenceSummary]:
    return [
        ReferenceSummary(
            id=str(index),
            paragraphs=(
                f"Envoys met in town {index}. The border stayed shut.",
                "Rain fell all week.",
                "Prices rose.",
                f"A convoy reached camp {index}.",
            ),
            highlights=(f"Envoys met in town {index}.", f"A convoy reached camp {index}."),
        )
        for index in range(12)
    ]


def test_lead_oracle_and_system_stand_side_by_side_on_the_same_rows() -> None:
    # Lead-3 is the first three sentences, not paragraphs; the oracle bounds every system.
    rows = summaries()
    lead, oracle, last = compare_summaries(LastSentences(), rows, seed=0, resamples=500)
    assert [lead.name, oracle.name, last.name] == ["lead-3", "oracle", "last"]
    expected = mean_rouge(
        (
            f"Envoys met in town {row.id}.\nThe border stayed shut.\nRain fell all week.",
            "\n".join(row.highlights),
        )
        for row in rows
    )
    assert lead.scores["rouge1"].value == pytest.approx(expected.rouge1)
    assert lead.scores["rougeLsum"].value == pytest.approx(expected.rougeLsum)
    assert oracle.scores["rouge2"].value == pytest.approx(100)
    assert oracle.mean_sentences == 2
    assert last.mean_sentences == 3
    assert lead.over_lead["rouge1"].value == 0
    assert last.over_lead["rouge1"].value == pytest.approx(
        last.scores["rouge1"].value - lead.scores["rouge1"].value
    )


def test_paragraphs_given_to_the_summariser_have_true_offsets() -> None:
    # Receipts are offsets: the evaluation must not feed what the product would never see.
    row = summaries()[0]
    whole = "\n\n".join(row.paragraphs)
    for paragraph in join_paragraphs(row):
        assert whole[paragraph.start : paragraph.end] == paragraph.text
        assert paragraph.kind == "body"


def test_tables_are_markdown_with_every_system_and_interval() -> None:
    # They are pasted into a README: a cut or wrapped cell would be a wrong number.
    console = Console(width=160, highlight=False)
    comparison = compare_classifiers(POOR, GOOD, passages(80), seed=0, resamples=200)
    results = compare_summaries(LastSentences(), summaries(), seed=0, resamples=200)
    with console.capture() as captured:
        measure.print_classifiers(comparison, console)
        measure.print_summaries(results, 12, console)
    printed = captured.get()
    assert "…" not in printed
    assert "| good" in printed
    assert "| lead-3" in printed
    macro = comparison.model.macro_f1
    assert f"{macro.value:.3f} ({macro.low:.3f} to {macro.high:.3f})" in printed
    assert f"{comparison.difference.value:+.3f}" in printed
    assert f"{results[2].over_lead['rouge1'].value:+.2f}" in printed


def test_a_run_says_what_it_takes_to_print_it_again(tmp_path: Path) -> None:
    # House style, "A number comes with its data".
    path = tmp_path / "rows.jsonl"
    path.write_text("{}\n", encoding="utf-8")
    run = describe_run(
        "tocsin_eval.measure",
        ["classifier", "--data", "two words.jsonl"],
        [data_source("data", [path], 1)],
        7,
        {"good": "sha256:0123"},
    )
    console = Console(width=200)
    with console.capture() as captured:
        run.print(console)
    printed = captured.get()
    assert "python -m tocsin_eval.measure classifier --data 'two words.jsonl'" in printed
    assert run.data[0].sha256[:12] in printed
    assert "seed      7" in printed
    assert "numpy" in printed
    assert str(tmp_path) not in json.dumps(run.to_record())


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["classifier", "--data", "none.jsonl", "--train", "none.jsonl"], "none.jsonl"),
        (["summariser", "--data", "none.jsonl.zst"], "none.jsonl.zst"),
    ],
)
def test_what_the_caller_can_mend_is_one_line_and_exit_code_2(
    arguments: list[str], problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert measure.main(arguments) == 2
    told = capsys.readouterr().err
    assert problem in told
    assert len(told.splitlines()) == 1


def test_a_baseline_fitted_on_the_answers_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # It would score near 1 and hide that the model is worse than words.
    path = tmp_path / "rows.jsonl"
    row = {"id": "a", "text": "The navy said so.", "labels": ["claim"]}
    path.write_text(json.dumps(row) + "\n", encoding="utf-8")
    assert measure.main(["classifier", "--data", str(path), "--train", str(path)]) == 2
    told = capsys.readouterr().err
    assert "--train and --data have 1 articles in common ('a' is one)" in told
    assert "navy" not in told


def test_a_stock_phrase_of_two_articles_is_left_out_of_training_and_counted() -> None:
    # Nothing silent: what the baseline did not read is printed under the table.
    rows = passages(8)
    train = [
        LabelledPassage(id="t1", article="t", text=rows[0].text, labels=(), source="test"),
        LabelledPassage(id="t2", article="t", text="Rain fell.", labels=(), source="test"),
    ]
    kept, left_out = measure.without(train, rows)
    assert [row.id for row in kept] == ["t2"]
    assert left_out == 1
