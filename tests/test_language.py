"""The language is told offline; outside the model's languages the answer carries a warning."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tocsin_models.errors import LanguageRefused
from tocsin_models.language import check_language, identify

# The same invented sentence: "The minister said on Monday that the strike had hit a depot and that
# the answer would come soon."
FOREIGN = {
    "ar": "قال الوزير يوم الاثنين إن الضربة أصابت مستودعا وإن الرد سيأتي قريبا.",
    "de": "Der Minister sagte am Montag, der Angriff habe ein Lager getroffen; er antworte bald.",
    "es": "El ministro dijo el lunes que el ataque alcanzó un depósito y que la respuesta llegará.",
    "fa": "وزیر روز دوشنبه گفت که این حمله به یک انبار اصابت کرده و پاسخ به زودی داده خواهد شد.",
    "fr": "Le ministre a déclaré lundi que la frappe avait touché un dépôt et qu'il y répondrait.",
    "he": "השר אמר ביום שני כי התקיפה פגעה במחסן וכי התגובה תגיע בקרוב.",
    "hi": "मंत्री ने सोमवार को कहा कि हमले में एक गोदाम क्षतिग्रस्त हुआ और जवाब जल्द दिया जाएगा।",
    "nl": "De minister zei maandag dat de aanval een depot had getroffen en dat het antwoord kwam.",
    "ru": "Министр заявил в понедельник, что удар пришёлся по складу и что ответ скоро последует.",
    "tr": "Bakan pazartesi günü saldırının bir depoyu vurduğunu ve yanıtın geleceğini söyledi.",
    "uk": "Міністр заявив у понеділок, що удар припав на склад і що відповідь буде незабаром.",
    "zh": "部长星期一表示，袭击击中了一座仓库，回应很快就会到来。",
}


@pytest.mark.parametrize("code", FOREIGN)
def test_other_languages_are_told_apart(code: str) -> None:
    # Scores of a model trained on English mean little for them, and somebody has to say so.
    found = identify(FOREIGN[code])
    assert found.code == code
    assert 0.5 <= found.confidence <= 1.0


@pytest.mark.parametrize("form", [str, str.lower, str.upper])
def test_english_news_is_english_in_any_case_and_with_foreign_names(
    repository: Path, form: type[str]
) -> None:
    # A false warning on every wire story teaches people to ignore it.
    lines = (repository / "training/corpus/A.jsonl").read_text(encoding="utf-8").splitlines()
    for line in lines:
        passages = [passage["text"] for passage in json.loads(line)["passages"]]
        assert identify(form("\n\n".join(passages))).code == "en"
        long = [text for text in passages if len(text.split()) >= 40]
        assert [text for text in long if identify(form(text)).code != "en"] == []


def test_tokenised_english_with_numbers_is_english() -> None:
    text = (
        "the army said 1,200 of the 3 - 4,000 men had left kafr zurin by 06.30 . it denied that ."
    )
    assert identify(text).code == "en"


@pytest.mark.parametrize("text", ["", "...", "2021", "Kafr Zurin", "\ud800", "12:30 - 14:00 (+3)"])
def test_too_little_text_is_undetermined(text: str) -> None:
    # Four letters of a name are in no language; a guess would be noise.
    assert identify(text).code == "und"


def test_only_the_beginning_is_read() -> None:
    # A book handed in by mistake must not cost seconds.
    english = "The army said on Monday that it had struck the depot and that it would do so again. "
    assert identify(english * 60 + FOREIGN["ru"] * 10_000).code == "en"


def test_outside_the_models_languages_there_is_a_warning_or_a_refusal() -> None:
    code, warning = check_language(FOREIGN["ru"], ("en",), strict=False)
    assert code == "ru"
    assert warning is not None
    assert "Russian (ru)" in warning
    assert "English (en)" in warning
    assert FOREIGN["ru"][:12] not in warning
    with pytest.raises(LanguageRefused, match=r"Russian \(ru\).*English \(en\)") as error:
        check_language(FOREIGN["ru"], ("en",), strict=True)
    # Messages end up in logs, and copy is confidential.
    assert FOREIGN["ru"][:12] not in str(error.value)


def test_inside_the_models_languages_there_is_none() -> None:
    assert check_language(FOREIGN["ru"], ("en", "ru"), strict=True) == ("ru", None)


def test_undetermined_text_is_warned_of_but_not_refused() -> None:
    # Strictness is about another language, not about a headline of two names.
    code, warning = check_language("Kafr Zurin", ("en",), strict=True)
    assert code == "und"
    assert warning is not None


def test_english_does_not_load_the_model() -> None:
    # Unpacking py3langid's 68 MB takes 0.4 to 1.3 s: most of what a whole analysis may take.
    program = (
        "import sys; from tocsin_models.language import identify; "
        "print(identify('The army said on Monday that it had struck a depot and that the answer of "
        "the militia was expected.').code, 'py3langid' in sys.modules)"
    )
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert answer.stdout.split() == [b"en", b"False"]
