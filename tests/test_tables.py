"""Tables of others: every format, columns by any name, and messages that say what to mend."""

import csv
import gzip
import hashlib
import io
import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from tocsin_eval.columns import parse_columns
from tocsin_eval.data import data_sha256, read_evaluation, read_passages, read_summaries
from tocsin_eval.tables import is_file, source_name, source_sha256
from tocsin_models.errors import ConfigError, DataError

ROWS: list[dict[str, Any]] = [
    {"doc": "d1", "Headline": "Envoy, “tired”, returns", "Category": "talks", "Desk": "east"},
    {"doc": "d2", "Headline": "Port burns;\nmayor silent", "Category": "fire", "Desk": "west"},
]
COLUMNS = {"text": "Headline", "labels": "Category", "id": "doc"}


def delimited(rows: Sequence[dict[str, Any]], delimiter: str = ",", end: str = "\r\n") -> bytes:
    stream = io.StringIO()
    writer = csv.DictWriter(stream, list(rows[0]), delimiter=delimiter, lineterminator=end)
    writer.writeheader()
    writer.writerows(rows)
    return stream.getvalue().encode()


def parquet(rows: Sequence[dict[str, Any]]) -> bytes:
    import pyarrow
    import pyarrow.parquet

    stream = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(list(rows)), stream)
    return stream.getvalue()


def json_lines(rows: Sequence[dict[str, Any]]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


FORMATS: dict[str, Callable[[Sequence[dict[str, Any]]], bytes]] = {
    ".jsonl": json_lines,
    ".csv": delimited,
    ".tsv": lambda rows: delimited(rows, "\t"),
    ".parquet": parquet,
}
PACKED: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    ".gz": gzip.compress,
    ".zst": lambda data: zstandard.ZstdCompressor().compress(data),
}


def refused(*paths: Path | str, columns: dict[str, str] | None = None) -> DataError:
    with pytest.raises(DataError) as caught:
        read_evaluation(paths, columns)
    return caught.value


# Formats


@pytest.mark.parametrize("packed", PACKED)
@pytest.mark.parametrize("suffix", FORMATS)
def test_every_format_gives_the_same_passages(tmp_path: Path, suffix: str, packed: str) -> None:
    # A number that changed with the format of its data would measure the format.
    path = tmp_path / f"desk{suffix}{packed}"
    path.write_bytes(PACKED[packed](FORMATS[suffix](ROWS)))
    first, second = read_evaluation([path], COLUMNS).passages
    assert (first.id, first.labels, first.columns) == ("d1", ("talks",), {"Desk": "east"})
    assert [first.text, second.text] == [row["Headline"] for row in ROWS]


@given(
    st.lists(
        st.tuples(
            st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(str.strip),
            st.sampled_from(["talks", "fire", ""]),
        ),
        min_size=1,
        max_size=5,
    )
)
def test_any_characters_survive_every_format(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]]
) -> None:
    # Quotation marks, line ends and delimiters inside a text are what breaks home-made CSV.
    folder = tmp_path_factory.mktemp("rows")
    found = []
    for suffix, write in FORMATS.items():
        path = folder / f"rows{suffix}"
        path.write_bytes(write([{"text": text, "labels": label} for text, label in rows]))
        found.append([(row.text, row.labels) for row in read_passages([path])])
    assert found == [[(text, (label,) if label else ()) for text, label in rows]] * len(FORMATS)


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_semicolons_and_tabs_are_seen_in_csv(tmp_path: Path, end: str) -> None:
    # Spreadsheets write CSV with semicolons wherever the comma is the decimal mark.
    for delimiter in ";\t":
        path = tmp_path / "desk.csv"
        path.write_bytes(b"\xef\xbb\xbf" + delimited(ROWS, delimiter, end))
        assert [row.id for row in read_passages([path], COLUMNS)] == ["d1", "d2"]


def test_a_row_of_csv_is_named_by_the_line_it_begins_on(tmp_path: Path) -> None:
    # A quoted line end makes rows and lines differ; people look for the line.
    path = tmp_path / "desk.csv"
    path.write_text('text,labels\n"One\ntwo\n",a\n\n   ,a\n"Three, four"\nFive,a\n')
    assert refused(path).problems == (
        f"{path}, line 6: 'text' is empty",
        f"{path}, line 7: has 1 cells, line 1 names 2 columns",
    )


@pytest.mark.parametrize(
    ("name", "data", "problem"),
    [
        ("a.csv", b'text,labels\n"open,a\n', "line 2: is not CSV: unexpected end of data"),
        ("a.csv", b"text,text,labels\n", "line 1: names the column 'text' twice"),
        ("a.csv", b"text,labels\nOne,a\nTw\xff,a\n", "line 3: is not UTF-8 at byte 2 of the line"),
        ("a.csv", "text,labels\n".encode("utf-16"), "line 1: is not UTF-8 at byte 0"),
        ("a.parquet", b"PAR1 and no more", "is damaged, or is not a Parquet file"),
        ("a.csv.gz", b"text,labels\n", "is damaged, or is not a gzip file"),
        # No time in the bytes: they are part of the test's name, on which two workers must agree.
        ("a.csv.gz", gzip.compress(b"text,labels\n" * 99, mtime=0)[:-9], "ends in the middle"),
        ("a.xlsx", b"PK", "ends in '.xlsx'; read are .jsonl,"),
        ("a.csv", b"text,labels\n", "no row to read"),
        ("a.csv", b"", "no row to read"),
    ],
)
def test_a_broken_file_is_told_by_what_is_wrong(
    tmp_path: Path, name: str, data: bytes, problem: str
) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    error = str(refused(path))
    assert error.startswith(str(path))
    assert problem in error


def test_a_cell_of_parquet_that_is_not_utf8_is_named(tmp_path: Path) -> None:
    # Arrow stores bytes as they come; the row is decoded only when it is read.
    import pyarrow
    import pyarrow.parquet

    text = pyarrow.array([b"One", b"T\xff"], pyarrow.binary()).cast(pyarrow.string(), safe=False)
    labels = pyarrow.array(["a", "a"])
    path = tmp_path / "a.parquet"
    pyarrow.parquet.write_table(pyarrow.table({"text": text, "labels": labels}), path)
    assert refused(path).problems == (f"{path}, row 2: 'text' is not UTF-8",)


# Mistakes


def test_every_mistake_of_every_file_is_told_at_once(tmp_path: Path) -> None:
    # One at a time would cost somebody with ten files ten starts.
    lines = tmp_path / "a.jsonl"
    lines.write_text('{"text": "", "labels": 0.5}\n{\n{"text": "One", "labels": "x"}\n')
    table = tmp_path / "b.csv"
    table.write_text("id,text,labels\nq,Two,a\nq,Three,a\n")
    missing = tmp_path / "c.jsonl"
    error = refused(lines, missing, table)
    assert error.count == 5
    assert [problem.partition(": ")[2][:12] for problem in error.problems] == [
        "'text' is em",
        "'labels' is ",
        "is not JSON:",
        "cannot be re",
        "id 'q' was a",
    ]
    assert str(error).startswith("5 problems\n  ")


def test_of_many_mistakes_twenty_are_shown_and_the_rest_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": " ", "labels": []}\n' * 50)
    error = refused(path)
    assert (len(error.problems), error.count) == (20, 50)
    assert str(error).endswith("line 20: 'text' is empty\n  and 30 more")


@pytest.mark.parametrize(
    ("columns", "problem"),
    [
        ({}, "no column 'text'; there are doc, Headline, Category, Desk; did you mean --columns "
         "text=Headline?"),
        ({"text": "Headlin"}, "no column 'Headlin' for text; there are doc, Headline, Category, "
         "Desk; did you mean --columns text=Headline?"),
        ({"labels": "is_a+is_b"}, "no column 'is_b' for labels"),
        ({"summary": "Gist"}, "no column 'Gist' for summary; there are doc, Headline, Category, "
         "Desk"),
    ],
)  # fmt: skip
def test_a_missing_column_is_told_once_with_the_one_that_was_meant(
    tmp_path: Path, columns: dict[str, str], problem: str
) -> None:
    # Each of a million rows would say so.
    path = tmp_path / "desk.csv"
    path.write_bytes(delimited(ROWS))
    told = refused(path, columns=columns).problems
    assert sum(line == f"{path}: {problem}" or problem in line for line in told) == 1


def test_a_table_without_names_does_not_spill_its_first_row(tmp_path: Path) -> None:
    # The first row stands in for the names then, and it is copy.
    path = tmp_path / "a.csv"
    path.write_text("The brigade crossed the river at dawn on the third day,threat\nMore,claim\n")
    assert "brigade" not in str(refused(path))


# Columns


def test_columns_are_read_from_the_command_line() -> None:
    assert parse_columns(["text=Headline, labels = Category", "kind="]) == {
        "text": "Headline",
        "labels": "Category",
        "kind": "",
    }
    assert parse_columns(['{"text": "Body, plain"}']) == {"text": "Body, plain"}
    with pytest.raises(ConfigError) as caught:
        parse_columns(["txt=a,labels", "id=b,id=c", "{"])
    assert caught.value.problems == (
        "txt: unknown field; did you mean text?",
        "labels: not of the form field=column",
        "id: named twice; a field has one column",
        "{: not a JSON object of strings",
    )


@pytest.mark.parametrize(
    ("cell", "labels"),
    [
        ("talks", ("talks",)),
        ("War, Economy", ("War, Economy",)),
        ("talks|fire", ("fire", "talks")),
        ("talks; fire", ("fire", "talks")),
        ('["talks", "fire"]', ("fire", "talks")),
        (" ", ()),
        ("[]", ()),
        ("3", ("3",)),
    ],
)
def test_labels_are_read_from_any_usual_cell(
    tmp_path: Path, cell: str, labels: tuple[str, ...]
) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(delimited([{"text": "One", "labels": cell}]))
    assert read_passages([path])[0].labels == labels


def test_columns_of_0_and_1_are_labels(tmp_path: Path) -> None:
    # One-hot tables are what pandas users have, in any of these spellings.
    rows = [
        {"text": "One", "is_threat": one, "is_claim": zero}
        for one, zero in ((1, 0), (True, False), (1.0, 0.0), ("1", "0"), ("True", "false"))
    ]
    path = tmp_path / "a.jsonl"
    path.write_bytes(json_lines(rows))
    mapping = {"labels": "is_threat+is_claim"}
    assert {row.labels for row in read_passages([path], mapping)} == {("is_threat",)}
    path.write_bytes(json_lines([{"text": "One", "is_threat": 2, "is_claim": None}]))
    assert [line.partition(": ")[2] for line in refused(path, columns=mapping).problems] == [
        "'is_threat' is a number; it must be 0 or 1",
        "'is_claim' is missing or null; it must be 0 or 1",
    ]


def test_a_column_that_only_has_the_name_of_a_field_can_be_left_alone(tmp_path: Path) -> None:
    # Without this, a table with a column "kind" of its own could not be used as it is.
    path = tmp_path / "a.csv"
    path.write_bytes(delimited([{"text": "One", "labels": "a", "kind": "opinion"}]))
    assert "--columns kind=" in str(refused(path))
    [row] = read_passages([path], {"kind": ""})
    assert (row.kind, row.columns) == ("body", {"kind": "opinion"})


def test_rows_without_ids_are_called_by_file_and_number(tmp_path: Path) -> None:
    for folder in ("train", "test"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "desk.csv.gz").write_bytes(gzip.compress(b"text,labels\nOne,a\n"))
    train, test = (tmp_path / folder / "desk.csv.gz" for folder in ("train", "test"))
    assert read_passages([train])[0].id == "desk-1"
    # Same-named files are told apart, or the first rows of both would be one article.
    assert len({row.article for row in read_passages([train, test])}) == 2
    assert read_passages([test], beside=[train])[0].id == f"{test}-1"


# Whole articles and summaries


def article(**fields: Any) -> dict[str, Any]:
    passages = [
        {"text": "By our staff", "labels": [], "boilerplate": True},
        {"text": "Talks fail", "labels": ["diplomacy"]},
        {"text": "Envoys left at noon.", "labels": [], "tone": "dry"},
        {"text": "The hall, empty.", "labels": [], "kind": "caption"},
    ]
    return {"id": "a", "genre": "wire", "era": 1931, "names": ["x"], "passages": passages} | fields


def test_passages_of_a_whole_article_know_what_and_where_they_are(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(json_lines([article(summary="Talks failed. Envoys left.")]))
    found = read_evaluation([path])
    assert [(row.kind, row.position) for row in found.passages] == [
        ("headline", 1),
        ("body", 2),
        ("caption", 3),
    ]
    assert found.passages[0].columns == {"genre": "wire", "era": "1931"}
    assert found.passages[1].columns == {"genre": "wire", "era": "1931", "tone": "dry"}
    [summary] = found.summaries
    assert summary.highlights == ("Talks failed.", "Envoys left.")
    assert summary.paragraphs == ("Talks fail", "Envoys left at noon.", "The hall, empty.")
    assert summary.has_headline
    assert summary.columns == {"genre": "wire", "era": "1931"}


def test_whole_articles_keep_their_form_beside_a_table_with_columns_of_its_own(
    tmp_path: Path,
) -> None:
    # Training on the corpus and on a newsroom's CSV in one go has one --columns for both.
    articles, table = tmp_path / "a.jsonl", tmp_path / "b.csv"
    articles.write_bytes(json_lines([article()]))
    table.write_bytes(delimited(ROWS))
    assert len(read_passages([articles, table], COLUMNS)) == 5


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        (article(summary=" "), "'summary' is empty"),
        (article(summary=None), "'summary' is missing or null"),
        (article(highlights=[]), "'highlights' has no item"),
        ({"id": "a", "text": "One.", "summary": ""}, "'summary' is empty"),
        ({"id": "a", "text": "One.", "summary": None}, "'summary' is missing or null"),
        ({"id": "a", "paragraphs": [], "summary": "One."}, "'paragraphs' has no item"),
    ],
)
def test_an_empty_summary_names_its_row(tmp_path: Path, row: dict[str, Any], problem: str) -> None:
    # Compared with nothing, the worst summary scores like the best.
    path = tmp_path / "a.jsonl"
    path.write_bytes(json_lines([row]))
    assert str(refused(path)).startswith(f"{path}, line 1: {problem}")


def test_summaries_of_a_table_have_paragraphs_and_sentences(tmp_path: Path) -> None:
    # cnn_dailymail on the Hub has these columns, its highlights a sentence a line.
    path = tmp_path / "a.csv"
    path.write_bytes(
        delimited(
            [{"story": "Talks failed.\n\nRain fell.", "gist": "One .\nTwo .", "origin": "wire"}]
        )
    )
    columns = {"article": "story", "highlights": "gist", "source": "origin"}
    [found] = read_summaries(path, columns=columns)
    assert found.id == "a-1"
    assert found.paragraphs == ("Talks failed.", "Rain fell.")
    assert found.highlights == ("One .", "Two .")
    assert (found.columns, found.has_headline) == ({"source": "wire"}, False)
    assert read_evaluation([path], columns).passages == ()


def test_a_row_can_be_a_passage_and_an_article_with_its_summary(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("article,text,labels,summary\ns1,Talks failed. Rain fell.,talks,Rain.\n")
    found = read_evaluation([path])
    assert (found.passages[0].article, found.passages[0].labels) == ("s1", ("talks",))
    assert found.summaries[0].paragraphs == ("Talks failed. Rain fell.",)


# Data sets


@pytest.fixture
def dataset() -> Any:
    """Two rows with classes as numbers, as the Hub's data sets have them."""
    import datasets

    features = datasets.Features(
        Headline=datasets.Value("string"),
        Category=datasets.ClassLabel(names=["fire", "talks"]),
        Desk=datasets.Value("string"),
    )
    rows = {
        "Headline": [row["Headline"] for row in ROWS],
        "Category": [1, 0],
        "Desk": ["east", "west"],
    }
    return datasets.Dataset.from_dict(rows, features)


DATASET_COLUMNS = {"text": "Headline", "labels": "Category"}


def test_a_saved_data_set_gives_labels_by_name(tmp_path: Path, dataset: Any) -> None:
    import datasets

    dataset.save_to_disk(tmp_path / "one")
    datasets.DatasetDict(train=dataset, dev=dataset.select([1])).save_to_disk(tmp_path / "two")
    rows = read_passages([str(tmp_path / "one")], DATASET_COLUMNS)
    assert [(row.id, row.labels) for row in rows] == [
        ("one-train-1", ("talks",)),
        ("one-train-2", ("fire",)),
    ]
    [row] = read_passages([f"{tmp_path / 'two'}#dev"], DATASET_COLUMNS)
    assert (row.text, row.columns) == (ROWS[1]["Headline"], {"Desk": "west"})
    assert "has no split 'test'; it has train, dev" in str(refused(f"{tmp_path / 'two'}#test"))
    assert "leave #split out" in str(refused(f"{tmp_path / 'one'}#train"))


def test_a_directory_of_parquet_is_read_and_leaves_no_copy(
    tmp_path: Path, dataset: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    # load_dataset writes what it reads into a cache under the home directory: copy, in the clear.
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "desk" / "news").mkdir(parents=True)
    dataset.to_parquet(tmp_path / "desk" / "news" / "train.parquet")
    assert not is_file("desk/news")
    rows = read_passages(["desk/news"], DATASET_COLUMNS)
    assert [row.labels for row in rows] == [("talks",), ("fire",)]
    assert [row.labels for row in read_passages(["desk/news/train.parquet"], DATASET_COLUMNS)] == [
        ("talks",),
        ("fire",),
    ]
    assert "has no split 'dev'" in str(refused("desk/news#dev"))
    left = [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]
    assert not [path for path in left if path.suffix in (".arrow", ".parquet")]


def test_a_data_set_is_hashed_by_its_rows(tmp_path: Path, dataset: Any) -> None:
    # Cached scores are found by it: the same rows in another directory are the same data.
    dataset.save_to_disk(tmp_path / "one")
    dataset.save_to_disk(tmp_path / "two")
    dataset.select([1, 0]).save_to_disk(tmp_path / "turned")
    one, two, turned = (source_sha256(str(tmp_path / name)) for name in ("one", "two", "turned"))
    assert one == two != turned
    assert data_sha256([str(tmp_path / "one")]) == one
    path = tmp_path / "a.csv"
    path.write_bytes(b"text\n")
    assert source_sha256(path) == hashlib.sha256(b"text\n").hexdigest()
    assert source_name(path) == "a.csv"


def test_a_missing_file_is_never_looked_for_on_the_hub(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A typing error must not open a connection (design, rule 4).
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here").mkdir()
    names = ("data/dev.jsonl", "data/dev.csv.gz", "data/dev.zst", "data/dev.xlsx", "here/dev")
    for name in (*names, "./data/dev", "/data/dev", "a/b/c"):
        assert is_file(name)
        assert re.search(r"cannot be read|ends in .\.xlsx", str(refused(name)))
    assert not is_file("org/name:config@0123abc#validation[:10%]")


def test_an_id_that_cannot_be_reached_is_one_line() -> None:
    # Offline, as all tests are; datasets' own error is a page.
    error = str(refused("tocsin-nobody/nothing-here"))
    assert error.startswith("tocsin-nobody/nothing-here: cannot be loaded by datasets (")
    assert "\n" not in error
