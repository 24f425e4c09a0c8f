"""Who may come in: without keys this machine alone, with keys whoever has one that allows it."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from tocsin_models.errors import ConfigError
from tocsin_serving.gate import Gate
from tocsin_serving.keys import new_key
from tocsin_serving.problems import Problem
from tocsin_serving.routes import OTHER, ROUTES, Route
from tocsin_serving.settings import ServeSettings

SCORING = ROUTES["/v1/analyse"]
HEALTH = [ROUTES["/livez"], ROUTES["/readyz"]]
METRICS = ROUTES["/metrics"]
PAGES = [ROUTES[path] for path in ("/", "/docs", "/openapi.json", "/assets")]
ALL = [SCORING, METRICS, OTHER, *HEALTH, *PAGES]
KEYLESS = ServeSettings()


def ask(
    gate: Gate, *requests: tuple[Route, dict[str, str], str | None]
) -> Sequence[str | Problem | None]:
    """What the gate says to requests that come at once: a key's name, None, or a problem."""

    async def scene() -> Sequence[str | Problem | None]:
        found = await asyncio.gather(
            *(gate.admit(*request) for request in requests), return_exceptions=True
        )
        for one in found:
            if isinstance(one, BaseException) and not isinstance(one, Problem):
                raise one
        return found  # type: ignore[return-value]

    return asyncio.run(scene())


def refusal(
    gate: Gate, route: Route, headers: dict[str, str], client: str | None = "127.0.0.1"
) -> Problem:
    [found] = ask(gate, (route, headers, client))
    assert isinstance(found, Problem)
    return found


def name(
    gate: Gate, route: Route, headers: dict[str, str], client: str | None = "127.0.0.1"
) -> str | None:
    [found] = ask(gate, (route, headers, client))
    assert not isinstance(found, Problem), found.detail
    return found


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


# Without keys


@pytest.mark.parametrize("route", ALL, ids=lambda route: route.template)
@pytest.mark.parametrize("client", ["127.0.0.1", "127.8.9.10", "::1", None])
@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "localhost:3000",
        "LocalHost:3000",
        "127.0.0.1",
        "127.0.0.1:80",
        "127.1.2.3:9",
        "[::1]",
        "[::1]:3000",
        "",
        None,
    ],
)
def test_this_machine_needs_no_key(route: Route, client: str | None, host: str | None) -> None:
    # A client over a Unix socket has no address, one that speaks HTTP/1.0 names no host.
    headers = {} if host is None else {"host": host}
    assert name(Gate(KEYLESS), route, headers, client) is None


@pytest.mark.parametrize("route", ALL, ids=lambda route: route.template)
@pytest.mark.parametrize("client", ["192.168.1.4", "10.0.0.1", "2001:db8::1", "::", "0.0.0.0", "x"])
def test_another_machine_is_refused_without_keys(route: Route, client: str) -> None:
    # Whatever the server is bound to, by whichever setting: no keys, no strangers.
    problem = refusal(Gate(KEYLESS), route, {"host": "localhost"}, client)
    assert (problem.status, problem.code) == (401, "unauthorised")
    assert ("www-authenticate", "Bearer") in problem.headers


@pytest.mark.parametrize("route", ALL, ids=lambda route: route.template)
@pytest.mark.parametrize(
    "host",
    [
        "tocsin.example.org",
        "tocsin.example.org:3000",
        "localhost.example.org",
        "127.0.0.1.example.org:3000",
        "example.org:localhost",
        "localhost:3000:80",
        "localhost@example.org",
        "example.org#localhost",
        "192.168.1.4:3000",
        "0.0.0.0:3000",
        "[::]:3000",
        "[2001:db8::1]:3000",
        "::",
        "2130706433",
    ],
)
def test_a_page_that_renames_this_machine_is_refused(route: Route, host: str) -> None:
    # DNS rebinding: a web page points its own name at 127.0.0.1 and reads what a newsroom's
    # service answers. The browser still sends the page's name.
    problem = refusal(Gate(KEYLESS), route, {"host": host})
    assert (problem.status, problem.code) == (403, "forbidden")
    assert host not in problem.detail


def test_without_keys_all_share_one_rate_and_health_spends_none() -> None:
    gate = Gate(replace(KEYLESS, rate_per_s=2))
    for route in [*HEALTH, *PAGES, METRICS] * 3:
        assert name(gate, route, {}) is None
    found = ask(gate, *[(SCORING, {}, "127.0.0.1"), (SCORING, {}, "::1"), (SCORING, {}, None)])
    assert [isinstance(one, Problem) for one in found] == [False, False, True]


# With keys


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    return tmp_path / "keys.txt"


def test_a_key_opens_what_its_scopes_allow_from_anywhere(keys: Path) -> None:
    desk = new_key("desk", keys)
    watch = new_key("watch", keys, scopes=["metrics"])
    gate = Gate(ServeSettings(host="0.0.0.0", keys=keys, metrics_key=True))
    stranger = "203.0.113.7"
    foreign = {"host": "tocsin.example.org"}
    assert name(gate, SCORING, bearer(desk) | foreign, stranger) == "desk"
    assert name(gate, ROUTES["/v1/models"], bearer(desk), stranger) == "desk"
    assert name(gate, METRICS, bearer(watch), stranger) == "watch"
    for route, token, scope in ((SCORING, watch, "score"), (METRICS, desk, "metrics")):
        problem = refusal(gate, route, bearer(token), stranger)
        assert (problem.status, problem.code) == (403, "forbidden")
        assert scope in problem.detail
        assert token not in problem.detail


def test_health_and_pages_stay_open_and_metrics_unless_it_is_keyed(keys: Path) -> None:
    # A probe that needs a key is a restart loop on the day the key is revoked.
    new_key("desk", keys)
    open_settings = ServeSettings(host="0.0.0.0", keys=keys)
    for route in [*HEALTH, *PAGES, METRICS]:
        assert name(Gate(open_settings), route, {}, "203.0.113.7") is None
    problem = refusal(Gate(replace(open_settings, metrics_key=True)), METRICS, {}, "203.0.113.7")
    assert problem.status == 401


def test_this_machine_needs_a_key_too_once_there_are_keys(keys: Path) -> None:
    # A proxy in front comes from 127.0.0.1: it must not open the door for the world.
    new_key("desk", keys)
    problem = refusal(Gate(ServeSettings(keys=keys)), SCORING, {"host": "localhost"})
    assert (problem.status, problem.code) == (401, "unauthorised")


@pytest.mark.parametrize(
    "route",
    [SCORING, OTHER, ROUTES["/schema.json"], ROUTES["/classify"]],
    ids=lambda route: route.template,
)
def test_what_is_no_key_of_ours_is_refused(keys: Path, route: Route) -> None:
    token = new_key("desk", keys)
    gate = Gate(ServeSettings(keys=keys))
    assert name(gate, route, {"authorization": f"bearer  {token} "}) == "desk"
    for authorization in (
        "",
        "Bearer",
        "Bearer ",
        token,
        f"Basic {token}",
        f"Token {token}",
        f"Bearer x{token}",
        f"Bearer {token}x",
        f"Bearer {token.upper()}",
        f"Bearer {token} {token}",
        "Bearer tocsin_0123456789abcdef_" + "A" * 43,
        "Bearer \xe9",
    ):
        problem = refusal(gate, route, {"authorization": authorization})
        assert (problem.status, problem.code) == (401, "unauthorised")
        assert ("www-authenticate", "Bearer") in problem.headers
        assert token not in problem.detail


def test_a_key_that_is_taken_out_of_the_file_is_refused_at_once(keys: Path) -> None:
    token = new_key("desk", keys)
    gate = Gate(ServeSettings(keys=keys))
    assert name(gate, SCORING, bearer(token)) == "desk"
    keys.write_text("")
    assert refusal(gate, SCORING, bearer(token)).status == 401


def test_each_key_has_its_own_rate_and_the_server_s_where_it_has_none(keys: Path) -> None:
    slow = new_key("slow", keys, rate_per_s=1)
    usual = new_key("usual", keys)
    gate = Gate(ServeSettings(keys=keys, rate_per_s=3))

    def admitted(token: str) -> int:
        found = ask(gate, *[(SCORING, bearer(token), "127.0.0.1")] * 5)
        for problem in found:
            if isinstance(problem, Problem):
                assert (problem.status, problem.code) == (429, "rate_limited")
                [(header, seconds)] = problem.headers
                assert header == "retry-after"
                assert int(seconds) >= 1
        return sum(one is not None and not isinstance(one, Problem) for one in found)

    # The first of a key's requests wait for its scrypt, so a fifth of a second's worth may refill.
    assert admitted(slow) == 1
    assert admitted(usual) in (3, 4)


def test_without_any_rate_nobody_is_counted(keys: Path) -> None:
    token = new_key("desk", keys)
    found = ask(Gate(ServeSettings(keys=keys)), *[(SCORING, bearer(token), "::1")] * 200)
    assert set(found) == {"desk"}


def test_a_key_that_may_not_spends_nothing(keys: Path) -> None:
    # Else whoever holds a key for metrics could use up what the newsroom may send.
    token = new_key("watch", keys, scopes=["metrics"], rate_per_s=0.001)
    gate = Gate(ServeSettings(keys=keys, metrics_key=True))
    assert refusal(gate, SCORING, bearer(token)).status == 403
    assert name(gate, METRICS, bearer(token)) == "watch"


def test_many_wrong_keys_at_once_are_too_many(keys: Path) -> None:
    # Each costs 50 ms of a core: who guesses is told to wait, and is not let in meanwhile.
    token = new_key("desk", keys)
    gate = Gate(ServeSettings(keys=keys))
    other = "b" if token[-3] == "a" else "a"  # Else one run in 170 guesses the key itself.
    wrong = [f"{token[:-3]}{other}{n:02}" for n in range(20)]
    begun = time.monotonic()
    found = ask(gate, *[(SCORING, bearer(guess), "203.0.113.7") for guess in wrong])
    assert all(isinstance(problem, Problem) for problem in found)
    statuses = [problem.status for problem in found if isinstance(problem, Problem)]
    assert statuses.count(401) == 8
    assert statuses.count(429) == 12
    late = [p for p in found if isinstance(p, Problem) and p.status == 429]
    assert all(problem.headers == (("retry-after", "1"),) for problem in late)
    assert time.monotonic() - begun < 10


def test_a_key_file_that_cannot_be_used_is_told_at_the_start(keys: Path) -> None:
    with pytest.raises(ConfigError):
        Gate(ServeSettings(keys=keys))
    keys.write_text("desk secret\n")
    with pytest.raises(ConfigError) as caught:
        Gate(ServeSettings(keys=keys))
    assert "secret" not in str(caught.value)
