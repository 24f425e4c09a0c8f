"""Requests made of the corpus: passages of fifty tokens, articles of thirty, a newsroom's mix."""

import html
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tocsin_eval.data import LabelledPassage
from tocsin_eval.load import Request
from tocsin_models.errors import DataError
from tocsin_models.tokens import TextTokenizer

# Fifty, give or take two, special tokens included; and enough that no passage comes back at once.
TOKENS = (48, 52)
LEAST_PASSAGES = 200

ARTICLE_PASSAGES = 30
# 2,100 passages: more than the 2,000 that batch throughput is measured on.
ARTICLES = 70

# What a newsroom sends, of every 400 requests; one in a hundred is wrong in some way.
MIX = {"passage": 160, "ten passages": 120, "article, text": 60, "article, html": 56, "bad": 4}
SHORT_ARTICLE = 6


def pick_passages(rows: Sequence[LabelledPassage], model: Path, seed: int = 0) -> list[str]:
    """The distinct texts of about fifty tokens, shuffled.

    Raises:
        DataError: there are too few.
    """
    texts = list(dict.fromkeys(row.text for row in rows))
    tokenizer = TextTokenizer(model)
    low, high = (bound - tokenizer.special_tokens for bound in TOKENS)
    found = [
        text
        for text, tokens in zip(texts, tokenizer.encode(texts), strict=True)
        if low <= len(tokens.ids) <= high
    ]
    if len(found) < LEAST_PASSAGES:
        raise DataError(
            f"{len(found)} passages of {TOKENS[0]} to {TOKENS[1]} tokens; at least "
            f"{LEAST_PASSAGES} are needed: give the whole corpus"
        )
    order = np.random.default_rng(seed).permutation(len(found))
    return [found[index] for index in order]


def groups(texts: Sequence[str], size: int, count: int) -> list[list[str]]:
    """``count`` times the next ``size`` texts, from the first again after the last."""
    return [
        [texts[(start * size + offset) % len(texts)] for offset in range(size)]
        for start in range(count)
    ]


def pipeline_request(text: str) -> Request:
    return Request(kind="passage", path="/classify", body=_json({"text": text}))


def classify_request(texts: Sequence[str], kind: str = "passage") -> Request:
    return Request(kind=kind, path="/v1/classify", body=_json(classify_value(texts)))


def classify_value(texts: Sequence[str]) -> dict[str, object]:
    return {"passages": [{"id": str(index), "text": text} for index, text in enumerate(texts)]}


def analyse_request(paragraphs: Sequence[str]) -> Request:
    return Request(kind="article", path="/v1/analyse", body=_json({"paragraphs": [*paragraphs]}))


def newsroom_mix(rows: Sequence[LabelledPassage], texts: Sequence[str], seed: int) -> list[Request]:
    """Requests in the shares of ``MIX``, shuffled."""
    articles = short_articles(rows)
    bad = bad_requests(texts[0])
    tens = groups(texts, 10, MIX["ten passages"])
    requests = [
        *(classify_request([texts[index % len(texts)]]) for index in range(MIX["passage"])),
        *(classify_request(ten, "ten passages") for ten in tens),
        *(
            Request(
                kind="article, text",
                path="/v1/analyse",
                body=_json({"text": "\n\n".join(articles[index % len(articles)])}),
            )
            for index in range(MIX["article, text"])
        ),
        *(
            Request(
                kind="article, html",
                path="/v1/analyse",
                body=_json({"html": _page(articles[-1 - index % len(articles)])}),
            )
            for index in range(MIX["article, html"])
        ),
        *(bad[index % len(bad)] for index in range(MIX["bad"])),
    ]
    return [requests[index] for index in np.random.default_rng(seed).permutation(len(requests))]


def short_articles(rows: Sequence[LabelledPassage]) -> list[list[str]]:
    """The first paragraphs of each article of the corpus."""
    articles: dict[str, list[str]] = {}
    for row in rows:
        articles.setdefault(row.article, []).append(row.text)
    return [paragraphs[:SHORT_ARTICLE] for paragraphs in articles.values()]


def bad_requests(text: str) -> list[Request]:
    """One for each way in which a caller errs most often, with the status that tells them so."""
    good = classify_value([text])
    return [
        Request(kind="bad", path="/v1/classify", body='{"passages": [', expects=422),
        Request(kind="bad", path="/v1/classify", body=_json({**good, "treshold": 1}), expects=422),
        Request(
            kind="bad",
            path="/v1/classify",
            body=_json(good),
            content_type="text/plain",
            expects=415,
        ),
        Request(kind="bad", path="/v1/clasify", body=_json(good), expects=404),
    ]


def _page(paragraphs: Sequence[str]) -> str:
    body = "".join(f"<p>{html.escape(paragraph)}</p>" for paragraph in paragraphs[1:])
    title = html.escape(paragraphs[0])
    return (
        f"<!doctype html><html lang=en><head><title>{title}</title></head><body>"
        f"<article><h1>{title}</h1>{body}</article></body></html>"
    )


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
