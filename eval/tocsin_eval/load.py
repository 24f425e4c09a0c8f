"""A load generator: HTTP requests against a server on this machine, every one of them timed.

    python -m tocsin_eval.load PLAN.json OUTCOME.json      (``run_apart`` starts it so)

A closed loop keeps a number of connections busy: each sends its next request when the last one is
answered, as so many users would who wait for their answers. An open loop sends on a schedule drawn
beforehand, whatever the server does, as a public would that knows nothing of it.

A latency counts from the moment a request was *due*. Counted from the moment it was sent, a server
that stalls would be asked less often while it stalls, and the stall would be a single slow request
among thousands: coordinated omission (Gil Tene, "How NOT to Measure Latency"; his wrk2 counts as
we do). In a closed loop a request is due when the answer before it has come.
"""

import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from tocsin_models.errors import DataError

Array: TypeAlias = npt.NDArray[Any]

# Servers close idle connections (uvicorn after 5 s). We close ours first: a POST on a connection
# that is just being closed fails, and that failure would be the generator's (RFC 9112, 9.3).
_IDLE_S = 2.0

# A closed loop whose server is gone must not spin.
_AFTER_FAILURE_S = 0.05

# A key cannot stand so inside a JSON string, where quotation marks are escaped.
_ROW_ERROR = b'"error":'


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """``kind`` groups requests in the report; ``expects`` is the status that is right for it."""

    kind: str
    path: str
    body: str
    expects: int = 200
    method: str = "POST"
    content_type: str = "application/json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is sent: ``requests`` in turn, again from the first after the last.

    Without ``rate_per_s`` it is a closed loop of ``connections``, which begins ``ramp_s`` before
    the ``seconds`` that count and goes on after them until the last request of theirs is answered,
    so that the load is the same for all of them. With ``rate_per_s`` it is an open loop: a Poisson
    process of that rate, drawn with ``seed``, over at most ``connections``. A request that is not
    answered after ``timeout_s`` has failed.
    """

    url: str
    requests: Sequence[Request]
    seconds: float
    connections: int
    rate_per_s: float | None = None
    ramp_s: float = 0.0
    seed: int = 0
    timeout_s: float = 60.0

    def arrivals_s(self) -> Array:
        """When the requests of an open loop are due: given how many there are, the moments of a
        Poisson process are independent and uniform."""
        generator = np.random.default_rng(self.seed)
        arrivals = generator.poisson((self.rate_per_s or 0.0) * self.seconds)
        return np.sort(generator.uniform(0.0, self.seconds, arrivals))


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of a plan: arrays with one element a request, in the order of the answers.

    ``request`` is its index in the plan. ``due_s``, ``sent_s`` and ``done_s`` count from the start
    of the ``seconds`` (which was ``started_s`` of ``time.monotonic``); ``sent_s`` is when a
    connection was free for it. ``status`` is 0 without an answer, and ``failures`` says why.
    ``retry_after_s`` is 0 where the answer has none that is a whole number of at least 1.
    ``row_errors`` counts rows that failed inside a 200. ``cpu_s`` is what the generator itself used
    in ``wall_s``: it takes that from the server it measures.
    """

    request: Array
    due_s: Array
    sent_s: Array
    done_s: Array
    status: Array
    retry_after_s: Array
    row_errors: Array
    failures: Mapping[str, int]
    seconds: float
    started_s: float
    cpu_s: float
    wall_s: float

    @property
    def counts(self) -> Array:
        """Which requests were due in the seconds that count."""
        return np.asarray((self.due_s >= 0) & (self.due_s < self.seconds))

    @property
    def latency_s(self) -> Array:
        return np.asarray(self.done_s - self.due_s)

    @property
    def service_s(self) -> Array:
        """From the actual sending: what a generator that omits waiting would report."""
        return np.asarray(self.done_s - self.sent_s)

    def to_record(self) -> dict[str, Any]:
        record = {name: getattr(self, name) for name in _ARRAYS}
        return {name: values.tolist() for name, values in record.items()} | {
            name: getattr(self, name)
            for name in ("failures", "seconds", "started_s", "cpu_s", "wall_s")
        }


_ARRAYS = ("request", "due_s", "sent_s", "done_s", "status", "retry_after_s", "row_errors")


def retry_after(header: str | None) -> int:
    """Whole seconds of at least 1; 0 for everything else, a date among it: ours sends seconds."""
    text = header or ""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0


async def offer(plan: Plan) -> Outcome:
    """Carry out a plan in this event loop."""
    async with _clients(plan) as client:
        cpu_s, wall_s = time.process_time(), time.monotonic()
        await (client.closed_loop() if plan.rate_per_s is None else client.open_loop())
        cpu_s, wall_s = time.process_time() - cpu_s, time.monotonic() - wall_s
    rows = np.array(client.rows, dtype=np.float64).reshape(-1, len(_ARRAYS))
    columns = dict(zip(_ARRAYS, rows.T, strict=True))
    whole = ("request", "status", "retry_after_s", "row_errors")
    return Outcome(
        **{
            name: values.astype(np.int64) if name in whole else values
            for name, values in columns.items()
        },
        failures=dict(client.failures),
        seconds=plan.seconds,
        started_s=client.started_s,
        cpu_s=cpu_s,
        wall_s=wall_s,
    )


@asynccontextmanager
async def _clients(plan: Plan) -> AsyncIterator["_Client"]:
    import aiohttp

    # How many connections there are is ours to bound, so that waiting for one is seen.
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=_IDLE_S),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=plan.timeout_s),
        skip_auto_headers=("Accept-Encoding", "User-Agent"),
    ) as session:
        yield _Client(plan, session, (aiohttp.ClientError, TimeoutError, OSError))


@dataclass(slots=True)
class _Client:
    plan: Plan
    session: Any
    refused: tuple[type[Exception], ...]
    rows: list[tuple[float, ...]] = field(default_factory=list)
    failures: Counter[str] = field(default_factory=Counter)
    started_s: float = 0.0
    _numbers: Iterator[int] = field(default_factory=count)
    _pending: int = 0

    def _clock(self) -> float:
        return time.monotonic() - self.started_s

    async def closed_loop(self) -> None:
        self.started_s = time.monotonic() + self.plan.ramp_s
        await asyncio.gather(*(self._connection() for _ in range(self.plan.connections)))

    async def _connection(self) -> None:
        while (due_s := self._clock()) < self.plan.seconds or self._pending:
            counts = 0 <= due_s < self.plan.seconds
            self._pending += counts
            answered = await self._send(due_s)
            self._pending -= counts
            if not answered:
                await asyncio.sleep(_AFTER_FAILURE_S)

    async def open_loop(self) -> None:
        free = asyncio.Semaphore(self.plan.connections)

        async def on_a_free_connection(due_s: float) -> None:
            async with free:
                await self._send(due_s)

        arrivals_s = self.plan.arrivals_s().tolist()
        self.started_s = time.monotonic()
        async with asyncio.TaskGroup() as tasks:
            for due_s in arrivals_s:
                # Each wait is for a moment of the schedule, so that no delay adds up.
                if (early_s := due_s - self._clock()) > 0:
                    await asyncio.sleep(early_s)
                tasks.create_task(on_a_free_connection(due_s))

    async def _send(self, due_s: float) -> bool:
        """Send the next request and note what came of it; False where there was no answer."""
        number = next(self._numbers) % len(self.plan.requests)
        request = self.plan.requests[number]
        sent_s = self._clock()
        status = seconds = row_errors = 0
        try:
            async with self.session.request(
                request.method,
                self.plan.url + request.path,
                data=request.body.encode() if request.body else None,
                headers={"Content-Type": request.content_type},
            ) as answer:
                body = await answer.read()
                status = answer.status
                seconds = retry_after(answer.headers.get("Retry-After"))
                row_errors = body.count(_ROW_ERROR) if status == 200 else 0
        except self.refused as error:
            status = 0
            self.failures[type(error).__name__] += 1
        done_s = self._clock()
        self.rows.append((number, due_s, sent_s, done_s, status, seconds, row_errors))
        return bool(status)


def run_apart(plan: Plan, watch: Callable[[], object] | None = None) -> Outcome:
    """Carry out a plan in a process of its own, so that its work does not delay whoever measures;
    ``watch`` is called here once a second meanwhile.

    Raises:
        DataError: the process did not succeed.
    """
    with tempfile.TemporaryDirectory() as folder:
        told, outcome = Path(folder) / "plan.json", Path(folder) / "outcome.json"
        told.write_text(json.dumps(asdict(plan)), encoding="utf-8")
        # A session of its own: Ctrl-C is for us, who then kill it.
        process = subprocess.Popen(
            [sys.executable, "-m", "tocsin_eval.load", told, outcome], start_new_session=True
        )
        try:
            started_s = time.monotonic()
            for second in count(1):
                try:
                    process.wait(max(0.0, started_s + second - time.monotonic()))
                    break
                except subprocess.TimeoutExpired:
                    if watch:
                        watch()
        finally:
            process.kill()
            process.wait()
        if process.returncode:
            raise DataError(f"the load generator ended with code {process.returncode}")
        return read_outcome(outcome)


def warm_up(url: str, requests: Sequence[Request], seconds: float = 3.0) -> None:
    """Until first calls are behind it and its threads are there: eight connections, not counted."""
    run_apart(Plan(url=url, requests=requests, seconds=seconds, connections=8))


def read_plan(path: Path) -> Plan:
    values = json.loads(path.read_text(encoding="utf-8"))
    values["requests"] = [Request(**request) for request in values["requests"]]
    return Plan(**values)


def read_outcome(path: Path) -> Outcome:
    values = json.loads(path.read_text(encoding="utf-8"))
    return Outcome(**values | {name: np.array(values[name]) for name in _ARRAYS})


def main(arguments: Sequence[str] | None = None) -> int:
    plan, outcome = map(Path, sys.argv[1:] if arguments is None else arguments)
    found = asyncio.run(offer(read_plan(plan)))
    outcome.write_text(json.dumps(found.to_record()), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
