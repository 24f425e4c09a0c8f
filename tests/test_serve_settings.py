"""What a server is told, and that everything wrong with it is said before it is started."""

import os
import shutil
import socket
import sys
import tempfile
import types
from collections.abc import Iterator
from dataclasses import dataclass, field, fields, replace
from importlib.util import find_spec
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.server import TinyModels, free_port

from tocsin_models.errors import ConfigError, ModelDamaged, ModelError, ModelNotFound, TocsinError
from tocsin_serving import serve
from tocsin_serving.keys import new_key
from tocsin_serving.settings import MIB, PREFIX, ServeSettings

# What a name in an environment or a file system can hold.
WORDS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=20)
PATHS = WORDS.map(Path)
SECONDS = st.floats(0.001, 3_600)
ORIGINS = st.from_regex(r"https?://[a-z0-9.-]{1,20}(:[0-9]{1,5})?", fullmatch=True)
SETTINGS = st.builds(
    ServeSettings,
    host=st.ip_addresses().map(str),
    port=st.integers(1, 65_535),
    device=st.sampled_from(["auto", "cpu", "cuda"]),
    threads=st.none() | st.integers(1, 256),
    model=st.none() | PATHS,
    summariser=st.none() | PATHS,
    keys=st.none() | PATHS,
    metrics_key=st.booleans(),
    rate_per_s=st.none() | st.floats(0.001, 1_000_000),
    timeout_s=SECONDS,
    max_timeout_s=SECONDS,
    grace_s=SECONDS,
    max_body_bytes=st.integers(1_024, 1_024 * MIB),
    queue_tokens=st.integers(1, 1 << 30),
    cors_origins=st.lists(ORIGINS, max_size=3).map(tuple),
)


@given(SETTINGS)
def test_settings_reach_the_worker_as_they_were_given(settings: ServeSettings) -> None:
    # The worker is another process: a setting lost on the way is a limit that does not hold.
    environment = settings.to_environment()
    assert all(name.startswith(PREFIX) for name in environment)
    assert ServeSettings.from_environment(environment) == settings


def test_an_empty_environment_means_the_defaults() -> None:
    assert ServeSettings.from_environment({}) == ServeSettings()
    blank = {PREFIX + item.name.upper(): "" for item in fields(ServeSettings)}
    assert ServeSettings.from_environment(blank) == ServeSettings()


def test_every_variable_that_cannot_be_read_is_named_at_once() -> None:
    spoilt = {
        "PORT": "three",
        "THREADS": "2.5",
        "TIMEOUT_S": "soon",
        "METRICS_KEY": "maybe",
        "QUEUE_TOKENS": "1e4",
    }
    with pytest.raises(ConfigError) as caught:
        ServeSettings.from_environment({PREFIX + name: text for name, text in spoilt.items()})
    for name, text in spoilt.items():
        [problem] = [one for one in caught.value.problems if PREFIX + name in one]
        assert repr(text) in problem


@pytest.mark.parametrize("text", ["1", "true", "TRUE"])
def test_yes_has_three_spellings(text: str) -> None:
    assert ServeSettings.from_environment({PREFIX + "METRICS_KEY": text}).metrics_key


def problems(**changes: object) -> list[str]:
    try:
        replace(ServeSettings(), **changes).check()  # type: ignore[arg-type]
    except ConfigError as error:
        return list(error.problems)
    return []


def test_the_defaults_and_the_limits_themselves_are_allowed() -> None:
    assert problems() == []
    assert problems(port=65_535, timeout_s=0.001, max_timeout_s=3_600, grace_s=0) == []
    assert problems(max_body_bytes=1_024, queue_tokens=1, rate_per_s=0.001) == []
    assert problems(host="::1") == []
    assert problems(host="127.3.2.1") == []
    assert problems(host="0.0.0.0", keys=Path("keys.txt"), metrics_key=True) == []
    assert problems(cors_origins=("https://desk.example.org", "http://localhost:8000")) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"port": 0},
        {"port": 65_536},
        {"timeout_s": 0},
        {"timeout_s": float("nan")},
        {"timeout_s": 121},
        {"max_timeout_s": float("inf")},
        {"max_timeout_s": 3_601},
        {"grace_s": -1},
        {"max_body_bytes": 1_023},
        {"queue_tokens": 0},
        {"rate_per_s": 0},
        {"rate_per_s": float("nan")},
        {"host": "localhost"},
        {"host": ""},
        {"host": "example.org"},
        {"metrics_key": True},
        {"cors_origins": ("*",)},
        {"cors_origins": ("desk.example.org",)},
        {"cors_origins": ("https://desk.example.org/",)},
    ],
    ids=str,
)
def test_what_cannot_be_served_is_one_problem(changes: dict[str, object]) -> None:
    assert len(problems(**changes)) == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"threads": 0},
        {"device": "gpu"},
        {"cors_origins": ("https://",)},
        {"cors_origins": ("https://a.example.org https://b.example.org",)},
        {"cors_origins": ("https://desk.example.org/page",)},
    ],
    ids=str,
)
def test_what_a_worker_would_stumble_over_is_a_problem_too(changes: dict[str, object]) -> None:
    # A Bento takes these from its environment, where no command line has looked at them.
    assert len(problems(**changes)) == 1


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.4", "2001:db8::1"])
def test_other_machines_are_served_with_keys_only(host: str) -> None:
    [problem] = problems(host=host)
    assert "keys" in problem
    assert problems(host=host, keys=Path("keys.txt")) == []


def test_all_problems_are_told_at_once() -> None:
    found = problems(
        port=0, timeout_s=-1, grace_s=-1, rate_per_s=0, host="desk", cors_origins=("*", "x")
    )
    words = [problem.partition(":")[0] for problem in found]
    assert sorted(words) == sorted(
        ["port", "timeout", "grace", "rate", "host", "cors-origin", "cors-origin"]
    )


# ``start``


@dataclass
class Host:
    """Stands in for BentoML's server: notes with which environment it was run."""

    runs: list[dict[str, str]] = field(default_factory=list)

    def run(self) -> None:
        self.runs.append(dict(os.environ))


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    found = Host()
    service = types.ModuleType("tocsin_serving.service")
    service.run = found.run  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "tocsin_serving.service", service)
    monkeypatch.setattr(tempfile, "tempdir", tempfile.tempdir)  # put back for the tests that follow
    before = dict(os.environ)
    yield found
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture
def settings(tiny_models: TinyModels) -> ServeSettings:
    return ServeSettings(
        port=free_port(), model=tiny_models.classifier, summariser=tiny_models.summariser
    )


def test_the_host_is_run_with_the_settings_and_a_home_of_its_own(
    host: Host, settings: ServeSettings
) -> None:
    scratch = tempfile.gettempdir()
    serve.start(settings)
    assert tempfile.gettempdir() == scratch  # not a folder that is gone
    serve.start(settings)
    first, second = host.runs
    assert ServeSettings.from_environment(first) == settings
    # Two that shared a home would wipe each other's state (reference, 4.5).
    assert first["BENTOML_HOME"] != second["BENTOML_HOME"]
    assert not Path(first["BENTOML_HOME"]).exists()


def test_variables_from_elsewhere_do_not_change_what_was_checked(
    host: Host, settings: ServeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A shell that once served a Bento: what is served must be what the command line says.
    monkeypatch.setenv(PREFIX + "RATE_PER_S", "0.001")
    monkeypatch.setenv(PREFIX + "CORS_ORIGINS", "https://elsewhere.example.org")
    monkeypatch.setenv(PREFIX + "KEYS", "/nowhere/keys.txt")
    serve.start(settings)
    assert ServeSettings.from_environment(host.runs[0]) == settings


def refused(host: Host, settings: ServeSettings, kind: type[TocsinError]) -> str:
    with pytest.raises(kind) as caught:
        serve.start(settings)
    assert host.runs == [], "a server was started"
    return str(caught.value)


def test_a_port_that_is_taken_is_refused_before_the_start(
    host: Host, settings: ServeSettings
) -> None:
    # The host would start all the same, and its worker die, again and again (reference, 4.6).
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", settings.port))
        taken.listen()
        message = refused(host, settings, ConfigError)
    assert str(settings.port) in message
    assert "--port" in message
    serve.start(settings)  # free again


def test_an_address_that_is_not_of_this_machine_is_refused(
    host: Host, settings: ServeSettings, tmp_path: Path
) -> None:
    new_key("desk", tmp_path / "keys.txt")
    elsewhere = replace(settings, host="192.0.2.1", keys=tmp_path / "keys.txt")
    assert "192.0.2.1" in refused(host, elsewhere, ConfigError)


@pytest.mark.parametrize("name", ["bentoml", "uvloop", "prometheus_client"])
def test_a_package_that_is_missing_is_named_with_the_remedy(
    host: Host, settings: ServeSettings, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(
        "tocsin_serving.serve.find_spec", lambda asked: None if asked == name else find_spec(asked)
    )
    message = refused(host, settings, TocsinError)
    assert name in message
    assert "tocsin[serve]" in message


def test_a_key_file_that_cannot_be_used_is_refused(
    host: Host, settings: ServeSettings, tmp_path: Path
) -> None:
    keys = tmp_path / "keys.txt"
    assert "keys.txt" in refused(host, replace(settings, keys=keys), ConfigError)
    new_key("desk", keys)
    keys.write_text(keys.read_text() + "archive secret\n")
    message = refused(host, replace(settings, keys=keys), ConfigError)
    assert "line 2" in message
    assert "secret" not in message


def test_a_model_that_cannot_be_used_is_refused(
    host: Host, settings: ServeSettings, tiny_models: TinyModels, tmp_path: Path
) -> None:
    refused(host, replace(settings, model=tmp_path / "nowhere"), ModelNotFound)
    refused(host, replace(settings, summariser=tmp_path), ModelDamaged)
    damaged = shutil.copytree(tiny_models.classifier, tmp_path / "damaged")
    weights = damaged / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"!")
    assert "SHA-256" in refused(host, replace(settings, model=damaged), ModelDamaged)


def test_a_model_of_the_wrong_kind_is_refused(
    host: Host, settings: ServeSettings, tiny_models: TinyModels
) -> None:
    # The two options are easily exchanged; the worker would die of it with a traceback.
    refused(host, replace(settings, model=tiny_models.summariser), ModelError)
    refused(host, replace(settings, summariser=tiny_models.classifier), ModelError)


def test_settings_are_checked_before_anything_is_looked_at(host: Host) -> None:
    message = refused(host, ServeSettings(port=0, host="x", model=Path("nowhere")), ConfigError)
    assert "2 problems" in message
