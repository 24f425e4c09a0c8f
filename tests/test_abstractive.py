"""Encoder-decoders at the door: tiny random ones of four families, loaded, run and checked."""

import json
import shutil
import subprocess
import sys
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from tests.server import TinyModels, start_server
from tests.support import run
from tests.tiny_writers import FAMILIES, TEXT, build

from tocsin_eval.data import ReferenceSummary
from tocsin_eval.subjects import SubjectOptions, open_subjects
from tocsin_models.abstractive import (
    AbstractiveSummariser,
    is_hub_id,
    is_tocsin,
    load_abstractive,
    open_summariser,
)
from tocsin_models.analyse import Options, analyse_many
from tocsin_models.cleaning import clean
from tocsin_models.errors import ConfigError, ModelError, ModelNotFound
from tocsin_models.manifest import EMBEDDED
from tocsin_models.protocols import Limits
from tocsin_models.records import Analysis, Article, Paragraph
from tocsin_models.summariser import ExtractiveSummariser

SCHEMA = json.loads(files("tocsin_models").joinpath("record.schema.json").read_text("utf-8"))
# Two threads that wait for each other are slow where other tests run beside them.
ONE_THREAD = ("--threads", 1)
ARTICLE = "Army shells port\n\n" + " ".join(TEXT) + "\n\n" + " ".join(reversed(TEXT))


@pytest.fixture(scope="module")
def writers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A directory of each family."""
    folder = tmp_path_factory.mktemp("writers")
    tasks = {"t5": {"prefix": "summarize: "}}
    return {family: build(family, folder / family, tasks.get(family)) for family in FAMILIES}


@pytest.fixture(scope="module")
def loaded(writers: dict[str, Path]) -> dict[str, AbstractiveSummariser]:
    return {
        family: load_abstractive(str(folder), device="cpu", threads=1)
        for family, folder in writers.items()
    }


def paragraphs_of(text: str) -> tuple[Paragraph, ...]:
    return clean(Article(id="invented", text=text)).paragraphs


@pytest.mark.parametrize("family", FAMILIES)
def test_each_family_writes_a_summary_whose_receipts_are_true(
    family: str, loaded: dict[str, AbstractiveSummariser]
) -> None:
    paragraphs = paragraphs_of(ARTICLE)
    summary = loaded[family].summarise(paragraphs, Limits())
    record = summary.to_record()
    assert (summary.method, summary.style) == ("abstractive", "short")
    assert 1 <= len(summary.sentences) <= record["checked"]
    assert record["replaced"] == sum(sentence.replaced for sentence in summary.sentences)
    for sentence in summary.sentences:
        source = ARTICLE[sentence.start : sentence.end]
        passage = paragraphs[sentence.passage]
        assert passage.kind == "body"
        assert source in passage.text
        assert (sentence.text == source) or not sentence.replaced
        assert (sentence.reason is not None) == sentence.replaced
    assert loaded[family].summarise(paragraphs, Limits()) == summary


def test_what_a_random_model_makes_up_is_replaced(
    loaded: dict[str, AbstractiveSummariser], monkeypatch: pytest.MonkeyPatch
) -> None:
    # The whole way: the words are put into the model's mouth, everything behind it is real.
    bart = loaded["bart"]
    said = "The army shelled the port. Some 7,000 people had left Dibbat by Friday."
    ids = bart._tokenizer(said, return_tensors="pt")["input_ids"]
    monkeypatch.setattr(bart._model, "generate", lambda **_: ids)
    monkeypatch.setattr(bart, "_room", 1_000)
    monkeypatch.setattr(bart, "max_tokens", 1_000)
    record = bart.summarise(paragraphs_of(ARTICLE), Limits()).to_record()
    assert (record["windows"], record["checked"], record["replaced"]) == (1, 2, 1)
    kept, other = record["sentences"]
    assert kept["text"] == "The army shelled the port."
    assert "replaced" not in kept
    assert other["text"] == TEXT[2] == ARTICLE[other["start"] : other["end"]]
    assert (other["replaced"], other["reason"]) == (True, "number not in the article")
    assert record["text"] == f"{kept['text']} {TEXT[2]}"


@pytest.mark.parametrize("family", FAMILIES)
def test_an_article_of_any_length_is_read_whole(
    family: str, loaded: dict[str, AbstractiveSummariser]
) -> None:
    # A model that reads 64 tokens would otherwise know the first three sentences only.
    model = loaded[family]
    text = "\n\n".join(
        f"Part {index} of the talks failed. {TEXT[index % 3]}" for index in range(40)
    )
    reading = model.read(paragraphs_of(text), Limits())
    pieces = [piece for group in reading.groups for piece in group]
    read = " ".join(
        model._tokenizer.decode(piece.ids, skip_special_tokens=True)
        for piece in sorted(pieces, key=lambda piece: piece.index)
    )
    for sentence in reading.sentences:
        assert sentence.text in read
    assert all(len(piece.ids) <= model.max_tokens for piece in pieces)
    assert model.summarise(paragraphs_of(text), Limits()).windows == len(pieces) > 20
    assert sum(model.cost(group) for group in reading.groups) > sum(len(one.ids) for one in pieces)


def test_windows_are_about_as_long(loaded: dict[str, AbstractiveSummariser]) -> None:
    # A rest of one sentence would be told at the length of a full window, mostly invented.
    windows = list(loaded["bart"]._windows(["The envoy left the port."] * 20))
    lengths = [len(window.split()) for window in windows]
    assert len(windows) > 2
    assert min(lengths) > 0.4 * max(lengths)


def test_a_sentence_longer_than_the_encoder_reads_is_read_in_pieces(
    loaded: dict[str, AbstractiveSummariser],
) -> None:
    words = [f"word{index}" for index in range(150)]
    model = loaded["bart"]
    windows = list(model._windows([" ".join(words)]))
    assert "".join("".join(windows).split()) == "".join(words)
    windows += model._windows(["x" * 500])
    for window in windows:
        assert len(model._tokenizer(window)["input_ids"]) <= model.max_tokens


def test_lengths_follow_the_limits(loaded: dict[str, AbstractiveSummariser]) -> None:
    # A model that is let run writes what is then thrown away; one that is held short breaks off.
    bart = loaded["bart"]
    bart_long = bart._piece(0, " ".join(TEXT * 3), Limits(max_words=20))
    assert bart_long.most < bart._piece(0, " ".join(TEXT * 3), Limits(max_words=40)).most
    assert bart._piece(0, "He left.", Limits()).most <= 16
    for limits in (Limits(), Limits(max_sentences=1), Limits(max_words=2)):
        piece = bart._piece(0, " ".join(TEXT), limits)
        assert 0 <= piece.least <= piece.most <= 126


def test_the_model_s_own_settings_hold(tmp_path: Path) -> None:
    task = {"prefix": "summarize: ", "num_beams": 2, "length_penalty": 2.0, "min_length": 3}
    model = load_abstractive(str(build("t5", tmp_path / "t5", task)), device="cpu", threads=1)
    [group] = model.read(paragraphs_of(TEXT[0]), Limits()).groups
    assert model._tokenizer.decode(group[0].ids).startswith("<s>summarize: The ministry")
    config = model._generation(group[0].least, group[0].most)
    assert (config.num_beams, config.length_penalty, config.min_length) == (2, 2.0, 4)
    # What it does not say is what models of its kind were published with.
    assert (config.no_repeat_ngram_size, config.early_stopping, config.do_sample) == (
        3,
        True,
        False,
    )


def test_led_is_given_a_token_that_sees_everything(
    loaded: dict[str, AbstractiveSummariser], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Without it nothing travels further than an attention window, silently.
    led = loaded["led"]
    seen: list[dict[str, Any]] = []
    real = led._model.generate

    def generate(**options: Any) -> Any:
        seen.append(options)
        return real(**options)

    monkeypatch.setattr(led._model, "generate", generate)
    led.summarise(paragraphs_of(ARTICLE), Limits())
    assert seen
    for call in seen:
        assert call["global_attention_mask"][:, 0].all()
        assert not call["global_attention_mask"][:, 1:].any()


def test_articles_told_together_are_told_as_alone(
    loaded: dict[str, AbstractiveSummariser],
) -> None:
    texts = [ARTICLE, TEXT[0], "\n\n".join(TEXT * 4), "Army shells port\n\nShare this article"]
    articles = [paragraphs_of(text) for text in texts]
    for model in (loaded["bart"], loaded["t5"]):
        together = model.summarise_many(articles, [Limits()] * len(articles))
        assert together == [model.summarise(article, Limits()) for article in articles]


def test_the_three_steps_of_summarising_are_summarising(
    loaded: dict[str, AbstractiveSummariser],
) -> None:
    # The service takes them one by one.
    paragraphs = paragraphs_of("\n\n".join(TEXT * 6))
    for limits in (Limits(), Limits(max_words=15), Limits(max_sentences=1)):
        reading = loaded["bart"].read(paragraphs, limits)
        results = [loaded["bart"].run(group) for group in reading.groups]
        assert loaded["bart"].choose(reading, results, limits) == loaded["bart"].summarise(
            paragraphs, limits
        )


def test_no_summary_is_empty_without_a_reason(loaded: dict[str, AbstractiveSummariser]) -> None:
    bart = loaded["bart"]
    headline = Paragraph(text="Army shells port", start=0, end=16, kind="headline")
    nothing = bart.summarise([headline], Limits())
    assert (nothing.sentences, nothing.windows) == ((), 0)
    assert nothing.reason
    tight = bart.summarise(paragraphs_of(ARTICLE), Limits(max_words=1))
    assert "1 words" in (tight.reason or "") or len(tight.text.split()) == 1
    surrogate = bart.summarise(paragraphs_of("The \ud800 army shelled the port."), Limits())
    assert surrogate.sentences or surrogate.reason


def test_records_are_valid(loaded: dict[str, AbstractiveSummariser]) -> None:
    article = Article(id="invented", text=ARTICLE)
    for model in loaded.values():
        [found] = analyse_many([article], None, model)
        assert isinstance(found, Analysis)
        jsonschema.validate(json.loads(json.dumps(found.to_record())), SCHEMA)
        assert found.summariser is not None
        assert found.summariser.revision.startswith("sha256:")
        assert (found.summariser.precision, found.summariser.device) == ("f32", "cpu")


def test_the_revision_is_of_the_weights(writers: dict[str, Path], tmp_path: Path) -> None:
    # Two models of one name must not be taken for each other.
    before = load_abstractive(str(writers["bart"]), device="cpu", threads=1).info
    shutil.copytree(writers["bart"], tmp_path / "bart")
    (tmp_path / "bart" / "README.md").write_text("notes")
    assert load_abstractive(str(tmp_path / "bart"), device="cpu", threads=1).info == before
    shutil.copy(writers["pegasus"] / "model.safetensors", tmp_path / "bart")
    from tocsin_models.abstractive import abstractive_manifest

    assert abstractive_manifest(tmp_path / "bart", "bart").revision != before.revision
    assert before.name == "bart"


def test_an_encoder_is_refused_by_name(tiny_base: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"BertModel is no encoder-decoder.*bart-large-cnn"):
        open_summariser(tiny_base, device="cpu", threads=1)
    # BART with a head for labels is an encoder-decoder that writes nothing.
    kind = {"architectures": ["BartForSequenceClassification"], "is_encoder_decoder": True}
    (tmp_path / "config.json").write_text(json.dumps(kind))
    with pytest.raises(ModelError, match="BartForSequenceClassification"):
        open_summariser(tmp_path)
    (tmp_path / "config.json").write_text("[")
    with pytest.raises(ModelError, match=r"config\.json cannot be read"):
        open_summariser(tmp_path)


def test_pickled_weights_are_refused(writers: dict[str, Path], tmp_path: Path) -> None:
    # A pickle runs whatever its author wrote; only safetensors are read.
    import torch
    from safetensors.torch import load_file

    folder = tmp_path / "pickled"
    shutil.copytree(writers["bart"], folder)
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    with pytest.raises(ModelNotFound):
        open_summariser(folder, device="cpu", threads=1)


def test_what_cannot_be_had_is_said(
    writers: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ConfigError, match="no GPU"):
        open_summariser(writers["bart"], device="cuda")
    with pytest.raises(ConfigError, match="int8"):
        open_summariser(writers["bart"], precision="int8")
    # Taken in silence, each ran as something else than it was called in the record.
    refused: list[dict[str, Any]] = [{"device": "tpu"}, {"precision": "f64"}, {"threads": 0}]
    for asked in refused:
        with pytest.raises(ConfigError, match=r"is (not one of|below 1)"):
            open_summariser(writers["bart"], **asked)
    assert (
        open_summariser(writers["bart"], precision="bf16", device="cpu", threads=1).info.precision
        == "bf16"
    )


def test_ours_is_loaded_as_ever_and_nothing_is_asked_of_the_hub_by_mistake(
    writers: dict[str, Path], tmp_path: Path
) -> None:
    assert isinstance(open_summariser(EMBEDDED["summariser"]), ExtractiveSummariser)
    assert isinstance(open_summariser(), ExtractiveSummariser)
    assert is_tocsin(tmp_path)
    assert is_tocsin(tmp_path / "nowhere")
    assert not is_tocsin(writers["t5"])
    for word in ("facebook/bart-large-cnn", "org/name@0123abc"):
        assert is_hub_id(Path(word))
    for word in ("nowhere", "a/b/c", "/no/such", "~/model", "../model", "a b/c"):
        assert not is_hub_id(Path(word))
    # Written with a dot it is a directory, whether it is there or not.
    refused = run("analyse", "-", "--summariser", "./no/summariser", stdin=b"The army left.")
    assert refused.code == 2
    assert "no such model directory" in " ".join(refused.err.split())


def test_a_hub_id_is_fetched_at_its_commit_and_keeps_its_name(
    writers: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub

    asked: list[tuple[str, Any]] = []

    def snapshot(name: str, *, revision: str | None, allow_patterns: list[str]) -> str:
        # Code and pickles are not even fetched.
        assert all(
            pattern.endswith((".json", ".txt", ".safetensors")) for pattern in allow_patterns
        )
        asked.append((name, revision))
        return str(writers["pegasus"])

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot)
    model = open_summariser(Path("org/pegasus-news@0123abc"), device="cpu", threads=1)
    assert model.info.name == "org/pegasus-news@0123abc"
    assert asked == [("org/pegasus-news", "0123abc")]
    assert model.summarise(paragraphs_of(ARTICLE), Limits()).method == "abstractive"


def test_a_hub_that_cannot_be_reached_is_one_line() -> None:
    with pytest.raises(ModelNotFound) as caught:
        open_summariser(Path("tocsin-tests/there-is-no-such-model"))
    assert "\n" not in str(caught.value)


def test_knowing_of_them_loads_neither_torch_nor_transformers() -> None:
    # Every start comes through this module; only an abstractive model may cost a second.
    code = (
        "import sys, tocsin_models.abstractive as door; door.summariser_manifest(None);"
        "sys.exit(bool({'torch', 'transformers'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_command_line_takes_one(writers: dict[str, Path], tmp_path: Path) -> None:
    path = tmp_path / "article.txt"
    path.write_text(ARTICLE, encoding="utf-8")
    done = run(
        "analyse", path, "--json", "--summariser", writers["bart"], "--device", "cpu", *ONE_THREAD
    )
    assert done.code == 0, done.err
    record = json.loads(done.out)
    jsonschema.validate(record, SCHEMA)
    assert record["summary"]["method"] == "abstractive"
    assert record["model"]["summariser"]["name"] == "bart"
    assert not set(done.err.split()) & {"Dibbat", "ministry"}
    shown = run("analyse", path, "--summariser", writers["bart"], "--device", "cpu", *ONE_THREAD)
    if record["summary"]["replaced"]:
        assert "in place of one that was written" in " ".join(shown.out.split())


@pytest.mark.parametrize("format", ["jsonl", "parquet"])
def test_an_archive_is_told_by_one(format: str, writers: dict[str, Path], tmp_path: Path) -> None:
    rows = [{"id": str(index), "text": ARTICLE} for index in range(3)]
    source = tmp_path / "in.jsonl"
    source.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    command = [
        "score",
        source,
        tmp_path / "out",
        "--only",
        "summarise",
        "--device",
        "cpu",
        *ONE_THREAD,
    ]
    done = run(*command, "--format", format, "--summariser", writers["t5"])
    assert done.code == 0, done.err
    if format == "jsonl":
        [path] = (tmp_path / "out").glob("*.jsonl")
        found = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    else:
        import pyarrow.parquet as pq

        [path] = (tmp_path / "out").glob("*.parquet")
        found = pq.read_table(path).to_pylist()
    assert len(found) == 3
    for row in found:
        assert row["summary"]["method"] == "abstractive"
        assert row["summary"]["checked"] >= row["summary"]["replaced"]
        flags = [bool(sentence.get("replaced")) for sentence in row["summary"]["sentences"]]
        assert sum(flags) == row["summary"]["replaced"]


def test_the_service_answers_with_one(
    tiny_models: TinyModels, writers: dict[str, Path], tmp_path: Path
) -> None:
    models = TinyModels(classifier=tiny_models.classifier, summariser=writers["bart"])
    with start_server(models, tmp_path, *ONE_THREAD) as server, server.client() as client:
        record = client.post("/v1/analyse", json={"text": ARTICLE}).raise_for_status().json()
        jsonschema.validate(record, SCHEMA)
        assert record["summary"]["method"] == "abstractive"
        alone = client.post("/v1/summarise", json={"text": ARTICLE}).raise_for_status().json()
        assert alone["summary"] == record["summary"]
        named = {model["task"]: model for model in client.get("/v1/models").json()["models"]}
        assert named["summariser"]["name"] == "bart"
        assert named["summariser"]["revision"] == record["model"]["summariser"]["revision"]
        assert server.is_alive()
    assert "Dibbat" not in server.log


def test_an_evaluation_takes_one_as_a_subject(writers: dict[str, Path]) -> None:
    options = SubjectOptions(options=Options(max_sentences=2), device="cpu", threads=1)
    [subject] = open_subjects([str(writers["led"])], options, lambda url: pytest.fail(url))
    assert subject.summarises
    assert not subject.classifies
    assert subject.summariser is not None
    row = ReferenceSummary(id="invented", paragraphs=TEXT, highlights=(TEXT[0],))
    assert 1 <= len(subject.summariser().sentences(row)) <= 2
