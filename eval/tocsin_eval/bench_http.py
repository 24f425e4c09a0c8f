"""The service beside what people do today, and beside its own core without HTTP.

    make bench-http       or   python -m tocsin_eval.bench_http [--seconds N] [--rounds N]

Ours and the plain BentoML service (``pipeline_service.py``) are started in turn, never both at
once, and asked for the same passages by a closed loop of 1, 8 and 32 connections; then ours for
articles. Exit code 1 where a target of issue 3 is missed.
"""

import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

from tocsin_eval import http_report as report
from tocsin_eval import http_requests as requests
from tocsin_eval import http_stats as stats
from tocsin_eval.http_inprocess import score_apart
from tocsin_eval.http_report import Bench, Target
from tocsin_eval.http_server import Server, plain_pipeline, tocsin
from tocsin_eval.http_stats import Estimate
from tocsin_eval.load import Outcome, Plan, Request, run_apart, warm_up
from tocsin_models.errors import DataError

MODULE = "tocsin_eval.bench_http"

CONNECTIONS = (1, 8, 32)
ARTICLE_CONNECTIONS = 4

# By connections: how many times the requests/s, and what part of the 99th percentile.
LEAST_RATIO = {1: 2.5, 8: 4.0, 32: 4.0}
MOST_P99_SHARE = {1: 1 / 2, 8: 1 / 3, 32: 1 / 3}
LEAST_BATCH_SHARE = 0.85

THEIRS, OURS = "pipeline in BentoML", "tocsin"
SINGLE = {many: f"1 passage, {many} connection{'s' if many > 1 else ''}" for many in CONNECTIONS}
CLASSIFY = f"{requests.ARTICLE_PASSAGES} passages, {ARTICLE_CONNECTIONS} connections"
ANALYSE = f"/v1/analyse of {requests.ARTICLE_PASSAGES}, {ARTICLE_CONNECTIONS} connections"
ORDER = (*SINGLE.values(), CLASSIFY, ANALYSE)

_RAMP_S = 1.0
# Enough to see that both serve the same model.
_COMPARED = 20


@dataclass(slots=True, kw_only=True)
class Measured:
    """By what was asked and of whom, an outcome a round. ``batch_s`` are all scorings in-process
    of ``passages`` passages; ``largest_difference`` is of a probability."""

    passages: int
    outcomes: defaultdict[tuple[str, str], list[Outcome]] = field(
        default_factory=lambda: defaultdict(list)
    )
    batch_s: list[float] = field(default_factory=list)
    largest_difference: float = 0.0

    @property
    def batch_per_s(self) -> float:
        return self.passages / median(self.batch_s)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = report.bench_parser(MODULE, "Measure the service beside a plain BentoML service.")
    parser.add_argument("--seconds", type=float, default=10.0, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=2, help="how often each service is started")
    return report.run_bench(MODULE, parser, lambda bench: show(bench, measure(bench)), arguments)


def measure(bench: Bench) -> Measured:
    """Theirs, ours, in-process; and again as many rounds as were asked for, so that a machine
    that slows down meanwhile slows all of them."""
    options = bench.options
    articles = requests.groups(bench.texts, requests.ARTICLE_PASSAGES, requests.ARTICLES)
    flat = [text for article in articles for text in article]
    found = Measured(passages=len(flat))

    def ask(server: Server, name: str, what: str, asked: Sequence[Request], many: int) -> None:
        bench.say(f"  {name}: {what}")
        plan = Plan(
            url=server.url,
            requests=asked,
            seconds=options.seconds,
            connections=many,
            ramp_s=_RAMP_S,
        )
        found.outcomes[what, name].append(run_apart(plan))

    for number in range(options.rounds):
        bench.say(f"round {number + 1} of {options.rounds}")
        with plain_pipeline(options.model) as server:
            theirs = pipeline_scores(server, bench.texts[:_COMPARED])
            singles = [requests.pipeline_request(text) for text in bench.texts]
            warm_up(server.url, singles)
            for many in CONNECTIONS:
                ask(server, THEIRS, SINGLE[many], singles, many)
        with tocsin(options.model, options.threads) as server:
            ours = tocsin_scores(server, bench.texts[:_COMPARED])
            found.largest_difference = max(found.largest_difference, difference(ours, theirs))
            singles = [requests.classify_request([text]) for text in bench.texts]
            warm_up(server.url, singles)
            for many in CONNECTIONS:
                ask(server, OURS, SINGLE[many], singles, many)
            asked = [requests.classify_request(article) for article in articles]
            ask(server, OURS, CLASSIFY, asked, ARTICLE_CONNECTIONS)
            asked = [requests.analyse_request(article) for article in articles]
            ask(server, OURS, ANALYSE, asked, ARTICLE_CONNECTIONS)
        bench.say("  in-process")
        found.batch_s += score_apart(flat, options.model, options.threads)
    return found


def pipeline_scores(server: Server, texts: Sequence[str]) -> list[dict[str, float]]:
    """By text, label -> probability, as the baseline answers."""
    answers = [server.post("/classify", {"text": text}) for text in texts]
    return [{item["label"]: item["score"] for item in answer} for answer in answers]


def tocsin_scores(server: Server, texts: Sequence[str]) -> list[dict[str, float]]:
    """By text, label -> probability, as ``/v1/classify`` answers."""
    answer = server.post("/v1/classify", requests.classify_value(texts))
    return [result["scores"] for result in answer["results"]]


def difference(ours: Sequence[Mapping[str, float]], theirs: Sequence[Mapping[str, float]]) -> float:
    """The largest of a probability.

    Raises:
        DataError: they have different labels, so they are different models.
    """
    if [row.keys() for row in ours] != [row.keys() for row in theirs]:
        raise DataError("the two services do not answer with the same labels for the same texts")
    pairs = zip(ours, theirs, strict=True)
    return max(abs(row[label] - other[label]) for row, other in pairs for label in row)


def show(bench: Bench, found: Measured) -> list[Target]:
    """Print what was measured; the targets are left to the caller to print."""
    summaries = {
        key: summarise(outcomes, bench.options.seed + index, bench.options.resamples)
        for index, (key, outcomes) in enumerate(found.outcomes.items())
    }
    rows = []
    for what, name in sorted(summaries, key=lambda key: ORDER.index(key[0])):
        outcomes = found.outcomes[what, name]
        rate, latencies = summaries[what, name]
        rows.append(
            (
                what,
                name,
                report.estimate(rate, "{:.1f}"),
                *map(report.milliseconds, latencies),
                f"{sum(int(outcome.counts.sum()) for outcome in outcomes):,}",
                " / ".join(f"{stats.rate([outcome]).value:.1f}" for outcome in outcomes),
                f"{stats.generator_share(outcomes):.2f}",
            )
        )
    headings = ("request, closed loop", "service", "requests/s", "p50 ms", "p95 ms", "p99 ms")
    bench.table((*headings, "requests", "each round", "generator, cores"), rows)
    in_process = ", ".join(f"{found.passages / seconds:.0f}" for seconds in found.batch_s)
    bench.line("batch", f"{found.batch_per_s:.0f} passages/s in-process, median of {in_process}")
    bench.line("same", f"largest difference of a probability {found.largest_difference:.4f}")
    targets = [*failed_requests(found)]
    for many, what in SINGLE.items():
        (our_rate, our_latencies), (their_rate, their_latencies) = (
            summaries[what, name] for name in (OURS, THEIRS)
        )
        ratio, share = our_rate.over(their_rate), our_latencies[-1].over(their_latencies[-1])
        targets += [
            report.at_least(f"{what}: requests/s, times theirs", ratio, LEAST_RATIO[many]),
            report.at_most(f"{what}: p99, part of theirs", share, MOST_P99_SHARE[many]),
        ]
    share = summaries[CLASSIFY, OURS][0].times(requests.ARTICLE_PASSAGES / found.batch_per_s)
    return [
        *targets,
        report.at_least(f"{CLASSIFY}: part of in-process", share, LEAST_BATCH_SHARE),
    ]


def failed_requests(found: Measured) -> Iterator[Target]:
    """A target that was missed for each measurement in which a request failed."""
    for (what, name), outcomes in found.outcomes.items():
        if failed := sum(int((~stats.succeeded(outcome)).sum()) for outcome in outcomes):
            yield Target(
                what=f"{name}, {what}: failed requests",
                measured=f"{failed} ({stats.statuses(outcomes)})",
                wanted="none",
                is_met=False,
            )


def summarise(
    outcomes: Sequence[Outcome], seed: int, resamples: int
) -> tuple[Estimate, tuple[Estimate, ...]]:
    """Requests a second, and the latencies of ``stats.SHARES``."""
    return (
        stats.rate(outcomes, seed=seed, resamples=resamples),
        stats.percentiles(outcomes, seed=seed, resamples=resamples),
    )


if __name__ == "__main__":
    sys.exit(main())
