"""The texts in a table, and the forms in which texts are compared with each other."""

import re
from collections.abc import Iterator

from tocsin_eval.cells import Problems, Record, is_unicode
from tocsin_eval.tables import Source, read_table, source_stem

_WORD = re.compile(r"\w+")
# White space that CoreNLP's tokeniser put where nobody types any.
_TOKEN_GAPS = re.compile(
    r" (?=n't\b|'(?:s|re|ve|ll|d|m)\b|[.,;:?!%)\]])|(?<=[(\[$£]) |(?<=\w) (?=- \w)|(?<=\w -) (?=\w)"
)


def fold_spaces(text: str) -> str:
    """Every run of white space as one space, none at the ends."""
    return " ".join(text.split())


def undo_tokens(text: str) -> str:
    """Tokenised text as people type it: ``he did n't go .`` is ``he didn't go.``

    Straight quotation marks keep their spaces: which way one looks is not known.
    """
    return _TOKEN_GAPS.sub("", text)


def words_of(text: str) -> list[str]:
    """The words in lower case, without punctuation: what two copies of a text have in common."""
    return _WORD.findall(text.lower())


def read_texts(source: Source, problems: Problems) -> Iterator[list[str]]:
    """For each row of a table its texts; see ``read_rows``."""
    return (texts for _, texts in read_rows(source, problems))


def read_rows(source: Source, problems: Problems) -> Iterator[tuple[str, list[str]]]:
    """For each row of a table its id (its table and number, ``news-3``, where it has none) and its
    texts, as they stand there.

    They are the cells ``text``, ``paragraphs`` (a list) and the ``text`` of each of ``passages``
    (a list of objects); ``article`` where a row has none of these, as CNN/DailyMail names it. What
    is not text in them, half a surrogate pair included, is passed over: other people's tables are
    not ours to mend. A source that cannot be read, or holds no text, is added to ``problems``.
    """
    before, has_text = problems.count, False
    name = source_stem(source)
    for record in read_table(source, problems):
        texts = [text for text in _texts(record) if text.strip()]
        has_text = has_text or bool(texts)
        row = record.values.get("id")
        is_named = isinstance(row, str) and row.strip() and is_unicode(row)
        yield str(row) if is_named else f"{name}-{record.number}", texts
    if not has_text and problems.count == before:
        problems.add(f"{source}: holds no text; it stands in text, paragraphs or passages[].text")


def paragraphs_of(texts: list[str]) -> list[str]:
    """Texts cut at newlines, without those that are empty then."""
    return [part for text in texts for part in text.split("\n") if part.strip()]


def _texts(record: Record) -> Iterator[str]:
    values = record.values
    passages = values.get("passages")
    paragraphs = values.get("paragraphs")
    found = [
        values.get("text"),
        *(paragraphs if isinstance(paragraphs, list) else [paragraphs]),
        *(p.get("text") for p in _list(passages) if isinstance(p, dict)),
    ]
    if not any(isinstance(text, str) for text in found):
        found = [values.get("article")]
    yield from (text for text in found if isinstance(text, str) and is_unicode(text))


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []
