"""Sentences that may be chosen for a summary, as hypothesis invents them, and what is true of them
by another way than ``selection.py`` finds it."""

from collections.abc import Sequence

from hypothesis import strategies as st

from tocsin_models.protocols import Limits
from tocsin_models.selection import Candidate
from tocsin_models.styles import STYLES

# Few words, so that sentences also repeat three in a row; "—" is no word.
_WORDS = st.sampled_from(["army", "port", "burns", "rain", "fell", "talks", "began", "—"])

LIMITS = st.builds(
    Limits,
    style=st.sampled_from(list(STYLES)),
    max_sentences=st.none() | st.integers(1, 5),
    max_words=st.none() | st.integers(1, 60),
)


@st.composite
def articles(draw: st.DrawFn) -> list[Candidate]:
    """An article's candidates: alone or in quotations that run through up to four."""
    found: list[Candidate] = []
    for length in draw(st.lists(st.sampled_from([1, 1, 1, 2, 4]), max_size=6)):
        for place in range(length):
            tail = draw(st.lists(_WORDS, max_size=6))
            # Mostly words of its own: else hardly two sentences could stand side by side.
            own = [f"n{len(found)}w{i}" for i in range(draw(st.sampled_from([0, 3, 15, 50])))]
            found.append(
                Candidate(
                    text=" ".join([*own, *tail]),
                    score=draw(st.integers(-3, 3)),
                    before=place,
                    after=length - 1 - place,
                    is_mid_air=bool(found) and draw(st.booleans()),
                    is_in_focus=draw(st.sampled_from([False, False, True])),
                )
            )
    return found


def lacking(candidates: Sequence[Candidate], chosen: Sequence[int]) -> set[int]:
    """What has to come with those chosen and does not: the sentence before one in mid-air, and the
    others of a quotation."""
    needed: set[int] = set()
    for index in chosen:
        one = candidates[index]
        needed |= set(range(index - one.before, index + one.after + 1))
        if one.is_mid_air:
            needed.add(index - 1)
    return needed - set(chosen)


def has_whole_choice(candidates: Sequence[Candidate], most_sentences: int, most_words: int) -> bool:
    """Whether any sentence can come in with all that it needs, without three words twice."""
    for index in range(len(candidates)):
        together = {index}
        while missing := lacking(candidates, sorted(together)):
            together |= missing
        spoken = [candidates[i].text.replace("—", " ").split() for i in sorted(together)]
        triples = [set(zip(text, text[1:], text[2:], strict=False)) for text in spoken]
        if (
            len(together) <= min(most_sentences, 12)
            and sum(len(candidates[i].text.split()) for i in together) <= most_words
            and sum(map(len, triples)) == len(set().union(*triples))
            and all(spoken)
        ):
            return True
    return False
