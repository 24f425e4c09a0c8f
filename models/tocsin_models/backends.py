"""How a network runs: OpenVINO on a CPU, torch on a GPU. The only file that imports ``openvino``.

A network is a torch module with named array inputs and one array output. On a CPU it is converted
once, and the converted copy is kept in the user's cache directory: a second start imports neither
torch nor transformers. The copy is keyed by the model files, the code that builds the network and
the version of OpenVINO, so that none of them can change behind its back.
"""

import errno
import hashlib
import json
import logging
import os
import shutil
import sys
import tempfile
import threading
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, TypeAlias, get_args

import numpy as np
import numpy.typing as npt
import platformdirs

from tocsin_models.errors import ConfigError
from tocsin_models.manifest import file_sha256

Arrays = Mapping[str, npt.NDArray[Any]]

# "auto" is what the model is meant to run in here; the others are asked for, to compare.
Precision: TypeAlias = Literal["auto", "f32", "bf16", "int8"]

# What a CPU is set up for: one call at a time on all cores, or many calls side by side.
Hint: TypeAlias = Literal["latency", "throughput"]

LOGGER = logging.getLogger("tocsin")

# Goes up when a network or its conversion changes in a way that the key below cannot see.
CACHE_FORMAT = 1

# The quantised network beside the safetensors, its weights in the .bin of the same name.
INT8_FILE = "model.int8.xml"

# Two models are loaded at once, and torch traces only one at a time: its state is the process's.
_CONVERTING = threading.Lock()


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """A network to be run: ``build`` imports torch and makes the module (in eval mode, float32),
    ``examples`` are inputs of the dtypes and ranks it takes, ``key`` names files and code.
    ``int8`` is the same network quantised in training, where the model directory has one.
    ``rows_stand_alone`` where each input and the output have a row a text: a row's answer is then
    the same to the bit whatever stands beside it."""

    key: str
    build: Callable[[], Any]
    examples: Arrays
    int8: Path | None = None
    rows_stand_alone: bool = False


def network_key(files: Mapping[str, str], *code: str) -> str:
    """The key of a network: hashes of the model's files, and of the modules that build it."""
    here = Path(__file__).parent
    digests = [hashlib.sha256((here / name).read_bytes()).hexdigest() for name in code]
    return json.dumps([dict(files), *digests])


def int8_file(directory: Path, files: Mapping[str, str]) -> Path | None:
    """Where a model directory with these ``files`` keeps its quantised network, if it has one."""
    return directory / INT8_FILE if INT8_FILE in files else None


class Runner(Protocol):
    """A network that has been loaded onto a device."""

    precision: str
    device: str

    def run(self, inputs: Arrays) -> npt.NDArray[np.float32]:
        """The network's only output, float32, for inputs of any sizes of the examples' ranks."""
        ...

    def run_all(self, batches: Iterable[Arrays]) -> Iterator[npt.NDArray[np.float32]]:
        """As ``run`` of each batch, in their order; the next few are taken before one is given."""
        ...


def open_network(
    network: Network,
    device: str = "auto",
    threads: int | None = None,
    precision: Precision = "auto",
    hint: Hint = "latency",
) -> Runner:
    """Load a network onto ``auto`` (a GPU if one answers, else the CPU), ``cpu`` or ``cuda``.

    ``threads`` is how many CPU threads inference uses; None lets OpenVINO take the physical cores.
    With ``throughput`` each works on a batch of its own where ``run_all`` has them; the answers
    are the same to the bit.

    Raises:
        ConfigError: the device is unknown or absent, threads are below 1, or the network cannot run
            in the precision on that device.
    """
    refuse_unknown(device, threads, precision)
    if device == "cuda" or (device == "auto" and may_have_gpu()):
        import torch

        if torch.cuda.is_available():
            return TorchRunner(network.build(), "cuda", precision)
        if device == "cuda":
            raise ConfigError(
                "device",
                ["cuda: torch finds no GPU; use --device cpu, or install a CUDA build of torch"],
            )
    return OpenVinoRunner(network, threads, precision, hint)


def refuse_unknown(device: str, threads: int | None, precision: str) -> None:
    """Raises ConfigError for what no model can be loaded with, on any machine."""
    if device not in ("auto", "cpu", "cuda"):
        raise ConfigError("device", [f"{device!r} is not one of auto, cpu, cuda"])
    if precision not in (known := get_args(Precision)):
        raise ConfigError("precision", [f"{precision!r} is not one of {', '.join(known)}"])
    if threads is not None and threads < 1:
        raise ConfigError("threads", [f"{threads} is below 1"])


def may_have_gpu() -> bool:
    """Whether asking torch is worth its import (over a second): is there an NVIDIA driver?"""
    return Path("/proc/driver/nvidia/version").exists() or sys.platform == "win32"


class TorchRunner:
    """Runs the torch module itself; in bfloat16 on a GPU, in float32 elsewhere."""

    def __init__(self, module: Any, device: str, precision: Precision = "auto") -> None:
        if precision == "int8":
            raise ConfigError("precision", ["int8 runs on a CPU only; use bf16 or f32 on a GPU"])
        self.device = device
        own = "bf16" if device == "cuda" else "f32"
        self.precision = own if precision == "auto" else precision
        self._module = module.to(device).eval()

    def run(self, inputs: Arrays) -> npt.NDArray[np.float32]:
        import torch

        tensors = {
            name: torch.from_numpy(np.ascontiguousarray(value)).to(self.device)
            for name, value in inputs.items()
        }
        is_bf16 = self.precision == "bf16"
        with torch.inference_mode(), torch.autocast(self.device, torch.bfloat16, enabled=is_bf16):
            found: npt.NDArray[np.float32] = self._module(**tensors).float().cpu().numpy()
        return found

    def run_all(self, batches: Iterable[Arrays]) -> Iterator[npt.NDArray[np.float32]]:
        return map(self.run, batches)


# In float32 a call reads at least so many tokens: without AVX-512, OpenVINO 2026.4 multiplies fewer
# than 96 in another order, so that the last bits of a passage's score depended on who stood beside
# it (1e-6; tests/test_classifier.py).
_LEAST_FLOAT32_TOKENS = 96


class OpenVinoRunner:
    """Runs the converted network on the CPU: in int8 or bfloat16 where the processor has them.

    A processor that multiplies bf16 also has VNNI, which int8 needs to be exact; on others int8
    sums can saturate, so there the network runs in float32.
    """

    device = "cpu"

    def __init__(
        self,
        network: Network,
        threads: int | None = None,
        precision: Precision = "auto",
        hint: Hint = "latency",
    ) -> None:
        openvino = _import_openvino()
        core = openvino.Core()
        has_bf16 = _has_bf16(core)
        if precision in ("bf16", "int8") and not has_bf16:
            raise ConfigError("precision", [f"{precision}: this processor has none; use f32"])
        if precision == "int8" and not network.int8:
            raise ConfigError(
                "precision", ["int8: the model directory holds no int8 network; use bf16 or f32"]
            )
        # What is not quantised (softmax, normalisation, the head) runs in this. Beside int8 it is
        # float32: in bf16, OpenVINO 2026.4 on a processor with AMX gave scores 0.68 off.
        floating = "f32"
        if has_bf16 and network.int8 and precision in ("auto", "int8"):
            self.precision = "int8"
            model = core.read_model(network.int8)
        else:
            floating = self.precision = "bf16" if has_bf16 and precision != "f32" else "f32"
            model = _converted(openvino, core, network)
        options: dict[str, Any] = {
            "INFERENCE_PRECISION_HINT": floating,
            "PERFORMANCE_HINT": hint.upper(),
            # Pinned, every process takes the first cores: two workers of one core each on two cores
            # sat on the same one, at 270 rows/s each instead of 520. Alone it makes no difference.
            "ENABLE_CPU_PINNING": False,
        }
        if threads is not None:
            options["INFERENCE_NUM_THREADS"] = threads
        is_filled = network.rows_stand_alone and self.precision == "f32"
        self._least_tokens = _LEAST_FLOAT32_TOKENS if is_filled else 0
        compiled = core.compile_model(model, "CPU", options)
        streams = compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS")
        # Two a stream: while Python takes the answer of one, its stream works on the other.
        self._requests = [compiled.create_infer_request() for _ in range(2 * streams)]

    def run(self, inputs: Arrays) -> npt.NDArray[np.float32]:
        rows = self._start(self._requests[0], inputs)
        return _output(self._requests[0], rows)

    def run_all(self, batches: Iterable[Arrays]) -> Iterator[npt.NDArray[np.float32]]:
        free, busy = deque(self._requests), deque[tuple[Any, int | None]]()
        try:
            for inputs in batches:
                if not free:
                    yield _output(*busy[0])
                    free.append(busy.popleft()[0])
                request = free.popleft()
                busy.append((request, self._start(request, inputs)))
            while busy:
                yield _output(*busy.popleft())
        finally:
            # A batch that failed leaves others running, which would refuse the next call.
            for request, _ in busy:
                with suppress(RuntimeError):
                    request.wait()

    def _start(self, request: Any, inputs: Arrays) -> int | None:
        """Begin a call, and how many rows of its answer were asked for; None for all there are."""
        filled = dict(inputs)
        rows = None
        if self._least_tokens:
            rows, length = next(iter(inputs.values())).shape
            more = -(-self._least_tokens // length) - rows
            if more > 0:
                filled = {
                    name: np.concatenate([value, np.repeat(value[-1:], more, axis=0)])
                    for name, value in inputs.items()
                }
        request.start_async(filled, share_inputs=True)
        return rows


def _output(request: Any, rows: int | None) -> npt.NDArray[np.float32]:
    request.wait()
    # Copied: the request's own buffer is overwritten by its next call.
    return np.array(request.get_output_tensor(0).data[:rows], dtype=np.float32)


def is_prepared(network: Network) -> bool:
    """Whether opening the network on this CPU converts nothing, and so imports no torch."""
    openvino = _import_openvino()
    if network.int8 and _has_bf16(openvino.Core()):
        return True
    return _is_whole(_cache_entry(openvino, network))


def _has_bf16(core: Any) -> bool:
    return "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def _import_openvino() -> Any:
    """OpenVINO with its telemetry cut off: one conversion started 42 processes that report."""
    sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
    import openvino

    return openvino


def cache_directory() -> Path:
    """Where converted networks are kept: ``TOCSIN_CACHE``, or the user's cache directory."""
    return (
        Path(os.environ.get("TOCSIN_CACHE") or platformdirs.user_cache_path("tocsin")) / "openvino"
    )


def _cache_entry(openvino: Any, network: Network) -> Path:
    version = f"{CACHE_FORMAT}\n{openvino.get_version()}\n{network.key}"
    return cache_directory() / hashlib.sha256(version.encode()).hexdigest()[:32]


def _converted(openvino: Any, core: Any, network: Network) -> Any:
    """The network as OpenVINO reads it, from the cache or freshly converted into it.

    What is run is always what was read back from disk: a network still in memory holds its weights
    in another form, and bf16 then rounds differently in the third decimal.

    An entry is a directory that is renamed into place when complete: of two processes that start
    at once both convert, and the second finds the place taken and leaves it so.
    """
    entry = _cache_entry(openvino, network)
    if not _is_whole(entry):
        LOGGER.info("first start with this model: preparing it for this processor takes seconds")
        model = convert(network)
        try:
            _keep(model, entry)
        except OSError as error:
            warnings.warn(
                f"{cache_directory()}: cannot be written ({error.strerror}); each start converts "
                "the model anew, which takes seconds. Set TOCSIN_CACHE to a directory that can.",
                RuntimeWarning,
                stacklevel=2,
            )
            return _read_back(core, model)
    return core.read_model(entry / "model.xml")


def convert(network: Network) -> Any:
    """The network as an OpenVINO model in memory. Imports torch and transformers."""
    openvino = _import_openvino()
    import torch

    examples = {name: torch.from_numpy(value) for name, value in network.examples.items()}
    with _CONVERTING, warnings.catch_warnings():
        # The tracer warns that shapes are traced; that they stay free is what the tests check.
        warnings.simplefilter("ignore")
        with torch.inference_mode():
            model = openvino.convert_model(network.build(), example_input=examples)
    for port, (name, value) in zip(model.inputs, examples.items(), strict=True):
        port.get_tensor().set_names({name})
        port.get_node().set_partial_shape(openvino.PartialShape([-1] * value.ndim))
    model.validate_nodes_and_infer_types()
    return model


def save(model: Any, path: Path) -> None:
    """Write an OpenVINO model: ``path`` (.xml) and its weights beside it (.bin).

    Raises:
        OSError: it cannot be written whole.
    """
    try:
        # The stored weights are fp16, so that keeping them in fp16 here loses nothing.
        _import_openvino().save_model(model, path, compress_to_fp16=True)
    except RuntimeError:  # what OpenVINO raises on a full disk
        raise OSError(errno.EIO, "OpenVINO could not write the model") from None


def _read_back(core: Any, model: Any) -> Any:
    core.set_property({"ENABLE_MMAP": False})  # the file is gone before the network runs
    with tempfile.TemporaryDirectory() as scratch:
        save(model, Path(scratch) / "model.xml")
        return core.read_model(Path(scratch) / "model.xml")


def _keep(model: Any, entry: Path) -> None:
    entry.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=".making-", dir=entry.parent))
    try:
        save(model, scratch / "model.xml")
        (scratch / "sha256").write_text(_digest(scratch))
        if entry.exists() and not _is_whole(entry):
            shutil.rmtree(entry, ignore_errors=True)
        try:
            scratch.rename(entry)
        except OSError:
            if not _is_whole(entry):
                raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _digest(entry: Path) -> str:
    return " ".join(file_sha256(entry / name) for name in ("model.xml", "model.bin"))


def _is_whole(entry: Path) -> bool:
    """Whether an entry is as it was written: a full disk or a crash may have cut a file short."""
    try:
        return (entry / "sha256").read_text() == _digest(entry)
    except OSError:
        return False
