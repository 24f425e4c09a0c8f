"""A headless Chromium for tests of pages, without a driver: it is spoken to over a pipe."""

import fcntl
import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
READY_S = 20.0


class Browser:
    """A headless Chromium with one page, spoken to over a pipe (its DevTools protocol).

    ``events`` are all that it said of its own accord.
    """

    def __init__(self, folder: Path) -> None:
        assert CHROMIUM
        self.events: list[dict[str, Any]] = []
        self._heard = b""
        self._number = 0
        commands, self._to = _pipe()
        self._from, answers = _pipe()
        flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        flags += ["--no-first-run", "--disable-background-networking", "--disable-sync"]
        flags += ["--disable-component-update", "--window-size=1280,1600", "about:blank"]

        def place() -> None:
            os.dup2(commands, 3)
            os.dup2(answers, 4)

        with (folder / "chromium.log").open("wb") as log:
            self._process = subprocess.Popen(
                [CHROMIUM, "--remote-debugging-pipe", f"--user-data-dir={folder}", *flags],
                pass_fds=(3, 4),
                preexec_fn=place,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        os.close(commands)
        os.close(answers)
        self._session: dict[str, str] = {}
        target = self.call("Target.createTarget", url="about:blank")
        self._session = {
            "sessionId": self.call(
                "Target.attachToTarget", targetId=target["targetId"], flatten=True
            )["sessionId"]
        }
        for domain in ("Network", "Log", "Runtime", "Page"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """The result of one call; what the browser says meanwhile is kept."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters, **self._session}
        os.write(self._to, json.dumps(message).encode() + b"\0")
        while True:
            heard = self._read(READY_S)
            assert heard is not None, f"no answer to {method}"
            if heard.get("id") == self._number:
                result: dict[str, Any] = heard["result"]
                return result
            self.events.append(heard)

    def evaluate(self, expression: str) -> Any:
        """The value of an expression of JavaScript in the page; of a promise, its result."""
        answer = self.call(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def wait(self, expression: str) -> Any:
        """The first true value of an expression."""
        deadline = time.monotonic() + READY_S
        while not (value := self.evaluate(expression)):
            assert time.monotonic() < deadline, f"not so: {expression}; {self.complaints()}"
            time.sleep(0.05)
        return value

    def listen(self, seconds: float) -> None:
        """Keep what the browser says until it has been quiet for so long."""
        while heard := self._read(seconds):
            self.events.append(heard)

    def requested(self) -> list[str]:
        """Addresses that the page asked for, in order."""
        return [
            event["params"]["request"]["url"]
            for event in self.events
            if event["method"] == "Network.requestWillBeSent"
        ]

    def complaints(self) -> list[dict[str, Any]]:
        """Errors and warnings in the console, refusals of the policy and exceptions among them."""
        found = []
        for event in self.events:
            what = event["params"]
            kinds = {
                "Runtime.consoleAPICalled": what.get("type"),
                "Log.entryAdded": what.get("entry", {}).get("level"),
                "Runtime.exceptionThrown": "error",
            }
            if kinds.get(event["method"]) in ("error", "warning", "assert"):
                found.append(event)
        return found

    def close(self) -> None:
        os.close(self._to)  # its end of file ends the browser
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._from)

    def _read(self, timeout_s: float) -> dict[str, Any] | None:
        deadline = time.monotonic() + timeout_s
        while b"\0" not in self._heard:
            left_s = deadline - time.monotonic()
            if left_s <= 0 or not select.select([self._from], [], [], left_s)[0]:
                return None
            piece = os.read(self._from, 1 << 20)
            assert piece, "the browser has gone"
            self._heard += piece
        message, _, self._heard = self._heard.partition(b"\0")
        heard: dict[str, Any] = json.loads(message)
        return heard


def _pipe() -> tuple[int, int]:
    """Both ends, above the numbers 3 and 4 that the browser reads and writes."""
    ends = os.pipe()
    moved = [fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in ends]
    for end in ends:
        os.close(end)
    return moved[0], moved[1]


def open_browser(folder: Path) -> Iterator[Browser]:
    """What a fixture yields from; the test is skipped where there is no Chromium."""
    if CHROMIUM is None:
        pytest.skip("no chromium is installed (Debian: apt-get install chromium)")
    found = Browser(folder)
    yield found
    found.close()
