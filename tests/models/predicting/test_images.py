from __future__ import annotations

import csv
import shutil
from pathlib import Path

import nibabel
import numpy as np
import pytest
from PIL import Image
from pydicom.data import get_testdata_file

from models import packages
from models.errors import DataError
from models.predicting import image_files, predict
from tests.models import bright, phantoms


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def spot(path: Path, size: tuple[int, int] = (400, 200), at: tuple[int, int] = (300, 50)) -> Path:
    """A dark image with a bright square of 60 pixels, centred at row, column `at`."""
    pixels = np.full(size, 60, np.uint8)
    pixels[at[0] - 30 : at[0] + 30, at[1] - 30 : at[1] + 30] = 255
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


def test_regions_and_maps_lead_back_to_the_file(tmp_path: Path) -> None:
    spot(tmp_path / "in" / "deep" / "one.png")
    assert predict(bright.model(), [tmp_path / "in"], tmp_path / "out") == (1, ())
    said = rows(tmp_path / "out" / "predictions.csv")
    assert [(row["image"], row["label"], row["present"]) for row in said] == [
        ("deep/one.png", "Disc", "1"),
        ("deep/one.png", "Half", "0"),
    ]
    (region,) = rows(tmp_path / "out" / "regions.csv")
    assert list(region) == ["image", "label", "x", "y", "width", "height", "score"]
    place = [float(region[key]) for key in ("x", "y", "width", "height")]
    assert place == pytest.approx([20, 270, 60, 60], abs=10)
    with np.load(tmp_path / "out" / "saliency" / "deep" / "one.png.npz") as kept:
        disc = kept["saliency"][list(kept["labels"]).index("Disc")]
        cell = np.array(np.unravel_index(disc.argmax(), disc.shape))
        row, column = kept["origin"] + (cell + 0.5) * kept["step"]
        assert kept["file_size"].tolist() == [400, 200]
        assert float(region["score"]) <= disc.max() + 1e-6
    assert abs(row - 300) <= 30 and abs(column - 50) <= 30


def test_what_cannot_be_read_is_named_and_the_rest_goes_on(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    spot(folder / "a.png")
    shutil.copy(str(get_testdata_file("CT_small.dcm")), folder / "b")  # DICOM without a suffix
    (folder / "c.jpg").write_bytes(b"no picture")
    shutil.copy(str(get_testdata_file("rtplan.dcm")), folder / "d.dcm")  # no pixels
    (folder / "labels.csv").write_text("image\n")
    (folder / ".hidden.png").write_bytes(b"")
    steps = list[tuple[int, int]]()
    count, failures = predict(
        bright.model(), [folder], tmp_path / "out", advance=lambda done, all_: steps.append((done, all_))
    )
    assert count == 2
    assert [path.name for path, _ in failures] == ["c.jpg", "d.dcm"]
    assert all("cannot be read as an image" in reason for _, reason in failures)
    assert {row["image"] for row in rows(tmp_path / "out" / "predictions.csv")} == {"a.png", "b"}
    assert steps == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_nifti_files_below_a_folder_are_taken(tmp_path: Path) -> None:
    plane = np.full((200, 400), 60.0, np.float32)
    plane[20:80, 270:330] = 255  # first index columns: the spot lies at row 300, column 50
    nibabel.save(nibabel.Nifti1Image(plane, None), tmp_path / "one.nii.gz")
    predict(bright.model(), [tmp_path], tmp_path / "out")
    (region,) = rows(tmp_path / "out" / "regions.csv")
    place = [float(region[key]) for key in ("x", "y", "width", "height")]
    assert place == pytest.approx([20, 270, 60, 60], abs=10)


def test_names_stay_apart_and_a_file_given_twice_is_one(tmp_path: Path) -> None:
    one, two = spot(tmp_path / "x" / "same.png"), spot(tmp_path / "y" / "same.png")
    assert list(image_files([one, tmp_path / "y", two])) == ["x/same.png", "y/same.png"]
    assert list(image_files([one])) == ["same.png"]
    here = tmp_path / "y"
    assert list(image_files([here / ".." / "x" / "same.png", two])) == ["x/same.png", "y/same.png"]
    with pytest.raises(DataError, match=r"no file or folder .*nothing"):
        image_files([one, tmp_path / "nothing"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="No PNG, JPEG, DICOM or NIfTI file is below"):
        image_files([tmp_path / "empty"])


def test_predictions_are_not_written_over_unless_asked(tmp_path: Path) -> None:
    one, out = spot(tmp_path / "one.png"), tmp_path / "out"
    predict(bright.model(), [one], out)
    (out / "notes.txt").write_text("mine")
    with pytest.raises(DataError, match=r"already holds predictions\.csv, regions\.csv, remarks\.csv, saliency"):
        predict(bright.model(), [one], out)
    predict(bright.model(), [spot(tmp_path / "two.png")], out, replace=True)
    assert [path.name for path in (out / "saliency").iterdir()] == ["two.png.npz"]
    assert (out / "notes.txt").read_text() == "mine"


def test_a_package_of_volumes_is_refused(tmp_path: Path) -> None:
    model = packages.load(packages.find("chest-ct"), "cpu")
    with pytest.raises(DataError, match="chest-ct sees volumes: give"):
        predict(model, [phantoms.write_folder(tmp_path / "data", 1, 1)], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match=r"file cannot be written: "):
        predict(bright.model(), [spot(tmp_path / "one.png")], tmp_path / "file")
