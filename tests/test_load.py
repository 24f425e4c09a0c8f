"""The HTTP benchmarks' own instruments, held against a real server whose answers are known."""

import asyncio
import io
import os
import signal
import subprocess
import sys
import threading
import time
from argparse import Namespace
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console
from tokenizers import Tokenizer

from tocsin_eval import bench_http, bench_overload, http_server, soak
from tocsin_eval.data import read_passages
from tocsin_eval.http_memory import (
    Levels,
    Memory,
    is_alive,
    levels,
    process_tree,
    read_memory,
    slope_per_hour,
    sparkline,
)
from tocsin_eval.http_report import Bench, failures
from tocsin_eval.http_requests import newsroom_mix, pick_passages
from tocsin_eval.http_stats import (
    broken_refusals,
    percentiles,
    rate,
    statuses,
    succeeded,
    with_status,
)
from tocsin_eval.load import Outcome, Plan, Request, offer, retry_after, run_apart
from tocsin_models.errors import DataError
from tocsin_models.manifest import EMBEDDED

STALL_S = 1.0


@dataclass(slots=True)
class Seen:
    """What the server noted of its requests."""

    url: str = ""
    paths: Counter[str] = field(default_factory=Counter)
    at_once: int = 0
    most_at_once: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)
    stalled_s: tuple[float, float] = (0.0, 0.0)


@pytest.fixture
def server() -> Iterator[Seen]:
    """Answers as its paths say: after a wait, with a status, with or without Retry-After; and
    ``/stall`` keeps every other request waiting for a second."""
    seen = Seen()
    open_to_all = threading.Event()
    open_to_all.set()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # or each answer waits 40 ms for an acknowledgement

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            with seen.lock:
                seen.paths[self.path] += 1
                seen.at_once += 1
                seen.most_at_once = max(seen.most_at_once, seen.at_once)
                stalls = self.path == "/stall" and seen.paths["/stall"] == 20
            if stalls:
                open_to_all.clear()
                began_s = time.monotonic()
                time.sleep(STALL_S)
                seen.stalled_s = (began_s, time.monotonic())
                open_to_all.set()
            open_to_all.wait()
            kind, _, value = self.path[1:].partition("/")
            if kind == "wait":
                time.sleep(float(value))
            body = b'{"results": [{"error": {}}, {"error": {}}]}' if kind == "rows" else b"{}"
            with seen.lock:
                seen.at_once -= 1
            status, _, header = value.partition("/") if kind == "status" else ("200", "", "")
            self.send_response(int(status))
            self.send_header("Content-Length", str(len(body)))
            if header:
                self.send_header("Retry-After", header)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *values: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 128

    with Server(("127.0.0.1", 0), Handler) as listening:
        thread = threading.Thread(target=listening.serve_forever, args=(0.05,))
        thread.start()
        seen.url = f"http://127.0.0.1:{listening.server_address[1]}"
        try:
            yield seen
        finally:
            listening.shutdown()
            thread.join()


def plan(server: Seen, *paths: str, **values: Any) -> Plan:
    asked = [Request(kind=path, path=path, body="{}") for path in paths]
    defaults = {"seconds": 0.5, "connections": 1}
    return Plan(url=server.url, requests=asked, **defaults | values)


def run(plan: Plan) -> Outcome:
    return asyncio.run(offer(plan))


def test_a_latency_is_at_least_what_the_server_took(server: Seen) -> None:
    # One request in ten is slow: the median must not see it and the 99th percentile must.
    outcome = run(plan(server, *["/wait/0"] * 9, "/wait/0.2", seconds=1.0))
    assert len(outcome.status) >= 10
    median, p99 = percentiles([outcome], shares=(0.5, 0.99), resamples=10)
    assert median.value < 0.2 <= p99.value
    slow = outcome.request == 9
    assert (outcome.latency_s[slow] >= 0.2).all()


def test_a_closed_loop_keeps_its_connections_busy_and_no_more(server: Seen) -> None:
    outcome = run(plan(server, "/wait/0.02", connections=5, ramp_s=0.2))
    assert server.most_at_once == 5
    # What came before the seconds that count, and after them, is not counted.
    assert 0 < outcome.counts.sum() < len(outcome.status) == server.paths["/wait/0.02"]
    assert outcome.due_s.min() < 0 <= outcome.due_s[outcome.counts].min()
    assert outcome.due_s[outcome.counts].max() < outcome.seconds


def test_the_load_is_kept_up_until_the_last_request_that_counts_is_answered(server: Seen) -> None:
    # Else the last requests would run on an empty server and look fast.
    paths = ["/wait/0.6", *["/wait/0.02"] * 60]
    outcome = run(plan(server, *paths, seconds=0.3, connections=2))
    last_s = outcome.done_s[outcome.counts].max()
    assert last_s >= 0.6
    assert ((outcome.due_s > 0.4) & (outcome.done_s <= last_s)).any()


def test_an_open_loop_goes_on_sending_while_the_server_stalls(server: Seen) -> None:
    # A generator that waits for the server would ask it less while it stalls: coordinated omission.
    outcome = run(plan(server, "/stall", rate_per_s=50.0, seconds=2.0, connections=200))
    began_s, ended_s = (at_s - outcome.started_s for at_s in server.stalled_s)
    assert ended_s > began_s
    during = (outcome.due_s > began_s) & (outcome.due_s < ended_s - 0.4)
    assert during.sum() > 10
    # Of a loop that waits, none; of ours all but the few that a busy machine delays.
    assert (outcome.sent_s[during] < ended_s).mean() > 0.5
    assert (outcome.done_s[during] >= ended_s).all()
    assert (outcome.status == 200).all()


def test_a_latency_counts_from_when_the_request_was_due(server: Seen) -> None:
    # On one connection requests wait for the stalled one before they are sent. Counted from the
    # sending, a single request in sixty would be slow; counted from the schedule, most are.
    outcome = run(plan(server, "/stall", rate_per_s=40.0, seconds=1.5, connections=1))
    assert (outcome.service_s > STALL_S / 2).sum() == 1
    assert (outcome.latency_s > STALL_S / 2).sum() > 5
    assert (outcome.latency_s >= outcome.service_s).all()


def test_arrivals_are_a_poisson_process_that_the_seed_repeats() -> None:
    one = Plan(url="", requests=(), seconds=1000.0, connections=1, rate_per_s=20.0, seed=3)
    arrivals = one.arrivals_s()
    assert arrivals.tolist() == one.arrivals_s().tolist()
    assert arrivals.tolist() != replace(one, seed=4).arrivals_s().tolist()
    gaps = np.diff(arrivals)
    assert gaps.min() >= 0
    # Exponential gaps: mean and standard deviation are both one over the rate.
    assert gaps.mean() == pytest.approx(1 / 20, rel=0.05)
    assert gaps.std() == pytest.approx(1 / 20, rel=0.05)


def test_a_refusal_without_a_proper_retry_after_is_reported(server: Seen) -> None:
    # A client that is told no time comes back at once, and the overload never ends.
    proper, improper = ["/status/429/1", "/status/429/17"], ["/status/429", "/status/429/0"]
    others = ["/status/429/soon", "/status/429/1.5", "/status/503/2", "/status/504", "/wait/0"]
    paths = [*proper, *improper, *others]
    outcome = run(plan(server, *paths))
    rounds = Counter(outcome.request.tolist())
    assert len(rounds) == len(paths)
    broken = sum(times for index, times in rounds.items() if 2 <= index < len(paths) - 1)
    assert broken_refusals(outcome) == broken
    assert with_status(429)(outcome).sum() == sum(rounds[index] for index in range(6))


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("1", 1), ("120", 120), ("0", 0), ("-1", 0), ("٣", 0), ("", 0), (None, 0), ("1" * 40, 0)],
)
def test_retry_after_is_whole_seconds_of_at_least_one(header: str | None, seconds: int) -> None:
    assert retry_after(header) == seconds


def test_rows_that_failed_inside_a_200_are_no_success(server: Seen) -> None:
    # Otherwise the fastest service would be one that fails every row.
    outcome = run(plan(server, "/rows", "/wait/0"))
    bad = outcome.request == 0
    assert set(outcome.row_errors[bad]) == {2}
    assert succeeded(outcome).tolist() == (~bad).tolist()


def test_what_no_server_answers_is_a_failure_and_told_by_its_name() -> None:
    nobody = Seen(url=f"http://127.0.0.1:{http_server.free_port()}")
    outcome = run(plan(nobody, "/", seconds=0.2))
    assert set(outcome.status) == {0}
    assert outcome.failures == {"ClientConnectorError": len(outcome.status)}
    assert statuses([outcome]) == f"ClientConnectorError: {len(outcome.status)}"
    assert broken_refusals(outcome) == len(outcome.status)


def test_a_request_that_is_never_answered_fails_after_its_time(server: Seen) -> None:
    outcome = run(plan(server, "/wait/3", seconds=0.1, timeout_s=0.3))
    assert set(outcome.status) == {0}
    assert outcome.latency_s.min() >= 0.3


def test_the_generator_in_its_own_process_tells_the_same(server: Seen) -> None:
    # What it brings back went through a file; and the parent looked on meanwhile.
    looks: list[float] = []
    asked = plan(server, "/wait/0", "/status/429/7", seconds=1.2)
    outcome = run_apart(asked, lambda: looks.append(time.monotonic()))
    assert len(outcome.status) == sum(server.paths.values())
    assert set(outcome.retry_after_s[outcome.status == 429]) == {7}
    assert looks
    # Clocks of the two processes agree, so that memory can be told for a phase.
    assert looks[0] - 5 < outcome.started_s < time.monotonic() - 1.2
    assert 0 < outcome.cpu_s < outcome.wall_s


def outcome(
    latencies_s: Any, seconds: float = 10.0, status: int = 200, memory_s: float = 0.0
) -> Outcome:
    """Answers due evenly over the seconds."""
    latency_s = np.asarray(latencies_s, dtype=np.float64)
    due_s = np.arange(len(latency_s)) * seconds / len(latency_s)
    zeros = np.zeros(len(latency_s), np.int64)
    return Outcome(
        request=zeros,
        due_s=due_s,
        sent_s=due_s,
        done_s=due_s + latency_s,
        status=zeros + status,
        retry_after_s=zeros + (status == 429),
        row_errors=zeros,
        failures={},
        seconds=seconds,
        started_s=memory_s,
        cpu_s=1.0,
        wall_s=seconds,
    )


def test_percentiles_are_latencies_that_so_many_requests_stayed_within() -> None:
    latencies = np.random.default_rng(0).lognormal(size=237)
    found = percentiles([outcome(latencies)], shares=(0.5, 0.95, 0.99, 1.0), resamples=10)
    ordered = sorted(latencies)
    for share, one in zip((0.5, 0.95, 0.99, 1.0), found, strict=True):
        least = next(v for v in ordered if sum(latencies <= v) >= share * len(latencies))
        assert one.value == pytest.approx(least)


def test_an_interval_draws_seconds_with_all_their_requests() -> None:
    # Requests of a slow second are slow together: drawn one by one, the interval were too narrow.
    by_second = np.repeat([0.1, 0.1, 0.1, 0.1, 0.1, 0.9, 0.1, 0.9, 0.1, 0.9], 100)
    shuffled = np.random.default_rng(0).permutation(by_second)
    together, alone = (
        percentiles([outcome(values)], shares=(0.6,), resamples=400)[0].interval
        for values in (by_second, shuffled)
    )
    assert (together.low, together.high) == pytest.approx((0.1, 0.9))
    assert (alone.low, alone.high) == pytest.approx((0.1, 0.1))


def test_a_rate_counts_answers_that_came_in_the_seconds_that_count() -> None:
    # Under overload a queue is still answered when the load has ended; that is no goodput.
    found = rate([outcome([0.51] * 100), outcome([20.0] * 100)], resamples=200)
    assert found.value == pytest.approx((95 + 0) / 20)
    assert found.interval.low < found.value < found.interval.high


def test_no_answer_at_all_is_told_and_not_a_percentile() -> None:
    with pytest.raises(DataError, match="more seconds"):
        percentiles([outcome([0.1], status=429)])


ALLOCATES = """
import subprocess, sys, time
if len(sys.argv) > 1:
    held = bytearray(b"x") * (int(sys.argv[1]) * 2**20)
else:
    subprocess.Popen([sys.executable, __file__, "64"], stdout=sys.stdout)
print("ready", flush=True)
time.sleep(60)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
def test_memory_is_that_of_a_process_and_of_all_below_it(tmp_path: Path) -> None:
    # The worker of a server is a child of what was started, and holds nearly all of its memory.
    script = tmp_path / "allocates.py"
    script.write_text(ALLOCATES)
    with subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout
        tree = []
        try:
            assert [parent.stdout.readline() for _ in range(2)] == ["ready\n"] * 2
            tree = process_tree(parent.pid)
            assert [one.pid for one in tree[:1]] == [parent.pid]
            assert len(tree) == 2
            both, child = read_memory(parent.pid), read_memory(tree[1].pid)
        finally:
            for one in tree:
                os.kill(one.pid, signal.SIGKILL)
    assert (both.processes, child.processes) == (2, 1)
    assert 64 * 2**20 < child.resident < 200 * 2**20
    assert child.resident + 2**20 < both.resident < child.resident + 100 * 2**20
    # They share the interpreter's pages, which are counted once here.
    assert 64 * 2**20 < both.proportional < both.resident
    with pytest.raises(DataError, match="is gone"):
        read_memory(parent.pid)


def samples(*mebibytes: float) -> list[Memory]:
    return [
        Memory(at_s=100.0 + second, resident=int(value * 2**20), proportional=0, processes=2)
        for second, value in enumerate(mebibytes)
    ]


def test_growth_is_the_last_seconds_against_the_first() -> None:
    grown = levels(samples(*[400] * 15, *[900] * 30, *[404] * 15), level_s=14)
    assert grown.growth_share == pytest.approx(0.01)
    assert grown.peak == 900 * 2**20
    assert levels(samples(100, 100, 110, 110)).growth_share == pytest.approx(0.1)
    assert slope_per_hour(samples(1, 2, 3)) == pytest.approx(3600 * 2**20)
    with pytest.raises(DataError, match="1 samples"):
        levels(samples(1))


def test_a_sparkline_shows_the_whole_span_and_a_level_as_level() -> None:
    assert sparkline([1, 2, 3, 8]) == "▁▂▃█"
    assert sparkline([5, 5, 5]) == "▁▁▁"
    assert len(sparkline(range(1000), width=40)) == 40


STUBBORN = """
import http.server, signal, subprocess, sys
signal.signal(signal.SIGTERM, signal.SIG_IGN)
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True)
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/readyz" else 404)
        self.end_headers()
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


# A bench, in a process of its own: port, and the program of its server.
BENCH = """
import sys, time
from tocsin_eval import http_server
http_server.STOP_S = 0.3
port = int(sys.argv[1])
command = [sys.executable, "-c", sys.argv[2], str(port)]
with http_server.running("stubborn", command, port, {}) as started:
    print(started.pid, flush=True)
    time.sleep(30)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="children are found in /proc")
def test_a_server_is_gone_with_all_that_it_started_when_its_bench_is_ended() -> None:
    # One left behind would share the cores with whatever is measured next.
    command = [sys.executable, "-c", BENCH, str(http_server.free_port()), STUBBORN]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as bench:
        assert bench.stdout is not None
        tree = process_tree(int(bench.stdout.readline()))
        assert len(tree) == 2
        bench.send_signal(signal.SIGTERM)
        _, said = bench.communicate(timeout=20)
    assert bench.returncode != 0
    assert not any(map(is_alive, tree))
    assert "killed" in said


def test_a_server_that_does_not_start_is_told_with_its_last_words() -> None:
    command = [sys.executable, "-c", "print('first'); raise SystemExit('no such model')"]
    with (
        pytest.raises(DataError, match="tiny: did not become ready: no such model"),
        http_server.running("tiny", command, http_server.free_port(), {}),
    ):
        pass


def test_passages_are_of_fifty_tokens_and_the_mix_is_what_it_says(repository: Path) -> None:
    # "The same 50-token passages" and "one bad request in a hundred" are claims of the report.
    rows = read_passages(sorted((repository / "training" / "corpus").glob("*.jsonl")))
    texts = pick_passages(rows, EMBEDDED["classifier"])
    assert len(set(texts)) == len(texts) >= 200
    tokenizer = Tokenizer.from_file(str(EMBEDDED["classifier"] / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    lengths = [len(encoded.ids) for encoded in tokenizer.encode_batch(texts)]
    assert (min(lengths), max(lengths)) == (48, 52)
    assert pick_passages(rows, EMBEDDED["classifier"]) == texts
    mix = newsroom_mix(rows, texts, seed=0)
    assert Counter(request.kind for request in mix)["bad"] / len(mix) == 0.01
    assert all((request.expects == 200) == (request.kind != "bad") for request in mix)
    with pytest.raises(DataError, match="at least 200"):
        pick_passages(rows[:100], EMBEDDED["classifier"])


def bench() -> Bench:
    return Bench(
        options=Namespace(seed=0, resamples=50),
        rows=(),
        texts=(),
        console=Console(file=io.StringIO(), width=260),
        progress=Console(file=io.StringIO()),
    )


@pytest.mark.parametrize(("slower", "batch_s", "missed"), [(6, 2100 / 50, 0), (1, 1.0, 7)])
def test_bench_http_names_each_target_that_is_missed(
    slower: int, batch_s: float, missed: int
) -> None:
    # It is the check of seven targets: one that never failed would check nothing.
    found = bench_http.Measured(passages=2100, batch_s=[batch_s])
    for what in bench_http.SINGLE.values():
        found.outcomes[what, bench_http.THEIRS] = [outcome([0.01 * slower] * 100)]
        found.outcomes[what, bench_http.OURS] = [outcome([0.01] * 100 * slower)]
    for what in (bench_http.CLASSIFY, bench_http.ANALYSE):
        found.outcomes[what, bench_http.OURS] = [outcome([0.01] * 20)]
    assert len(failures(bench_http.show(bench(), found))) == missed


def test_bench_http_names_failed_requests() -> None:
    found = bench_http.Measured(passages=2100, batch_s=[2100 / 50])
    answered = outcome([0.01] * 600)
    broken = replace(answered, status=np.where(np.arange(600) == 7, 500, 200))
    for what in bench_http.SINGLE.values():
        found.outcomes[what, bench_http.THEIRS] = [outcome([0.06] * 100)]
        found.outcomes[what, bench_http.OURS] = [broken]
    for what in (bench_http.CLASSIFY, bench_http.ANALYSE):
        found.outcomes[what, bench_http.OURS] = [outcome([0.01] * 20)]
    told = failures(bench_http.show(bench(), found))
    assert len(told) == 3
    assert all("failed requests: 1 (200: 599, 500: 1)" in line for line in told)


def both(admitted: Outcome, refused: Outcome) -> Outcome:
    """Two outcomes of the same seconds as one."""
    names = ("request", "due_s", "sent_s", "done_s", "status", "retry_after_s", "row_errors")
    joined: dict[str, Any] = {
        name: np.concatenate([getattr(admitted, name), getattr(refused, name)]) for name in names
    }
    return replace(admitted, **joined)


@pytest.mark.parametrize(
    ("goodput", "refusal_s", "retry_s", "last", "admitted_s", "missed"),
    [
        (80, 0.01, 1, 101, 0.5, 0),
        (70, 0.01, 1, 101, 0.5, 1),
        (80, 0.11, 1, 101, 0.5, 1),
        (80, 0.01, 0, 101, 0.5, 1),
        (80, 0.01, 1, 103, 0.5, 1),
        # Answers after the phase are no goodput, so this misses two.
        (80, 0.01, 1, 101, 31.0, 2),
    ],
)
def test_bench_overload_names_each_target_that_is_missed(
    goodput: int, refusal_s: float, retry_s: int, last: float, admitted_s: float, missed: int
) -> None:
    refused = outcome([refusal_s] * 2000, status=429)
    found = bench_overload.Measured(
        capacity=outcome([0.01] * 1000),
        overload=both(
            outcome([admitted_s] * goodput * 10),
            replace(refused, retry_after_s=refused.retry_after_s * retry_s),
        ),
        memory=Levels(first=100.0, last=last, peak=200),
        resident=[100, 101],
        timeout_s=30.0,
    )
    assert len(failures(bench_overload.show(bench(), found))) == missed


def test_an_overload_that_refuses_nobody_is_none() -> None:
    found = bench_overload.Measured(
        capacity=outcome([0.01] * 1000),
        overload=outcome([0.01] * 3000),
        memory=Levels(first=100.0, last=100.0, peak=100),
        resident=[100, 100],
        timeout_s=30.0,
    )
    assert failures(bench_overload.show(bench(), found)) == ["refusals: none, target some"]


@pytest.mark.parametrize(
    ("status", "last", "missed"), [(200, 400, 0), (500, 400, 1), (200, 409, 1), (200, 1100, 2)]
)
def test_soak_names_each_target_that_is_missed(status: int, last: float, missed: int) -> None:
    found = soak.Measured(
        requests=[Request(kind="passage", path="/", body="")],
        capacity=outcome([0.01] * 100),
        soak=outcome([0.01] * 70, status=status),
        memory=samples(400, last),
        settled=samples(400, last),
    )
    assert len(failures(soak.show(bench(), found))) == missed


@pytest.mark.slow
@pytest.mark.parametrize(
    ("module", "options", "told"),
    [
        (bench_http.MODULE, ["--seconds", "3", "--rounds", "1"], "pipeline in BentoML"),
        (bench_overload.MODULE, ["--seconds", "4", "--capacity-seconds", "2"], "Retry-After"),
        (soak.MODULE, ["--minutes", "0.1", "--capacity-seconds", "2"], "article, html"),
    ],
)
def test_the_commands_measure_the_real_service(
    repository: Path, module: str, options: list[str], told: str
) -> None:
    # A target may be missed on a busy machine (code 1); that nothing could be measured may not be.
    command = [sys.executable, "-m", module, *options, "--resamples", "50"]
    done = subprocess.run(command, cwd=repository, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), done.stderr
    assert told in done.stdout
    assert "commit" in done.stdout
    assert "failed requests" not in done.stdout
