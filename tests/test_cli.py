"""The command line as a person and a script meet it, with the models that ship."""

import json
import os
import signal
import subprocess
import sys
import time
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from tests.support import Ran, run, squeeze

from tocsin_serving.options import ManyFiles

COMMAND = [sys.executable, "-c", "from tocsin_serving.cli import main; main()"]
ARTICLE = """\
Coast Brigade vows to strike the port again

The Coast Brigade vowed on Sunday to strike the port of Marash again before the month was out, \
hours after two fishermen were killed there.

Share this article

A spokesman denied that the Brigade had laid the mines, and accused the navy of [bold]staging\
[/bold] the “find”.

The raid was a reprisal for the sinking of a supply boat on Thursday, the Brigade said.

Envoys of the two governments met in Tal Amin and agreed to resume talks on a ceasefire next week.
"""
FRENCH = "Les négociateurs ont quitté la capitale dimanche sans avoir trouvé d'accord sur la trêve."


@pytest.fixture
def article(tmp_path: Path) -> Path:
    path = tmp_path / "marash.txt"
    path.write_text(ARTICLE, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def answer(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The record of the article above, once for all tests."""
    path = tmp_path_factory.mktemp("answer") / "marash.txt"
    path.write_text(ARTICLE, encoding="utf-8")
    [record] = records(run("analyse", path, "--json"))
    return record


def records(ran: Ran) -> list[dict[str, Any]]:
    return [json.loads(line) for line in ran.out.splitlines()]


def test_a_table_shows_passages_labels_summary_and_where_it_stands(
    article: Path, answer: dict[str, Any]
) -> None:
    # The first thing a person sees of Tocsin.
    ran = run("analyse", article)
    assert (ran.code, ran.err) == (0, "")
    assert "\x1b" not in ran.out
    shown = squeeze(ran.out)
    assert "marash language en" in shown
    assert "Dropped, not read: 1 paragraph" in shown
    assert "Share this article" in shown
    assert "[bold]staging[/bold]" in shown
    assert "headline" in shown
    for sentence in answer["summary"]["sentences"]:
        where = "passage {passage}, characters {start}–{end}, score".format(**sentence)
        assert where in shown
    for passage in answer["passages"]:
        for label in passage["labels"]:
            assert f"{label} {passage['scores'][label]:.2f}" in shown
    assert answer["model"]["classifier"]["revision"][:19] in shown


def test_colour_is_for_terminals_and_no_color_is_obeyed(article: Path) -> None:
    # Escape codes in a pipe end up in files and mails.
    assert "\x1b[1;31mthreat" in run("analyse", article, FORCE_COLOR="1").out
    without = run("analyse", article, FORCE_COLOR="1", NO_COLOR="1").out
    assert "\x1b[1;31m" not in without


def test_an_old_locale_gets_json_in_utf_8_and_a_table_that_does_not_fail(article: Path) -> None:
    # JSON is UTF-8 by its standard; “ in ASCII would otherwise end in a traceback.
    assert "“find”" in run("analyse", article, "--json", encoding="ascii").out
    ran = run("analyse", article, encoding="ascii")
    assert (ran.code, ran.err) == (0, "")
    assert r"\u201cfind\u201d" in ran.out


def test_json_is_a_valid_record_for_articles_of_the_corpus(
    repository: Path, tmp_path: Path
) -> None:
    # The record is what newsroom tools are written against; offsets must point at the text.
    schema = json.loads(files("tocsin_models").joinpath("record.schema.json").read_text("utf-8"))
    paths = []
    for source in sorted((repository / "training" / "corpus").glob("*.jsonl"))[:6]:
        row = json.loads(source.read_text("utf-8").splitlines()[0])
        path = tmp_path / f"{row['id']}.txt"
        path.write_bytes("\r\n\r\n".join(p["text"] for p in row["passages"]).encode())
        paths.append(path)
    ran = run("analyse", "--json", *paths)
    assert (ran.code, ran.err) == (0, "")
    found = records(ran)
    assert [record["id"] for record in found] == [path.stem for path in paths]
    for path, record in zip(paths, found, strict=True):
        jsonschema.Draft202012Validator(schema).validate(record)
        text = path.read_bytes().decode()
        for piece in (*record["passages"], *record["dropped"], *record["summary"]["sentences"]):
            assert text[piece["start"] : piece["end"]] == piece["text"]


def test_html_is_read_and_carried_because_offsets_point_into_it() -> None:
    # The bytes that came in are markup; without the text the offsets would point nowhere.
    paragraphs = "".join(f"<p>{line}</p>" for line in ARTICLE.split("\n\n")[1:])
    page = f"<html><body><article><h1>Port struck</h1>{paragraphs}</article></body></html>"
    ran = run("analyse", "-", "--format", "html", "--json", stdin=page.encode())
    [record] = records(ran)
    for piece in (*record["passages"], *record["summary"]["sentences"]):
        assert record["text"][piece["start"] : piece["end"]] == piece["text"]


def test_standard_input_gives_the_answer_of_the_file(article: Path, answer: dict[str, Any]) -> None:
    # Design, rule 1: the same bytes in give the same answer out.
    [from_pipe] = records(run("analyse", "-", "--json", stdin=article.read_bytes()))
    assert answer | {"id": "stdin"} == from_pipe


def test_the_other_files_are_read_when_one_cannot_be(article: Path, tmp_path: Path) -> None:
    # A directory of a thousand files holds a bad one; the exit code still tells.
    ran = run("analyse", tmp_path / "gone.txt", article, tmp_path, "--json")
    assert [record["id"] for record in records(ran)] == ["marash"]
    assert ran.code == 2
    assert [line.split(": ")[:2] for line in ran.err.splitlines()] == [["tocsin", "error"]] * 2


def test_the_limits_of_the_summary_are_kept(article: Path) -> None:
    [one] = records(run("analyse", article, "--json", "--max-sentences", 1))
    assert len(one["summary"]["sentences"]) == 1
    [few] = records(run("analyse", article, "--json", "--max-words", 25))
    assert len(few["summary"]["text"].split()) <= 25


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["analyse", "x", "--max-sentences", 0], "'--max-sentences': 0 is too small; give 1 or"),
        (["analyse", "x", "--max-words", -3], "'--max-words': -3 is too small; give 1 or more"),
        (["score", "x", "y", "--threads", 0], "'--threads': 0 is too small; give 1 or more"),
        (["analyse", "x", "--device", "tpu"], "'--device'"),
        (["analyse"], "Missing argument 'FILE'"),
        (["analyze", "x"], "Did you mean 'analyse'?"),
        (["score", "x"], "name a folder OUT for the results, or a file with -o"),
        (["score", "x", "y", "--unit", "word"], "'--unit'"),
    ],
)
def test_wrong_usage_says_what_is_right(arguments: list[object], message: str) -> None:
    ran = run(*arguments)
    assert ran.code == 2
    assert message in squeeze(ran.err)


def test_another_language_is_warned_of_and_refused_only_on_request(tmp_path: Path) -> None:
    # Scores of a language the model has not learnt mean little; silence would hide it.
    path = tmp_path / "fr.txt"
    path.write_text(FRENCH, encoding="utf-8")
    lenient = run("analyse", path)
    assert lenient.code == 0
    assert "warning: the text looks French" in lenient.out
    strict = run("analyse", path, "--strict-language")
    assert (strict.code, strict.out) == (2, "")
    assert strict.err.startswith(f"tocsin: error: {path}: the text looks French")


def test_score_answers_as_analyse_does_and_keeps_the_books(
    answer: dict[str, Any], tmp_path: Path
) -> None:
    # One scoring core: a row of an archive may not be read differently from a file.
    archive = tmp_path / "in.jsonl"
    rows = [{"id": "marash", "text": ARTICLE, "desk": "foreign"}, {"id": "x"}]
    archive.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    out = tmp_path / "out"
    ran = run("score", archive, out, "-o", tmp_path / "all.jsonl", "--format", "jsonl")
    assert (ran.code, ran.out) == (3, "")
    assert ran.err.splitlines()[-1] == (
        f"tocsin: read 2 = scored 1 + rejected 1; reasons in {out / 'rejects.jsonl'}"
    )
    [found] = (json.loads(line) for line in (tmp_path / "all.jsonl").read_text().splitlines())
    assert found == answer | {"desk": "foreign"}
    assert (out / "part-00000.jsonl").read_bytes() == (tmp_path / "all.jsonl").read_bytes()


def test_score_reads_a_pipe_and_is_silent_when_asked(tmp_path: Path) -> None:
    # Under cron, anything on standard error is mailed to somebody.
    stdin = b'{"id": "p", "text": "The Brigade vowed to strike the port again."}\n'
    out = tmp_path / "labels.jsonl"
    ran = run("score", "-", "-o", out, "--unit", "passage", "--quiet", stdin=stdin)
    assert ran == Ran(0, "", "")
    assert list(json.loads(out.read_text())) == ["id", "labels", "scores"]


def test_models_tells_what_is_installed() -> None:
    # Thresholds and intervals are what a newsroom decides by; the hash is what it cites.
    ran = run("models")
    assert (ran.code, ran.err) == (0, "")
    embedded = records(run("models", "--json"))
    assert [model["task"] for model in embedded] == ["classifier", "summariser"]
    for model in embedded:
        assert model["name"] in ran.out
        assert model["revision"][:19] in ran.out
        assert model["licence"] in ran.out
        assert model["metrics"]
    assert f"{embedded[0]['labels'][0]}≥" in ran.out
    assert " to " in ran.out


def test_version_and_help_start_without_any_heavy_library() -> None:
    # --help has to answer at once; numpy alone takes as long as the rest.
    program = (
        "import sys\n"
        "from tocsin_serving.cli import main\n"
        "try:\n    main()\n"
        "finally:\n    print([m for m in ('numpy', 'openvino', 'torch', 'transformers', 'sklearn')"
        " if m in sys.modules], file=sys.stderr)\n"
    )
    for option in ("--version", "--help"):
        done = subprocess.run(
            [sys.executable, "-c", program, option], capture_output=True, text=True, check=True
        )
        assert done.stderr == "[]\n"
        if option == "--version":
            assert done.stdout == f"tocsin {version('tocsin')}\n"


@pytest.mark.parametrize(
    "command", ["analyse", "score", "models", "train classifier", "train summariser"]
)
def test_the_help_of_every_command_has_an_example(command: str) -> None:
    # A list of options does not teach; one line to copy does.
    ran = run(*command.split(), "--help")
    assert ran.code == 0
    assert f"Example: tocsin {command} " in squeeze(ran.out)
    assert "Exit codes: 0" in squeeze(ran.out)


def test_the_help_says_what_the_labels_mean() -> None:
    shown = squeeze(run("--help").out)
    for label in ("claim", "threat", "retaliation", "diplomacy"):
        assert f"{label}, " in shown


def test_train_takes_several_files_as_a_shell_expands_them() -> None:
    # --train corpus/*.jsonl reaches us as many words; read as settings they would be refused.
    words = ["--train", "a.jsonl", "data/x=1.jsonl", "--dev=c", "d", "--base", "b", "epochs=3"]
    command = ManyFiles(name="classifier")
    assert list(command.repeat_options(words)) == [
        *("--train", "a.jsonl", "--train", "data/x=1.jsonl", "--dev=c", "--dev", "d"),
        *("--base", "b", "epochs=3"),
    ]
    assert list(command.repeat_options(["--dev", "c", "epochs=3", "seed=1"]))[2:] == [
        "epochs=3",
        "seed=1",
    ]


def test_train_without_its_extra_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    # The core installs without it; a traceback about sklearn would not say so.
    monkeypatch.setitem(sys.modules, "sklearn", None)
    monkeypatch.setitem(sys.modules, "yaml", None)
    options = ["--train", "a", "--dev", "b", "--base", "c", "--out", "d"]
    ran = run("train", "classifier", *options)
    assert ran.code == 2
    assert ran.err == (
        "tocsin: error: this needs sklearn, yaml, not installed here: "
        "pip install 'tocsin[training]'\n"
    )


def test_a_bug_is_a_traceback_without_the_article(article: Path) -> None:
    # A pretty traceback prints local variables, which hold copy; logs are no place for it.
    program = (
        "import tocsin_models.analyse as core\n"
        "def fail(article, *models): raise RuntimeError('bug')\n"
        "core.analyse = fail\n"
        "from tocsin_serving import cli\n"
        "from tocsin_serving.commands import loading\n"
        "loading._load_classifier = loading._load_summariser = lambda *_: None\n"
        "cli.main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "analyse", str(article)], capture_output=True, text=True
    )
    assert done.returncode == 1
    assert done.stderr.startswith("Traceback (most recent call last):\n")
    assert done.stderr.endswith("RuntimeError: bug\n")
    assert "Brigade" not in done.stderr + done.stdout


@pytest.mark.parametrize("option", [[], ["--json"]])
def test_a_reader_that_leaves_early_is_no_error(option: list[str]) -> None:
    # tocsin … | head
    read_end, write_end = os.pipe()
    os.close(read_end)
    done = subprocess.run(
        [*COMMAND, "models", *option], stdout=write_end, stderr=subprocess.PIPE, text=True
    )
    os.close(write_end)
    assert done.stderr == ""


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_says_how_to_go_on_and_goes_on(tmp_path: Path, sent: int) -> None:
    # Ctrl-C, or a machine that shuts down, during a night's run: exit code 130, nothing half.
    source, out = tmp_path / "in.jsonl", tmp_path / "out"
    row = "The envoy left, and the general vowed to answer. "
    source.write_text("".join(f'{{"id": {n}, "text": "{row}"}}\n' for n in range(20_000)))
    command = ["score", str(source), str(out), "--unit", "passage", "--quiet"]
    with subprocess.Popen([*COMMAND, *command], stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        waited_until = time.monotonic() + 60
        while not list(out.glob(".run/blocks/*.jsonl")) and time.monotonic() < waited_until:
            time.sleep(0.02)
        process.send_signal(sent)
        errors = process.stderr.read()
    assert process.returncode == 130
    assert errors == "tocsin: interrupted; run the same command again to go on\n"
    assert list(out.glob(".run/blocks/*.jsonl"))
    assert not list(out.rglob("*.tmp"))
