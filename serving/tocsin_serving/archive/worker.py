"""What runs on the workers of a cluster, and the values that travel to and fro. Knows no Ray.

Whatever goes wrong here comes back as a value. An exception would be logged by Ray, message and
all, and messages of foreign libraries may quote an article.
"""

import asyncio
import socket
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, Literal, NoReturn, TypeAlias

from tocsin_models.errors import TocsinError
from tocsin_models.records import ModelInfo
from tocsin_serving.archive.asked import Asked
from tocsin_serving.archive.blocks import Block
from tocsin_serving.archive.columns import Column
from tocsin_serving.archive.rows import Row
from tocsin_serving.archive.scoring import Models, ScoredBlock, prepare_block, score_blocks

VERSION = version("tocsin")

Device: TypeAlias = Literal["cpu", "cuda"]
# Loads the models in the process where it is called, on a device with so many threads.
Load: TypeAlias = Callable[[Device, int], Models]
# How often a block is handed out. Only a worker that died leaves one to be asked for again.
TRIES = 6


class ClusterError(TocsinError):
    """The cluster cannot be reached or used, or its workers cannot do what was planned."""


class WorkerFailed(Exception):
    """A worker met a bug of ours: where, but not what the exception said."""


@dataclass(frozen=True, slots=True)
class Problem:
    """What went wrong on a worker, as a value: a bug of ours, or what the caller can mend."""

    message: str
    is_ours: bool = False

    def raise_it(self) -> NoReturn:
        raise WorkerFailed(self.message) if self.is_ours else ClusterError(self.message)


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What every worker is told once. ``models`` is what the plan says of them."""

    load: Load
    device: Device
    threads: int
    asked: Asked
    columns: Sequence[Column]
    models: Mapping[str, Any]


# Waits for the blocks of these numbers; None for one that is done, or will never come.
Take: TypeAlias = Callable[[Sequence[int]], Sequence[Block | Problem | None]]


class Worker:
    """Holds the models and scores the blocks whose numbers it is given; runs in an actor."""

    def __init__(self, task: Task, take: Take) -> None:
        self._task = task
        self._take = take
        # Calls come two at a time, so that one fetches and tokenises while the other computes.
        self._computing = threading.Lock()
        self._models: Models | Problem
        # A worker that cannot load would be started again and again if it said so by raising.
        loaded = load_models(task.load, task.device, task.threads)
        if isinstance(loaded, Models) and loaded.to_record() != task.models:
            loaded = Problem(
                f"a worker on {machine()} has other models than the run was planned with: "
                f"{_show_models(loaded.to_record())} there, {_show_models(task.models)} planned; "
                "make all workers of one kind, with the same models"
            )
        self._models = loaded

    def __call__(self, batch: Mapping[str, Any]) -> Iterator[dict[str, list[Any]]]:
        numbers = [int(number) for number in batch["number"]]
        answer = self._score(numbers)
        if isinstance(answer, Problem):
            yield to_row(answer)
            return
        # A row for every number, always: Ray counts what a repeated task gives the second time.
        scored = {block.number: block for block in answer}
        for number in numbers:
            yield to_row(scored.get(number))

    def _score(self, numbers: Sequence[int]) -> list[ScoredBlock] | Problem:
        models, task = self._models, self._task
        if isinstance(models, Problem):
            return models
        try:
            found = self._take(numbers)
            for block in found:
                if isinstance(block, Problem):
                    return block
            blocks = [block for block in found if isinstance(block, Block)]
            prepared = [prepare_block(block, models, task.asked) for block in blocks]
            with self._computing:
                return score_blocks(prepared, models, task.asked, task.columns)
        except TocsinError as error:
            return Problem(str(error))
        except Exception as error:
            return Problem(locate(error), is_ours=True)


class Feed:
    """The blocks that have been read and not yet committed; an actor beside the driver."""

    def __init__(self, room: int) -> None:
        self._room = room
        self._blocks: dict[int, Block] = {}
        self._waited_for: set[int] = set()
        self._taken: dict[int, int] = {}
        self._done: set[int] = set()
        self._is_closed = False
        self._changed = asyncio.Condition()

    async def put(self, block: Block) -> None:
        """Returns once there is room."""
        async with self._changed:
            await self._changed.wait_for(self._has_room)
            self._blocks[block.number] = block
            self._changed.notify_all()

    async def take(self, number: int) -> Block | Problem | None:
        """The block, which stays. None if it is done: a worker may die after its result came
        through and before it could say that it was ready. None too if it will never come, and a
        problem if it kills workers."""
        async with self._changed:
            self._waited_for.add(number)
            self._changed.notify_all()
            await self._changed.wait_for(
                lambda: number in self._blocks or number in self._done or self._is_closed
            )
            self._waited_for.discard(number)
            block, tries = self._blocks.get(number), self._taken.get(number, 0)
            self._taken[number] = tries + 1
            if block is not None and tries >= TRIES:
                return Problem(_show_killer(block))
            return block

    async def drop(self, number: int) -> None:
        async with self._changed:
            self._blocks.pop(number, None)
            self._done.add(number)
            self._taken.pop(number, None)
            self._changed.notify_all()

    async def close(self) -> None:
        async with self._changed:
            self._is_closed = True
            self._changed.notify_all()

    def _has_room(self) -> bool:
        """Tasks may start in another order than that of the blocks. Then those that wait for what
        is still to be read would wait for ever, while what is here is not asked for."""
        is_stuck = bool(self._waited_for) and bool(self._blocks.keys() - self._taken.keys())
        return len(self._blocks) < self._room or is_stuck


def _show_killer(block: Block) -> str:
    rows = [row for row in block.rows if isinstance(row, Row)]
    return (
        f"{TRIES} workers died over {rows[0].file}, rows {rows[0].number} to {rows[-1].number}: a "
        "row there needs more memory than a worker has, or memory is short; ask for fewer "
        "--workers. What was scored is kept: the same command goes on"
    )


def describe(
    wanted: str, load: Load, device: Device, threads: int
) -> tuple[ModelInfo | None, ModelInfo | None] | Problem:
    if wanted != VERSION:
        return Problem(
            f"a worker on {machine()} has Tocsin {VERSION}, here it is {wanted}; install the same"
        )
    models = load_models(load, device, threads)
    if isinstance(models, Problem):
        return models
    return (
        models.classifier.info if models.classifier else None,
        models.summariser.info if models.summariser else None,
    )


def load_models(load: Load, device: Device, threads: int) -> Models | Problem:
    try:
        return load(device, threads)
    except TocsinError as error:
        return Problem(f"a worker on {machine()} cannot load the models: {error}")
    except Exception as error:
        return Problem(locate(error), is_ours=True)


def machine() -> str:
    """What this machine is called; in Kubernetes, the pod. Asks no name server."""
    return socket.gethostname()


def _show_models(models: Mapping[str, Any]) -> str:
    return ", ".join(
        f"{name} {model['name']} {model['revision'][:19]} {model['precision']} {model['device']}"
        for name, model in models.items()
    )


def to_row(answer: ScoredBlock | Problem | None) -> dict[str, list[Any]]:
    """As a row of a data set, numbered -1 where it holds no block: Arrow keeps lines as they are,
    without another copy of objects."""
    problem = answer if isinstance(answer, Problem) else Problem("")
    if not isinstance(answer, ScoredBlock):
        answer = ScoredBlock(number=-1, results=(), rejects=(), filtered=0)
    return {
        "number": [answer.number],
        "results": ["\n".join(answer.results).encode()],
        "rejects": ["\n".join(answer.rejects).encode()],
        "filtered": [answer.filtered],
        "tokens": [answer.tokens],
        "problem": [problem.message],
        "is_ours": [problem.is_ours],
    }


def from_row(row: Mapping[str, Any]) -> ScoredBlock:
    def split(lines: bytes) -> tuple[str, ...]:
        return tuple(lines.decode().split("\n")) if lines else ()

    return ScoredBlock(
        number=row["number"],
        results=split(row["results"]),
        rejects=split(row["rejects"]),
        filtered=row["filtered"],
        tokens=row["tokens"],
    )


def locate(error: BaseException) -> str:
    """Where an exception was raised, without what it says: that may quote an article."""
    frames = traceback.extract_tb(error.__traceback__)
    places = "".join(f"\n  {frame.filename}:{frame.lineno} in {frame.name}" for frame in frames)
    return f"{type(error).__name__} on {machine()} at{places}"
