"""Why the service gave the client no result, as one small tree, and what an answer says of it.

    TocsinError
    └── ServiceError            no result, and why; itself for 5xx and for what cannot be read
        ├── Refused             4xx: what was sent, or the key, has to change
        ├── Overloaded          429, 503, still after the retries: the same request will do later
        ├── DeadlineExceeded    504: not answered within the time that the request gave
        └── Unreachable         no answer: no connection, out of time, or broken off

A message names URL, status, reason and request id, never text of an article.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from tocsin_models.errors import TocsinError
from tocsin_serving.client_records import Record, read_answer
from tocsin_serving.problems import FieldError


class ServiceError(TocsinError):
    """The service gave no result.

    ``status`` is None where nothing was answered; ``code``, ``detail`` and ``errors`` are those of
    the problem details (``problems.py``), and empty where the answer held none of ours.
    """

    # All have defaults, so that a process pool can pickle the error by its message.
    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        code: str = "",
        detail: str = "",
        request_id: str = "",
        errors: Sequence[FieldError] = (),
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.detail = detail
        self.request_id = request_id
        self.errors = tuple(errors)
        self.retry_after_s = retry_after_s


class Refused(ServiceError):
    """4xx: what was sent, or the key, has to change."""


class Overloaded(ServiceError):
    """429 or 503, still after the retries: the same request will do later."""


class DeadlineExceeded(ServiceError):
    """504: not answered within the time that the request gave."""


class Unreachable(ServiceError):
    """No answer: no connection, out of time, or broken off."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Problem:
    type: str = ""
    code: str = ""
    detail: str = ""
    errors: tuple[FieldError, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """An answer of any status. ``headers`` are looked up without regard to case."""

    url: str
    request_id: str
    status: int
    headers: Mapping[str, str]
    content: bytes = field(repr=False)

    def read(self, kind: type[Record]) -> Record:
        """The answer as a ``kind``. Raises ServiceError where it is not one."""
        more = {"request_id": self.request_id, "timing_ms": self._timing_ms()}
        try:
            return read_answer(kind, self.content, **more)
        except (ValueError, TypeError, AttributeError) as error:
            reason = str(error)
        # Not inside the block: the decoder's error would hang on ours, with the text in it.
        raise self.unreadable(reason)

    def unreadable(self, reason: str) -> ServiceError:
        return ServiceError(
            f"{self.url} answered {self.status}, but not as this client reads it: {reason}; "
            f"is that a Tocsin service of the same version? (request {self.request_id})",
            status=self.status,
            request_id=self.request_id,
        )

    def error(self) -> ServiceError:
        """Why this is no result, where ``status`` is not 200."""
        problem = self._problem()
        reason = problem.detail or "not in Tocsin's words; is the address right, and no redirect?"
        reasons = [reason, *(f"{item.field}: {item.message}" for item in problem.errors)]
        status = f"{self.status} {problem.code}".rstrip()
        return _kind(self.status)(
            f"{self.url} answered {status}: {'; '.join(reasons)} (request {self.request_id})",
            status=self.status,
            code=problem.code,
            detail=problem.detail,
            request_id=self.request_id,
            errors=problem.errors,
            retry_after_s=parse_retry_after(self.headers.get("Retry-After", "")),
        )

    def _problem(self) -> _Problem:
        """The problem details, empty unless our service wrote them: another's page is not quoted,
        because it may repeat what it was sent."""
        try:
            problem = read_answer(_Problem, self.content)
            return problem if problem.type.startswith("urn:tocsin:problem:") else _Problem()
        except (ValueError, TypeError, AttributeError):
            return _Problem()

    def _timing_ms(self) -> dict[str, float]:
        """The service's own stages; a proxy may have added others."""
        stages = re.findall(
            r"\b(queue|tokenise|infer);dur=(\d+(?:\.\d+)?)", self.headers.get("Server-Timing", "")
        )
        return {stage: float(duration_ms) for stage, duration_ms in stages}


def _kind(status: int) -> type[ServiceError]:
    if status in (429, 503):
        return Overloaded
    if status == 504:
        return DeadlineExceeded
    return Refused if 400 <= status < 500 else ServiceError


def parse_retry_after(value: str) -> float | None:
    """Seconds from now, of whole seconds or an HTTP date (RFC 9110, 10.2.3); None for neither."""
    if value.isdecimal():
        return float(value)
    try:
        date = parsedate_to_datetime(value).replace(tzinfo=UTC)  # HTTP dates are always in GMT
    except ValueError:
        return None
    return max((date - datetime.now(UTC)).total_seconds(), 0.0)
