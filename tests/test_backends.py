"""How a network runs: the converted copy in the cache, and what happens when it is in the way."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tocsin_models import backends
from tocsin_models.backends import Network, OpenVinoRunner, TorchRunner, network_key, open_network
from tocsin_models.errors import ConfigError

BUILDS: list[str] = []


def network(key: str) -> Network:
    """Twice the input plus one; ``BUILDS`` tells how often it was really built."""

    def build() -> object:
        import torch

        class Line(torch.nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.layer = torch.nn.Linear(4, 4)
                with torch.no_grad():
                    self.layer.weight.copy_(2 * torch.eye(4))
                    self.layer.bias.fill_(1)

            def forward(self, values: torch.Tensor) -> torch.Tensor:
                found: torch.Tensor = self.layer(values)
                return found

        BUILDS.append(key)
        return Line().eval()

    return Network(key=key, build=build, examples={"values": np.zeros((2, 4), np.float32)})


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TOCSIN_CACHE", str(tmp_path / "cache"))
    BUILDS.clear()
    return tmp_path / "cache" / "openvino"


VALUES = {"values": np.arange(12, dtype=np.float32).reshape(3, 4)}


def test_a_second_start_builds_nothing_and_answers_the_same(own_cache: Path) -> None:
    # Building imports torch and transformers: seconds that an editor would wait each time.
    first = open_network(network("a"), "cpu").run(VALUES)
    assert np.allclose(first, 2 * VALUES["values"] + 1)
    second = open_network(network("a"), "cpu").run(VALUES)
    assert np.array_equal(first, second)
    assert BUILDS == ["a"]
    assert len(list(own_cache.iterdir())) == 1


def test_another_key_is_another_network() -> None:
    # New weights behind an old copy would be answers of the wrong revision.
    open_network(network("a"), "cpu")
    open_network(network("b"), "cpu")
    assert BUILDS == ["a", "b"]
    assert network_key({"model": "1"}, "hub.py") != network_key({"model": "2"}, "hub.py")
    assert network_key({"model": "1"}, "hub.py") != network_key({"model": "1"}, "tokens.py")


def test_a_new_openvino_makes_its_own_copy(monkeypatch: pytest.MonkeyPatch) -> None:
    open_network(network("a"), "cpu")
    monkeypatch.setattr("openvino.get_version", lambda: "another version")
    open_network(network("a"), "cpu")
    assert BUILDS == ["a", "a"]


@pytest.mark.parametrize("damage", [b"", b"\0" * 100])
def test_a_damaged_copy_is_made_anew(own_cache: Path, damage: bytes) -> None:
    # A full disk leaves half a file; it must cost seconds, not every later start.
    open_network(network("a"), "cpu")
    [entry] = own_cache.iterdir()
    (entry / "model.bin").write_bytes(damage)
    assert np.allclose(open_network(network("a"), "cpu").run(VALUES), 2 * VALUES["values"] + 1)
    assert BUILDS == ["a", "a"]


def test_a_cache_that_cannot_be_written_costs_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Read-only containers are common; and the answer must be the one that the cache would give.
    cached = open_network(network("a"), "cpu").run(VALUES)
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("TOCSIN_CACHE", str(tmp_path / "file"))
    with pytest.warns(RuntimeWarning, match="TOCSIN_CACHE"):
        runner = open_network(network("a"), "cpu")
    assert np.array_equal(runner.run(VALUES), cached)


def test_two_processes_that_start_at_once_both_answer(tmp_path: Path) -> None:
    # A desk's two editors open the tool at nine: neither may read the other's half-written copy.
    code = (
        "import numpy as np, tests.test_backends as t\n"
        "from tocsin_models.backends import open_network\n"
        "print(open_network(t.network('race'), 'cpu').run(t.VALUES).sum())"
    )
    repository = Path(__file__).resolve().parent.parent
    environment = os.environ | {"PYTHONPATH": str(repository)}
    command = [sys.executable, "-c", code]
    processes = [
        subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, cwd=repository)
        for _ in range(2)
    ]
    assert [float(process.communicate()[0]) for process in processes] == [144, 144]
    entries = list((tmp_path / "cache" / "openvino").iterdir())
    assert [entry.name.startswith(".") for entry in entries] == [False]


def test_torch_and_openvino_agree() -> None:
    # The GPU runs torch; a newsroom with one must read the same labels as one without.
    runner = TorchRunner(network("a").build(), "cpu")
    assert np.allclose(runner.run(VALUES), OpenVinoRunner(network("a")).run(VALUES), atol=0.02)


@pytest.mark.parametrize(("device", "threads"), [("tpu", None), ("cpu", 0), ("cpu", -2)])
def test_a_device_or_number_of_threads_that_cannot_be_is_refused(
    device: str, threads: int | None
) -> None:
    with pytest.raises(ConfigError):
        open_network(network("a"), device, threads)


def test_cuda_without_a_gpu_says_what_to_do() -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    with pytest.raises(ConfigError, match="--device cpu"):
        open_network(network("a"), "cuda")


def test_openvino_cannot_report_home() -> None:
    # One conversion started 42 telemetry processes (design, rule 4).
    open_network(network("a"), "cpu")
    assert sys.modules["openvino_telemetry"] is None
    assert backends.cache_directory().is_dir()


def test_many_batches_at_a_time_answer_in_their_order() -> None:
    # Streams finish as they like; answers in the order of finishing would label the wrong passages.
    batches = [{"values": np.full((rows, 4), rows, np.float32)} for rows in (9, 1, 7, 2, 30, 1, 3)]
    alone = open_network(network("a"), "cpu")
    expected = [alone.run(batch) for batch in batches]
    side_by_side = open_network(network("a"), "cpu", hint="throughput")
    for runner in (alone, side_by_side, TorchRunner(network("a").build(), "cpu", "f32")):
        found = list(runner.run_all(iter(batches)))
        assert [len(rows) for rows in found] == [9, 1, 7, 2, 30, 1, 3]
        assert all(np.allclose(*pair, atol=0.1) for pair in zip(found, expected, strict=True))
    assert all(map(np.array_equal, side_by_side.run_all(batches), expected))


@pytest.mark.parametrize("bad", range(7))
def test_a_batch_that_fails_leaves_the_network_usable(bad: int) -> None:
    # The archive then asks for each row alone, of the same requests.
    runner = open_network(network("a"), "cpu", hint="throughput")
    batches = [VALUES] * 7
    batches[bad] = {"another": VALUES["values"]}
    with pytest.raises(RuntimeError):
        list(runner.run_all(batches))
    for found in runner.run_all([VALUES] * 5):
        assert np.allclose(found, 2 * VALUES["values"] + 1, atol=0.1)
