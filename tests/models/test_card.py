from __future__ import annotations

from pathlib import Path

import pytest
from pydicom.sr.codedict import codes

from models import packages
from models.card import Card
from models.cardfile import card_text, read_card
from models.errors import CardError

CARDS = [packages.load_card(folder) for folder in packages.available()]
TEXT = (packages.ZOO / "chest-ct" / "card.toml").read_text(encoding="utf-8")

# Verhoeff, Mathematisch Centrum, 1969: multiplication in D5 and the permutation by position.
D5 = [[(i + j) % 5 if i < 5 and j < 5 else 0 for j in range(10)] for i in range(10)]
for i in range(10):
    for j in range(10):
        a, b = i % 5, j % 5
        D5[i][j] = (
            (a + b) % 5 if i < 5 and j < 5
            else 5 + (a + b) % 5 if i < 5
            else 5 + (a - b) % 5 if j < 5
            else (a - b) % 5
        )  # fmt: skip
PERMUTATION = [list(range(10)), [1, 5, 7, 6, 2, 8, 3, 0, 9, 4]]
for _ in range(6):
    PERMUTATION.append([PERMUTATION[-1][PERMUTATION[1][j]] for j in range(10)])


def verhoeff_is_right(number: str) -> bool:
    check = 0
    for position, digit in enumerate(reversed(number)):
        check = D5[check][PERMUTATION[position % 8][int(digit)]]
    return check == 0


def written(folder: Path, text: str) -> Path:
    path = folder / "card.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_check_digit_test_knows_right_from_wrong() -> None:
    assert verhoeff_is_right("2363")  # the usual worked example: 236, check digit 3
    assert not verhoeff_is_right("2364")
    assert not verhoeff_is_right("3263")


@pytest.mark.parametrize("card", CARDS, ids=lambda card: card.name)
def test_every_snomed_code_has_its_check_digit(card: Card) -> None:
    snomed = [code.value for label in card.labels for code in (label.code, label.site) if code.scheme == "SCT"]
    assert snomed
    assert [value for value in snomed if not verhoeff_is_right(value)] == []


@pytest.mark.parametrize("card", CARDS, ids=lambda card: card.name)
def test_every_site_is_one_that_the_standard_knows(card: Card) -> None:
    known = {codes.SCT.Lung, codes.SCT.Heart, codes.SCT.Pleura, codes.SCT.Diaphragm}
    assert {label.site.value for label in card.labels} <= {code.value for code in known}


@pytest.mark.parametrize("card", CARDS, ids=lambda card: card.name)
def test_only_what_is_reported_within_minutes_is_high(card: Card) -> None:
    assert all((label.urgency == "HIGH") == (label.acr == 1) for label in card.labels)
    assert len({label.colour for label in card.labels}) == len(card.labels)


@pytest.mark.parametrize("card", CARDS, ids=lambda card: card.name)
def test_a_card_is_written_as_it_was_read(card: Card, tmp_path: Path) -> None:
    assert read_card(written(tmp_path, card_text(card))) == card


def test_the_name_is_shown_without_underscores() -> None:
    labels = {label.name: label.title for card in CARDS for label in card.labels}
    assert labels["Pleural_Thickening"] == "Pleural Thickening"


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('title = "', 'titel = "', "titel is not a key of a card"),
        ("operating_point = 0.5", "operating_point = 1.5", "labels.0.operating_point is wrong"),
        ("operating_point = 0.5", "", "labels.0.operating_point is missing"),
        ('urgency = "MEDIUM"', 'urgency = "STAT"', "labels.0.urgency is wrong"),
        ('localizer = "candidates"', 'localizer = "cam"', 'localizer "cam" needs the tables [network] and [weights]'),
        ('kind = "volume"', 'kind = "image"', "size = [rows, columns] is needed"),
        ('"SCT"', '"A_SCHEME_THAT_IS_TOO_LONG"', "labels.0.code.1 is wrong"),
        ("name =", "name", "cannot be read as TOML"),
    ],
)
def test_a_wrong_card_names_the_key_and_the_file(tmp_path: Path, old: str, new: str, words: str) -> None:
    assert old in TEXT
    path = written(tmp_path, TEXT.replace(old, new, 1))
    with pytest.raises(CardError) as caught:
        read_card(path)
    assert words in str(caught.value)
    assert str(path) in str(caught.value)


def test_all_that_is_wrong_is_said_at_once(tmp_path: Path) -> None:
    wrong = TEXT.replace('title = "', 'titel = "', 1).replace("operating_point = 0.5", "operating_point = 1.5", 1)
    path = written(tmp_path, wrong)
    with pytest.raises(CardError) as caught:
        read_card(path)
    first, *faults = str(caught.value).split("\n")
    assert first == f"{path}:"
    assert len(faults) >= 3
    assert [one.split()[0] for one in faults] == [f"{number}." for number in range(1, len(faults) + 1)]
    for words in ("titel is not a key of a card", "title is missing", "labels.0.operating_point is wrong"):
        assert any(words in one for one in faults)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('modalities = ["CT"]', 'modalities = ["DX"]', "DX has no volumes that are read, CT and MR have"),
        ('modalities = ["CT"]', 'modalities = ["ct"]', "'ct' is not written as DICOM writes it"),
    ],
)
def test_a_card_that_no_study_can_meet_is_refused(tmp_path: Path, old: str, new: str, words: str) -> None:
    assert old in TEXT
    with pytest.raises(CardError, match="no study can meet it") as caught:
        read_card(written(tmp_path, TEXT.replace(old, new, 1)))
    assert words in str(caught.value)


TRIAGE = """
[labels.triage]
data = "validation C"
threshold = 0.6
positives = 70
negatives = 139
sensitivity = 0.4
sensitivity_interval = [0.3, 0.5]
specificity = 0.957
auc = 0.78
auc_interval = [0.71, 0.85]
raises_priority = true
"""


def test_a_label_raises_where_its_figures_allow_it_and_its_threshold_is_reached(tmp_path: Path) -> None:
    (label,) = read_card(written(tmp_path, TEXT + TRIAGE)).labels
    assert label.triage is not None
    assert (label.raises(0.59), label.raises(0.6)) == (False, True)
    assert read_card(written(tmp_path, card_text(read_card(tmp_path / "card.toml")))).labels == (label,)
    (shown,) = read_card(written(tmp_path, TEXT + TRIAGE.replace("= true", "= false"))).labels
    (unknown,) = read_card(written(tmp_path, TEXT)).labels
    assert not shown.raises(1.0) and not unknown.raises(1.0)


def test_the_predictive_value_is_that_of_the_prevalence(tmp_path: Path) -> None:
    (label,) = read_card(written(tmp_path, TEXT + TRIAGE)).labels
    assert label.triage is not None
    # 10,000 studies, 200 with the finding: 80 of them and 421.4 others are alerts
    assert label.triage.predictive_value(0.02) == pytest.approx(80 / (80 + 421.4))
    assert label.triage.model_copy(update={"sensitivity": 0.0, "specificity": 1.0}).predictive_value(0.02) == 0.0


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("[0.71, 0.85]", "[0.7, 0.85]", "claims triage.raises_priority against its own figures: the lower bound of "
         "the AUC's interval, 0.7, is not above 0.7 on validation C"),
        ("0.957", "0.94", "claims triage.raises_priority against its own figures: the specificity, 0.94, is below "
         "0.95 on validation C"),
        ("threshold = 0.6", "threshold = 0.4", "triage.threshold is below operating_point"),
        ("raises_priority = true", "", "labels.0.triage.raises_priority is missing"),
    ],
)  # fmt: skip
def test_a_card_that_claims_more_than_its_figures_is_refused(tmp_path: Path, old: str, new: str, words: str) -> None:
    path = written(tmp_path, TEXT + TRIAGE.replace(old, new))
    with pytest.raises(CardError) as caught:
        read_card(path)
    assert words in str(caught.value)


def test_a_missing_card_says_what_a_package_is(tmp_path: Path) -> None:
    with pytest.raises(CardError, match=r"a model package is a folder with a card\.toml"):
        read_card(tmp_path / "card.toml")
