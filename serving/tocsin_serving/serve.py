"""``tocsin serve``: everything that can be wrong is said before a server is started."""

import os
import socket
import tempfile
from importlib.util import find_spec
from pathlib import Path

from tocsin_models.abstractive import is_tocsin, summariser_manifest
from tocsin_models.errors import ConfigError, ModelError, TocsinError
from tocsin_models.manifest import EMBEDDED, read_manifest
from tocsin_serving.settings import PREFIX, ServeSettings

# What the extra "serve" adds and its code imports.
_MODULES = ("bentoml", "fastapi", "fastapi_offline", "prometheus_client", "httptools", "uvloop")


def start(settings: ServeSettings) -> None:
    """Serve until SIGTERM or SIGINT.

    Raises:
        ConfigError: a setting is wrong, a key file cannot be read, or the port is taken.
        ModelNotFound, ModelDamaged: a model directory cannot be used.
        TocsinError: a package is missing, or the worker ended by itself.
    """
    settings.check()
    missing = [name for name in _MODULES if find_spec(name) is None]
    if missing:
        raise TocsinError(
            f"serving needs {', '.join(missing)}, not installed here: pip install 'tocsin[serve]'"
        )
    _check_model(settings.model, "classifier")
    if is_tocsin(settings.summariser):
        _check_model(settings.summariser, "summariser")
    else:
        summariser_manifest(settings.summariser)  # fetches what a Hub id names
    if settings.keys:
        from tocsin_serving.keys import KeyFile

        KeyFile(settings.keys)  # says what is wrong with it
    _check_port(settings)
    # BentoML keeps state in its home, and wipes some of it at a start: two servers that shared one
    # would take each other's.
    with tempfile.TemporaryDirectory(prefix="tocsin-serve-") as home:
        # What stands there from elsewhere was not checked.
        for name in [name for name in os.environ if name.startswith(PREFIX)]:
            del os.environ[name]
        os.environ |= {
            **settings.to_environment(),
            "BENTOML_HOME": home,
            "TMPDIR": home,
            # As in a container: a worker that dies is not started again once a second, with its
            # port open and requests hanging; the server ends, and whoever runs it can see that.
            "BENTOML_CONTAINERIZED": "true",
        }
        tempfile.tempdir = home  # BentoML leaves folders behind
        try:
            from tocsin_serving.service import run

            run()
        finally:
            tempfile.tempdir = None


def _check_model(directory: Path | None, task: str) -> None:
    where = directory or EMBEDDED[task]
    found = read_manifest(where).task
    if found != task:
        raise ModelError(f"{where}: holds a {found}, not a {task}; were the two options exchanged?")


def _check_port(settings: ServeSettings) -> None:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((settings.host, settings.port))
    except OSError as error:
        raise ConfigError(
            "tocsin serve",
            [
                f"port: {settings.port} on {settings.host} cannot be had ({error.strerror}); "
                "stop what uses it, or choose another with --port"
            ],
        ) from None
