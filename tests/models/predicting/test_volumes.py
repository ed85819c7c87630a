from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from numpy.typing import NDArray
from PIL import Image

from models.data.volumes.nifti import write_nifti
from models.errors import DataError
from models.localizers.registry import Localized
from models.predicting import predict_volumes, volume_files
from models.predicting.volume_regions import extent, volume_regions
from tests.models import bright, volume_phantoms
from tests.models.data.volumes.dicom_phantoms import BALL, save, slices, tilted_ball
from tests.models.volume_phantoms import ball, chest

Array = NDArray[np.float32]
LESION = (8, 15, 12)


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def test_regions_and_maps_lead_back_to_the_file(tmp_path: Path) -> None:
    volume = chest(LESION)
    turned = sitk.DICOMOrient(volume.image(), "RAS")  # columns to the right, rows to the front
    (tmp_path / "in").mkdir()
    write_nifti(tmp_path / "in" / "one.nii.gz", turned)
    assert predict_volumes(volume_phantoms.model(), [tmp_path / "in"], tmp_path / "out") == (1, ())
    said = rows(tmp_path / "out" / "predictions.csv")
    assert [(row["volume"], row["label"], row["present"]) for row in said] == [
        ("one", "Nodule", "1"),
        ("one", "Mass", "1"),
    ]
    region = rows(tmp_path / "out" / "regions.csv")[0]
    x, y, z = 47 - LESION[2], 39 - LESION[1], LESION[0]  # of the turned file
    found = [(int(region[f"{axis}0"]) + int(region[f"{axis}1"])) / 2 for axis in "xyz"]
    assert found == pytest.approx([x, y, z], abs=1)
    centre = [float(region[f"centroid_{axis}_mm"]) for axis in "xyz"]
    assert centre == pytest.approx(turned.TransformIndexToPhysicalPoint((x, y, z)), abs=5)
    assert float(region["volume_ml"]) == pytest.approx(ball(LESION).sum() * 0.125, rel=0.5)
    assert 20 < float(region["long_axis_mm"]) < 60
    saliency = sitk.ReadImage(str(tmp_path / "out" / "saliency" / "one.Nodule.nii.gz"))
    assert saliency.GetSize() == turned.GetSize() and saliency.GetDirection() == pytest.approx(turned.GetDirection())
    peak = np.unravel_index(int(sitk.GetArrayFromImage(saliency).argmax()), (32, 40, 48))
    assert np.abs(np.subtract(peak, (z, y, x))).max() <= 2


def test_an_extent_is_of_the_mask() -> None:
    volume = chest()
    mask = np.zeros(volume.array.shape, np.bool_)
    mask[3:5, 10:13, 20:24] = True  # 3 rows and 4 columns of 5 mm: a diagonal of 25 mm
    found = extent(mask, volume)
    assert (found.first, found.stop) == ((20, 10, 3), (24, 13, 5))
    assert found.long_axis_mm == pytest.approx(25.0)
    assert found.volume_ml == pytest.approx(24 * 0.125)
    assert found.centroid == pytest.approx((-120 + 21.5 * 5, -100 + 11 * 5, 50 + 3.5 * 5))
    assert found.mean_hu == pytest.approx(float(volume.array[mask].mean()))


def test_folders_of_slices_are_volumes_and_masks_are_none(tmp_path: Path) -> None:
    volume = volume_phantoms.write_series(tmp_path / "nifti", "a", LESION)
    stored = np.round((volume.array + 1000) * 2).clip(0).astype(np.uint16)
    save(tmp_path / "patient" / "series", slices(stored, step=5.0)[:31])
    assert list(volume_files([tmp_path])) == ["nifti/a", "patient/series"]
    count, failures = predict_volumes(volume_phantoms.model(), [tmp_path / "nifti" / "a.nii.gz"], tmp_path / "out")
    assert (count, failures) == (1, ())
    with pytest.raises(DataError, match=r"already holds predictions\.csv"):
        predict_volumes(volume_phantoms.model(), [tmp_path / "nifti"], tmp_path / "out")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="No .nii.gz file and no folder of DICOM slices"):
        volume_files([tmp_path / "empty"])


def test_single_images_and_volumes_are_not_mixed_up(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((64, 64), np.uint8)).save(tmp_path / "a.png")
    count, failures = predict_volumes(volume_phantoms.model(), [tmp_path / "a.png"], tmp_path / "out")
    assert count == 0
    assert "is a single image, and this package sees volumes" in failures[0][1]
    with pytest.raises(DataError, match="sees single images, not volumes"):
        predict_volumes(bright.model(), [tmp_path / "a.png"], tmp_path / "other")


def test_of_exclusive_classes_the_most_probable_alone_is_present_and_remarks_are_written(tmp_path: Path) -> None:
    class Remarking:
        def localize(self, image: Array, spacing: tuple[float, ...] | None) -> Localized:
            found = volume_phantoms.Dense().localize(image, spacing)
            return Localized(np.array([0.0, 2.0], np.float32), found.saliency, None, ("low contrast",))

    one = volume_phantoms.model()
    labels = tuple(label.model_copy(update={"operating_point": 0.0}) for label in one.card.labels)
    card = one.card.model_copy(update={"activation": "softmax", "quantity": "probability", "labels": labels})
    volume_phantoms.write_series(tmp_path / "in", "a", LESION)
    files = [tmp_path / "in" / "a.nii.gz"]
    assert predict_volumes(replace(one, card=card, localizer=Remarking()), files, tmp_path / "out") == (1, ())
    assert [row["present"] for row in rows(tmp_path / "out" / "predictions.csv")] == ["0", "1"]
    assert {row["label"] for row in rows(tmp_path / "out" / "regions.csv")} <= {"Mass"}
    assert rows(tmp_path / "out" / "remarks.csv") == [{"volume": "a", "remark": "low contrast"}]


def test_a_tilted_series_is_predicted_and_the_remark_says_so(tmp_path: Path) -> None:
    class AsDense:
        def localize(self, image: Array, spacing: tuple[float, ...] | None) -> Localized:
            return Localized(np.array([2.0, -2.0], np.float32), np.stack([image + 1000.0, image]))

    save(tmp_path / "in" / "tilted", tilted_ball(20.0))
    one = replace(volume_phantoms.model(), localizer=AsDense())
    assert predict_volumes(one, [tmp_path / "in"], tmp_path / "out") == (1, ())
    said = [row["remark"] for row in rows(tmp_path / "out" / "remarks.csv")]
    assert said == ["the gantry was tilted by 20.0 degrees: voxels and maps are of a resampled grid"]
    saliency = sitk.ReadImage(str(tmp_path / "out" / "saliency" / "tilted.Nodule.nii.gz"))
    z, y, x = np.argwhere(sitk.GetArrayFromImage(saliency) > 500).mean(axis=0)
    assert saliency.TransformContinuousIndexToPhysicalPoint((x, y, z)) == pytest.approx(BALL, abs=0.5)


def test_regions_lie_in_the_thorax_alone() -> None:
    """As the node draws them: a map that is high everywhere has no region in skin, chest wall or air."""
    volume = chest()
    label = volume_phantoms.model().card.labels[0]
    shown = volume_regions(np.full(volume.array.shape, 500.0, np.float32), volume, label)
    inside = np.any([region.mask for region in shown], axis=0)
    assert inside[16, 20, 14] and inside[16, 20, 34]
    assert not inside[:, :6].any() and not inside[:, :, :5].any()
