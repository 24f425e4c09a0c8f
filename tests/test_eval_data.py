"""Readers of labelled passages and reference summaries: what they take, and what they refuse."""

import json
from pathlib import Path
from typing import Any

import pytest
import zstandard

from tocsin_eval.data import data_sha256, read_both, read_passages, read_summaries
from tocsin_models.errors import DataError

SECRET = "the brigade crossed at dawn"


def write(path: Path, *rows: Any) -> Path:
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    data = text.encode()
    path.write_bytes(zstandard.ZstdCompressor().compress(data) if path.suffix == ".zst" else data)
    return path


def passage(identifier: Any, **fields: Any) -> dict[str, Any]:
    return {"id": identifier, "text": SECRET, "labels": []} | fields


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.jsonl.zst"])
def test_rows_and_whole_articles_are_read_from_the_same_file(tmp_path: Path, name: str) -> None:
    # The corpus has articles, the real set has rows; training reads both in one go.
    path = write(
        tmp_path / name,
        passage("r1", labels=["threat", "claim"], article="a1", source="wire"),
        {"id": "a2", "passages": [{"text": "Kept.", "labels": ["claim"]}, passage("unused")]},
        passage("r3"),
    )
    rows = read_passages([path])
    assert [row.id for row in rows] == ["r1", "a2:0", "a2:1", "r3"]
    assert [row.article for row in rows] == ["a1", "a2", "a2", "r3"]
    assert rows[0].labels == ("claim", "threat")
    assert [row.source for row in rows] == ["wire", "", "", ""]


def test_boilerplate_is_left_out_and_the_others_keep_their_index(tmp_path: Path) -> None:
    # Cleaning drops it before a classifier sees it; an id that shifted would name another passage.
    passages = [{"text": "Share this", "labels": [], "boilerplate": True}, passage("")]
    path = write(tmp_path / "a.jsonl", {"id": "a", "passages": passages})
    assert [row.id for row in read_passages([path])] == ["a:1"]


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ({"body": SECRET, "labels": []}, "'text' is missing"),
        ({"body": SECRET}, "is no passage .*; it has body"),
        (passage(""), "'id' is empty"),
        (passage(True), "'id' is a boolean"),
        (passage("x", text="  "), "'text' is empty"),
        (passage("x", text=7), "'text' is a number"),
        (passage("x", text="\ud800"), "surrogate"),
        ({"id": "x", "text": SECRET}, "'labels' is missing"),
        (passage("x", labels=0.5), "'labels' is a number"),
        (passage("x", labels="['claim']"), "'labels' begins with"),
        (passage("x", kind="headlin"), "'kind' is none of"),
        (passage("x", labels=["claim", 3.5]), "item 1 of 'labels' is a number"),
        (passage("x", labels=["claim", "claim"]), "a label twice"),
        (passage("x", boilerplate="no"), "'boilerplate' is a string"),
        ({"id": "x", "passages": {}}, "'passages' is an object"),
        ({"id": "x", "passages": [SECRET]}, "item 0 of 'passages' is a string"),
        ({"id": "x", "passages": [{"text": SECRET}]}, "item 0 of 'passages': 'labels' is missing"),
        ([SECRET], "is a list"),
        (passage("first"), "id 'first' was already used"),
    ],
)
def test_a_bad_row_is_named_by_file_line_and_field_and_never_quoted(
    tmp_path: Path, row: Any, problem: str
) -> None:
    # A row skipped in silence changes every figure; a quoted one puts copy into a log.
    path = tmp_path / "bad.jsonl"
    lines = [json.dumps(passage("first")), json.dumps(row)]
    path.write_text("\n".join(lines), encoding="utf-8")
    with pytest.raises(DataError, match=problem) as caught:
        read_passages([path])
    assert str(caught.value).startswith(f"{path}, line 2: ")
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (b'{"id": "x", "text": "' + SECRET.encode(), "is not JSON"),
        (b'{"id": "\xff"}', "is not UTF-8 at byte 8"),
        (b"[" * 100_000, "is not JSON that can be read"),
        (b'{"id": ' + b"9" * 5_000 + b"}", "is not JSON that can be read"),
    ],
)
def test_a_line_that_is_not_json_is_named_and_never_quoted(
    tmp_path: Path, line: bytes, problem: str
) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_bytes(b"\n" + line + b"\n")
    with pytest.raises(DataError, match=problem) as caught:
        read_passages([path])
    assert f"{path}, line 2" in str(caught.value)
    assert SECRET not in str(caught.value)


def test_the_same_id_in_two_files_is_refused(tmp_path: Path) -> None:
    # A passage counted twice narrows every interval.
    first = write(tmp_path / "one.jsonl", passage("x"))
    second = write(tmp_path / "two.jsonl", passage("x"))
    with pytest.raises(DataError, match=r"two.jsonl, line 1: id 'x' was already used in .*one"):
        read_passages([first, second])


def test_mistakes_of_what_is_trained_on_and_of_what_is_held_out_are_told_together(
    tmp_path: Path,
) -> None:
    # Else the second file's come out on the next run, after the first ones were mended.
    paths = [write(tmp_path / f"{name}.jsonl", passage("x"), {"id": "y"}) for name in ("a", "b")]
    with pytest.raises(DataError) as caught:
        read_both(paths[:1], paths[1:])
    assert all(f"{path}, line 2" in str(caught.value) for path in paths)
    # The same id in both is no mistake of either: they are two sets.
    good = [write(tmp_path / f"{name}.jsonl", passage("x")) for name in ("c", "d")]
    assert [[row.id for row in rows] for rows in read_both(good[:1], good[1:])] == [["x"], ["x"]]
    with pytest.raises(DataError, match=r"empty.jsonl: no labelled passage"):
        read_both(good[:1], [write(tmp_path / "empty.jsonl")])


def test_a_file_cut_short_is_refused_even_between_two_lines(tmp_path: Path) -> None:
    # zstandard.open takes what is left for the whole file: rows would vanish without a word.
    whole = zstandard.ZstdCompressor().compressobj()
    path = tmp_path / "cut.jsonl.zst"
    line = json.dumps(passage("x")).encode() + b"\n"
    path.write_bytes(whole.compress(line) + whole.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK))
    with pytest.raises(DataError, match="ends in the middle"):
        read_passages([path])
    path.write_bytes(b"no zstandard at all")
    with pytest.raises(DataError, match="damaged"):
        read_passages([path])


def test_two_compressed_files_joined_are_one(tmp_path: Path) -> None:
    # `cat` is how people join such files; the plain decompressor stops after the first.
    parts = [write(tmp_path / f"{name}.jsonl.zst", passage(name)) for name in "ab"]
    path = tmp_path / "both.jsonl.zst"
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    assert [row.id for row in read_passages([path])] == ["a", "b"]


def test_a_missing_file_a_directory_and_an_empty_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none.jsonl: cannot be read"):
        read_passages([tmp_path / "none.jsonl"])
    (tmp_path / "folder").mkdir()
    with pytest.raises(DataError, match=r"folder: cannot be loaded by datasets \(Empty"):
        read_passages([tmp_path / "folder"])
    with pytest.raises(DataError, match=r"empty.jsonl: no labelled passage"):
        read_passages([write(tmp_path / "empty.jsonl")])


def test_line_separators_inside_a_text_do_not_end_the_line(tmp_path: Path) -> None:
    # str.splitlines() would cut here, and news has such characters.
    path = write(tmp_path / "a.jsonl", passage("x", text="One\u2028two\u0085three"))
    assert read_passages([path])[0].text == "One\u2028two\u0085three"


def test_a_byte_order_mark_is_not_part_of_the_first_row(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", passage("x"))
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert read_passages([path])[0].id == "x"


def test_summaries_have_one_paragraph_or_many_and_stop_at_the_limit(tmp_path: Path) -> None:
    # The tokenised set has one string, the cased one has paragraphs; --limit must not read on.
    path = write(
        tmp_path / "s.jsonl.zst",
        {"id": "a", "article": "troops left .", "highlights": ["troops left ."]},
        {"id": "b", "paragraphs": ["Talks failed.", "Rain."], "highlights": ["One.", "Two."]},
        {"id": "c", "article": "no highlights"},
    )
    first, second = read_summaries(path, limit=2)
    assert first.paragraphs == ("troops left .",)
    assert second.paragraphs == ("Talks failed.", "Rain.")
    assert second.highlights == ("One.", "Two.")
    with pytest.raises(DataError, match="line 3: 'highlights' is missing"):
        read_summaries(path)


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ({"id": "a", "article": SECRET, "highlights": []}, "'highlights' has no item"),
        ({"id": "a", "paragraphs": [], "highlights": [SECRET]}, "'paragraphs' has no item"),
        ({"id": "a", "highlights": [SECRET]}, "'article' is missing"),
        (
            {"id": "a", "paragraphs": [""], "highlights": [SECRET]},
            "item 0 of 'paragraphs' is empty",
        ),
    ],
)
def test_a_bad_summary_row_is_named_and_never_quoted(
    tmp_path: Path, row: Any, problem: str
) -> None:
    path = write(tmp_path / "s.jsonl", row)
    with pytest.raises(DataError, match=problem) as caught:
        read_summaries(path)
    assert SECRET not in str(caught.value)


def test_the_hash_of_some_files_is_that_of_their_bytes_in_order(tmp_path: Path) -> None:
    # It stands beside every table; `cat FILE… | sha256sum` must print the same.
    first, second = write(tmp_path / "1.jsonl", {}), write(tmp_path / "2.jsonl", [])
    joined = tmp_path / "joined"
    joined.write_bytes(first.read_bytes() + second.read_bytes())
    assert data_sha256([first, second]) == data_sha256([joined]) != data_sha256([second, first])
