"""The cluster engine, on a real Ray cluster of this machine with two workers."""

import asyncio
import json
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]
import pytest
from tests.cluster_models import (
    load_keywords,
    load_missing,
    load_other,
    load_quoting,
)

from tocsin_models.errors import TocsinError
from tocsin_models.records import Article
from tocsin_serving.archive.asked import Asked
from tocsin_serving.archive.blocks import Block
from tocsin_serving.archive.cluster import Cluster, RayEngine
from tocsin_serving.archive.inputs import Source
from tocsin_serving.archive.pipeline import Engine, TooManyRejects, score_embedded
from tocsin_serving.archive.plan import Counts, Plan
from tocsin_serving.archive.progress import Advance
from tocsin_serving.archive.rows import Row
from tocsin_serving.archive.run import How, score_archive
from tocsin_serving.archive.scoring import Models
from tocsin_serving.archive.store import Store
from tocsin_serving.archive.worker import TRIES, ClusterError, Feed, Problem, WorkerFailed

# Stands in every article, and must stand in no log.
SECRET = "Quillmoor"
ASKED = Asked(where=("desk!=sport",))
Load = Callable[[str, int], Models]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """Two workers' worth of Ray, started once: that takes longer than all these runs."""
    with Cluster(workers=2, device="cpu") as cluster:
        yield cluster


def archive(folder: Path, rows: int) -> Path:
    """An archive with what makes books hard to balance: rejects, filtered rows, other columns."""
    path = folder / "archive.jsonl"
    with path.open("w", encoding="utf-8") as file:
        for number in range(rows):
            text = (
                f"Port of {SECRET}, day {number}\n\nThe ministry denied it and the envoy left.\n\n"
                f"The commander vowed revenge for {number % 7} of them.\n\nTalks went on."
            )
            row = {
                "id": f"wire-{number}",
                "text": None if number % 97 == 3 else text,
                "desk": ("foreign", "home", "sport")[number % 3],
                "labels": number,
            }
            file.write(json.dumps(row) + "\n")
    return path


def embedded(path: Path, out: Path, asked: Asked = ASKED) -> Counts:
    return run(path, out, score_embedded, lambda: load_keywords("cpu", 1), asked)


def on_ray(
    cluster: Cluster, path: Path, out: Path, load: Load = load_keywords, asked: Asked = ASKED
) -> Counts:
    engine = RayEngine(cluster, load)
    return run(path, out, engine.score, engine.load, asked)


def run(path: Path, out: Path, engine: Engine, load: Callable[[], Models], asked: Asked) -> Counts:
    how = How(engine=engine, is_quiet=True)
    return score_archive([str(path)], out, asked, load, out.with_suffix(".jsonl"), how)


def files(out: Path) -> dict[str, bytes]:
    """The results and the one file in the order of the input; not the manifest: it says when."""
    found = {path.name: path.read_bytes() for path in out.iterdir() if path.name != "manifest.json"}
    return found | {"one file": out.with_suffix(".jsonl").read_bytes()}


def workers(cluster: Cluster) -> list[psutil.Process]:
    """The processes that hold models."""
    found = []
    for process in psutil.Process().children(recursive=True):
        try:
            if "Worker)" in " ".join(process.cmdline()):
                found.append(process)
        except psutil.NoSuchProcess:
            continue
    return found


def connections(process: psutil.Process) -> list[Any]:
    try:
        return list(process.net_connections())
    except (psutil.NoSuchProcess, psutil.ZombieProcess):
        return []


class Interrupting:
    """An engine that does something after so many blocks."""

    def __init__(self, engine: Engine, after: int, do: Callable[[], None]) -> None:
        self._engine, self._after, self._do = engine, after, do
        self.done = 0

    def __call__(
        self,
        plan: Plan,
        sources: Sequence[Source],
        models: Models,
        store: Store,
        advance: Advance,
        max_rejects: int | None,
    ) -> None:
        def advance_and_do(rows: int, tokens: int = 0, rejects: int = 0) -> None:
            advance(rows, tokens, rejects)
            self.done += 1
            if self.done == self._after:
                self._do()

        self._engine(plan, sources, models, store, advance_and_do, max_rejects)


def kill_one(cluster: Cluster) -> None:
    victim = workers(cluster)[0]
    victim.kill()
    victim.wait(10)


def test_two_workers_write_the_bytes_that_one_process_writes(
    cluster: Cluster, tmp_path: Path
) -> None:
    # Otherwise an archive scored on a cluster could not be compared with one scored at a desk.
    path = archive(tmp_path, 1_500)
    counts = on_ray(cluster, path, tmp_path / "ray")
    assert counts == embedded(path, tmp_path / "embedded")
    assert (counts.read, counts.filtered > 0, counts.rejected > 0) == (1_500, True, True)
    assert files(tmp_path / "ray") == files(tmp_path / "embedded")
    assert_confidential(cluster)


def test_a_worker_killed_in_mid_run_costs_no_row(cluster: Cluster, tmp_path: Path) -> None:
    path = archive(tmp_path, 2_500)
    engine = RayEngine(cluster, load_keywords)
    killing = Interrupting(engine.score, 2, lambda: kill_one(cluster))
    counts = run(path, tmp_path / "ray", killing, engine.load, ASKED)
    assert counts == embedded(path, tmp_path / "embedded")
    assert files(tmp_path / "ray") == files(tmp_path / "embedded")


@pytest.mark.slow
def test_twenty_thousand_rows_are_all_there_though_workers_die(
    cluster: Cluster, tmp_path: Path
) -> None:
    path = archive(tmp_path, 20_000)
    engine = RayEngine(cluster, load_keywords)
    killing: Engine = engine.score
    for after in (5, 30, 60):
        killing = Interrupting(killing, after, lambda: kill_one(cluster))
    counts = run(path, tmp_path / "ray", killing, engine.load, ASKED)
    assert (counts.read, counts) == (20_000, embedded(path, tmp_path / "embedded"))
    assert files(tmp_path / "ray") == files(tmp_path / "embedded")


@pytest.mark.slow
def test_what_a_driver_committed_is_not_scored_again_whatever_the_engine(
    cluster: Cluster, tmp_path: Path
) -> None:
    # A driver that dies costs unfinished blocks only; and a laptop may finish what a cluster began.
    path, out = archive(tmp_path, 2_500), tmp_path / "ray"

    def die() -> None:
        raise KeyboardInterrupt

    engine = RayEngine(cluster, load_keywords)
    with pytest.raises(KeyboardInterrupt):
        run(path, out, Interrupting(engine.score, 3, die), engine.load, ASKED)
    rest = Interrupting(score_embedded, 0, die)
    counts = run(path, out, rest, lambda: load_keywords("cpu", 1), ASKED)
    assert rest.done <= 10 - 3
    assert counts == embedded(path, tmp_path / "embedded")
    assert files(out) == files(tmp_path / "embedded")


@pytest.mark.slow
def test_too_many_rejects_stop_a_run_that_can_go_on(cluster: Cluster, tmp_path: Path) -> None:
    path, out = archive(tmp_path, 1_000), tmp_path / "ray"
    engine = RayEngine(cluster, load_keywords)
    how = How(engine=engine.score, max_rejects=2, is_quiet=True)
    with pytest.raises(TooManyRejects):
        score_archive([str(path)], out, ASKED, engine.load, out.with_suffix(".jsonl"), how)
    assert on_ray(cluster, path, out) == embedded(path, tmp_path / "embedded")
    assert files(out) == files(tmp_path / "embedded")


@pytest.mark.slow
def test_an_input_that_changes_in_mid_run_is_refused(cluster: Cluster, tmp_path: Path) -> None:
    path = archive(tmp_path, 4_000)
    engine = RayEngine(cluster, load_keywords)

    def scribble() -> None:
        with path.open("r+b") as file:
            file.seek(-30, os.SEEK_END)
            file.write(b"X")

    changing = Interrupting(engine.score, 1, scribble)
    with pytest.raises(TocsinError, match="not what they were"):
        run(path, tmp_path / "ray", changing, engine.load, ASKED)


@pytest.mark.parametrize(
    ("load", "message"),
    [
        (load_missing, "a worker on .* cannot load the models: /models/desk: no such directory"),
        (load_other, "a worker on .* has other models than the run was planned with"),
    ],
)
def test_a_worker_without_the_planned_models_is_refused_by_name(
    cluster: Cluster, tmp_path: Path, load: Load, message: str
) -> None:
    # Half an archive scored by last month's model would look like news.
    with pytest.raises(ClusterError, match=message) as refused:
        on_ray(cluster, archive(tmp_path, 300), tmp_path / "ray", load)
    assert "\n" not in str(refused.value)


def test_a_bug_on_a_worker_tells_where_and_never_what_it_read(
    cluster: Cluster, tmp_path: Path
) -> None:
    with pytest.raises(WorkerFailed, match=r"(?s)ValueError on .*cluster_models.py:\d+") as failed:
        on_ray(cluster, archive(tmp_path, 300), tmp_path / "ray", load_quoting)
    assert SECRET not in str(failed.value)
    assert_confidential(cluster)


def test_nobody_else_reaches_a_local_cluster(cluster: Cluster) -> None:
    # Who reaches a port of Ray's can run code as us, and read what is being scored.
    assert cluster.pool.size == 2
    family = [psutil.Process(), *psutil.Process().children(recursive=True)]
    listening = {
        connection.laddr.ip
        for process in family
        for connection in connections(process)
        if connection.status == psutil.CONN_LISTEN
    }
    assert listening != set()
    assert {ip.removeprefix("::ffff:") for ip in listening} <= {"127.0.0.1", "::1"}
    assert os.environ["RAY_USAGE_STATS_ENABLED"] == "0"
    assert not (Path.home() / ".ray" / "auth_token").exists()


def test_the_client_port_of_ray_is_refused_with_the_way_that_works() -> None:
    with pytest.raises(ClusterError, match="--address auto"):
        Cluster(address="ray://head:10001")


@pytest.mark.parametrize("address", ["auto", "127.0.0.1:9", "head:port"])
def test_an_address_where_no_cluster_is_is_one_line_at_once(address: str) -> None:
    with (
        Cluster(address=address) as nowhere,
        pytest.raises(ClusterError, match=f"--address {address}") as refused,
    ):
        _ = nowhere.pool
    assert "\n" not in str(refused.value)


def assert_confidential(cluster: Cluster) -> None:
    """No log of Ray's, on the driver or a worker, holds a word of an article."""
    assert cluster.folder is not None
    logs = [path for path in cluster.folder.rglob("*") if path.is_file()]
    assert [path.name for path in logs if path.name.startswith("worker-")] != []
    assert [path for path in logs if SECRET.encode() in path.read_bytes()] == []


class TestFeed:
    """The blocks between the driver and its workers, without Ray."""

    def test_it_holds_no_more_blocks_than_it_has_room_for(self) -> None:
        # Memory must not grow with the archive when workers are slower than the reader.
        async def check() -> None:
            feed = Feed(2)
            await feed.put(block(0))
            await feed.put(block(1))
            third = asyncio.create_task(feed.put(block(2)))
            assert not await settles(third)
            assert await feed.take(0) == block(0)
            # Taken is not done: the worker may die, and another will ask for it again.
            assert not await settles(third)
            assert await feed.take(0) == block(0)
            await feed.drop(0)
            assert await settles(third)
            # A worker can die between its result and its last word. Whoever repeats the task
            # would wait for ever for a block that is on the disk.
            assert await asyncio.wait_for(feed.take(0), 5) is None

        asyncio.run(check())

    def test_tasks_in_another_order_than_the_blocks_do_not_wait_for_ever(self) -> None:
        async def check() -> None:
            feed = Feed(1)
            late = asyncio.create_task(feed.take(2))
            for number in range(3):
                await asyncio.wait_for(feed.put(block(number)), 5)
            assert await asyncio.wait_for(late, 5) == block(2)

        asyncio.run(check())

    def test_a_block_that_kills_its_workers_does_not_go_round_for_ever(self) -> None:
        # Ray starts a dead worker again without end, and a cluster costs money.
        async def check() -> None:
            feed = Feed(1)
            await feed.put(block(4))
            for _ in range(TRIES):
                assert await feed.take(4) == block(4)
            found = await feed.take(4)
            assert isinstance(found, Problem)
            assert "a.jsonl, rows 4 to 4" in found.message
            assert "Talks" not in found.message

        asyncio.run(check())

    def test_who_waits_for_a_block_that_cannot_be_read_is_let_go(self) -> None:
        async def check() -> None:
            feed = Feed(1)
            waiting = asyncio.create_task(feed.take(7))
            assert not await settles(waiting)
            await feed.close()
            assert await asyncio.wait_for(waiting, 5) is None

        asyncio.run(check())


def block(number: int) -> Block:
    row = Row(file="a.jsonl", number=number, article=Article(id=str(number), text="Talks."))
    return Block(number=number, rows=(row,), size_bytes=6)


async def settles(task: "asyncio.Task[object]") -> bool:
    for _ in range(10):
        await asyncio.sleep(0)
    return task.done()
