"""What a model wrote, held against the article: receipts, replacements and the room there is."""

import re
from collections.abc import Sequence

import pytest

from tocsin_models.cleaning import clean
from tocsin_models.grounding import Written, ground, most_telling
from tocsin_models.protocols import Limits
from tocsin_models.records import Article, Paragraph, SummarySentence
from tocsin_models.summariser import body_sentences

TEXT = """Army shells port

The army shelled the port of Dibbat on Friday and killed 12 people. Gen. Karim Haddad denied it.

“We never aimed at the harbour,” Haddad said. Envoy Lena Orlova flew to the capital for talks.

“Somebody has to count the dead,” Orlova said. The talks will go on in March."""
FIVE = Limits(max_sentences=5)


@pytest.fixture(scope="module")
def paragraphs() -> tuple[Paragraph, ...]:
    return clean(Article(id="invented", text=TEXT)).paragraphs


def told(
    paragraphs: tuple[Paragraph, ...],
    *texts: str,
    limits: Limits = FIVE,
    finished: bool = True,
    best_first: Sequence[int] | None = None,
) -> tuple[tuple[SummarySentence, ...], int]:
    written = [
        Written(index=index, text=texts[index], is_finished=finished)
        for index in best_first or range(len(texts))
    ]
    return ground(written, body_sentences(paragraphs), paragraphs, limits)


def test_a_sentence_that_holds_points_at_the_article_s_that_says_it(
    paragraphs: tuple[Paragraph, ...],
) -> None:
    # The receipt is what makes a written sentence worth printing: an editor can look it up.
    [sentence], checked = told(paragraphs, "Twelve people died in Dibbat when the army fired.")
    assert TEXT[sentence.start : sentence.end].startswith("The army shelled the port of Dibbat")
    assert paragraphs[sentence.passage].text.startswith("The army shelled")
    assert (sentence.replaced, sentence.reason, checked) == (False, None, 1)
    assert 0 < sentence.score < 1


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("The army shelled the port of Samara.", "name not in the article"),
        ("The army shelled the port and killed 13 people.", "number not in the article"),
        ("The army shelled the port on Monday.", "date not in the article"),
        ("The army said it would “burn the port”.", "quotation not in the article"),
        (
            "“We never aimed at the harbour,” Orlova said.",
            "quotation of somebody else in the article",
        ),
        ("The army of Samara killed 13 people.", "name not in the article, number not in the"),
        ("Purple monkeys juggle.", "nothing of it in the article"),
    ],
)
def test_a_sentence_that_fails_is_replaced_by_the_article_s_own(
    text: str, reason: str, paragraphs: tuple[Paragraph, ...]
) -> None:
    # A newsroom cannot print what a model made up; it can print what the article says instead.
    [sentence], checked = told(paragraphs, text)
    assert sentence.replaced
    assert (sentence.reason or "").startswith(reason)
    assert sentence.text == TEXT[sentence.start : sentence.end]
    assert paragraphs[sentence.passage].kind == "body"
    assert checked == 1


def test_what_covers_it_best_takes_its_place(paragraphs: tuple[Paragraph, ...]) -> None:
    [sentence], _ = told(paragraphs, "Later the envoy, Lena Orlova, flew away to Samara for talks.")
    assert sentence.text == "Envoy Lena Orlova flew to the capital for talks."


def test_a_sentence_that_the_limit_of_length_cut_off_is_replaced(
    paragraphs: tuple[Paragraph, ...],
) -> None:
    [sentence], _ = told(paragraphs, "The army shelled the port of", finished=False)
    assert sentence.reason == "not a whole sentence"


def test_nothing_is_said_twice(paragraphs: tuple[Paragraph, ...]) -> None:
    # Several inventions may be covered by the same sentence; it is printed once.
    texts = [f"Guns of {name} fired at the port." for name in ("Samara", "Tromso", "Lagos")]
    texts.insert(1, "The army shelled the port of Dibbat on Friday.")
    sentences, checked = told(paragraphs, *texts)
    assert len({sentence.text for sentence in sentences}) == len(sentences)
    assert len({sentence.start for sentence in sentences}) == len(sentences)
    assert checked >= len(sentences) >= 2
    again, _ = told(paragraphs, texts[1], texts[1])
    assert len(again) == 1


def test_a_replacement_stands_on_its_own_and_begins_behind_the_dateline() -> None:
    # "He denied it." would say that of whoever happens to be named before it.
    text = "DIBBAT (AP) — The army shelled the port.\n\nHe denied shelling it. Talks will go on."
    paragraphs = clean(Article(id="invented", text=text)).paragraphs
    sentences, _ = told(paragraphs, "He denied 99 times shelling it.", "Guns of Samara fired.")
    assert [one.text for one in sentences] == ["The army shelled the port.", "Talks will go on."]
    for sentence in sentences:
        assert text[sentence.start : sentence.end] == sentence.text


def test_he_is_not_left_behind_somebody_else() -> None:
    # A right sentence behind a wrong name is a false accusation that no check of its words sees.
    text = (
        "President Samir Haddad met army officers in the northern port of Dibbat on Monday.\n\n"
        "Rebel commander Karim Nasri shelled the port on Tuesday. He vowed to burn every ship."
    )
    paragraphs = clean(Article(id="invented", text=text)).paragraphs
    vow = "He vowed to burn every ship in the port."
    told_of = "Karim Nasri, a rebel commander, shelled the port on Tuesday."
    invented = "The northern port of Dibbat was visited by the Mayor Samir Obama on Monday."
    sentences, _ = told(paragraphs, told_of, vow)
    assert [one.replaced for one in sentences] == [False, False]
    sentences, _ = told(paragraphs, told_of, vow, best_first=[1, 0])
    assert [one.text for one in sentences] == [told_of, vow]
    for texts in ((invented, vow), (vow,), (vow, told_of)):
        sentences, _ = told(paragraphs, *texts)
        assert vow not in [one.text for one in sentences]
    sentences, _ = told(paragraphs, vow)
    assert sentences[0].reason == "needs a sentence that is not in front of it"


def test_the_model_s_order_stays(paragraphs: tuple[Paragraph, ...]) -> None:
    texts = ["Talks go on in March.", "The army killed 12 people.", "Orlova flew to the capital."]
    sentences, _ = told(paragraphs, *texts)
    assert [sentence.text for sentence in sentences] == texts


def test_the_room_is_kept(paragraphs: tuple[Paragraph, ...]) -> None:
    texts = ["The army shelled the port on Friday.", "Orlova flew to talks.", "Haddad denied it."]
    strict = Limits(max_sentences=5, max_words=10)
    sentences, checked = told(paragraphs, *texts, limits=strict)
    assert [sentence.text for sentence in sentences] == [texts[0], texts[2]]
    assert checked == 3
    one, _ = told(paragraphs, *texts, limits=Limits(style="headline"))
    assert len(one) == 1


def test_a_replacement_that_has_no_room_is_left_out(paragraphs: tuple[Paragraph, ...]) -> None:
    assert told(paragraphs, "So Samara burns.", limits=Limits(max_words=2)) == ((), 1)


def test_the_first_sentence_has_room_unless_the_caller_set_it(
    paragraphs: tuple[Paragraph, ...],
) -> None:
    # A style's limit must not leave an article untold.
    long = "The army shelled the port on Friday" + " and the port on Friday" * 20 + "."
    assert told(paragraphs, long, limits=Limits())[0][0].text == long
    assert told(paragraphs, long, limits=Limits(max_words=80)) == ((), 1)


def test_of_many_windows_the_sentences_that_tell_most_come_first() -> None:
    # A window of small talk has a summary too; it must not push the news out.
    article = "army shelled harbour " * 6 + "weather was mild mayor smiled"
    texts = ["Weather was mild.", "The army shelled.", "The army shelled again.", "Harbour burned."]
    written = [Written(index=index, text=text) for index, text in enumerate(texts)]
    ordered = [one.text for one in most_telling(written, article)]
    assert ordered[0] == "The army shelled."
    assert ordered.index("Harbour burned.") < ordered.index("The army shelled again.")
    assert sorted(ordered) == sorted(texts)


def test_reasons_hold_no_word_of_what_was_written(paragraphs: tuple[Paragraph, ...]) -> None:
    # They end up in logs and reports, where copy must not.
    texts = ["Samara shelled Tromso.", "Some 77,123 left on Monday.", "“Burn it all,” Omar said."]
    for sentence in told(paragraphs, *texts)[0]:
        assert not re.search(r"Samara|Tromso|77|Monday|Burn|Omar", sentence.reason or "")
