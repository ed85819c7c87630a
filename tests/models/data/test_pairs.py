from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from models.data.pairs import read_pairs, read_squares, without_masks
from models.errors import DataError
from tests.models.mask_phantoms import write_folder


def test_the_pairs_of_a_split(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "above" / "lungs", train=4, validation=2)
    pairs = read_pairs(folder, "train")
    assert len(pairs) == 4
    assert pairs.patients.tolist() == [0, 0, 1, 1]
    masks = read_squares(pairs.masks, 64)
    assert masks.shape == (4, 64, 64)
    assert set(np.unique(read_squares(pairs.masks, 96))) == {0, 255}
    assert pairs.rows(np.array([2])).images == (pairs.images[2],)


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"pairs\.csv cannot be read"):
        read_pairs(tmp_path, "train")
    folder = write_folder(tmp_path / "lungs", train=2, validation=2)
    with pytest.raises(DataError, match='no rows whose split is "test"'):
        read_pairs(folder, "test")
    lost = read_pairs(folder, "train").masks[0]
    lost.unlink()
    with pytest.raises(DataError, match=f"1 file of .*, the first: .*{lost.name}"):
        read_pairs(folder, "train")
    (folder / "pairs.csv").write_text("image,mask\na,b\n")
    with pytest.raises(DataError, match="has no column split, patient"):
        read_pairs(folder, "train")


def test_images_without_masks_are_the_training_images_of_the_folder_above(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "lungs", train=2, validation=2)
    assert without_masks(folder) == ()
    with (tmp_path / "labels.csv").open("w", newline="") as stream:
        rows = [("split", "image", "patient"), ("train", "a.png", 1), ("validation", "b.png", 2)]
        csv.writer(stream).writerows(rows)
    assert without_masks(folder) == (tmp_path / "images" / "a.png",)


def test_an_oblong_image_is_letterboxed_like_its_mask(tmp_path: Path) -> None:
    Image.fromarray(np.full((100, 50), 255, np.uint8)).save(tmp_path / "a.png")
    Image.fromarray(np.full((100, 50), True)).save(tmp_path / "b.png")
    squares = read_squares((tmp_path / "a.png", tmp_path / "b.png"), 32)
    np.testing.assert_array_equal(squares[0], squares[1])
    assert squares[0][:, 8:24].min() == 255
    assert squares[0][:, :8].max() == squares[0][:, 24:].max() == 0
