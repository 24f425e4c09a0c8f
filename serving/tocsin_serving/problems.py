"""What the service refuses, as problem details (RFC 9457): one table of codes, one way to write.

A problem never carries text of an article; details name the thing, the value's kind, the allowed
range and the next step.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any

from tocsin_models.errors import (
    ConfigError,
    EmptyInput,
    InputError,
    LanguageRefused,
    TocsinError,
)

MEDIA_TYPE = "application/problem+json"

# code -> (HTTP status, title). The status of 408 and of 415 for an encoding follow RFC 9110, 15.5.
CODES = {
    "unauthorised": (401, "A valid key is needed"),
    "forbidden": (403, "Not allowed"),
    "not_found": (404, "No such resource"),
    "method_not_allowed": (405, "Method not allowed"),
    "body_too_slow": (408, "The body did not arrive in time"),
    "body_too_large": (413, "The body is too large"),
    "unsupported_media_type": (415, "Unsupported media type or encoding"),
    "invalid_request": (422, "The request is not valid"),
    "unreadable_article": (422, "Nothing to read"),
    "language_refused": (422, "A language that the models do not read"),
    "queue_full": (429, "Too much work is waiting"),
    "rate_limited": (429, "Too many requests with this key"),
    "internal": (500, "A fault of the service"),
    "inference_failed": (500, "The model failed on this input"),
    "draining": (503, "The service is shutting down"),
    "not_ready": (503, "The models do not answer yet, or no longer"),
    "deadline_exceeded": (504, "The deadline passed"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldError:
    """What is wrong with one field, without its value."""

    field: str
    message: str


class Problem(Exception):
    """A refusal with one of ``CODES``; ``headers`` go out with it."""

    def __init__(
        self,
        code: str,
        detail: str,
        *,
        errors: Sequence[FieldError] = (),
        retry_after_s: float | None = None,
        headers: Sequence[tuple[str, str]] = (),
    ) -> None:
        super().__init__(code)
        self.code = code
        self.status, self.title = CODES[code]
        self.detail = detail
        self.errors = tuple(errors)
        self.headers = tuple(headers)
        if retry_after_s is not None:
            self.headers += (("retry-after", str(max(1, ceil(retry_after_s)))),)

    def to_body(self, request_id: str) -> bytes:
        """The JSON object, in UTF-8."""
        record: dict[str, Any] = {
            "type": f"urn:tocsin:problem:{self.code}",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "code": self.code,
            "request_id": request_id,
        }
        if self.errors:
            record["errors"] = [
                {"field": error.field, "message": error.message} for error in self.errors
            ]
        return json.dumps(record, ensure_ascii=False).encode()


def deadline_exceeded(timeout_s: float, max_timeout_s: float) -> Problem:
    return Problem(
        "deadline_exceeded",
        f"the answer was not there within {timeout_s:g} s; send less at once, or allow more, up to "
        f"{max_timeout_s:g} s, in X-Request-Timeout"
        if timeout_s < max_timeout_s
        else f"the answer was not there within {timeout_s:g} s, the most that this service allows; "
        "send less at once, or ask for a larger --max-timeout",
    )


def to_problem(error: TocsinError) -> Problem:
    """Our own errors as a caller over HTTP sees them."""
    match error:
        case EmptyInput():
            return Problem(
                "unreadable_article",
                "the article holds nothing but white space, or is HTML without visible text; "
                "send its text",
            )
        case InputError():
            return Problem("unreadable_article", "the article cannot be read as text")
        case LanguageRefused():
            return Problem("language_refused", str(error))
        case ConfigError():
            errors = [
                FieldError(field=field, message=message.strip())
                for field, _, message in (problem.partition(":") for problem in error.problems)
            ]
            return Problem("invalid_request", "an option cannot be used", errors=errors)
        case _:
            return Problem("internal", "the service cannot use its model; see its log")
