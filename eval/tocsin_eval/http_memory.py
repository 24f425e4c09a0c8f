"""Resident memory of a server and of the processes it started, from ``/proc`` (Linux)."""

import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from tocsin_models.errors import DataError

MIB = 1024 * 1024

# Growth compares means of this many seconds, so that one allocation at the edge decides nothing.
LEVEL_S = 15.0

_PROC = Path("/proc")
_BARS = "▁▂▃▄▅▆▇█"


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """A number is given to another process once its own has ended; with ``started`` (clock ticks
    after boot) it is always the one that was meant."""

    pid: int
    parent: int
    started: int
    is_zombie: bool


def read_process(pid: int) -> Process | None:
    """None where there is no such process (any more)."""
    try:
        text = (_PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    # The second field is the command in brackets and may itself hold blanks and brackets.
    values = text.rpartition(")")[2].split()
    return Process(
        pid=pid, parent=int(values[1]), started=int(values[19]), is_zombie=values[0] in "ZX"
    )


def is_alive(process: Process) -> bool:
    """It is there, it is not another that got its number, and it has not ended unmourned."""
    now = read_process(process.pid)
    return now is not None and now.started == process.started and not now.is_zombie


def process_tree(pid: int) -> list[Process]:
    """A process and all below it, itself first; empty where it is gone, or without ``/proc``."""
    numbers = [int(path.name) for path in _PROC.glob("[0-9]*")]
    children: defaultdict[int, list[Process]] = defaultdict(list)
    found: list[Process] = []
    for number in numbers:
        if process := read_process(number):
            children[process.parent].append(process)
            if number == pid:
                found.append(process)
    for process in found:  # grows while it is walked
        found.extend(children[process.pid])
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """Bytes of all processes of a tree. ``resident`` counts shared pages once a process,
    ``proportional`` once in all (PSS). ``at_s`` is of ``time.monotonic``."""

    at_s: float
    resident: int
    proportional: int
    processes: int


def read_memory(pid: int) -> Memory:
    """Processes that end meanwhile, or are zombies, count nothing.

    Raises:
        DataError: nothing is left, or the system is not Linux.
    """
    resident = proportional = processes = 0
    for process in process_tree(pid):
        try:
            text = (_PROC / str(process.pid) / "smaps_rollup").read_text(encoding="utf-8")
        except OSError:
            continue
        fields = dict(line.split(":", 1) for line in text.splitlines() if line.endswith(" kB"))
        resident += _bytes(fields["Rss"])
        proportional += _bytes(fields["Pss"])
        processes += 1
    if not processes:
        raise DataError(f"process {pid}: no memory to read in {_PROC} (it is gone, or not Linux)")
    return Memory(
        at_s=time.monotonic(), resident=resident, proportional=proportional, processes=processes
    )


def _bytes(kibibytes: str) -> int:
    return 1024 * int(kibibytes.split()[0])


@dataclass(slots=True)
class MemoryLog:
    """Samples of one server, in the order they were taken."""

    pid: int
    samples: list[Memory] = field(default_factory=list)

    def sample(self) -> None:
        self.samples.append(read_memory(self.pid))

    def between(self, first_s: float, last_s: float) -> list[Memory]:
        """Samples from ``first_s`` to ``last_s`` of ``time.monotonic``."""
        return [sample for sample in self.samples if first_s <= sample.at_s <= last_s]


@dataclass(frozen=True, slots=True, kw_only=True)
class Levels:
    """Resident bytes: the means of the first and of the last seconds, and the most there were."""

    first: float
    last: float
    peak: int

    @property
    def growth_share(self) -> float:
        return self.last / self.first - 1


def levels(samples: Sequence[Memory], level_s: float = LEVEL_S) -> Levels:
    """Where the samples span less than twice ``level_s``, their halves are compared.

    Raises:
        DataError: there are fewer than two samples.
    """
    if len(samples) < 2:
        raise DataError(f"{len(samples)} samples of memory; give the phase more seconds")
    start_s, end_s = samples[0].at_s, samples[-1].at_s
    level_s = min(level_s, (end_s - start_s) / 2)
    first = [sample.resident for sample in samples if sample.at_s <= start_s + level_s]
    last = [sample.resident for sample in samples if sample.at_s >= end_s - level_s]
    return Levels(
        first=float(np.mean(first)),
        last=float(np.mean(last)),
        peak=max(sample.resident for sample in samples),
    )


def slope_per_hour(samples: Sequence[Memory]) -> float:
    """Bytes an hour by least squares: what a leak would come to."""
    at_s = np.array([sample.at_s for sample in samples])
    resident = np.array([sample.resident for sample in samples], dtype=np.float64)
    return float(np.polyfit(at_s - at_s[0], resident, 1)[0] * 3600)


def sparkline(values: Sequence[float], width: int = 60) -> str:
    """One bar for the mean of each ``1 / width`` of the values, the lowest and highest full span.

    Fewer values than ``width`` give a bar each.
    """
    means = [float(np.mean(part)) for part in np.array_split(values, min(width, len(values)))]
    low, span = min(means), max(means) - min(means)
    return "".join(
        _BARS[round((mean - low) / span * (len(_BARS) - 1)) if span else 0] for mean in means
    )
