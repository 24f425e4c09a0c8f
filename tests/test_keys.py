"""Who may call: what a key file admits, what it gives away, and what a wrong token may cost."""

import asyncio
import base64
import fcntl
import hashlib
import hmac
import logging
import os
import re
import resource
import shutil
import stat
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tocsin_models.errors import ConfigError
from tocsin_serving import keys
from tocsin_serving.keys import Key, KeyFile, TooManyAttempts, new_key

WRONG_SECRET = "A" * 43


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A key file with the lines of two keys, and their tokens."""

    path: Path
    desk: str
    archive: str


@dataclass(kw_only=True)
class Scrypts:
    """Counts calls of the real scrypt and how many run at once; while not ``go``, they wait."""

    go: threading.Event = field(default_factory=threading.Event)
    calls: int = 0
    running: int = 0
    most_at_once: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, *arguments: Any, **named: Any) -> bytes:
        with self.lock:
            self.calls += 1
            self.running += 1
            self.most_at_once = max(self.most_at_once, self.running)
        try:
            assert self.go.wait(10), "nobody could run while a scrypt did"
            return REAL_SCRYPT(*arguments, **named)
        finally:
            with self.lock:
                self.running -= 1


REAL_SCRYPT = hashlib.scrypt


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Made:
    path = tmp_path_factory.mktemp("keys") / "keys.txt"
    desk = new_key("newsdesk", path, scopes=("metrics", "score"), rate_per_s=2.5)
    return Made(path=path, desk=desk, archive=new_key("archive", path))


@pytest.fixture
def made(pristine: Made, tmp_path: Path) -> Made:
    path = tmp_path / "keys.txt"
    shutil.copyfile(pristine.path, path)
    return Made(path=path, desk=pristine.desk, archive=pristine.archive)


@pytest.fixture
def scrypts(monkeypatch: pytest.MonkeyPatch) -> Scrypts:
    counter = Scrypts()
    counter.go.set()
    monkeypatch.setattr(hashlib, "scrypt", counter)
    return counter


def find(file: KeyFile, token: str) -> Key | None:
    return asyncio.run(file.find(token))


def name_of(file: KeyFile, token: str) -> str | None:
    key = find(file, token)
    return key.name if key else None


def secret_of(token: str) -> str:
    return token.split("_", 2)[2]


def wrong(token: str, number: int = 0) -> str:
    """A token with the same id and another secret."""
    return token.removesuffix(secret_of(token)) + f"{number:04d}".ljust(43, "x")


def problems_of(path: Path) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        KeyFile(path)
    return caught.value.problems


def warnings_in(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]


# Making a key, and what the file says of it.


def test_a_token_finds_its_own_key_with_its_scopes_and_rate(made: Made) -> None:
    # One key's rights under another's name would be wrong in every log and limit.
    file = KeyFile(made.path)
    both = frozenset({"score", "metrics"})
    assert find(file, made.desk) == Key(name="newsdesk", scopes=both, rate_per_s=2.5)
    score = frozenset({"score"})
    assert find(file, made.archive) == Key(name="archive", scopes=score, rate_per_s=None)


def test_the_file_holds_neither_token_nor_secret_but_their_scrypt(made: Made) -> None:
    # Whoever reads a backup of the file must not be able to call. The hash is computed here from
    # the documented format, so that another program could write such lines too.
    content = made.path.read_text()
    for token in (made.desk, made.archive):
        assert secret_of(token) not in content
        assert token not in content
    line = content.splitlines()[0].split()
    n, r, p, salt, digest = line[1].removeprefix("scrypt$").split("$")
    expected = hashlib.scrypt(
        secret_of(made.desk).encode(),
        salt=base64.urlsafe_b64decode(salt + "=="),
        n=int(n),
        r=int(r),
        p=int(p),
    )[:32]
    assert hmac.compare_digest(base64.urlsafe_b64decode(digest + "="), expected)
    assert [line[0], *line[2:]] == [
        "newsdesk",
        "scopes=score,metrics",
        "rate=2.5",
        f"id={made.desk.split('_')[1]}",
    ]


def test_tokens_and_salts_are_never_the_same_twice(made: Made) -> None:
    # Equal salts would let one guess be tried against all keys.
    assert made.desk != made.archive
    salts = [line.split("$")[4] for line in made.path.read_text().splitlines()]
    assert len(set(salts)) == 2


def test_a_new_file_is_for_its_owner_alone_and_a_given_mode_stays(tmp_path: Path) -> None:
    # The operator who lets a group read the file must not lose that with the next key.
    path = tmp_path / "keys.txt"
    new_key("newsdesk", path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.chmod(0o640)
    inode = path.stat().st_ino
    new_key("archive", path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    # A file mounted into a container alone stays visible there only as the same inode.
    assert path.stat().st_ino == inode


def test_a_key_is_added_behind_a_last_line_that_somebody_left_open(made: Made) -> None:
    # Glued to that line, the new key would break both.
    made.path.write_text("# desk\n" + made.path.read_text().rstrip("\n"))
    token = new_key("evening", made.path, rate_per_s=0.001)
    file = KeyFile(made.path)
    assert [name_of(file, made.archive), name_of(file, token)] == ["archive", "evening"]


@pytest.mark.parametrize("name", ["", "a b", "a" * 65, "-\n", "desk#1", "dësk", "a/b", "a=b"])
def test_a_name_that_would_break_a_line_or_a_log_is_refused(name: str, tmp_path: Path) -> None:
    # Names stand in log lines and metrics, and a blank in one would end it in the file.
    path = tmp_path / "keys.txt"
    with pytest.raises(ConfigError, match=r"is not 1 to 64 of A-Z a-z 0-9 \. _ -"):
        new_key(name, path)
    assert not path.exists()


def test_a_token_is_too_long_to_be_taken_for_a_name(made: Made) -> None:
    # Pasted in the wrong place it would otherwise come out in every log line as the key's name.
    with pytest.raises(ConfigError):
        new_key(made.desk, made.path)
    made.path.write_text(made.path.read_text().replace("newsdesk", made.desk))
    assert problems_of(made.path) == ("line 1: the name is not 1 to 64 of A-Z a-z 0-9 . _ -",)


def test_all_mistakes_in_a_new_key_are_reported_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        new_key("a b", tmp_path / "keys.txt", scopes=("score", "admin"), rate_per_s=0.0)
    assert [problem.partition(":")[0] for problem in caught.value.problems] == [
        "name",
        "scopes",
        "rate",
    ]


@pytest.mark.parametrize("rate_per_s", [0.0, -1.0, float("nan"), float("inf"), 1e-9, 1e7])
def test_a_rate_that_no_limiter_can_keep_is_refused(rate_per_s: float, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="rate"):
        new_key("newsdesk", tmp_path / "keys.txt", rate_per_s=rate_per_s)


def test_a_key_is_not_added_where_it_would_be_lost_or_do_harm(made: Made, tmp_path: Path) -> None:
    # A taken name, a folder that is not there, and above all a file that holds something else.
    before = made.path.read_bytes()
    with pytest.raises(ConfigError, match=r"'archive' is taken"):
        new_key("archive", made.path)
    assert made.path.read_bytes() == before
    with pytest.raises(ConfigError, match="a directory that exists"):
        new_key("newsdesk", tmp_path / "missing" / "keys.txt")
    with pytest.raises(ConfigError, match="cannot be written"):
        new_key("newsdesk", tmp_path)
    article = tmp_path / "article.txt"
    article.write_text("The general vowed to burn the port.\n")
    with pytest.raises(ConfigError) as caught:
        new_key("newsdesk", article)
    assert "general" not in str(caught.value)
    assert article.read_text() == "The general vowed to burn the port.\n"


def test_a_full_disk_leaves_the_file_as_it_was(made: Made) -> None:
    # Half a line would keep the server from starting. The limit makes the kernel write a part of
    # the line and then refuse, as a full disk does.
    before = made.path.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 20, hard))
    try:
        with pytest.raises(ConfigError, match="no space"):
            new_key("evening", made.path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert made.path.read_bytes() == before


def test_keys_made_at_the_same_time_are_all_there_and_a_name_is_given_once(made: Made) -> None:
    # Two operators, one script in a loop: a lost line is a token that never works.
    names = [*(f"desk-{number}" for number in range(4)), *["same"] * 4]

    def make(name: str) -> str | None:
        with suppress(ConfigError):
            return new_key(name, made.path)
        return None

    with ThreadPoolExecutor(8) as pool:
        tokens = [token for token in pool.map(make, names) if token]
    file = KeyFile(made.path)
    found = [name_of(file, token) for token in tokens]
    assert sorted(filter(None, found)) == [*(f"desk-{number}" for number in range(4)), "same"]


def test_a_key_waits_for_another_that_is_being_added_and_then_sees_its_name(made: Made) -> None:
    # Between the look for the name and the write no other process may take it.
    lines = made.path.read_text().splitlines()
    taken = lines[1].replace("archive", "evening").replace("id=", "id=0")[:-1]
    with ThreadPoolExecutor(1) as pool, made.path.open("a") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        waiting = pool.submit(new_key, "evening", made.path)
        with pytest.raises(TimeoutError):
            waiting.result(timeout=0.4)
        other.write(taken + "\n")
        other.flush()
        fcntl.flock(other, fcntl.LOCK_UN)
        with pytest.raises(ConfigError, match="'evening' is taken"):
            waiting.result(timeout=5)


# Reading the file.


GOOD = "scrypt$16384$8$1$" + "s" * 22 + "$" + "h" * 43


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (f"a/b {GOOD} id=0123456789abcdef", "the name is not"),
        ("desk", "the second part is not scrypt"),
        ("desk id=0123456789abcdef", "the second part is not scrypt"),
        (f"desk {GOOD[:-1]} id=0123456789abcdef", "the second part is not scrypt"),
        (f"desk {GOOD}= id=0123456789abcdef", "the second part is not scrypt"),
        (f"desk {GOOD.replace('16384', '1024')} id=0123456789abcdef", "the cost of scrypt"),
        (f"desk {GOOD.replace('16384', '20000')} id=0123456789abcdef", "the cost of scrypt"),
        (f"desk {GOOD.replace('16384', '524288')} id=0123456789abcdef", "the cost of scrypt"),
        (f"desk {GOOD.replace('$8$', '$64$')} id=0123456789abcdef", "the cost of scrypt"),
        (f"desk {GOOD.replace('$1$', '$99$')} id=0123456789abcdef", "the cost of scrypt"),
        (f"desk {GOOD}", "id= is missing"),
        (f"desk {GOOD} id=", "id= is missing"),
        (f"desk {GOOD} id=0123456789ABCDEF", "id= is missing or is not"),
        (f"desk {GOOD} id=0123456789abcdef id=0123456789abcdef", "id= stands twice"),
        (f"desk {GOOD} id=0123456789abcdef scopes=", "scopes= is not"),
        (f"desk {GOOD} id=0123456789abcdef scopes=score,admin", "scopes= is not"),
        (f"desk {GOOD} id=0123456789abcdef rate=0", "rate= is outside"),
        (f"desk {GOOD} id=0123456789abcdef rate=nan", "rate= is outside"),
        (f"desk {GOOD} id=0123456789abcdef rate=1_0", "rate= is outside"),
        (f"desk {GOOD} id=0123456789abcdef rate=٣", "rate= is outside"),
        (f"desk {GOOD} id=0123456789abcdef rate=-5", "rate= is outside"),
        (f"desk {GOOD} id=0123456789abcdef scope=score", "unknown setting"),
        (f"desk {GOOD} id=0123456789abcdef rate", "unknown setting"),
        (f"desk {GOOD} id=0123456789abcdef # evening", "unknown setting"),
    ],
)
def test_a_bad_line_keeps_the_server_from_starting(line: str, problem: str, tmp_path: Path) -> None:
    # A key that its owner believes to be narrower, or to exist, is found out at the start.
    path = tmp_path / "keys.txt"
    path.write_text(line + "\n")
    (found,) = problems_of(path)
    assert found.startswith(f"line 1: {problem}")


def test_all_problems_of_a_file_are_named_at_once_and_never_what_they_hold(made: Made) -> None:
    # The report goes to a terminal or a log that others read.
    first, second = made.path.read_text().splitlines()
    made.path.write_bytes(
        f"# keys\r\n\r\n{first}\r\n{second.replace('archive', 'newsdesk')}\r\n".encode()
        + f"evening {first.split(' ', 1)[1]}\r\n".encode()
        + f"{made.desk}\r\n".encode()
        + b"desk\xff\xfe scrypt\r\n"
    )
    problems = problems_of(made.path)
    assert [problem.split(":")[0] for problem in problems] == [f"line {n}" for n in (4, 5, 6, 7)]
    assert problems[0] == "line 4: the name is that of line 3"
    assert problems[1] == "line 5: the id is that of line 3"
    held = [part for line in (first, second) for part in line.split("$")[4:]]
    assert not any(part.split()[0] in "".join(problems) for part in [*held, secret_of(made.desk)])


def test_comments_blank_lines_line_ends_and_order_do_not_matter(made: Made) -> None:
    # Files come from every editor, also with a byte-order mark and without a last line end.
    name, digest, *settings_ = made.path.read_text().splitlines()[0].split()
    line = "  ".join([name, digest, *reversed(settings_)])
    made.path.write_bytes(f"\ufeff# Schlüssel\r\n\r\n   # more\r\n  {line}".encode())
    key = find(KeyFile(made.path), made.desk)
    assert key is not None
    assert key.rate_per_s == 2.5


def test_a_line_of_which_a_part_is_missing_is_never_half_believed(made: Made) -> None:
    # A reader may come while the line is being written: rate=2.5 cut to rate=2 would be another
    # right. The id stands last for this reason.
    line = made.path.read_text().splitlines()[0]
    for length in range(1, len(line)):
        made.path.write_text(line[:length])
        assert len(problems_of(made.path)) == 1, length


@given(st.binary(max_size=200), st.integers(0, 400))
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_damaged_file_is_refused_or_read_and_nothing_else(
    pristine: Made, tmp_path: Path, noise: bytes, where: int
) -> None:
    # Any other error would be a traceback, or after the start a 500 to every caller.
    content = pristine.path.read_bytes()
    path = tmp_path / "keys.txt"
    path.write_bytes(content[:where] + noise + content[where:])
    problems: tuple[str, ...] = ()
    try:
        KeyFile(path)
    except ConfigError as error:
        problems = error.problems
    assert all(re.match(r"line \d+: ", problem) for problem in problems)


def test_what_is_no_key_file_is_refused_at_the_start_without_being_read(tmp_path: Path) -> None:
    # A pipe would be waited for, and a model read into memory, before anybody is told.
    pipe, model = tmp_path / "pipe", tmp_path / "model"
    os.mkfifo(pipe)
    with model.open("wb") as handle:
        handle.truncate(2**21)
    for path in (tmp_path / "missing", tmp_path, pipe, model):
        assert "cannot be read" in problems_of(path)[0]


# Admitting.


@pytest.mark.parametrize(
    "token",
    ["", "tocsin", "tocsin__", "Bearer x", "tocsin_0123456789abcdef_", "\ud800", "x" * 10**6],
)
def test_what_is_no_token_is_refused_without_a_scrypt(
    token: str, made: Made, scrypts: Scrypts
) -> None:
    file = KeyFile(made.path)
    assert find(file, token) is None
    assert scrypts.calls == 0


def test_every_character_of_a_token_counts(made: Made, scrypts: Scrypts) -> None:
    # base64url has spellings that decode to the same bytes; each would be one more valid token.
    file = KeyFile(made.path)
    last = made.archive[-1]
    for other in {"A", "B", "w", "-", "_"} - {last}:
        assert find(file, made.archive[:-1] + other) is None
    for token in (made.archive + "=", made.archive + "\n", " " + made.archive, made.archive[:-1]):
        assert find(file, token) is None
    crossed = made.archive.replace(secret_of(made.archive), secret_of(made.desk))
    assert find(file, crossed) is None
    assert find(file, made.archive) is not None


def test_a_right_token_costs_one_scrypt_and_then_none(made: Made, scrypts: Scrypts) -> None:
    # 50 ms for every request would be more than the answer itself takes.
    file = KeyFile(made.path)
    for _ in range(50):
        assert find(file, made.desk) is not None
    assert scrypts.calls == 1


def test_a_wrong_token_sent_again_and_again_costs_one_scrypt(made: Made, scrypts: Scrypts) -> None:
    # A tool with a revoked or mistyped key retries for ever.
    file = KeyFile(made.path)
    for _ in range(50):
        assert find(file, wrong(made.desk)) is None
    assert scrypts.calls == 1
    assert find(file, made.desk) is not None


def test_a_token_of_no_line_costs_no_scrypt(made: Made, scrypts: Scrypts) -> None:
    # Else anybody could keep a core busy with tokens that he makes up.
    file = KeyFile(made.path)
    for number in range(50):
        assert find(file, f"tocsin_{number:016x}_{WRONG_SECRET}") is None
    assert scrypts.calls == 0


def test_remembered_wrong_tokens_are_bounded(
    made: Made, scrypts: Scrypts, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Who sends new ones for ever must not fill the memory. The last ones are kept.
    monkeypatch.setattr(keys, "_MAX_FAILED", 3)
    file = KeyFile(made.path)
    for number in range(5):
        find(file, wrong(made.desk, number))
    find(file, wrong(made.desk, 4))
    assert scrypts.calls == 5
    find(file, wrong(made.desk, 0))
    assert scrypts.calls == 6
    for number in (3, 5, 3):
        find(file, wrong(made.desk, number))
    assert scrypts.calls == 7  # The third was used last when the fifth came, so it was kept.
    assert all(len(entry.failed) <= 3 for entry in file._entries.values())


def test_the_verdict_rests_on_the_constant_time_comparison_alone(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    # With == somewhere beside it, the answer's time would tell how much of a hash is right.
    asked: list[tuple[int, int]] = []

    def compare(one: bytes, other: bytes) -> bool:
        asked.append((len(one), len(other)))
        return is_equal

    monkeypatch.setattr(hmac, "compare_digest", compare)
    is_equal = False
    assert find(KeyFile(made.path), made.desk) is None
    is_equal = True
    assert find(KeyFile(made.path), wrong(made.desk)) is not None
    assert (32, 32) in asked


def test_a_flood_of_wrong_tokens_leaves_the_event_loop_and_other_keys_alone(
    made: Made, scrypts: Scrypts
) -> None:
    # Scrypts on the loop would stall every open request, and in a pool they would take every core
    # from the models.
    file = KeyFile(made.path)
    beats: list[float] = []

    async def beat() -> None:
        while True:
            beats.append(time.perf_counter())
            await asyncio.sleep(0.002)

    async def flood() -> tuple[list[Key | None], Key | None]:
        assert await file.find(made.archive) is not None
        scrypts.go.clear()
        wrongs = [asyncio.create_task(file.find(wrong(made.desk, n))) for n in range(8)]
        for _ in range(20):
            await asyncio.sleep(0.001)
            assert await file.find(made.archive) is not None
        heart = asyncio.create_task(beat())
        scrypts.go.set()
        answers = await asyncio.gather(*wrongs)
        heart.cancel()
        return answers, await file.find(made.archive)

    answers, key = asyncio.run(flood())
    assert answers == [None] * 8
    assert key is not None
    assert (scrypts.calls, scrypts.most_at_once) == (9, 1)
    # Loose, and the median: a busy machine may hold up some beats, a scrypt that keeps Python's
    # lock for its 50 ms would hold up all.
    assert median(after - before for before, after in pairwise(beats)) < 0.04


def test_more_wrong_tokens_at_once_than_can_be_checked_are_sent_away_to_come_again(
    made: Made, scrypts: Scrypts
) -> None:
    # A queue without a bound would grow as fast as somebody can send. Whether the token is right
    # is not known, so the answer is "later", which a client retries, and not "no".
    file = KeyFile(made.path)

    async def flood() -> list[Key | BaseException | None]:
        await file.find(made.archive)
        floods = [file.find(wrong(made.desk, number)) for number in range(30)]
        return await asyncio.gather(
            *floods, file.find(made.archive), file.find(made.desk), return_exceptions=True
        )

    *answers, archive, desk = asyncio.run(flood())
    sent_away = [answer for answer in answers if isinstance(answer, TooManyAttempts)]
    assert (len(sent_away), answers.count(None), scrypts.calls) == (22, 8, 9)
    assert isinstance(desk, TooManyAttempts)
    assert desk.retry_after_s > 0
    assert isinstance(archive, Key)
    assert name_of(file, made.desk) == "newsdesk"


def test_many_first_calls_of_one_token_share_one_scrypt(made: Made, scrypts: Scrypts) -> None:
    # A tool opens 32 connections as it starts: none of them may be refused, or wait for 32.
    file = KeyFile(made.path)

    async def call() -> list[Key | None]:
        right = [file.find(made.desk) for _ in range(32)]
        return await asyncio.gather(*right, *(file.find(wrong(made.desk)) for _ in range(32)))

    found = asyncio.run(call())
    assert [key is not None for key in found] == [True] * 32 + [False] * 32
    assert scrypts.calls == 2


def test_a_caller_who_leaves_takes_nobody_with_him(made: Made, scrypts: Scrypts) -> None:
    # His connection is gone, but another request waits for the same token.
    file = KeyFile(made.path)

    async def call() -> Key | None:
        leaving = asyncio.create_task(file.find(made.desk))
        staying = asyncio.create_task(file.find(made.desk))
        await asyncio.sleep(0)
        leaving.cancel()
        return await staying

    assert asyncio.run(call()) is not None
    assert scrypts.calls == 1


# The file changes while the server runs.


def test_deleting_a_line_revokes_its_key_at_once_and_no_other(made: Made) -> None:
    # A stolen key is revoked by somebody in a hurry; "at the next restart" is too late.
    file = KeyFile(made.path)
    assert [name_of(file, token) for token in (made.desk, made.archive)] == ["newsdesk", "archive"]
    lines = made.path.read_text().splitlines()
    made.path.write_text(lines[1] + "\n")
    assert [name_of(file, token) for token in (made.desk, made.archive)] == [None, "archive"]
    made.path.write_text("\n".join(["#" + lines[1], lines[0]]))
    assert [name_of(file, token) for token in (made.desk, made.archive)] == ["newsdesk", None]


def test_a_new_key_works_and_a_changed_right_holds_without_a_restart(made: Made) -> None:
    file = KeyFile(made.path)
    find(file, made.desk)
    token = new_key("evening", made.path)
    assert name_of(file, token) == "evening"
    made.path.write_text(made.path.read_text().replace("scopes=score,metrics", "scopes=score"))
    key = find(file, made.desk)
    assert key is not None
    assert key.scopes == {"score"}


def test_a_token_refused_before_its_key_was_there_is_admitted_after(made: Made) -> None:
    # What is remembered of wrong tokens must not outlive the file that made them wrong.
    file = KeyFile(made.path)
    good = made.path.read_text()
    broken = re.sub(r"\$[\w-]{43}", "$" + WRONG_SECRET, good)
    made.path.write_text(broken)
    assert find(file, made.desk) is None
    made.path.write_text(good)
    assert find(file, made.desk) is not None


@pytest.mark.parametrize("how", ["replaced", "time put back"])
def test_an_edit_that_keeps_the_size_or_the_time_is_seen(
    how: str, made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    # `sed -i` makes another file, and `cp -p` puts an old time on the same one. Here no file is
    # too young to be known by its stamp, so that the stamp alone must tell.
    monkeypatch.setattr(keys, "_SETTLED_NS", -1)
    file = KeyFile(made.path)
    assert name_of(file, made.archive) == "archive"
    before = made.path.stat()
    edited = made.path.read_text().replace("\narchive", "\n#rchive")
    if how == "replaced":
        scratch = made.path.with_suffix(".new")
        scratch.write_text(edited)
        scratch.replace(made.path)
    else:
        time.sleep(0.02)  # More than one tick of the kernel's clock.
        made.path.write_text(edited)
        os.utime(made.path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert find(file, made.archive) is None


def test_a_second_edit_within_one_tick_of_the_file_systems_clock_is_seen(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Such edits leave the same stamp (2 s on FAT, 1 s on older NFS); a revocation must not depend
    # on the moment it was made in. The clock here ticks so slowly that both fall into one tick.
    real_stat = Path.stat

    def coarse_stat(path: Path) -> os.stat_result:
        fields = real_stat(path)
        now_s = int(time.time())
        times = {f"st_{kind}time_ns": now_s // 1000 * 1000 * 10**9 for kind in "amc"}
        return os.stat_result(tuple(fields), times)

    monkeypatch.setattr(keys, "_SETTLED_NS", 2000 * 10**9)
    monkeypatch.setattr(Path, "stat", coarse_stat)
    file = KeyFile(made.path)
    assert name_of(file, made.archive) == "archive"
    made.path.write_text(made.path.read_text().replace("\narchive", "\n#rchive"))
    assert find(file, made.archive) is None


def test_an_old_file_is_not_read_again_for_every_request(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A look at its time stamps is enough once they cannot be those of a later edit too.
    monkeypatch.setattr(keys, "_SETTLED_NS", -1)
    file = KeyFile(made.path)
    monkeypatch.setattr(Path, "read_bytes", lambda _: pytest.fail("read again"))
    assert find(file, made.desk) is not None


def find_while_edited(made: Made, scrypts: Scrypts, old: str, new: str) -> Key | None:
    """The newsdesk's key, where ``old`` becomes ``new`` while its token is being checked."""
    file = KeyFile(made.path)

    async def call() -> Key | None:
        scrypts.go.clear()
        check = asyncio.create_task(file.find(made.desk))
        while not scrypts.running:
            await asyncio.sleep(0.001)
        made.path.write_text(made.path.read_text().replace(old, new))
        scrypts.go.set()
        return await check

    return asyncio.run(call())


def test_a_key_revoked_while_its_token_is_being_checked_is_refused(
    made: Made, scrypts: Scrypts
) -> None:
    # The check takes 50 ms; its outcome is about a line that is no longer there.
    assert find_while_edited(made, scrypts, "newsdesk", "#newsdesk") is None


def test_a_right_changed_while_the_token_is_being_checked_is_the_new_one(
    made: Made, scrypts: Scrypts
) -> None:
    # Else the first request after a limit was lowered would still have the old one.
    key = find_while_edited(made, scrypts, "rate=2.5", "rate=1.5")
    assert key is not None
    assert key.rate_per_s == 1.5


@pytest.mark.parametrize("how", ["gone", "a directory", "too large"])
def test_a_file_that_cannot_be_read_admits_nobody_until_it_is_back(
    how: str, made: Made, caplog: pytest.LogCaptureFixture
) -> None:
    # Fail closed, also for tokens that were right a moment ago; and one line in the log, not one
    # for each request.
    file = KeyFile(made.path)
    good = made.path.read_bytes()
    assert find(file, made.desk) is not None
    made.path.unlink()
    if how == "a directory":
        made.path.mkdir()
    elif how == "too large":
        made.path.write_bytes(good + b"#" * 2**20)
    with caplog.at_level(logging.INFO, "tocsin.keys"):
        assert [find(file, made.desk) for _ in range(3)] == [None] * 3
        (warning,) = warnings_in(caplog)
        assert warning.startswith("key file cannot be read (")
        assert warning.endswith("): nobody is admitted")
        if how == "a directory":
            made.path.rmdir()
        made.path.write_bytes(good)
        assert name_of(file, made.desk) == "newsdesk"
    assert caplog.messages[-1] == "key file read again, keys: 2"


def test_a_bad_line_added_later_is_left_out_and_told_once(
    made: Made, caplog: pytest.LogCaptureFixture
) -> None:
    # A slip in an editor must not lock out the newsroom; nor may the log repeat what was pasted.
    file = KeyFile(made.path)
    lines = made.path.read_text().splitlines()
    bad = [f"evening {made.desk}"] * 7
    made.path.write_text("\n".join([*bad, lines[1], lines[1].replace("score", "root"), ""]))
    with caplog.at_level(logging.INFO, "tocsin.keys"):
        for _ in range(3):
            assert name_of(file, made.archive) == "archive"
            assert find(file, made.desk) is None
    (warning,) = warnings_in(caplog)
    assert warning.startswith("key file has bad lines, left out: line 1: the second part is not")
    assert warning.endswith("; and 3 more")
    assert secret_of(made.desk) not in caplog.text
    assert lines[1].split("$")[-1].split()[0] not in caplog.text


def test_nothing_that_can_be_printed_of_a_key_file_gives_away_a_hash(made: Made) -> None:
    # A debugger, a log of locals or a failed assertion prints what objects say of themselves.
    file = KeyFile(made.path)
    find(file, made.desk)
    said = repr(vars(file)["_entries"])
    assert "newsdesk" in said
    for entry in file._entries.values():
        assert repr(entry.hash) not in said
        assert repr(entry.salt) not in said
