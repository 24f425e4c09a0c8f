"""``tocsin serve``: the HTTP service."""

from pathlib import Path
from typing import Annotated

import typer

from tocsin_serving.options import Device, Model, SummariserModel, Threads


def serve(
    host: Annotated[
        str, typer.Option(help="IP address to listen on; any but loopback needs --keys.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="TCP port to listen on.")] = 3000,
    keys: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Who may call (tocsin keys new); read again on change."),
    ] = None,
    metrics_key: Annotated[
        bool,
        typer.Option("--metrics-key", help="Ask for a key with the scope metrics at /metrics."),
    ] = False,
    rate: Annotated[
        float | None, typer.Option(metavar="N", help="Requests a second a key may send.")
    ] = None,
    cors_origin: Annotated[
        list[str] | None,
        typer.Option(metavar="URL", help="Web origin that may call; may be given again."),
    ] = None,
    timeout: Annotated[
        float, typer.Option(metavar="S", help="Seconds a request has if it does not say.")
    ] = 30.0,
    max_timeout: Annotated[
        float, typer.Option(metavar="S", help="Most seconds a request may ask for.")
    ] = 120.0,
    grace: Annotated[
        float, typer.Option(metavar="S", help="Seconds to finish what is admitted, on SIGTERM.")
    ] = 30.0,
    max_body: Annotated[
        int, typer.Option(metavar="BYTES", help="Largest body that is read.")
    ] = 2_097_152,
    queue_tokens: Annotated[
        int, typer.Option(metavar="N", help="Tokens that may wait; past that it is 429.")
    ] = 65_536,
    model: Model = None,
    summariser: SummariserModel = None,
    device: Device = "auto",
    threads: Threads = None,
) -> None:
    """Answer over HTTP: POST /v1/analyse, /v1/classify, /v1/summarise; /docs explains them.

    Example: tocsin serve --port 3000

    Example: tocsin keys new desk --keys keys.txt && tocsin serve --host 0.0.0.0 --keys keys.txt
    """
    from tocsin_serving.serve import start
    from tocsin_serving.settings import ServeSettings

    start(
        ServeSettings(
            host=host,
            port=port,
            device=device,
            threads=threads,
            model=model,
            summariser=summariser,
            keys=keys,
            metrics_key=metrics_key,
            rate_per_s=rate,
            timeout_s=timeout,
            max_timeout_s=max_timeout,
            grace_s=grace,
            max_body_bytes=max_body,
            queue_tokens=queue_tokens,
            cors_origins=tuple(cors_origin or ()),
        )
    )
