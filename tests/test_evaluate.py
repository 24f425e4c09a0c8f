"""``tocsin evaluate`` end to end, as a person and a script meet it, on small invented data."""

import json
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from tests.server import TinyModels
from tests.support import Ran, run

COMMAND = [sys.executable, "-m", "tocsin_serving.cli", "evaluate"]
FAST = ("--resamples", "100", "--no-suites", "--no-cost", "--quiet", "--device", "cpu")
TEXTS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("The ministry denied arming the group on day {}.", ("claim",)),
    ("The Brigade vowed to strike the port again, it said on day {}.", ("threat",)),
    ("The raid was a reprisal for the sinking of boat {}.", ("retaliation",)),
    ("Envoys met in Tal Amin and agreed to resume talks, round {}.", ("diplomacy",)),
    ("The market opened late on Sunday, number {}.", ()),
    ("He warned of revenge and denied the charge, for the time {}.", ("claim", "threat")),
)
# Stands in every text that is confidential here: no message may hold it.
COPY = "Tal Amin"


def write(path: Path, *rows: Any) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def passages(count: int = 24) -> list[dict[str, Any]]:
    """Three an article, ``p0`` in ``a0`` and so on."""
    found = []
    for number in range(count):
        text, labels = TEXTS[number % len(TEXTS)]
        row = {"id": f"p{number}", "article": f"a{number // 3}", "text": text.format(number)}
        found.append(row | {"labels": list(labels)})
    return found


def articles(count: int = 4) -> list[dict[str, Any]]:
    return [
        {
            "id": f"s{number}",
            "paragraphs": [text.format(number) for text, _ in TEXTS],
            "summary": f"{TEXTS[number % 6][0].format(number)} Talks in {COPY} went on.",
        }
        for number in range(count)
    ]


def predictions(score: float, rows: int = 24) -> list[dict[str, Any]]:
    """Right about every label: ``score`` where it is carried, 0.1 where not."""
    labels = ("claim", "diplomacy", "retaliation", "threat")
    return [
        {
            "id": row["id"],
            "scores": {label: score if label in row["labels"] else 0.1 for label in labels},
        }
        for row in passages(rows)
    ]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write(tmp_path / "golden.jsonl", *passages())


def evaluate(*arguments: object, key: str = "") -> Ran:
    return run("evaluate", *arguments, *FAST, TOCSIN_KEY=key)


def report(out: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((out / "report.json").read_text("utf-8"))
    return found


def read_lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def subject(out: Path, name: str) -> dict[str, Any]:
    [found] = [one for one in report(out)["subjects"] if one["name"] == name]
    return dict(found)


def assert_refused(ran: Ran, out: Path, *said: str) -> None:
    """Exit code 2, one error without copy, and no file of a report."""
    assert ran.code == 2, ran.err
    assert ran.out == ""
    assert ran.err.startswith("tocsin: error: ")
    assert "Traceback" not in ran.err
    for part in said:
        assert part in ran.err
    assert COPY not in ran.err
    assert_no_report(out)


def assert_no_report(out: Path) -> None:
    assert [path for path in out.rglob("*") if path.is_file() and path.parent.name != "cache"] == []


def test_a_report_is_three_files_and_the_answers(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    write(tmp_path / "sure.jsonl", *predictions(0.9))
    ran = run(
        *("evaluate", tmp_path / "sure.jsonl", "keywords", "--data", data, "--out", out),
        *FAST[:4],
    )
    assert (ran.code, ran.err) == (0, "")
    assert sorted(path.name for path in out.iterdir()) == [
        *("answers", "cache", "report.html", "report.json", "report.md"),
    ]
    found = report(out)
    assert [one["name"] for one in found["subjects"]] == ["sure", "keywords"]
    macro_f1 = found["subjects"][0]["metrics"]["macro_f1"]
    assert macro_f1 == {"value": 1.0, "low": 1.0, "high": 1.0}
    weaker = found["subjects"][1]["metrics"]["macro_f1"]
    assert 0 < weaker["low"] <= weaker["value"] <= weaker["high"] < 1
    # What is printed is what the report says first.
    assert ran.out.splitlines()[:-1] == found["verdict"]
    assert ran.out.splitlines()[-1].startswith(f"Report: {out / 'report.html'}")
    assert found["verdict"][0].startswith("sure is ")
    assert found["provenance"]["command"].startswith("tocsin evaluate ")
    assert found["data"] | {"labels": 0} == {
        **{"passages": 24, "articles": 8, "summaries": 0},
        **{"cardinality": 1.0, "labels": 0},
    }


def test_answers_of_one_evaluation_are_a_subject_of_the_next(data: Path, tmp_path: Path) -> None:
    # That is how an incumbent is kept without its weights: the same numbers to the last digit.
    out = tmp_path / "out"
    assert (
        evaluate(
            "keywords",
            "lead-3",
            "--data",
            data,
            write(tmp_path / "s.jsonl", *articles()),
            "--out",
            out,
        ).code
        == 0
    )
    again = tmp_path / "again"
    words = (
        f"old={out / 'answers' / 'keywords.jsonl'}",
        f"lead={out / 'answers' / 'lead-3.jsonl'}",
    )
    assert evaluate(*words, "--data", data, tmp_path / "s.jsonl", "--out", again).code == 0
    assert subject(again, "old")["metrics"] == subject(out, "keywords")["metrics"]
    assert subject(again, "lead")["metrics"] == subject(out, "lead-3")["metrics"]


def test_passages_and_summaries_go_to_the_subjects_that_answer_them(
    data: Path, tmp_path: Path, tiny_models: TinyModels
) -> None:
    out = tmp_path / "out"
    summaries = write(tmp_path / "summaries.jsonl", *articles())
    words = (tiny_models.classifier, tiny_models.summariser, "keywords", "lead-3")
    ran = evaluate(*words, "--data", data, summaries, "--out", out)
    assert ran.code == 0, ran.err
    kinds = {
        one["name"]: ("macro_f1" in one["metrics"], "rouge1" in one["metrics"])
        for one in report(out)["subjects"]
    }
    assert kinds == {
        "tiny-classifier": (True, False),
        "tiny-summariser": (False, True),
        "keywords": (True, False),
        "lead-3": (False, True),
    }
    pairs = [(one["first"], one["second"]) for one in report(out)["comparisons"]]
    assert pairs == [("tiny-classifier", "keywords"), ("tiny-summariser", "lead-3")]
    # The sentences are the summariser's own.
    told = read_lines(out / "answers/lead-3.jsonl")
    assert told[0]["summary"] == articles()[0]["paragraphs"][:3]


def test_summaries_alone_make_a_report(tmp_path: Path) -> None:
    out = tmp_path / "out"
    summaries = write(tmp_path / "summaries.jsonl", *articles())
    assert evaluate("lead-3", "textrank", "oracle", "--data", summaries, "--out", out).code == 0
    oracle = subject(out, "oracle")["metrics"]["rouge1"]["value"]
    assert oracle >= subject(out, "lead-3")["metrics"]["rouge1"]["value"]


def test_a_table_with_its_own_columns_and_labels_needs_no_code(tmp_path: Path) -> None:
    # Another newsroom's labels: CSV, a column of their names, words of their own.
    lines = [f"goal number {n},Sport" if n % 2 else f"rain on day {n},Weather" for n in range(12)]
    table = tmp_path / "desk.csv"
    table.write_text("\n".join(["Headline,Topic", *lines]) + "\n")
    words = tmp_path / "words.yaml"
    words.write_text("Sport: [goal]\nWeather: [rain]\n", encoding="utf-8")
    out = tmp_path / "out"
    ran = evaluate(
        *(f"desk=keywords:{words}", "--data", table, "--columns", "text=Headline,labels=Topic"),
        *("--out", out),
    )
    assert ran.code == 0, ran.err
    assert subject(out, "desk")["metrics"]["f1_Sport"]["value"] == 1.0
    assert report(out)["data"]["labels"] == {"Sport": 6, "Weather": 6}


def test_a_softmax_model_stands_beside_what_decides_label_by_label(
    tmp_path: Path, tiny_base: Path
) -> None:
    # Most of the Hub gives one label each. Beside keywords both answer the same questions.
    from tocsin_models import hub

    theirs = tmp_path / "theirs"
    shutil.copytree(tiny_base, theirs, ignore=shutil.ignore_patterns("*.safetensors"))
    labels = ("claim", "diplomacy", "retaliation", "threat")
    hub.load_sequence_classifier(str(tiny_base), labels, None).save_pretrained(theirs)
    single = [row for row in passages() if len(row["labels"]) == 1]
    for name, rows, has_accuracy in (("one", single, True), ("many", passages(), False)):
        data = write(tmp_path / f"{name}.jsonl", *rows)
        out = tmp_path / name
        for words in ((theirs, "keywords"), ("keywords", theirs)):
            assert evaluate(*words, "--data", data, "--out", out).code == 0
            for one in report(out)["subjects"]:
                assert ("accuracy" in one["metrics"]) is has_accuracy
        answers = read_lines(out / "answers/theirs.jsonl")
        assert {len(row["labels"]) for row in answers} == {1}
        # Kept as an incumbent, without the model, it is asked the same questions again.
        again = tmp_path / f"{name}-again"
        kept = out / "answers/theirs.jsonl"
        assert evaluate(kept, "--data", data, "--out", again).code == 0
        assert subject(again, "theirs")["metrics"] == subject(out, "theirs")["metrics"]


def test_a_second_run_loads_no_model(data: Path, tmp_path: Path, tiny_models: TinyModels) -> None:
    # Behaviour and cost too: a change of the gate or of a slice is looked at in seconds.
    words = [str(tiny_models.classifier), str(tiny_models.summariser), "keywords", "--data"]
    words += [str(data), str(write(tmp_path / "s.jsonl", *articles())), "--device", "cpu"]
    words += ["--out", str(tmp_path / "out"), "--resamples", "100", "--quiet"]
    assert run("evaluate", *words).code == 0
    first = report(tmp_path / "out")
    assert first["subjects"][0]["behaviour"]["suites"]
    assert first["subjects"][0]["cost"]["passages_per_s"] > 0
    code = (
        "import sys\n"
        "from tocsin_serving.cli import main\n"
        "sys.argv = ['tocsin', 'evaluate', *sys.argv[1:]]\n"
        "try:\n    main()\n"
        "finally:\n    print(*{'openvino', 'tokenizers', 'torch', 'transformers'} & {*sys.modules})"
    )
    ran = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "\n", "")
    second = report(tmp_path / "out")
    for name in ("seconds", "provenance"):
        del first[name], second[name]
    assert second == first


def test_options_that_change_an_answer_are_answered_anew(
    data: Path, tmp_path: Path, tiny_models: TinyModels
) -> None:
    out = tmp_path / "out"

    def kept(*more: object) -> int:
        ran = evaluate(tiny_models.classifier, "--data", data, "--out", out, *more)
        assert ran.code == 0, ran.err
        return len(list((out / "cache").iterdir()))

    assert kept() == 1
    assert kept("--seed", 3, "--threads", 1) == 1
    assert kept("--dtype", "f32") == 2
    assert kept("--batch-size", 64) == 3
    write(data, *passages(21))
    assert kept() == 4
    # Other labels are other numbers of the same answers.
    write(data, *({**row, "labels": ["claim"]} for row in passages(21)))
    assert kept() == 4


def test_a_run_that_was_killed_goes_on(tmp_path: Path, tiny_models: TinyModels) -> None:
    # Ten thousand passages on a laptop, and somebody closes the lid.
    rows = [{**row, "text": row["text"] * 12} for row in passages(24 * 200)]
    data = write(tmp_path / "long.jsonl", *rows)
    out = tmp_path / "out"
    arguments = [str(tiny_models.classifier), "--data", str(data), "--out", str(out), *FAST]
    process = subprocess.Popen([*COMMAND, *arguments], start_new_session=True)
    try:
        wait_for_answers(out, 1_000)
    finally:
        process.kill()
    assert process.wait() == -signal.SIGKILL
    assert_no_report(out)
    [path] = (out / "cache").iterdir()
    before = path.read_bytes()
    assert before.count(b"\n") < len(rows)
    # The half of it is believed: a first answer that was changed by hand is in the report.
    first = before.split(b"\n")[1]
    path.write_bytes(before.replace(first, b"[1.0, 1.0, 1.0, 1.0]", 1))
    ran = evaluate(tiny_models.classifier, "--data", data, "--out", out)
    assert ran.code == 0, ran.err
    answers = read_lines(out / "answers/tiny-classifier.jsonl")
    assert len(answers) == len(rows)
    assert set(answers[0]["scores"].values()) == {1.0}
    assert set(answers[1]["scores"].values()) != {1.0}


def wait_for_answers(out: Path, count: int, timeout_s: float = 120) -> None:
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if any(path.read_bytes().count(b"\n") > count for path in out.glob("cache/*.jsonl")):
            return
        time.sleep(0.01)
    raise TimeoutError(f"{out}: not {count} answers in {timeout_s} s")


def test_control_c_ends_with_130_and_no_report(tmp_path: Path, tiny_models: TinyModels) -> None:
    data = write(tmp_path / "long.jsonl", *passages(24 * 200))
    out = tmp_path / "out"
    arguments = [str(tiny_models.classifier), "--data", str(data), "--out", str(out), *FAST]
    process = subprocess.Popen(
        [*COMMAND, *arguments], stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    wait_for_answers(out, 0)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in said
    assert_no_report(out)


def test_limit_takes_the_first_rows_and_the_predictions_of_them(data: Path, tmp_path: Path) -> None:
    # A look at fifty rows needs no file of predictions of its own.
    write(tmp_path / "sure.jsonl", *predictions(0.9))
    out = tmp_path / "out"
    words = (tmp_path / "sure.jsonl", "keywords", "--data", data, "--out", out)
    assert evaluate(*words, "--limit", 6).code == 0
    assert report(out)["data"]["passages"] == 6
    write(tmp_path / "sure.jsonl", *predictions(0.9, rows=27))
    ran = evaluate(*words[:-1], tmp_path / "new", "--limit", 6)
    assert_refused(ran, tmp_path / "new", "3 predictions are of ids that the data do not have")


@pytest.mark.parametrize("limit", [(), ("--limit", 6)])
def test_predictions_of_boilerplate_are_no_mistake(
    tmp_path: Path, limit: tuple[object, ...]
) -> None:
    # `tocsin score --unit passage` scores every row of the file that is then measured on; what the
    # data mark as boilerplate would else make the whole archive "the wrong file".
    scores = dict.fromkeys(("claim", "diplomacy", "retaliation", "threat"), 0.1)
    extra = {"text": "Share this story.", "labels": [], "boilerplate": True}
    whole = {"id": "w", "passages": [extra, {"text": "Talks began.", "labels": []}]}
    data = write(tmp_path / "data.jsonl", {"id": "x", **extra}, whole, *passages())
    ids = ("x", "w:0", "w:1")
    theirs = [*predictions(0.9), *({"id": one, "scores": scores} for one in ids)]
    out = tmp_path / "out"
    words = (write(tmp_path / "sure.jsonl", *theirs), "--data", data, "--out", out, *limit)
    assert evaluate(*words).code == 0
    assert report(out)["data"]["passages"] == (6 if limit else 25)
    write(tmp_path / "sure.jsonl", *theirs, {"id": "y", "scores": scores})
    ran = evaluate(*words[:4], tmp_path / "new", *limit)
    assert_refused(ran, tmp_path / "new", "1 predictions are of ids that the data do not have")


def test_the_gate_decides_the_exit_code_and_says_why(data: Path, tmp_path: Path) -> None:
    gate = tmp_path / "gate.yaml"
    write(tmp_path / "good.jsonl", *predictions(0.9))
    write(tmp_path / "bad.jsonl", *predictions(0.4))
    gate.write_text("incumbent: good.jsonl\nprotected: {macro_f1: 0.02}\nfloors: {macro_f1: 0.9}\n")
    out = tmp_path / "out"
    how = ("--data", data, "--out", out, "--gate", gate)
    for word, code in (("same=good", 0), ("bad", 1)):
        name, _, stem = word.rpartition("=")
        ran = run("evaluate", f"{name or stem}={tmp_path / stem}.jsonl", *how, *FAST[:4])
        assert ran.code == code, ran.err
        assert report(out)["gate"]["passed"] is (code == 0)
        assert [one["name"] for one in report(out)["subjects"]][-1] == "incumbent"
    first, second, third = ran.out.splitlines()[:3]
    assert first == "bad does not pass the gate: 2 rules broken."
    assert second.startswith("macro_f1 is worse by more than the margin 0.02: -1.0000")
    assert third == "macro_f1 0 misses the floor 0.9."


def test_of_one_article_a_report_tells_nothing_apart(tmp_path: Path) -> None:
    # The first file that somebody tries may be one article: there is neither an interval to print
    # nor a finding, and the gate holds its margin.
    data = write(tmp_path / "one.jsonl", *({**row, "article": "a"} for row in passages()))
    good = write(tmp_path / "good.jsonl", *predictions(0.9))
    bad = write(tmp_path / "bad.jsonl", *predictions(0.4))
    gate = tmp_path / "gate.yaml"
    gate.write_text("incumbent: good.jsonl\nprotected: {average_precision: 0.5, macro_f1: 0.5}\n")
    out = tmp_path / "out"
    ran = run("evaluate", bad, good, "--data", data, "--out", out, "--gate", gate, *FAST[:4])
    assert ran.code == 1, ran.err
    told = ran.out.splitlines()
    assert told[1] == "macro_f1 is worse by more than the margin 0.5: -1.0000, p 1.000."
    assert told[2] == "bad is not told apart from good in macro-F1: -1.000 (p 1.0000)."
    for name in ("report.md", "report.html"):
        text = (out / name).read_text("utf-8")
        assert re.search(r"\b(nan|None)\b", text) is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("floors: {f1_treat: 0.5}\n", "f1_treat: was not measured"),
        ("floors: {macro_f1: 0.5", "cannot be read as YAML"),
        ("incumbent: none.jsonl\nfloors: {macro_f1: 0.5}\n", "'none.jsonl' names none"),
        (None, "cannot be read as YAML (FileNotFoundError)"),
    ],
)
def test_a_gate_that_cannot_be_held_is_no_pass(
    data: Path, tmp_path: Path, text: str | None, said: str
) -> None:
    gate = tmp_path / "gate.yaml"
    if text is not None:
        gate.write_text(text, encoding="utf-8")
    out = tmp_path / "out"
    assert_refused(evaluate("keywords", "--data", data, "--out", out, "--gate", gate), out, said)


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (predictions(0.9, rows=21), ["3 of 24 passages have no prediction ('p21' is the first)"]),
        (
            [{**row, "id": "x" + row["id"]} for row in predictions(0.9)],
            ["2 problems", "24 of 24 passages have no prediction", "24 predictions are of ids"],
        ),
        (predictions(1.2), ["problems", "line 1: the score of 'claim' is 1.2", "and 4 more"]),
        (
            [{**row, "labels": ["treat"]} for row in predictions(0.9)],
            ["24 problems", "label 'treat' is unknown", "and 4 more"],
        ),
        (
            [{**row, "scores": {"claim": 0.5}} for row in predictions(0.9)],
            ["the data carry the label 'diplomacy', which 'theirs' does not have"],
        ),
    ],
)
def test_predictions_that_do_not_fit_are_refused_with_all_that_is_wrong(
    data: Path, tmp_path: Path, rows: list[Any], said: list[str]
) -> None:
    theirs = write(tmp_path / "theirs.jsonl", *rows)
    out = tmp_path / "out"
    assert_refused(evaluate(theirs, "--data", data, "--out", out), out, *said)


def test_data_that_cannot_be_measured_on_are_refused(tmp_path: Path) -> None:
    out = tmp_path / "out"
    for row, said in (
        ({**articles()[0], "summary": ""}, "'summary' is empty"),
        ({**articles()[0], "summary": []}, "'summary' has no item"),
        ({**passages()[3], "labels": None}, "'labels' is missing or null"),
        ({**passages()[3], "labels": ["treat"]}, "the label 'treat', which 'keywords'"),
    ):
        data = write(tmp_path / "data.jsonl", row)
        assert_refused(evaluate("keywords", "--data", data, "--out", out), out, said)
    missing = tmp_path / "none.jsonl"
    assert_refused(evaluate("keywords", "--data", missing, "--out", out), out, "none.jsonl")


def test_subjects_that_cannot_be_used_are_refused(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    for words, said in (
        (["keywords", "keywords"], "two are called 'keywords'"),
        (["defualt"], "'defualt' names none"),
        ([tmp_path], "config.json cannot be read"),
        (["lead-3"], "'lead-3' has no answer to passages with labels"),
        (["http://127.0.0.1:9/?key=1"], "it holds a user name, a query or a fragment"),
    ):
        assert_refused(evaluate(*words, "--data", data, "--out", out), out, said)


def test_a_place_that_cannot_be_written_is_told_before_anything_is_computed(
    data: Path, tmp_path: Path
) -> None:
    # After an hour of scoring it would be too late.
    (tmp_path / "file").write_text("in the way")
    ran = evaluate("keywords", "--data", data, "--out", tmp_path / "file")
    assert_refused(ran, tmp_path / "nothing", "cannot be written", "name another folder with --out")
    assert (tmp_path / "file").read_text() == "in the way"


def test_a_report_that_cannot_be_put_in_place_leaves_no_scraps(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    (out / "answers" / "keywords.jsonl").mkdir(parents=True)
    ran = evaluate("keywords", "--data", data, "--out", out)
    assert ran.code == 2
    assert "cannot be written" in ran.err
    assert list(out.rglob("*.tmp")) == []


def test_suites_of_other_labels_are_left_out_and_nothing_is_said_of_them(
    data: Path, tmp_path: Path
) -> None:
    suites = tmp_path / "suites"
    suites.mkdir()
    (suites / "sport.yaml").write_text(
        "name: sport\nkind: minimum-functionality\nruling: A goal is sport.\nlabel: sport\n"
        "cases:\n- {text: A goal., expect: true}\n"
    )
    out = tmp_path / "out"
    arguments = ("--data", data, "--out", out, "--suites", suites, "--no-cost", "--quiet")
    assert run("evaluate", "keywords", *arguments, "--resamples", 100).code == 0
    assert subject(out, "keywords")["behaviour"] == {"skipped": ["sport"], "suites": []}
