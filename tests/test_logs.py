"""What is logged: JSON lines that say what happened, and never a word of what was read."""

import asyncio
import io
import json
import logging
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pydantic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tocsin_models.errors import ModelDamaged
from tocsin_serving import logs

# Letters that no code, no path and no message of a library has: one of them in a line is a leak.
ALPHABET = "жщюяфъэ"
COPY = "жщюя фъэ"
copy_text = st.text(alphabet=ALPHABET + " \n'\"%s{}", min_size=1).map(lambda text: text + "ж")

FOREIGN = "newsroom.library"
Line = dict[str, Any]


@contextmanager
def logged_by(name: str) -> Iterator[tuple[logging.Logger, list[Line]]]:
    """A logger that writes through ``JsonLines`` alone, and the lines that it wrote."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logs.JsonLines())
    logger = logging.getLogger(name)
    before = logger.handlers, logger.propagate, logger.level
    logger.handlers, logger.propagate = [handler], False
    logger.setLevel(logging.DEBUG)
    lines: list[Line] = []
    try:
        yield logger, lines
    finally:
        logger.handlers, logger.propagate = before[0], before[1]
        logger.setLevel(before[2])
        lines.extend(json.loads(line) for line in stream.getvalue().splitlines())


def leaks(lines: object) -> bool:
    return bool(set(json.dumps(lines, ensure_ascii=False)) & set(ALPHABET))


def run_service(script: str, **environment: str) -> list[Line]:
    """The lines that a process writes which runs ``script`` after ``logs.configure()``.

    Fails where it writes anything else, on either stream. ``before()`` may be defined by a first
    part of the script, ended by ``---``: that runs before ``configure``.
    """
    before, _, after = script.rpartition("---\n")
    ran = subprocess.run(
        [sys.executable, "-X", "utf8", "-c", f"{before}\n{CONFIGURE}\n{after}"],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ran.stdout == ""
    return [json.loads(line) for line in ran.stderr.splitlines()]


CONFIGURE = "from tocsin_serving import logs; logs.configure()"


# Lines.


def test_a_line_says_when_how_grave_who_and_what() -> None:
    # What every log store indexes by; a time without a zone or in local time misleads for hours.
    with logged_by("tocsin.start") as (logger, lines):
        logger.warning("listening on port %d", 3000, extra={"models": 2})
    (line,) = lines
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["time"])
    assert abs(datetime.fromisoformat(line["time"]) - datetime.now(UTC)) < timedelta(minutes=1)
    del line["time"]
    assert line == {
        "level": "WARNING",
        "logger": "tocsin.start",
        "message": "listening on port 3000",
        "models": 2,
    }


def test_a_request_is_one_line_with_sizes_and_times_and_no_empty_fields() -> None:
    # The newsroom's first question is "who sent it, and where did the time go".
    with logged_by("tocsin.request") as (_, lines):
        logs.request_line(
            request_id="a1",
            key="desk",
            method="POST",
            route="/v1/analyse",
            status=200,
            code=None,
            bytes_in=1200,
            bytes_out=3400,
            passages=14,
            tokens=700,
            queue_ms=0.1234,
            tokenise_ms=1.0,
            infer_ms=20.009,
            total_ms=23.456,
        )
    (line,) = lines
    del line["time"]
    assert line == {
        "level": "INFO",
        "logger": "tocsin.request",
        "message": "POST /v1/analyse 200",
        "request_id": "a1",
        "key": "desk",
        "method": "POST",
        "route": "/v1/analyse",
        "status": 200,
        "bytes_in": 1200,
        "bytes_out": 3400,
        "passages": 14,
        "tokens": 700,
        "queue_ms": 0.12,
        "tokenise_ms": 1.0,
        "infer_ms": 20.01,
        "total_ms": 23.46,
    }


@pytest.mark.parametrize(("status", "level"), [(200, "INFO"), (503, "INFO"), (500, "ERROR")])
def test_only_a_fault_of_ours_is_an_error(status: int, level: str) -> None:
    # Refusals are what the service is for; as errors they would wake somebody for a busy hour.
    with logged_by("tocsin.request") as (_, lines):
        logs.request_line(request_id="a", method="GET", route="other", status=status, total_ms=1.0)
    assert [line["level"] for line in lines] == [level]


def test_a_method_that_a_client_made_up_is_not_logged() -> None:
    # HTTP lets a method be any token, and so any word of an article.
    with logged_by("tocsin.request") as (_, lines):
        logs.request_line(request_id="a", method=COPY, route="other", status=405, total_ms=1.0)
    assert lines[0]["method"] == "OTHER"
    assert not leaks(lines)


@given(text=st.text())
def test_no_text_can_end_a_line_or_begin_another(text: str) -> None:
    # A request id or a key name with a line break would forge lines.
    with logged_by("tocsin.start") as (logger, lines):
        logger.info("key %s", text, extra={"key": text})
    assert [(line["message"], line["key"]) for line in lines] == [(f"key {text}", text)]


def test_a_mistake_in_a_line_of_ours_does_not_cost_the_line() -> None:
    # The lines of rare faults are the least tested ones.
    with logged_by("tocsin.start") as (logger, lines):
        logger.error("%d keys of %s", "three")
        logger.error("%(keys)d keys", {"doors": 1})
    assert [line["message"] for line in lines] == ["%d keys of %s", "%(keys)d keys"]


# Exceptions.


class Passage(pydantic.BaseModel):
    text: int


def fail_plainly(text: str) -> None:
    raise ValueError(text)


def fail_with_a_cause(text: str) -> None:
    try:
        fail_plainly(text)
    except ValueError as error:
        raise RuntimeError(f"while reading {text}") from error


def fail_while_failing(text: str) -> None:
    try:
        fail_plainly(text)
    except ValueError:
        os.environ[text]


def fail_together(text: str) -> None:
    raise ExceptionGroup(text, [ValueError(text), ExceptionGroup(text, [KeyError(text)])])


def fail_in_json(text: str) -> None:
    json.loads(text)


def fail_in_pydantic(text: str) -> None:
    Passage.model_validate({"text": text})


def fail_in_decoding(text: str) -> None:
    (text.encode() + b"\xff").decode()


def fail_with_a_note(text: str) -> None:
    error = ValueError()
    error.add_note(text)
    raise error


FAILURES = [
    fail_plainly,
    fail_with_a_cause,
    fail_while_failing,
    fail_together,
    fail_in_json,
    fail_in_pydantic,
    fail_in_decoding,
    fail_with_a_note,
]


def log_as_traceback(logger: logging.Logger, error: Exception) -> None:
    logger.error("failed", exc_info=error)


def log_as_argument(logger: logging.Logger, error: Exception) -> None:
    logger.error("failed: %s, %r", error, [error], exc_info=error)


def log_as_mapping(logger: logging.Logger, error: Exception) -> None:
    logger.error("failed: %(error)s", {"error": error})


def log_as_message(logger: logging.Logger, error: Exception) -> None:
    logger.error(error)


def log_as_field(logger: logging.Logger, error: Exception) -> None:
    logger.error("failed", extra={"error": error, "errors": [error]}, stack_info=True)


def log_in_words(logger: logging.Logger, error: Exception) -> None:
    logger.error(f"failed: {error}", exc_info=error)


def log_in_words_and_arguments(logger: logging.Logger, error: Exception) -> None:
    logger.error(f"failed: {error!r}".replace("%", "") + " in %s", "parsing", exc_info=error)


def log_text_as_argument(logger: logging.Logger, error: Exception) -> None:
    logger.error("failed: %s", str(error), extra={"input": str(error)})


CARELESS = [log_in_words, log_in_words_and_arguments, log_text_as_argument]
CAREFUL = [log_as_traceback, log_as_argument, log_as_mapping, log_as_message, log_as_field]

Log = Callable[[logging.Logger, Exception], None]


@settings(max_examples=300, deadline=None)
@given(
    text=copy_text,
    fail=st.sampled_from(FAILURES),
    log=st.sampled_from([("tocsin.engine", log) for log in CAREFUL])
    | st.sampled_from([(FOREIGN, log) for log in [*CAREFUL, *CARELESS]]),
)
def test_no_part_of_what_a_library_says_of_its_input_is_logged(
    text: str, fail: Callable[[str], None], log: tuple[str, Log]
) -> None:
    # pydantic and json quote what they were given: one malformed request would put copy into a
    # log file that many can read.
    name, write = log
    with logged_by(name) as (logger, lines):
        try:
            fail(text)
        except Exception as error:
            write(logger, error)
    assert [line["level"] for line in lines] == ["ERROR"]
    assert not leaks(lines)


@pytest.mark.parametrize("log", [*CAREFUL, *CARELESS])
def test_the_usual_formatter_would_log_it(log: Log) -> None:
    # The rule above failing: each of these ways leaks where nobody minds it.
    stream = io.StringIO()
    logger = logging.Logger("usual")
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter("%(message)s %(error)s", defaults={"error": ""}))
    logger.addHandler(handler)
    try:
        fail_plainly(COPY)
    except ValueError as error:
        log(logger, error)
    assert leaks(stream.getvalue())


def test_an_exception_is_its_type_and_where_it_was_raised() -> None:
    # Without the message this is all there is to find the fault by.
    with logged_by("tocsin.engine") as (logger, lines):
        try:
            fail_with_a_cause(COPY)
        except RuntimeError as error:
            logger.error("batch failed", exc_info=error)
    raised, cause = lines[0]["error"]
    assert [raised["type"], cause["type"]] == ["RuntimeError", "ValueError"]
    here = r"tests/test_logs\.py:\d+ "
    assert re.fullmatch(here + "fail_with_a_cause", raised["frames"][-1])
    assert [re.sub(here, "", frame) for frame in cause["frames"]] == [
        "fail_with_a_cause",
        "fail_plainly",
    ]


def test_an_error_of_ours_is_told_in_its_own_words() -> None:
    # Its message names the file and the next step, and never copy (errors.py).
    message = "weights: model.safetensors is missing; install the package again"
    with logged_by("tocsin.engine") as (logger, lines):
        try:
            raise ModelDamaged(message)
        except ModelDamaged as error:
            logger.error("not ready: %s", error, exc_info=error)
    assert lines[0]["message"] == f"not ready: {message}"
    assert lines[0]["error"][0]["message"] == message


def test_a_heir_of_our_errors_elsewhere_is_not_trusted() -> None:
    class Quoting(ModelDamaged):
        pass

    with logged_by("tocsin.engine") as (logger, lines):
        logger.error("not ready: %s", Quoting(COPY), exc_info=Quoting(COPY))
    assert not leaks(lines)


def test_a_fault_a_thousand_calls_deep_is_still_a_short_line() -> None:
    # Deeply nested JSON ends in a RecursionError; a line of 100 kB for each would fill a disk.
    def descend(depth: int) -> None:
        descend(depth + 1)

    with logged_by("tocsin.engine") as (logger, lines):
        try:
            descend(0)
        except RecursionError as error:
            logger.error("failed", exc_info=error)
    assert len(json.dumps(lines)) < 5_000
    assert lines[0]["error"][0]["type"] == "RecursionError"


def test_causes_that_go_in_a_circle_end() -> None:
    first, second = ValueError(COPY), KeyError(COPY)
    first.__cause__, second.__cause__ = second, first
    with logged_by("tocsin.engine") as (logger, lines):
        logger.error("failed", exc_info=first)
    assert [each["type"] for each in lines[0]["error"]] == ["ValueError", "KeyError"]


# What others say.


def test_a_foreign_message_is_shown_where_it_is_a_literal() -> None:
    # "Invalid HTTP request received." helps; what is put together may hold what was received.
    with logged_by(FOREIGN) as (logger, lines):
        logger.warning("Invalid HTTP request received.")
        logger.warning("%d connections from %s", 3, COPY)
        logger.warning("request of " + COPY[:4].upper())
    assert [line["message"] for line in lines] == [
        "Invalid HTTP request received.",
        "%d connections from %s",
        logs.LEFT_OUT,
    ]
    assert all(
        re.fullmatch(r"tests/test_logs\.py:\d+ test_a_foreign\w+", line["at"]) for line in lines
    )


def test_a_name_that_only_begins_like_ours_is_foreign() -> None:
    with logged_by("tocsinary") as (logger, lines):
        logger.warning("read %s", COPY)
    assert [line["message"] for line in lines] == ["read %s"]


def test_a_forgotten_task_does_not_tell_what_it_failed_on() -> None:
    # asyncio puts the exception's message into its own message, without arguments.
    async def forget() -> None:
        task = asyncio.create_task(fail_later())
        await asyncio.sleep(0.01)
        del task

    async def fail_later() -> None:
        fail_plainly(COPY)

    with logged_by("asyncio") as (_, lines):
        asyncio.run(forget())
    assert [line["message"] for line in lines if line["level"] == "ERROR"] == [logs.LEFT_OUT]
    assert [each["type"] for line in lines for each in line.get("error", [])] == ["ValueError"]
    assert not leaks(lines)


# The process as a whole.


def test_one_handler_is_left_of_all_that_were_installed() -> None:
    # BentoML and uvicorn print their own formats to standard output; a second handler doubles
    # every line.
    lines = run_service(
        """
import logging.config
from bentoml._internal.log import configure_server_logging
from uvicorn.config import LOGGING_CONFIG
early = logging.getLogger("tocsin.early")
logging.config.dictConfig(LOGGING_CONFIG)
configure_server_logging()
assert early.disabled
logging.getLogger("quiet.library").setLevel(logging.CRITICAL)
---
logs.configure()
early.info("ours")
for name in ("bentoml", "bentoml.serve", "uvicorn", "uvicorn.error", "circus", "other"):
    logging.getLogger(name).info("not heard")
    logging.getLogger(name).warning("heard")
for name in ("uvicorn.access", "bentoml.access", "quiet.library"):
    logging.getLogger(name).error("not heard")
assert not logging.getLogger("uvicorn.access").hasHandlers()
""",
        BENTOML_DO_NOT_TRACK="True",
    )
    assert [(line["logger"], line["message"]) for line in lines] == [
        ("tocsin.early", "ours"),
        ("bentoml", "heard"),
        ("bentoml.serve", "heard"),
        ("uvicorn", "heard"),
        ("uvicorn.error", "heard"),
        ("circus", "heard"),
        ("other", "heard"),
    ]


def test_the_level_is_ours_and_never_opens_the_others() -> None:
    lines = run_service(
        """
import logging
logs.configure("ERROR")
logging.getLogger("tocsin.a").warning("not heard")
logging.getLogger("other").warning("not heard")
logs.configure("DEBUG")
logging.getLogger("tocsin.a").debug("ours")
logging.getLogger("other").info("not heard")
"""
    )
    assert [line["message"] for line in lines] == ["ours"]
    with pytest.raises(ValueError, match="LOUD"):
        logs.configure("LOUD")


def test_what_nobody_caught_is_a_line_without_its_message() -> None:
    # Python prints message and all for an error in a thread, in __del__ or at the very end.
    lines = run_service(
        f"""
import threading
def fail():
    raise ValueError({COPY!r})
class Closing:
    def __del__(self):
        fail()
thread = threading.Thread(target=fail)
thread.start()
thread.join()
closing = Closing()
del closing
fail()
"""
    )
    assert [(line["level"], line["error"][0]["type"]) for line in lines] == [
        ("ERROR", "ValueError"),
        ("ERROR", "ValueError"),
        ("CRITICAL", "ValueError"),
    ]
    assert not leaks(lines)


def test_a_warning_of_ours_is_told_and_a_foreign_one_only_where_it_is_a_literal() -> None:
    # The cache that cannot be written is said by a warning; numpy's and pydantic's quote values.
    lines = run_service(
        f"""
import warnings
def run(module, source):
    exec(compile(source, "/srv/lib/reader/parse.py", "exec"), {{"__name__": module}})
run("tocsin_models.backends", "import warnings; warnings.warn('no ' + 'cache'.upper())")
run("reader", "import warnings; warnings.warn('is deprecated', DeprecationWarning)")
run("reader", "import warnings; warnings.warn('cannot read ' + {COPY!r}.title(), UserWarning)")
""",
        PYTHONWARNINGS="always",
    )
    assert [(line["message"], line["category"]) for line in lines] == [
        ("no CACHE", "UserWarning"),
        ("is deprecated", "DeprecationWarning"),
        (logs.LEFT_OUT, "UserWarning"),
    ]
    assert {line["at"] for line in lines} == {"reader/parse.py:1"}
    assert not leaks(lines)


def test_a_line_that_cannot_be_written_is_said_to_be_lost() -> None:
    # logging's own way prints the message with all its arguments, as no JSON.
    lines = run_service(
        f"""
import logging
circle = []
circle.append(circle)
logging.getLogger("tocsin.a").info("a", extra={{"text": {COPY!r}, "circle": circle}})
"""
    )
    assert [(line["level"], line["message"]) for line in lines] == [
        ("ERROR", "a line of tocsin.a was lost")
    ]
    assert not leaks(lines)


def test_a_closed_standard_error_stops_nothing() -> None:
    # A log collector that died must not take the service with it.
    script = """
import logging, os
os.close(2)
logging.getLogger("tocsin").error("a")
os._exit(3)  # got here
"""
    ran = subprocess.run([sys.executable, "-c", CONFIGURE + script], timeout=60)
    assert ran.returncode == 3


UVICORN = """
import asyncio, logging, socket
import uvicorn
---
async def answer(scope, receive, send):
    raise ValueError(COPY + scope["path"] + scope["query_string"].decode())

async def main():
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(answer, log_config=None, lifespan="off", http=HTTP)
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    while not server.started:
        await asyncio.sleep(0.01)
    for request in (f"GET /{SENTINEL}?q={SENTINEL} HTTP/1.1", f"{SENTINEL} {SENTINEL}"):
        reader, writer = await asyncio.open_connection(*listener.getsockname())
        writer.write(f"{request}\\r\\nHost: a\\r\\nConnection: close\\r\\n\\r\\n".encode())
        await reader.read()
        writer.close()
    server.should_exit = True
    await serving

asyncio.run(main())
"""


@pytest.mark.parametrize("parser", ["h11", "httptools"])
def test_a_web_server_that_fails_logs_neither_path_nor_message(parser: str) -> None:
    # uvicorn logs each path, and each exception with its message, unless it is kept from it.
    names = f"COPY = {COPY!r}; SENTINEL = 'SENTINEL'; HTTP = {parser!r}\n"
    lines = run_service(names + UVICORN)
    assert [(line["logger"], line["level"]) for line in lines] == [
        ("uvicorn.error", "ERROR"),
        ("uvicorn.error", "WARNING"),
    ]
    assert lines[0]["error"][0]["type"] == "ValueError"
    assert lines[1]["message"] == "Invalid HTTP request received."
    assert not leaks(lines)
    assert "SENTINEL" not in json.dumps(lines)
