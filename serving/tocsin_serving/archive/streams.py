"""Bytes of a file, here or at an address, decompressed, line by line; memory stays bounded."""

import gzip
import hashlib
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from tocsin_models.errors import InputError, UndecodableInput, UnreadableFile

# A line that is longer is cut: its reject keeps this much. A file without line ends would
# otherwise be read into memory whole.
MAX_ROW_BYTES = 16 * 1024 * 1024

_CHUNK_BYTES = 1 << 18
# 2 KiB of zstd can stand for 64 MiB (blocks of four bytes that each repeat one byte 128 Ki times),
# and the library has no way to ask for less at a time.
_COMPRESSED_BYTES = {"gzip": 1 << 16, "zstd": 1 << 11}
_MAGIC = {"gzip": b"\x1f\x8b", "zstd": b"\x28\xb5\x2f\xfd"}
_SUFFIXES = {".gz": "gzip", ".zst": "zstd", ".zstd": "zstd"}

# What fsspec needs for a protocol, where its own message does not say.
_DRIVERS = {
    **{"s3": "s3fs", "s3a": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "hf": "huggingface_hub"},
    **{"az": "adlfs", "abfs": "adlfs", "abfss": "adlfs", "http": "aiohttp", "https": "aiohttp"},
    **{"sftp": "paramiko", "ssh": "paramiko"},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A line with its line end. ``start`` is the byte where it begins, after decompression;
    ``size_bytes`` is more than ``raw`` holds where the line was too long to keep."""

    number: int
    start: int
    raw: bytes
    size_bytes: int


class Damaged(Exception):
    """What is left of a file cannot be read. ``raw`` is the piece of a line that came last."""

    def __init__(self, reason: str, number: int, start: int, raw: bytes) -> None:
        self.reason, self.number, self.start, self.raw = reason, number, start, raw
        super().__init__(reason)


def is_address(name: str) -> bool:
    """Whether a name is for fsspec (``s3://bucket/key``) and not for the local disk."""
    return "://" in name


def file_system(address: str) -> tuple[Any, str]:
    """The fsspec file system of an address, and the path in it.

    Raises:
        InputError: its driver is not installed, or nobody knows the protocol.
    """
    import fsspec  # type: ignore[import-untyped]

    protocol = address.partition("://")[0]
    try:
        system, path = fsspec.core.url_to_fs(address)
    except ImportError:
        driver = _DRIVERS.get(protocol, f"the fsspec driver for {protocol}")
        raise InputError(
            f"{address}: {protocol}:// needs a driver that is not installed: pip install {driver}"
        ) from None
    except ValueError:
        raise InputError(
            f"{address}: nobody knows {protocol}://; give s3://, gs://, another protocol of "
            "fsspec, or a path"
        ) from None
    return system, str(path)


@contextmanager
def open_bytes(name: str) -> Iterator[BinaryIO]:
    """A file as it lies there, compressed or not.

    Raises:
        UnreadableFile: it is missing, is a directory, or may not be read.
    """
    try:
        if is_address(name):
            system, path = file_system(name)
            stream: BinaryIO = system.open(path, "rb")
        else:
            stream = Path(name).open("rb")  # noqa: SIM115 - closed below
    except FileNotFoundError:
        raise UnreadableFile(f"{name}: no such file; check the path") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise UnreadableFile(f"{name} cannot be read: {reason}; check the path") from None
    with stream:
        yield stream


def hash_file(name: str) -> str:
    """Hexadecimal SHA-256 of a file as it lies there."""
    with open_bytes(name) as stream:
        digest = hashlib.sha256()
        while chunk := stream.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def read_head(name: str) -> bytes:
    """The first bytes of a file, decompressed; damage further on is not seen."""
    with open_bytes(name) as stream:
        head: bytes = _inflated(stream, name).read(4096)
    return head


def strip_compression(name: str) -> str:
    """A file name without the suffix of its compression."""
    suffix = Path(name).suffix.lower()
    return name[: -len(suffix)] if suffix in _SUFFIXES else name


def read_lines(name: str, start: int = 0, number: int = 1) -> Iterator[Line]:
    """The lines of a file from byte ``start``, which is where line ``number`` begins.

    Raises:
        Damaged: when all that can be read has been.
    """
    with open_bytes(name) as source:
        stream = _inflated(source, name)
        _skip(stream, start)
        while True:
            try:
                raw = stream.readline(MAX_ROW_BYTES)
                size_bytes = len(raw)
                piece = raw
                while len(piece) == (MAX_ROW_BYTES if piece is raw else _CHUNK_BYTES) and (
                    not piece.endswith(b"\n")
                ):
                    piece = stream.readline(_CHUNK_BYTES)
                    size_bytes += len(piece)
            except OSError as error:
                reason = error.strerror or type(error).__name__
                raise Damaged(f"reading failed ({reason})", number, start, b"") from None
            damage = stream.raw.damage if isinstance(stream.raw, _Inflated) else None
            if damage and not raw.endswith(b"\n"):
                raise Damaged(damage, number, start, raw)
            if not raw:
                return
            yield Line(number=number, start=start, raw=raw, size_bytes=size_bytes)
            number += 1
            start += size_bytes


def read_whole(name: str) -> bytes:
    """A small file, decompressed.

    Raises:
        UndecodableInput: its compression is damaged, or it is larger than a row may be.
    """
    with open_bytes(name) as source:
        stream = _inflated(source, name)
        data: bytes = stream.read(MAX_ROW_BYTES + 1)
        damage = stream.raw.damage if isinstance(stream.raw, _Inflated) else None
    if damage:
        raise UndecodableInput(f"{damage}; copy the file again")
    if len(data) > MAX_ROW_BYTES:
        raise InputError(f"over {MAX_ROW_BYTES:,} bytes; split it into several files")
    return data


def _inflated(source: BinaryIO, name: str) -> Any:
    """
    Raises:
        UndecodableInput: the name says that it is compressed, and it is not.
    """
    buffered = io.BufferedReader(_Plain(source), _CHUNK_BYTES)
    head = buffered.peek(4)[:4]
    found = next((kind for kind, magic in _MAGIC.items() if head.startswith(magic)), None)
    expected = _SUFFIXES.get(Path(name).suffix.lower())
    if expected and found != expected:
        raise UndecodableInput(
            f"{name} is not {expected}, though its name says so; rename it, or copy it again"
        )
    if found is None:
        return buffered
    return io.BufferedReader(_Inflated(buffered, found), _CHUNK_BYTES)


class _Plain(io.RawIOBase):
    """Any stream that can read, as Python's buffers want it."""

    def __init__(self, source: BinaryIO) -> None:
        self._source = source

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return self._source.seekable()

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._source.seek(offset, whence)

    def tell(self) -> int:
        return self._source.tell()

    def readinto(self, buffer: Any) -> int:
        data = self._source.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)


class _Inflated(io.RawIOBase):
    """A gzip or zstd stream, of any number of members, as what it stands for. It ends where the
    data can be read no further; then ``damage`` says why."""

    def __init__(self, source: Any, kind: str) -> None:
        self.damage: str | None = None
        self._source = source
        self._kind = kind
        self._open: Any = None
        self._has_begun = False
        self._compressed = b""
        self._ready = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._ready and not self.damage:
            if not self._compressed:
                self._compressed = self._source.read(_COMPRESSED_BYTES[self._kind])
                if not self._compressed:
                    if self._open:
                        self.damage = f"the {self._kind} data end too early"
                    return 0
            self._ready = memoryview(self._inflate())
        count = min(len(buffer), len(self._ready))
        buffer[:count] = self._ready[:count]
        self._ready = self._ready[count:]
        return count

    def _inflate(self) -> bytes:
        if self._open is None and self._has_begun:
            # Zeros behind a member are padding, as gzip itself takes them.
            self._compressed = self._compressed.lstrip(b"\0")
            if not self._compressed:
                return b""
        self._has_begun = True
        try:
            if self._kind == "gzip":
                self._open = self._open or zlib.decompressobj(wbits=31)
                data: bytes = self._open.decompress(self._compressed, _CHUNK_BYTES)
                self._compressed = self._open.unconsumed_tail
            else:
                self._open = self._open or _zstd()
                data = self._open.decompress(self._compressed)
                self._compressed = b""
        except (zlib.error, gzip.BadGzipFile, _zstd_error()):
            self.damage = f"the {self._kind} data are damaged"
            return b""
        if self._open.eof:
            self._compressed = self._open.unused_data
            self._open = None
        return data


def _zstd() -> Any:
    import zstandard

    return zstandard.ZstdDecompressor(max_window_size=1 << 27).decompressobj()


def _zstd_error() -> type[Exception]:
    import zstandard

    return zstandard.ZstdError


def _skip(stream: Any, size_bytes: int) -> None:
    if size_bytes and stream.seekable():
        stream.seek(size_bytes)
        return
    while size_bytes:
        size_bytes -= len(stream.read(min(size_bytes, _CHUNK_BYTES))) or size_bytes
