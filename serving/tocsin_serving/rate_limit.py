"""How many requests a second a key may send: a token bucket each."""

import time
from collections.abc import Callable
from dataclasses import dataclass

# Past so many buckets the full ones are dropped. Names come from the key file, so this is reached
# only by a newsroom with thousands of keys.
SWEEP_AT = 4096
# Rounding in a clock that has run for a year moves a bucket by less than this at 100,000 requests
# a second; without it, who waits exactly as long as he was told could be sent away once more.
_SLACK = 1e-3


@dataclass(slots=True, kw_only=True)
class _Bucket:
    """``tokens`` were in it at ``at_s``; since then it fills by ``rate_per_s``."""

    tokens: float
    at_s: float
    rate_per_s: float

    def level(self, now_s: float) -> float:
        """Tokens now, were there no burst that it may not exceed."""
        return self.tokens + (now_s - self.at_s) * self.rate_per_s


def burst(rate_per_s: float) -> float:
    """How many requests may come at once: one second's worth, and never less than one."""
    return max(1.0, rate_per_s)


class RateLimiter:
    """Admits at most ``burst + rate * t`` requests of a name in any ``t`` seconds.

    For one event loop: not safe between threads. ``clock`` gives seconds that never go back.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._buckets: dict[str, _Bucket] = {}
        self._sweep_at = SWEEP_AT

    def __len__(self) -> int:
        """Buckets held now."""
        return len(self._buckets)

    def admit(self, name: str, rate_per_s: float) -> float | None:
        """None if this request of ``name`` may pass, else seconds until one may.

        ``rate_per_s`` is above 0. It may differ from the last call's: what is in the bucket stays,
        and fills at the new rate from now on. A refused request costs nothing.
        """
        now_s = self._clock()
        bucket = self._buckets.get(name)
        if bucket is None:
            self._sweep(now_s)
            bucket = _Bucket(tokens=burst(rate_per_s), at_s=now_s, rate_per_s=rate_per_s)
            self._buckets[name] = bucket
        tokens = min(bucket.level(now_s), burst(rate_per_s))
        missing = 1.0 - tokens
        is_admitted = missing <= _SLACK
        bucket.tokens = tokens - 1.0 if is_admitted else tokens
        bucket.at_s, bucket.rate_per_s = now_s, rate_per_s
        return None if is_admitted else missing / rate_per_s

    def _sweep(self, now_s: float) -> None:
        """Drop full buckets: a name without one starts with a full one, so nothing is forgotten.

        Buckets in use stay, and the next sweep comes at twice their number, so that a call costs
        the same on average however many names there are.
        """
        if len(self._buckets) < self._sweep_at:
            return
        self._buckets = {
            name: bucket
            for name, bucket in self._buckets.items()
            if bucket.level(now_s) < burst(bucket.rate_per_s)
        }
        self._sweep_at = max(SWEEP_AT, 2 * len(self._buckets))
