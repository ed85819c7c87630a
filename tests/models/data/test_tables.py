from __future__ import annotations

from pathlib import Path

import pytest

from models.data.datasets import label_columns, read_examples, splits
from models.data.tables import column_names, read_rows
from models.errors import DataError
from tests.models import slice_phantoms

NAMES = ("Normal", "Benign", "Malignant")


def written(folder: Path, text: str) -> Path:
    path = folder / "labels.csv"
    path.write_text(text, encoding="utf-8")
    return folder


@pytest.mark.parametrize("start", ["", "\ufeff"])
@pytest.mark.parametrize("delimiter", [",", ";"])
def test_commas_and_semicolons_are_read_alike(tmp_path: Path, start: str, delimiter: str) -> None:
    text = start + "image,label,note\na.png,1,x\nb.png,0\n".replace(",", delimiter)
    path = written(tmp_path, text) / "labels.csv"
    assert column_names(path) == ("image", "label", "note")
    assert read_rows(path, ["image"])[1] == {"image": "b.png", "label": "0", "note": ""}


def test_a_table_in_another_encoding_is_refused_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_bytes("image,class\nä.png,1\n".encode("latin-1"))
    with pytest.raises(DataError, match="save the table again as CSV"):
        read_rows(tmp_path / "labels.csv")


@pytest.mark.parametrize("delimiter", [",", ";"])
def test_a_class_is_the_label_of_its_name_and_a_group_is_the_patient(tmp_path: Path, delimiter: str) -> None:
    folder = slice_phantoms.write_folder(tmp_path / "data", groups=2, validation=1, delimiter=delimiter)
    examples = read_examples(folder, "train", NAMES)
    assert examples.truth.sum(0).tolist() == [4, 4, 4]
    assert examples.truth.argmax(1).tolist() == [0] * 4 + [1] * 4 + [2] * 4
    assert examples.patients.tolist() == [row // 2 for row in range(12)]
    assert label_columns(folder, NAMES) == NAMES
    assert splits(folder) == {"train", "validation"}


def test_a_class_that_no_label_has_is_named_with_its_line(tmp_path: Path) -> None:
    folder = written(tmp_path, "image,class,group,split\na.png,normal,1,train\nb.png,unsure,2,train\n")
    with pytest.raises(
        DataError, match=r"labels\.csv, line 3: the class 'unsure' is none of Normal, Benign, Malignant"
    ):
        read_examples(folder, "train", NAMES)


def test_neither_patient_nor_group_is_named(tmp_path: Path) -> None:
    folder = written(tmp_path, "image,class,split\na.png,normal,train\n")
    with pytest.raises(DataError, match="has no column patient"):
        read_examples(folder, "train", NAMES)


@pytest.mark.parametrize("column", ["patient", "group"])
def test_patients_in_two_splits_are_refused_in_one_sentence(tmp_path: Path, column: str) -> None:
    rows = "a.png,normal,1,train\nb.png,benign,2,train\nc.png,benign,1,validation\n"
    folder = written(tmp_path, f"image,class,{column},split\n{rows}")
    with pytest.raises(
        DataError, match=r"1 patients are in more than one split \(1; the first in train and validation\)"
    ):
        read_examples(folder, "train", NAMES)
