"""Speed and memory of a model: measured in a process of its own, so that its peak is its own."""

import io
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tests.server import TinyModels

from tocsin_eval import cost
from tocsin_eval.cost import measure_cost, peak_memory_mib, spread
from tocsin_eval.subjects import Endpoint, Subject, SubjectOptions, open_subject
from tocsin_models.errors import ModelError

TEXTS = ["Talks began in Tal Amin.", "The Brigade vowed to strike the port again."] * 4


def opened(word: str) -> Subject:
    def refuse(url: str) -> Endpoint:
        raise AssertionError(url)

    return open_subject(word, SubjectOptions(device="cpu"), refuse)


def test_a_model_has_every_number_of_this_machine(tiny_models: TinyModels) -> None:
    # A number that a report leaves out is the one that decides which machine is bought.
    found = measure_cost(opened(str(tiny_models.classifier)), TEXTS, SubjectOptions(device="cpu"))
    assert found is not None
    assert (found.device, found.passages, found.peak_gpu_mib) == ("cpu", len(TEXTS), None)
    assert found.precision in ("f32", "bf16", "int8")
    assert found.passages_per_s > 0
    assert found.tokens_per_s is not None
    assert found.tokens_per_s > found.passages_per_s
    assert 0 < found.p50_ms <= found.p99_ms
    weights = (tiny_models.classifier / "model.safetensors").stat().st_size / 1e6
    assert found.size_mb is not None
    assert weights < found.size_mb < weights + 1


@pytest.mark.parametrize("batch_tokens", [None, 64])
def test_a_model_is_timed_in_batches_of_the_size_that_was_asked_for(
    tiny_models: TinyModels,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    batch_tokens: int | None,
) -> None:
    # Who looks for the best --batch-size would read the same speed and memory beside each.
    sizes = []
    time_it = cost._time

    def look(score: Any, *given: Any, **more: Any) -> cost.Cost:
        sizes.append(score.__self__.batch_tokens)
        return time_it(score, *given, **more)

    def run_here(command: list[str], *, input: str, **_: object) -> SimpleNamespace:
        monkeypatch.setattr(sys, "stdin", io.StringIO(input))
        assert cost.main(command[3:]) == 0
        return SimpleNamespace(stdout=capsys.readouterr().out)

    monkeypatch.setattr(cost, "_time", look)
    fake = SimpleNamespace(
        run=run_here,
        CalledProcessError=subprocess.CalledProcessError,
        TimeoutExpired=subprocess.TimeoutExpired,
    )
    monkeypatch.setattr(cost, "subprocess", fake)
    options = SubjectOptions(device="cpu", batch_tokens=batch_tokens)
    assert measure_cost(opened(str(tiny_models.classifier)), TEXTS, options) is not None
    classifier = opened(str(tiny_models.classifier)).classifier
    assert classifier is not None
    assert sizes == [batch_tokens or classifier().batch_tokens]  # type: ignore[attr-defined]


def test_a_baseline_has_speed_and_no_size() -> None:
    found = measure_cost(opened("keywords"), TEXTS, SubjectOptions())
    assert found is not None
    assert (found.size_mb, found.tokens_per_s, found.peak_memory_mib) == (None, None, None)
    assert found.passages_per_s > 0


def test_what_does_not_run_costs_nothing() -> None:
    assert measure_cost(opened("lead-3"), TEXTS, SubjectOptions()) is None
    assert measure_cost(opened("keywords"), [], SubjectOptions()) is None


def test_a_failure_names_the_subject_and_the_last_line(tmp_path: Path) -> None:
    subject = replace(opened("gone=keywords"), directories=(tmp_path,))
    with pytest.raises(ModelError, match=r"gone: its cost cannot be measured: .*config.json"):
        measure_cost(subject, TEXTS, SubjectOptions(device="cpu"))


def test_a_process_that_hangs_is_given_up(
    tiny_models: TinyModels, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cost, "_TIME_LIMIT_S", 0.01)
    with pytest.raises(ModelError, match=r"took over 0.01 s; use --no-cost"):
        measure_cost(opened(str(tiny_models.classifier)), TEXTS, SubjectOptions(device="cpu"))


def test_the_peak_is_not_the_one_of_the_process_that_started_it() -> None:
    # getrusage tells a child the peak of its parent, which has read all the data: every model of a
    # report would have had the same memory.
    code = "from tocsin_eval.cost import peak_memory_mib as peak; print(peak())"
    large = bytearray(b"x") * (600 << 20)
    assert peak_memory_mib() > 600
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert 5 < float(ran.stdout) < 500
    del large


def test_the_sample_is_spread_over_all_texts() -> None:
    # The first five hundred passages of a sorted file may all be headlines.
    assert spread(list("abcdefghij"), 5) == list("acegi")
    assert spread(list("ab"), 5) == ["a", "b"]
