"""Scoring an archive: no row vanishes, none is doubled, and the results are whole or absent."""

import io
import json
import random
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support import KeywordClassifier, LeadSummariser

from tocsin_models.errors import ConfigError, EmptyInput, InputError
from tocsin_serving import batch, progress
from tocsin_serving.batch import Counts, Settings, carry, score_file
from tocsin_serving.results import Results
from tocsin_serving.rows import Reject, Row, read_row, read_rows, split_chunks

ARTICLE = (
    "Envoys leave Marash without a deal\n\n"
    "The envoy left Marash on Sunday after two days of talks that brought no result.\n\n"
    "The Coast Brigade vowed to strike the port again before the month was out.\n"
)


def write_rows(path: Path, rows: Sequence[Any]) -> Path:
    lines = (row if isinstance(row, bytes) else json.dumps(row).encode() for row in rows)
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    return path


def read_lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def score(source: Path, out: Path | None, file: Path | None = None, **settings: Any) -> Counts:
    chosen = Settings(**settings)
    chosen.check()
    models = (
        KeywordClassifier() if chosen.needs_classifier else None,
        LeadSummariser() if chosen.needs_summariser else None,
    )
    return score_file(str(source), Results(out, file), chosen, lambda: models, is_quiet=True)


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    return write_rows(
        tmp_path / "in.jsonl",
        [{"id": f"a{number}", "text": ARTICLE, "desk": "foreign"} for number in range(3)],
    )


def test_articles_are_answered_with_the_record_in_the_order_of_the_input(
    archive: Path, tmp_path: Path
) -> None:
    # The record is the contract; an archive's row must be what analyse --json says.
    assert score(archive, tmp_path / "out") == Counts(scored=3, rejected=0)
    rows = read_lines(tmp_path / "out" / "part-00000.jsonl")
    assert [row["id"] for row in rows] == ["a0", "a1", "a2"]
    assert [passage["labels"] for passage in rows[0]["passages"]] == [
        [],
        ["diplomacy"],
        ["threat"],
    ]
    assert rows[0]["summary"]["sentences"][0]["passage"] == 1
    assert rows[0]["desk"] == "foreign"


def test_nothing_but_the_results_is_left_in_the_folder(archive: Path, tmp_path: Path) -> None:
    # rejects.jsonl without rejects would alarm; a left temporary file would be read as results.
    score(archive, tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["part-00000.jsonl"]


def test_only_a_summary_answers_id_summary_and_model(archive: Path, tmp_path: Path) -> None:
    score(archive, tmp_path / "out", only="summarise", max_sentences=1)
    row = read_lines(tmp_path / "out" / "part-00000.jsonl")[0]
    assert list(row) == ["id", "summary", "model", "desk"]
    assert len(row["summary"]["sentences"]) == 1


def test_only_labels_answers_the_record_without_a_summary(archive: Path, tmp_path: Path) -> None:
    score(archive, tmp_path / "out", only="classify")
    row = read_lines(tmp_path / "out" / "part-00000.jsonl")[0]
    assert "summary" not in row
    assert list(row["model"]) == ["classifier"]


def test_a_passage_is_labelled_as_it_stands(tmp_path: Path) -> None:
    # Cleaning would drop a lone "Share this" and cut at blank lines; here the row is the passage.
    source = write_rows(
        tmp_path / "in.jsonl",
        [
            {"id": "p", "text": "Share this", "labels": ["claim"]},
            {"id": "q", "text": "It vowed revenge.\n\nIt denied it."},
        ],
    )
    score(source, tmp_path / "out", unit="passage")
    first, second = read_lines(tmp_path / "out" / "part-00000.jsonl")
    assert list(first) == ["id", "labels", "scores", "input_labels"]
    assert first["labels"] == []
    assert first["input_labels"] == ["claim"]
    assert second["labels"] == ["claim", "threat", "retaliation"]
    assert second["scores"] == pytest.approx(
        {"claim": 0.9, "threat": 0.9, "retaliation": 0.9, "diplomacy": 0.1}
    )


def test_a_passage_read_in_windows_says_so(tmp_path: Path) -> None:
    # Design, rule 2: what was windowed is in the answer.
    source = write_rows(tmp_path / "in.jsonl", [{"id": "p", "text": "word " * 1000}])
    score(source, tmp_path / "out", unit="passage")
    assert read_lines(tmp_path / "out" / "part-00000.jsonl")[0]["windows"] > 1


BAD_ROWS: list[tuple[bytes, str]] = [
    (b'{"id": "x", "text": ', "InputError: not JSON: Expecting value at character 20"),
    (b"zanzibar", "InputError: not JSON"),
    (b'["zanzibar"]', "InputError: the row is a list, not an object"),
    (b'{"id": "x"}', "InputError: the row has no text"),
    (b'{"id": "x", "text": ["zanzibar"]}', "InputError: text is a list"),
    (b'{"id": "x", "text": null}', "InputError: text is null"),
    (b'{"id": "x", "text": " \\u00a0\\n"}', "EmptyInput: text holds nothing but white space"),
    (b'{"id": "x", "text": "zanzibar \xff"}', "UndecodableInput: not UTF-8 at byte 30 of the row"),
    (
        b'{"id": "x", "text": "zanzibar \\ud800"}',
        "UndecodableInput: text holds half of a surrogate",
    ),
    (b'{"id": 1.5, "text": "zanzibar"}', "InputError: id is a number; write a string"),
    (b'{"id": true, "text": "zanzibar"}', "InputError: id is true or false"),
    (b'{"id": "x", "text": "zanzibar", "n": NaN}', "InputError: not JSON: a number out of range"),
    (b'{"id": "x", "text": "zanzibar", "n": 1e999}', "InputError: not JSON: a number out of range"),
    (b"[" * 100_000, "InputError: not JSON: a number out of range or NaN, or nested too deeply"),
]


@pytest.mark.parametrize(("raw", "reason"), BAD_ROWS)
def test_a_bad_row_is_rejected_with_a_reason_that_quotes_nothing(raw: bytes, reason: str) -> None:
    # Rejects are read in logs and tickets: the reason must tell what to do and carry no copy.
    row = read_row(raw, 7)
    assert isinstance(row, Reject)
    record = row.to_record("in.jsonl")
    assert record["row"] == 7
    assert record["reason"].startswith(reason)
    assert "zanzibar" not in record["reason"]


def test_good_rows_are_scored_around_the_bad_ones(tmp_path: Path) -> None:
    # One bad row in a million must not cost the archive, nor shift the answers of the others.
    rows: list[Any] = []
    for number, (raw, _) in enumerate(BAD_ROWS):
        rows += [{"id": f"good{number}", "text": ARTICLE}, b"", raw]
    source = write_rows(tmp_path / "in.jsonl", rows)
    counts = score(source, tmp_path / "out")
    assert counts == Counts(scored=len(BAD_ROWS), rejected=len(BAD_ROWS))
    results = read_lines(tmp_path / "out" / "part-00000.jsonl")
    assert [row["id"] for row in results] == [f"good{n}" for n in range(len(BAD_ROWS))]
    rejects = read_lines(tmp_path / "out" / "rejects.jsonl")
    assert [reject["row"] for reject in rejects] == [3 * n + 3 for n in range(len(BAD_ROWS))]
    assert list(rejects[0]) == ["file", "row", "id", "reason", "raw"]
    assert rejects[0]["raw"] == BAD_ROWS[0][0].decode()
    assert rejects[3]["id"] == "x"


def test_an_article_that_the_model_refuses_is_a_reject_in_its_place(tmp_path: Path) -> None:
    # Errors of analyse_many come back in place; taken for answers they would crash the run.
    source = write_rows(
        tmp_path / "in.jsonl",
        [
            {"id": "fr", "text": "Les négociateurs ont quitté la capitale dimanche sans accord."},
            {"id": "en", "text": ARTICLE},
        ],
    )
    assert score(source, tmp_path / "out", strict_language=True) == Counts(scored=1, rejected=1)
    [reject] = read_lines(tmp_path / "out" / "rejects.jsonl")
    assert (reject["id"], reject["row"]) == ("fr", 1)
    assert reject["reason"].startswith("LanguageRefused: ")


def test_ids_may_be_numbers_missing_or_doubled() -> None:
    # Archives have all three; a row is found again by its order, so none needs refusing.
    lines = [b'{"text": "a"}', b'{"id": 7, "text": "a"}', b'{"id": null, "text": "a"}']
    lines += [b'{"id": "7", "text": "a"}']
    rows = list(read_rows(lines))
    assert [row.id for row in rows] == ["1", "7", "3", "7"]


def test_a_byte_order_mark_and_windows_line_ends_are_no_part_of_a_row() -> None:
    # Exports from spreadsheets have both.
    rows = list(read_rows([b'\xef\xbb\xbf{"text": "a"}\r\n', b"\r\n", b'{"text": "b"}\r\n']))
    assert [(row.number, row.id) for row in rows] == [(1, "1"), (3, "3")]
    assert all(isinstance(row, Row) for row in rows)


def test_columns_are_carried_and_the_names_of_the_record_win() -> None:
    # A gold column called labels must not pass for the model's answer, nor be lost.
    columns = {"desk": 1, "summary": 2, "labels": 3, "input_labels": 4, "reason": 5}
    record = {"id": "x", "labels": {}}
    assert carry(columns, record, "article") == {
        "id": "x",
        "labels": {},
        "desk": 1,
        "input_summary": 2,
        "input_input_labels": 3,
        "input_labels": 4,
        "input_reason": 5,
    }


@given(
    st.dictionaries(
        st.sampled_from(
            ["id2", *(f"{'input_' * n}{x}" for n in range(4) for x in ("labels", "m"))]
        ),
        st.integers(),
    ),
    st.sampled_from(["article", "passage", "summarise"]),
)
def test_no_column_is_lost_whatever_it_is_called(columns: dict[str, int], kind: str) -> None:
    # Two columns renamed onto each other would lose one of them in silence.
    values = {name: (name, value) for name, value in columns.items()}
    record = {"id": "x", "labels": []}
    merged = carry(values, dict(record), kind)
    assert {name: merged.pop(name) for name in record} == record
    assert sorted(merged.values()) == sorted(values.values())


def test_columns_that_json_alone_can_spell_come_back_as_they_were(tmp_path: Path) -> None:
    # A lone surrogate cannot be UTF-8, and big numbers must not turn into floats.
    columns = {"odd": "\ud83d", "big": 2**70, "deep": {"a": [None, True, "é"]}}
    source = write_rows(tmp_path / "in.jsonl", [{"id": "\udc00", "text": "Fine.", **columns}])
    score(source, tmp_path / "out", unit="passage")
    [row] = read_lines(tmp_path / "out" / "part-00000.jsonl")
    assert {name: row[name] for name in columns} == columns
    assert row["id"] == "\udc00"


def test_the_single_file_holds_the_same_rows(archive: Path, tmp_path: Path) -> None:
    # -o is for people who want one file; it may not differ from the part.
    file = tmp_path / "all.jsonl"
    score(archive, tmp_path / "out", file)
    assert file.read_bytes() == (tmp_path / "out" / "part-00000.jsonl").read_bytes()


def test_a_file_without_a_folder_keeps_its_rejects_beside_it(tmp_path: Path) -> None:
    file = tmp_path / "all.jsonl"
    source = write_rows(tmp_path / "in.jsonl", [{"id": "a", "text": ARTICLE}, b"broken"])
    assert score(source, None, file).rejected == 1
    assert len(read_lines(tmp_path / "all.jsonl.rejects.jsonl")) == 1
    # Mended and run again: the old rejects would be taken for those of the new run.
    write_rows(source, [{"id": "a", "text": ARTICLE}])
    assert score(source, None, file).rejected == 0
    assert not (tmp_path / "all.jsonl.rejects.jsonl").exists()


@pytest.mark.parametrize("name", ["part-00000.jsonl", "part-00007.jsonl", "rejects.jsonl"])
def test_a_folder_that_holds_results_is_refused(archive: Path, tmp_path: Path, name: str) -> None:
    # A second run would mix with the first, or replace a night's work.
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / name).write_text("earlier\n")
    with pytest.raises(InputError, match=r"already holds results.*name a new folder"):
        score(archive, tmp_path / "out")
    assert (tmp_path / "out" / name).read_text() == "earlier\n"


def test_the_input_is_never_replaced_by_its_results(archive: Path) -> None:
    before = archive.read_bytes()
    with pytest.raises(InputError, match="is the input itself"):
        score(archive, None, archive)
    assert archive.read_bytes() == before


@pytest.mark.parametrize("target", ["/dev/null", "."])
def test_results_only_replace_regular_files(archive: Path, target: str) -> None:
    # Renaming onto /dev/null or /dev/stdout would, for root, take the device away from everybody.
    with pytest.raises(InputError, match="not a regular file"):
        score(archive, None, Path(target))


def test_a_place_that_cannot_be_written_is_one_line(archive: Path, tmp_path: Path) -> None:
    # A typing mistake in a path is the caller's to mend, not a bug of ours.
    with pytest.raises(InputError, match=r"cannot be written: .*; name another place"):
        score(archive, archive / "out")
    with pytest.raises(InputError, match=r"cannot be written: .*; name another place"):
        score(archive, tmp_path / "out", tmp_path / "gone" / "all.jsonl")
    assert list(tmp_path.iterdir()) == [archive]


@pytest.mark.parametrize("failure", [KeyboardInterrupt, RuntimeError])
def test_a_run_that_breaks_off_leaves_nothing(
    archive: Path, tmp_path: Path, failure: type[BaseException]
) -> None:
    # Half a file of results looks like a whole one.
    class Breaking(KeywordClassifier):
        def score(self, texts: Sequence[str]) -> Any:
            if len(self.calls) == 1:
                raise failure
            return super().score(texts)

    classifier = Breaking()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(batch, "CHUNK_ROWS", 1)
        with pytest.raises(failure):
            score_file(
                str(archive),
                Results(tmp_path / "out", tmp_path / "all.jsonl"),
                Settings(unit="passage"),
                lambda: (classifier, None),
                is_quiet=True,
            )
    assert classifier.calls == [1]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.jsonl"]


@pytest.mark.parametrize("content", [b"", b"\n \n\n"])
def test_a_file_without_rows_is_refused(tmp_path: Path, content: bytes) -> None:
    # An export that failed upstream would otherwise pass as an archive without news.
    source = tmp_path / "in.jsonl"
    source.write_bytes(content)
    with pytest.raises(EmptyInput, match="holds no rows"):
        score(source, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "settings",
    [
        {"unit": "passage", "only": "summarise"},
        {"unit": "passage", "max_words": 9},
        {"unit": "passage", "strict_language": True},
        {"only": "classify", "max_sentences": 1},
    ],
)
def test_options_without_effect_are_refused(archive: Path, settings: dict[str, Any]) -> None:
    # Ignored in silence, they would be believed.
    with pytest.raises(ConfigError):
        score(archive, archive.parent / "out", **settings)


def test_a_chunk_is_one_call_and_chunks_do_not_change_the_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Row-by-row calls are many times slower; and where a chunk ends must be invisible.
    generator = random.Random(5)
    words = ["vowed", "denied", "talks", "ship", "reprisal", "said"]
    rows: list[Any] = [
        b"broken"
        if generator.random() < 0.2
        else {"text": " ".join(generator.choices(words, k=generator.randint(1, 30)))}
        for _ in range(60)
    ]
    source = write_rows(tmp_path / "in.jsonl", rows)
    classifier = KeywordClassifier()
    outputs = []
    for chunk_rows in (1000, 7, 1):
        monkeypatch.setattr(batch, "CHUNK_ROWS", chunk_rows)
        out = tmp_path / f"out{chunk_rows}"
        counts = score_file(
            str(source),
            Results(out, None),
            Settings(unit="passage"),
            lambda: (classifier, None),
            is_quiet=True,
        )
        assert counts.read == 60
        if chunk_rows == 1000:
            assert classifier.calls == [counts.scored]
        outputs.append([path.read_bytes() for path in sorted(out.iterdir())])
    assert outputs[0] == outputs[1] == outputs[2]


@given(st.lists(st.integers(0, 30)), st.integers(1, 5), st.integers(1, 40))
def test_chunks_are_bounded_and_lose_nothing(
    sizes: list[int], max_rows: int, max_bytes: int
) -> None:
    # Memory is bounded by the chunk: it ends with the row that fills it.
    rows = [
        Row(number=number, id="", text="", columns={}, raw=b"x" * size)
        for number, size in enumerate(sizes)
    ]
    chunks = list(split_chunks(rows, max_rows, max_bytes))
    assert [row for chunk in chunks for row in chunk] == rows
    for chunk in chunks:
        assert 1 <= len(chunk) <= max_rows
        assert sum(len(row.raw) for row in chunk[:-1]) < max_bytes


def test_a_log_gets_plain_lines_and_not_too_many(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # A bar redrawn into a log file makes it unreadable and large.
    clock = iter([0.0, 1.0, 10.0, 11.0, 20.0])
    monkeypatch.setattr("tocsin_serving.progress.monotonic", lambda: next(clock))
    with progress.show_progress(4000, is_quiet=False) as advance:
        for _ in range(4):
            advance(50, 1000)
    assert capsys.readouterr().err.splitlines() == [
        "tocsin: 100 rows, 10 rows/s, about 10 s left",
        "tocsin: 200 rows, 10 rows/s, about 0 s left",
    ]


@pytest.mark.parametrize("total_bytes", [4000, None])
def test_a_terminal_gets_a_bar_with_the_rate(
    monkeypatch: pytest.MonkeyPatch, total_bytes: int | None
) -> None:
    # A stream has no size to reckon a time by, and must not fail for it.
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with progress.show_progress(total_bytes, is_quiet=False) as advance:
        advance(1234, 1000)
    assert "1,234 rows, " in terminal.getvalue()
    assert "rows/s" in terminal.getvalue()


def test_a_quiet_run_prints_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with progress.show_progress(4000, is_quiet=True) as advance:
        advance(1234, 1000)
    assert capsys.readouterr() == ("", "")
