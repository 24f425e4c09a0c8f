"""What an unfinished training has done so far: a run that was killed goes on where it stopped."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tocsin_models.errors import ConfigError
from tocsin_models.manifest import file_sha256
from tocsin_training.progress import say


class Work:
    """The folder ``OUT.unfinished``: checkpoints of the stage at hand, results of stages done.

    It belongs to one run, described by ``run`` (settings, base, hashes of the data; JSON values).
    A folder that holds nothing but such a description was not begun, and is anybody's.

    Raises:
        ConfigError: the folder holds the work of a run that was described otherwise.
    """

    def __init__(self, out: Path, run: Mapping[str, Any]) -> None:
        self.folder = out.with_name(out.name + ".unfinished")
        described = self.folder / "run.json"
        run = json.loads(json.dumps(run))
        partial = described.with_suffix(".partial")
        # Trainer makes the folder of a stage before the first step.
        has_begun = any(
            path.is_file() and path not in (described, partial) for path in self.folder.rglob("*")
        )
        if described.exists() and has_begun:
            differing = _differences(json.loads(described.read_text(encoding="utf-8")), run)
            if differing:
                raise ConfigError(
                    str(self.folder),
                    [f"an unfinished training lies here, with other {', '.join(differing)}; delete "
                     "the folder, or give another --out"],
                )  # fmt: skip
            say(f"going on with the unfinished training in {self.folder}")
        self.folder.mkdir(parents=True, exist_ok=True)
        partial.write_text(json.dumps(run, indent=2, sort_keys=True), encoding="utf-8")
        partial.replace(described)

    def checkpoints(self, stage: str, seed: int | None = None) -> Path:
        """Where a stage keeps its checkpoints, or one of the seeds that it is the mean of."""
        return self.folder / (stage if seed is None else f"{stage}-seed-{seed}")

    def staging(self) -> Path:
        """A free place for the model directory until it is whole."""
        place = self.folder / "model"
        shutil.rmtree(place, ignore_errors=True)
        return place

    def load(self, stage: str) -> npt.NDArray[np.float64] | None:
        """The result of a stage, if it was finished."""
        path = self.folder / f"{stage}.npy"
        return np.load(path, allow_pickle=False) if path.exists() else None

    def keep(self, stage: str, result: npt.NDArray[np.float64]) -> None:
        """The stage is finished: keep its result, drop its checkpoints."""
        partial = self.folder / f"{stage}.partial"
        with partial.open("wb") as file:
            np.save(file, result, allow_pickle=False)
        partial.replace(self.folder / f"{stage}.npy")
        for checkpoints in (self.checkpoints(stage), *self.folder.glob(f"{stage}-seed-*")):
            shutil.rmtree(checkpoints, ignore_errors=True)

    def remove(self) -> None:
        """The training is finished."""
        shutil.rmtree(self.folder, ignore_errors=True)


def describe_base(base: str) -> dict[str, Any]:
    """A base as a run is described by it: its name and, of a local directory, the SHA-256 of each
    file of weights, because it may have been trained again in its place."""
    weights = sorted(Path(base).glob("*.safetensors")) if Path(base).is_dir() else []
    return {"base": base, "base_sha256": {path.name: file_sha256(path) for path in weights}}


def _differences(before: Mapping[str, Any], now: Mapping[str, Any], prefix: str = "") -> list[str]:
    names = []
    for key in sorted({*before, *now}):
        old, new = before.get(key), now.get(key)
        if isinstance(old, dict) and isinstance(new, dict):
            names += _differences(old, new, f"{prefix}{key}.")
        elif old != new:
            names.append(prefix + key)
    return names
