from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from models.data.volumes.dicom import holds_ct, read_dicom_volume
from models.errors import DataError
from tests.models.data.volumes.dicom_phantoms import AXIAL, BALL, enhanced, save, slices, tilted_ball
from tests.models.shared_data import CHEST_CT, needs_chest_ct


@pytest.fixture
def array() -> NDArray[np.uint16]:
    return np.random.default_rng(0).integers(0, 3000, (7, 6, 5)).astype(np.uint16)


def test_slices_become_hounsfield_units_in_the_patients_axes(array: NDArray[np.uint16], tmp_path: Path) -> None:
    folder = save(tmp_path / "ct", slices(array))
    (folder / "notes.txt").write_text("no DICOM")
    volume = read_dicom_volume(folder)
    assert holds_ct(folder) and not holds_ct(tmp_path)
    assert np.allclose(volume.array, array / 2 - 1000)
    assert (volume.spacing, volume.origin) == ((3.0, 0.8, 0.7), (-10.0, 20.0, 30.0))


def test_coronal_and_turned_slices_are_turned(array: NDArray[np.uint16], tmp_path: Path) -> None:
    coronal = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0]])
    volume = read_dicom_volume(save(tmp_path / "coronal", slices(array, coronal)))
    assert np.allclose(volume.array, (array / 2 - 1000).transpose(1, 0, 2)[::-1])
    assert volume.spacing == (0.8, 3.0, 0.7)
    feet_first = np.array([[-1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    volume = read_dicom_volume(save(tmp_path / "turned", slices(array, feet_first)))
    assert np.allclose(volume.array, (array / 2 - 1000)[::-1, :, ::-1])


def test_an_oblique_series_keeps_its_direction(array: NDArray[np.uint16], tmp_path: Path) -> None:
    angle = np.deg2rad(12)
    cosines = np.array([[1.0, 0.0, 0.0], [0.0, np.cos(angle), np.sin(angle)]])
    volume = read_dicom_volume(save(tmp_path / "oblique", slices(array, cosines)))
    assert np.allclose(volume.array, array / 2 - 1000)
    place = volume.image().TransformIndexToPhysicalPoint((0, 5, 0))
    assert place == pytest.approx((-10, 20 + 4 * np.cos(angle), 30 + 4 * np.sin(angle)), abs=1e-3)


def test_a_multi_frame_file_is_read(array: NDArray[np.uint16], tmp_path: Path) -> None:
    folder = save(tmp_path / "enhanced", [enhanced(array)])
    for path in (folder, folder / "00.dcm"):
        volume = read_dicom_volume(path)
        assert np.allclose(volume.array, array / 2 - 1000)
        assert (volume.spacing, volume.origin) == ((3.0, 0.8, 0.7), (-10.0, 20.0, 30.0))


def test_the_series_with_most_slices_that_is_no_localizer_is_read(array: NDArray[np.uint16], tmp_path: Path) -> None:
    scouts = slices(np.concatenate([array, array]), series="1.2.5")
    for scout in scouts:
        scout.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    folder = save(tmp_path / "ct", [*slices(array), *slices(array[:3] + 1, series="1.2.6"), *scouts])
    assert np.allclose(read_dicom_volume(folder).array, array / 2 - 1000)
    with pytest.raises(DataError, match=r"holds no CT volume: of 14 DICOM files none is CT"):
        read_dicom_volume(save(tmp_path / "scouts", scouts))


@pytest.mark.parametrize("degrees", [20.0, -14.0])
def test_a_tilted_series_is_resampled_onto_the_patients_axes(degrees: float, tmp_path: Path) -> None:
    volume = read_dicom_volume(save(tmp_path / "tilt", tilted_ball(degrees)))
    assert volume.tilt == pytest.approx(abs(degrees), abs=0.05)
    assert volume.direction == (1, 0, 0, 0, 1, 0, 0, 0, 1)
    inside = np.argwhere(volume.array > -425).mean(axis=0)
    place = volume.image().TransformContinuousIndexToPhysicalPoint(inside[::-1].tolist())
    assert place == pytest.approx(BALL, abs=0.3)
    assert read_dicom_volume(save(tmp_path / "straight", tilted_ball(0.0))).tilt == 0


def test_what_is_no_grid_is_refused_with_the_place(array: NDArray[np.uint16], tmp_path: Path) -> None:
    whole = slices(array)
    with pytest.raises(
        DataError, match=r"lacks slices.*after the one at \(-10.0, 20.0, 36.0\) mm .* 6.00 mm on, and 3"
    ):
        read_dicom_volume(save(tmp_path / "gap", whole[:3] + whole[4:]))
    with pytest.raises(DataError, match=r"two slices at \(-10.0, 20.0, 30.0\) mm"):
        read_dicom_volume(save(tmp_path / "twice", [*whole, *slices(array[:1])]))
    turned = slices(array[:1], AXIAL[::-1].copy())
    with pytest.raises(DataError, match="more than one orientation in a series: 1 of 8"):
        read_dicom_volume(save(tmp_path / "mixed", [*whole, *turned]))
    with pytest.raises(DataError, match=r"no stack of slices: .* 50.0 degrees away from their normal"):
        read_dicom_volume(save(tmp_path / "askew", slices(array, shift=(0.0, 3.5753, 0.0))))
    beside = slices(array)
    beside[3].ImagePositionPatient = [-10.0, 30.0, 39.0]
    with pytest.raises(DataError, match=r"displaced in their plane by up to .* mm at \(-10.0, 30.0, 39.0\) mm"):
        read_dicom_volume(save(tmp_path / "beside", beside))
    del whole[2].RescaleSlope
    with pytest.raises(DataError, match="RescaleSlope.*Export the series again"):
        read_dicom_volume(save(tmp_path / "no HU", whole))


@needs_chest_ct
def test_the_real_series_is_as_its_readme_says() -> None:
    volume = read_dicom_volume(CHEST_CT / "dicom")
    assert (volume.array.shape, volume.spacing[0]) == ((133, 512, 512), 2.5)
    assert volume.origin[2] == -340.0
    assert float(volume.array.min()) == -1024.0
