"""Exchanging names: who is in the news changes, and nothing else of the text does."""

import itertools
import json
import random
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin_eval.data import read_passages
from tocsin_eval.names import Name, _lines, swap_names

KINDS = ("armed_groups", "given_names", "places", "states", "surnames")
STATES = [line.split(", ") for line in _lines("states")]
NOUNS = [noun for noun, _, _ in STATES]
ADJECTIVES = [adjective for _, adjective, _ in STATES]
PEOPLES = [people for _, _, people in STATES]
SEEDS = range(40)


def any_of(words: list[str] | tuple[str, ...], *, bare: bool = False) -> str:
    """A pattern of one of the words; ``bare`` without their articles, as after an adjective."""
    found = [word.removeprefix("the ") if bare else word for word in words]
    return "(?:" + "|".join(map(re.escape, sorted(found, key=len, reverse=True))) + ")"


NOUN, ADJECTIVE, PEOPLE = any_of(NOUNS), any_of(ADJECTIVES), any_of(PEOPLES)
PLACE, GIVEN, FAMILY = (any_of(_lines(kind)) for kind in ("places", "given_names", "surnames"))
GROUP = any_of(_lines("armed_groups"))
BARE_GROUP = any_of(
    [group for group in _lines("armed_groups") if group.startswith("the ")], bare=True
)
THE_NOUN = rf"(?:{NOUN}|The {any_of([noun for noun in NOUNS if noun[:4] == 'the '], bare=True)})"


def swapped(text: str, *names: Name) -> list[str]:
    """The text under many draws, of which some must differ from it."""
    found = [swap_names(text, names, random.Random(seed)) for seed in SEEDS]
    assert len({*found, text}) > len(SEEDS) / 4
    return found


def holds(pattern: str, text: str, *names: Name) -> None:
    for found in swapped(text, *names):
        assert re.fullmatch(pattern, found), found


# The lists


@pytest.mark.parametrize("kind", KINDS)
def test_no_list_names_anything_twice_or_nothing(kind: str) -> None:
    """Without it a name listed twice would be drawn twice as often, and an empty line or a stray
    blank would be found, and exchanged, everywhere."""
    found = _lines(kind)
    assert len(set(found)) == len(found) > 50
    assert all(entry.strip() == entry and re.search(r"\w", entry) for entry in found)


def test_a_state_has_three_forms_and_shares_none_with_another_state() -> None:
    """Without it one state's adjective would be exchanged for another state's noun."""
    assert {len(state) for state in STATES} == {3}
    assert all(form.strip() == form and form for state in STATES for form in state)
    forms = [form for state in STATES for form in set(state)]
    assert len(forms) == len(set(forms))


def test_no_listed_person_is_a_word_that_starts_sentences_or_datelines() -> None:
    """Without it "Jan 5" and "Said one diplomat" would be given the names of other people."""
    people = {*_lines("given_names"), *_lines("surnames")}
    words = "Jan Mar Apr May June July Sept Said Will Mark Grace Faith Hope Rose April August"
    assert people.isdisjoint(words.split())


# States


def test_noun_adjective_and_people_stay_what_they_were() -> None:
    """Without it a model would learn from sentences that nobody writes."""
    holds(
        rf"Ships of {NOUN} met {ADJECTIVE} ships, and {PEOPLE} cheered\.",
        "Ships of Peru met Peruvian ships, and Peruvians cheered.",
    )


def test_the_forms_of_one_state_become_the_forms_of_one_other_state() -> None:
    """Without it one party of a conflict would fall apart into three."""
    forms = {tuple(state) for state in STATES}
    for found in swapped("Ghana | Ghanaian | Ghanaians"):
        assert tuple(re.sub("^The ", "the ", found).split(" | ")) in forms


def test_possessives_and_compounds_are_kept() -> None:
    """Without it "Iran's" would lose its owner, and "Iran-backed" would give the old name away."""
    holds(
        rf"{THE_NOUN}['’]s navy and {NOUN}-backed or pro-{ADJECTIVE} men, said {PLACE}’s mayor\.",
        "Yemen's navy and Yemen-backed or pro-Yemeni men, said Quito’s mayor.",
    )


def test_the_indefinite_article_follows_the_sound_of_the_new_name() -> None:
    """Without it swapped text would be told apart by its "a Iranian" and "an Ukrainian"."""
    heard: dict[str, str] = {}
    for found in (
        out
        for text in ("A Latvian ship", "An Omani ship")
        for seed in range(900)
        for out in [swap_names(text, (), random.Random(seed))]
    ):
        article, adjective = found.removesuffix(" ship").split(" ", 1)
        assert heard.setdefault(adjective, article) == article
    assert heard["Ukrainian"] == heard["Ugandan"] == heard["Chinese"] == "A"
    assert heard["Iraqi"] == heard["Egyptian"] == heard["Uzbek"] == "An"
    holds(rf"Aid, an? {ADJECTIVE} gift, sank\.", "Aid, an Omani gift, sank.")


def test_articles_of_names_come_and_go_with_them() -> None:
    """Without it there would be "the the Netherlands", "a the Taliban" and "the Iran"."""
    for found in swapped("The Netherlands sent ships. Troops left the Netherlands for Peru."):
        assert "the the" not in found.lower()
        match = re.fullmatch(rf"({THE_NOUN}) sent ships\. Troops left ({NOUN}) for {NOUN}\.", found)
        assert match, found
        assert match[1].casefold() == match[2].casefold()
    holds(rf"A {BARE_GROUP} convoy|An {BARE_GROUP} convoy", "A Taliban convoy")


def test_the_us_is_a_noun_or_an_adjective_by_what_follows() -> None:
    """Without it "the U.S. ambassador" would become "Peru ambassador"."""
    holds(
        rf"{THE_NOUN} said the {ADJECTIVE} envoy left {NOUN}, not an? {ADJECTIVE} ship\.",
        "The U.S. said the U.S. envoy left the U.S., not a U.S. ship.",
    )
    holds(
        rf"{THE_NOUN} to send {ADJECTIVE}-led troops, {ADJECTIVE} aid from {NOUN}\.",
        "US to send US-led troops, American aid from the United States.",
    )


# Places and people


def test_a_dateline_in_capitals_stays_in_capitals_and_is_the_place_of_the_text() -> None:
    """Without it half the name of the town would be left in every agency report."""
    for names in ((), (Name(kind="place", forms=("QUITO", "Quito")),)):
        for found in swapped("QUITO, June 3 - Quito was calm.", *names):
            capitals, place = re.fullmatch(r"(.+), June 3 - (.+) was calm\.", found).groups()  # type: ignore[union-attr]
            assert re.fullmatch(PLACE, place)
            assert capitals == place.upper()


def test_a_full_name_and_its_surname_alone_stay_one_person() -> None:
    """Without it a person quoted twice would be two people. The surname need not be listed."""
    for surname in ("Mubarak", "Ostrelli"):
        for found in swapped(f"Ibrahim {surname} spoke. {surname}'s aides left with {surname}."):
            match = re.fullmatch(
                rf"({GIVEN}) ({FAMILY}) spoke\. ({FAMILY})'s aides left with ({FAMILY})\.", found
            )
            assert match, found
            assert match[2] == match[3] == match[4]


# Names that an article lists


def test_a_listed_state_keeps_its_forms_and_titles_of_state() -> None:
    """Without it invented states, which are most of the corpus, would never be exchanged whole."""
    varkhan = Name(kind="state", forms=("Republic of Varkhan", "Varkhanis", "Varkhani", "Varkhan"))
    simple = [noun for noun in NOUNS if not noun.startswith("the ")]
    of_noun = {noun: (adjective, people) for noun, adjective, people in STATES}
    for found in swapped(
        "Varkhan, the Republic of Varkhan, an old Varkhani ally; Varkhanis left Varkhan's.", varkhan
    ):
        match = re.fullmatch(
            rf"({any_of(simple)}), the Republic of (.+), an old (.+) ally; (.+) left (.+)'s\.",
            found,
        )
        assert match, found
        noun = match[1]
        assert match.groups()[1:] == (noun, *of_noun[noun], noun)


@pytest.mark.parametrize(
    ("forms", "text", "expected"),
    [
        (("Zorvistan", "Zorvi"), "Zorvi men in Zorvistan", "{adjective} men in {noun}"),
        (("Brandmark", "Brandish"), "Brandish Brandmark", "{adjective} {noun}"),
        (("Ostvanian",), "an Ostvanian ship", r"an? {adjective} ship"),
        (("Laurent Republic",), "the Laurent Republic", "the {adjective} Republic"),
        (("Sulav's", "Sulavese", "Sulav"), "Sulav's Sulavese", "{noun}'s {adjective}"),
        (("DAHVA", "Dahva"), "DAHVA: Dahva", "{capitals}: {noun}"),
    ],
)
def test_which_form_is_the_noun_is_told_by_its_ending(
    forms: tuple[str, ...], text: str, expected: str
) -> None:
    """Without it "Zorvistan", longer than its adjective, would become "Iranian"."""
    pattern = expected.format(noun=NOUN, adjective=ADJECTIVE, capitals=NOUN.upper())
    holds(pattern.replace("(?:", "(?i:") if "capitals" in expected else pattern, text,
          Name(kind="state", forms=forms))  # fmt: skip


def test_a_listed_person_keeps_titles_and_is_one_person() -> None:
    """Without it a colonel would lose his rank, or get a given name in its place."""
    holm = Name(
        kind="person", forms=("Daria Holm", "Col. Daria Holm", "Colonel Holm", "Holm", "Daria")
    )
    for found in swapped("Col. Daria Holm met Colonel Holm; Holm's men like Daria Holm.", holm):
        match = re.fullmatch(
            rf"Col\. ({GIVEN}) ({FAMILY}) met Colonel (.+); (.+)'s men like (.+) (.+)\.", found
        )
        assert match, found
        given_name, family = match[1], match[2]
        assert match.groups()[2:] == (family, family, given_name, family)
    for found in swapped(
        "Daria Holm, HOLM, Daria", Name(kind="person", forms=(*holm.forms, "HOLM"))
    ):
        full, capitals, given_name = found.split(", ")
        assert full.split() == [given_name, full.split()[1]]
        assert capitals == full.split()[1].upper()


def test_a_listed_armed_group_keeps_its_short_name_and_its_acronym() -> None:
    """Without it "the Sons of the Dune" would be taken for "the Sons", the front of a sentence
    would keep the old group, and an acronym would be spelt out."""
    group = Name(kind="armed_group", forms=("Sons of the Dune", "the Sons", "SOD"))
    for found in swapped(
        "The Sons of the Dune (SOD) came. The Sons left; SOD said the Sons of the Dune and the "
        "Sons were Sons of the Dune.",
        group,
    ):
        match = re.fullmatch(
            rf"The ({BARE_GROUP}) \(SOD\) came\. The (\S+) left; SOD said the (.+) and the (\S+) "
            r"were (.+)\.",
            found,
        )
        assert match, found
        name, last = match[1], match[1].split()[-1]
        assert match.groups()[1:] == (last, name, last, name)


def test_a_listed_place_is_exchanged_in_all_its_forms() -> None:
    """Without it the longer form, or the one in capitals, would keep the old name."""
    place = Name(kind="place", forms=("Gelib bridge", "Gelib", "GELIB"))
    for found in swapped("GELIB - Gelib bridge in Gelib", place):
        match = re.fullmatch(rf"(.+) - ({PLACE}) bridge in (.+)", found)
        assert match, found
        assert (match[1], match[3]) == (match[2].upper(), match[2])


def test_listed_ships_peoples_and_organisations_stay() -> None:
    """Without it an agency would become a state. Only four kinds are exchanged."""
    names = [Name(kind=kind, forms=("Interline",)) for kind in ("organisation", "people", "thing")]
    assert swap_names("Interline reports.", names, random.Random(1)) == "Interline reports."


@pytest.mark.parametrize(
    "forms", [("U.S.",), ("US", "American"), ("United States", "U.S.", "American", "Americans")]
)
def test_america_may_be_listed_by_its_initials(forms: tuple[str, ...]) -> None:
    """Without it such an article would stop the training with a KeyError, and America would be two
    states, or be shouted."""
    for found in swapped(
        "U.S. and American ships left the U.S., said the U.S. envoy.",
        Name(kind="state", forms=forms),
    ):
        match = re.fullmatch(
            rf"({THE_NOUN}) and ({ADJECTIVE}) ships left (.+), said the (.+) envoy\.", found
        )
        assert match, found
        assert match.groups()[2:] == match.groups()[:2]


def test_initials_of_another_state_do_not_bring_america_in() -> None:
    """Without it "US" as a listed form of a place would look up a state that nobody drew."""
    place = Name(kind="place", forms=("Upper Sark", "U.S."))
    holds(rf"({PLACE}) met U2 in \1\.", "Upper Sark met U2 in Upper Sark.", place)
    assert swap_names("U.S. and Upper Sark", [place], random.Random(1))


def test_money_is_no_state() -> None:
    """Without it "US$5 million" would become "Peruvian$5 million"."""
    for found in swapped("The US paid US$5 million, and Peru paid US$6."):
        assert re.search(r" paid US\$5 million, and .+ paid US\$6\.$", found), found


def test_initials_are_not_exchanged_for_a_shout() -> None:
    """Without it "RVK troops" would become "PERUVIAN troops": no desk writes so."""
    state = Name(kind="state", forms=("Varkhan", "Varkhani", "RVK"))
    for found in swapped("RVK and VARKHAN, Varkhani Varkhan", state):
        initials, capitals = re.match(r"(.+) and (.+), ", found).groups()  # type: ignore[union-attr]
        assert not initials.isupper()
        assert capitals == "VARKHAN"
    # A dateline and a shouted surname are no initials.
    holds("[^a-z]+ - .+", "DAHVA - calm", Name(kind="place", forms=("DAHVA",)))
    holds("[^a-z]+: .+", "VOLLAN: Yes.", Name(kind="person", forms=("Margit Vollan", "VOLLAN")))


@pytest.mark.parametrize("kind", ["state", "place", "person", "armed_group"])
def test_a_form_without_a_letter_is_no_name(kind: str) -> None:
    """Without it every dash of an article would become a town, and "'s" a family name."""
    text = "It sank - they said - in 's fog."
    assert swap_names(text, [Name(kind=kind, forms=("-", "'s"))], random.Random(1)) == text
    named = Name(kind=kind, forms=("-", "Dahva"))
    assert swap_names("- Dahva", [named], random.Random(1)).startswith("- ")


def test_names_of_an_article_are_read_and_columns_of_the_same_name_left_alone(
    tmp_path: Path,
) -> None:
    """Without it the names of the corpus would never reach the exchange, or somebody's own column
    ``names`` would stop the training of their table."""
    listed = {"kind": "place", "forms": ["Dahva", "DAHVA"]}
    others: list[object] = [
        *("Dahva", ["Dahva"], [1], {"kind": "place"}, None, [listed, {"kind": "place"}]),
        *([listed | {"forms": []}], [listed | {"forms": [""]}], [listed | {"kind": 1}]),
    ]
    path = tmp_path / "articles.jsonl"
    passages = [{"text": "Dahva was calm.", "labels": []}]
    rows = [
        {"id": f"a{number}", "source": "s", "passages": passages, "names": names}
        for number, names in enumerate([[listed], [], *others])
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    first, *rest = read_passages([path])
    assert first.names == (Name(kind="place", forms=("Dahva", "DAHVA")),)
    assert [row.names for row in rest] == [()] * (len(others) + 1)


# A text in lower case


@pytest.mark.parametrize(
    ("text", "pattern"),
    [
        ("iran vowed to answer", f"{NOUN} vowed to answer"),
        ("the iranian and israeli armies", f"the {ADJECTIVE} and {ADJECTIVE} armies"),
        ("in kabul, a taliban fighter", f"in {PLACE}, an? {BARE_GROUP} fighter"),
        ("the lord's resistance army left", f"{GROUP} left"),
        ("barack obama told us", f"{GIVEN} {FAMILY} told us"),
        ("garret obama told us", f"garret {FAMILY} told us"),
        ("the u.s. said it would answer", f"(?:the )?{NOUN} said it would answer"),
        ("a u.s. envoy", f"an? {ADJECTIVE} envoy"),
    ],
)
def test_names_are_exchanged_where_nothing_is_in_capitals(text: str, pattern: str) -> None:
    """Without it half of the news that training reads keeps its names, and the names decide."""
    for found in swapped(text):
        assert re.fullmatch(pattern.lower(), found), found
        assert found == found.lower()


def test_a_person_in_lower_case_stays_one_person() -> None:
    for found in swapped("vladimir putin called. putin said no."):
        match = re.fullmatch(r"(\S+) (\S+) called\. (\S+) said no\.", found)
        assert match, found
        assert match[2] == match[3]


def test_names_that_an_article_lists_are_exchanged_in_lower_case_too() -> None:
    group = Name(kind="armed_group", forms=("the Weaver Column", "the Column"))
    for found in swapped("the weaver column vowed revenge, and the column moved", group):
        assert "weaver" not in found
        assert found.count("column") < 2 or "dawn column" in found or "valley column" in found


@pytest.mark.parametrize(
    "text",
    [
        "they told us to polish the poles",
        "turkey for dinner",
        "islanders in jeans, not guinea pigs",
    ],
)
def test_words_that_are_names_only_in_capitals_stay(text: str) -> None:
    """Without it "told us" would become "told brazil", and a network would read nonsense."""
    assert {swap_names(text, (), random.Random(seed)) for seed in SEEDS} == {text}


# Any text

WORDS = st.lists(
    st.text("bcdeilnorstuv", min_size=2, max_size=8).filter(lambda word: word not in ("the", "in")),
    min_size=1,
    max_size=6,
).map(" ".join)
NAMES = st.sampled_from(
    [
        *(noun for noun in NOUNS if not noun.startswith("the ")),
        *_lines("places"),
        *(group for group in _lines("armed_groups") if not group.startswith("the ")),
    ]
)
SEEDED = st.integers(0, 2**32).map(random.Random)


@given(st.text("bcdfghjklmnpqrstvwxz .,'’\"-\n0123456789"), SEEDED)
def test_a_text_without_names_comes_back_equal(text: str, chance: random.Random) -> None:
    """Without it exchanging names could also edit the text. No listed name is without a vowel."""
    assert swap_names(text, (), chance) == text


@given(st.lists(st.tuples(WORDS, NAMES), min_size=1, max_size=6), WORDS, SEEDED)
def test_nothing_changes_outside_the_names_and_a_name_is_one_name_throughout(
    pairs: list[tuple[str, str]], end: str, chance: random.Random
) -> None:
    """Without it the words that decide a label might change with the names, or one party of the
    story might be two."""
    text = " ".join([f"{words} {name}" for words, name in pairs] + [end])
    found = swap_names(text, (), chance)
    pattern = " ".join([f"{re.escape(words)} (.+)" for words, _ in pairs] + [re.escape(end)])
    match = re.fullmatch(pattern.replace("(.+)", "(.+?)"), found)
    assert match, found
    of = [name for _, name in pairs]
    for one, other in itertools.combinations(range(len(of)), 2):
        if of[one] == of[other]:
            assert match[one + 1] == match[other + 1]


@given(st.lists(st.tuples(WORDS, NAMES), min_size=1, max_size=4), st.integers(0, 2**32))
def test_the_same_chance_draws_the_same_text(pairs: list[tuple[str, str]], seed: int) -> None:
    """Without it a training that goes on after a restart would read another text."""
    text = " ".join(f"{words} {name}" for words, name in pairs)
    names = (Name(kind="person", forms=("Dara Holm", "Holm")),)
    once, again = (swap_names(text, names, random.Random(seed)) for _ in range(2))
    assert once == again


def test_another_seed_draws_another_text() -> None:
    """Without it every epoch would read the same names."""
    assert len(set(swapped("Peru met Ghana in Quito, said Ibrahim Ostrelli."))) > len(SEEDS) / 2
