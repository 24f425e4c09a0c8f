"""Bad input: one line that says what to do, exit code 2, and never a word of the article."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.support import Ran, run

from tocsin_models.manifest import EMBEDDED

# Stands in every article here; the messages may not repeat it.
SENTINEL = "Zanzibarine"
ARTICLE = (
    f"The {SENTINEL} envoy left Marash on Sunday after two days of talks that brought no result.\n"
)


def assert_one_line(ran: Ran, *parts: str) -> None:
    assert ran.code == 2
    assert ran.err.startswith("tocsin: error: ")
    assert ran.err.count("\n") == 1
    for part in parts:
        assert part in ran.err
    assert SENTINEL not in ran.err + ran.out
    assert ran.out == ""


@pytest.fixture(scope="module", autouse=True)
def warm_cache() -> None:
    """Both models prepared before: with an empty cache one says so while the other is refused."""
    from tocsin_models.classifier import load_classifier
    from tocsin_models.summariser import load_summariser

    load_classifier(device="cpu")
    load_summariser(device="cpu")


@pytest.fixture
def article(tmp_path: Path) -> Path:
    path = tmp_path / "article.txt"
    path.write_text(ARTICLE, encoding="utf-8")
    return path


@pytest.mark.parametrize("command", ["analyse", "score"])
def test_a_missing_file(tmp_path: Path, command: str) -> None:
    path = tmp_path / "gone.txt"
    ran = run(command, path, *([tmp_path / "out"] if command == "score" else []))
    assert_one_line(ran, f"{path}: no such file; check the path")


def test_a_directory(tmp_path: Path) -> None:
    assert_one_line(run("analyse", tmp_path), str(tmp_path), "is a directory; ")


def test_a_directory_without_a_file(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    assert_one_line(run("score", tmp_path / "in", tmp_path / "out"), "there is no file")


@pytest.mark.parametrize("content", ["", " \r\n\n\t", "\ufeff\n"])
@pytest.mark.parametrize("command", ["analyse", "score"])
def test_an_empty_file(tmp_path: Path, command: str, content: str) -> None:
    path = tmp_path / "empty.txt"
    path.write_text(content, encoding="utf-8", newline="")
    if command == "score":
        path = path.rename(tmp_path / "empty.jsonl")
    ran = run(command, path, *([tmp_path / "out"] if command == "score" else []))
    assert_one_line(ran, str(path))
    assert "empty" in ran.err or "no rows" in ran.err


def test_empty_standard_input() -> None:
    assert_one_line(run("analyse", "-"), "standard input: empty")


def test_a_binary_file(tmp_path: Path) -> None:
    path = tmp_path / "program.txt"
    path.write_bytes(ARTICLE.encode() + b"\x00\x01\x02\x03")
    assert_one_line(run("analyse", path), f"byte {len(ARTICLE)} is 0x00", "binary")


def test_an_archive_that_is_not_what_its_name_says(tmp_path: Path) -> None:
    # Row by row, every line of it would be rejected; one line says it better.
    path = tmp_path / "in.parquet"
    path.write_bytes(SENTINEL.encode())
    ran = run("score", path, tmp_path / "out")
    assert_one_line(ran, "is not Parquet, though its name says so")
    assert not (tmp_path / "out").exists()


def test_an_undecodable_file_says_at_which_byte(tmp_path: Path) -> None:
    path = tmp_path / "latin.txt"
    path.write_bytes(ARTICLE.encode() + "Caf\xe9 blast".encode("latin-1"))
    assert_one_line(run("analyse", path), f"byte {len(ARTICLE) + 3} is 0xe9", "iconv")


@pytest.mark.parametrize("option", ["--model", "--summariser"])
def test_an_unknown_model_directory(article: Path, tmp_path: Path, option: str) -> None:
    ran = run("analyse", article, option, tmp_path / "nowhere")
    assert_one_line(ran, f"{tmp_path / 'nowhere'}: no such model directory; ")


def test_a_directory_that_is_no_model(article: Path, tmp_path: Path) -> None:
    assert_one_line(run("analyse", article, "--model", tmp_path), "manifest.json is missing")


@pytest.mark.parametrize(
    ("option", "task"), [("--model", "summariser"), ("--summariser", "classifier")]
)
def test_a_model_of_the_other_task(article: Path, option: str, task: str) -> None:
    # The two directories look alike; mixed up, the scores would be noise.
    assert_one_line(run("analyse", article, option, EMBEDDED[task]), f"holds a {task}, not a ")


def flip_a_byte(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


@pytest.mark.parametrize(
    ("damage", "message"),
    [(Path.unlink, "is missing"), (flip_a_byte, "has SHA-256"), (cut_short, "has SHA-256")],
)
@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json"])
@pytest.mark.parametrize("command", ["analyse", "models"])
def test_a_damaged_model(
    article: Path,
    tmp_path: Path,
    command: str,
    name: str,
    damage: Callable[[Path], None],
    message: str,
) -> None:
    # A half-copied model would still answer, with other scores.
    directory = tmp_path / "model"
    shutil.copytree(EMBEDDED["classifier"], directory)
    damage(directory / name)
    arguments = ["analyse", article, "--model", directory]
    ran = run(*(arguments if command == "analyse" else ["models", directory]))
    assert_one_line(ran, f"{directory}: {name} {message}", "copy the directory again")


@pytest.mark.parametrize("text", ["not json", "[]", '{"schema": "tocsin-model/9"}'])
def test_a_manifest_that_is_none(article: Path, tmp_path: Path, text: str) -> None:
    (tmp_path / "manifest.json").write_text(text)
    assert_one_line(run("analyse", article, "--model", tmp_path), "not a manifest of schema")


def test_a_config_with_three_mistakes_names_all_three(tmp_path: Path) -> None:
    # Mended one by one, each would cost a start of torch.
    config = tmp_path / "labels.yaml"
    config.write_text("learning_rate: -0.1\nwarmup_share: 0.1\nepochs: many\n")
    options = ["--train", "a", "--dev", "b", "--base", "c", "--out", tmp_path / "d"]
    ran = run("train", "classifier", *options, "--config", config)
    assert ran.code == 2
    lines = ran.err.splitlines()
    assert lines[0] == f"tocsin: error: {config}: 3 problems"
    assert len(lines) == 4
    for line, key in zip(lines[1:], ("learning_rate", "warmup_share", "epochs"), strict=True):
        assert line.startswith(f"  {key}: ")


def test_options_that_contradict_each_other_are_all_named(tmp_path: Path) -> None:
    options = ["--unit", "passage", "--max-words", 9, "--strict-language"]
    ran = run("score", tmp_path / "x", tmp_path / "out", *options)
    assert ran.code == 2
    assert ran.err.splitlines()[0] == "tocsin: error: tocsin score: 2 problems"


def test_a_refused_language(tmp_path: Path) -> None:
    path = tmp_path / "fr.txt"
    path.write_text(f"Les {SENTINEL}s ont quitté la capitale dimanche sans accord sur la trêve.")
    assert_one_line(run("analyse", path, "--strict-language"), "French")


def test_results_that_are_there_already(tmp_path: Path) -> None:
    source = tmp_path / "in.jsonl"
    source.write_text(json.dumps({"text": ARTICLE}) + "\n")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "part-00000.jsonl").touch()
    ran = run("score", source, tmp_path / "out")
    assert_one_line(ran, "already holds results (part-00000.jsonl)", "name a new folder")


@pytest.mark.parametrize("unit", ["article", "passage"])
def test_rejected_rows_never_put_their_text_on_the_screen(tmp_path: Path, unit: str) -> None:
    source = tmp_path / "in.jsonl"
    rows = [f'{{"text": "{SENTINEL}', f'["{SENTINEL}"]', f'{{"text": ["{SENTINEL}"]}}']
    source.write_bytes("\n".join(rows).encode() + b'\n{"text": "Zanzibarine \xff"}\n')
    ran = run("score", source, tmp_path / "out", "--unit", unit)
    assert ran.code == 3
    assert SENTINEL not in ran.err + ran.out
    rejects = (tmp_path / "out" / "rejects.jsonl").read_text("utf-8").splitlines()
    assert len(rejects) == 4
    for line in rejects:
        assert SENTINEL not in json.loads(line)["reason"]
