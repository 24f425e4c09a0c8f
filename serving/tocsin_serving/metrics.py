"""What Prometheus sees of the service: how much, how long, how often refused; never of what.

Every label's values are a closed set, whatever a client sends: BentoML's own metrics label the raw
path, and 300 random ones made 6,000 series that were never freed (reference, 4.5).
"""

from collections.abc import Collection, Iterable, Mapping
from typing import Generic, Literal, TypeVar

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
    values,
)
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.metrics import MetricWrapperBase

from tocsin_serving.logs import METHODS, OTHER_METHOD
from tocsin_serving.problems import CODES

# BentoML sets PROMETHEUS_MULTIPROC_DIR in its worker, and prometheus_client then keeps every value
# in a memory-mapped file, which two servers with one home wipe for each other and which says
# nothing in a scrape of our own registry. The choice is made when the library is first imported,
# by whoever does that, so unsetting the variable here could come too late. This does not: the
# library looks the class up here for each metric that it makes. We are one process.
values.ValueClass = values.MutexValue
# The time at which each series began would be half of all series; nothing of ours asks for it.
disable_created_metrics()  # type: ignore[no-untyped-call]

Task = Literal["classify", "summarise"]
TASKS: tuple[Task, ...] = ("classify", "summarise")

OTHER = "other"

# 1, 2, 5 from 1 ms, what a refusal takes, to 120 s, the longest deadline there can be; 30 s, the
# default deadline, is a bound, so that the share answered within it is read off, not estimated.
SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120)
# A request classifies at most 256 passages; a batch on a GPU may hold more rows.
ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
# One short passage, to a full batch on a CPU (2,048) and on a GPU (65,536).
TOKENS = (16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768, 65536)

Metric = TypeVar("Metric", bound=MetricWrapperBase)


class _Children(Generic[Metric]):
    """The children of a metric with one label, by its value; one for all unknown values.

    All are made at once: each is there at 0 before it first counts, and looking one up is cheap.
    """

    def __init__(self, parent: Metric, known: Iterable[str]) -> None:
        self._other = parent.labels(OTHER)
        self._known = {value: parent.labels(value) for value in known}

    def __getitem__(self, value: str) -> Metric:
        return self._known.get(value, self._other)


class Metrics:
    """The service's metrics, in a registry of their own. Safe between threads.

    ``routes`` are the templates that are served, ``labels`` those of the model: any other route or
    label counts as "other".
    """

    def __init__(self, *, routes: Collection[str], labels: Collection[str]) -> None:
        self._registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self._routes = frozenset(routes)

        def counter(name: str, about: str, *names: str) -> Counter:
            return Counter(f"tocsin_{name}", about, names, registry=registry)

        def gauge(name: str, about: str, *names: str) -> Gauge:
            return Gauge(f"tocsin_{name}", about, names, registry=registry)

        def histogram(
            name: str, about: str, *names: str, buckets: tuple[float, ...] = SECONDS
        ) -> Histogram:
            return Histogram(f"tocsin_{name}", about, names, registry=registry, buckets=buckets)

        self._requests = counter(
            "requests_total", "Requests answered.", "route", "method", "status"
        )
        self._answered: dict[tuple[str, str, str], Counter] = {}
        self._seconds = _Children(
            histogram("request_seconds", "From a request's arrival to its answer.", "route"),
            routes,
        )
        self._rejected = _Children(
            counter("rejections_total", "Requests refused.", "reason"), CODES
        )
        self._queue_jobs = gauge("queue_jobs", "Jobs that wait or are being read.")
        self._queue_tokens = gauge("queue_tokens", "Tokens of the rows that wait.")
        self._waited = histogram("queue_wait_seconds", "From a job's admission to its batch.")
        self._gone = counter(
            "abandoned_jobs_total",
            "Jobs whose clients left before the answer; what still waited is dropped unread.",
        )
        self._labels = _Children(
            counter("labels_total", "Labels given to passages.", "label"), labels
        )
        self._failed = _by_task(
            counter("failed_rows_total", "Rows on which the model failed.", "task")
        )
        self._rows = _by_task(histogram("batch_rows", "Rows in a batch.", "task", buckets=ROWS))
        self._batch_tokens = _by_task(
            histogram("batch_tokens", "Tokens in a batch.", "task", buckets=TOKENS)
        )
        self._inference = _by_task(histogram("inference_seconds", "A batch in the model.", "task"))
        self._tokens = _by_task(counter("tokens_total", "Tokens the model has read.", "task"))
        self._windows = _by_task(counter("windows_total", "Windows the model has read.", "task"))
        names = ("task", "name", "revision", "precision", "device")
        self._model = gauge("model_info", "1 for each loaded model.", *names)

    def request(self, *, route: str, method: str, status: int, seconds: float) -> None:
        """Count one answer; ``seconds`` from the request's arrival to the answer's last byte."""
        key = (
            route if route in self._routes else OTHER,
            method if method in METHODS else OTHER_METHOD,
            str(status) if 100 <= status <= 599 else OTHER,
        )
        answered = self._answered.get(key)
        if answered is None:
            answered = self._answered[key] = self._requests.labels(*key)
        answered.inc()
        self._seconds[route].observe(seconds)

    def rejected(self, reason: str) -> None:
        """Count one refusal; ``reason`` is one of ``problems.CODES``."""
        self._rejected[reason].inc()

    def queue(self, *, jobs: int, tokens: int) -> None:
        """What waits now; ``jobs`` with those that are being read."""
        self._queue_jobs.set(jobs)
        self._queue_tokens.set(tokens)

    def waited(self, seconds: float) -> None:
        """One job was taken from the queue after ``seconds``."""
        self._waited.observe(seconds)

    def batch(self, *, task: Task, rows: int, failed: int, tokens: int, seconds: float) -> None:
        """One batch has run, ``failed`` of its rows in vain; ``seconds`` in the model alone."""
        self._failed[task].inc(failed)
        self._rows[task].observe(rows)
        self._batch_tokens[task].observe(tokens)
        self._inference[task].observe(seconds)
        self._tokens[task].inc(tokens)

    def labelled(self, counts: Mapping[str, int]) -> None:
        """Label -> how many passages were given it."""
        for label, count in counts.items():
            self._labels[label].inc(count)

    def windows(self, task: Task, count: int) -> None:
        self._windows[task].inc(count)

    def gone(self, count: int = 1) -> None:
        """``count`` jobs ended because their clients had left."""
        self._gone.inc(count)

    def model(self, *, task: Task, name: str, revision: str, precision: str, device: str) -> None:
        """Name a loaded model; once each, at start."""
        self._model.labels(task, name, revision, precision, device).set(1)

    def render(self) -> tuple[bytes, str]:
        """The text exposition and its content type."""
        return generate_latest(self._registry), CONTENT_TYPE_PLAIN_0_0_4


def _by_task(parent: Metric) -> dict[Task, Metric]:
    return {task: parent.labels(task) for task in TASKS}
