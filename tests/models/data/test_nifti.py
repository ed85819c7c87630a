from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK
from numpy.typing import NDArray

from models.data.images import file_size, read_image
from models.data.nifti import is_nifti
from models.errors import DataError

# (rows, columns): the marker lies at the top left, where a radiograph shows the patient's right side.
PICTURE = np.zeros((40, 60), np.float32)
PICTURE[4:10, 5:15] = 200


def saved(path: Path, data: NDArray[np.float32], affine: NDArray[np.float64] | None) -> Path:
    image = nibabel.Nifti1Image(data, affine)
    nibabel.save(image, path)
    return path


def read(path: Path) -> NDArray[np.float32]:
    assert file_size(path) == PICTURE.shape
    return read_image(path, (40, 60))


def affine(*columns: tuple[int, int, int]) -> NDArray[np.float64]:
    matrix = np.eye(4)
    matrix[:3, :3] = np.array(columns).T
    return matrix


RIGHT, LEFT, FRONT, BACK, UP, DOWN = (1, 0, 0), (-1, 0, 0), (0, 1, 0), (0, -1, 0), (0, 0, 1), (0, 0, -1)


def test_without_orientation_the_first_index_is_the_column(tmp_path: Path) -> None:
    path = saved(tmp_path / "plain.nii.gz", PICTURE.T, None)
    np.testing.assert_allclose(read(path), PICTURE / 200)


@pytest.mark.parametrize(
    ("data", "directions"),
    [
        (PICTURE.T, (LEFT, DOWN, BACK)),
        (PICTURE[::-1].T, (LEFT, UP, FRONT)),
        (PICTURE[::-1, ::-1].T, (RIGHT, UP, FRONT)),
        (PICTURE, (DOWN, LEFT, BACK)),
    ],
)
def test_the_orientation_decides_where_left_is(
    tmp_path: Path, data: NDArray[np.float32], directions: tuple[tuple[int, int, int], ...]
) -> None:
    path = saved(tmp_path / "turned.nii", np.ascontiguousarray(data)[..., None], affine(*directions))
    np.testing.assert_allclose(read(path), PICTURE / 200)


def test_a_picture_that_itk_wrote_reads_back(tmp_path: Path) -> None:
    path = tmp_path / "itk.nii.gz"
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(PICTURE), str(path))
    np.testing.assert_allclose(read(path), PICTURE / 200)


def test_what_is_no_frontal_plane_is_said(tmp_path: Path) -> None:
    volume = saved(tmp_path / "volume.nii", np.zeros((4, 5, 6), np.float32), None)
    with pytest.raises(DataError, match=r"volume\.nii has the shape \(4, 5, 6\): one plane is read"):
        read_image(volume, (8, 8))
    lateral = saved(tmp_path / "lateral.nii", PICTURE.T[..., None], affine(FRONT, UP, RIGHT))
    with pytest.raises(DataError, match=r"lateral\.nii is a lateral"):
        read_image(lateral, (8, 8))
    for name in ("bad.nii", "bad.nii.gz"):
        bad = tmp_path / name
        bad.write_bytes(b"no image")
        with pytest.raises(DataError, match=f"{name} cannot be read"):
            read_image(bad, (8, 8))


def test_names(tmp_path: Path) -> None:
    assert is_nifti(tmp_path / "A.NII.GZ")
    assert not is_nifti(tmp_path / "a.gz")
