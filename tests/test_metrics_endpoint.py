"""What Prometheus reads: the series of the contract, all of them bounded, none in a file."""

import math
import subprocess
import sys
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from threading import Thread

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import REGISTRY
from prometheus_client.parser import text_string_to_metric_families

from tocsin_serving.logs import METHODS
from tocsin_serving.metrics import Metrics
from tocsin_serving.problems import CODES

ROUTES = ("/v1/analyse", "/v1/classify", "/livez")
LABELS = ("claim", "threat")

Series = dict[tuple[str, frozenset[tuple[str, str]]], float]


def make_metrics() -> Metrics:
    return Metrics(routes=ROUTES, labels=LABELS)


def scrape(metrics: Metrics) -> Series:
    """Name and labels -> value, as Prometheus' own parser for Python reads them."""
    body, content_type = metrics.render()
    assert content_type.startswith("text/plain; version=")
    samples = [
        sample
        for family in text_string_to_metric_families(body.decode("utf-8"))
        for sample in family.samples
    ]
    series = {(each.name, frozenset(each.labels.items())): each.value for each in samples}
    assert len(series) == len(samples)
    return series


def value(series: Series, name: str, /, **labels: str) -> float:
    return series[name, frozenset(labels.items())]


def label_values(series: Series, label: str) -> set[str]:
    return {value for _, labels in series for name, value in labels if name == label}


def test_an_answer_counts_under_its_route_method_and_status() -> None:
    # The series that every alert on errors and on latency is written against.
    metrics = make_metrics()
    metrics.request(route="/v1/analyse", method="POST", status=200, seconds=0.03)
    metrics.request(route="/v1/analyse", method="POST", status=200, seconds=0.3)
    metrics.request(route="/v1/analyse", method="POST", status=429, seconds=0.0005)
    series = scrape(metrics)
    one = {"route": "/v1/analyse", "method": "POST"}
    assert value(series, "tocsin_requests_total", **one, status="200") == 2
    assert value(series, "tocsin_requests_total", **one, status="429") == 1
    assert value(series, "tocsin_request_seconds_count", route="/v1/analyse") == 3
    assert value(series, "tocsin_request_seconds_sum", route="/v1/analyse") == pytest.approx(0.3305)
    assert value(series, "tocsin_request_seconds_bucket", route="/v1/analyse", le="0.05") == 2


def test_queue_batches_and_labels_are_seen() -> None:
    # Without these an operator sees that it is slow, not whether the queue or the model is.
    metrics = make_metrics()
    metrics.queue(jobs=3, tokens=700)
    metrics.queue(jobs=2, tokens=500)
    metrics.waited(0.004)
    metrics.batch(task="classify", rows=5, failed=2, tokens=320, seconds=0.02)
    metrics.batch(task="classify", rows=1, failed=1, tokens=64, seconds=0.01)
    metrics.batch(task="summarise", rows=2, failed=0, tokens=900, seconds=0.1)
    metrics.labelled({"claim": 2, "threat": 0, "weather": 1})
    metrics.windows("classify", 6)
    metrics.gone()
    metrics.gone(2)
    metrics.rejected("queue_full")
    series = scrape(metrics)
    assert value(series, "tocsin_queue_jobs") == 2
    assert value(series, "tocsin_queue_tokens") == 500
    assert value(series, "tocsin_queue_wait_seconds_count") == 1
    assert value(series, "tocsin_batch_rows_sum", task="classify") == 6
    assert value(series, "tocsin_batch_rows_bucket", task="classify", le="4.0") == 1
    assert value(series, "tocsin_batch_tokens_count", task="summarise") == 1
    assert value(series, "tocsin_inference_seconds_sum", task="classify") == pytest.approx(0.03)
    assert value(series, "tocsin_tokens_total", task="classify") == 384
    assert value(series, "tocsin_tokens_total", task="summarise") == 900
    assert value(series, "tocsin_failed_rows_total", task="classify") == 3
    assert value(series, "tocsin_failed_rows_total", task="summarise") == 0
    assert value(series, "tocsin_labels_total", label="claim") == 2
    assert value(series, "tocsin_labels_total", label="other") == 1
    assert value(series, "tocsin_windows_total", task="classify") == 6
    assert value(series, "tocsin_abandoned_jobs_total") == 3
    assert value(series, "tocsin_rejections_total", reason="queue_full") == 1


def test_a_loaded_model_is_named_with_its_revision() -> None:
    # Which revision gave an answer is the first question after a surprising one.
    metrics = make_metrics()
    named = {"name": "tocsin-classifier", "revision": "sha256:d8aa89ffce50"}
    metrics.model(task="classify", **named, precision="int8", device="cpu")
    series = scrape(metrics)
    run_on = {"precision": "int8", "device": "cpu"}
    assert value(series, "tocsin_model_info", task="classify", **named, **run_on) == 1


def test_what_has_not_happened_yet_is_zero() -> None:
    # A series that appears with its first event has no rate for it: the first refusal of a reason
    # would not be alerted on.
    series = scrape(make_metrics())
    for reason in CODES:
        assert value(series, "tocsin_rejections_total", reason=reason) == 0
    for label in LABELS:
        assert value(series, "tocsin_labels_total", label=label) == 0
    for task in ("classify", "summarise"):
        assert value(series, "tocsin_inference_seconds_count", task=task) == 0
        assert value(series, "tocsin_failed_rows_total", task=task) == 0


def test_the_process_is_measured_on_the_same_page() -> None:
    # The soak and the memory alert read resident memory here.
    series = scrape(make_metrics())
    assert value(series, "process_resident_memory_bytes") > 1e6
    assert value(series, "process_open_fds") > 2
    assert value(series, "process_cpu_seconds_total") > 0


def test_times_are_told_apart_from_a_refusal_to_the_longest_deadline() -> None:
    # 30 s is the default deadline and 120 s the longest: bounds there read off who missed it.
    bounds = sorted(
        float(dict(labels)["le"])
        for name, labels in scrape(make_metrics())
        if name == "tocsin_queue_wait_seconds_bucket"
    )
    assert (bounds[0], bounds[-2], bounds[-1]) == (0.001, 120.0, math.inf)
    assert 30.0 in bounds
    assert all(later <= 2.5 * earlier for earlier, later in pairwise(bounds[:-1]))


BOUNDED = make_metrics()


@settings(max_examples=100, deadline=None)
@given(
    route=st.text() | st.sampled_from(ROUTES).map(lambda route: route + "/"),
    method=st.text() | st.sampled_from(sorted(METHODS)).map(str.lower),
    status=st.integers(),
    reason=st.text(),
    label=st.text(),
)
def test_no_label_value_comes_from_a_client(
    route: str, method: str, status: int, reason: str, label: str
) -> None:
    # BentoML's raw paths as labels let anyone fill the server's memory, and put what was sent
    # into Prometheus.
    BOUNDED.request(route=route, method=method, status=status, seconds=0.1)
    BOUNDED.rejected(reason)
    BOUNDED.labelled({label: 1})
    series = scrape(BOUNDED)
    assert label_values(series, "route") <= {*ROUTES, "other"}
    assert label_values(series, "method") <= {*METHODS, "OTHER"}
    assert label_values(series, "status") <= {*map(str, range(100, 600)), "other"}
    assert label_values(series, "reason") == {*CODES, "other"}
    assert label_values(series, "label") == {*LABELS, "other"}


def test_ten_thousand_paths_are_one_series() -> None:
    # The same, as growth: what is never freed must not grow.
    metrics = make_metrics()
    metrics.request(route="/0", method="GET", status=404, seconds=0.001)
    before = len(scrape(metrics))
    for number in range(10_000):
        metrics.request(route=f"/{number}", method="GET", status=404, seconds=0.001)
    series = scrape(metrics)
    assert len(series) == before
    labels = {"route": "other", "method": "GET", "status": "404"}
    assert value(series, "tocsin_requests_total", **labels) == 10_001


def test_counts_of_several_threads_add_up() -> None:
    # The event loop and the inference thread both count.
    metrics = make_metrics()

    def count() -> None:
        for _ in range(2_000):
            metrics.batch(task="classify", rows=1, failed=0, tokens=16, seconds=0.001)
            metrics.request(route="/livez", method="GET", status=200, seconds=0.001)

    threads = [Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    series = scrape(metrics)
    assert value(series, "tocsin_tokens_total", task="classify") == 4 * 2_000 * 16
    assert value(series, "tocsin_request_seconds_count", route="/livez") == 4 * 2_000


def test_two_services_in_one_process_share_nothing() -> None:
    # A global registry would make a second one fail, and show a library's series as ours.
    first, second = make_metrics(), make_metrics()
    first.rejected("draining")
    assert value(scrape(second), "tocsin_rejections_total", reason="draining") == 0
    assert not [family for family in REGISTRY.collect() if family.name.startswith("tocsin")]


def run_as_worker(script: str, folder: Path) -> tuple[str, list[str]]:
    """What ``script`` prints, and the files it leaves where BentoML wants metrics to be kept."""
    files = folder / "multiprocess"
    files.mkdir()
    environment: Mapping[str, str] = {
        "PATH": "",
        "PROMETHEUS_MULTIPROC_DIR": str(files),
        "BENTOML_HOME": str(folder / "home"),
        "BENTOML_DO_NOT_TRACK": "True",
    }
    ran = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True
    )
    return ran.stdout, [path.name for path in files.iterdir()]


OURS = """
from tocsin_serving.metrics import Metrics
metrics = Metrics(routes=["/livez"], labels=[])
metrics.request(route="/livez", method="GET", status=200, seconds=0.1)
print(metrics.render()[0].decode())
"""


@pytest.mark.parametrize(
    "before",
    ["", "import prometheus_client", "import bentoml, bentoml.metrics, _bentoml_impl.server.app"],
    ids=["first", "after the library", "after BentoML"],
)
def test_values_are_kept_in_memory_whoever_imports_the_library_first(
    before: str, tmp_path: Path
) -> None:
    # In BentoML's worker the library would map a file for each series, and a second server with
    # the same home deletes them.
    printed, files = run_as_worker(before + OURS, tmp_path)
    assert 'tocsin_requests_total{method="GET",route="/livez",status="200"} 1.0' in printed
    assert 'tocsin_request_seconds_count{route="/livez"} 1.0' in printed
    assert files == []


def test_the_library_alone_would_keep_values_in_files(tmp_path: Path) -> None:
    # The rule above failing: if this no longer holds, the rule is not needed any more.
    script = 'import prometheus_client; prometheus_client.Counter("a", "A.").inc()'
    _, files = run_as_worker(script, tmp_path)
    assert files != []
