"""What callers may send: fields, types and ranges, and refusals that quote nothing of it."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tocsin_models.analyse import Options
from tocsin_models.records import Article
from tocsin_serving import schemas as limits
from tocsin_serving.problems import Problem
from tocsin_serving.schemas import NativeSummariseRequest, make_schemas, parse

LABELS = ("claim", "diplomacy", "retaliation", "threat")
SCHEMAS = make_schemas(LABELS)
ALL = (SCHEMAS.analyse, SCHEMAS.classify, SCHEMAS.summarise, NativeSummariseRequest)
TEXT = "The army denied it."
PASSAGES = [{"id": "a", "text": TEXT}]


def body(record: Any) -> bytes:
    return json.dumps(record, ensure_ascii=False).encode()


def problem(schema: Any, record: Any) -> Problem:
    with pytest.raises(Problem) as caught:
        parse(schema, record if isinstance(record, bytes) else body(record))
    assert (caught.value.status, caught.value.code) == (422, "invalid_request")
    assert caught.value.errors
    return caught.value


def fields(schema: Any, record: Any) -> list[str]:
    return [error.field for error in problem(schema, record).errors]


# What is read


def test_an_article_comes_in_one_of_three_ways() -> None:
    for given_as, expected in (
        ({"text": TEXT}, Article(id="r", text=TEXT)),
        ({"html": "<p>x</p>"}, Article(id="r", text="<p>x</p>", format="html")),
        (
            {"paragraphs": [" ", TEXT]},
            Article(id="r", format="paragraphs", paragraphs=(" ", TEXT)),
        ),
        ({"text": TEXT, "id": "a1"}, Article(id="a1", text=TEXT)),
    ):
        for schema in (SCHEMAS.analyse, SCHEMAS.summarise):
            assert parse(schema, body(given_as)).to_article("r") == expected


def test_options_arrive_as_the_core_takes_them() -> None:
    request = parse(
        SCHEMAS.analyse,
        body(
            {
                "text": TEXT,
                "labels": ["threat", "claim"],
                "thresholds": {"claim": 0, "threat": 1.0, "diplomacy": 0.25},
                "style": "short",
                "max_words": 40,
                "max_sentences": 3.0,
                "strict_language": True,
            }
        ),
    )
    assert request.to_options() == Options(
        labels=("threat", "claim"),
        thresholds={"claim": 0, "threat": 1.0, "diplomacy": 0.25},
        max_words=40,
        max_sentences=3,
        strict_language=True,
    )
    for schema in (SCHEMAS.analyse, SCHEMAS.summarise):
        assert parse(schema, body({"text": TEXT})).to_options() == Options()


def test_the_limits_themselves_are_allowed() -> None:
    parse(SCHEMAS.classify, body({"passages": PASSAGES * limits.MOST_PASSAGES}))
    parse(SCHEMAS.analyse, body({"paragraphs": ["x"] * limits.MOST_PARAGRAPHS}))
    parse(SCHEMAS.analyse, body({"text": TEXT, "id": "~!" * 100}))
    most = {"max_words": limits.MOST_WORDS, "max_sentences": limits.MOST_SENTENCES}
    parse(SCHEMAS.summarise, body({"text": TEXT} | most))
    parse(NativeSummariseRequest, body({"text": TEXT} | most))
    parse(NativeSummariseRequest, body({"text": TEXT, "max_words": None}))


def test_a_blank_passage_is_for_the_route_to_refuse() -> None:
    # It is an error of its own row; the other 255 are answered.
    request: Any = parse(SCHEMAS.classify, body({"passages": [*PASSAGES, {"id": "b", "text": ""}]}))
    assert [item.text for item in request.passages] == [TEXT, ""]


# What is refused


@pytest.mark.parametrize(
    "given_as",
    [
        {},
        {"id": "a"},
        {"text": TEXT, "html": TEXT},
        {"html": TEXT, "paragraphs": [TEXT]},
        {"text": TEXT, "html": TEXT, "paragraphs": [TEXT]},
        {"text": TEXT, "html": ""},
        {"text": ""},
        {"text": " \n\t\u2028"},
        {"html": "\r\n"},
        {"paragraphs": []},
        {"paragraphs": ["", " "]},
        {"paragraphs": TEXT},
        {"paragraphs": [TEXT, None]},
        {"text": [TEXT]},
        {"text": None},
        {"text": 7},
    ],
    ids=str,
)
def test_an_article_is_exactly_one_source_with_something_in_it(given_as: dict[str, Any]) -> None:
    # Two sources would leave it to us which of them is the article.
    for schema in (SCHEMAS.analyse, SCHEMAS.summarise):
        assert problem(schema, given_as)


@pytest.mark.parametrize("field", ["max_words", "max_sentences"])
@pytest.mark.parametrize(
    "number",
    [
        *(b"true", b"false", b"null", b'"3"', b"[3]", b"{}", b"3.5", b"0", b"-1", b"2001", b"1e9"),
        *(b"1e400", b"-1e400", b"NaN", b"Infinity", b"9" * 400, b"9" * 5_000),
    ],
    ids=lambda number: number[:12].decode(),
)
def test_a_whole_number_is_a_whole_number_in_range(field: str, number: bytes) -> None:
    # True is 1 in Python, and 1e400 is infinite: neither is a number of words.
    text = b'{"text": "x", "%s": %s}' % (field.encode(), number)
    for schema in (SCHEMAS.analyse, SCHEMAS.summarise):
        assert [error.field for error in problem(schema, text).errors] in ([field], ["body"])


@pytest.mark.parametrize("number", [b"3", b"3.0", b"3e0", b"30e-1"])
def test_three_is_three_however_it_is_written(number: bytes) -> None:
    # JSON has one kind of number, and JavaScript writes 3.0 as 3; other languages do not.
    request = parse(SCHEMAS.analyse, b'{"text": "x", "max_words": %s}' % number)
    assert repr(request.max_words) == "3"


@pytest.mark.parametrize(
    "share", [b"-0.1", b"1.1", b"NaN", b"Infinity", b"1e400", b"true", b'"0.5"', b"null", b"[]"]
)
def test_a_threshold_is_a_share(share: bytes) -> None:
    for text, schema in (
        (b'{"text": "x", "thresholds": {"claim": %s}}' % share, SCHEMAS.analyse),
        (
            b'{"passages": [{"id": "a", "text": "x"}], "thresholds": {"claim": %s}}' % share,
            SCHEMAS.classify,
        ),
    ):
        [error] = problem(schema, text).errors
        assert error.field.startswith("thresholds")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("labels", ["flood"]),
        ("labels", "claim"),
        ("labels", ["claim"] * 5),
        ("thresholds", {"flood": 0.5}),
        ("thresholds", ["claim"]),
        ("style", "long"),
        ("style", None),
        ("strict_language", "yes"),
        ("strict_language", 1),
        ("id", ""),
        ("id", "a b"),
        ("id", "a\n"),
        ("id", "ä"),
        ("id", "x" * 201),
        ("id", 7),
    ],
)
def test_a_field_is_what_the_contract_says(field: str, value: Any) -> None:
    assert all(
        found.startswith(field) for found in fields(SCHEMAS.analyse, {"text": TEXT, field: value})
    )


@pytest.mark.parametrize(
    ("passages", "field"),
    [
        ([], "passages"),
        (PASSAGES * 257, "passages"),
        (TEXT, "passages"),
        ([TEXT], "passages[0]"),
        ([{"id": "a"}], "passages[0].text"),
        ([{"text": TEXT}], "passages[0].id"),
        ([*PASSAGES, {"id": "", "text": TEXT}], "passages[1].id"),
        ([{"id": "a", "text": None}], "passages[0].text"),
        ([{"id": "a", "text": TEXT, "lang": "en"}], "passages[0]"),
    ],
    ids=str,
)
def test_passages_are_1_to_256_with_id_and_text(passages: Any, field: str) -> None:
    assert fields(SCHEMAS.classify, {"passages": passages}) == [field]


def test_an_unknown_field_is_refused_everywhere_with_the_nearest_name() -> None:
    # BentoML ignores it, and a misspelt threshold is a wrong answer with status 200.
    for schema in ALL:
        base: dict[str, Any] = (
            {"passages": PASSAGES} if schema is SCHEMAS.classify else {"text": TEXT}
        )
        parse(schema, body(base))
        assert len(problem(schema, base | {"colour": 1}).errors) == 1
    [error] = problem(SCHEMAS.analyse, {"text": TEXT, "treshold": {}}).errors
    assert "thresholds" in error.message
    [error] = problem(SCHEMAS.classify, {"passages": [{"id": "a", "text": TEXT, "ids": 1}]}).errors
    assert "id" in error.message
    # What labels passages means nothing to a summary.
    for field in ("labels", "thresholds"):
        assert problem(SCHEMAS.summarise, {"text": TEXT, field: {}})


def test_all_problems_are_told_at_once_up_to_twenty() -> None:
    found = fields(
        SCHEMAS.analyse,
        {"text": 1, "id": "", "max_words": 0, "labels": ["x"], "style": "long", "colour": 1},
    )
    assert sorted(found) == sorted(["text", "id", "max_words", "labels[0]", "style", "body"])
    many = problem(SCHEMAS.classify, {"passages": [{"id": 1}] * 200})
    assert len(many.errors) == 20
    assert len(many.to_body("r")) < 4_000


# Copy is confidential

NAMES = ["id", "text", "html", "paragraphs", "passages", "labels", "thresholds", "style"]
NAMES += ["max_words", "max_sentences", "strict_language", "focus"]
# Long enough that no message holds it by chance.
SECRETS = st.text("abcdefghijklmnopqrstuvwxyzäß日本 -_.", min_size=6, max_size=30).map(
    lambda text: f"Zq{text}qZ"
)
LEAVES = st.one_of(
    SECRETS, st.none(), st.booleans(), st.integers(-9, 9), st.floats(), st.sampled_from(LABELS)
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(st.one_of(SECRETS, st.sampled_from(NAMES)), inner, max_size=4),
    ),
    max_leaves=12,
)
REQUESTS = st.dictionaries(st.one_of(st.sampled_from(NAMES), SECRETS), VALUES, max_size=8)


def secrets_of(value: Any) -> set[str]:
    match value:
        case str():
            return {value} if value.startswith("Zq") else set()
        case list():
            return set().union(*map(secrets_of, value))
        case dict():
            return secrets_of(list(value)).union(*map(secrets_of, value.values()))
    return set()


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(ALL), REQUESTS, st.data())
def test_a_refusal_quotes_neither_values_nor_names(
    schema: Any, record: dict[str, Any], data: st.DataObject
) -> None:
    # The problem goes into logs of clients and proxies; the article is under embargo. Names too:
    # copy may stand in a key by mistake.
    text = json.dumps(record, ensure_ascii=data.draw(st.booleans())).encode()
    if data.draw(st.booleans()):
        text = text[: data.draw(st.integers(0, len(text)))]  # cut anywhere, also inside a character
    refusal = refused(schema, text)
    if refusal is None:
        return
    told = json.dumps(json.loads(refusal.to_body("r")), ensure_ascii=False)
    shown = f"{told} {refusal} {refusal!r} {refusal.headers}"
    assert not [secret for secret in secrets_of(record) if secret in shown]
    assert "Zq" not in shown
    # Nor does a traceback in the log: pydantic's own error stands in none of its links.
    assert refusal.__cause__ is None
    assert refusal.__context__ is None or refusal.__suppress_context__


def refused(schema: Any, text: bytes) -> Problem | None:
    try:
        parse(schema, text)
    except Problem as problem:
        return problem
    return None
