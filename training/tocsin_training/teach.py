"""Soft targets: unlabelled passages with the probabilities that a trained classifier gives them.

A student that also learns from these comes closer to its teacher, or to the mean of several, than
labels alone bring it (distillation, Hinton et al. 2015), and past it where the student reads more
text under noise (noisy student, Xie et al. 2020). The noise here is names: a passage is scored with
its own and with several draws of others, and the mean is what the student learns whoever it reads
of.
"""

import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from tocsin_eval.cells import Problems, Record
from tocsin_eval.data import LabelledPassage
from tocsin_eval.names import swap_names
from tocsin_eval.tables import Source, read_table
from tocsin_models.cleaning import clean
from tocsin_models.errors import DataError, EmptyInput
from tocsin_models.protocols import Classifier
from tocsin_models.records import Article
from tocsin_training.lines import check_file, write_lines
from tocsin_training.progress import say
from tocsin_training.texts import fold_spaces
from tocsin_training.unlabelled import UnlabelledArticle, read_unlabelled

Probabilities = npt.NDArray[np.float64]

# Shorter ones are crossheads, bylines and the ends of lists.
MIN_WORDS = 6
_CHUNK = 4_096


@dataclass(frozen=True, slots=True, kw_only=True)
class SoftPassage:
    """A passage and, for each label, the probability that a teacher gives it. ``teacher`` is the
    revision of its model, ``article`` groups passages of the same article."""

    article: str
    source: str
    text: str
    scores: dict[str, float]
    teacher: str


def write_soft_targets(
    texts: Sequence[Source],
    without: Sequence[Source],
    teachers: Sequence[Classifier],
    out: Path,
    *,
    count: int,
    swaps: int,
    seed: int,
) -> int:
    """Score ``count`` passages of unlabelled ``texts`` and write them to ``out``, one a line.

    Articles are cleaned and cut as ``tocsin analyse`` does; those that hold a passage of
    ``without`` are left out, as for pre-training. Passages are drawn by the seed, the likelier the
    less sure the teachers are of them (``draw``): most news has no label, and says so plainly. Of
    several teachers the mean is taken.

    Returns:
        How many were written: ``count``, or all there are.

    Raises:
        DataError: a table cannot be read, no passage is left, the teachers have different labels,
            or ``out`` cannot be written.
    """
    check_file(out, [*texts, *without])
    labels = teachers[0].labels
    if any(teacher.labels != labels for teacher in teachers):
        raise DataError("--teacher: the models have different labels; give models of one task")
    articles, dropped = read_unlabelled(texts, without)
    passages = list(_passages(articles))
    if not passages:
        raise DataError(f"--texts: no passage of {MIN_WORDS} words or more is left")
    say(
        f"{len(passages):,} passages of {len(articles):,} articles; {dropped:,} articles left out, "
        "as they hold passages of --without"
    )
    own = _score(teachers, [text for _, text in passages], "own names")
    drawn = draw(own, count, seed)
    kept = [passages[row] for row in drawn]
    total = own[drawn]
    for swap in range(1, swaps + 1):
        total += _score(teachers, _swapped(kept, seed, swap), f"other names, {swap} of {swaps}")
    means = total / (swaps + 1)
    teacher = "+".join(str(one.info.revision) for one in teachers)
    write_lines(
        out,
        (
            _line(passage, dict(zip(labels, row, strict=True)), teacher)
            for passage, row in zip(kept, means.round(4).tolist(), strict=True)
        ),
    )
    say(f"{len(kept):,} written to {out}")
    return len(kept)


def read_soft_targets(sources: Sequence[Source], labels: Sequence[str]) -> list[SoftPassage]:
    """The rows that ``write_soft_targets`` wrote, in their order.

    Raises:
        DataError: with every mistake: a row is not in this form, or has other labels.
    """
    problems = Problems()
    rows = [_row(record, labels) for source in sources for record in read_table(source, problems)]
    problems.raise_if_any()
    return rows


def check_apart(soft: Sequence[SoftPassage], dev: Sequence[LabelledPassage]) -> None:
    """
    Raises:
        DataError: a passage stands in both: a teacher's word on it would flatter the figures.
    """
    shared = {row.text for row in soft} & {fold_spaces(row.text) for row in dev}
    if shared:
        raise DataError(
            f"{len(shared)} passages stand in both --soft and --dev; write the soft targets again "
            "with tocsin train teach --without DEV"
        )


def draw(own: Probabilities, count: int, seed: int) -> npt.NDArray[np.intp]:
    """``count`` rows of ``own`` (passages, labels), sorted, without replacement.

    Each label has an equal share of the chances, and its share goes to passages by their doubt,
    4p(1-p): a rare label is drawn as often as a common one. One more share goes to all alike.
    """
    doubt = 4 * own * (1 - own) + 1e-9
    shares = (doubt / doubt.sum(axis=0)).sum(axis=1) + 1 / len(own)
    chance = np.random.default_rng(seed)
    size = min(count, len(own))
    found = chance.choice(len(own), size=size, replace=False, p=shares / shares.sum())
    return np.sort(found)


def _passages(articles: Sequence[UnlabelledArticle]) -> Iterator[tuple[UnlabelledArticle, str]]:
    """Each passage once: agencies' paragraphs stand in many articles."""
    seen: set[str] = set()
    for article in articles:
        try:
            kept = clean(Article(id=article.id, format="paragraphs", paragraphs=article.paragraphs))
        except EmptyInput:
            continue
        for paragraph in kept.paragraphs:
            text = fold_spaces(paragraph.text)
            if len(text.split()) >= MIN_WORDS and text not in seen:
                seen.add(text)
                yield article, text


def _swapped(
    passages: Sequence[tuple[UnlabelledArticle, str]], seed: int, swap: int
) -> Iterator[str]:
    for number, (_, text) in enumerate(passages):
        yield swap_names(text, (), random.Random(f"{seed} {swap} {number}"))


def _score(
    teachers: Sequence[Classifier], texts: Iterator[str] | list[str], what: str
) -> Probabilities:
    rows = list(texts)
    found: list[Probabilities] = []
    for start in tqdm(range(0, len(rows), _CHUNK), desc=what, unit_scale=_CHUNK, unit=" passages"):
        chunk = rows[start : start + _CHUNK]
        scores = [teacher.score(chunk).probabilities.astype(np.float64) for teacher in teachers]
        found.append(np.mean(scores, axis=0))
    return np.concatenate(found)


def _line(passage: tuple[UnlabelledArticle, str], scores: dict[str, float], teacher: str) -> str:
    article, text = passage
    values = {
        "article": article.id,
        "source": article.source,
        "text": text,
        "scores": scores,
        "teacher": teacher,
    }
    return json.dumps(values, ensure_ascii=False) + "\n"


def _row(record: Record, labels: Sequence[str]) -> SoftPassage:
    scores = record.values.get("scores")
    found = dict(scores) if isinstance(scores, dict) else {}
    if sorted(found) != sorted(labels):
        record.complain(
            f"'scores' must be of the labels of --train, no more and no fewer "
            f"({', '.join(labels)}); let a teacher of this task write the file: tocsin train teach"
        )
        found = dict.fromkeys(labels, 0.0)
    elif not all(type(score) in (int, float) and 0 <= score <= 1 for score in found.values()):
        record.complain("'scores' must be numbers from 0 to 1")
        found = dict.fromkeys(labels, 0.0)
    return SoftPassage(
        article=record.text("article"),
        source=record.text("source"),
        text=record.text("text"),
        scores=found,
        teacher=record.text("teacher"),
    )
