"""The corpus is what ``training/README.md`` says, and every kind of mistake in it is found."""

import copy
import json
import math
import random
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import zstandard

from tocsin_training import corpus
from tocsin_training.articles import GENRES, KEYS, TAGS, Article, parse_article
from tocsin_training.corpus import check_corpus, parse_corpus
from tocsin_training.coverage import render_coverage
from tocsin_training.duplicates import NearDuplicates
from tocsin_training.readings import (
    RULINGS,
    Reading,
    agreement,
    check_readings,
    count_rulings,
    parse_readings,
    without_boilerplate,
)

# Large enough to show copying, small enough for a test; `--beside` of the command takes all.
BESIDE = ("real/train.jsonl", "real/dev.jsonl", "cnndm/val.jsonl.zst")

ARTICLE: dict[str, Any] = {
    "id": "p-Z001",
    "genre": "wire",
    "region": "africa",
    "era": "2011-now",
    "conflict": "sea",
    "register": "agency",
    "source": "authored",
    "setting": "salt port, blockade, autumn",
    "names": [
        {"kind": "state", "forms": ["Belquant", "Belqua"]},
        {"kind": "person", "forms": ["Ostra Milhane", "Milhane"]},
    ],
    "passages": [
        {"text": "Belqua denies mining the salt port", "labels": ["claim"]},
        {
            "text": "The Belquant navy said on Monday that none of its ships had laid a mine off "
            "the salt port, and blamed smugglers.",
            "labels": ["claim"],
        },
        {"text": "Share this story", "labels": [], "boilerplate": True},
        {
            "text": "Ostra Milhane, the envoy, meets both delegations on Thursday; Milhane "
            "brokered last year's truce over the lighthouse and its dues.",
            "labels": ["diplomacy"],
        },
        {"text": "The port ships two fifths of the region's salt.", "labels": []},
    ],
    "summary": " ".join(["Belqua denies that it mined the port."] * 6),
    "key": [0, 1, 3],
}
READING: dict[str, Any] = {
    "id": "p-Z001",
    "first": ["C", "C", "-", "D", "-"],
    "second": ["C", "C", "-", "D", "-"],
    "rulings": [[], ["ministry"], [], ["rel", "move"], []],
}


def write_lines(path: Path, rows: list[Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def check(folder: Path, articles: list[Any], readings: list[Any] | None = None) -> list[str]:
    path = write_lines(folder / "Z.jsonl", articles)
    found = write_lines(folder / "readings.jsonl", readings) if readings is not None else None
    return [problem.removeprefix(f"{path}, ") for problem in check_corpus([path], (), found)]


def other(number: int) -> dict[str, Any]:
    """An article that shares nothing with ``ARTICLE`` but its form."""
    article = copy.deepcopy(ARTICLE)
    article["id"] = f"p-Z{number:03}"
    for place, passage in enumerate(article["passages"]):
        passage["text"] = f"Milhane Belquant {number} {place}"
    article["passages"][0]["text"] += ", Ostra Milhane"
    return article


@dataclass(frozen=True, slots=True, kw_only=True)
class Shipped:
    """The corpus of the repository, read once: to search it takes longest."""

    articles: list[Article]
    readings: list[Reading]
    problems: list[str]
    beside: list[Path]


@pytest.fixture(scope="module")
def shipped(repository: Path) -> Shipped:
    paths = sorted((repository / "training/corpus").glob("*.jsonl"))
    readings = repository / "training/readings/readings.jsonl"
    places = [repository.parent / "shared" / "data" / name for name in BESIDE]
    beside = [path for path in places if path.is_file()]
    return Shipped(
        articles=parse_corpus(paths)[0],
        readings=parse_readings(readings)[0],
        problems=check_corpus(paths, beside, readings),
        beside=beside,
    )


def test_the_shipped_corpus_has_no_mistake(shipped: Shipped) -> None:
    """A label against both readers, a copied passage or a wrong name would train unnoticed."""
    beside = [str(path) for path in shipped.beside]
    assert [found for found in shipped.problems if not any(map(found.__contains__, beside))] == []


def test_the_shipped_corpus_copies_nothing_from_the_data_beside_it(shipped: Shipped) -> None:
    """Text that is not ours to ship would be shipped, and dev passages would be trained on."""
    if len(shipped.beside) < len(BESIDE):
        pytest.skip(f"../shared/data does not hold all of {', '.join(BESIDE)}")
    beside = [str(path) for path in shipped.beside]
    assert [found for found in shipped.problems if any(map(found.__contains__, beside))] == []


def test_the_shipped_corpus_is_as_large_as_was_planned(shipped: Shipped) -> None:
    """A batch that goes missing, or a ruling nobody wrote examples of, would not be noticed."""
    labelled = list(without_boilerplate(shipped.readings, shipped.articles))
    assert len(shipped.articles) >= 480
    assert sum(len(reading.first) for reading in labelled) >= 6_500
    assert {article.genre for article in shipped.articles} == set(GENRES)
    for tag, words in TAGS.items():
        assert {article.tags[tag] for article in shipped.articles} == set(words)
    assert {code: n for code, n in count_rulings(labelled).items() if n < 30} == {}


def test_the_training_readme_has_the_tables_of_the_command(
    repository: Path, shipped: Shipped
) -> None:
    """A table that nobody recomputes is wrong by the next article."""
    readme = (repository / "training/README.md").read_text(encoding="utf-8")
    tables = render_coverage(shipped.articles, shipped.readings).split("\n\n")
    assert len(tables) == 8
    assert [table.partition("\n")[0] for table in tables if table.strip("\n") not in readme] == []


def test_an_article_without_mistakes_has_none(tmp_path: Path) -> None:
    """Otherwise the tests of single mistakes might find another one."""
    assert check(tmp_path, [ARTICLE, other(2)], [READING, {**READING, "id": "p-Z002"}]) == []


def put(*path: Any, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(article: dict[str, Any]) -> None:
        holder: Any = article
        for step in path[:-1]:
            holder = holder[step]
        holder[path[-1]] = value

    return change


def swap_keys(article: dict[str, Any]) -> None:
    article["genre"] = article.pop("genre")


MISTAKES: list[tuple[Callable[[dict[str, Any]], None], str]] = [
    (lambda article: article.pop("era"), "line 1: has no era"),
    (put("writer", value="me"), "line 1: has keys other than id, genre"),
    (swap_keys, "line 1: does not have its keys in the order id, genre"),
    (put("id", value=""), "line 1: 'id' is not a line of text"),
    (put("genre", value="sermon"), "line 1: 'genre' is none of wire, feature"),
    (put("region", value="atlantis"), "line 1: 'region' is none of africa, middle-east"),
    (put("era", value=["2011-now"]), "line 1: 'era' is none of before-1900"),
    (put("conflict", value="war"), "line 1: 'conflict' is none of interstate"),
    (put("register", value=None), "line 1: 'register' is none of agency"),
    (put("source", value="desk"), "line 1: 'source' is none of authored, authored-news"),
    (put("setting", value="port\nautumn"), "line 1: 'setting' is not a line of text"),
    (put("passages", value=[]), "line 1: 'passages' is not a list with something in it"),
    (put("passages", 1, value="Milhane"), "line 1: passage 1: is not an object"),
    (put("passages", 1, "note", value="?"), "line 1: passage 1: has keys other than text, labels"),
    (put("passages", 1, "text", value=" "), "line 1: passage 1: 'text' is not a line of text"),
    (
        put("passages", 3, "text", value="Milhane came.\nMilhane left."),
        "line 1: passage 3: 'text' is not a line of text",
    ),
    (put("passages", 4, "text", value="\ud800"), "line 1: passage 4: 'text' is not a line"),
    (put("passages", 1, "labels", value=["clam"]), "line 1: passage 1: 'labels' is not a list of"),
    (put("passages", 1, "labels", value="claim"), "line 1: passage 1: 'labels' is not a list of"),
    (put("passages", 1, "labels", value=["claim"] * 2), "line 1: passage 1: 'labels' names a"),
    (put("passages", 2, "labels", value=["claim"]), "line 1: passage 2: has labels and is boiler"),
    (put("passages", 2, "boilerplate", value=False), "line 1: passage 2: 'boilerplate' is not"),
    (
        put("passages", 0, value={"text": "Menu", "labels": [], "boilerplate": True}),
        "line 1: passage 0: is boilerplate; the first passage is the headline",
    ),
    (put("summary", value="Belqua denies it."), "line 1: 'summary' has 3 words; it has 35 to 70"),
    (put("summary", value="salt " * 71), "line 1: 'summary' has 71 words"),
    (put("key", value=[]), "line 1: 'key' is not a list of numbers"),
    (put("key", value=[True]), "line 1: 'key' is not a list of numbers"),
    (put("key", value=[1, 0]), "line 1: 'key' is not in the order of the article"),
    (put("key", value=[1, 1]), "line 1: 'key' is not in the order of the article"),
    (put("key", value=[0, 5]), "line 1: 'key' names a passage that is not there; the last is 4"),
    (put("key", value=[-1, 0]), "line 1: 'key' names a passage that is not there"),
    (put("key", value=[0, 2]), "line 1: 'key' names a passage that is boilerplate"),
    (put("names", 0, "kind", value="country"), "line 1: name 0: 'kind' is none of state, place"),
    (put("names", 0, "forms", value=[]), "line 1: name 0: 'forms' is not a list of the forms"),
    (put("names", 0, "forms", value=["Belqua", "Belquant"]), "line 1: name 0: 'forms' is not in"),
    (put("names", 0, "forms", value=["Belqua"] * 2), "line 1: name 0: 'forms' names a form twice"),
    # "Belquan" stands only inside "Belquant", where no exchange of names would see it.
    (put("names", 0, "forms", value=["Belquan"]), "line 1: name 0: form 0 is nowhere in the"),
    (
        put("names", 1, "forms", value=["Ostra Milhane", "Belqua"]),
        "line 1: name 1: form 1 is a form of name 0 too",
    ),
    (put("names", 1, value={"forms": ["Milhane"]}), "line 1: name 1: has no kind"),
]


@pytest.mark.parametrize(("change", "expected"), MISTAKES, ids=[told for _, told in MISTAKES])
def test_each_mistake_is_told_by_its_place_and_never_by_its_text(
    change: Callable[[dict[str, Any]], None], expected: str, tmp_path: Path
) -> None:
    """A rule that is not checked is a rule that the next batch breaks."""
    article = copy.deepcopy(ARTICLE)
    change(article)
    problems = check(tmp_path, [article])
    assert len(problems) == 1
    assert problems[0].startswith(expected)
    assert not re.search("Milhane|Belqua|smuggler|clam|sermon|atlantis|country", problems[0])


@pytest.mark.parametrize("line", [b"", b"{", b'{"id": "\xff"}', b"[" * 100_000, b"[]"])
def test_a_line_that_is_no_article_is_told_and_the_others_are_read(
    line: bytes, tmp_path: Path
) -> None:
    """One broken line would hide the mistakes of a whole batch behind a traceback."""
    assert parse_article("Z.jsonl, line 1", line)[0] is None
    path = tmp_path / "Z.jsonl"
    path.write_bytes(line + b"\n" + json.dumps({**ARTICLE, "era": "now"}).encode() + b"\n")
    problems = check_corpus([path])
    assert [problem.partition(": ")[0] for problem in problems] == [
        f"{path}, line 1",
        f"{path}, line 2",
    ]


def test_all_mistakes_of_all_articles_are_told_at_once(tmp_path: Path) -> None:
    """Mending a batch would take as many runs as it has mistakes."""
    broken = {**other(2), "era": "now", "genre": "sermon"}
    problems = check(tmp_path, [{**ARTICLE, "key": [9], "summary": "Salt."}, broken])
    assert [problem.partition(" is ")[0].partition(" has ")[0] for problem in problems] == [
        "line 1: 'summary'",
        "line 1: 'key' names a passage that",
        "line 2: 'genre'",
        "line 2: 'era'",
    ]


def test_an_id_is_used_once(tmp_path: Path) -> None:
    """Two articles of one id would land in one fold, and share a reading."""
    problems = check(tmp_path, [ARTICLE, {**other(2), "id": "p-Z001"}])
    assert len(problems) == 1
    assert problems[0].startswith("line 2: 'id' was already used in ")
    assert problems[0].endswith("Z.jsonl, line 1")


def test_near_duplicates_in_the_corpus_are_found(tmp_path: Path) -> None:
    """A passage in two articles stands in training and in the fold that measures."""
    article = other(2)
    passages = ARTICLE["passages"]
    # Other case and punctuation, and half a sentence more; then a short one; boilerplate may recur.
    article["passages"][1]["text"] = (
        passages[1]["text"].upper().replace(",", " —") + " Then Milhane"
    )
    article["passages"][4]["text"] = "“The port ships two fifths of the region's salt”"
    article["passages"][2]["text"] = passages[2]["text"]
    problems = check(tmp_path, [ARTICLE, article])
    assert [re.sub(r" of \S+,", " of", problem) for problem in problems] == [
        "line 2, passage 1: is a near-duplicate of line 1, passage 1",
        "line 2, passage 4: is a near-duplicate of line 1, passage 4",
    ]


@pytest.mark.parametrize("form", ["text", "paragraphs", "passages", "article", "zst"])
def test_near_duplicates_beside_the_corpus_are_found_in_every_table(
    form: str, tmp_path: Path
) -> None:
    """A table whose cells are not looked at would pass as one that shares nothing."""
    corpus_file = write_lines(tmp_path / "Z.jsonl", [ARTICLE])
    texts = ["Nothing of the kind.", f"{ARTICLE['passages'][3]['text']} He sailed at noon."]
    cells: dict[str, Any] = {
        "paragraphs": texts,
        "passages": [{"text": text} for text in texts],
    }
    name = form if form in ("article", "paragraphs", "passages") else "text"
    table = write_lines(
        tmp_path / "news.jsonl",
        [{name: cells.get(name, "First.")}, {name: cells.get(name, "\n".join(texts))}],
    )
    if form == "zst":
        packed = table.with_suffix(".jsonl.zst")
        packed.write_bytes(zstandard.compress(table.read_bytes()))
        table = packed
    row = 1 if name in cells else 2
    assert check_corpus([corpus_file], [table]) == [
        f"{corpus_file}, line 1, passage 3: is a near-duplicate of a text in {table}, row {row}"
    ]


def test_a_table_beside_without_text_is_told(tmp_path: Path) -> None:
    """A mistyped file would count as one that shares nothing."""
    corpus_file = write_lines(tmp_path / "Z.jsonl", [ARTICLE])
    table = write_lines(tmp_path / "news.jsonl", [{"body": "The port"}])
    found = check_corpus([corpus_file], [table, tmp_path / "none.jsonl"])
    assert found[0] == f"{table}: holds no text; it stands in text, paragraphs or passages[].text"
    assert str(tmp_path / "none.jsonl") in found[1]


def test_near_duplicates_are_those_of_the_definition() -> None:
    """The fast search (hashes, a filter, batches) could miss pairs or make some up."""

    def shingles(text: str) -> set[str]:
        words = text.split()
        return {" ".join(words[i : i + 8]) for i in range(len(words) - 7)}

    def is_near(one: str, two: str) -> bool:
        if one == two:
            return True
        few = min(len(shingles(one)), len(shingles(two)))
        is_long = min(len(one.split()), len(two.split())) >= 12
        return is_long and len(shingles(one) & shingles(two)) >= 0.6 * few

    chance = random.Random(7)
    story = [f"w{number}" for number in range(60)]
    texts = []
    for _ in range(150):
        start, length = chance.randrange(45), chance.randrange(3, 32)
        words = story[start : start + length]
        for _ in range(chance.randrange(3)):
            words[chance.randrange(len(words))] = chance.choice(("x", "y", "z"))
        texts.append(" ".join(words))
    index = NearDuplicates(texts[:100])
    pairs = {(b, a) for b in range(50) for a in range(100) if is_near(texts[100 + b], texts[a])}
    assert set(index.find(texts[100:])) == pairs
    within = {(a, b) for b in range(100) for a in range(b) if is_near(texts[a], texts[b])}
    assert set(index.find_within()) == within
    assert len(pairs) > 50
    assert len(within) > 50


def test_texts_without_words_or_without_passages_are_nobodys_duplicates() -> None:
    """An ellipsis as a passage, or an empty corpus, would end in an error of numpy."""
    assert list(NearDuplicates(["…", "—", ""]).find(["…", "salt"])) == []
    assert list(NearDuplicates(["…", "—"]).find_within()) == []
    assert list(NearDuplicates([]).find(["salt " * 20])) == []
    assert list(NearDuplicates(["salt " * 20]).find([])) == []


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"first": ["C"] * 4}, "are not lists of one length"),
        ({"first": ["C", "CC", "-", "D", "-"]}, "item 1 of 'first' is neither - nor letters"),
        ({"second": ["C", "C", "-", "DT", "-"]}, "item 3 of 'second' is neither - nor letters"),
        ({"second": ["C", "C", "", "D", "-"]}, "item 2 of 'second' is neither - nor letters"),
        ({"rulings": [[], [], [], ["relation"], []]}, "item 3 of 'rulings' is not a list of cap"),
        ({"rulings": [[], [], [], [[]], []]}, "item 3 of 'rulings' is not a list of cap"),
        ({"by": "desk"}, "is not an object of id, first, second, rulings, in this order"),
        ({"id": "p-Z009"}, "is of no article of the corpus"),
    ],
)
def test_each_mistake_of_a_reading_is_told(
    change: dict[str, Any], expected: str, tmp_path: Path
) -> None:
    """Agreement would be counted on readings of something else."""
    problems = check(tmp_path, [ARTICLE], [{**READING, **change}])
    assert expected in problems[0]
    assert problems[1] == "line 1: has no reading"


def test_each_article_has_one_reading_of_its_length(tmp_path: Path) -> None:
    """A passage that was added after the reading would pass as read."""
    short = {key: value if key == "id" else value[:4] for key, value in READING.items()}
    (problem,) = check(tmp_path, [ARTICLE], [short])
    assert problem.startswith("line 1: has 5 passages, its reading 4 (")
    (problem,) = check(tmp_path, [ARTICLE], [READING, READING])
    assert problem.endswith("readings.jsonl, line 2: its article was already read in a line above")
    read = [*READING["first"]]
    read[2] = "C"
    (problem,) = check(tmp_path, [ARTICLE], [{**READING, "first": read}])
    assert problem.startswith("line 1, passage 2: is boilerplate and was read as a passage")


@pytest.mark.parametrize(
    ("first", "second", "settled", "is_right"),
    [
        ("C", "C", ["claim"], True),
        ("C", "C", [], False),
        ("C", "C", ["claim", "threat"], False),
        ("-", "-", ["threat"], False),
        # They differ on the threat alone: both outcomes stand, but not without the claim.
        ("CT", "C", ["claim", "threat"], True),
        ("CT", "C", ["claim"], True),
        ("CT", "C", ["threat"], False),
        ("CT", "C", ["claim", "threat", "diplomacy"], False),
        # They agree on nothing they gave; any choice among C and T is a settlement.
        ("C", "T", [], True),
        ("C", "T", ["claim", "threat"], True),
        ("C", "T", ["retaliation"], False),
    ],
)
def test_what_both_readers_agree_on_stands(
    first: str, second: str, settled: list[str], is_right: bool, tmp_path: Path
) -> None:
    """A label could change after the readings, and the published agreement would be of others."""
    article = copy.deepcopy(ARTICLE)
    article["passages"][1]["labels"] = settled
    reading = copy.deepcopy(READING)
    reading["first"][1], reading["second"][1] = first, second
    problems = check(tmp_path, [article], [reading])
    assert (problems == []) is is_right
    assert all(problem.startswith("line 1, passage 1: ") for problem in problems)


def read_as(first: str, second: str, rulings: list[list[str]] | None = None) -> Reading:
    """Two readings of as many passages as there are characters; C is claim, - is no label."""

    def sets(letters: str) -> tuple[frozenset[str], ...]:
        return tuple(frozenset(["claim"] if letter == "C" else []) for letter in letters)

    codes = tuple(tuple(found) for found in rulings or [[]] * len(first))
    return Reading(place="", id="p-Z001", first=sets(first), second=sets(second), rulings=codes)


def test_kappa_is_the_one_computed_by_hand() -> None:
    """Arguments in the wrong shape give a kappa too, of something else."""
    # 20 both, 5 first only, 10 second only, 15 neither (the example of Cohen's kappa in textbooks):
    # observed 35/50 = 0.7; by chance 25/50 · 30/50 + 25/50 · 20/50 = 0.5; (0.7 - 0.5) / 0.5 = 0.4.
    readings = [
        read_as("C" * 25 + "-" * 5, "C" * 20 + "-" * 5 + "C" * 5),
        read_as("-" * 20, "C" * 5 + "-" * 15),
    ]
    found = agreement(readings)
    assert found["claim"].kappa == pytest.approx(0.4)
    counts = found["claim"]
    assert (counts.both, counts.first_only, counts.second_only, counts.neither) == (20, 5, 10, 15)
    assert math.isnan(found["threat"].kappa)
    assert found["threat"].neither == 50
    assert agreement([read_as("C-C-", "C-C-")])["claim"].kappa == 1
    assert agreement([read_as("C-C-", "-C-C")])["claim"].kappa == -1


def test_boilerplate_does_not_count_as_agreement(tmp_path: Path) -> None:
    """Readers who agree not to label a share button would look better than they are."""
    path = write_lines(tmp_path / "Z.jsonl", [ARTICLE])
    articles, _ = parse_corpus([path])
    readings, problems = parse_readings(write_lines(tmp_path / "readings.jsonl", [READING]))
    assert problems == check_readings(readings, articles) == []
    (kept,) = without_boilerplate(readings, articles)
    assert len(kept.first) == len(kept.second) == len(kept.rulings) == 4
    assert agreement([kept])["claim"].neither == 2


def test_a_passage_counts_once_for_each_of_its_rulings() -> None:
    """Thirty passages a ruling is what was asked for, not thirty mentions."""
    counts = count_rulings([read_as("C-C", "C-C", [["cap", "cap", "veil"], [], ["cap"]])])
    assert list(counts) == list(RULINGS)
    assert {code: count for code, count in counts.items() if count} == {"cap": 2, "veil": 1}


def test_the_command_prints_tables_or_every_mistake(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """``make corpus`` would print tables of a corpus that is wrong, or succeed in silence."""
    write_lines(tmp_path / "corpus/Z.jsonl", [ARTICLE])
    write_lines(tmp_path / "readings/readings.jsonl", [READING])
    assert corpus.main([str(tmp_path)]) == 0
    out = capsys.readouterr().out
    for row in (
        "| wire | 1 | 4 | 2 | 0 | 0 | 1 | 1 | 0 | 1 |",
        "| wire | 1 | – | – | – | – | – | – | – | – | – | 1 |",
        "| 2011-now | 1 | 4 |",
        "| sea | 1 | 4 |",
        "| agency | 1 | 4 |",
        "| Ministries | `ministry` | 1 |",
        "| claim | 1.000 | 2 | 0 | 0 | 2 |",
    ):
        assert row in out.splitlines()
    write_lines(tmp_path / "corpus/Z.jsonl", [{**ARTICLE, "key": [9]}])
    copied = write_lines(tmp_path / "news.jsonl", [{"text": ARTICLE["passages"][4]["text"]}])
    assert corpus.main([str(tmp_path), "--beside", str(copied)]) == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert [line.partition(": ")[2][:25] for line in told.err.splitlines()[:-1]] == [
        "'key' names a passage tha",
        "is a near-duplicate of a ",
    ]
    assert told.err.endswith("\n2 mistakes\n")
    assert corpus.main([str(tmp_path / "none")]) == 2
    assert "holds no .jsonl; give another folder" in capsys.readouterr().err


def test_the_readme_names_every_key_of_an_article(repository: Path) -> None:
    """Who writes an article by the README would leave out what the validator asks for."""
    readme = (repository / "training/README.md").read_text(encoding="utf-8")
    assert [key for key in KEYS if f"`{key}`" not in readme] == []
