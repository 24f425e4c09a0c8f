"""Labels kept beside a hash find their text again, and only that."""

import csv
import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.support import run

from tocsin_eval.cells import Problems
from tocsin_eval.data import read_passages
from tocsin_models.errors import DataError
from tocsin_training.standoff import join_labels, read_standoff, text_sha256
from tocsin_training.texts import read_texts

TEXTS = (
    "The harbour master denied that the ferry had been turned back.",
    "“We will answer at sea,” said Captain Jorun Valis, “and not at a table.”",
    "Envoys of both islands meet on Friday.",
)
LABELS = (["claim"], ["retaliation", "threat"], ["diplomacy"])


def row(number: int, **changes: Any) -> dict[str, Any]:
    return {
        "id": f"s-{number}",
        "sha256": hashlib.sha256(TEXTS[number].encode()).hexdigest(),
        "article": f"ferry-{number}",
        "source": ("island-radio", "island-radio", "harbour-post")[number],
        "labels": LABELS[number],
        **changes,
    }


def write_lines(path: Path, rows: list[Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def read_lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.fixture
def standoff(tmp_path: Path) -> Path:
    return write_lines(tmp_path / "labels.jsonl", [row(2), row(0), row(1)])


def write_table(folder: Path, form: str) -> Path:
    """The three texts in one table, in another order, each form with other text around."""
    path = folder / f"news-{form.partition('.')[0]}.{form.partition('.')[2]}"
    if form == "text.jsonl":
        return write_lines(path, [{"text": text, "id": 7} for text in (*TEXTS, "Other.")])
    if form == "lines.jsonl":
        return write_lines(path, [{"text": "\n\n".join(("Lead.", *TEXTS))}, {"text": None}])
    if form == "paragraphs.jsonl":
        return write_lines(path, [{"paragraphs": [*TEXTS[:2], "Other."]}, {"text": TEXTS[2]}])
    if form == "passages.jsonl":
        return write_lines(path, [{"passages": [{"text": text} for text in TEXTS]}])
    if form == "text.csv":
        with path.open("w", encoding="utf-8", newline="") as stream:
            csv.writer(stream).writerows([["text"], *([text] for text in TEXTS)])
        return path
    import pyarrow
    import pyarrow.parquet

    pyarrow.parquet.write_table(pyarrow.Table.from_pylist([{"paragraphs": list(TEXTS)}]), path)
    return path


@pytest.mark.parametrize(
    "form",
    [
        "text.jsonl",
        "lines.jsonl",
        "paragraphs.jsonl",
        "passages.jsonl",
        "text.csv",
        "paragraphs.parquet",
    ],
)
def test_labels_find_their_text_in_every_table(form: str, standoff: Path, tmp_path: Path) -> None:
    """Whoever has the news in another format could not train on the labels."""
    out = tmp_path / "out" / "joined.jsonl"
    assert join_labels([standoff], [write_table(tmp_path, form)], out) == 3
    rows = read_lines(out)
    assert [tuple(found) for found in rows] == [("id", "article", "source", "text", "labels")] * 3
    # The order is that of the stand-off file: folds and resumed runs hang on it.
    assert [found["id"] for found in rows] == ["s-2", "s-0", "s-1"]
    assert [found["text"] for found in rows] == [TEXTS[2], TEXTS[0], TEXTS[1]]
    passages = read_passages([out])
    assert [passage.labels for passage in passages] == [tuple(LABELS[i]) for i in (2, 0, 1)]
    assert [passage.article for passage in passages] == ["ferry-2", "ferry-0", "ferry-1"]


def test_only_white_space_may_differ(standoff: Path, tmp_path: Path) -> None:
    """Labels would be put on a text that the labeller never read, or lost to a line break."""
    words = TEXTS[0].split()
    texts = [
        f"  {' '.join(words[:3])} \u00a0\t{' '.join(words[3:])}\r\n",
        TEXTS[1].replace("“", '"'),
        TEXTS[2] + " They",
    ]
    table = write_lines(tmp_path / "news.jsonl", [{"text": text} for text in texts])
    out = tmp_path / "joined.jsonl"
    assert join_labels([standoff], [table], out) == 1
    assert read_lines(out) == [
        {**{key: value for key, value in row(0).items() if key != "sha256"}, "text": TEXTS[0]}
    ]


def test_the_hash_is_sha256_of_folded_utf_8() -> None:
    """Hashes computed elsewhere (sha256sum, another language) would not match."""
    folded = "Käpt’n Valis — 14 knots"
    assert (
        text_sha256(" Käpt’n  Valis\n—\t14 knots ") == hashlib.sha256(folded.encode()).hexdigest()
    )


def test_half_a_surrogate_pair_is_nobodys_text(standoff: Path, tmp_path: Path) -> None:
    """Without it a broken text would have the hash of one with "?" in it, or stop the join."""
    assert text_sha256("Who\ud83d") != text_sha256("Who?")
    mark = write_lines(tmp_path / "mark.jsonl", [row(0, sha256=text_sha256("Who?"))])
    rows = [{"text": "Who\ud83d"}, {"paragraphs": ["\udfff", TEXTS[0]]}]
    table = write_lines(tmp_path / "news.jsonl", rows)
    with pytest.raises(DataError, match="none of the 1 passages"):
        join_labels([mark], [table], tmp_path / "none.jsonl")
    assert join_labels([standoff], [table], tmp_path / "joined.jsonl") == 1
    problems = Problems()
    assert list(read_texts(table, problems)) == [[], [TEXTS[0]]]
    problems.raise_if_any()


def test_joining_needs_nothing_of_training() -> None:
    """Without it the command, which is in the core, would fail where torch is not installed."""
    code = "import sys, tocsin_training.standoff; print({'torch', 'safetensors'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_a_text_that_is_whole_over_several_lines_is_found_too(tmp_path: Path) -> None:
    """A passage labelled with its line break (a list, a verse) is nowhere among single lines."""
    text = f"{TEXTS[0]}\n{TEXTS[1]}"
    sha256 = hashlib.sha256(" ".join(text.split()).encode()).hexdigest()
    standoff = write_lines(tmp_path / "labels.jsonl", [row(0, sha256=sha256)])
    table = write_lines(tmp_path / "news.jsonl", [{"text": text}])
    out = tmp_path / "joined.jsonl"
    join_labels([standoff], [table], out)
    assert read_lines(out)[0]["text"] == " ".join(TEXTS[:2])


def test_the_command_says_how_many_were_found_of_each_source(
    standoff: Path, tmp_path: Path
) -> None:
    """Half of the training data could be missing without a word."""
    first = write_lines(tmp_path / "a.jsonl", [{"text": TEXTS[0]}])
    second = write_lines(tmp_path / "b.jsonl", [{"paragraphs": ["Other.", TEXTS[2]]}])
    out = tmp_path / "joined.jsonl"
    done = run("train", "join", standoff, "--texts", first, second, "--out", out)
    assert done.code == 0, done.err
    assert done.out == ""
    assert done.err.splitlines() == [
        "harbour-post: 1 found, 0 not",
        "island-radio: 1 found, 1 not",
    ]
    assert [found["id"] for found in read_lines(out)] == ["s-2", "s-0"]


def test_nothing_found_is_refused_and_nothing_is_written(standoff: Path, tmp_path: Path) -> None:
    """An empty training file would be told of by the training, or overwrite a good one."""
    table = write_lines(tmp_path / "news.jsonl", [{"text": "Other news."}])
    out = tmp_path / "joined.jsonl"
    out.write_text("kept\n")
    done = run("train", "join", standoff, "--texts", table, "--out", out)
    assert done.code == 2
    assert "none of the 3 passages was found in " in done.err
    assert "Other news" not in done.err
    assert out.read_text() == "kept\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "joined.jsonl",
        "labels.jsonl",
        "news.jsonl",
    ]


def test_a_write_that_fails_leaves_what_was_there(
    standoff: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk would leave half a file, which trains like a whole one."""

    def fail(_: int) -> None:
        raise OSError(28, "No space left on device")

    table, out = write_table(tmp_path, "text.jsonl"), tmp_path / "joined.jsonl"
    out.write_text("kept\n")
    before = sorted(tmp_path.iterdir())
    monkeypatch.setattr("tocsin_training.lines.os.fsync", fail)
    with pytest.raises(DataError, match=r"joined\.jsonl: cannot be written \(No space left"):
        join_labels([standoff], [table], out)
    assert out.read_text() == "kept\n"
    assert sorted(tmp_path.iterdir()) == before


def test_mistakes_of_a_standoff_file_are_told_by_line(tmp_path: Path) -> None:
    """One text with two sets of labels trains against itself."""
    path = write_lines(
        tmp_path / "labels.jsonl",
        [
            row(0),
            row(1),
            row(0, id="s-7", labels=[]),
            row(1, id="s-8", labels=["threat", "retaliation"]),
            row(2, id="s-1"),
            row(2, id="s-9", sha256="ABC"),
            row(2, id="s-10", text=TEXTS[2]),
        ],
    )
    with pytest.raises(DataError) as caught:
        read_standoff([path])
    assert [problem.removeprefix(f"{path}, ") for problem in caught.value.problems] == [
        f"line 3: has the hash of {path}, line 1 and other labels; keep one of them",
        f"line 5: 'id' was already used in {path}, line 2",
        "line 6: 'sha256' is not 64 digits of lower-case hex",
        "line 7: has a 'text'; stand-off files are made to do without",
    ]


def test_out_does_not_overwrite_what_is_read(standoff: Path, tmp_path: Path) -> None:
    """A slip of the shell's history would replace a collection by its labelled part."""
    table = write_table(tmp_path, "text.jsonl")
    before = table.read_bytes()
    with pytest.raises(DataError, match="is also read; give --out another name"):
        join_labels([standoff], [table], tmp_path / "." / table.name)
    with pytest.raises(DataError, match="is a directory"):
        join_labels([standoff], [table], tmp_path)
    assert table.read_bytes() == before


def test_the_help_teaches_how_a_text_is_found() -> None:
    """Nobody would know why a passage was not found, nor what to do with the result."""
    shown = " ".join(run("train", "join", "--help").out.replace("│", " ").split())
    for part in ("STANDOFF...", "--texts", "--out", "only white space may differ", "Example:"):
        assert part in shown


def test_the_shipped_labels_hold_no_text_and_are_well_formed(repository: Path) -> None:
    """Text that belongs to others would be committed, or the labels could not be joined."""
    paths = sorted((repository / "training/standoff").glob("*.jsonl"))
    assert read_standoff(paths)
    for path in paths:
        for line in read_lines(path):
            place = ("within", "start", "end") if "within" in line else ()
            assert tuple(line) == ("id", "sha256", "article", "source", "labels", *place)


def test_the_shipped_labels_find_the_news_they_were_made_on(
    repository: Path, tmp_path: Path
) -> None:
    """Hashes of another form of the text would be labels that nobody can use."""
    folder = repository.parent / "shared" / "data" / "cnndm"
    news = [folder / name for name in ("train_cased.jsonl.zst", "train.jsonl.zst")]
    if not all(path.is_file() for path in news):
        pytest.skip(f"../shared/data is not here ({folder.name})")
    paths = sorted((repository / "training/standoff").glob("*.jsonl"))
    wanted = sum(row.source.startswith("cnn") for row in read_standoff(paths))
    assert join_labels(paths, news, tmp_path / "joined.jsonl") >= wanted > 0


def tokenised_piece(**changes: Any) -> tuple[dict[str, Any], str]:
    """Labels of the second sentence of an article in one line, and the article."""
    whole = "the envoys met .  they did n't speak of the harbour 's guns , he said . rain fell ."
    folded = " ".join(whole.split())
    start, end = folded.index("they"), folded.index(" rain")
    digest = hashlib.sha256(folded.encode()).hexdigest()
    part = hashlib.sha256(folded[start:end].encode()).hexdigest()
    return {**row(0, sha256=part), "within": digest, "start": start, "end": end, **changes}, whole


def test_a_piece_of_a_text_without_paragraphs_is_found(tmp_path: Path) -> None:
    """Most of CNN/DailyMail comes as one line an article; its labels would find nothing."""
    labels, whole = tokenised_piece()
    standoff = write_lines(tmp_path / "labels.jsonl", [labels])
    table = write_lines(tmp_path / "news.jsonl", [{"article": "other ."}, {"article": whole}])
    out = tmp_path / "joined.jsonl"
    assert join_labels([standoff], [table], out) == 1
    [found] = read_lines(out)
    # As people type it: other tokenizers than BERT's read "did n't" as other words.
    assert found["text"] == "they didn't speak of the harbour's guns, he said."


def test_a_piece_that_is_not_where_it_should_be_is_not_found(tmp_path: Path) -> None:
    """Labels would be trained on half a sentence that nobody labelled."""
    labels, whole = tokenised_piece()
    standoff = write_lines(tmp_path / "labels.jsonl", [{**labels, "end": labels["end"] - 3}])
    table = write_lines(tmp_path / "news.jsonl", [{"article": whole}])
    with pytest.raises(DataError, match="none of the 1 passages was found"):
        join_labels([standoff], [table], tmp_path / "joined.jsonl")


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"start": 9, "end": 9}, "'start' and 'end' are not two whole numbers"),
        ({"end": "40"}, "'start' and 'end' are not two whole numbers"),
        ({"within": "abc"}, "'within' is not 64 digits of lower-case hex"),
    ],
)
def test_a_piece_without_a_place_is_refused(
    changes: dict[str, Any], problem: str, tmp_path: Path
) -> None:
    labels, _ = tokenised_piece(**changes)
    with pytest.raises(DataError, match=problem):
        read_standoff([write_lines(tmp_path / "labels.jsonl", [labels])])
