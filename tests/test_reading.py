"""A file or standard input becomes an article, or one line that says what to do."""

import codecs
import io
import os
import sys
from pathlib import Path

import pytest

from tocsin_models.errors import EmptyInput, InputError, UndecodableInput, UnreadableFile
from tocsin_models.reading import decode, read_article

SECRET = "Zorvania vows revenge"


def message_of(error: pytest.ExceptionInfo[InputError]) -> str:
    message = str(error.value)
    # Messages end up in logs: one line, and never the copy.
    assert "\n" not in message
    assert SECRET not in message
    return message


def test_line_ends_are_kept_and_the_byte_order_mark_is_not(tmp_path: Path) -> None:
    # Offsets count from behind the mark, and CR and LF one each: normalising would shift them.
    path = tmp_path / "raid.one.txt"
    path.write_bytes(codecs.BOM_UTF8 + b"One.\r\n\r\nTwo.\rThree.\n")
    article = read_article(str(path))
    assert (article.id, article.text) == ("raid.one", "One.\r\n\r\nTwo.\rThree.\n")


@pytest.mark.parametrize(
    ("mark", "encoding"),
    [(codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be")],
)
def test_utf_16_with_its_mark_is_read(mark: bytes, encoding: str) -> None:
    # Windows editors save it as "Unicode"; its NUL bytes would otherwise read as binary.
    assert decode(mark + SECRET.encode(encoding), "a.txt") == SECRET


def test_standard_input_is_called_stdin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"One.\n")))
    assert read_article("-").id == "stdin"


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("a.HTM", "no tags", "html"),
        ("a.txt", "\n<!DOCTYPE html>\n<p>x", "html"),
        ("a.txt", "<?xml version='1.0'?><html><p>x", "html"),
        ("a.txt", "<html lang=en><p>x", "html"),
        ("a.txt", "The <html> tag was found.", "text"),
        ("a.txt", "Plain news.", "text"),
    ],
)
def test_html_is_told_by_suffix_or_beginning(
    tmp_path: Path, name: str, text: str, expected: str
) -> None:
    # A page read as plain text would have its tags labelled and quoted.
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    assert read_article(str(path)).format == expected


def test_the_format_that_was_asked_for_wins(tmp_path: Path) -> None:
    path = tmp_path / "a.html"
    path.write_text("Plain news.", encoding="utf-8")
    assert read_article(str(path), "text").format == "text"


def test_a_missing_file_and_a_directory_are_named(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile, match=r"absent\.txt: no such file") as missing:
        read_article(str(tmp_path / "absent.txt"))
    assert "check the path" in message_of(missing)
    with pytest.raises(UnreadableFile, match="is a directory") as directory:
        read_article(str(tmp_path))
    assert "files in it" in message_of(directory)


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may read everything")
def test_a_forbidden_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("x", encoding="utf-8")
    path.chmod(0)
    with pytest.raises(UnreadableFile, match="no permission"):
        read_article(str(path))


def test_a_path_with_a_nul_is_an_input_error_too(tmp_path: Path) -> None:
    # Path.read_bytes raises ValueError there, which would be a traceback.
    with pytest.raises(UnreadableFile) as error:
        read_article(str(tmp_path / "a\0b\nc"))
    message_of(error)


@pytest.mark.parametrize("data", [b"", b" \r\n\t", codecs.BOM_UTF8, "\u2028\xa0".encode()])
def test_nothing_but_white_space_is_empty(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(data)
    with pytest.raises(EmptyInput, match="empty") as error:
        read_article(str(path))
    message_of(error)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"%PDF-1.7 x", "a PDF file"),
        (b"PK\x03\x04rest", "a zip archive"),
        (b"\x89PNG\r\n\x1a\n", "a PNG image"),
        (SECRET.encode() + b"\x00\x01", r"byte 21 is 0x00"),
        (SECRET.encode() + b" caf\xe9 said", r"byte 25 is 0xe9 .*iconv -f WINDOWS-1252 -t UTF-8"),
        (codecs.BOM_UTF8 + b"ab\xff", r"byte 5 is 0xff"),
        (codecs.BOM_UTF16_LE + b"a", r"not UTF-16-LE: byte 2 is 0x61"),
    ],
)
def test_binary_and_foreign_encodings_say_what_they_are(data: bytes, expected: str) -> None:
    # Issue 2: "an undecodable one (say at which byte)"; guessing an encoding would alter names.
    with pytest.raises(UndecodableInput, match=expected) as error:
        decode(data, "a.txt")
    message_of(error)
