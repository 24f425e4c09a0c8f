"""Converts models into the cache in a process of its own: ``python -m tocsin_models.prepare``.

A server that converts takes half a gigabyte for torch, and keeps it for as long as it runs. This
also fills a cache ahead of time, in an image that is being built for one.
"""

import argparse
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tocsin_models.abstractive import is_tocsin
from tocsin_models.backends import is_prepared, may_have_gpu
from tocsin_models.classifier import classifier_network, load_classifier
from tocsin_models.errors import TocsinError
from tocsin_models.manifest import EMBEDDED, read_manifest
from tocsin_models.summariser import load_summariser, summariser_network


def prepare_apart(classifier: Path | None, summariser: Path | None, device: str) -> None:
    """Make sure that loading these models converts nothing here; a child process does it. An
    abstractive summariser is never converted.

    Where it fails nothing is lost: loading then converts, and says what is wrong.

    Raises:
        ModelNotFound, ModelDamaged: a directory cannot be used.
    """
    if device == "cuda" or (device == "auto" and may_have_gpu()):
        return
    where = {
        "classifier": classifier or EMBEDDED["classifier"],
        "summariser": summariser or EMBEDDED["summariser"],
    }
    networks = [
        make(where[task], read_manifest(where[task], check_hashes=False))
        for task, make in (("classifier", classifier_network), ("summariser", summariser_network))
        if task == "classifier" or is_tocsin(summariser)
    ]
    if not all(is_prepared(network) for network in networks):
        # Of a cache that cannot be written, the process that then loads has its own warning.
        command = [sys.executable, "-W", "ignore", "-m", "tocsin_models.prepare"]
        words = [word for task, path in where.items() for word in (f"--{task}", str(path))]
        subprocess.run([*command, *words], stdin=subprocess.DEVNULL, check=False)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tocsin_models.prepare",
        description="Convert models for this processor, into the cache.",
    )
    parser.add_argument("--classifier", type=Path, help="directory (default: the embedded one)")
    parser.add_argument("--summariser", type=Path, help="directory (default: the embedded one)")
    options = parser.parse_args(arguments)
    try:
        load_classifier(options.classifier, device="cpu")
        if is_tocsin(options.summariser):
            load_summariser(options.summariser, device="cpu")
    except TocsinError as error:
        print(f"tocsin_models.prepare: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
