"""Who may come in: keys, their scopes and rates; without keys, this machine alone."""

import ipaddress
import re
from collections.abc import Mapping

from tocsin_serving.keys import Key, KeyFile, TooManyAttempts
from tocsin_serving.problems import Problem
from tocsin_serving.rate_limit import RateLimiter
from tocsin_serving.routes import Route
from tocsin_serving.settings import ServeSettings

ANONYMOUS = "anonymous"
_LOOPBACK_NAMES = frozenset(("localhost", "127.0.0.1", "[::1]"))


class Gate:
    """Raises ``Problem`` for whoever may not pass. The key file is watched while it runs.

    Raises:
        ConfigError: the key file cannot be read, or a line of it is wrong.
    """

    def __init__(self, settings: ServeSettings) -> None:
        self._keys = KeyFile(settings.keys) if settings.keys else None
        self._metrics_key = settings.metrics_key
        self._rate_per_s = settings.rate_per_s
        self._limiter = RateLimiter()

    async def admit(
        self, route: Route, headers: Mapping[str, str], client: str | None
    ) -> str | None:
        """The name of the key that a request came with, or None where none is needed.

        Raises:
            Problem: unauthorised, forbidden or rate_limited.
        """
        is_open = route.scope is None or (route.scope == "metrics" and not self._metrics_key)
        if self._keys is None:
            _check_local(headers.get("host", ""), client)
            if not is_open:
                self._spend(ANONYMOUS, self._rate_per_s)
            return None
        if is_open:
            return None
        key = await self._find(self._keys, headers.get("authorization", ""))
        if route.scope not in key.scopes:
            raise Problem(
                "forbidden",
                f"the key {key.name} lacks the scope {route.scope}, which is needed here",
            )
        self._spend(key.name, key.rate_per_s or self._rate_per_s)
        return key.name

    async def _find(self, keys: KeyFile, authorization: str) -> Key:
        scheme, _, token = authorization.partition(" ")
        challenge = [("www-authenticate", "Bearer")]
        if scheme.lower() != "bearer" or not token.strip():
            raise Problem(
                "unauthorised", "send a key as `Authorization: Bearer …`", headers=challenge
            )
        try:
            key = await keys.find(token.strip())
        except TooManyAttempts:
            raise Problem(
                "rate_limited", "too many wrong keys are being tried", retry_after_s=1
            ) from None
        if key is None:
            raise Problem("unauthorised", "the key is not one of ours", headers=challenge)
        return key

    def _spend(self, name: str, rate_per_s: float | None) -> None:
        if rate_per_s is None:
            return
        wait_s = self._limiter.admit(name, rate_per_s)
        if wait_s is not None:
            raise Problem(
                "rate_limited",
                f"{rate_per_s:g} requests a second are allowed here",
                retry_after_s=wait_s,
            )


def _check_local(host: str, client: str | None) -> None:
    """Without keys, only this machine is served, whatever address the server is bound to; and only
    under its own name, else a web page could reach it by pointing a name of its own at 127.0.0.1
    (DNS rebinding)."""
    if client is not None and not _is_loopback(client):
        raise Problem(
            "unauthorised",
            "this service has no keys, so it answers its own machine only; make one with "
            "`tocsin keys new` and start it with --keys",
            headers=[("www-authenticate", "Bearer")],
        )
    name = re.sub(r":\d+\Z", "", host)
    if name and name.lower() not in _LOOPBACK_NAMES and not _is_loopback(name):
        raise Problem(
            "forbidden",
            "this service has no keys, so it answers to localhost only; behind a proxy or another "
            "name start it with --keys",
        )


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address.strip("[]")).is_loopback
    except ValueError:
        return False
