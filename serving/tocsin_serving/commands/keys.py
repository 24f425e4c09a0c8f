"""``tocsin keys``: who may call the service."""

from pathlib import Path
from typing import Annotated

import typer

from tocsin_serving.commands.shared import EXIT_CODES

keys_app = typer.Typer(help="Make keys for callers of the service.", no_args_is_help=True)


@keys_app.command("new", epilog=EXIT_CODES)
def new_key_command(
    name: Annotated[str, typer.Argument(help="Who it is for; logs show this name.")],
    keys: Annotated[Path, typer.Option(metavar="FILE", help="Key file; made if it is not there.")],
    rate: Annotated[
        float | None, typer.Option(metavar="N", help="Requests a second this key may send.")
    ] = None,
    scope: Annotated[
        list[str] | None,
        typer.Option(help="What it may do: score (default), metrics; may be given again."),
    ] = None,
) -> None:
    """Make a key and print its token, once: the file keeps only a hash.

    Delete or comment out its line in the file to revoke it; a running server sees that at once.

    Example: tocsin keys new newsdesk --keys keys.txt --rate 20
    """
    from tocsin_serving.keys import new_key

    typer.echo(new_key(name, keys, scopes=tuple(scope or ["score"]), rate_per_s=rate))
