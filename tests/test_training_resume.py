"""A training that is killed goes on where it stopped, and leaves nothing half-written behind."""

import json
import shutil
import signal
import subprocess
import sys
import types
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tests.support import Ran, run
from transformers import TrainerCallback

from tocsin_models.errors import ConfigError
from tocsin_models.manifest import read_manifest
from tocsin_training import classifier, fit, summariser
from tocsin_training.config import ClassifierConfig, describe_settings
from tocsin_training.work import Work, describe_base

SAVE_STEPS = 2
SETTINGS = ("folds=2", "int8=false", "bf16=false", "batch_size=4", "max_tokens=32", "epochs=3")
SENTENCES = {
    "threat": "The army of Sahlan vowed to burn the port of Kabul, row {}.",
    "calm": "The envoy of Varkhan painted the long school at the quiet end of town, {}.",
}

# The command line, which kills itself (kill -9) at a step of a stage: "whole" when the step is
# done, "torn" while its checkpoint is being written.
KILLED = """
import os, signal, sys
import torch
from transformers import Trainer
from tocsin_training import fit
from tocsin_serving.cli import main

fit.SAVE_STEPS, wanted = int(sys.argv.pop(1)), sys.argv.pop(1).split(":")
torch.set_num_threads(1)

def kill(trainer, how):
    stage = os.path.basename(trainer.args.output_dir)
    if [stage, str(trainer.state.global_step), how] == wanted:
        os.kill(os.getpid(), signal.SIGKILL)

def before(name, how):
    original = getattr(Trainer, name)
    def patched(self, *args, **others):
        kill(self, how)
        return original(self, *args, **others)
    setattr(Trainer, name, patched)

before("_save_rng_state", "torn")
before("training_step", "whole")
main()
"""


def write(path: Path, count: int) -> Path:
    rows = [
        {
            "id": f"{path.stem}-{index}",
            "article": f"{path.stem}-{index // 2}",
            "text": SENTENCES["threat" if index % 3 else "calm"].format("very " * (index % 5)),
            "labels": [["threat"] if index % 3 else ["calm"], []][index % 7 == 0],
        }
        for index in range(count)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """``tocsin train classifier`` of one table."""

    folder: Path
    base: Path

    def words(self, out: Path, *settings: str) -> list[str]:
        train, dev = (str(self.folder / name) for name in ("train.jsonl", "dev.jsonl"))
        options = ["--train", train, "--dev", dev, "--base", str(self.base), "--out", str(out)]
        return ["train", "classifier", *options, *SETTINGS, *settings]

    def run(self, out: Path, *settings: str) -> Ran:
        return run(*self.words(out, *settings))

    def killed(self, out: Path, when: str, *settings: str) -> str:
        """Start it in a process of its own that dies at ``when``; what it said."""
        words = [sys.executable, "-c", KILLED, str(SAVE_STEPS), when, *self.words(out, *settings)]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        assert done.returncode == -signal.SIGKILL, done.stderr
        return done.stderr


@pytest.fixture(autouse=True)
def small_steps(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Checkpoints every other step; one thread, as sums in another order differ a little."""
    monkeypatch.setattr(fit, "SAVE_STEPS", SAVE_STEPS)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def command(tiny_base: Path, tmp_path: Path) -> Command:
    write(tmp_path / "train.jsonl", 24)
    write(tmp_path / "dev.jsonl", 8)
    return Command(folder=tmp_path, base=tiny_base)


def test_a_training_killed_twice_ends_with_the_weights_of_one_that_was_not(
    command: Command, tmp_path: Path
) -> None:
    """Without it a restart could read rows twice and others never, draw other names or other
    dropout, or stumble over the checkpoint that was being written when the power went."""
    whole, out = tmp_path / "whole", tmp_path / "out"
    assert command.run(whole).code == 0

    # In the second epoch of the second fold; each fold has 3 steps an epoch.
    first = command.killed(out, "fold-2:5:whole")
    assert "going on" not in first
    assert not out.exists()
    # In the third epoch of the last training, 6 steps an epoch, its checkpoint half-written.
    second = command.killed(out, "everything:14:torn")
    assert "going on with the unfinished training" in second
    assert "fold-1: " not in second, "a fold that was finished is not trained again"
    assert not out.exists()

    other = command.run(out, "learning_rate=0.0003")
    assert other.code == 2
    assert "config.learning_rate" in other.err
    assert "Traceback" not in other.err

    last = command.run(out)
    assert last.code == 0, last.err
    assert "going on with the unfinished training" in last.err
    assert "fold 2 of 2" not in last.err
    assert sorted(tmp_path.glob("*.unfinished")) == sorted(tmp_path.glob("*.partial")) == []
    expected, found = (load_file(folder / "model.safetensors") for folder in (whole, out))
    assert expected.keys() == found.keys()
    different = [name for name in expected if not torch.equal(expected[name], found[name])]
    assert different == []
    assert read_manifest(out).revision == read_manifest(whole).revision
    assert read_manifest(out).thresholds == read_manifest(whole).thresholds


def test_a_mean_of_seeds_killed_in_its_second_ends_with_the_weights_of_one_that_was_not(
    command: Command, tmp_path: Path
) -> None:
    """Without it the seed at hand could go on from the checkpoint of the one before, which would
    then count twice; and the checkpoints of a finished fold would fill the disk."""
    whole, out = tmp_path / "whole", tmp_path / "out"
    assert command.run(whole, "seeds=2").code == 0
    command.killed(out, "everything-seed-14:5:whole", "seeds=2")
    kept = {path.name for path in (tmp_path / "out.unfinished").iterdir() if path.is_dir()}
    assert kept == {"everything-seed-13", "everything-seed-14"}
    assert command.run(out, "seeds=2").code == 0
    assert read_manifest(out).revision == read_manifest(whole).revision


def test_a_last_epoch_of_pairs_killed_in_its_middle_ends_with_the_weights_of_one_that_was_not(
    command: Command, tmp_path: Path
) -> None:
    """Without it a training that goes on within its last epoch could read it without the pairs, or
    pairs could be read in no epoch at all."""
    plain, whole, out = tmp_path / "plain", tmp_path / "whole", tmp_path / "out"
    settings = ("pair_names=5", "folds_used=1")
    assert command.run(plain, "folds_used=1").code == command.run(whole, *settings).code == 0
    assert read_manifest(whole).revision != read_manifest(plain).revision
    command.killed(out, "everything:15:whole", *settings)
    assert command.run(out, *settings).code == 0
    assert read_manifest(out).revision == read_manifest(whole).revision


def test_a_mistyped_base_or_log_does_not_stand_in_the_way_of_the_right_one(
    command: Command, tmp_path: Path
) -> None:
    """Without it the corrected command would be refused, as other than the one that never began:
    the wrong base was written down before it was looked for."""
    out, right = tmp_path / "out", command.base
    wrong = Command(folder=command.folder, base=tmp_path / "nowhere").run(out, "max_steps=1")
    assert (wrong.code, "no such directory" in wrong.err) == (2, True)
    assert not list(tmp_path.glob("*.unfinished"))
    # A tokenizer without weights is found out later, when the description is written already.
    half = tmp_path / "half"
    shutil.copytree(right, half, ignore=shutil.ignore_patterns("*.safetensors"))
    assert Command(folder=command.folder, base=half).run(out, "max_steps=1").code == 2
    assert (tmp_path / "out.unfinished" / "run.json").exists()
    (tmp_path / "out.unfinished" / "fold-1").mkdir(exist_ok=True)  # as Trainer leaves it
    done = command.run(out, "max_steps=1")
    assert done.code == 0, done.err
    assert "going on" not in done.err


def test_where_it_logs_is_no_part_of_what_a_training_is(tmp_path: Path) -> None:
    """Without it a run that was killed could go on only with the log in the same place."""
    one, other = (
        describe_settings(ClassifierConfig(tensorboard=place)) for place in ("", "elsewhere")
    )
    assert one == other
    assert describe_settings(ClassifierConfig(epochs=7)) != one


def test_a_log_that_cannot_be_written_is_refused_before_anything_begins(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without it the run is described and begun, and fails in its first fold."""
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    done = command.run(tmp_path / "out", "tensorboard=log")
    assert (done.code, "pip install tensorboard" in done.err) == (2, True)
    assert not list(tmp_path.glob("*.unfinished"))


def test_each_stage_logs_in_a_folder_of_its_own(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without it the folds and the last training would be one zigzag line."""
    places: list[str] = []

    def writer(place: str) -> object:
        places.append(place)
        return object()

    class Silent(TrainerCallback):
        def __init__(self, _: object) -> None:
            pass

    fake = types.ModuleType("torch.utils.tensorboard")
    monkeypatch.setattr(fake, "SummaryWriter", writer, raising=False)
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", fake)
    monkeypatch.setattr(fit, "TensorBoardCallback", Silent)
    done = command.run(tmp_path / "out", "max_steps=1", f"tensorboard={tmp_path / 'log'}")
    assert done.code == 0, done.err
    stages = ("fold-1", "fold-2", "everything")
    assert places == [str(tmp_path / "log" / stage) for stage in stages]


def test_a_base_that_was_trained_again_in_its_place_is_another_base(tmp_path: Path) -> None:
    """Without it the folds of one base and the last training of another would be one model."""
    base, out = tmp_path / "base", tmp_path / "out"
    base.mkdir()
    (base / "model.safetensors").write_bytes(b"one")
    work = Work(out, describe_base(str(base)))
    work.keep("fold-1", np.zeros((1, 1)))
    Work(out, describe_base(str(base)))
    (base / "model.safetensors").write_bytes(b"two")
    with pytest.raises(ConfigError, match=r"with other base_sha256\.model\.safetensors; delete"):
        Work(out, describe_base(str(base)))
    assert describe_base("org/name") == {"base": "org/name", "base_sha256": {}}


def interrupt(*args: object, **others: object) -> None:
    raise KeyboardInterrupt


def test_a_classifier_stopped_at_the_last_step_leaves_no_directory_without_it(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without it a training killed while it quantises would leave a model directory that loads
    and lacks its int8 network, and that the same command refuses to finish."""
    out = tmp_path / "out"
    settings = ("int8=true", "max_steps=1")
    with monkeypatch.context() as patch:
        patch.setattr(classifier, "quantise_classifier", interrupt)
        assert command.run(out, *settings).code == 130
    assert not out.exists()
    quantised: list[Path] = []
    monkeypatch.setattr(
        classifier, "quantise_classifier", lambda where, *_: quantised.append(where)
    )
    done = command.run(out, *settings)
    assert done.code == 0, done.err
    assert len(quantised) == 1
    assert read_manifest(out).task == "classifier"
    assert not (tmp_path / "out.unfinished").exists()


def test_a_summariser_stopped_before_it_is_measured_leaves_no_directory(
    tiny_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without it a summariser killed while dev is read would leave a directory without metrics,
    and the same command would refuse to finish it."""
    for name, count in (("train", 6), ("dev", 2)):
        rows = [
            {
                "id": f"{name}-{index}",
                "paragraphs": ["The army shelled the port.", f"The school has {index} rooms."],
                "highlights": ["The army shelled the port."],
            }
            for index in range(count)
        ]
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (tmp_path / f"{name}.jsonl").write_text(text, encoding="utf-8")
    words = ["train", "summariser", "--train", tmp_path / "train.jsonl"]
    words += ["--dev", tmp_path / "dev.jsonl", "--base", tiny_base, "--out", tmp_path / "out"]
    words += ["bf16=false", "max_steps=2", "max_tokens=32", "int8=false"]
    with monkeypatch.context() as patch:
        patch.setattr(summariser, "summariser_metrics", interrupt)
        assert run(*words).code == 130
    assert not (tmp_path / "out").exists()
    done = run(*words)
    assert done.code == 0, done.err
    assert "going on" in done.err
    assert "rouge1" in read_manifest(tmp_path / "out").metrics
    assert not (tmp_path / "out.unfinished").exists()
