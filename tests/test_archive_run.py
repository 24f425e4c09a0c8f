"""A run over an archive: what comes out, in which order, and that the books are right."""

import json
import random
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.archive import (
    ARTICLE,
    QUIET,
    contents,
    models,
    read_lines,
    rejects,
    results,
    score,
    write_rows,
)
from tests.support import KeywordClassifier

from tocsin_models.analyse import analyse
from tocsin_models.errors import ConfigError, InputError
from tocsin_models.records import Article
from tocsin_serving.archive import blocks, parts, pipeline, plan, store
from tocsin_serving.archive.asked import Asked, parse_thresholds
from tocsin_serving.archive.pipeline import TooManyRejects
from tocsin_serving.archive.plan import Counts
from tocsin_serving.archive.run import How
from tocsin_serving.archive.store import BooksWrong
from tocsin_serving.archive.where import parse_condition

WORDS = ("vowed", "denied", "talks", "ship", "reprisal", "said", "port", "the")


def passages(count: int, seed: int = 5) -> list[dict[str, Any]]:
    draw = random.Random(seed)
    return [
        {
            "id": f"p{number}",
            "text": " ".join(draw.choices(WORDS, k=draw.randint(1, 30))),
            "date": f"2024-{number % 12 + 1:02}-03",
            "words": number,
        }
        for number in range(count)
    ]


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    return write_rows(
        tmp_path / "in.jsonl",
        [{"id": f"a{number}", "text": ARTICLE, "desk": "foreign"} for number in range(3)],
    )


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seven rows a block, four blocks a shard, so that a short input has many of both."""
    monkeypatch.setattr("tocsin_serving.archive.index.BLOCK_ROWS", 7)
    monkeypatch.setattr(plan, "SHARD_ROWS", 28)


def test_a_row_is_what_analyse_says_of_it_with_its_other_columns(
    archive: Path, tmp_path: Path
) -> None:
    # Design, rule 1: one scoring core. The record is what newsroom tools are written against.
    assert score(archive, tmp_path / "out") == Counts(scored=3)
    both = models(Asked())
    for number, row in enumerate(results(tmp_path / "out")):
        article = Article(id=f"a{number}", text=ARTICLE)
        record = analyse(article, both.classifier, both.summariser).to_record()
        assert row == {**record, "desk": "foreign"}
        assert list(row) == [*record, "desk"]


def test_nothing_but_results_and_the_manifest_is_left(archive: Path, tmp_path: Path) -> None:
    # rejects.jsonl without rejects would alarm; a left temporary file would be read as results.
    score(archive, tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        *("manifest.json", "part-00000.jsonl")
    ]


def test_only_a_summary_answers_id_summary_and_model(archive: Path, tmp_path: Path) -> None:
    score(archive, tmp_path / "out", only="summarise", max_sentences=1)
    row = results(tmp_path / "out")[0]
    assert list(row) == ["id", "summary", "model", "desk"]
    assert len(row["summary"]["sentences"]) == 1


def test_only_labels_answers_the_record_without_a_summary(archive: Path, tmp_path: Path) -> None:
    score(archive, tmp_path / "out", only="classify")
    row = results(tmp_path / "out")[0]
    assert "summary" not in row
    assert list(row["model"]) == ["classifier"]


def test_a_passage_is_labelled_as_it_stands(tmp_path: Path) -> None:
    # Cleaning would drop a lone "Share this" and cut at blank lines; here the row is the passage.
    source = write_rows(
        tmp_path / "in.jsonl",
        [
            {"id": "p", "text": "Share this", "labels": ["claim"]},
            {"id": "q", "text": "It vowed revenge.\n\nIt denied it."},
            {"id": "long", "text": "word " * 1000},
        ],
    )
    score(source, tmp_path / "out", unit="passage")
    first, second, third = results(tmp_path / "out")
    assert list(first) == ["id", "labels", "scores", "input_labels"]
    assert (first["labels"], first["input_labels"]) == ([], ["claim"])
    assert second["labels"] == ["claim", "threat", "retaliation"]
    assert second["scores"] == pytest.approx(
        {"claim": 0.9, "threat": 0.9, "retaliation": 0.9, "diplomacy": 0.1}
    )
    # Design, rule 2: what was windowed is in the answer.
    assert third["windows"] > 1


def test_thresholds_of_the_callers_decide_the_labels(archive: Path, tmp_path: Path) -> None:
    thresholds = parse_thresholds(["threat=0.95", "claim=0.05"])
    score(archive, tmp_path / "out", thresholds=thresholds)
    row = results(tmp_path / "out")[0]
    assert [passage["labels"] for passage in row["passages"]][2] == ["claim"]
    assert row["model"]["classifier"]["thresholds"]["threat"] == 0.95
    with pytest.raises(ConfigError, match="'joy' is unknown; the labels are claim, threat"):
        score(archive, tmp_path / "out2", thresholds={"joy": 0.5})
    with pytest.raises(ConfigError, match="'threat=2' is not label=NUMBER"):
        parse_thresholds(["threat=2"])


@pytest.mark.parametrize(
    "options",
    [
        {"unit": "passage", "only": "summarise"},
        {"unit": "passage", "max_words": 9},
        {"unit": "passage", "strict_language": True},
        {"only": "classify", "max_sentences": 1},
        {"only": "summarise", "thresholds": {"claim": 0.5}},
        {"style": "long"},
        {"only": "classify", "focus": ("threat",)},
        {"only": "summarise", "focus": ("threat",)},
        {"where": ("desk",)},
    ],
)
def test_options_that_are_wrong_or_without_effect_are_refused(
    archive: Path, options: dict[str, Any]
) -> None:
    # Ignored in silence, they would be believed.
    with pytest.raises(ConfigError):
        score(archive, archive.parent / "out", **options)


@pytest.mark.usefixtures("small_blocks")
def test_one_file_has_the_rows_of_all_parts_in_the_order_of_the_input(tmp_path: Path) -> None:
    # -o is for people who want one file; whatever the format, it is the same.
    rows: list[Any] = [*passages(100), b"broken", *passages(20, seed=6)]
    for number, row in enumerate(rows[101:]):
        row["id"] = f"q{number}"
    source = write_rows(tmp_path / "in.jsonl", rows)
    for format in ("jsonl", "parquet"):
        file = tmp_path / f"{format}.jsonl"
        counts = score(source, tmp_path / format, file, unit="passage", format=format)
        assert counts == Counts(scored=120, rejected=1)
        assert len(list((tmp_path / format).glob("part-*"))) == 5
        ids = [row["id"] for row in read_lines(file)]
        assert ids == [row["id"] for row in rows if isinstance(row, dict)]
        assert ids == [row["id"] for row in results(tmp_path / format)]
    assert (tmp_path / "jsonl.jsonl").read_bytes() == (tmp_path / "parquet.jsonl").read_bytes()
    assert read_lines(tmp_path / "jsonl.jsonl") == results(tmp_path / "jsonl")


@pytest.mark.parametrize("unit", ["passage", "article"])
def test_parquet_says_what_the_records_say_and_has_flat_columns_beside(
    tmp_path: Path, unit: str
) -> None:
    rows = [{"id": f"a{n}", "text": ARTICLE if n % 2 else "Talks."} for n in range(9)]
    source = write_rows(tmp_path / "in.jsonl", rows)
    score(source, tmp_path / "j", unit=unit)
    score(source, tmp_path / "p", unit=unit, format="parquet")
    for record, row in zip(results(tmp_path / "j"), results(tmp_path / "p"), strict=True):
        labels = list(record["labels"])
        order = [name for name in ("claim", "threat", "retaliation", "diplomacy") if name in labels]
        assert row["labels"] == ", ".join(order)
        if unit == "passage":
            assert {f"score_{name}": x for name, x in record["scores"].items()}.items() <= (
                row.items()
            )
            continue
        for name, found in record["labels"].items():
            assert row[f"score_{name}"] == found["max_score"]
        assert row["summary_text"] == record["summary"]["text"]
        for name in ("id", "language", "warnings", "passages", "dropped"):
            assert row[name] == record[name]
        # What only a written sentence has is null in an extracted one.
        assert [
            {name: value for name, value in sentence.items() if value is not None}
            for sentence in row["summary"]["sentences"]
        ] == record["summary"]["sentences"]


def test_every_part_has_one_schema_whatever_its_rows_hold(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A column that is null in one file and a number in the next cannot be queried as one table.
    monkeypatch.setattr("tocsin_serving.archive.index.BLOCK_ROWS", 1)
    monkeypatch.setattr(plan, "SHARD_ROWS", 1)
    rows = [
        {"text": "a", "n": None, "mixed": "x", "when": None, "odd": "\ud800"},
        {"text": "b", "n": 7, "mixed": 1, "share": 1},
        {"text": "c", "n": 2**53 + 1, "mixed": [1], "share": 0.5, "is_long": True},
        {"text": "d", "when": "2024-05-01", "big": 2**70, "score_claim": "mine"},
    ]
    score(
        write_rows(tmp_path / "in.jsonl", rows), tmp_path / "out", unit="passage", format="parquet"
    )
    parts = sorted((tmp_path / "out").glob("part-*"))
    assert len(parts) == 4
    schemas = [pq.read_schema(path) for path in parts]
    assert all(schema.equals(schemas[0], check_metadata=True) for schema in schemas)
    types = {field.name: str(field.type) for field in schemas[0]}
    assert {name: types[name] for name in ("n", "mixed", "share", "is_long", "big")} == {
        **{"n": "int64", "mixed": "string", "share": "double", "is_long": "bool"},
        "big": "string",
    }
    found = results(tmp_path / "out")
    assert [row["mixed"] for row in found] == ['"x"', "1", "[1]", None]
    assert found[0]["odd"] == "\\ud800"
    assert found[2]["n"] == 2**53 + 1
    assert found[3]["big"] == str(2**70)
    assert (found[3]["score_claim"], found[3]["input_score_claim"]) == (0.1, "mine")


def test_a_column_of_passages_may_have_a_name_that_articles_take(tmp_path: Path) -> None:
    # Taken for the record's own, `summary` ended every try to join the part, and `model` was lost.
    columns = {"summary": "Rain.", "model": "T-72", "passages": 2, "summary_text": "x", "text": "y"}
    source = write_rows(tmp_path / "in.jsonl", [{"id": "p", "body": "It vowed talks.", **columns}])
    score(source, tmp_path / "out", unit="passage", format="parquet", text_column="body")
    [row] = results(tmp_path / "out")
    assert {name: row[name] for name in columns} == columns


def test_columns_are_carried_and_the_names_of_the_record_win(tmp_path: Path) -> None:
    # A gold column called labels must not pass for the model's answer, nor be lost.
    columns = {"desk": 1, "scores": 2, "labels": 3, "input_labels": 4, "deep": {"a": [None, "é"]}}
    source = write_rows(tmp_path / "in.jsonl", [{"id": "x", "text": "Fine.", **columns}])
    score(source, tmp_path / "out", unit="passage")
    [row] = results(tmp_path / "out")
    assert list(row)[3:] == ["desk", "input_scores", "input_input_labels", "input_labels", "deep"]
    assert [row["input_input_labels"], row["input_labels"], row["deep"]] == [
        *(3, 4, {"a": [None, "é"]})
    ]


@given(
    st.lists(
        st.sampled_from(["n", *(f"{'input_' * n}labels" for n in range(4))]),
        unique=True,
    )
)
def test_no_column_is_lost_whatever_it_is_called(names: list[str]) -> None:
    # Two columns renamed onto each other would lose one of them in silence.
    from tocsin_serving.archive.columns import ColumnTypes

    types = ColumnTypes()
    types.add(dict.fromkeys(names, 1))
    written = [column.written_as for column in types.columns(["id", "labels"])]
    assert len({*written, "id", "labels"}) == len(names) + 2
    assert [name.rpartition("input_")[2] for name in written] == [
        name.rpartition("input_")[2] for name in names
    ]


def test_columns_that_json_alone_can_spell_come_back_as_they_were(tmp_path: Path) -> None:
    # A lone surrogate cannot be UTF-8, and big numbers must not turn into floats.
    columns = {"odd": "\ud83d", "big": 2**70, "deep": {"a": [None, True, "é"]}}
    source = write_rows(tmp_path / "in.jsonl", [{"id": "\udc00", "text": "Fine.", **columns}])
    score(source, tmp_path / "out", unit="passage")
    [row] = results(tmp_path / "out")
    assert {name: row[name] for name in columns} == columns
    assert row["id"] == "\udc00"


def test_a_thousand_columns_of_different_names_are_refused_with_a_way_out(tmp_path: Path) -> None:
    rows = [{"text": "a", f"day{n}": n} for n in range(1001)]
    with pytest.raises(InputError, match="more than 1,000 columns of different names; put"):
        score(write_rows(tmp_path / "in.jsonl", rows), tmp_path / "out", unit="passage")


def test_rows_that_are_not_wanted_are_filtered_and_counted(tmp_path: Path) -> None:
    source = write_rows(tmp_path / "in.jsonl", [*passages(48), {"text": "x"}])
    conditions = ("date>=2024-05", "words < 30")
    out = tmp_path / "out"
    counts = score(source, out, unit="passage", where=conditions)
    assert counts == Counts(scored=18, filtered=31)
    assert counts.read == 49
    assert all(row["date"] >= "2024-05" and row["words"] < 30 for row in results(out))
    with pytest.raises(InputError, match="has no column dsk; its columns are date, id, text"):
        score(source, tmp_path / "out2", unit="passage", where=("dsk=foreign",))


@pytest.mark.parametrize(
    ("condition", "row", "holds"),
    [
        ("n=7", {"n": 7}, True),
        ("n=7.0", {"n": "7"}, True),
        ("n<10", {"n": "9"}, True),
        ("n<10", {"n": "x"}, False),
        ("day<2024-05-02", {"day": "2024-05-01T10:00"}, True),
        ("desk!=home", {}, True),
        ("desk=home", {"desk": None}, False),
        ("is_long=true", {"is_long": True}, True),
        ("a b=c=d", {"a b": "c=d"}, True),
        ("n>=7", {"n": 7}, True),
        ("n>7", {"n": 7}, False),
    ],
)
def test_a_condition_compares_numbers_as_numbers_and_all_else_as_text(
    condition: str, row: dict[str, Any], holds: bool
) -> None:
    assert parse_condition(condition).holds(row) is holds


def test_a_limit_counts_rows_read_over_all_inputs(tmp_path: Path) -> None:
    one = write_rows(tmp_path / "a.jsonl", passages(5))
    other = write_rows(tmp_path / "b.jsonl", [{"id": f"b{n}", "text": "Talks."} for n in range(5)])
    assert score([one, other], tmp_path / "out", unit="passage", limit=7).read == 7
    assert score([one, other], tmp_path / "out2", unit="passage", limit=5).read == 5


@pytest.mark.usefixtures("small_blocks")
def test_too_many_rejects_stop_a_run_that_goes_on_when_allowed(tmp_path: Path) -> None:
    # A wrong column name found after a night is a night lost.
    rows: list[Any] = [*passages(30), *[b"broken"] * 30]
    source = write_rows(tmp_path / "in.jsonl", rows)
    out = tmp_path / "out"
    with pytest.raises(TooManyRejects, match=r"--max-rejects allows 3; see .*rejects.jsonl"):
        score(source, out, unit="passage", how=How(is_quiet=True, max_rejects=3))
    assert rejects(out)
    assert score(source, out, unit="passage") == Counts(scored=30, rejected=30)
    assert len(rejects(out)) == 30


def test_the_manifest_says_what_was_read_and_what_answered(archive: Path, tmp_path: Path) -> None:
    import hashlib

    score(archive, tmp_path / "out", format="parquet", max_words=30)
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["inputs"] == [
        {
            "name": str(archive),
            "kind": "jsonl",
            "size_bytes": archive.stat().st_size,
            "sha256": hashlib.sha256(archive.read_bytes()).hexdigest(),
        }
    ]
    assert manifest["counts"] == {"read": 3, "scored": 3, "rejected": 0, "filtered": 0}
    assert manifest["models"]["classifier"]["revision"] == "sha256:0123456789abcdef"
    assert manifest["asked"]["max_words"] == 30
    [part] = manifest["parts"]
    path = tmp_path / "out" / part["name"]
    assert part["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert {"versions", "timings", "engine", "columns"} <= manifest.keys()


def test_a_row_that_is_lost_is_noticed(
    tmp_path: Path, archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The books are checked against the files, not against the counters that wrote them.
    whole = parts.write_part
    monkeypatch.setattr(
        store, "write_part", lambda path, lines, shape: whole(path, iter(list(lines)[1:]), shape)
    )
    with pytest.raises(BooksWrong):
        score(archive, tmp_path / "out")


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("window_rows", [1, 10, 1000])
def test_which_blocks_are_scored_together_does_not_show(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, window_rows: int
) -> None:
    # The window follows the machine's speed, which no result may depend on.
    source = write_rows(tmp_path / "in.jsonl", [*passages(60), b"broken"])
    score(source, tmp_path / "one", unit="passage")
    monkeypatch.setattr(pipeline, "WINDOW_ROWS", window_rows)
    monkeypatch.setattr(pipeline, "monotonic", lambda: 0.0)  # as fast as can be
    classifier = KeywordClassifier()
    score(source, tmp_path / "two", unit="passage", classifier=classifier)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    assert len(classifier.calls) == {1: 9, 10: 9, 1000: 2}[window_rows]


def test_blocks_are_bounded_in_rows_and_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Memory is bounded by the block, whatever the rows are like.
    from tocsin_serving.archive.index import make_index
    from tocsin_serving.archive.inputs import find_sources

    monkeypatch.setattr("tocsin_serving.archive.index.BLOCK_BYTES", 2000)
    draw = random.Random(3)
    rows = [{"text": "x" * draw.choice([1, 10, 500, 3000])} for _ in range(2000)]
    source = write_rows(tmp_path / "in.jsonl", rows)
    index = make_index(find_sources([str(source)], tmp_path), Asked(), [], tmp_path)
    assert sum(span.rows for span in index.spans) == 2000
    assert [span.number for span in index.spans] == list(range(len(index.spans)))
    for span in index.spans:
        assert 1 <= span.rows <= blocks.BLOCK_ROWS
        assert span.size_bytes < 2000 + 3100


def test_a_quiet_run_prints_nothing(
    archive: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # Under cron, anything on standard error is mailed to somebody.
    score(archive, tmp_path / "out", how=QUIET)
    assert capsys.readouterr() == ("", "")
