"""Bad rows and bad files: each is rejected with a reason, or refused at once; none vanishes."""

import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from tests.archive import ARTICLE, rejects, results, score, write_rows

from tocsin_models.errors import InputError
from tocsin_serving.archive import readers, streams
from tocsin_serving.archive.plan import Counts

# Stands in every bad row; reasons are read in logs and tickets, and may not repeat copy.
SECRET = "zanzibar"

BAD_ROWS: list[tuple[bytes, str]] = [
    (b'{"id": "x", "text": ', "InputError: not JSON: Expecting value at character 20"),
    (b"zanzibar", "InputError: not JSON"),
    (b'["zanzibar"]', "InputError: the row is a list, not an object"),
    (b"null", "InputError: the row is null, not an object"),
    (b"7", "InputError: the row is a number, not an object"),
    (b'{"id": "x"}', "InputError: the row has no text; name the column"),
    (b'{"id": "x", "text": ["zanzibar"]}', "InputError: text is a list"),
    (b'{"id": "x", "text": 7}', "InputError: text is a number"),
    (b'{"id": "x", "text": null}', "InputError: text is null"),
    (b'{"id": "x", "text": ""}', "EmptyInput: the text holds nothing but white space"),
    (b'{"id": "x", "text": " \\u00a0\\n"}', "EmptyInput: the text holds nothing but white"),
    (b'{"id": "x", "text": "zanzibar \xff"}', "UndecodableInput: not UTF-8 at byte 30 of the row"),
    (
        b'{"id": "x", "text": "zanzibar \\ud800"}',
        "UndecodableInput: the text holds half of a surrogate",
    ),
    (b'{"id": 1.5, "text": "zanzibar"}', "InputError: id is a number; write a string"),
    (b'{"id": true, "text": "zanzibar"}', "InputError: id is true or false"),
    (b'{"id": "x", "text": "zanzibar", "n": NaN}', "InputError: not JSON: a number out of range"),
    (b'{"id": "x", "text": "zanzibar", "n": 1e999}', "InputError: not JSON: a number out of range"),
    (b"[" * 100_000, "InputError: not JSON: a number out of range or NaN, or nested too deeply"),
    (
        b'{"id": "x", "text": "' + b"zanzibar " * 1_200_000 + b'"}',
        "InputError: the text has 10,800,000 characters, at most 1,000,000 are read; split it",
    ),
]


def test_bad_rows_are_rejected_in_place_and_the_good_ones_around_them_scored(
    tmp_path: Path,
) -> None:
    # One bad row in a million must not cost the archive, nor shift the answers of the others.
    lines: list[Any] = []
    for number, (raw, _) in enumerate(BAD_ROWS):
        lines += [{"id": f"good{number}", "text": ARTICLE}, b"", raw]
    source = write_rows(tmp_path / "in.jsonl", lines)
    counts = score(source, tmp_path / "out", unit="passage")
    assert counts == Counts(scored=len(BAD_ROWS), rejected=len(BAD_ROWS))
    assert [row["id"] for row in results(tmp_path / "out")] == [
        f"good{number}" for number in range(len(BAD_ROWS))
    ]
    found = rejects(tmp_path / "out")
    assert [list(reject) for reject in found] == [["file", "row", "id", "reason", "raw"]] * len(
        BAD_ROWS
    )
    for number, (reject, (raw, reason)) in enumerate(zip(found, BAD_ROWS, strict=True)):
        assert (reject["file"], reject["row"]) == (str(source), 3 * number + 3)
        assert reject["reason"].startswith(reason)
        assert SECRET not in reject["reason"]
        assert reject["raw"] == raw.decode("utf-8", "backslashreplace")


def test_a_line_that_would_fill_the_memory_is_cut_and_the_next_rows_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A gigabyte without a line end is an accident; read whole it would end the run.
    monkeypatch.setattr(streams, "MAX_ROW_BYTES", 1000)
    long = json.dumps({"id": "long", "text": "word " * 100_000})
    source = write_rows(tmp_path / "in.jsonl", [long.encode(), {"id": "next", "text": ARTICLE}])
    assert score(source, tmp_path / "out") == Counts(scored=1, rejected=1)
    [reject] = rejects(tmp_path / "out")
    assert reject["reason"].startswith(f"InputError: the row has {len(long) + 1:,} bytes")
    assert reject["raw"] == long[:1000]


def test_an_encoding_that_changes_half_way_costs_those_rows_alone(tmp_path: Path) -> None:
    # Two exports put into one file, the second in Latin-1.
    rows_before = [{"id": f"a{n}", "text": "Café talks resumed."} for n in range(3)]
    after = [f'{{"id": "b{n}", "text": "Café {SECRET}"}}' for n in range(2)]
    source = write_rows(
        tmp_path / "in.jsonl",
        [*rows_before, *(line.encode("latin-1") for line in after), {"id": "c", "text": "Talks."}],
    )
    assert score(source, tmp_path / "out", unit="passage") == Counts(scored=4, rejected=2)
    assert [reject["row"] for reject in rejects(tmp_path / "out")] == [4, 5]
    assert all("\\xe9" in reject["raw"] for reject in rejects(tmp_path / "out"))


@pytest.mark.parametrize("packer", ["gzip", "zstd"])
def test_of_a_truncated_file_all_is_scored_that_can_be_read(tmp_path: Path, packer: str) -> None:
    # A copy that broke off: what came is worth scoring, what did not must show in the books.
    lines = b"".join(
        json.dumps({"id": f"r{n}", "text": f"{n} {hash((n, 1))} vowed"}).encode() + b"\n"
        for n in range(5000)
    )
    pack = gzip.compress if packer == "gzip" else zstandard.ZstdCompressor().compress
    source = tmp_path / f"in.jsonl.{'gz' if packer == 'gzip' else 'zst'}"
    packed = pack(lines)
    source.write_bytes(packed[: len(packed) * 2 // 3])
    counts = score(source, tmp_path / "out", unit="passage")
    assert counts.rejected == 1
    assert 0 < counts.scored < 5000
    [reject] = rejects(tmp_path / "out")
    assert reject["row"] == counts.scored + 1
    assert reject["reason"] == (
        f"UndecodableInput: the {packer} data end too early: nothing from this row on can be read; "
        "copy the file again"
    )


def test_damage_in_the_middle_of_a_file_leaves_the_other_files_alone(tmp_path: Path) -> None:
    noise = bytes(range(256)) * 64
    packed = bytearray(gzip.compress(b'{"text": "x"}\n' * 9 + noise, mtime=0))
    packed[-200:-100] = bytes(100)
    (tmp_path / "a.jsonl.gz").write_bytes(packed)
    write_rows(tmp_path / "b.jsonl", [{"id": "b", "text": "Talks."}])
    out = tmp_path / "out"
    counts = score([tmp_path / "a.jsonl.gz", tmp_path / "b.jsonl"], out, unit="passage")
    assert results(out)[-1]["id"] == "b"
    assert "damaged" in rejects(out)[-1]["reason"] or "too early" in rejects(out)[-1]["reason"]
    assert counts.read == counts.scored + counts.rejected


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.jsonl.gz", b'{"text": "x"}\n', "is not gzip, though its name says so"),
        ("a.jsonl.zst", b'{"text": "x"}\n', "is not zstd, though its name says so"),
        ("a.parquet", b'{"text": "x"}\n', "is not Parquet, though its name says so"),
        ("a.parquet", b"PAR1 and no footer", "its Parquet footer cannot be read"),
        ("a.jsonl", b"\xff\xfe{\x00", "is UTF-16; convert it"),
        ("a.jsonl", b"PK\x03\x04", "is a zip archive; unpack it first"),
        ("a.json", b'[{"text": "x"}]', "is one JSON array; write an object a line: jq"),
        ("a.docx", b"\x00\x01", "its name does not say what it holds; call it .jsonl, .csv"),
        ("a.csv", b"id,body\n1,x\n", "has no column text; its columns are body, id; name one of"),
        ("a.csv", b"text,text\nx,y\n", "names a column twice"),
        ("a.csv", b'"text\n', "its first line cannot be read"),
        ("a.csv", b"", "holds no rows"),
        ("a.jsonl", b"", "holds no rows"),
        ("a.jsonl", b" \n\n", "holds no rows"),
        ("a.jsonl", b'{"id": 1, "body": "x"}\n', "has no column text; its columns are body, id"),
    ],
)
def test_a_file_that_is_wrong_as_a_whole_is_refused_before_anything_is_scored(
    tmp_path: Path, name: str, data: bytes, message: str
) -> None:
    # Row by row each of its rows would be rejected; one line says it better.
    source = tmp_path / name
    source.write_bytes(data)
    with pytest.raises(InputError, match=message):
        score(source, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize(
    "row",
    [
        '1,"The source, who fears zanzibar, is a clerk."',
        "2,Envoys leave zanzibar without a deal",
        '3,"He vowed: zanzibar"',
        "4,zanzibar!",
    ],
)
def test_a_table_without_a_header_does_not_put_copy_on_the_terminal(
    tmp_path: Path, row: str
) -> None:
    # Its first row stands where names stand, and the message ends up in tickets.
    source = tmp_path / "in.csv"
    source.write_text(f"{row}\n5,Talks.\n")
    with pytest.raises(InputError, match="but 2 columns that do not look like names; does") as told:
        score(source, tmp_path / "out")
    assert SECRET not in str(told.value)
    source.write_text("dc:date,Date of first publication,meta.title,\n1,2,3,4\n")
    with pytest.raises(
        InputError, match=r"columns are , Date of first pub\w+, dc:date, meta.title;"
    ):
        score(source, tmp_path / "out")


def test_an_id_that_comes_again_is_rejected_with_where_it_stands_first(tmp_path: Path) -> None:
    # Joined on the id, two rows of one name would double each other.
    one = write_rows(
        tmp_path / "a.jsonl", [{"id": "x", "text": "One."}, {"id": "x", "text": "Two."}]
    )
    other = write_rows(
        tmp_path / "b.jsonl", [{"id": "y", "text": "Three."}, {"id": "x", "text": "Four."}]
    )
    assert score([one, other], tmp_path / "out", unit="passage") == Counts(scored=2, rejected=2)
    assert [(reject["id"], reject["row"]) for reject in rejects(tmp_path / "out")] == [
        ("x", 2),
        ("x", 2),
    ]
    for reject in rejects(tmp_path / "out"):
        assert f"the id stands already in row 1 of {one}" in reject["reason"]


def test_a_rejected_or_unwanted_row_takes_no_id(tmp_path: Path) -> None:
    # Else the good one of two would be lost for the bad one.
    source = write_rows(
        tmp_path / "in.jsonl",
        [
            {"id": "x", "text": ""},
            {"id": "x", "text": "Talks.", "desk": "home"},
            {"id": "x", "text": "Talks.", "desk": "foreign"},
        ],
    )
    counts = score(source, tmp_path / "out", unit="passage", where=("desk=foreign",))
    assert counts == Counts(scored=1, rejected=0, filtered=2)


def test_rows_without_an_id_are_called_by_their_number_and_by_their_file_if_there_are_more(
    tmp_path: Path,
) -> None:
    one = write_rows(tmp_path / "a.jsonl", [{"text": "One."}, b"", {"text": "Two.", "id": None}])
    other = write_rows(tmp_path / "b.jsonl", [{"text": "Three."}, {"text": "Four.", "id": 7}])
    score(one, tmp_path / "out1", unit="passage")
    assert [row["id"] for row in results(tmp_path / "out1")] == ["1", "3"]
    score([one, other], tmp_path / "out2", unit="passage")
    assert [row["id"] for row in results(tmp_path / "out2")] == [
        *(f"{one}:1", f"{one}:3", f"{other}:1", "7")
    ]


def test_an_unclosed_quotation_mark_costs_its_row_and_not_the_rest_of_the_file(
    tmp_path: Path,
) -> None:
    # A reader that takes all up to the next mark swallows rows, or the whole file.
    source = tmp_path / "in.csv"
    source.write_text(
        'id,text,desk\n1,"Talks, again.",a\n2,"He vowed zanzibar,a\n3,Fine.,a\n'
        '4,"Two\nlines ""here"".",a\n5,too,many,columns\n6,"stray" zanzibar,a\n7,"Open,a\n'
    )
    assert score(source, tmp_path / "out", unit="passage") == Counts(scored=3, rejected=4)
    assert [row["id"] for row in results(tmp_path / "out")] == ["1", "3", "4"]
    found = rejects(tmp_path / "out")
    assert [reject["row"] for reject in found] == [3, 7, 8, 9]
    assert found[0]["raw"] == '2,"He vowed zanzibar,a'
    for reject in found:
        assert "quotation mark" in reject["reason"]
        assert SECRET not in reject["reason"]


def test_a_quotation_mark_that_is_never_closed_is_not_looked_for_through_gigabytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readers, "_MAX_RECORD_BYTES", 2_000)
    source = tmp_path / "in.csv"
    source.write_text('id,text\n0,"open\n' + "".join(f"{n},Talks.\n" for n in range(1, 2000)))
    assert score(source, tmp_path / "out", unit="passage") == Counts(scored=1999, rejected=1)
    [reject] = rejects(tmp_path / "out")
    assert "no quotation mark closes the row within 2,000 bytes" in reject["reason"]


def test_csv_that_is_not_utf_8_loses_those_rows_alone(tmp_path: Path) -> None:
    source = tmp_path / "in.csv"
    source.write_bytes(b"id,text\n1,Talks.\n2,Caf" + b"\xe9\n3,Talks.\n")
    assert score(source, tmp_path / "out", unit="passage") == Counts(scored=2, rejected=1)


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (b'2,"The Brigade said:\nWe will strike, and soon.\nThe caf\xe9 closed."', "not UTF-8"),
        (
            b'2,"The Brigade said:\nWe will strike, and soon.\nSo it did.",x',
            "the row has 3 columns",
        ),
    ],
)
def test_the_lines_of_a_record_that_is_quoted_as_it_should_be_are_no_rows(
    tmp_path: Path, record: bytes, reason: str
) -> None:
    # A sentence of the article would be scored under an id made of another.
    source = tmp_path / "in.csv"
    source.write_bytes(b"id,text\n1,Talks.\n" + record + b"\n3,Talks.\n")
    assert score(source, tmp_path / "out", unit="passage") == Counts(scored=2, rejected=1)
    assert [row["id"] for row in results(tmp_path / "out")] == ["1", "3"]
    [reject] = rejects(tmp_path / "out")
    assert reject["row"] == 3
    assert reason in reject["reason"]
    assert reject["raw"] == record.decode("utf-8", "backslashreplace")


@pytest.mark.parametrize("end", ["", "\n"])
def test_a_long_cell_of_a_table_is_as_good_as_one_of_json(tmp_path: Path, end: str) -> None:
    # It was rejected as a quotation mark that nobody closed, and its lines scored as rows.
    page = f"<p>5,Talks.</p>{end}" * 400_000
    source = tmp_path / "in.csv"
    source.write_text(f'id,text,page\n1,Talks.,"{page}"\n2,Talks.,\n')
    assert score(source, tmp_path / "out", unit="passage") == Counts(scored=2)
    assert results(tmp_path / "out")[0]["page"] == page


def odd_table(cells: pa.Array) -> pa.Table:
    numbers = range(len(cells))
    times = pa.array([1_714_557_600_000_000_000 + n for n in numbers], pa.timestamp("ns", "UTC"))
    return pa.table(
        {
            "id": [f"r{n}" for n in numbers],
            "text": ["Talks."] * len(cells),
            "odd": cells,
            "when": times,
        }
    )


def not_utf8() -> pa.Array:
    # pyarrow checks what it is given, but not what a file holds, nor a view of bytes.
    return pa.array([b"plain", b"zanzibar \xe9", b"more"]).view(pa.string())


@pytest.mark.parametrize(
    ("cells", "reason"),
    [
        (not_utf8(), "UndecodableInput: column odd is not UTF-8; write"),
        (not_utf8().dictionary_encode(), "UndecodableInput: column odd is not UTF-8; write"),
        *(
            (pa.array([0, value, 1]).cast(type), "InputError: column odd holds a date or time that")
            for value, type in [
                (253_402_300_800_000, pa.timestamp("ms")),
                (-99_999_999_999_999, pa.timestamp("ms")),
                (253_402_300_799_000, pa.timestamp("ms", "Asia/Tokyo")),
            ]
        ),
        (
            pa.array([0, 3_000_000, 1], pa.int32()).cast(pa.date32()),
            "InputError: column odd holds a date or time that is out of range",
        ),
    ],
)
def test_one_odd_cell_of_parquet_costs_its_row_alone(
    tmp_path: Path, cells: pa.Array, reason: str
) -> None:
    # In whatever column, it ended the run in a traceback, which quoted what it could not read.
    table = odd_table(cells)
    pq.write_table(table, tmp_path / "in.parquet")
    counts = score(tmp_path / "in.parquet", tmp_path / "out", unit="passage")
    assert counts == Counts(scored=2, rejected=1)
    [reject] = rejects(tmp_path / "out")
    assert reject["row"] == 2
    assert reject["reason"].startswith(reason)
    assert SECRET not in reject["reason"]
    # Not JSON, or it would be taken for a mended row without anybody having mended it.
    assert reject["raw"].startswith('{"id": "r1", "text": "Talks.", "odd": ')
    with pytest.raises(json.JSONDecodeError):
        json.loads(reject["raw"])
    # The others are what they are where no cell is odd, down to the nanosecond.
    pq.write_table(table.take([0, 2]), tmp_path / "good.parquet")
    score(tmp_path / "good.parquet", tmp_path / "good", unit="passage")
    assert results(tmp_path / "out") == results(tmp_path / "good")
    assert results(tmp_path / "out")[1]["when"] == "2024-05-01T10:00:00.000000002+00:00"


def test_parquet_of_the_wrong_type_is_refused_and_null_rejected(tmp_path: Path) -> None:
    source = tmp_path / "in.parquet"
    pq.write_table(pa.table({"id": [1, 2], "text": [7, 8]}), source)
    with pytest.raises(InputError, match="column text holds int64, not text; name another with"):
        score(source, tmp_path / "out")
    pq.write_table(pa.table({"id": [1, 2], "text": ["Talks.", None]}), source)
    assert score(source, tmp_path / "out", unit="passage") == Counts(scored=1, rejected=1)
    [reject] = rejects(tmp_path / "out")
    assert json.loads(reject["raw"]) == {"id": 2, "text": None}


def test_parquet_damaged_in_the_middle_is_scored_up_to_there(tmp_path: Path) -> None:
    source = tmp_path / "in.parquet"
    texts = [f"{n} {hash((n, 2))} talks" for n in range(3000)]
    pq.write_table(pa.table({"text": texts}), source, row_group_size=500, compression="zstd")
    data = bytearray(source.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 400] = bytes(400)
    source.write_bytes(data)
    counts = score(source, tmp_path / "out", unit="passage")
    assert counts.rejected == 1
    assert 500 <= counts.scored < 3000
    assert "Parquet data are damaged" in rejects(tmp_path / "out")[0]["reason"]


def test_text_files_that_cannot_be_read_are_rejected_by_name(tmp_path: Path) -> None:
    folder = tmp_path / "wire"
    (folder / "may").mkdir(parents=True)
    (folder / "may" / "good.txt").write_text(ARTICLE)
    (folder / "may" / "latin.txt").write_bytes("Café zanzibar".encode("latin-1"))
    (folder / "may" / "program.txt").write_bytes(b"zanzibar\x00")
    (folder / "empty.txt").write_text(" \n")
    (folder / "may" / "page.html").write_text(f"<html><body><p>{'Talks. ' * 50}</p></body></html>")
    assert score(folder, tmp_path / "out") == Counts(scored=2, rejected=3)
    assert [row["id"] for row in results(tmp_path / "out")] == ["may/good", "may/page"]
    assert [Path(reject["file"]).name for reject in rejects(tmp_path / "out")] == [
        *("empty.txt", "latin.txt", "program.txt")
    ]


def test_a_page_is_no_passage(tmp_path: Path) -> None:
    # Its mark-up would be scored as text.
    (tmp_path / "a.html").write_text("<html><body><p>Talks.</p></body></html>")
    assert score(tmp_path / "a.html", tmp_path / "out", unit="passage").rejected == 1


@pytest.mark.parametrize("unit", ["article", "passage"])
def test_a_row_that_makes_the_model_fail_costs_only_itself(tmp_path: Path, unit: str) -> None:
    # A night's run that ends at three for one row has to be begun again by somebody.
    from tests.support import KeywordClassifier

    class Choking(KeywordClassifier):
        def score(self, texts: Any) -> Any:
            if any("choke" in text for text in texts):
                raise ZeroDivisionError(SECRET)
            return super().score(texts)

    bad = {"id": "bad", "text": "They choke on talks in zanzibar."}
    source = write_rows(
        tmp_path / "in.jsonl", [{"id": "a", "text": ARTICLE}, bad, {"id": "c", "text": ARTICLE}]
    )
    out = tmp_path / "out"
    assert score(source, out, classifier=Choking(), unit=unit) == Counts(scored=2, rejected=1)
    assert rejects(out)[0]["reason"] == "RowFailed: the model failed on it (ZeroDivisionError)"
    # Where it fails on every row, not the rows are to blame.
    only_bad = write_rows(tmp_path / "bad.jsonl", [bad])
    with pytest.raises(ZeroDivisionError):
        score(only_bad, tmp_path / "out2", classifier=Choking(), unit=unit)


def test_an_article_that_the_model_refuses_is_a_reject_in_its_place(tmp_path: Path) -> None:
    # Errors of analyse_many come back in place; taken for answers they would crash the run.
    french = "Les négociateurs ont quitté la capitale dimanche sans accord."
    source = write_rows(
        tmp_path / "in.jsonl", [{"id": "fr", "text": french}, {"id": "en", "text": ARTICLE}]
    )
    out = tmp_path / "out"
    assert score(source, out, strict_language=True) == Counts(scored=1, rejected=1)
    assert rejects(out)[0]["reason"].startswith("LanguageRefused: ")


def test_a_spreadsheets_marks_and_line_ends_are_no_part_of_a_row(tmp_path: Path) -> None:
    source = tmp_path / "in.jsonl"
    source.write_bytes(b'\xef\xbb\xbf{"text": "a"}\r\n\r\n{"text": "b"}\r\n')
    score(source, tmp_path / "out", unit="passage")
    assert [row["id"] for row in results(tmp_path / "out")] == ["1", "3"]
    table = tmp_path / "in.csv"
    table.write_bytes(b'\xef\xbb\xbftext,desk\r\n"a\r\nb",x\r\n')
    score(table, tmp_path / "out2", unit="passage")
    assert [row["desk"] for row in results(tmp_path / "out2")] == ["x"]
