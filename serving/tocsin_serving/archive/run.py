"""``tocsin score``: the main path of a run over an archive."""

import re
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from time import monotonic
from typing import Any

from tocsin_models.errors import InputError
from tocsin_serving.archive.asked import Asked, differences
from tocsin_serving.archive.index import InputFile, hash_files, input_differences, make_index
from tocsin_serving.archive.inputs import PIPED, STANDARD_INPUT, Source, find_sources, spool
from tocsin_serving.archive.pipeline import Engine, score_embedded
from tocsin_serving.archive.plan import Counts, Plan
from tocsin_serving.archive.progress import show_progress
from tocsin_serving.archive.scoring import Models
from tocsin_serving.archive.store import RUN, Store
from tocsin_serving.archive.streams import is_address

PACKAGES = ("tocsin", "numpy", "openvino", "pyarrow", "tokenizers")


class CannotGoOn(InputError):
    """A folder holds another run than the one that is asked for; ``problems`` say how they differ,
    a line each."""

    def __init__(self, out: Path, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        lines = "\n  ".join(problems)
        super().__init__(
            f"{out} holds another run; name a new folder, or ask as it did:\n  {lines}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class How:
    """What does not change a single byte of the results."""

    engine: Engine = score_embedded
    engine_name: str = "embedded"
    max_rejects: int | None = None
    is_quiet: bool = False


def score_archive(
    names: Sequence[str],
    out: Path,
    asked: Asked,
    load: Callable[[], Models],
    file: Path | None = None,
    how: How = How(),
) -> Counts:
    """Score every row of ``names`` into the folder ``out``, and into ``file`` in their order.

    A run that was interrupted goes on where it stopped; one that is finished is only counted.
    ``load`` is called once the input has been found and the folder is known to be ours.

    Raises:
        CannotGoOn: the folder holds another run; says which options or files differ.
        TooManyRejects: more than ``how.max_rejects``; the run can go on.
        InputError: the input or the place for the results cannot be used.
    """
    started = monotonic()
    store = Store(out)
    _check_places(names, out, file)
    sources = find_sources(names, out / RUN / "stdin", store.is_ours)
    _check_file(sources, file)
    with _stopped_by_sigterm(), store.lock():
        if manifest := store.read_manifest():
            try:
                _refuse_options(out, manifest, asked, file)
                if STANDARD_INPUT in names and not spool(out / RUN / "stdin"):
                    # Nothing in the pipe means what came through it before, as for a run that goes
                    # on.
                    sources = [item for item in sources if item.name != PIPED]
                    manifest["inputs"] = [i for i in manifest["inputs"] if i["name"] != PIPED]
                _refuse_differences(out, manifest, load(), sources)
            finally:
                # A copy of standard input is not left in a finished folder.
                store.clear()
            if file is not None and not file.exists():
                raise InputError(
                    f"{file} is not there, and {out} is finished: its rows are there; name a new "
                    "folder to have them written into a file again"
                )
            return Counts.from_record(manifest["counts"])
        if STANDARD_INPUT in names:
            spool(out / RUN / "stdin")
        if plan := store.read_plan():
            _refuse_options(out, plan.to_record(), asked, file)
            models = load()
            _refuse_differences(out, plan.to_record(), models, sources)
        else:
            store.refuse_strangers()
            models = load()
            plan = _make_plan(store, sources, asked, models, file, how)
        store.begin(plan)
        loaded = monotonic()
        rows, done = plan.index.rows, store.counts.read
        with show_progress("scored", rows, how.is_quiet, done) as advance:
            how.engine(plan, sources, models, store, advance, how.max_rejects)
        scored = monotonic()
        return store.finish(
            file,
            {
                "engine": how.engine_name,
                "versions": {name: version(name) for name in PACKAGES},
                "timings": {
                    "started": plan.started,
                    "finished": _now(),
                    "last_start_s": round(loaded - started, 3),
                    "last_scoring_s": round(scored - loaded, 3),
                    "last_rows": rows - done,
                },
            },
        )


def print_counts(counts: Counts, out: Path) -> None:
    """The books of a run, on standard error: nothing vanished."""
    line = f"tocsin: read {counts.read:,} = scored {counts.scored:,} + rejected {counts.rejected:,}"
    if counts.filtered:
        line += f" + filtered {counts.filtered:,}"
    if counts.rejected:
        line += f"; reasons in {out / 'rejects.jsonl'}"
    print(line, file=sys.stderr)


def _make_plan(
    store: Store,
    sources: Sequence[Source],
    asked: Asked,
    models: Models,
    file: Path | None,
    how: How,
) -> Plan:
    if asked.needs_classifier and models.classifier is not None:
        from tocsin_models.analyse import apply_options
        from tocsin_serving.archive.scoring import to_options

        apply_options(models.classifier.info, to_options(asked))
    with show_progress("read", None, how.is_quiet) as advance:
        index = make_index(sources, asked, models.labels, store.run, advance)
    return Plan(
        asked=asked,
        models=models.to_record(),
        labels=models.labels,
        index=index,
        has_file=file is not None,
        started=_now(),
    )


def refuse_models(out: Path, before: Mapping[str, Any], models: Models) -> None:
    """
    Raises:
        CannotGoOn: other models answered before.
    """
    problems = _model_differences(before, models)
    if problems:
        raise CannotGoOn(out, problems)


def _refuse_options(out: Path, before: Mapping[str, Any], asked: Asked, file: Path | None) -> None:
    """
    Raises:
        CannotGoOn: options differ.
    """
    now = asked.to_record() | {"output": file is not None}
    problems = differences(before["asked"] | {"output": before["has_file"]}, now)
    if problems:
        raise CannotGoOn(out, problems)


def _refuse_differences(
    out: Path, before: Mapping[str, Any], models: Models, sources: Sequence[Source]
) -> None:
    """
    Raises:
        CannotGoOn: models or input files differ.
    """
    files = before["inputs"] if "inputs" in before else before["index"]["files"]
    problems = _model_differences(before["models"], models)
    problems += input_differences([InputFile(**item) for item in files], hash_files(sources))
    if problems:
        raise CannotGoOn(out, problems)


def _model_differences(before: Mapping[str, Any], models: Models) -> list[str]:
    return [
        f"{name}: {_show_model(before.get(name))} then, {_show_model(model)} now"
        for name, model in models.to_record().items()
        if before.get(name) != model
    ]


def _check_places(names: Sequence[str], out: Path, file: Path | None) -> None:
    """Refuse, before an hour is spent, what could not be kept or would be read as input.

    Raises:
        InputError: a place is a file, a device, the input, or within it.
    """
    # A path has only one of the two slashes of s3://.
    if re.match(r"[a-z][a-z0-9+.-]*:/", str(out)):
        raise InputError(f"{out}: results go to a folder on this machine; copy them from there")
    if out.exists() and not out.is_dir():
        raise InputError(f"{out} is a file; name the folder for the results last")
    if file is not None and file.exists() and not file.is_file():
        raise InputError(f"{file} is not a regular file; name a file for the results")
    if file is not None and not file.absolute().parent.is_dir() and file.parent != out:
        raise InputError(f"{file} cannot be written: there is no folder {file.parent}; make it")
    for name in names:
        if name == STANDARD_INPUT or is_address(name) or not Path(name).exists():
            continue
        place = Path(name).resolve()
        for target in (out, file):
            if target is None:
                continue
            if target.resolve() == place:
                raise InputError(
                    f"{target} is the input itself; name another place for the results"
                )
            if place.is_dir() and target.resolve().is_relative_to(place):
                raise InputError(
                    f"{target} lies within the input {name}, and would be read as such by the next "
                    "run; name a place outside"
                )


def _check_file(sources: Sequence[Source], file: Path | None) -> None:
    """
    Raises:
        InputError: a glob found the place for the results as an input.
    """
    if file is None or not file.exists():
        return
    place = file.resolve()
    for source in sources:
        for path in source.paths:
            if not is_address(path) and Path(path).resolve() == place:
                raise InputError(f"{file} is one of the inputs; name another place for the results")


def _show_model(model: Mapping[str, Any] | None) -> str:
    if model is None:
        return "none"
    return f"{model['name']} {model['revision'][:19]} {model['precision']} {model['device']}"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


@contextmanager
def _stopped_by_sigterm() -> Iterator[None]:
    """Let SIGTERM end a run as Ctrl-C does: what is being written is finished, the rest is not."""

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
