"""The precision that is asked for is the one that runs, or the answer is no."""

from pathlib import Path

import numpy as np
import pytest
from tests.server import TinyModels
from tests.test_backends import VALUES, network

from tocsin_models import backends
from tocsin_models.backends import OpenVinoRunner, Precision, TorchRunner, open_network
from tocsin_models.classifier import load_classifier
from tocsin_models.errors import ConfigError
from tocsin_models.summariser import load_summariser

TEXTS = ["The ministry denied arming the group.", "We will answer every strike, he vowed."]


@pytest.fixture
def with_bf16(monkeypatch: pytest.MonkeyPatch) -> None:
    """A processor that has it, and with it int8; whatever this one is."""
    if not backends._has_bf16(backends._import_openvino().Core()):
        pytest.skip("this processor multiplies no bf16")


@pytest.fixture
def without_bf16(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backends, "_has_bf16", lambda core: False)


def test_f32_is_closer_to_the_truth_than_bf16(with_bf16: None) -> None:
    # To compare precisions is what they are asked for; two names for one number would say "equal".
    values = {"values": np.random.default_rng(0).normal(size=(64, 4)).astype(np.float32)}
    exact = 2 * values["values"] + 1
    f32 = open_network(network("p"), "cpu", precision="f32")
    bf16 = open_network(network("p"), "cpu", precision="bf16")
    assert (f32.precision, bf16.precision) == ("f32", "bf16")
    assert np.abs(f32.run(values) - exact).max() < 1e-6
    assert 1e-4 < np.abs(bf16.run(values) - exact).max() < 0.1


def test_auto_is_what_the_processor_is_good_at(with_bf16: None) -> None:
    assert open_network(network("p"), "cpu").precision == "bf16"
    # The embedded models ship int8 networks, quantised in training.
    assert load_classifier(device="cpu").info.precision == "int8"
    assert load_summariser(device="cpu").info.precision == "int8"


def test_the_embedded_classifier_runs_in_each_precision(with_bf16: None) -> None:
    precisions: tuple[Precision, ...] = ("f32", "bf16", "int8")
    found = {
        name: load_classifier(device="cpu", precision=name).score(TEXTS).probabilities
        for name in precisions
    }
    assert not np.array_equal(found["f32"], found["int8"])
    assert not np.array_equal(found["f32"], found["bf16"])
    for name in ("bf16", "int8"):
        assert np.abs(found["f32"] - found[name]).max() < 0.1


def test_the_embedded_summariser_runs_in_each_precision(with_bf16: None) -> None:
    precisions: tuple[Precision, ...] = ("f32", "bf16", "int8")
    sentences = TEXTS * 15  # more than one window
    found = {}
    for name in precisions:
        summariser = load_summariser(device="cpu", precision=name)
        assert summariser.info.precision == name
        found[name], windows = summariser.score_sentences(sentences)
        assert windows > 1
    for name in ("bf16", "int8"):
        assert 0 < np.abs(found["f32"] - found[name]).max() < 0.05


@pytest.mark.parametrize("precision", ["bf16", "int8"])
def test_a_processor_without_it_says_so(without_bf16: None, precision: Precision) -> None:
    with pytest.raises(ConfigError, match=f"{precision}: this processor has none; use f32"):
        OpenVinoRunner(network("p"), precision=precision)
    assert OpenVinoRunner(network("p")).precision == "f32"


def test_int8_needs_a_network_that_was_quantised(with_bf16: None, tiny_models: TinyModels) -> None:
    # To quantise it here without data would be another model under the same name.
    with pytest.raises(ConfigError, match="holds no int8 network; use bf16 or f32"):
        load_classifier(tiny_models.classifier, device="cpu", precision="int8")


def test_a_precision_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ConfigError, match="'fp16' is not one of auto, f32, bf16, int8"):
        open_network(network("p"), "cpu", precision="fp16")  # type: ignore[arg-type]


def test_torch_runs_bf16_where_it_is_asked_and_never_int8() -> None:
    # The GPU's runner, held to the same words on a CPU.
    module = network("p").build()
    values = {"values": VALUES["values"] + np.float32(0.123)}
    exact = 2 * values["values"] + 1
    assert np.abs(TorchRunner(module, "cpu", "f32").run(values) - exact).max() < 1e-5
    assert np.abs(TorchRunner(module, "cpu", "bf16").run(values) - exact).max() > 1e-4
    with pytest.raises(ConfigError, match="int8 runs on a CPU only"):
        TorchRunner(module, "cpu", "int8")


def test_a_precision_shares_the_converted_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, with_bf16: None
) -> None:
    # Precision is chosen when a network is compiled: converting it twice would cost seconds.
    monkeypatch.setenv("TOCSIN_CACHE", str(tmp_path))
    for precision in ("f32", "bf16"):
        open_network(network("shared"), "cpu", precision=precision)
    assert len(list((tmp_path / "openvino").iterdir())) == 1
