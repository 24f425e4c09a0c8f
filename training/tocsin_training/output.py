"""Writing a model directory, all of it or nothing: fp16 safetensors, tokenizer, manifest."""

import dataclasses
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from safetensors.torch import save_file

from tocsin_eval.tables import Source, source_name, source_sha256
from tocsin_models.errors import ConfigError
from tocsin_models.manifest import Manifest, hash_files, write_manifest


def describe_data(**splits: Sequence[Source]) -> tuple[dict[str, str], ...]:
    """The files and data sets of a run as the manifest keeps them: split, name, SHA-256."""
    return tuple(
        {"split": split, "name": source_name(source), "sha256": source_sha256(source)}
        for split, sources in splits.items()
        for source in sources
    )


def check_out(out: Path) -> None:
    """Refuse a place that already holds something, before an hour is spent on training.

    Raises:
        ConfigError: ``out`` exists and is not an empty directory, or is "." or ends in "..", beside
            which nothing can be kept while the run is unfinished.
    """
    if out.name in ("", ".."):
        raise ConfigError(str(out), ["--out has no name of its own; give a new one, such as model"])
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ConfigError(str(out), ["--out exists and is not empty; give a new directory"])


def write_directory(out: Path, model: Any, tokenizer: Any, manifest: Manifest) -> None:
    """Write model, tokenizer and manifest to ``out``.

    Tensors are stored in fp16 and ``config.json`` says float32: otherwise transformers 5 runs the
    model in half precision on a CPU, at a third of the speed (design, "The models").
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = out.with_name(out.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    tensors = {
        name: (tensor.half() if tensor.is_floating_point() else tensor).contiguous().clone()
        for name, tensor in model.state_dict().items()
    }
    weights = partial / "model.safetensors"
    save_file(tensors, weights, metadata={"format": "pt"})
    weights.chmod(0o644)  # safetensors leaves it to the owner alone, and a wheel keeps that
    config = json.loads(model.config.to_json_string())
    # _name_or_path would carry the trainer's own directory into the world.
    config |= {"dtype": "float32", "_name_or_path": manifest.base}
    (partial / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
    tokenizer.save_pretrained(partial)
    write_manifest(partial, dataclasses.replace(manifest, files=hash_files(partial)))
    move_directory(partial, out)


def move_directory(finished: Path, out: Path) -> None:
    """Put a directory that is finished where ``out`` is free or an empty directory."""
    out.parent.mkdir(parents=True, exist_ok=True)
    if out.exists():
        out.rmdir()
    finished.replace(out)
