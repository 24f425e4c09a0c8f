"""The cluster engine: blocks are scored by a pool of workers on Ray Data. The only file that
imports ``ray``.

    driver                          feed, an actor beside it       workers, actors of Ray Data
    read_blocks  -- put(block) -->  blocks not yet committed
                                               <-- take(number) -- a row of the data: a number
    store.commit <------------------------------------------------ a ScoredBlock
                 -- drop(number) ->

The data set is the numbers of the blocks that are missing. The driver reads the input and ships
it, because only the driver is known to see it: a laptop's file, standard input and a folder on a
head node are all the same then, rows are exactly those of the index, and no worker needs rights to
the archive. Reading and parsing is a hundredth of the work, so one reader feeds a hundred workers.

A block stays in the feed until its result is on the driver's disk. So a worker that dies costs
time only: Ray starts it again and repeats its tasks, which take the same blocks. Ray would do so
for ever where a row kills whoever scores it, so the feed counts. A driver that
dies leaves what it had committed; the next run takes up the rest (``store.missing``).
"""

import logging
import os
import secrets
import shutil
import signal
import socket
import sys
import tempfile
import threading
import warnings
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any, Literal

# Usage statistics go out unless this stands here; the other would pack the folder in which
# `uv run` was called, articles and all, and upload it to the cluster.
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
os.environ["RAY_ENABLE_UV_RUN_RUNTIME_ENV"] = "0"

import ray
import ray.data
from ray._private import ray_constants

from tocsin_models.protocols import Limits, Scores
from tocsin_models.records import ModelInfo, Paragraph, Summary
from tocsin_serving.archive.blocks import Block, read_blocks
from tocsin_serving.archive.inputs import Source
from tocsin_serving.archive.joins import Joins
from tocsin_serving.archive.pipeline import check_rejects
from tocsin_serving.archive.plan import Plan
from tocsin_serving.archive.progress import Advance
from tocsin_serving.archive.rows import row_reader
from tocsin_serving.archive.scoring import Models, ScoredBlock
from tocsin_serving.archive.store import Store
from tocsin_serving.archive.worker import (
    VERSION,
    ClusterError,
    Device,
    Feed,
    Load,
    Problem,
    Task,
    Worker,
    describe,
    from_row,
)

LOGGER = logging.getLogger("tocsin")
# Its log of every run would lie on the workers and at the driver's terminal.
logging.getLogger("ray.data").setLevel(logging.CRITICAL)

# A worker asks for a tenth of a core less than it uses: on two cores two workers of one core each
# would leave none to the tasks of Ray Data, and neither would ever finish.
SPARE_CPU = 0.1
# Tasks a worker has at once: it fetches and tokenises one while the model is busy with the other.
TASKS_A_WORKER = 2
# Blocks of one task. On a GPU a block of 250 rows is a fraction of a batch.
BLOCKS_A_TASK = {"cpu": 1, "cuda": 8}
# A cluster that has to order machines first takes minutes.
START_TIMEOUT_S = 600.0
CONNECT_TIMEOUT_S = 10.0
# Shared memory of a local cluster: blocks in flight, a few hundred kilobytes each.
OBJECT_STORE_BYTES = 200_000_000
# Of the clusters that this process starts; Ray reads it once, and it is never written down.
TOKEN = secrets.token_hex(32)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """``size`` workers, each on one GPU or on ``threads`` cores."""

    size: int
    device: Device
    threads: int

    def __str__(self) -> str:
        workers = "1 worker" if self.size == 1 else f"{self.size} workers"
        if self.device == "cuda":
            return f"{workers}, a GPU each"
        return f"{workers} of {self.threads} {'core' if self.threads == 1 else 'cores'}"

    @property
    def request(self) -> dict[str, Any]:
        """What Ray keeps for a worker."""
        if self.device == "cuda":
            # Cutting and tokenising takes half a core; GPUs are what there are few of.
            return {"num_cpus": 0.5, "num_gpus": 1}
        return {"num_cpus": self.threads - SPARE_CPU}


class Cluster:
    """A Ray cluster, one of our own unless ``address`` names one. It starts when its ``pool`` is
    first asked for and ends with the context. ``workers`` None takes all that fit; a worker has one
    GPU if ``device`` allows and the cluster has any, else ``threads`` cores.

    All workers are of one device: answers say which it was, and those of a GPU differ in the
    third decimal, so a mixed pool would give a result that no second run repeats.
    """

    def __init__(
        self,
        *,
        address: str | None = None,
        workers: int | None = None,
        device: Literal["auto", "cpu", "cuda"] = "auto",
        threads: int = 1,
    ) -> None:
        self._address = address
        self._workers = workers
        self._device = device
        self._threads = threads
        self.folder: Path | None = None
        self._before: dict[str, str | None] = {}
        self._pool: Pool | None = None
        if address is not None and address.startswith("ray://"):
            raise ClusterError(
                f"--address {address}: Ray Data does not run through Ray's client port; run tocsin "
                "on a machine of the cluster (serving/kuberay) with --address auto"
            )

    def __enter__(self) -> "Cluster":
        return self

    def __exit__(self, *_: object) -> None:
        ray.shutdown()
        self._pool = None
        if self.folder:
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder = None
        for name, value in self._before.items():
            _set_variable(name, value)
        self._before.clear()

    @property
    def pool(self) -> Pool:
        """The workers there will be. Connects.

        Raises:
            ClusterError: there is no such cluster, or nothing of it can be a worker.
        """
        if self._pool is None:
            started = monotonic()
            self._connect()
            self._pool = self._choose_pool()
            LOGGER.info("%s after %.1f s", self._pool, monotonic() - started)
        return self._pool

    def _connect(self) -> None:
        settings: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.CRITICAL}
        # Its messages at the terminal are for people who wrote a program for Ray.
        self._set("RAY_BACKEND_LOG_LEVEL", "fatal")
        if self._address is not None:
            _check_listening(self._address)
            self._start(address=self._address, **settings)
            return
        # Whoever reaches a port of Ray's can run code here and read what is scored. On Linux it
        # listens on every address of the machine, unless told what it does on a Mac; and the
        # other users of this machine lack the token.
        self._set(ray_constants.ENABLE_RAY_CLUSTERS_ENV_VAR, "0")
        self._set("RAY_AUTH_TOKEN", TOKEN)
        # Ray's own default, whatever the user's other clusters do.
        self._set("RAY_AUTH_MODE", None)
        self.folder = Path(tempfile.mkdtemp(prefix="tocsin-ray-"))
        is_cluster, ray_constants.ENABLE_RAY_CLUSTER = ray_constants.ENABLE_RAY_CLUSTER, False
        try:
            self._start(
                address="local",
                num_cpus=self._local_cores(),
                include_dashboard=False,
                object_store_memory=OBJECT_STORE_BYTES,
                # Ray opens its folder to everybody; what stands above it does not.
                _temp_dir=str(self.folder / "ray"),
                **settings,
            )
        finally:
            ray_constants.ENABLE_RAY_CLUSTER = is_cluster

    def _start(self, **settings: Any) -> None:
        """``ray.init``, which takes SIGTERM for itself; it is ours: the run ends in order."""
        is_main = threading.current_thread() is threading.main_thread()
        handler = signal.getsignal(signal.SIGTERM)
        try:
            with _silence():
                ray.init(**settings)
        except Exception as error:  # Ray raises just that where a start takes over 30 s
            if self._address is not None:
                raise ClusterError(
                    f"--address {self._address} did not answer: {_first_line(error)}"
                ) from None
            raise ClusterError(
                f"a Ray cluster did not start here: {_first_line(error)} Where the machine is "
                "busy, run the same command again, or leave --engine out"
            ) from None
        finally:
            if is_main:
                signal.signal(signal.SIGTERM, handler)

    def _set(self, name: str, value: str | None) -> None:
        """A variable of the environment, for as long as the cluster is used."""
        self._before[name] = os.environ.get(name)
        _set_variable(name, value)

    def _local_cores(self) -> int | None:
        """None lets Ray count; more workers than cores are the caller's wish."""
        if self._workers is None:
            return None
        return max(self._workers * self._threads, os.cpu_count() or 1)

    def _choose_pool(self) -> Pool:
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]
        gpus = sum(int(node.get("GPU", 0)) for node in nodes)
        is_gpu = self._device == "cuda" or (self._device == "auto" and gpus > 0)
        cores = sum(int(node.get("CPU", 0) // self._threads) for node in nodes)
        size = self._workers or (gpus if is_gpu else cores)
        if size == 0:
            what = "a GPU" if is_gpu else f"{self._threads} cores"
            raise ClusterError(
                f"no machine of the cluster has {what} now; if it orders machines when they are "
                "asked for, say how many with --workers"
            )
        return Pool(size=size, device="cuda" if is_gpu else "cpu", threads=self._threads)


class RayEngine:
    """Scores on a cluster. ``load`` runs on its workers, which must be able to import it.
    ``load`` and ``score`` are what ``score_archive`` takes; ``started_s`` is how long the workers
    of the last run took to come up."""

    def __init__(self, cluster: Cluster, load: Load) -> None:
        self._cluster = cluster
        self._load = load
        self.started_s = 0.0

    def load(self) -> Models:
        """What the models on the workers say of themselves, asked of one of them.

        Raises:
            ClusterError: it cannot load them, or is another version of Tocsin.
        """
        pool = self._cluster.pool
        ask = ray.remote(describe).options(**pool.request)
        with _foreign_errors():
            try:
                found = ray.get(
                    ask.remote(VERSION, self._load, pool.device, pool.threads),
                    timeout=START_TIMEOUT_S,
                )
            except ray.exceptions.GetTimeoutError:
                raise ClusterError(
                    f"no worker came up within {START_TIMEOUT_S:.0f} s: the cluster is full or "
                    "lacks what was asked for; see `ray status`"
                ) from None
        if isinstance(found, Problem):
            found.raise_it()
        classifier, summariser = found
        return Models(
            classifier=Elsewhere(classifier) if classifier else None,
            summariser=Elsewhere(summariser) if summariser else None,
        )

    def score(
        self,
        plan: Plan,
        sources: Sequence[Source],
        models: Models,
        store: Store,
        advance: Advance,
        max_rejects: int | None = None,
    ) -> None:
        """Score the blocks that are missing, on the workers: an ``Engine``.

        Raises:
            TooManyRejects, InputChanged: as the embedded engine; the run can go on.
            ClusterError: workers have other models than the plan, or die again and again.
        """
        missing = store.missing()
        with (
            ThreadPoolExecutor(1, thread_name_prefix="join") as joiner,
            Joins(store, joiner) as join,
        ):
            join()
            if not missing:
                return
            blocks_a_task = BLOCKS_A_TASK[self._cluster.pool.device]
            room = self._cluster.pool.size * blocks_a_task * (TASKS_A_WORKER + 2)
            spans = [plan.index.spans[number] for number in missing]
            blocks = read_blocks(sources, spans, row_reader(plan.asked, len(sources)))
            with _Feeder(blocks, room) as feeder:
                left = set(missing)
                for scored in self._results(plan, missing, feeder, blocks_a_task):
                    if scored.number not in left:
                        # Of a task that was repeated though its result had come through.
                        continue
                    store.commit(scored)
                    left.discard(scored.number)
                    feeder.drop(scored.number)
                    advance(scored.rows, scored.tokens, len(scored.rejects))
                    join()
                    check_rejects(store, max_rejects)

    def _results(
        self, plan: Plan, missing: Sequence[int], feeder: "_Feeder", blocks_a_task: int
    ) -> Iterator[ScoredBlock]:
        pool, started = self._cluster.pool, monotonic()
        tasks = -(-len(missing) // blocks_a_task)
        task = Task(
            load=self._load,
            device=pool.device,
            threads=pool.threads,
            asked=plan.asked,
            columns=plan.index.columns,
            models=plan.models,
        )
        with warnings.catch_warnings():
            # Ray Data's settings warn of Ray Data's own defaults.
            warnings.simplefilter("ignore")
            context = ray.data.DataContext.get_current()
            context.enable_progress_bars = False
            context.print_on_execution_start = False
            numbers = ray.data.from_items(
                [{"number": number} for number in missing],
                override_num_blocks=tasks,
            )
        results = numbers.map_batches(
            Worker,
            batch_size=None,
            batch_format="numpy",
            fn_constructor_args=(task, _Take(feeder.feed)),
            compute=ray.data.ActorPoolStrategy(
                size=min(pool.size, tasks),
                max_tasks_in_flight_per_actor=TASKS_A_WORKER,
                max_concurrent_calls_per_actor=TASKS_A_WORKER,
                enable_true_multi_threading=True,
            ),
            **pool.request,
        )
        with _foreign_errors(feeder):
            batches: Any = iter(
                results.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0)
            )
            self.started_s = 0.0
            try:
                for batch in batches:
                    for row in batch.to_pylist():
                        if not self.started_s:
                            self.started_s = monotonic() - started
                            LOGGER.info("first results after %.1f s", self.started_s)
                        feeder.check()
                        if row["problem"]:
                            Problem(row["problem"], is_ours=row["is_ours"]).raise_it()
                        yield from_row(row)
                feeder.check()
            finally:
                batches.close()


class Elsewhere:
    """A model that is on the workers: it says what it is, and that is all the driver needs."""

    def __init__(self, info: ModelInfo) -> None:
        self.info = info
        self.labels = tuple(info.thresholds)

    def score(self, texts: Sequence[str]) -> Scores:
        raise RuntimeError("the classifier is on the workers")

    def summarise(self, paragraphs: Sequence[Paragraph], limits: Limits) -> Summary:
        raise RuntimeError("the summariser is on the workers")


class _Take:
    """How a worker asks the feed for blocks."""

    def __init__(self, feed: Any) -> None:
        self._feed = feed

    def __call__(self, numbers: Sequence[int]) -> Sequence[Block | Problem | None]:
        found: list[Block | Problem | None] = ray.get(
            [self._feed.take.remote(number) for number in numbers]
        )
        return found


class _Feeder:
    """A thread that reads blocks and puts them into the feed, no more at once than have room."""

    def __init__(self, blocks: Iterable[Block], room: int) -> None:
        self._blocks = blocks
        self._error: BaseException | None = None
        self._stopped = threading.Event()
        here = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(
            ray.get_runtime_context().get_node_id(), soft=False
        )
        # Every worker may wait in it with each of its tasks.
        self.feed: Any = (
            ray.remote(Feed)
            .options(num_cpus=0, max_concurrency=10_000, scheduling_strategy=here)
            .remote(room)
        )
        self._thread = threading.Thread(target=self._fill, name="read", daemon=True)

    def __enter__(self) -> "_Feeder":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        ray.kill(self.feed)
        self._thread.join()

    def drop(self, number: int) -> None:
        self.feed.drop.remote(number)

    def check(self) -> None:
        """
        Raises:
            InputChanged: reading met something else than was there when the run began.
        """
        if self._error is not None:
            raise self._error

    def _fill(self) -> None:
        try:
            for block in self._blocks:
                if self._stopped.is_set():
                    return
                ray.get(self.feed.put.remote(block))
        except ray.exceptions.RayError:
            # The feed has gone: at the end of a run by our own hand, else the workers say so.
            return
        except BaseException as error:
            self._error = error
            self.feed.close.remote()


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__


def _check_listening(address: str) -> None:
    """Ray itself would try for minutes, and say nothing.

    Raises:
        ClusterError: nobody listens at a host:port.
    """
    host, colon, port = address.rpartition(":")
    if not colon:
        return
    try:
        socket.create_connection((host, int(port)), timeout=CONNECT_TIMEOUT_S).close()
    except (OSError, ValueError) as error:
        raise ClusterError(
            f"--address {address}: no cluster answers there ({error}); give HOST:PORT of its head, "
            "by default port 6379"
        ) from None


def _set_variable(name: str, value: str | None) -> None:
    if value is None:
        os.environ.pop(name, None)
    else:
        os.environ[name] = value


@contextmanager
def _silence() -> Iterator[None]:
    """Keep from the terminal what Ray's libraries write there themselves while they start: that
    they have been told to be quiet. What goes wrong is an exception all the same."""
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


@contextmanager
def _foreign_errors(feeder: _Feeder | None = None) -> Iterator[None]:
    """Turn what Ray raises into one of ours. Its own carries the worker's traceback."""
    try:
        yield
    except ray.exceptions.RayError as error:
        if feeder is not None:
            feeder.check()
        raise ClusterError(
            f"the cluster gave up ({type(error).__name__}): workers die, or a machine is lost; if "
            "memory is short, ask for fewer --workers. What was scored is kept: the same command "
            "goes on"
        ) from None
