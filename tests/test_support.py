"""Names, numbers, dates and quotations that an article does not have, and all that is no such."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tocsin_models.sentences import split_sentences
from tocsin_models.support import KINDS, Unsupported, unsupported

ARTICLE = (
    "Gen. Yasir al-Nour of the U.N. mission said on Feb. 29, 2024 that 5,000 people had left "
    "Dibbat. “We will not wait for twenty-five more days,” he told the Sahlan Border Commission in "
    "Umm Rashid. The Khorfani army, backed by Syria and the United States, fired 3.5 tonnes of "
    "shells on Friday 4 March. O’Brien’s convoy was hit at 11:30. “Nobody,” a doctor said, “was "
    "spared.” The grain ships' crews had left on 2 May. It cost $2.5 million, the third loss in a "
    "year. Two BM21s and a T-72 burned."
)
# What "whatever the text" is drawn from: the marks that the check gives a meaning.
HARD = st.text(alphabet="aB 15.,:;'\"“”‘’«»`-–\n\t\u00a0!?$%éĀ停\ud800", max_size=60)


def found(summary: str, article: str = ARTICLE) -> list[tuple[str, str]]:
    return [(item.kind, summary[item.start : item.end]) for item in unsupported(summary, article)]


@pytest.mark.parametrize(
    "summary",
    [
        "He spoke on 29 February.",
        "He spoke on February 29th, and 5000 were gone.",
        "He spoke on the 29th of February 2024.",
        "He spoke on 2024-02-29.",
        "He spoke on 29/02/2024 or 02/29/2024.",
        "It was in February 2024.",
        "About five thousand left.",
        "About 5 thousand left.",
        "About 5k left.",
        "The UN and the United Nations sent it.",
        "Some fled from the un mission and the U.N. mission.",
        "A convoy of O'Brien was hit, and O'Brien's men fled.",
        "The general, Yasir Al Nour, spoke.",
        "The general, Yasir Alnour, spoke.",
        "The SBC was told.",
        "It came from a BM-21 or a T72.",
        "It was backed by Syrian and by US and by American troops.",
        "The army of Khorfan fired.",
        "Another 25 days are too many.",
        "They said “we will not wait for twenty-five more days”.",
        'They said "We will not wait".',
        "They said 'we will not wait for … more days'.",
        "They said “we will not wait for [another] twenty-five more days”.",
        "Nobody “was spared”, he said.",
        "They lost $2.5m, or 2,500,000 dollars, or 2.50 million.",
        "This was the 3rd loss.",
        "One of them was the first to go.",
        "Shelling came on a Friday in March.",
        "Mr Haddad's? No: Mr O’Brien’s.",
        "It may end, and they march on.",
        "I think so.",
        "Trucks were hit at 11.30.",
        "Trucks were hit at 11:30am, soon after 11am.",
    ],
)
def test_other_ways_to_write_what_the_article_says_are_supported(summary: str) -> None:
    # A check that cries wolf over a comma is switched off, or throws good sentences away.
    expected = [("name", "Haddad's")] if "Haddad" in summary else []
    assert found(summary) == expected


@pytest.mark.parametrize(
    ("summary", "expected"),
    [
        ("He spoke on 28 February.", [("date", "28 February")]),
        ("He spoke on 29 March.", [("date", "29 March")]),
        ("He spoke on 29 February 2023.", [("date", "29 February 2023")]),
        ("He spoke on Monday.", [("date", "Monday")]),
        ("He spoke in August.", [("date", "August")]),
        ("They had left in 2019.", [("date", "2019")]),
        ("Some 500 left.", [("number", "500")]),
        ("Some 50,000 left.", [("number", "50,000")]),
        ("Some five hundred left.", [("number", "five hundred")]),
        ("It cost 2.5 billion.", [("number", "2.5 billion")]),
        ("It was the fourth loss.", [("number", "fourth")]),
        ("Thirteen were hurt.", [("number", "Thirteen")]),
        ("They were hit at 11:45.", [("number", "11:45")]),
        ("An officer, Karim Haddad, spoke.", [("name", "Karim Haddad")]),
        ("An officer from Mina Saif, who left, spoke.", [("name", "Mina Saif")]),
        ("It was NATO again.", [("name", "NATO")]),
        ("NATO fired.", [("name", "NATO")]),
        ("It was a T-90 or a BM-2.", [("name", "T-90"), ("name", "BM-2")]),
        ("It was backed by Iraq.", [("name", "Iraq")]),
        ("They said “we will wait”.", [("quotation", "we will wait")]),
        ('They said "we will not WAIT".', [("quotation", "we will not WAIT")]),
        ("They said 'we will not stay'.", [("quotation", "we will not stay")]),
        ("They said “we will wait and go.", [("quotation", "we will wait and go.")]),
        (
            "He told Omar on 7 May that 12 left.",
            [("name", "Omar"), ("date", "7 May"), ("number", "12")],
        ),
    ],
)
def test_what_the_article_does_not_say_is_found_where_it_stands(
    summary: str, expected: list[tuple[str, str]]
) -> None:
    assert found(summary) == expected


def test_a_number_inside_another_is_not_that_number() -> None:
    # "5" stands in "50", "5,000" and "2.5" as characters, and the sentence is no quotation of it.
    article = "The army killed 50 people. The army lost 5,000 men. The army has 2.5 tanks."
    for summary in ("The army killed 5", "The army lost 5", "The army has 2", "5 tanks"):
        assert [kind for kind, _ in found(summary, article)] == ["number"]
    assert found("The army killed 50", article) == []


def test_capitals_that_grammar_gives_are_no_names() -> None:
    # Else each sentence would begin with an invented person.
    assert found("Trucks waited. Drivers slept: Nobody moved. “Tired,” they said.") == [
        ("quotation", "Tired,")
    ]
    assert found("Army Denies Shelling Border Crossing, Envoy Says") == []
    assert found("ARMY DENIES SHELLING CROSSING, ENVOY WARNS") == []


def test_lower_cased_articles_support_cased_summaries() -> None:
    # CNN/DailyMail is distributed lower-cased and tokenised.
    tokenised = "gen. yasir said : `` we do n't wait . '' some 5, 000 left on friday , 2 march ."
    assert found("It was Yasir: “We don't wait.” Some 5,000 left on 2 March.", tokenised) == []


@pytest.mark.parametrize(
    ("summary", "article"),
    [
        ("They sent two F-16s and some AK-47s.", "They sent two jets, an F-16, and an AK-47."),
        ("Talks were held on May 7, 6 May and 5 May.", "Talks were held on May 5-7."),
        ("Talks were held on 3 May and 5 May.", "Talks were held on 3, 4 and 5 May."),
        ("Talks were held from 8 May to 9 May.", "Talks were held on May 8 and 9."),
        ("It was built in World War Two.", "It was built in World War II."),
        ("It was built in World War Two.", "It was built in the Second World War."),
        ("It was built in World War II.", "It was built in the Second World War."),
        ("It was built in World War II.", "It was built in World War Two."),
        ("Guns fired at 7pm.", "Guns fired at 19:00."),
        ("Guns fired at 19:00.", "Guns fired at 7 p.m."),
        ("It recalled the 9/11 attacks.", "It recalled the Sept. 11 attacks."),
        ("About 2.5 million left.", "About two and a half million left."),
        ("About two-and-a-half million left.", "About 2.5 million left."),
        ("About half a million left.", "About 500,000 left."),
        ("He met Orlowa, Jorgesen and Yildar.", "He met Orłowa, Jørgesen and Yıldar."),
        ("It was a Congolese ship.", "It was a ship of Congo."),
        ("Some Serbs and Croats left.", "Some left Serbia and Croatia."),
        ("It was a ship of Belgium.", "It was a Belgian ship."),
        ("It was Karim Al-Haddad.", "It was Karim Haddad."),
        ("They came from Italy and China.", "They were Italian and Chinese."),
        ("Many Arabs and Hutus left.", "An Arab and a Hutu left."),
        ("It was a vessel of the United States Navy.", "It was a vessel of the US Navy."),
        ("It was the US, or the UN.", "It was the United States, or the United Nations."),
        ("It was in N.Y. and in L.A. again.", "It was in New York and in Los Angeles."),
        ("They met on the Northern Irish coast.", "They met in Northern Ireland."),
        ("They met in North Korea.", "They met between North and South Korea."),
        ("They met in North West Sahlan.", "They met in the north-west of the north-west Sahlan."),
    ],
)
def test_a_normal_form_is_found_in_either_direction(summary: str, article: str) -> None:
    # Each of these once threw a good sentence away, with a reason that was false.
    assert found(summary, article) == []


@pytest.mark.parametrize(
    ("summary", "expected", "article"),
    [
        ("It went on till May 8.", [("date", "May 8")], "It went on on May 5-7."),
        ("It went on to 6 May.", [("date", "6 May")], "It went on on 5 and 7 May."),
        ("It went on on May 12.", [("date", "May 12")], "It went on on May 5, 12 men say."),
        ("They had two F-15s.", [("name", "F-15s")], "They had two jets, an F-16 and an F-1."),
        ("They fired at 7pm.", [("number", "7pm")], "They fired at 17:00."),
        ("About 3.5 million left.", [("number", "3.5 million")], "Two and a half million left."),
        ("Some two and a half left.", [("number", "two and a half")], "Some two left."),
        ("It recalled 9/11.", [("date", "9/11")], "It recalled 9 November and 11 men."),
    ],
)
def test_a_normal_form_is_no_more_than_that(
    summary: str, expected: list[tuple[str, str]], article: str
) -> None:
    # The other side of each form above: one that took in its neighbours would hide an invention.
    assert found(summary, article) == expected


def test_a_sentence_dense_with_names_is_no_headline() -> None:
    # Else the check would be blind to the sentences that name most.
    assert found("Yasir al-Nour met Omar Haddad in Mina Saif on Friday.") == [
        ("name", "Omar Haddad"),
        ("name", "Mina Saif"),
    ]
    assert found("Did Omar Haddad Shell Mina Saif On Friday?") == []
    assert found("OMAR HADDAD SHELLED MINA SAIF AGAIN ON FRIDAY.") == []


@pytest.mark.parametrize(
    ("summary", "name"),
    [
        ("Omar Haddad leads the mission.", "Omar Haddad"),
        ("Omar al-Nour leads the mission.", "Omar al-Nour"),
        ("Ahmed Nour leads the mission.", "Ahmed Nour"),
        ("Omar said that 5,000 had left.", "Omar"),
        ("Omar's convoy was hit.", "Omar's"),
        ("North Sahlan was told.", "North Sahlan"),
    ],
)
def test_a_name_at_the_head_of_a_sentence_is_checked(summary: str, name: str) -> None:
    # News names who acts first; an invented one passed there that was caught anywhere else.
    assert found(summary) == [("name", name)]


@pytest.mark.parametrize(
    "summary",
    [
        "Yasir al-Nour leads the mission.",
        "Nour said that 5,000 had left.",
        "Yesterday Nour left; then Yasir Nour spoke.",
        "Residents said so, police said so, a doctor said so.",
        "Police said so.",
        "Prosecutor says 5,000 left.",
        "Meanwhile Syria fired.",
        "Speaking Friday, Nour gave no names.",
        "Spokesman Yasir Nour spoke.",
        "Today's convoy was hit.",
        "People's convoys were hit.",
    ],
)
def test_other_words_at_the_head_of_a_sentence_are_no_names(summary: str) -> None:
    # The headline's style leaves articles out, so a noun can stand where a name does.
    assert found(summary) == []


@pytest.mark.parametrize(
    ("summary", "name", "article"),
    [
        ("South Korea has spoken.", "South Korea", "North Korea lies south of it."),
        ("Then they reached South Korea.", "South Korea", "North Korea lies south of it."),
        ("Then they reached South Sudan.", "South Sudan", "The war in Sudan went south."),
        ("Then they left the West Bank.", "West Bank", "They robbed a bank in the west."),
        ("So West Sahlan Police spoke.", "West Sahlan Police", "The police of East Sahlan spoke."),
    ],
)
def test_a_compass_word_is_part_of_the_name_behind_it(
    summary: str, name: str, article: str
) -> None:
    # The other Korea is another country.
    assert found(summary, article) == [("name", name)]


@pytest.mark.parametrize(
    ("name", "article"),
    [
        ("Hama", "The group Hamas spoke."),
        ("Hamas", "The town of Hama burned."),
        ("Niger", "The Nigerian army left."),
        ("Georgian", "Envoy George Saif left."),
        ("Mario Saif", "Envoy Maria Saif left."),
        ("Lucas", "Envoy Luca Saif left."),
    ],
)
def test_names_that_differ_in_an_ending_are_two(name: str, article: str) -> None:
    # An ending tells a country's people from it, not one person or country from another.
    assert found(f"It was about {name} again.", article) == [("name", name)]


@pytest.mark.parametrize(
    ("name", "article"),
    [
        ("Anna Petrov", "DIBBAT (AP) - Officials spoke."),
        ("Umar Sadiq", "The American convoy left."),
        ("Ibrahim Saleh", "IS led the raid."),
        ("Ulf Nilsson", "The UN led the convoy."),
        ("American", "They told us of Umar Sadiq."),
        ("US", "They told us of Umar Sadiq."),
        ("IS", "It is raining."),
    ],
)
def test_two_initials_are_no_name(name: str, article: str) -> None:
    # Half of all people would be in an article that names the US, the UN and an agency.
    assert found(f"It was {name} again.", article) == [("name", name)]


SPOKEN = (
    "Gen. Karim Haddad, who leads the army, told Omar Saif on Friday that it would stay. “We will "
    "hold every village,” Haddad said. “We cannot feed them for another month,” Omar Saif warned."
    "\n\nThe White House spokeswoman, Jane Carter, said so later. “This is a very grave step,” she "
    "said. “It was not our doing,” said a spokesman for the ministry in Dibbat. According to Lena "
    "Orlova, “nobody has counted the dead”. Orlova said: “The camp holds too few tents.” “We take "
    "in everybody who asks,” says one Dibbat resident."
)


@pytest.mark.parametrize(
    ("summary", "speaker"),
    [
        ("“We will hold every village,” Omar Saif said.", "Omar Saif"),
        ("“We will hold every village,” said Mr. Saif, who was told so.", "Saif"),
        ("Haddad said: “We cannot feed them for another month.”", "Haddad"),
        ("“Nobody has counted the dead,” said Jane Carter.", "Jane Carter"),
        ("Karim Haddad, the general, said “the camp holds too few tents”.", "Karim Haddad"),
        # "She" follows another who speaks.
        ("“This is a very grave step,” Lena Orlova said.", "Lena Orlova"),
    ],
)
def test_a_quotation_belongs_to_who_says_it_in_the_article(summary: str, speaker: str) -> None:
    # Right words in the wrong mouth are what a correction is printed for.
    assert ("speaker", speaker) in found(summary, SPOKEN)


@pytest.mark.parametrize(
    "summary",
    [
        "“We will hold every village,” said Gen Haddad.",
        "“We will hold every village,” Karim Haddad told them.",
        "Saif said: “We cannot feed them for another month.”",
        "“This is a very grave step,” Jane Carter said.",
        "“This is a very grave step,” the White House said.",
        # A role may be anybody; what is short is said by many; a resident is no place.
        "“It was not our doing,” Haddad said.",
        "“Every village” is to be held, Omar Saif said.",
        "Everybody “who asks” is taken in, says one Dibbat resident.",
        "“Nobody has counted the dead,” Orlova said.",
        "“We will hold every village,” he said.",
    ],
)
def test_a_speaker_who_may_be_right_is_let_pass(summary: str) -> None:
    assert found(summary, SPOKEN) == []


def test_a_line_is_read_on_its_own() -> None:
    # Two sentences with one half of a quotation each are no quotation.
    article = "“Go. We said no. Stay,” he said. Then she left."
    assert found("“Go.\nStay,” he said.", article) == []


@given(HARD)
@settings(max_examples=300, deadline=None)
def test_sentences_of_any_article_give_nothing(article: str) -> None:
    # The product's summaries are whole sentences: the check must never object to one.
    sentences = [article[start:end] for start, end in split_sentences(article)]
    for sentence in sentences:
        assert unsupported(sentence, article) == ()
    assert unsupported("\n".join(sentences[::-1]), article) == ()


@given(HARD, HARD)
@settings(max_examples=200, deadline=None)
def test_any_summary_has_items_with_places_in_it(summary: str, article: str) -> None:
    items = unsupported(summary, article)
    assert list(items) == sorted(items)
    for item in items:
        assert item.kind in KINDS
        assert 0 <= item.start < item.end <= len(summary)
    assert unsupported(summary, summary) == ()


@pytest.mark.parametrize("digits", ["9" * 5_000, "9" * 24 + " million", "1,000," + "000," * 50])
def test_endless_numbers_are_read(digits: str) -> None:
    # Python refuses to turn more than 4,300 digits into an integer.
    assert found(f"They lost {digits} men.", "They lost men.")[0][0] == "number"
    assert found(f"So they lost {digits} men.", f"They lost {digits} men.") == []


def test_passages_of_the_corpus_support_themselves_and_their_rewordings(repository: Path) -> None:
    # 332 articles full of transliterated names, nested quotations and dates. A word that is no
    # name is put before each sentence, so that it is not passed as a copy.
    articles = sentences = 0
    for path in sorted((repository / "training" / "corpus").glob("*.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines()[::4]:
            texts = [passage["text"] for passage in json.loads(line)["passages"]]
            article = "\n\n".join(texts)
            articles += 1
            assert unsupported("\n".join(texts), article) == ()
            for text in texts:
                assert unsupported(text, article) == ()
                for start, end in split_sentences(text):
                    sentences += 1
                    assert found(f"again {text[start:end]}", article) == []
    assert articles > 50
    assert sentences > 1_000


def test_an_item_is_a_record() -> None:
    assert unsupported("It was NATO.", "") == (Unsupported(kind="name", start=7, end=11),)
