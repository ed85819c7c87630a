from __future__ import annotations

import pytest

from models.report_labels.labeler import Assertion, Labeler, Labelers
from models.report_labels.languages import language_of
from models.report_labels.rules import NO_FINDING, TABLES, read_rules

EN, ZH = (Labeler(read_rules(TABLES["chest-xray"][language])) for language in ("en", "zh"))
CT = Labeler(read_rules(TABLES["chest-ct"]["en"]))
OTHERS = {
    "Japanese": "両側肺野に異常陰影を認めません。胸水はありません。心拡大なし。",
    "Russian or another language in Cyrillic letters": "Очаговых и инфильтративных изменений в лёгких не выявлено.",
    "Arabic or another language in Arabic letters": "لا يوجد انصباب جنبي أو استرواح صدري. حجم القلب طبيعي.",
    "French": "Pas d'épanchement pleural ni de pneumothorax. La silhouette cardiaque est de taille normale.",
    "Spanish or Portuguese": "No se observa derrame pleural ni neumotórax. La silueta cardíaca es de tamaño normal.",
    "German": "Kein Pneumothorax, kein Pleuraerguss. Das Herz ist nicht vergrößert.",
    "Korean": "양측 폐야에 이상 소견이 없습니다. 흉수는 없습니다.",
    "traditional Chinese": "雙側肺野未見實變，無氣胸，心影不大。",
    "no language that is known here": "Qwe rtzu opas dfghj klyx cvbnm lorem ipsq wrtz plok.",
}


@pytest.mark.parametrize(("language", "text"), OTHERS.items(), ids=OTHERS)
@pytest.mark.parametrize("labeler", [EN, ZH, CT], ids=["en", "zh", "ct"])
def test_other_languages_are_refused_and_never_normal(labeler: Labeler, language: str, text: str) -> None:
    labels = labeler.label(text)
    assert f"seems to be in {language}; these rules read" in labels.refused
    assert set(labels.assertions.values()) == {Assertion.NOT_MENTIONED}
    assert not labels.readable


def test_each_of_the_two_refuses_the_other() -> None:
    assert "in simplified Chinese; these rules read English alone" in EN.label("双肺未见实变。").refused
    assert "in English; these rules read simplified Chinese alone" in ZH.label("No effusion is seen.").refused


def test_each_report_is_read_by_the_rules_of_its_language() -> None:
    both = Labelers([read_rules(path) for path in TABLES["chest-xray"].values()])
    assert both.label("右侧气胸。").assertions["Pneumothorax"] is Assertion.PRESENT
    assert both.label("No pneumothorax.").assertions["Pneumothorax"] is Assertion.ABSENT
    assert both.label(OTHERS["Japanese"]).refused


@pytest.mark.parametrize("text", ["Cardiomegaly.", "MASS", "Clear lungs.", "Rib fracture.", "No XXXX effusion. PA CT."])
def test_telegrams_are_english(text: str) -> None:
    assert not EN.label(text).refused


def test_what_has_no_letters_is_left_out_without_a_language() -> None:
    assert language_of("12.3 / 4") == ""
    assert EN.label("").refused == ""
    assert EN.label("").assertions[NO_FINDING] is Assertion.NOT_MENTIONED
