from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from models.data.volumes.boxes import VolumeBox, box_mask, read_volume_boxes
from models.data.volumes.maps import in_volume, on_grid
from models.data.volumes.nifti import read_nifti_volume
from models.errors import DataError
from tests.models.shared_data import CHEST_CT, needs_chest_ct


def test_a_box_lies_where_the_files_own_voxels_are(tmp_path: Path) -> None:
    array = np.zeros((6, 8, 10), np.int16)
    array[1:3, 2:6, 3:5] = 100
    image = sitk.GetImageFromArray(array)
    image.SetDirection((-1, 0, 0, 0, -1, 0, 0, 0, 1))  # columns to the right, rows to the front
    sitk.WriteImage(image, str(tmp_path / "a.nii.gz"))
    volume = read_nifti_volume(tmp_path / "a.nii.gz")
    mask = box_mask(VolumeBox("a", "nodule", (3, 2, 1), (4, 5, 2)), tmp_path / "a.nii.gz", volume)
    assert volume.orientation == "RAS"
    assert (mask == (volume.array == 100)).all() and mask.sum() == 16
    with pytest.raises(DataError, match="box of a does not lie in"):
        box_mask(VolumeBox("a", "nodule", (3, 2, 1), (10, 5, 2)), tmp_path / "a.nii.gz", volume)


def test_boxes_that_are_none_are_named(tmp_path: Path) -> None:
    assert read_volume_boxes(tmp_path) == ()
    path = tmp_path / "boxes.csv"
    path.write_text("series,finding,x0,x1,y0,y1,z0,z1\na,nodule,1,2,3,4,5,6\n")
    assert read_volume_boxes(tmp_path) == (VolumeBox("a", "nodule", (1, 3, 5), (2, 4, 6)),)
    path.write_text("series,finding,x0,x1,y0,y1,z0,z1\na,nodule,1,2,3,4,6,5\n")
    with pytest.raises(DataError, match="line 2: a box ends before it begins"):
        read_volume_boxes(tmp_path)
    path.write_text("series,finding,x0,x1,y0,y1,z0\n")
    with pytest.raises(DataError, match="no column z1"):
        read_volume_boxes(tmp_path)


@needs_chest_ct
def test_published_boxes_are_those_of_the_masks() -> None:
    folder = CHEST_CT.parent / "volumes"
    boxes = {box.series: box for box in read_volume_boxes(folder)}
    assert len(boxes) == 7
    assert (boxes["QIN-LSC-0014"].first, boxes["QIN-LSC-0014"].last) == ((53, 55, 94), (67, 70, 106))


def test_maps_cover_the_volume_to_its_edges() -> None:
    ramp = np.broadcast_to(np.arange(4, dtype=np.float32)[:, None, None], (4, 3, 2)).copy()
    whole = on_grid(ramp, (8, 9, 10))
    assert whole[:, 4, 5].tolist() == pytest.approx([0, 0.25, 0.75, 1.25, 1.75, 2.25, 2.75, 3])
    assert on_grid(ramp, (4, 3, 2)) is ramp
    assert in_volume((0, 2, 1), (4, 3, 2), (8, 9, 10)) == (1, 7, 7)
