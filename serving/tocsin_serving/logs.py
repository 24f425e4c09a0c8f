"""What the service writes: JSON objects, one a line, on standard error, and never any copy.

Our own loggers ("tocsin" and below it) are trusted with their messages and extra fields. What
others say is not, because foreign messages quote what was read: pydantic its ``input_value``,
json its ``doc``, asyncio the exception of a task. So

* an exception is its type and its frames, never its message, unless it is one of
  ``tocsin_models.errors``;
* a foreign message is its template, and only where that is a literal of the function that logs;
* a foreign warning likewise; ours are shown whole.
"""

import json
import logging
import os
import sys
import threading
import traceback
import warnings
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import PurePath
from types import FrameType, TracebackType
from typing import Any, Required, TextIO, TypedDict, Unpack

from tocsin_models import errors

# A client may send any token as a method. Whatever is seen from outside says one of these, or
# that it was another.
METHODS = frozenset({"GET", "POST", "HEAD", "OPTIONS", "PUT", "DELETE", "PATCH"})
OTHER_METHOD = "OTHER"

LEFT_OUT = "(left out: it may quote what was read)"

# They print raw paths, which hold whatever a client sent. Ours is request_line.
_ACCESS_LOGGERS = ("uvicorn.access", "bentoml.access")
# JSON nested too deep ends in a RecursionError of 1,000 equal frames; the innermost tell where.
_MAX_FRAMES = 30
_MAX_CHAINED = 8
# What ``%s`` may print of: anything else (an exception, a list with one in it) is named by type.
_PRINTABLE = (str, int, float, PurePath, type(None))
_RECORD_FIELDS = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}

_requests = logging.getLogger("tocsin.request")
_uncaught = logging.getLogger("tocsin.uncaught")
_warned = logging.getLogger("tocsin.warning")


class RequestFields(TypedDict, total=False):
    """One request, without a word of what was sent. Sizes in bytes, times in milliseconds.

    ``route`` is the template, never the path; ``key`` the key's name, never the token; ``code``
    the code of the problem that was answered.
    """

    request_id: Required[str]
    method: Required[str]
    route: Required[str]
    status: Required[int]
    total_ms: Required[float]
    key: str | None
    code: str | None
    bytes_in: int | None
    bytes_out: int | None
    passages: int | None
    tokens: int | None
    queue_ms: float | None
    tokenise_ms: float | None
    infer_ms: float | None


def request_line(**fields: Unpack[RequestFields]) -> None:
    """Log one request that was answered; what is None is left out. A 500 is an error."""
    status, route = fields["status"], fields["route"]
    level = logging.ERROR if status == 500 else logging.INFO
    if not _requests.isEnabledFor(level):
        return
    if fields["method"] not in METHODS:
        fields["method"] = OTHER_METHOD
    shown = {
        name: round(value, 2) if isinstance(value, float) else value
        for name, value in fields.items()
        if value is not None
    }
    _requests.log(level, "%s %s %d", fields["method"], route, status, extra=shown)


def configure(level: str = "INFO") -> None:
    """Make JSON lines on standard error the only thing that this process logs.

    ``level`` is for our own loggers; others are heard from WARNING on. Call it after whatever
    sets up logging itself (BentoML's worker does, before it loads a service): all their handlers
    are taken away, and loggers that they disabled speak again. Calling it twice is calling it once.

    Raises:
        ValueError: ``level`` is not the name of a level.
    """
    ours = logging.getLogger("tocsin")
    ours.setLevel(level)
    handler = _Handler(sys.stderr)
    handler.setFormatter(JsonLines())
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(max(logging.WARNING, ours.level))
    for logger in list(logging.root.manager.loggerDict.values()):
        if isinstance(logger, logging.Logger) and logger is not ours:
            # Whoever made a library quieter than this (markup.py, tracing.py) keeps that.
            if logger.level < root.level:
                logger.setLevel(logging.NOTSET)
            _take_over(logger)
    _take_over(ours)
    for name in _ACCESS_LOGGERS:
        access = logging.getLogger(name)
        # uvicorn formats no access line at all where its logger has no handler to reach.
        access.propagate, access.disabled = False, True
    warnings.showwarning = _log_warning
    sys.excepthook = _log_uncaught
    threading.excepthook = _log_uncaught_in_thread
    sys.unraisablehook = _log_unraisable


def type_name(value: object) -> str:
    """The name of a value's type, with its module unless that is Python's own."""
    kind = type(value)
    prefix = "" if kind.__module__ == "builtins" else f"{kind.__module__}."
    return prefix + kind.__qualname__


# In ASCII, so that no line separator of Unicode and no lone surrogate gets out.
_ENCODER = json.JSONEncoder(default=type_name)


class JsonLines(logging.Formatter):
    """A record as one line of JSON in ASCII: time, level, logger, message, then what else is known.

    It must run in the call that logs, as a handler's formatter does: it looks at the frame of
    whoever logs. From another thread foreign messages are left out.
    """

    def format(self, record: logging.LogRecord) -> str:
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line: dict[str, Any] = {
            "time": f"{time[:-6]}Z",
            "level": record.levelname,
            "logger": record.name,
        }
        if record.name == "tocsin" or record.name.startswith("tocsin."):
            line["message"] = _own_message(record)
            line |= {
                name: value for name, value in vars(record).items() if name not in _RECORD_FIELDS
            }
        else:
            line["message"] = _template(record.msg, _caller())
            line["at"] = _location(record.pathname, record.lineno, record.funcName)
        if record.exc_info and record.exc_info[1]:
            line["error"] = _describe(record.exc_info[1])
        return _ENCODER.encode(line)


class _Handler(logging.StreamHandler[TextIO]):
    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """Say that a line was lost. The library's own way prints the message and its arguments."""
        fields = {"name": "tocsin.logs", "levelname": "ERROR", "msg": "a line of %s was lost"}
        lost = logging.makeLogRecord(fields | {"args": (record.name,)})
        try:
            self.stream.write(self.format(lost) + self.terminator)
        except (OSError, ValueError):
            return  # standard error is full or closed: there is nowhere left to say it


def _take_over(logger: logging.Logger) -> None:
    logger.handlers.clear()
    logger.propagate, logger.disabled = True, False


def _own_message(record: logging.LogRecord) -> str:
    message = str(_printable(record.msg))
    if not record.args:
        return message
    args = record.args
    try:
        if isinstance(args, Mapping):
            return message % {name: _printable(value) for name, value in args.items()}
        return message % tuple(_printable(value) for value in args)
    except (TypeError, ValueError, KeyError):
        return message  # a mistake of ours in a rarely run line must not cost the line


def _printable(value: object) -> object:
    is_ours = type(value).__module__ == errors.__name__
    return value if is_ours or isinstance(value, _PRINTABLE) else type_name(value)


def _template(message: object, frame: FrameType | None) -> str:
    """``message`` where it is a literal of the function in ``frame``, so that no input is in it."""
    if isinstance(message, str) and frame and message in frame.f_code.co_consts:
        return message
    return LEFT_OUT


def _caller() -> FrameType | None:
    """The frame that called ``logging`` or ``warnings``, which called this module."""
    frame: FrameType | None = sys._getframe(1)
    while frame and frame.f_globals.get("__name__") in (__name__, "logging", "warnings"):
        frame = frame.f_back
    return frame


def _describe(error: BaseException) -> list[dict[str, Any]]:
    """What was raised, what caused it, and the members of a group: types and frames, by turns."""
    found: list[dict[str, Any]] = []
    seen: set[int] = set()
    waiting = [error]
    while waiting and len(found) < _MAX_CHAINED:
        error = waiting.pop(0)
        if id(error) in seen:
            continue
        seen.add(id(error))
        described: dict[str, Any] = {"type": type_name(error)}
        if type(error).__module__ == errors.__name__:
            described["message"] = str(error)
        found.append(described | {"frames": _frames(error.__traceback__)})
        cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
        if cause:
            waiting.append(cause)
        if isinstance(error, BaseExceptionGroup):
            waiting.extend(error.exceptions)
    return found


def _frames(trace: TracebackType | None) -> list[str]:
    """Outermost first, at most the innermost ``_MAX_FRAMES``."""
    return [
        _location(frame.f_code.co_filename, line, frame.f_code.co_name)
        for frame, line in list(traceback.walk_tb(trace))[-_MAX_FRAMES:]
    ]


def _location(path: str, line: int, function: str | None = None) -> str:
    """``tocsin_serving/door.py:12 answer``: enough to find it, nothing about the machine."""
    short = "/".join(path.replace(os.sep, "/").split("/")[-2:])
    return f"{short}:{line} {function}" if function else f"{short}:{line}"


def _log_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """In place of ``warnings.showwarning``. ``filename`` is whom it is about, not who warns."""
    caller = _caller()
    package = caller.f_globals.get("__name__", "").partition(".")[0] if caller else ""
    is_ours = package in ("tocsin_models", "tocsin_serving")
    _warned.warning(
        "%s",
        str(message) if is_ours else _template(str(message), caller),
        extra={"category": category.__qualname__, "at": _location(filename, lineno)},
    )


# Python's own hooks print the message of whatever reaches them.


def _log_uncaught(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    _uncaught.critical("uncaught: the process ends", exc_info=(kind, error, trace))


def _log_uncaught_in_thread(args: threading.ExceptHookArgs) -> None:
    if args.exc_value and not isinstance(args.exc_value, SystemExit):
        _uncaught.error("uncaught: a thread ends", exc_info=args.exc_value)


def _log_unraisable(args: "sys.UnraisableHookArgs") -> None:
    _uncaught.error("ignored: raised where nothing can catch it", exc_info=args.exc_value)
