"""The engine around the batcher: the same answers as ``analyse``, whoever shares a batch."""

import asyncio
import json
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import pytest
from tests.server import LABELS, TinyModels

from tocsin_models.analyse import Options, analyse, analyse_many
from tocsin_models.classifier import EncoderClassifier, TextWindow, load_classifier
from tocsin_models.errors import ConfigError, EmptyInput, LanguageRefused
from tocsin_models.labels import assign_labels
from tocsin_models.records import Analysis, Article
from tocsin_models.summariser import ExtractiveSummariser, load_summariser
from tocsin_serving.calls import STAGES, Call
from tocsin_serving.engine import Engine
from tocsin_serving.metrics import Metrics
from tocsin_serving.problems import Problem

T = TypeVar("T")

SENTENCES = (
    "The ministry denied arming the group and accused the army of shelling the port.",
    "We will answer every strike, the commander vowed.",
    "The talks were suspended.",
)
# A token of its own in the tiny vocabulary, which no other text here holds.
POISON = "[MASK]"


@dataclass(frozen=True, kw_only=True)
class Models:
    classifier: EncoderClassifier
    summariser: ExtractiveSummariser

    def record(self, article: Article, options: Options | None = None) -> dict[str, Any]:
        """What everybody else says of the article."""
        return analyse(article, self.classifier, self.summariser, options or Options()).to_record()

    def summary_record(self, article: Article, options: Options) -> dict[str, Any]:
        [found] = analyse_many([article], None, self.summariser, options)
        assert isinstance(found, Analysis)
        return found.to_record()


@pytest.fixture(scope="module")
def tiny(tiny_models: TinyModels) -> Models:
    return Models(
        classifier=load_classifier(tiny_models.classifier, device="cpu"),
        summariser=load_summariser(tiny_models.summariser, device="cpu"),
    )


@contextmanager
def opened(
    models: Models, queue_tokens: int = 1_000_000, max_timeout_s: float = 120.0
) -> Iterator[Engine]:
    engine = Engine(
        models.classifier,
        models.summariser,
        queue_tokens=queue_tokens,
        max_timeout_s=max_timeout_s,
        metrics=Metrics(routes=(), labels=models.classifier.labels),
    )
    try:
        yield engine
    finally:
        engine.stop()


@pytest.fixture
def engine(tiny: Models) -> Iterator[Engine]:
    with opened(tiny) as running:
        yield running


def call(seconds: float = 20.0) -> Call:
    return Call(
        request_id="r",
        route="/v1/analyse",
        deadline=time.monotonic() + seconds,
        timeout_s=seconds,
        max_timeout_s=120.0,
    )


def play(scene: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(scene)


def text_of(paragraphs: int, first: int = 0) -> str:
    """Invented copy; the paragraphs differ in length, and so in the shape of their rows."""
    return "\n\n".join(
        " ".join(SENTENCES[(number + k) % 3] for k in range(1 + number % 5))
        for number in range(first, first + paragraphs)
    )


def page(paragraphs: int, first: int = 0) -> str:
    body = "".join(f"<p>{text}</p>" for text in text_of(paragraphs, first).split("\n\n"))
    return f"<html><body><article><h1>Army shells port</h1>{body}</article></body></html>"


ARTICLES = [
    Article(id="one passage", text=SENTENCES[0]),
    Article(id="a headline", text="Army shells port\n\n" + text_of(3)),
    Article(id="windows", text=" ".join(SENTENCES * 30)),
    Article(id="many", text=text_of(40)),
    Article(id="only boilerplate", text="Share this article\n\nAdvertisement"),
    Article(id="html", text=page(6), format="html"),
    Article(id="paragraphs", paragraphs=tuple(text_of(4, 2).split("\n\n")), format="paragraphs"),
    Article(id="a long one, off the loop", text=text_of(150)),
]
OPTIONS = [
    Options(),
    Options(labels=("threat",), thresholds={"threat": 0.1}),
    Options(max_words=12, max_sentences=1),
    Options(thresholds={"claim": 1.0, "diplomacy": 0.0}),
]


@pytest.mark.parametrize("article", ARTICLES, ids=lambda article: article.id)
@pytest.mark.parametrize("options", OPTIONS, ids=["plain", "labels", "limits", "thresholds"])
def test_an_article_alone_reads_as_everywhere(
    tiny: Models, engine: Engine, article: Article, options: Options
) -> None:
    # Design, rule 1: one scoring core. An editor's screen and an archive must agree to the digit.
    expected = tiny.record(article, options)
    assert play(engine.analyse(article, options, call())).to_record() == expected
    expected = tiny.summary_record(article, options)
    assert play(engine.summarise(article, options, call())).to_record() == expected


@pytest.mark.parametrize("article", ARTICLES, ids=lambda article: article.id)
def test_a_style_and_a_focus_read_as_everywhere(
    tiny: Models, engine: Engine, article: Article
) -> None:
    # The service chooses sentences apart from the labels: both have to be there by then.
    options = Options(style="standard", focus=("threat",), thresholds={"threat": 0.5})
    expected = tiny.record(article, options)
    assert play(engine.analyse(article, options, call())).to_record() == expected
    with pytest.raises(ConfigError, match="nothing is labelled here"):
        play(engine.summarise(article, options, call()))


def test_an_article_in_a_crowd_reads_as_alone(tiny: Models, engine: Engine) -> None:
    # A score must not depend on its neighbours; here 200 of them are in the same batches, and
    # other threads parse and tokenise meanwhile.
    articles = [
        *ARTICLES,
        *(Article(id=f"p{n}", text=page(1 + n % 4, n), format="html") for n in range(12)),
        *(Article(id=f"t{n}", text=text_of(1 + n % 9, n)) for n in range(40)),
    ]
    passages = [[text_of(1, n), text_of(1, n + 3)] for n in range(60)]
    records = [tiny.record(article, OPTIONS[n % 4]) for n, article in enumerate(articles)]
    summaries = [tiny.summary_record(article, OPTIONS[n % 4]) for n, article in enumerate(articles)]
    scores = [tiny.classifier.score(texts) for texts in passages]

    async def scene() -> tuple[list[Analysis], list[Analysis], list[Any]]:
        tasks: list[list[Awaitable[Any]]] = [
            [engine.analyse(a, OPTIONS[n % 4], call()) for n, a in enumerate(articles)],
            [engine.summarise(a, OPTIONS[n % 4], call()) for n, a in enumerate(articles)],
            [engine.classify(texts, Options(), call()) for texts in passages],
        ]
        whole, short, labelled = await asyncio.gather(*(asyncio.gather(*kind) for kind in tasks))
        return whole, short, labelled

    whole, short, labelled = play(scene())
    assert [found.to_record() for found in whole] == records
    assert [found.to_record() for found in short] == summaries
    for (_, answers), expected in zip(labelled, scores, strict=True):
        for row, answer in enumerate(answers):
            labels, by_label = assign_labels(expected, row, tiny.classifier.info.thresholds)
            assert (answer.labels, answer.scores) == (labels, by_label)
            assert answer.windows == expected.windows[row]
            assert answer.failure is None


def test_the_embedded_models_read_the_same_in_a_crowd(repository: Path) -> None:
    # int8 and bf16, where sums in another order give another score.
    embedded = Models(
        classifier=load_classifier(device="cpu"), summariser=load_summariser(device="cpu")
    )
    rows = (repository / "training/corpus/A.jsonl").read_text("utf-8").splitlines()[:4]
    articles = [
        Article(id=row["id"], text="\n\n".join(passage["text"] for passage in row["passages"]))
        for row in map(json.loads, rows)
    ]
    records = [embedded.record(article) for article in articles]

    async def scene(engine: Engine) -> list[Analysis]:
        await engine.warm_up()
        return await asyncio.gather(*(engine.analyse(a, Options(), call()) for a in articles))

    with opened(embedded) as engine:
        assert [found.to_record() for found in play(scene(engine))] == records


def test_texts_are_labelled_in_their_order(tiny: Models, engine: Engine) -> None:
    texts = [*SENTENCES, " ".join(SENTENCES * 20)]
    info, answers = play(
        engine.classify(
            texts, Options(labels=("claim", "threat"), thresholds={"claim": 0.2}), call()
        )
    )
    scores = tiny.classifier.score(texts)
    assert info.thresholds == {"claim": 0.2, "threat": 0.5}
    assert [answer.windows for answer in answers] == list(scores.windows)
    assert scores.windows[3] > 1
    for row, answer in enumerate(answers):
        by_label = dict(zip(LABELS, scores.probabilities[row].tolist(), strict=True))
        assert answer.scores == {name: round(by_label[name], 6) for name in ("claim", "threat")}


def test_no_texts_have_no_answers(engine: Engine) -> None:
    # A request of which every passage is refused; it must not be an error of the other kind.
    assert play(engine.classify([], Options(), call()))[1] == []


def test_an_article_of_white_space_is_refused(engine: Engine) -> None:
    for article in (
        Article(id="a", text=" \n\t"),
        Article(id="a", text="<p> </p>", format="html"),
        Article(id="a", paragraphs=(" ", "\n"), format="paragraphs"),
    ):
        with pytest.raises(EmptyInput):
            play(engine.analyse(article, Options(), call()))


def test_an_article_of_boilerplate_is_an_answer_with_a_reason(engine: Engine) -> None:
    answer = play(engine.analyse(ARTICLES[4], Options(), call()))
    assert answer.passages == ()
    assert answer.reason
    assert answer.summary is not None
    assert answer.summary.reason
    assert len(answer.source.dropped) == 2


def test_what_the_models_do_not_read_is_refused_to_the_strict(engine: Engine) -> None:
    french = Article(
        id="fr",
        text="Le ministère a démenti avoir armé le groupe et a accusé l'armée d'avoir bombardé le "
        "port. Les pourparlers reprendront lundi dans la capitale, selon un porte-parole.",
    )
    assert play(engine.analyse(french, Options(), call())).warnings
    with pytest.raises(LanguageRefused):
        play(engine.analyse(french, Options(strict_language=True), call()))


def test_unknown_labels_are_refused_before_any_work(engine: Engine) -> None:
    for options in (Options(labels=("flood",)), Options(thresholds={"flood": 0.5})):
        request = call()
        with pytest.raises(ConfigError):
            play(engine.analyse(ARTICLES[0], options, request))
        with pytest.raises(ConfigError):
            play(engine.classify(SENTENCES, options, request))
        assert request.stages == {}


# A model that fails


@contextmanager
def spoilt(
    classifier: EncoderClassifier,
    change: Callable[[Sequence[TextWindow], npt.NDArray[np.float32]], npt.NDArray[np.float32]],
) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        run = classifier.run
        patch.setattr(classifier, "run", lambda windows: change(windows, run(windows)))
        yield


def no_number_where_poisoned(
    windows: Sequence[TextWindow], found: npt.NDArray[np.float32]
) -> npt.NDArray[np.float32]:
    rows = [any(token == 4 for token in window.ids) for window in windows]  # 4 is [MASK]
    return np.where(np.array(rows)[:, None], np.float32("nan"), found)


def no_number(_: Sequence[TextWindow], found: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    return np.full_like(found, np.nan)


def test_a_score_that_is_no_number_fails_its_own_text(tiny: Models, engine: Engine) -> None:
    # NaN is above no threshold: it would come out as "no label", or as null.
    texts = [SENTENCES[0], POISON, " ".join(SENTENCES * 20) + POISON, SENTENCES[1]]
    expected = tiny.classifier.score([SENTENCES[0], SENTENCES[1]])
    with spoilt(tiny.classifier, no_number_where_poisoned):
        _, answers = play(engine.classify(texts, Options(), call()))
        with pytest.raises(Problem) as refused:
            play(engine.analyse(Article(id="a", text=POISON + "."), Options(), call()))
    assert [bool(answer.failure) for answer in answers] == [False, True, True, False]
    assert answers[1].scores == {}
    for answer, row in ((answers[0], 0), (answers[3], 1)):
        assert list(answer.scores.values()) == [
            round(float(value), 6) for value in expected.probabilities[row]
        ]
    assert refused.value.code == "inference_failed"


def test_a_model_that_gives_no_numbers_is_not_ready(tiny: Models, engine: Engine) -> None:
    # Else a device that has gone wrong keeps its place behind the load balancer.
    async def scene() -> None:
        assert await engine.is_ready()
        with spoilt(tiny.classifier, no_number):
            for _ in range(5):
                _, [answer] = await engine.classify([SENTENCES[0]], Options(), call())
                assert answer.failure
            assert not await engine.is_ready()
        assert await engine.is_ready()  # it is asked, and answers again

    play(scene())


def test_a_model_that_raises_is_not_ready_until_it_answers(tiny: Models, engine: Engine) -> None:
    def broken(*_: object) -> npt.NDArray[np.float32]:
        raise RuntimeError("the device is gone")

    async def scene() -> None:
        with spoilt(tiny.classifier, broken):
            _, answers = await engine.classify(SENTENCES, Options(), call())
            assert [answer.failure for answer in answers] == ["RuntimeError"] * 3
            assert not await engine.is_ready()
        assert await engine.is_ready()

    play(scene())


def test_a_dead_classifier_is_not_hidden_by_a_summariser_that_works(
    tiny: Models, engine: Engine
) -> None:
    # Both run in one batcher: with one count for both, every summary would reset it.
    async def scene() -> None:
        with spoilt(tiny.classifier, no_number):
            for _ in range(3):
                _, [answer] = await engine.classify([SENTENCES[0]], Options(), call())
                assert answer.failure
                assert (await engine.summarise(ARTICLES[1], Options(), call())).summary
            assert not await engine.is_ready()
        assert await engine.is_ready()

    play(scene())


def test_a_model_that_hangs_is_not_ready_until_it_comes_back(
    tiny: Models, caplog: pytest.LogCaptureFixture
) -> None:
    # It fails on nothing, so that no failure would ever be counted, and everybody waits behind it.
    go = threading.Event()

    def hanging(_: Sequence[TextWindow], found: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        assert go.wait(20)
        return found

    async def becomes(engine: Engine, is_ready: bool) -> bool:
        for _ in range(500):
            if await engine.is_ready() is is_ready:
                return True
            await asyncio.sleep(0.02)
        return False

    async def scene(engine: Engine) -> None:
        held = asyncio.ensure_future(engine.classify([SENTENCES[0]], Options(), call()))
        assert await becomes(engine, False)
        go.set()
        await held
        assert await becomes(engine, True)

    with spoilt(tiny.classifier, hanging), opened(tiny, max_timeout_s=0.2) as engine:
        assert play(engine.is_ready())  # nothing runs
        try:
            play(scene(engine))
        finally:
            go.set()
    assert "has not come back" in caplog.text  # which /readyz refers to


# Time and room


def test_a_call_tells_what_it_took(engine: Engine) -> None:
    # Server-Timing is made of this.
    request = call()
    play(engine.analyse(ARTICLES[1], Options(), request))
    assert set(request.stages) == set(STAGES)
    (began, ready) = request.stages["tokenise"]
    (queued, started) = request.stages["queue"]
    (inferring, done) = request.stages["infer"]
    assert began <= ready <= queued <= started == inferring <= done
    assert request.passages == 4
    assert request.tokens
    assert request.tokens > 40


def test_a_long_text_is_prepared_beside_the_loop(engine: Engine) -> None:
    # While two megabytes are read, everybody else's requests must still come in.
    article = Article(id="long", text=text_of(1_500))

    async def tick(lags: list[float]) -> None:
        while True:
            begun = time.monotonic()
            await asyncio.sleep(0.002)
            lags.append(time.monotonic() - begun - 0.002)

    async def scene() -> float:
        """The longest lag, as a share of what preparing took."""
        lags: list[float] = []
        ticking = asyncio.ensure_future(tick(lags))
        request = call(60)
        await engine.analyse(article, Options(), request)
        ticking.cancel()
        began, ended = request.stages["tokenise"]
        return max(lags) / (ended - began)

    assert len(article.text) > 200_000
    # Were it prepared on the loop, the lag would be all of it, each time; a busy machine's is not.
    assert min(play(scene()) for _ in range(3)) < 1 / 3


def test_preparing_ends_at_the_deadline(engine: Engine) -> None:
    begun = time.monotonic()
    with pytest.raises(Problem) as refused:
        play(engine.analyse(Article(id="long", text=text_of(3_000)), Options(), call(0.02)))
    assert refused.value.code == "deadline_exceeded"
    assert refused.value.status == 504
    assert time.monotonic() - begun < 5  # the loop waits at its end for the thread's last step


def test_a_full_queue_and_a_deadline_are_problems(tiny: Models) -> None:
    go = threading.Event()

    def hanging(_: Sequence[TextWindow], found: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        assert go.wait(10)
        return found

    async def scene(engine: Engine) -> None:
        held = asyncio.ensure_future(engine.classify([SENTENCES[0]], Options(), call()))
        await asyncio.sleep(0.05)
        waits = asyncio.ensure_future(engine.classify([SENTENCES[0]], Options(), call(0.2)))
        await asyncio.sleep(0)
        with pytest.raises(Problem) as full:
            engine.refuse_when_full()
        with pytest.raises(Problem) as refused:
            await engine.classify([SENTENCES[0]], Options(), call())
        for problem in (full.value, refused.value):
            assert (problem.status, problem.code) == (429, "queue_full")
            [(name, seconds)] = problem.headers
            assert name == "retry-after"
            assert int(seconds) >= 1
        with pytest.raises(Problem) as late:
            await waits
        assert (late.value.status, late.value.code) == (504, "deadline_exceeded")
        engine.refuse_when_full()  # its room is free again
        go.set()
        await held

    with spoilt(tiny.classifier, hanging), opened(tiny, queue_tokens=1) as engine:
        try:
            play(scene(engine))
        finally:
            go.set()
