"""Where a number comes from: what must stand beside it so that others can print it again."""

import os
import platform
import shlex
import subprocess
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from rich.console import Console

from tocsin_eval.data import data_sha256
from tocsin_eval.tables import Source, source_name

PACKAGES = (
    *("tocsin", "numpy", "openvino", "torch", "transformers", "scikit-learn", "rouge-score"),
    *("sumy", "matplotlib"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSource:
    """Files that were read together: SHA-256 over their bytes in order, and the rows used."""

    role: str
    names: tuple[str, ...]
    sha256: str
    rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """``commit`` ends in ``-dirty`` where files differ from it, and is None outside a clone."""

    command: str
    data: tuple[DataSource, ...]
    seed: int
    models: dict[str, str]
    commit: str | None
    machine: str
    cores: int
    versions: dict[str, str]

    def to_record(self) -> dict[str, Any]:
        return asdict(self)

    def print(self, console: Console) -> None:
        """One line a fact; of hashes the first twelve digits."""
        lines = [f"command   {self.command}"]
        lines += [
            f"{source.role:<9} {source.rows} rows of "
            f"{', '.join(source.names)} (sha256 {source.sha256[:12]})"
            for source in self.data
        ]
        lines += [f"model     {name} {revision[:19]}" for name, revision in self.models.items()]
        lines += [
            f"seed      {self.seed}",
            f"commit    {self.commit or 'not in a git clone'}",
            f"machine   {self.machine}, {self.cores} cores, Python {platform.python_version()}",
            "versions  " + ", ".join(f"{name} {found}" for name, found in self.versions.items()),
        ]
        for line in lines:
            console.print(line, soft_wrap=True, markup=False)


def data_source(role: str, sources: Sequence[Source], rows: int) -> DataSource:
    """Describe files by name and hash.

    Raises:
        DataError: a file cannot be read.
    """
    names = tuple(map(source_name, sources))
    return DataSource(role=role, names=names, sha256=data_sha256(sources), rows=rows)


def describe_run(
    command: Sequence[str],
    data: Sequence[DataSource],
    seed: int,
    models: dict[str, str],
) -> Provenance:
    """All that is known about this run on this machine. ``command`` is what was typed."""
    return Provenance(
        command=shlex.join(command),
        data=tuple(data),
        seed=seed,
        models=models,
        commit=current_commit(),
        machine=processor_name(),
        cores=available_cores(),
        versions={name: found for name in PACKAGES if (found := _version(name))},
    )


def current_commit() -> str | None:
    """The commit of the clone this file stands in; None outside one, or without git."""
    try:
        told = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return told.stdout.strip()


def processor_name() -> str:
    """The processor as Linux names it, elsewhere as Python does."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def available_cores() -> int:
    """Cores this process may run on, which in a container is fewer than the machine has."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
