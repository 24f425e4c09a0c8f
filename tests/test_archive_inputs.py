"""What may be read, in which order, and that every format gives the same answers."""

import csv
import gzip
import json
import random
from pathlib import Path
from typing import Any

import fsspec  # type: ignore[import-untyped]
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from tests.archive import ARTICLE, contents, rejects, results, score, write_rows

from tocsin_models.errors import ConfigError, InputError, UnreadableFile
from tocsin_serving.archive import readers, streams
from tocsin_serving.archive.inputs import Source, find_sources
from tocsin_serving.archive.plan import Counts

ROWS = [
    {"id": f"r{n}", "text": f'{n} „talks“, and\nhe vowed: "{"word " * (n % 40)}"', "desk": "é,\tb"}
    for n in range(1200)
]


def write(folder: Path, name: str) -> Path:
    """``ROWS`` in the format that the name says."""
    path = folder / name
    plain = folder / name.removesuffix(".gz").removesuffix(".zst")
    match plain.suffix:
        case ".jsonl":
            write_rows(plain, ROWS)
        case ".csv" | ".tsv":
            with plain.open("w", newline="", encoding="utf-8") as handle:
                delimiter = "," if plain.suffix == ".csv" else "\t"
                writer = csv.DictWriter(handle, ["id", "text", "desk"], delimiter=delimiter)
                writer.writeheader()
                writer.writerows(ROWS)
        case ".parquet":
            pq.write_table(pa.Table.from_pylist(ROWS), plain, row_group_size=500)
    if name.endswith(".gz"):
        # Two members, as `cat a.gz b.gz` makes them.
        data = plain.read_bytes()
        path.write_bytes(gzip.compress(data[:1000]) + gzip.compress(data[1000:]))
    if name.endswith(".zst"):
        path.write_bytes(zstandard.ZstdCompressor().compress(plain.read_bytes()))
    return path


FORMATS = ["in.jsonl", "in.csv", "in.tsv", "in.parquet", "in.jsonl.gz", "in.csv.zst"]


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("expected")
    score(write(folder, "in.jsonl"), folder / "out", unit="passage")
    return contents(folder / "out")


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_gives_the_same_answers(
    tmp_path: Path, name: str, expected: dict[str, bytes]
) -> None:
    # An archive that is converted must not be scored differently.
    counts = score(write(tmp_path, name), tmp_path / "out", unit="passage")
    assert counts == Counts(scored=1200)
    assert contents(tmp_path / "out") == expected


@pytest.mark.parametrize("name", FORMATS)
def test_a_reader_can_begin_at_any_row(tmp_path: Path, name: str) -> None:
    # A run that goes on begins in the middle: one row off, and every later id is another's.
    [source] = find_sources([str(write(tmp_path, name))], tmp_path)
    rows = list(readers.read_rows(source))
    assert len(rows) == 1200
    for index in [0, 1, 499, 500, 501, 1199, *random.Random(1).sample(range(1200), 8)]:
        again = list(readers.read_rows(source, rows[index].start, rows[index].number))
        assert again == rows[index:]


def test_a_reader_can_begin_behind_rows_that_are_broken(tmp_path: Path) -> None:
    source = tmp_path / "in.csv"
    source.write_text('id,text\n1,"open\n2,x\n\n3,"a\nb"\n4,"never closed\n5,x\n')
    [found] = find_sources([str(source)], tmp_path)
    rows = list(readers.read_rows(found))
    assert [row.number for row in rows] == [2, 3, 5, 7, 8]
    for index, row in enumerate(rows):
        # Errors are equal to themselves alone, so as they are shown.
        again = readers.read_rows(found, row.start, row.number)
        assert list(map(repr, again)) == list(map(repr, rows[index:]))


def test_texts_and_pages_are_a_row_each_as_analyse_reads_them(tmp_path: Path) -> None:
    folder = tmp_path / "wire"
    (folder / "2024").mkdir(parents=True)
    (folder / "2024" / "b.txt").write_text(ARTICLE)
    with gzip.open(folder / "2024" / "a.txt.gz", "wt") as handle:
        handle.write(ARTICLE)
    (folder / "c.txt").write_text(f"<html><body><p>{'The envoy left. ' * 20}</p></body></html>")
    (folder / ".hidden").write_text("not meant")
    assert score(folder, tmp_path / "out").scored == 3
    rows = results(tmp_path / "out")
    assert [row["id"] for row in rows] == ["2024/a", "2024/b", "c"]
    # Told by how it begins, as in `tocsin analyse c.txt`.
    assert rows[2]["text"].startswith("The envoy left.")


def test_arguments_keep_their_order_and_a_folder_or_glob_is_read_by_name(tmp_path: Path) -> None:
    for name in ("b.jsonl", "a.jsonl", "c/d.jsonl", "c/a.csv", "z.csv"):
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("id,text\n" if name.endswith("csv") else '{"text": "a"}\n')
    inside = tmp_path / "in"

    def names(*given: str) -> list[str]:
        found = find_sources([str(inside / name) for name in given], tmp_path)
        return [Path(source.name).relative_to(inside).as_posix() for source in found]

    assert names("") == ["a.jsonl", "b.jsonl", "c/a.csv", "c/d.jsonl", "z.csv"]
    assert names("z.csv", "*.jsonl") == ["z.csv", "a.jsonl", "b.jsonl"]
    assert names("**/*.csv") == ["c/a.csv", "z.csv"]
    with pytest.raises(InputError, match=r"a\.jsonl is named twice; name it once"):
        names("a.jsonl", "*.jsonl")
    with pytest.raises(UnreadableFile, match="there is no file; check the path"):
        names("*.parquet")
    with pytest.raises(UnreadableFile, match="no such file; check the path"):
        names("gone.jsonl")


@pytest.mark.parametrize("name", ["wire", "./wire", "wire/", "../{}/wire", "."])
def test_a_folder_holds_the_same_files_however_it_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    # `./wire` is what a shell completes; with a file less, and a hidden one more, nobody would see.
    for file in ("1.jsonl", "10.jsonl", ".old/x.jsonl", "may/2.jsonl", "may/.x.jsonl"):
        path = tmp_path / "wire" / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text('{"text": "a"}\n')
    monkeypatch.chdir(tmp_path)
    found = find_sources([name.format(tmp_path.name)], tmp_path)
    assert [Path(source.name).resolve().relative_to(tmp_path.resolve()) for source in found] == [
        *(Path("wire/1.jsonl"), Path("wire/10.jsonl"), Path("wire/may/2.jsonl"))
    ]


def test_a_file_is_known_by_any_of_its_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Read twice, all of its rows would be doubled, or rejected as such.
    monkeypatch.chdir(tmp_path)
    write_rows(tmp_path / "e.jsonl", [{"text": "Talks."}])
    (tmp_path / "latest.jsonl").symlink_to("e.jsonl")
    for other in ("./e.jsonl", str(tmp_path / "e.jsonl"), "../" + tmp_path.name + "/e.jsonl"):
        with pytest.raises(InputError, match=r"e\.jsonl is named twice; name it once"):
            find_sources(["e.jsonl", other], tmp_path)
    # Where a link leads is the archive's own affair.
    assert len(find_sources(["*.jsonl"], tmp_path)) == 2


def test_rows_are_not_chosen_by_a_column_where_there_are_none(tmp_path: Path) -> None:
    # All text files would be scored, as if the condition held of each.
    (tmp_path / "a.txt").write_text(ARTICLE)
    rows = write_rows(tmp_path / "b.jsonl", [{"text": ARTICLE, "desk": "home"}])
    for names in ([tmp_path / "a.txt"], [rows, tmp_path / "a.txt"]):
        with pytest.raises(ConfigError, match="--where: a text file has no columns; leave it out"):
            score(names, tmp_path / "out", where=("desk=foreign",))
    assert not (tmp_path / "out").exists()


def test_an_address_is_read_through_fsspec(tmp_path: Path) -> None:
    memory = fsspec.filesystem("memory")
    for name in ("a", "b"):
        line = json.dumps({"id": name, "text": "Talks."}) + "\n"
        memory.pipe(f"/wire/{name}.jsonl.gz", gzip.compress(line.encode()))
    table = pa.BufferOutputStream()
    pq.write_table(pa.table({"id": ["c"], "text": ["Talks."]}), table)
    memory.pipe("/wire/c.parquet", table.getvalue().to_pybytes())
    for number, address in enumerate(("memory://wire", "memory://wire/*")):
        score(address, tmp_path / f"out{number}", unit="passage")
        assert [row["id"] for row in results(tmp_path / f"out{number}")] == ["a", "b", "c"]


def test_a_missing_driver_is_named_with_the_line_that_installs_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def missing(address: str) -> Any:
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setattr(fsspec.core, "url_to_fs", missing)
    with pytest.raises(InputError, match="needs a driver that is not installed: pip install s3fs"):
        streams.file_system("s3://bucket/a.jsonl")
    monkeypatch.undo()
    with pytest.raises(InputError, match="nobody knows nowhere://"):
        streams.file_system("nowhere://bucket/a.jsonl")


def test_a_data_set_is_asked_for_by_its_prefix_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A mistyped path that reads like an id must not be told to the Hub.
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "news"
    folder.mkdir()
    write_rows(folder / "train.jsonl", [{"id": f"r{n}", "text": "Talks."} for n in range(600)])
    assert score(f"datasets:{folder}", tmp_path / "out", unit="passage").scored == 600
    assert score(f"datasets:{folder}#train", tmp_path / "out2", unit="passage").scored == 600
    with pytest.raises(
        InputError, match=r"cannot be loaded \(ValueError\); give datasets:ORG/NAME"
    ):
        score(f"datasets:{folder}#gone", tmp_path / "out3")
    with pytest.raises(UnreadableFile, match="no such file"):
        score("org/name", tmp_path / "out3")


def test_a_zstd_bomb_and_a_zero_padded_gzip_do_no_harm(tmp_path: Path) -> None:
    # 64 MiB of one letter in a few kilobytes: inflated at once they would count several times.
    bomb = tmp_path / "a.jsonl.zst"
    long = b'{"id": "long", "text": "' + b"x" * (64 << 20) + b'"}\n'
    lines = long + b'{"id": "next", "text": "Talks."}\n'
    bomb.write_bytes(zstandard.ZstdCompressor(level=1).compress(lines))
    assert score(bomb, tmp_path / "out", unit="passage") == Counts(scored=1, rejected=1)
    assert "the row has 67,108,891 bytes, at most" in rejects(tmp_path / "out")[0]["reason"]
    padded = tmp_path / "b.jsonl.gz"
    padded.write_bytes(gzip.compress(b'{"text": "Talks."}\n') + bytes(700_000))
    assert score(padded, tmp_path / "out2", unit="passage") == Counts(scored=1)


def test_a_source_is_read_lazily(tmp_path: Path) -> None:
    # A reader that takes the file whole would need as much memory as there are rows.
    [source] = find_sources([str(write(tmp_path, "in.csv"))], tmp_path)
    assert isinstance(source, Source)
    rows = readers.read_rows(source)
    assert next(rows).number == 2
    source_path = Path(source.paths[0])
    source_path.unlink()
    assert next(rows).number == 4
