"""The golden set judges what ships, so nothing may ever have been trained on it, and its labels are
only worth what their form and their second reading are."""

import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

LABELS = ("claim", "diplomacy", "retaliation", "threat")
GENRES = {
    *("wire", "feature", "regional-daily", "live-blog", "communique", "un-press-release"),
    *("explainer", "interview", "op-ed", "round-up", "transcript", "other-news"),
}
# Passages that share more of their eight-word sequences than this are copies of each other.
MOST_SHARED = 0.2


@pytest.fixture(scope="module")
def articles(repository: Path) -> list[dict[str, Any]]:
    path = repository / "eval" / "golden" / "golden.jsonl"
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def read_texts(path: Path) -> Iterator[str]:
    for line in path.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        # Boilerplate is not trained on, and its lines are the same everywhere.
        kept = (passage for passage in row.get("passages", [row]) if not passage.get("boilerplate"))
        yield from (passage["text"] for passage in kept)


def words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


def sequences(text: str, length: int = 8) -> set[tuple[str, ...]]:
    found = words(text)
    return {tuple(found[start : start + length]) for start in range(len(found) - length + 1)}


def copies(texts: list[str], others: Iterator[str]) -> list[str]:
    """Texts that stand among ``others`` too, word for word or nearly."""
    known: set[tuple[str, ...]] = set()
    whole: set[str] = set()
    for other in others:
        known |= sequences(other)
        whole.add(" ".join(words(other)))
    found = []
    for text in texts:
        own = sequences(text)
        # A short line ("It was not clear who fired first.") may be written twice by chance.
        is_same = len(words(text)) > 5 and " ".join(words(text)) in whole
        if is_same or (own and len(own & known) / len(own) > MOST_SHARED):
            found.append(text)
    return found


def test_the_set_is_large_enough_to_judge_by(articles: list[dict[str, Any]]) -> None:
    # Issue 4, part 10: 40 articles, 500 passages or more, each with a summary.
    passages = [p for article in articles for p in article["passages"] if not p.get("boilerplate")]
    assert len(articles) >= 40
    assert len(passages) >= 500
    carried = Counter(label for passage in passages for label in passage["labels"])
    assert set(carried) == set(LABELS)
    assert min(carried.values()) >= 60
    assert sum(article["genre"] == "other-news" for article in articles) >= 40 / 6


def test_every_article_keeps_to_the_form(articles: list[dict[str, Any]]) -> None:
    # A name that does not occur cannot be swapped; a key out of range points at nothing.
    assert len({article["id"] for article in articles}) == len(articles)
    for article in articles:
        texts = [passage["text"] for passage in article["passages"]]
        whole = "\n".join([*texts, article["summary"]])
        assert article["genre"] in GENRES
        assert all(form in whole for name in article["names"] for form in name["forms"])
        assert 35 <= len(article["summary"].split()) <= 70, article["id"]
        for index in article["key"]:
            assert not article["passages"][index].get("boilerplate")
        for passage in article["passages"]:
            assert set(passage["labels"]) <= set(LABELS)
            assert len(set(passage["labels"])) == len(passage["labels"])
            assert not (passage.get("boilerplate") and passage["labels"])
        if article["genre"] == "other-news":
            assert not any(passage["labels"] for passage in article["passages"]), article["id"]


def test_nothing_of_it_stands_in_the_corpus(
    articles: list[dict[str, Any]], repository: Path
) -> None:
    # A model that has read the answers would pass the gate whatever it had forgotten.
    texts = [passage["text"] for article in articles for passage in article["passages"]]
    corpus = sorted((repository / "training" / "corpus").glob("*.jsonl"))
    assert copies(texts, (text for path in corpus for text in read_texts(path))) == []
    lines = (line for path in corpus for line in path.read_text(encoding="utf-8").splitlines())
    assert {article["id"] for article in articles}.isdisjoint(
        json.loads(row)["id"] for row in lines
    )


def test_nothing_of_it_stands_in_the_real_training_rows(
    articles: list[dict[str, Any]], repository: Path
) -> None:
    real = repository.parent / "shared" / "data" / "real" / "train.jsonl"
    if not real.exists():
        pytest.skip("../shared/data is not here")
    texts = [passage["text"] for article in articles for passage in article["passages"]]
    assert copies(texts, read_texts(real)) == []


def test_no_suite_was_written_from_it(articles: list[dict[str, Any]]) -> None:
    # Behaviour and quality are two witnesses only while neither copies the other.
    from tocsin_eval.suites import read_suites

    texts = [passage["text"] for article in articles for passage in article["passages"]]
    cases = (text for suite in read_suites() for case in suite.cases for text in case.texts)
    assert copies(texts, cases) == []


def test_a_copy_is_seen() -> None:
    # Without this the tests above might pass because they see nothing.
    text = "The garrison at Orsk was told on Monday to leave the bridge before the week was out."
    assert copies([text], iter([text.upper()])) == [text]
    assert copies([text], iter(["He said: " + text + " Nobody left."])) == [text]
    assert copies([text], iter(["The garrison at Orsk was told to stay."])) == []
