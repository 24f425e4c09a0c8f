"""Rejects, mended by hand, are scored into the folder of their run."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.archive import ARTICLE, contents, models, read_lines, rejects, results, score, write_rows

from tocsin_models.errors import InputError
from tocsin_serving.archive import store
from tocsin_serving.archive.asked import Asked
from tocsin_serving.archive.plan import Counts
from tocsin_serving.archive.retry import retry_rejects
from tocsin_serving.archive.run import CannotGoOn
from tocsin_serving.archive.streams import MAX_ROW_BYTES


@pytest.fixture(params=["jsonl", "parquet"])
def out(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A finished run with three rejects, two of which have been mended since."""
    rows: list[Any] = [
        {"id": "a", "text": ARTICLE, "n": 1},
        b'{"id": "b", "text": "He vowed revenge.", "n": 2',
        {"id": "c", "n": 3},
        {"id": "d", "text": None, "n": 4},
    ]
    out = tmp_path / "out"
    source = write_rows(tmp_path / "in.jsonl", rows)
    score(source, out, unit="passage", format=request.param)
    found = read_lines(out / "rejects.jsonl")
    found[0]["raw"] += "}"
    found[1]["raw"] = json.dumps({"id": "c", "text": "Talks.", "n": 3})
    write_rows(out / "rejects.jsonl", found)
    return out


def retry(out: Path, **options: Any) -> Counts:
    return retry_rejects(out, Asked(**options), models)


def test_mended_rows_get_a_part_of_their_own_and_the_books_stay_right(out: Path) -> None:
    assert retry(out) == Counts(scored=3, rejected=1)
    assert [row["id"] for row in results(out)] == ["a", "b", "c"]
    assert len(list(out.glob("part-*"))) == 2
    [left] = rejects(out)
    assert (left["id"], left["row"]) == ("d", 4)
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["counts"] == {"read": 4, "scored": 3, "rejected": 1, "filtered": 0}
    assert [part["rows"] for part in manifest["parts"]] == [1, 2]
    # Again, with nothing mended: nothing changes but that it was tried.
    before = contents(out)
    assert retry(out) == Counts(scored=3, rejected=1)
    assert contents(out) == before


def test_when_all_are_mended_no_rejects_are_left(out: Path) -> None:
    found = rejects(out)
    found[2]["raw"] = json.dumps({"id": "d", "text": "Talks.", "n": None})
    write_rows(out / "rejects.jsonl", found)
    assert retry(out) == Counts(scored=4)
    assert not (out / "rejects.jsonl").exists()
    assert retry(out) == Counts(scored=4)


def test_what_would_not_fit_is_still_rejected(out: Path) -> None:
    found = rejects(out)
    found[0]["raw"] = json.dumps({"id": "a", "text": "Talks."})
    found[1]["raw"] = json.dumps({"id": "c", "text": "Talks.", "n": "three"})
    found[2]["raw"] = json.dumps({"id": "d", "text": "Talks.", "m": 1})
    write_rows(out / "rejects.jsonl", found)
    assert retry(out) == Counts(scored=1, rejected=3)
    assert [reject["reason"].split(";")[0] for reject in rejects(out)] == [
        "InputError: the id stands already in the results",
        "InputError: column n is int64 in the others",
        "InputError: no other row has a column m",
    ]


@pytest.fixture
def wire(tmp_path: Path) -> Path:
    """A finished run over text files, of which one is in Latin-1, one binary and one too long to be
    read."""
    folder = tmp_path / "wire"
    for year in ("2024", "2025"):
        (folder / year).mkdir(parents=True)
    (folder / "01.txt").write_text(ARTICLE)
    (folder / "2024" / "02.txt").write_bytes(b"Talks.\x00")
    (folder / "2025" / "01.txt").write_bytes("The café closed. It vowed talks.".encode("latin-1"))
    (folder / "2025" / "03.txt").write_bytes(b"Talks. " * (MAX_ROW_BYTES // 7 + 1))
    score(folder, tmp_path / "out")
    return tmp_path / "out"


def test_a_text_file_is_mended_once_its_bytes_are_characters(wire: Path) -> None:
    # Scored as it stands in the rejects, "caf\xe9" would be read as the article's own words.
    before = rejects(wire)
    assert [reject["id"] for reject in before] == ["2024/02", "2025/01", "2025/03"]
    assert retry(wire) == Counts(scored=1, rejected=3)
    assert rejects(wire) == before
    before[1]["raw"] = before[1]["raw"].replace("\\xe9", "é")
    write_rows(wire / "rejects.jsonl", before)
    assert retry(wire) == Counts(scored=2, rejected=2)
    assert [row["id"] for row in results(wire)] == ["01", "2025/01"]
    [passage] = results(wire)[1]["passages"]
    assert passage["text"].startswith("The café closed.")


def test_a_text_file_whose_reject_has_no_id_takes_no_other_files(wire: Path) -> None:
    # So an older run wrote it: its own name may be that of a file in another folder.
    found = rejects(wire)
    found[1] |= {"id": None, "raw": ARTICLE}
    write_rows(wire / "rejects.jsonl", found)
    assert retry(wire) == Counts(scored=1, rejected=3)
    assert "the id stands already in the results" in rejects(wire)[1]["reason"]


def test_a_mended_row_may_be_the_object_itself_and_lines_may_be_blank(out: Path) -> None:
    # "An object of its columns", says the README; editors end a file with an empty line.
    found = rejects(out)
    found[1]["raw"] = {"id": "c", "text": "Talks.", "n": 3}
    found[2]["raw"] = {"id": "d", "text": None, "n": 4}
    write_rows(out / "rejects.jsonl", [b"", *found, b" "])
    assert retry(out) == Counts(scored=3, rejected=1)
    # Not mended, it is kept as it was, to be mended again.
    assert json.loads(rejects(out)[0]["raw"]) == {"id": "d", "text": None, "n": 4}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b'{"file": "in.jsonl", "row": 3,', r"line 2: not JSON: .* at character 31"),
        (b'{"file": "in.jsonl", "row": 3, "raw": ""}', "line 2 has no id; mend raw and leave"),
        (b"[]", "line 2: the row is a list, not an object"),
    ],
)
def test_a_line_that_an_edit_has_broken_is_told_by_its_number(
    out: Path, line: bytes, message: str
) -> None:
    # A traceback says neither, and quotes the copy in the line.
    found = rejects(out)
    write_rows(out / "rejects.jsonl", [found[0], line, found[2]])
    before = contents(out)
    with pytest.raises(InputError, match=message):
        retry(out)
    assert contents(out) == before


def test_killed_at_any_step_it_comes_in_whole_or_not_at_all(
    out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A part without its counts, or counted twice, would falsify every later query.
    class Killed(BaseException):
        pass

    def kill_at(step: int, original: Any) -> Any:
        left = iter(range(step, -100, -1))

        def call(*arguments: Any, **options: Any) -> Any:
            if next(left) == 0:
                raise Killed
            return original(*arguments, **options)

        return call

    before = contents(out)
    steps = 0
    while True:
        with monkeypatch.context() as patch:
            patch.setattr(Path, "replace", kill_at(steps, Path.replace))
            try:
                retry(out)
                break
            except Killed:
                steps += 1
        with store.Store(out).lock():
            pass
        if contents(out) != before:
            assert [row["id"] for row in results(out)] == ["a", "b", "c"]
            assert len(rejects(out)) == 1
            break
    assert steps >= 3
    assert retry(out) == Counts(scored=3, rejected=1)


def test_what_is_no_finished_run_or_another_is_refused(out: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no finished run"):
        retry(tmp_path)
    with pytest.raises(CannotGoOn, match="--unit: passage then, article now"):
        retry(out, thresholds={"claim": 0.1})
    write_rows(out / "rejects.jsonl", rejects(out)[:1])
    with pytest.raises(InputError, match=r"has 1 rows, the run rejected 3; mend rows, but leave"):
        retry(out)
