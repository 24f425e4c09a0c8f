"""Settings of the service: one frozen record, handed from ``tocsin serve`` to the worker process,
or to a Bento, through environment variables named ``TOCSIN_SERVE_`` and the field."""

import dataclasses
import ipaddress
import re
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tocsin_models.errors import ConfigError

PREFIX = "TOCSIN_SERVE_"
MIB = 1 << 20

_DEVICES = ("auto", "cpu", "cuda")
_ORIGIN = re.compile(r"https?://[^/\s]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeSettings:
    """What a server is told at its start.

    ``timeout_s`` is a request's deadline where it names none, ``max_timeout_s`` the longest it may
    ask for, ``grace_s`` how long admitted work may take after SIGTERM. ``rate_per_s`` limits each
    key that has no rate of its own. ``queue_tokens`` is what may wait for the models.
    """

    host: str = "127.0.0.1"
    port: int = 3000
    device: str = "auto"
    threads: int | None = None
    model: Path | None = None
    summariser: Path | None = None
    keys: Path | None = None
    metrics_key: bool = False
    rate_per_s: float | None = None
    timeout_s: float = 30.0
    max_timeout_s: float = 120.0
    grace_s: float = 30.0
    max_body_bytes: int = 2 * MIB
    queue_tokens: int = 65_536
    cors_origins: tuple[str, ...] = ()

    def check(self) -> None:
        """
        Raises:
            ConfigError: with every problem, not only the first.
        """
        problems = [
            f"{name}: {value} is outside {least} to {most}"
            for name, value, least, most in (
                ("port", self.port, 1, 65_535),
                ("timeout", self.timeout_s, 0.001, self.max_timeout_s),
                ("max-timeout", self.max_timeout_s, 0.001, 3_600),
                ("grace", self.grace_s, 0, 3_600),
                ("max-body", self.max_body_bytes, 1_024, 1_024 * MIB),
                ("queue-tokens", self.queue_tokens, 1, 1 << 30),
                ("rate", self.rate_per_s, 0.001, 1_000_000),
                ("threads", self.threads, 1, 1_024),
            )
            if value is not None and not least <= value <= most
        ]
        if self.device not in _DEVICES:
            problems.append(f"device: {self.device!r} is not one of {', '.join(_DEVICES)}")
        try:
            address = ipaddress.ip_address(self.host)
            if not address.is_loopback and self.keys is None:
                problems.append(
                    f"host: {self.host} can be reached from other machines, so keys are needed: "
                    "make one with `tocsin keys new NAME --keys FILE` and give --keys FILE"
                )
        except ValueError:
            problems.append(
                f"host: {self.host!r} is not an IP address such as 127.0.0.1 or 0.0.0.0"
            )
        problems += [
            f"cors-origin: {origin!r} is not of the form https://desk.example.org"
            for origin in self.cors_origins
            if not _ORIGIN.fullmatch(origin)
        ]
        if self.metrics_key and self.keys is None:
            problems.append("metrics-key: without --keys there is no key to ask for")
        if problems:
            raise ConfigError("tocsin serve", problems)

    def to_environment(self) -> dict[str, str]:
        """Variables for ``from_environment``; what is not set is left out."""
        return {
            PREFIX + field.name.upper(): _to_text(value)
            for field in dataclasses.fields(self)
            if (value := getattr(self, field.name)) is not None and value != ()
        }

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "ServeSettings":
        """
        Raises:
            ConfigError: with every variable that cannot be read.
        """
        hints = typing.get_type_hints(cls)
        values: dict[str, Any] = {}
        known = {PREFIX + field.name.upper() for field in dataclasses.fields(cls)}
        problems = [
            f"{name}: unknown; known are {', '.join(sorted(known))}"
            for name in environment
            if name.startswith(PREFIX) and name not in known
        ]
        for field in dataclasses.fields(cls):
            name = PREFIX + field.name.upper()
            if not (text := environment.get(name)):
                continue
            try:
                values[field.name] = _from_text(text, hints[field.name])
            except ValueError as error:
                problems.append(f"{name}: {text!r} cannot be read ({error})")
        if problems:
            raise ConfigError("environment", problems)
        return cls(**values)


def _to_text(value: Any) -> str:
    if isinstance(value, tuple):
        return " ".join(value)
    return str(int(value)) if isinstance(value, bool) else str(value)


def _from_text(text: str, wanted: Any) -> Any:
    if isinstance(wanted, types.UnionType):
        [wanted] = [kind for kind in typing.get_args(wanted) if kind is not types.NoneType]
    if typing.get_origin(wanted) is tuple:
        return tuple(text.split())
    if wanted is bool:
        if text.lower() not in ("0", "1", "false", "true"):
            raise ValueError("neither 0 nor 1")
        return text.lower() in ("1", "true")
    return wanted(text)
