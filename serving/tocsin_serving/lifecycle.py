"""The worker's life: load the models while health is already answered, drain on SIGTERM, and never
outlive the process that started it."""

import asyncio
import gc
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import FrameType
from typing import Any

from tocsin_models.abstractive import open_summariser
from tocsin_models.classifier import load_classifier
from tocsin_models.prepare import prepare_apart
from tocsin_serving.desk import Desk
from tocsin_serving.engine import Engine

LOGGER = logging.getLogger("tocsin.serve")

_POLL_S = 0.5
# What connections that are still open get after the last answer before they are cut.
_CLOSE_S = 2.0
# Of 20 steps. Enough that a request is read, refused or answered at once while both cores infer.
_NICE = 10


class Lifecycle:
    """Starts with the host's event loop, and ends the host when it is time."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._leave: dict[int, Callable[[int, FrameType | None], Any]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Take over the host's signals, and begin to load."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            handler = signal.getsignal(number)
            if callable(handler):
                self._leave[number] = handler
                loop.add_signal_handler(number, self.drain)
        self._run(self._load())
        self._run(self._watch_parent(os.getppid()))

    def drain(self) -> None:
        """Take nothing new, finish what was admitted, end the host. A second call is no other."""
        if not self._desk.is_draining:
            self._desk.is_draining = True
            LOGGER.info("draining: %d requests to finish", self._desk.in_flight)
            self._run(self._drain())

    def stop(self) -> None:
        """End what was started; the host's loop is about to end."""
        for task in self._tasks:
            task.cancel()
        self._desk.close()

    def _run(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _load(self) -> None:
        try:
            engine = await asyncio.get_running_loop().run_in_executor(
                None, _load_engine, self._desk
            )
            await self._desk.open(engine)
            # What is there now stays: the collector need not walk through half a million objects
            # again and again, while everybody waits.
            gc.collect()
            gc.freeze()
        except Exception as error:
            LOGGER.error("the models cannot be loaded", exc_info=error)
            self.drain()
            return
        classifier, summariser = engine.infos
        LOGGER.info(
            "ready: %s %s and %s %s on %s",
            classifier.name,
            classifier.precision,
            summariser.name,
            summariser.precision,
            classifier.device,
        )

    async def _watch_parent(self, parent: int) -> None:
        """A supervisor that was killed cannot tell its worker, which would keep the port."""
        while os.getppid() == parent:
            await asyncio.sleep(_POLL_S)
        LOGGER.error("the supervisor is gone")
        self.drain()

    async def _drain(self) -> None:
        loop = asyncio.get_running_loop()
        end = loop.time() + self._desk.settings.grace_s
        while self._desk.in_flight and loop.time() < end:
            await asyncio.sleep(0.02)
        if self._desk.in_flight:
            LOGGER.warning("%d requests did not finish in time", self._desk.in_flight)
        leave = self._leave.get(signal.SIGINT)
        if leave is None:
            os.kill(os.getpid(), signal.SIGKILL)
            return
        leave(signal.SIGTERM, None)
        # Whoever reads an answer slowly must not keep the process: the second time is an order.
        await asyncio.sleep(_CLOSE_S)
        leave(signal.SIGINT, None)


def _load_engine(desk: Desk) -> Engine:
    """Both models at once: hashing and compiling leave Python's lock."""
    _give_way()
    settings = desk.settings
    prepare_apart(settings.model, settings.summariser, settings.device)
    device, threads = settings.device, settings.threads
    with ThreadPoolExecutor(max_workers=2) as pool:
        classifier = pool.submit(load_classifier, settings.model, device=device, threads=threads)
        summariser = pool.submit(
            open_summariser, settings.summariser, device=device, threads=threads
        )
        return Engine(
            classifier.result(),
            summariser.result(),
            queue_tokens=settings.queue_tokens,
            max_timeout_s=settings.max_timeout_s,
            metrics=desk.metrics,
        )


def _give_way() -> None:
    """Lower the priority of this thread, and so of those it starts (setpriority(2)): the models'
    own and the batcher's."""
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)
