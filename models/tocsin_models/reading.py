"""A file or standard input -> an ``Article``. Every way in which that can fail is one line."""

import codecs
import errno
import re
import sys
from pathlib import Path

from tocsin_models.errors import EmptyInput, UndecodableInput, UnreadableFile
from tocsin_models.records import Article, Format

STANDARD_INPUT = "-"
_HTML_SUFFIXES = frozenset((".html", ".htm", ".xhtml", ".xht"))
_HTML_BEGINNING = re.compile(
    r"\s*(?:<\?xml[^>]{0,200}>\s*)?(?:<!--.{0,500}?-->\s*)?<(?:!doctype\s+html|html)\b",
    re.IGNORECASE | re.DOTALL,
)

# How files that are handed in by mistake begin.
_SIGNATURES = (
    (b"%PDF-", "a PDF file"),
    (b"PK\x03\x04", "a zip archive (or a .docx, .odt or .epub file)"),
    (b"\x89PNG", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"GIF8", "a GIF image"),
    (b"\x1f\x8b", "a gzip file"),
    (b"\x28\xb5\x2f\xfd", "a Zstandard file"),
    (b"{\\rtf", "an RTF file"),
    (b"\xd0\xcf\x11\xe0", "an old Microsoft Office file"),
    (b"\x7fELF", "a program"),
)
_SIGNATURE_ADVICE = "save or extract its text as UTF-8 first"
# Control bytes that no text holds: all but tab, line feed, vertical tab, form feed, carriage
# return, escape (terminal colours) and the separators 0x1c to 0x1f, which Unicode counts as white
# space.
_CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1a\x7f]")
_UTF16_MARKS = ((codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))


def read_article(path: str, format: Format | None = None) -> Article:
    """Read one article from a file, or from standard input for "-".

    Its id is the file's name without the suffix ("stdin" for "-"). Line ends stay as they are, a
    leading byte-order mark goes. Without ``format``, HTML is told by the suffix or by how the text
    begins.

    Raises:
        UnreadableFile: no such file, a directory, no permission.
        EmptyInput: nothing but white space.
        UndecodableInput: binary, or not UTF-8 (nor UTF-16 with a byte-order mark).
    """
    is_standard_input = path == STANDARD_INPUT
    name = "standard input" if is_standard_input else path
    data = sys.stdin.buffer.read() if is_standard_input else _read_bytes(path)
    text = decode(data, name)
    if not text.strip():
        raise EmptyInput(f"{name}: empty; an article needs some text")
    if format is None:
        format = guess_format(path, text)
    return Article(id="stdin" if is_standard_input else Path(path).stem, text=text, format=format)


def decode(data: bytes, name: str) -> str:
    """Bytes -> text without a byte-order mark. ``name`` says in messages what the bytes are.

    Raises:
        UndecodableInput: binary, or not UTF-8; says what it looks like, or at which byte it fails.
    """
    for signature, kind in _SIGNATURES:
        if data.startswith(signature):
            raise UndecodableInput(f"{name}: looks like {kind}, not text; {_SIGNATURE_ADVICE}")
    for mark, encoding in _UTF16_MARKS:
        if data.startswith(mark) and not data.startswith(codecs.BOM_UTF32_LE):
            return _decode_as(data[len(mark) :], encoding, name, skipped=len(mark))
    skipped = len(codecs.BOM_UTF8) if data.startswith(codecs.BOM_UTF8) else 0
    control = _CONTROL.search(data)
    if control:
        offset = control.start()
        raise UndecodableInput(
            f"{name}: byte {offset} is 0x{data[offset]:02x}, a control character, so this is "
            f"binary and not text; {_SIGNATURE_ADVICE}"
        )
    return _decode_as(data[skipped:], "utf-8", name, skipped=skipped)


def _decode_as(data: bytes, encoding: str, name: str, *, skipped: int) -> str:
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        offset = error.start + skipped
        value = data[error.start]
        raise UndecodableInput(
            f"{name}: not {encoding.upper()}: byte {offset} is 0x{value:02x} ({error.reason}); if "
            "it was written on Windows, convert it: iconv -f WINDOWS-1252 -t UTF-8"
        ) from None


def _read_bytes(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except FileNotFoundError:
        raise UnreadableFile(
            f"{path}: no such file; check the path, or give - to read standard input"
        ) from None
    except IsADirectoryError:
        raise UnreadableFile(f"{path}: is a directory; give the files in it, one by one") from None
    except PermissionError:
        raise UnreadableFile(
            f"{path}: no permission to read it; change its mode or owner"
        ) from None
    except (OSError, ValueError) as error:
        # ValueError: a NUL in the path.
        code = getattr(error, "errno", None)
        reason = errno.errorcode.get(code, "unknown error") if code else "not a valid path"
        raise UnreadableFile(f"{path!r}: cannot be read ({reason}); check the path") from None


def guess_format(path: str, text: str) -> Format:
    is_html = Path(path).suffix.lower() in _HTML_SUFFIXES or _HTML_BEGINNING.match(text[:2_000])
    return "html" if is_html else "text"
