"""``tocsin models``: what the manifests of model directories say."""

from pathlib import Path
from typing import Annotated

import typer

from tocsin_models.errors import TocsinError
from tocsin_serving.commands.shared import EXIT_REFUSED, print_error, print_json, print_table


def models(
    directories: Annotated[
        list[Path] | None,
        typer.Argument(metavar="DIR", help="Model directories, instead of the embedded ones."),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object a line instead of a table.")
    ] = False,
) -> None:
    """Show models: revision, languages, thresholds, metrics, size, licence.

    The files are checked against their hashes.

    Example: tocsin models my-model
    """
    from tocsin_models.manifest import EMBEDDED, read_manifest
    from tocsin_serving.render import render_manifests

    is_refused = False
    rows = []
    for directory in directories or EMBEDDED.values():
        try:
            manifest = read_manifest(directory)
        except TocsinError as error:
            print_error(error)
            is_refused = True
            continue
        size_bytes = sum(path.stat().st_size for path in directory.iterdir() if path.is_file())
        rows.append((str(directory), manifest, size_bytes))
    if as_json:
        for where, manifest, size_bytes in rows:
            facts = {
                "name": manifest.name,
                "task": manifest.task,
                "revision": manifest.revision,
                "languages": list(manifest.languages),
                "labels": list(manifest.labels),
                "thresholds": dict(manifest.thresholds),
                "metrics": dict(manifest.metrics),
                "max_tokens": manifest.max_tokens,
                "base": manifest.base,
                "licence": manifest.licence,
                "size_bytes": size_bytes,
                "directory": where,
            }
            print_json(facts)
    else:
        print_table(render_manifests(rows))
    if is_refused:
        raise typer.Exit(EXIT_REFUSED)
