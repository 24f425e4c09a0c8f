"""Ten minutes of a newsroom's work at seven tenths of what the service can do.

    python -m tocsin_eval.soak [--minutes 10] [--share 0.7]

Single passages, passages by ten, articles as text and as HTML, and one bad request in a hundred,
by an open loop. Exit code 1 where memory grows, passes 1 GiB, or an answer is not what it should be
(the targets of issue 3, and one of our own).
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from tocsin_eval import http_report as report
from tocsin_eval import http_requests as requests
from tocsin_eval import http_stats as stats
from tocsin_eval.bench_overload import (
    CAPACITY_CONNECTIONS,
    MOST_CONNECTIONS,
    growth_target,
    show_generator,
    show_memory,
)
from tocsin_eval.http_memory import MIB, Memory, MemoryLog, levels, slope_per_hour
from tocsin_eval.http_report import Bench, Target
from tocsin_eval.http_server import tocsin
from tocsin_eval.load import Outcome, Plan, Request, run_apart, warm_up

MODULE = "tocsin_eval.soak"

MOST_RESIDENT = 1024 * MIB

# Memory settles in the first minute; of a shorter trial, in its first tenth.
SETTLE_S = 60.0
SETTLE_SHARE = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """``memory`` are all samples since the server was ready, ``settled`` those that growth is
    judged by."""

    requests: Sequence[Request]
    capacity: Outcome
    soak: Outcome
    memory: Sequence[Memory]
    settled: Sequence[Memory]


def main(arguments: Sequence[str] | None = None) -> int:
    return report.run_bench(MODULE, _parser(), lambda bench: show(bench, measure(bench)), arguments)


def measure(bench: Bench) -> Measured:
    options = bench.options
    asked = requests.newsroom_mix(bench.rows, bench.texts, options.seed)
    with tocsin(options.model, options.threads) as server:
        log = MemoryLog(pid=server.pid)
        warm_up(server.url, asked)
        bench.say(f"capacity: {options.capacity_seconds:g} s")
        capacity = run_apart(
            Plan(
                url=server.url,
                requests=asked,
                seconds=options.capacity_seconds,
                connections=CAPACITY_CONNECTIONS,
                ramp_s=1.0,
            ),
            log.sample,
        )
        offered_per_s = options.share * _capacity_per_s(asked, capacity)
        bench.say(f"soak: {options.minutes:g} minutes of {offered_per_s:.1f} requests/s")
        soak = run_apart(
            Plan(
                url=server.url,
                requests=asked,
                seconds=60 * options.minutes,
                connections=MOST_CONNECTIONS,
                rate_per_s=offered_per_s,
                seed=options.seed,
            ),
            log.sample,
        )
    end_s = soak.started_s + soak.seconds
    settled_s = soak.started_s + min(SETTLE_S, SETTLE_SHARE * soak.seconds)
    return Measured(
        requests=asked,
        capacity=capacity,
        soak=soak,
        memory=log.samples,
        settled=log.between(settled_s, end_s),
    )


def show(bench: Bench, found: Measured) -> list[Target]:
    """Print what was measured; the targets are left to the caller to print."""
    kinds = dict.fromkeys(found.requests[index].kind for index in found.soak.request)
    rows = []
    for kind in kinds:
        chosen = of_kind(found.requests, kind)
        wrong = int((chosen(found.soak) & ~as_expected(found.requests)(found.soak)).sum())
        rows.append(
            (
                kind,
                f"{int(chosen(found.soak).sum()):,}",
                *(
                    report.milliseconds(latency)
                    for latency in stats.percentiles([found.soak], chosen, **bench.draws)
                ),
                str(wrong),
            )
        )
    bench.table(("request, open loop", "requests", "p50 ms", "p95 ms", "p99 ms", "wrong"), rows)
    capacity_per_s = _capacity_per_s(found.requests, found.capacity)
    offered = len(found.soak.due_s) / found.soak.seconds
    bench.line("capacity", f"{capacity_per_s:.1f} requests/s of this mix")
    bench.line("offered", f"{offered:.1f} requests/s, {offered / capacity_per_s:.2f} of capacity")
    bench.line("answers", stats.statuses([found.soak]))
    memory = levels(found.settled)
    show_memory(bench, memory, [sample.resident for sample in found.settled])
    show_generator(bench, found.soak)
    peak = max(sample.resident for sample in found.memory)
    shared_once = max(sample.proportional for sample in found.memory)
    bench.line(
        "",
        f"peak since the start {peak / MIB:.0f} MiB (PSS {shared_once / MIB:.0f} MiB) in "
        f"{found.memory[-1].processes} processes; slope {slope_per_hour(found.settled) / MIB:+.1f} "
        "MiB an hour",
    )
    wrong = int((~as_expected(found.requests)(found.soak)).sum())
    return [
        growth_target(memory),
        Target(
            what="resident memory, peak of all processes together",
            measured=f"{peak / MIB:.0f} MiB",
            wanted=f"under {MOST_RESIDENT / MIB:.0f} MiB",
            is_met=peak < MOST_RESIDENT,
        ),
        Target(
            what="answers that are not what the request should get",
            measured=f"{wrong} of {len(found.soak.status):,}",
            wanted="none",
            is_met=wrong == 0,
        ),
    ]


def as_expected(asked: Sequence[Request]) -> Callable[[Outcome], stats.Mask]:
    """Answered with the status that is right for the request, and every row of a 200 scored."""
    expected = np.array([request.expects for request in asked])
    return lambda outcome: np.asarray(
        (outcome.status == expected[outcome.request]) & (outcome.row_errors == 0)
    )


def of_kind(asked: Sequence[Request], kind: str) -> Callable[[Outcome], stats.Mask]:
    matches = np.array([request.kind == kind for request in asked])
    return lambda outcome: np.asarray(matches[outcome.request])


def _capacity_per_s(asked: Sequence[Request], outcome: Outcome) -> float:
    return stats.rate([outcome], as_expected(asked), resamples=1).value


def _parser() -> argparse.ArgumentParser:
    parser = report.bench_parser(MODULE, "Measure the HTTP service over minutes of mixed work.")
    parser.add_argument("--minutes", type=float, default=10.0, help="of work")
    parser.add_argument("--capacity-seconds", type=float, default=20.0, help="before it")
    parser.add_argument("--share", type=float, default=0.7, help="of capacity is offered")
    return parser


if __name__ == "__main__":
    sys.exit(main())
