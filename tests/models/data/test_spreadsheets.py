"""Each reader takes a table as a spreadsheet writes it (BOM, semicolons, quotes, CRLF, decimal commas) and no leak."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from models.data.datasets import read_boxes, read_examples, read_scores
from models.data.pairs import read_pairs
from models.data.tables import number
from models.data.volumes.boxes import read_volume_boxes
from models.data.volumes.folders import read_volume_examples
from models.errors import DataError
from models.simulation.backgrounds import backgrounds_of


def sheet(path: Path, rows: Sequence[Sequence[str]]) -> Path:
    """As a spreadsheet with a comma for decimals saves it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [
        ";".join(f'"{cell}"' if "," in cell or number_ else cell for cell in row) for number_, row in enumerate(rows)
    ]
    path.write_bytes(("\ufeff" + "\r\n".join(lines) + "\r\n").encode("utf-8"))
    return path


def touched(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def test_images_with_labels_ages_and_boxes(tmp_path: Path) -> None:
    head = ("split", "image", "patient", "age", "Disc")
    sheet(
        tmp_path / "labels.csv", [head, ("train", "a.png", "1", "40,5", "1"), ("validation", "b.png", "2", "", "0,0")]
    )
    sheet(
        tmp_path / "boxes.csv",
        [("image", "label", "x", "y", "width", "height"), ("a.png", "Disc", "1,5", "2", "3", "4")],
    )
    examples = read_examples(tmp_path, "train", ["Disc"])
    assert examples.files == (tmp_path / "images" / "a.png",)
    assert examples.metadata[0, 2] == pytest.approx(0.405)
    assert not read_examples(tmp_path, "validation", ["Disc"]).truth.any()
    assert read_boxes(tmp_path)[0].rectangle == (1.5, 2.0, 3.0, 4.0)


def test_classes_and_scores(tmp_path: Path) -> None:
    sheet(tmp_path / "labels.csv", [("split", "image", "group", "class"), ("train", "a.png", "1", "Benign")])
    assert read_examples(tmp_path, "train", ["Normal", "Benign"]).truth.tolist() == [[False, True]]
    sheet(tmp_path / "teacher.csv", [("image", "Benign"), ("a.png", "0,25")])
    assert read_scores(tmp_path / "teacher.csv", ["Benign"])["a.png"].tolist() == [0.25]
    assert read_examples(tmp_path, "train", ["Normal", "Benign"]).teacher[0, 1] == 0.25


def test_masks(tmp_path: Path) -> None:
    sheet(tmp_path / "pairs.csv", [("split", "image", "mask", "patient"), ("train", "a.png", "m.png", "1")])
    touched(tmp_path, "a.png", "m.png")
    assert read_pairs(tmp_path, "train").masks == (tmp_path / "m.png",)


def test_volumes_their_boxes_and_backgrounds(tmp_path: Path) -> None:
    head = ("split", "series", "patient", "collection", "licence", "Nodule")
    sheet(tmp_path / "labels.csv", [head, ("train", "s1", "p", "LCTSC", "CC BY 3.0, TCIA", "1")])
    touched(tmp_path, "train/s1.nii.gz")
    assert read_volume_examples(tmp_path, "train", ["Nodule"]).truth.tolist() == [[True]]
    assert backgrounds_of(tmp_path)[0].licence == "CC BY 3.0, TCIA"
    edges = ("x0", "x1", "y0", "y1", "z0", "z1")
    sheet(tmp_path / "boxes.csv", [("series", *edges), ("s1", "1", "2", "3", "4", "5", "6")])
    assert read_volume_boxes(tmp_path)[0].first == (1, 3, 5)


def test_a_number_that_is_none_is_named(tmp_path: Path) -> None:
    sheet(tmp_path / "labels.csv", [("split", "image", "patient", "age"), ("train", "a.png", "1", "old")])
    with pytest.raises(DataError, match=r"labels\.csv, line 2, age: 'old' is no number\."):
        read_examples(tmp_path, "train", [])
    assert number(" 1,5 ", "") == number("1.5", "") == 1.5


Read = Callable[[Path], object]


@pytest.mark.parametrize(
    ("table", "head", "read"),
    [
        ("labels.csv", ("split", "image", "patient", "Disc"), lambda folder: read_examples(folder, "train", ["Disc"])),
        ("labels.csv", ("split", "image", "group", "class"), lambda folder: read_examples(folder, "train", ["1"])),
        ("labels.csv", ("split", "series", "patient", "Disc"), lambda at: read_volume_examples(at, "train", ["Disc"])),
        ("pairs.csv", ("split", "image", "patient", "mask"), lambda folder: read_pairs(folder, "train")),
    ],
    ids=["images", "classes", "volumes", "masks"],
)
def test_patients_in_both_splits_are_refused_in_one_sentence(
    table: str, head: tuple[str, ...], read: Read, tmp_path: Path
) -> None:
    sheet(
        tmp_path / table, [head, ("train", "a", "P7", "1"), ("validation", "b", "P7", "1"), ("train", "c", "P8", "1")]
    )
    with pytest.raises(DataError) as caught:
        read(tmp_path)
    assert str(caught.value) == (
        f"{tmp_path / table}: 1 patients are in more than one split (P7; the first in train and validation): put all"
        " rows of each into one split."
    )
