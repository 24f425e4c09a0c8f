"""``manifest.json``: what a model directory is, and the proof that its files are the ones meant.

A model directory is what training hands to everybody else: the files ``transformers`` knows
(``config.json``, ``model.safetensors``, ``tokenizer.json``) and this manifest with labels,
thresholds, calibration, data, metrics, licence and a SHA-256 for every other file.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tocsin_models.errors import ModelDamaged, ModelNotFound
from tocsin_models.records import ModelInfo

SCHEMA = "tocsin-model/1"
FILE_NAME = "manifest.json"
TASKS = ("classifier", "summariser")

WEIGHTS = Path(__file__).parent / "weights"
EMBEDDED = {task: WEIGHTS / task for task in TASKS}


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What is known about a model directory.

    ``labels`` and ``thresholds`` are empty for a summariser; ``definitions`` says of labels what
    they mean. ``calibration`` tells, per label, the scale and offset that were folded into the last
    layer: they need not be applied again.
    ``max_tokens`` is the window, special tokens included. ``metrics`` maps a name to
    ``{"value", "low", "high"}`` or to a number. ``files`` maps a name to its SHA-256.
    """

    name: str
    task: str
    max_tokens: int
    languages: tuple[str, ...]
    base: str
    licence: str
    files: Mapping[str, str]
    labels: tuple[str, ...] = ()
    thresholds: Mapping[str, float] = field(default_factory=dict)
    calibration: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    definitions: Mapping[str, str] = field(default_factory=dict)
    data: tuple[Mapping[str, Any], ...] = ()
    metrics: Mapping[str, Any] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)
    schema: str = SCHEMA

    @property
    def revision(self) -> str:
        """Hash over everything that decides an answer; metrics and notes do not change it."""
        deciding = {
            "task": self.task,
            "max_tokens": self.max_tokens,
            "languages": list(self.languages),
            "labels": list(self.labels),
            "thresholds": dict(self.thresholds),
            "files": dict(self.files),
        }
        text = json.dumps(deciding, sort_keys=True, separators=(",", ":"))
        return "sha256:" + hashlib.sha256(text.encode()).hexdigest()

    def info(self, precision: str, device: str) -> ModelInfo:
        """The model as an answer names it, run in this precision on this device."""
        return ModelInfo(
            name=self.name,
            revision=self.revision,
            precision=precision,
            device=device,
            languages=self.languages,
            thresholds=self.thresholds,
        )


def file_sha256(path: Path) -> str:
    """Hexadecimal SHA-256 of a file's bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def write_manifest(directory: Path, manifest: Manifest) -> None:
    """Write ``manifest.json`` into a model directory."""
    text = json.dumps(asdict(manifest), indent=2, ensure_ascii=False)
    (directory / FILE_NAME).write_text(text + "\n", encoding="utf-8")


def hash_files(directory: Path) -> dict[str, str]:
    """SHA-256 of every file in a model directory but the manifest itself, sorted by name."""
    names = sorted(path.name for path in directory.iterdir() if path.is_file())
    return {name: file_sha256(directory / name) for name in names if name != FILE_NAME}


def read_manifest(directory: Path, check_hashes: bool = True) -> Manifest:
    """The manifest of a model directory, every file it names checked against its hash.

    Raises:
        ModelNotFound: there is no such directory.
        ModelDamaged: the manifest or a file it names is missing, unreadable or different.
    """
    if not directory.is_dir():
        raise ModelNotFound(
            f"{directory}: no such model directory; give one that `tocsin train` wrote, "
            "or leave the option out for the embedded model"
        )
    path = directory / FILE_NAME
    if not path.is_file():
        raise ModelDamaged(
            f"{directory}: {FILE_NAME} is missing, so this is no Tocsin model directory; "
            "`tocsin train` writes one"
        )
    manifest = _parse(path)
    for name, expected in manifest.files.items():
        file = directory / name
        if not file.is_file():
            raise ModelDamaged(f"{directory}: {name} is missing; copy the directory again")
        if check_hashes and (found := file_sha256(file)) != expected:
            raise ModelDamaged(
                f"{directory}: {name} has SHA-256 {found[:12]}…, its manifest says "
                f"{expected[:12]}…; the file is damaged or was changed: copy the directory again"
            )
    return manifest


def _parse(path: Path) -> Manifest:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        if values["schema"] != SCHEMA or values["task"] not in TASKS:
            raise ValueError(f"schema {values['schema']!r}, task {values['task']!r}")
        if any("/" in name or "\\" in name for name in values["files"]):
            raise ValueError("a file name holds a path separator")
        for name in ("languages", "labels", "data"):
            values[name] = tuple(values[name])
        return Manifest(**values)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelDamaged(
            f"{path}: not a manifest of schema {SCHEMA} ({type(error).__name__}: {error}); "
            "copy the directory again"
        ) from None
