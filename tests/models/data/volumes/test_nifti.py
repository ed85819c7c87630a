"""NIfTI volumes: what is damaged or holds no numbers is refused, and a mask has to lie on its volume."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from models.data.volumes.nifti import read_nifti_mask, read_nifti_volume, write_nifti
from models.data.volumes.volume import Volume
from models.errors import DataError

SHAPE = (12, 30, 40)


@pytest.fixture
def volume() -> Volume:
    values = np.random.default_rng(0).normal(-700, 200, SHAPE).astype(np.float32)
    return Volume(values, (2.5, 1.0, 1.0), (10.0, -20.0, 30.0))


def test_a_file_that_is_cut_off_is_refused(volume: Volume, tmp_path: Path) -> None:
    path = tmp_path / "one.nii.gz"
    write_nifti(path, volume.image())
    np.testing.assert_allclose(read_nifti_volume(path).array, volume.array)
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(DataError, match=r"one\.nii\.gz is damaged or cut off"):
        read_nifti_volume(path)


def test_voxels_that_are_no_numbers_are_refused(volume: Volume, tmp_path: Path) -> None:
    volume.array[3, 4, 5] = np.nan
    write_nifti(tmp_path / "one.nii.gz", volume.image())
    with pytest.raises(DataError, match="voxels that are no numbers"):
        read_nifti_volume(tmp_path / "one.nii.gz")


@pytest.mark.parametrize("change", [{"spacing": (2.5, 2.0, 1.0)}, {"origin": (10.0, -20.0, 60.0)}])
def test_a_mask_on_another_grid_is_refused(volume: Volume, tmp_path: Path, change: dict[str, object]) -> None:
    mask = np.zeros(SHAPE, np.uint8)
    mask[2:5, 3:9, 7:20] = 1
    write_nifti(tmp_path / "right.nii.gz", volume.image(mask))
    np.testing.assert_array_equal(read_nifti_mask(tmp_path / "right.nii.gz", volume), mask > 0)
    write_nifti(tmp_path / "wrong.nii.gz", replace(volume, **change).image(mask))  # type: ignore[arg-type]
    with pytest.raises(DataError, match="lies on another grid than its volume"):
        read_nifti_mask(tmp_path / "wrong.nii.gz", volume)
