from __future__ import annotations

import re
from pathlib import Path

import pytest

from models.data.datasets import read_boxes, read_examples, require_images
from models.data.images import read_image
from models.errors import DataError
from tests.models import phantoms


def test_examples_are_the_rows_of_their_split(tmp_path: Path) -> None:
    folder = phantoms.write_folder(tmp_path / "data", train=6, validation=4)
    examples = read_examples(folder, "validation", ["Half", "Disc"])
    assert len(examples) == 4
    assert [path.name for path in examples.files] == ["006.png", "007.png", "008.png", "009.png"]
    assert examples.patients.tolist() == [0, 0, 1, 1]
    assert examples.sources.tolist() == ["B", "B", "A", "A"]
    lines = (folder / "labels.csv").read_text().splitlines()[-4:]
    assert [row.tolist() for row in examples.truth] == [[line[-1] == "1", line[-3] == "1"] for line in lines]
    assert read_boxes(tmp_path) == ()


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"labels\.csv and images/"):
        read_examples(tmp_path, "train", ["Disc"])
    folder = phantoms.write_folder(tmp_path / "data", train=2, validation=1)
    with pytest.raises(DataError, match="has no column Mass"):
        read_examples(folder, "train", ["Disc", "Mass"])
    with pytest.raises(DataError, match='no rows whose split is "test"'):
        read_examples(folder, "test", ["Disc"])
    (folder / "images" / "000.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"000\.png cannot be read as an image"):
        read_image(folder / "images" / "000.png", (32, 32))


@pytest.mark.parametrize("value", ["yes", "", "2", "-1"])
def test_a_label_that_is_neither_0_nor_1_is_named(tmp_path: Path, value: str) -> None:
    folder = phantoms.write_folder(tmp_path / "data", train=2, validation=1)
    lines = (folder / "labels.csv").read_text().splitlines()
    lines[2] = lines[2].rsplit(",", 2)[0] + f",{value},0"
    (folder / "labels.csv").write_text("\n".join(lines))
    with pytest.raises(DataError, match=r"labels\.csv, line 3, Disc: .* is neither 0 nor 1"):
        read_examples(folder, "train", ["Disc"])


def test_what_pandas_writes_is_read(tmp_path: Path) -> None:
    folder = phantoms.write_folder(tmp_path / "data", train=4, validation=1)
    plain = read_examples(folder, "train", ["Disc", "Half"]).truth
    path = folder / "labels.csv"
    path.write_text(re.sub(r",([01]),([01])$", r",\1.0,\2.0", path.read_text(), flags=re.MULTILINE))
    assert ",1.0" in path.read_text()
    assert (read_examples(folder, "train", ["Disc", "Half"]).truth == plain).all()


def test_an_image_that_is_not_there_is_named_before_any_is_read(tmp_path: Path) -> None:
    folder = phantoms.write_folder(tmp_path / "data", train=2, validation=1)
    (folder / "images" / "001.png").unlink()
    with pytest.raises(DataError, match=r"1 image of labels.csv not found in .*images, the first: 001\.png"):
        require_images(read_examples(folder, "train", ["Disc"]))
