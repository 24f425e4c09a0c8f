"""What the service does with three times the work that it can do.

    python -m tocsin_eval.bench_overload [--seconds 60] [--times 3]

First its capacity, by a closed loop; then an open loop at a multiple of it, which goes on sending
whatever is answered. Exit code 1 where a target of issue 3 is missed.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from tocsin_eval import http_report as report
from tocsin_eval import http_requests as requests
from tocsin_eval import http_stats as stats
from tocsin_eval.http_memory import MIB, Levels, MemoryLog, levels, sparkline
from tocsin_eval.http_report import Bench, Target
from tocsin_eval.http_server import tocsin
from tocsin_eval.load import Array, Outcome, Plan, run_apart, warm_up

MODULE = "tocsin_eval.bench_overload"

PASSAGES = 10
CAPACITY_CONNECTIONS = 16
# More than are ever waiting at once, and fewer than the 1,024 files a process may often open.
MOST_CONNECTIONS = 768

LEAST_GOODPUT_SHARE = 0.75
MOST_REFUSAL_S = 0.1
MOST_GROWTH_SHARE = 0.02

REFUSED = stats.with_status(429)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """Both phases, and the memory of the server in the second. ``timeout_s`` is the deadline that
    the server gives a request."""

    capacity: Outcome
    overload: Outcome
    memory: Levels
    resident: Sequence[int]
    timeout_s: float


def main(arguments: Sequence[str] | None = None) -> int:
    return report.run_bench(MODULE, _parser(), lambda bench: show(bench, measure(bench)), arguments)


def measure(bench: Bench) -> Measured:
    options = bench.options
    tens = requests.groups(bench.texts, PASSAGES, len(bench.texts) // PASSAGES)
    asked = [requests.classify_request(ten) for ten in tens]
    with tocsin(options.model, options.threads, options.timeout) as server:
        warm_up(server.url, asked)
        bench.say(f"capacity: {options.capacity_seconds:g} s")
        capacity = run_apart(
            Plan(
                url=server.url,
                requests=asked,
                seconds=options.capacity_seconds,
                connections=CAPACITY_CONNECTIONS,
                ramp_s=1.0,
            )
        )
        offered_per_s = options.times * stats.rate([capacity], resamples=1).value
        bench.say(f"overload: {options.seconds:g} s of {offered_per_s:.0f} requests/s")
        log = MemoryLog(pid=server.pid)
        overload = run_apart(
            Plan(
                url=server.url,
                requests=asked,
                seconds=options.seconds,
                connections=MOST_CONNECTIONS,
                rate_per_s=offered_per_s,
                seed=options.seed,
                timeout_s=2 * options.timeout,
            ),
            log.sample,
        )
    samples = log.between(overload.started_s, overload.started_s + overload.seconds)
    return Measured(
        capacity=capacity,
        overload=overload,
        memory=levels(samples),
        resident=[sample.resident for sample in samples],
        timeout_s=options.timeout,
    )


def show(bench: Bench, found: Measured) -> list[Target]:
    """Print what was measured; the targets are left to the caller to print."""
    overload, draws = found.overload, bench.draws
    capacity = stats.rate([found.capacity], **draws)
    goodput = stats.rate([overload], seed=draws["seed"] + 1, resamples=draws["resamples"])
    rows = []

    def row(
        what: str,
        outcome: Outcome,
        chosen: Callable[[Outcome], stats.Mask],
        of: Callable[[Outcome], Array],
    ) -> tuple[stats.Estimate, ...]:
        found = stats.percentiles([outcome], chosen, of=of, **draws)
        each = report.estimate(stats.rate([outcome], chosen, **draws), "{:.1f}")
        rows.append((what, each, *(report.milliseconds(latency) for latency in found)))
        return found

    due, sent = (lambda one: one.latency_s), (lambda one: one.service_s)
    row("capacity, 16 connections", found.capacity, stats.succeeded, due)
    admitted = row("overload, answered with 200, since due", overload, stats.succeeded, due)
    row("overload, answered with 200, since sent", overload, stats.succeeded, sent)
    targets = [
        report.at_least("goodput, part of capacity", goodput.over(capacity), LEAST_GOODPUT_SHARE),
        Target(
            what="requests refused otherwise than with 429 and Retry-After",
            measured=f"{stats.broken_refusals(overload)} ({stats.statuses([overload])})",
            wanted="none",
            is_met=stats.broken_refusals(overload) == 0,
        ),
        _within("admitted, p99 in ms since due", admitted[-1], found.timeout_s),
        growth_target(found.memory),
    ]
    if REFUSED(overload).any():
        refusals = row("overload, refused with 429, since due", overload, REFUSED, due)
        row("overload, refused with 429, since sent", overload, REFUSED, sent)
        targets.append(_within("refusals, p99 in ms since due", refusals[-1], MOST_REFUSAL_S))
        seconds = overload.retry_after_s[REFUSED(overload)]
        told = f"{seconds.min()} to {seconds.max()} s, median {np.median(seconds):.0f}"
    else:
        told = "nothing was refused: this was no overload"
        targets.append(Target(what="refusals", measured="none", wanted="some", is_met=False))
    bench.table(("requests of 10 passages", "answers/s", "p50 ms", "p95 ms", "p99 ms"), rows)
    offered = len(overload.due_s) / overload.seconds
    bench.line("offered", f"{offered:.1f} requests/s, {offered / capacity.value:.2f} of capacity")
    bench.line("refusals", f"Retry-After {told}")
    each = stats.by_second(overload).tolist()
    bench.line("goodput", f"{sparkline(each)} ({min(each):.0f} to {max(each):.0f} a second)")
    show_memory(bench, found.memory, found.resident)
    show_generator(bench, overload)
    return targets


def show_memory(bench: Bench, memory: Levels, resident: Sequence[int]) -> None:
    bench.line(
        "memory",
        f"resident, all processes: {memory.first / MIB:.0f} MiB in the first and "
        f"{memory.last / MIB:.0f} MiB in the last seconds, peak {memory.peak / MIB:.0f} MiB",
    )
    low, high = (f"{bound / MIB:.0f}" for bound in (min(resident), max(resident)))
    bench.line("", f"{sparkline(resident)} ({low} to {high} MiB)")


def show_generator(bench: Bench, outcome: Outcome) -> None:
    late_s = outcome.sent_s - outcome.due_s
    bench.line(
        "generator",
        f"{stats.generator_share([outcome]):.2f} cores; sent p50 {1e3 * np.median(late_s):.1f} and "
        f"p99 {1e3 * np.quantile(late_s, 0.99):.1f} ms after due (a part of every latency since "
        "due)",
    )


def growth_target(memory: Levels) -> Target:
    return Target(
        what="resident memory, growth",
        measured=f"{100 * memory.growth_share:+.2f}%",
        wanted=f"under {100 * MOST_GROWTH_SHARE:.0f}%",
        is_met=memory.growth_share < MOST_GROWTH_SHARE,
    )


def _within(what: str, found: stats.Estimate, bound_s: float) -> Target:
    return Target(
        what=what,
        measured=report.milliseconds(found),
        wanted=f"under {1e3 * bound_s:,.0f}",
        is_met=found.value < bound_s,
    )


def _parser() -> argparse.ArgumentParser:
    parser = report.bench_parser(MODULE, "Measure the HTTP service under more than it can do.")
    parser.add_argument("--seconds", type=float, default=60.0, help="of the overload")
    parser.add_argument("--capacity-seconds", type=float, default=20.0, help="before it")
    parser.add_argument("--times", type=float, default=3.0, help="of capacity is offered")
    parser.add_argument("--timeout", type=float, default=30.0, help="the server's, in seconds")
    return parser


if __name__ == "__main__":
    sys.exit(main())
