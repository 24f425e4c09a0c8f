"""Who may call: named keys, hashed in a text file that is edited by hand.

One key a line, like an ``.htpasswd``; ``#`` comments and blank lines are skipped::

    newsdesk scrypt$16384$8$1$SALT$HASH scopes=score,metrics rate=5 id=0123456789abcdef

SALT (16 bytes) and HASH (32 bytes) are base64url without padding; HASH is the scrypt of the
secret's 43 characters. ``scopes`` (default: score) and ``rate`` (requests a second; default: the
server's) may be left out. The caller's token is ``tocsin_<id>_<secret>``: the id is public and
finds the line; the secret is 32 random bytes, and neither it nor the token is stored anywhere.

To revoke a key, delete its line: the next request with it is refused, without a restart.
"""

import asyncio
import base64
import fcntl
import hashlib
import hmac
import logging
import os
import re
import secrets
import stat
import time
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from tocsin_models.errors import ConfigError, TocsinError

SCOPES = ("score", "metrics")
MIN_RATE_PER_S, MAX_RATE_PER_S = 0.001, 1_000_000.0
_RATES = f"{MIN_RATE_PER_S:g} to {MAX_RATE_PER_S:,.0f} requests a second"

_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
# 67 characters, and a name has at most 64: a token pasted in place of a name is refused, and so
# never comes out as the key's name in a log.
_TOKEN = re.compile(r"tocsin_([0-9a-f]{16})_([A-Za-z0-9_-]{43})")
_ID = re.compile(r"[0-9a-f]{16}")
_HASH = re.compile(
    r"scrypt\$([0-9]{1,6})\$([0-9]{1,3})\$([0-9]{1,3})\$([A-Za-z0-9_-]{22})\$([A-Za-z0-9_-]{43})"
)
_RATE = re.compile(r"[0-9]{1,7}(\.[0-9]{1,6})?")

# RFC 7914's interactive cost: 16 MiB and about 50 ms on one core. The secret is 32 random bytes,
# so more would protect nothing; what a file may ask for is bounded, because a caller makes us pay.
_N, _R, _P = 2**14, 8, 1
_MAX_N, _MAX_P = 2**16, 4

# About 6,000 keys. The file is read between two requests, so something else that was named by
# mistake (a model, a log) must not be.
_MAX_FILE_BYTES = 2**20
# A file that changed within this time of being read is read again at the next request: two edits
# within one tick of the file system's clock (up to 2 s) may leave the same stamp.
_SETTLED_NS = 2 * 10**9
# Wrong tokens remembered for each key: a client that loops has one.
_MAX_FAILED = 64
# Different tokens for one key under check at once. One check takes 50 ms, and a new token of
# another key waits at most for these.
_MAX_CHECKS = 8
_SHOWN_PROBLEMS = 5

_log = logging.getLogger("tocsin.keys")


class TooManyAttempts(TocsinError):
    """Too many different tokens for one key at once; whether this one is right is not known."""

    retry_after_s = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """Somebody who may call. ``rate_per_s`` is None where the server's own limit holds."""

    name: str
    scopes: frozenset[str]
    rate_per_s: float | None


@dataclass(slots=True, kw_only=True, eq=False)
class _Entry:
    """A good line of the file, and what this process has learnt of it.

    A file that changes gives new entries, so nothing learnt of an old line outlives it. Tokens
    are held as their HMAC under a key of this process: ``verified`` is the right one's (empty
    before it came), ``failed`` are wrong ones, the last used at the end, and ``checks`` those
    being compared now.
    """

    key: Key
    key_id: str
    cost: tuple[int, int, int]
    salt: bytes = field(repr=False)
    hash: bytes = field(repr=False)
    verified: bytes = field(default=b"", repr=False)
    failed: OrderedDict[bytes, None] = field(default_factory=OrderedDict, repr=False)
    checks: dict[bytes, asyncio.Future[bool]] = field(default_factory=dict, repr=False)

    def matches(self, secret: str) -> bool:
        return hmac.compare_digest(_hash(secret, self.salt, self.cost), self.hash)

    def recall(self, tag: bytes) -> bool | None:
        """Whether a token is right; None if it must be checked."""
        if hmac.compare_digest(tag, self.verified):
            return True
        if tag in self.failed:
            self.failed.move_to_end(tag)
            return False
        return None

    def settle(self, tag: bytes, check: asyncio.Future[bool]) -> None:
        self.checks.pop(tag, None)
        if check.cancelled() or check.exception() is not None:
            return
        if check.result():
            self.verified = tag
            return
        self.failed[tag] = None
        if len(self.failed) > _MAX_FAILED:
            self.failed.popitem(last=False)


class KeyFile:
    """The keys of a file, as the file is now: every call looks whether it has changed.

    After the start it fails closed: a file that is gone or cannot be read admits nobody, and a bad
    line is left out while the others stay. Each change of either kind is logged once. For one
    event loop: not safe between threads.

    Raises:
        ConfigError: at the start, the file cannot be read or has bad lines, all of them named.
    """

    def __init__(self, path: Path) -> None:
        self._path = path.absolute()
        self._entries: dict[str, _Entry] = {}
        self._content: bytes | None = None
        self._stamp: tuple[int, ...] | None = None
        self._tag_key = secrets.token_bytes(32)
        # One thread: wrong tokens take one core at most, and scrypt gives up Python's lock.
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="tocsin-keys")
        try:
            problems = self._read()
        except OSError as error:
            raise _unusable(path, "read", error) from None
        if problems:
            raise ConfigError(str(path), problems)

    async def find(self, token: str) -> Key | None:
        """The key whose token this is, or None.

        The first right token of a key costs one scrypt, as does a wrong token with the id of a
        key; from then on both cost microseconds until the file changes. A token whose id is in no
        line costs none: ids are public random numbers, so that this can be told is no loss.

        Raises:
            TooManyAttempts: too many different tokens with the id of one key are being checked.
        """
        match = _TOKEN.fullmatch(token)
        if match is None:
            return None
        key_id, secret = match.groups()
        tag = hmac.digest(self._tag_key, token.encode(), "sha256")
        while (entry := self._current(key_id)) is not None:
            is_right = entry.recall(tag)
            if is_right is None:
                is_right = await self._check(entry, tag, secret)
                if self._current(key_id) is not entry:
                    continue  # The file changed meanwhile: what was true of the old line is not.
            return entry.key if is_right else None
        return None

    async def _check(self, entry: _Entry, tag: bytes, secret: str) -> bool:
        """One scrypt in the worker, shared by all who come with this token meanwhile."""
        check = entry.checks.get(tag)
        if check is None:
            if len(entry.checks) >= _MAX_CHECKS:
                raise TooManyAttempts(
                    f"more than {_MAX_CHECKS} different tokens for one key at once; "
                    f"try again in {TooManyAttempts.retry_after_s:.0f} s"
                )
            loop = asyncio.get_running_loop()
            check = loop.run_in_executor(self._worker, entry.matches, secret)
            entry.checks[tag] = check
            check.add_done_callback(partial(entry.settle, tag))
        # A caller who leaves takes only himself away: others wait for the same check, and its
        # answer is worth keeping.
        return await asyncio.shield(check)

    def _current(self, key_id: str) -> _Entry | None:
        try:
            problems = self._read()
        except OSError as error:
            if self._content is not None:
                _log.warning("key file cannot be read (%s): nobody is admitted", _reason(error))
            self._content = self._stamp = None
            self._entries = {}
        else:
            if problems:
                shown = "; ".join(problems[:_SHOWN_PROBLEMS])
                more = len(problems) - _SHOWN_PROBLEMS
                rest = f"; and {more} more" if more > 0 else ""
                _log.warning("key file has bad lines, left out: %s%s", shown, rest)
            elif problems is not None:
                _log.info("key file read again, keys: %d", len(self._entries))
        return self._entries.get(key_id)

    def _read(self) -> list[str] | None:
        """Take over the file if it has changed: the problems of its lines, None if it has not.

        Raises OSError if the file cannot be read, or is no file that could hold keys.
        """
        status = self._path.stat()
        # The time of the inode's change besides that of the contents': `cp -p` and `rsync -t` set
        # the latter to what it was, and a change of permissions moves only the former.
        stamp = (
            status.st_mtime_ns,
            status.st_ctime_ns,
            status.st_size,
            status.st_ino,
            status.st_dev,
        )
        if stamp == self._stamp:
            return None
        _check_kind(status)
        content = self._path.read_bytes()
        is_settled = time.time_ns() - status.st_ctime_ns > _SETTLED_NS
        self._stamp = stamp if is_settled else None
        if content == self._content:
            return None
        entries, problems = _parse(content)
        self._content = content
        self._entries = {entry.key_id: entry for entry in entries}
        return problems


def new_key(
    name: str,
    path: Path,
    *,
    scopes: Sequence[str] = ("score",),
    rate_per_s: float | None = None,
) -> str:
    """Add a key to the file, made with mode 0600 if it is missing; the token, kept nowhere else.

    The line is appended by one write under a lock, then synced. Replacing the file by a new one
    would lose its owner and links, fail where it is mounted into a container alone, and undo what
    somebody edits meanwhile. A reader who sees half a line takes it for a bad one (the id stands
    at its end), and sees the whole one at his next look.

    Raises:
        ConfigError: the name is taken or not allowed, a scope or the rate is not allowed, the file
            cannot be written or has bad lines. The file is then as it was.
    """
    problems = _argument_problems(name, scopes, rate_per_s)
    if problems:
        raise ConfigError("tocsin keys new", problems)
    key_id, secret, salt = secrets.token_hex(8), secrets.token_urlsafe(32), secrets.token_bytes(16)
    digest = _hash(secret, salt, (_N, _R, _P))
    words = [name, f"scrypt${_N}${_R}${_P}${_encode(salt)}${_encode(digest)}"]
    words.append("scopes=" + ",".join(scope for scope in SCOPES if scope in scopes))
    if rate_per_s is not None:
        words.append("rate=" + f"{rate_per_s:.6f}".rstrip("0").rstrip("."))
    words.append(f"id={key_id}")
    try:
        _append(path, name, " ".join(words))
    except OSError as error:
        raise _unusable(path, "written", error) from None
    return f"tocsin_{key_id}_{secret}"


def _append(path: Path, name: str, line: str) -> None:
    with open(path, "ab+", buffering=0, opener=partial(os.open, mode=0o600)) as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # Two of us at once must not both take one name.
        _check_kind(os.fstat(file.fileno()))
        file.seek(0)
        content = file.read()
        entries, problems = _parse(content)
        if problems:
            raise ConfigError(str(path), problems)
        if name in (entry.key.name for entry in entries):
            taken = f"the name {name!r} is taken; choose another, or delete its line first"
            raise ConfigError(str(path), [taken])
        is_line_open = bool(content) and not content.endswith(b"\n")
        added = ("\n" * is_line_open + line + "\n").encode()
        try:
            if file.write(added) != len(added):
                raise OSError(None, "no space for a whole line")
            os.fsync(file.fileno())
        except OSError:
            file.truncate(len(content))
            raise


class _BadLine(Exception):
    """What is wrong with a line, without a word of it: it may hold a hash or a token."""


def _parse(content: bytes) -> tuple[list[_Entry], list[str]]:
    """The good lines in their order, and a problem for each of the others."""
    entries: list[_Entry] = []
    problems: list[str] = []
    names: dict[str, int] = {}
    ids: dict[str, int] = {}
    for number, raw in enumerate(content.removeprefix(b"\xef\xbb\xbf").splitlines(), start=1):
        text = raw.decode("utf-8", errors="replace").strip()
        if not text or text.startswith("#"):
            continue
        try:
            entry = _parse_line(text)
            for what, value, seen in (
                ("name", entry.key.name, names),
                ("id", entry.key_id, ids),
            ):
                if value in seen:
                    raise _BadLine(f"the {what} is that of line {seen[value]}")
        except _BadLine as problem:
            problems.append(f"line {number}: {problem}")
        else:
            names[entry.key.name] = ids[entry.key_id] = number
            entries.append(entry)
    return entries, problems


def _parse_line(text: str) -> _Entry:
    name, *words = text.split()
    if not _NAME.fullmatch(name):
        raise _BadLine("the name is not 1 to 64 of A-Z a-z 0-9 . _ -")
    match = _HASH.fullmatch(words[0] if words else "")
    if match is None:
        raise _BadLine("the second part is not scrypt$N$r$p$SALT$HASH; see tocsin keys new")
    n, r, p = cost = (int(match[1]), int(match[2]), int(match[3]))
    if n & (n - 1) or not _N <= n <= _MAX_N or r != _R or not _P <= p <= _MAX_P:
        allowed = f"N a power of two, {_N} to {_MAX_N}, r {_R}, p {_P} to {_MAX_P}"
        raise _BadLine(f"the cost of scrypt is outside {allowed}")
    settings: dict[str, str] = {}
    for word in words[1:]:
        setting, equals, value = word.partition("=")
        if setting not in ("id", "scopes", "rate") or not equals:
            raise _BadLine("unknown setting; known are id=, scopes= and rate=")
        if setting in settings:
            raise _BadLine(f"{setting}= stands twice")
        settings[setting] = value
    if not _ID.fullmatch(settings.get("id", "")):
        raise _BadLine("id= is missing or is not 16 of 0-9 a-f")
    scopes = frozenset(settings.get("scopes", "score").split(","))
    if not scopes <= set(SCOPES):
        raise _BadLine(f"scopes= is not one or more of {', '.join(SCOPES)}")
    rate = settings.get("rate")
    if rate is not None and not (_RATE.fullmatch(rate) and _is_rate(float(rate))):
        raise _BadLine(f"rate= is outside {_RATES}")
    return _Entry(
        key=Key(name=name, scopes=scopes, rate_per_s=None if rate is None else float(rate)),
        key_id=settings["id"],
        cost=cost,
        salt=_decode(match[4]),
        hash=_decode(match[5]),
    )


def _argument_problems(name: str, scopes: Sequence[str], rate_per_s: float | None) -> list[str]:
    problems = []
    if not _NAME.fullmatch(name):
        problems.append(f"name: {name!r} is not 1 to 64 of A-Z a-z 0-9 . _ -")
    if not scopes or not set(scopes) <= set(SCOPES):
        problems.append(f"scopes: {', '.join(scopes)!r} is not one or more of {', '.join(SCOPES)}")
    if rate_per_s is not None and not _is_rate(rate_per_s):
        problems.append(f"rate: {rate_per_s} is outside {_RATES}")
    return problems


def _is_rate(rate_per_s: float) -> bool:
    return MIN_RATE_PER_S <= rate_per_s <= MAX_RATE_PER_S


def _check_kind(status: os.stat_result) -> None:
    """Before it is read: a pipe would be waited for, a device never ends."""
    if not stat.S_ISREG(status.st_mode):
        raise OSError(None, "not a regular file")
    if status.st_size > _MAX_FILE_BYTES:
        raise OSError(None, f"{status.st_size:,} bytes, at most {_MAX_FILE_BYTES:,} are read")


def _unusable(path: Path, done: str, error: OSError) -> ConfigError:
    advice = "name a file that tocsin keys new made, or a new one in a directory that exists"
    return ConfigError(str(path), [f"cannot be {done}: {_reason(error)}; {advice}"])


def _reason(error: OSError) -> str:
    return error.strerror or type(error).__name__


def _hash(secret: str, salt: bytes, cost: tuple[int, int, int]) -> bytes:
    n, r, p = cost
    # OpenSSL's default limit is 32 MiB; this is what it counts (RFC 7914, section 2).
    maxmem = 128 * r * (n + p + 2)
    return hashlib.scrypt(secret.encode(), salt=salt, n=n, r=r, p=p, dklen=32, maxmem=maxmem)


def _encode(part: bytes) -> str:
    return base64.urlsafe_b64encode(part).decode().rstrip("=")


def _decode(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
