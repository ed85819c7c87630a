"""Whether text is in the language that a table of rules reads: by script, and by words that every text has.

Text that no rule knows mentions nothing; without this it would be called normal.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from models.report_labels.phrases import tokens

LEAST_KNOWN = 0.3  # of the words of English text are function words, of the field, or of the table
LEAST_HAN = 0.6  # of the letters of Chinese text are Chinese characters
MOST_OTHER = 0.1  # of the letters may be of another script than the language's
NAMES = {"en": "English", "zh": "simplified Chinese"}


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_SCRIPTS = {
    "Japanese": re.compile(r"[\u3041-\u30ff\uff66-\uff9f]"),
    "Korean": re.compile(r"[\u1100-\u11ff\uac00-\ud7af]"),
    "Chinese": re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff]"),
    "Russian or another language in Cyrillic letters": re.compile(r"[\u0400-\u052f]"),
    "Arabic or another language in Arabic letters": re.compile(r"[\u0600-\u06ff\u0750-\u077f\ufb50-\ufdff]"),
    "Hebrew": re.compile(r"[\u0590-\u05ff]"),
    "Greek": re.compile(r"[\u0370-\u03ff]"),
    "a language in Indic letters": re.compile(r"[\u0900-\u0dff]"),
    "Thai": re.compile(r"[\u0e00-\u0e7f]"),
}
_LETTER = re.compile(r"[^\W\d_]")
_WORD = re.compile(r"[^\W\d_]+")
_TRADITIONAL = frozenset("氣腫實變雙側無見積結節質擴張塊狀縱門脈鈣間紋顯與報檢診斷學術舊類圓緣濃葉徵動體後")
_ENGLISH = _words(
    "a about above according across again all also although an and any appear appears are area as at be been below"
    " between bilateral both but by can cannot chest clear compared could demonstrate demonstrates due either evidence"
    " exam examination for from has have heart impression in interval into is it its large left lobe lower lung lungs"
    " made may mediastinal mediastinum mild minimal moderate most multiple near no none nor normal not noted of on"
    " only or other otherwise over pleural pulmonary right seen severe side since size small stable study than that"
    " abnormality active acute aorta aortic bone bones bony calcified cardiac cardiomediastinal cardiopulmonary change"
    " changes chronic costophrenic degenerative diaphragm disease enlarged expanded film focal fracture hilar hilum"
    " intact lateral limits line negative new old osseous placement process rib ribs scoliosis silhouette soft spine"
    " thoracic tissue tube vascular vertebral view views visible within xxxx"
    " the there these this to unchanged unremarkable upper visualized was were which while with within without"
)
_FOREIGN = {
    "French": _words(
        "le la les des du une un et est sont pas aucun aucune avec sans dans sur pour au aux ou il on gauche droit"
        " droite poumon poumons normale épanchement"
    ),
    "Spanish or Portuguese": _words(
        "el la los las del de una un y es son sin con en por para al se ni derecho derecha izquierdo izquierda pulmón"
        " pulmones o os da do das dos não sem com em uma pulmão direito esquerdo"
    ),
    "German": _words(
        "der die das und ist sind kein keine keinen nicht mit ohne im am bei zum zur von eine ein des dem den links"
        " rechts beidseits lunge pleuraerguss"
    ),
    "Italian": _words("il lo gli della del dei nel nella non di e un una con senza destro sinistro polmone"),
}


def language_of(text: str, known: Callable[[str], bool] = lambda _word: False) -> str:
    """ "en", "zh", "" where there is no letter, or the name of a language that no rule reads ("Japanese").

    Parameters
    ----------
    known
        Whether a table has the word: reports are telegrams, and "Cardiomegaly." has no function word.
    """
    letters = len(_LETTER.findall(text))
    if not letters:
        return ""
    parts = {name: len(script.findall(text)) / letters for name, script in _SCRIPTS.items()}
    name, part = max(parts.items(), key=lambda one: one[1])
    if parts["Japanese"] > MOST_OTHER / 2:
        return "Japanese"
    if parts["Chinese"] >= LEAST_HAN:
        traditional = sum(letter in _TRADITIONAL for letter in text) / letters
        return "traditional Chinese" if traditional > MOST_OTHER else "zh"
    return name if part > MOST_OTHER else _latin(text, known)


def refusal(text: str, language: str, known: Callable[[str], bool]) -> str:
    """Why text is not read by rules of this language, as a sentence; "" where it is, or is empty."""
    found = language_of(text, known)
    if found in ("", language):
        return ""
    name = NAMES.get(found, found)
    return f"the text seems to be in {name}; these rules read {NAMES[language]} alone, and no label was given."


def _latin(text: str, known: Callable[[str], bool]) -> str:
    words = [word.lower() for word in _WORD.findall(text)]
    english = sum(word in _ENGLISH or any(known(one) for one in tokens(word)) for word in words) / len(words)
    foreign = {name: sum(word in of for word in words) / len(words) for name, of in _FOREIGN.items()}
    name, part = max(foreign.items(), key=lambda one: one[1])
    if part > english or (part > MOST_OTHER and english < 2 * part):
        return name
    return "en" if english >= LEAST_KNOWN else "no language that is known here"
