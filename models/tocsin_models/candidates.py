"""An article's sentences -> candidates for its summary: which are reporting, what each needs around
it, and how much it is worth to this caller."""

import math
from collections.abc import Sequence
from itertools import groupby

from tocsin_models.boilerplate import drop_reason
from tocsin_models.cleaning import is_caption
from tocsin_models.openings import starts_in_mid_air
from tocsin_models.protocols import Focus
from tocsin_models.quotation_runs import quotation_runs
from tocsin_models.selection import Candidate

# Beyond this a float32 probability is 0 or 1, and its log-odds are without end.
_SUREST = 1e-7


def is_reporting(sentence: str) -> bool:
    """False for a credit, a prompt or a caption that shares its paragraph with reporting."""
    line = " ".join(sentence.split())
    return drop_reason(line) is None and not is_caption(line)


def make_candidates(
    texts: Sequence[str],
    passages: Sequence[int],
    probabilities: Sequence[float],
    focus: Focus | None = None,
) -> list[Candidate]:
    """A candidate for each sentence of an article, in order.

    Args:
        texts: the sentences that are reporting.
        passages: the paragraph that each stands in, as ``focus`` counts them.
        probabilities: that it belongs in the summary. Candidates are ranked by their log-odds, to
            which the focus adds what it gives to the paragraph.
    """
    around: list[tuple[int, int]] = []
    for _, group in groupby(range(len(texts)), key=passages.__getitem__):
        paragraph = list(group)
        needs = [(0, 0)] * len(paragraph)
        for first, last in quotation_runs([texts[index] for index in paragraph]):
            for place in range(first, last + 1):
                needs[place] = (place - first, last - place)
        around += needs
    return [
        Candidate(
            text=text,
            score=_log_odds(probability) + (focus.gains[passage] if focus else 0.0),
            before=before,
            after=after,
            # What opens the article is where it begins.
            is_mid_air=index > 0 and starts_in_mid_air(text),
            is_in_focus=focus is not None and passage in focus.carriers,
        )
        for index, (text, passage, probability, (before, after)) in enumerate(
            zip(texts, passages, probabilities, around, strict=True)
        )
    ]


def _log_odds(probability: float) -> float:
    bounded = min(max(probability, _SUREST), 1 - _SUREST)
    return math.log(bounded / (1 - bounded))
