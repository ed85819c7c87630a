"""CT stacks: a phantom with a nodule at a known place in the patient, cut in any orientation, and LIDC-IDRI-0001."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from scipy.spatial.transform import Rotation

from models.data.geometry.resampling import Affine, sampled
from models.data.volumes.dicom import read_dicom_volume
from models.regions import bounds
from tests.models.data.volumes.dicom_phantoms import save as save_all
from tests.models.data.volumes.dicom_phantoms import tilted_ball
from tests.workers.imaging_phantoms import CHEST_CT, ct_series, ct_slice, sample, save
from workers.inputs.decoding.decoder import DecodeError, Decoder
from workers.inputs.stack import stack
from workers.inputs.volume import AIR, SourceVolume, VolumeError, hounsfield, load_volume

NODULE = np.array([12.0, -8.0, 20.0])  # LPS mm
TILT = np.radians(15)
ORIENTATIONS = {  # Image Orientation (Patient): where columns grow, where rows grow
    "axial": [1, 0, 0, 0, 1, 0],
    "axial, prone": [-1, 0, 0, 0, -1, 0],
    "axial, seen from the head": [-1, 0, 0, 0, 1, 0],
    "coronal": [1, 0, 0, 0, 0, -1],
    "sagittal": [0, 1, 0, 0, 0, -1],
    "sagittal, upside down": [0, -1, 0, 0, 0, 1],
    "axial, rows and columns exchanged": [0, 1, 0, 1, 0, 0],
    "oblique": [np.cos(TILT), np.sin(TILT), 0, -np.sin(TILT), np.cos(TILT), 0],
}


@pytest.fixture(scope="module")
def decoder():
    with Decoder() as decoder:
        yield decoder


def phantom(orientation: list[float], slices: int = 22, rows: int = 26, columns: int = 30) -> list[Dataset]:
    """Slices 2 mm apart with pixels of 1.5 mm x 1.2 mm around the origin, air with a nodule of 50 HU and 6 mm."""
    across, down = np.array(orientation[:3]), np.array(orientation[3:])
    normal = np.cross(across, down)
    series = []
    for index in range(slices):
        first = normal * 2 * (index - slices / 2) - across * 1.2 * columns / 2 - down * 1.5 * rows / 2 + NODULE * 0.8
        i, j = np.mgrid[:rows, :columns]
        places = first + i[..., None] * 1.5 * down + j[..., None] * 1.2 * across
        hu = np.where(np.linalg.norm(places - NODULE, axis=-1) < 6, 50, -900)
        slope, intercept = (1, -1024) if index % 2 else (0.5, -1000)  # each slice has its own
        series.append(
            ct_slice(
                np.round((hu - intercept) / slope).astype(np.int16),
                tuple(first),
                ImageOrientationPatient=[round(float(value), 9) for value in orientation],
                PixelSpacing=[1.5, 1.2],
                RescaleSlope=slope,
                RescaleIntercept=intercept,
                InstanceNumber=slices - index,
            )
        )
    return series


def load(decoder, folder, series: list[Dataset]) -> SourceVolume:
    paths = [save(one, folder / f"{index}.dcm") for index, one in enumerate(series)]
    random.Random(0).shuffle(paths)
    return load_volume(paths, decoder)


@pytest.mark.parametrize("name", ORIENTATIONS)
def test_a_nodule_is_found_where_the_patient_has_it_and_goes_back_to_its_slices(decoder, tmp_path, name):
    volume = load(decoder, tmp_path, phantom(ORIENTATIONS[name]))
    assert volume.array.shape == (22, 26, 30)
    assert volume.spacing == pytest.approx((2, 1.5, 1.2))
    assert sorted(np.unique(volume.array)) == [-900, 50]
    centre = np.argwhere(volume.array > 0).mean(axis=0)
    assert volume.position(centre) == pytest.approx(tuple(NODULE), abs=0.3)
    for index, one in enumerate(volume.headers):
        assert volume.position((index, 0, 0)) == pytest.approx(tuple(one.ImagePositionPatient), abs=1e-5)

    array, spacing = volume.to_model()
    assert array.flags.c_contiguous
    mask = array > 0
    source = volume.to_source(mask)
    assert source.dtype == np.bool_
    np.testing.assert_array_equal(source, volume.array > 0)
    np.testing.assert_array_equal(volume.to_source(array), volume.array)
    assert array.size * np.prod(spacing) == pytest.approx(volume.array.size * np.prod(volume.spacing))


@pytest.mark.parametrize("name", [name for name in ORIENTATIONS if name != "oblique"])
def test_the_models_axes_are_head_back_and_left(decoder, tmp_path, name):
    volume = load(decoder, tmp_path, phantom(ORIENTATIONS[name]))
    array, spacing = volume.to_model()
    found = np.argwhere(array > 0).mean(axis=0)
    last = np.array(volume.array.shape) - 1
    lowest = np.minimum(volume.position((0, 0, 0)), volume.position(last))  # the first voxel: feet, front, right
    assert (found * spacing)[::-1] + lowest == pytest.approx(NODULE, abs=0.3)


def test_an_oblique_volume_takes_the_nearest_axes(decoder, tmp_path):
    volume = load(decoder, tmp_path, phantom(ORIENTATIONS["oblique"]))
    assert volume.to_model()[0].shape == (22, 26, 30)


def test_a_coarse_map_of_the_model_is_spread_over_the_source(decoder, tmp_path):
    volume = load(decoder, tmp_path, phantom(ORIENTATIONS["sagittal, upside down"]))
    array, _ = volume.to_model()
    coarse = array.reshape(array.shape[0] // 2, 2, array.shape[1] // 2, 2, array.shape[2] // 2, 2).mean((1, 3, 5))
    found = np.maximum(volume.to_source(coarse) + 900, 0)
    centre = (np.indices(found.shape).reshape(3, -1) * found.ravel()).sum(axis=1) / found.sum()
    assert volume.position(centre) == pytest.approx(tuple(NODULE), abs=0.5)


def test_padding_is_air_and_nothing_is_below_it():
    dataset = ct_slice(np.zeros((2, 2), np.int16), (0, 0, 0), PixelPaddingValue=-2000)
    stored = np.array([[-2000, -1024], [0, 1024]], np.int16)
    assert hounsfield(stored, dataset).tolist() == [[AIR, AIR], [-1024, 0]]
    with pytest.raises(VolumeError, match="no Hounsfield units"):
        hounsfield(stored, ct_slice(stored, (0, 0, 0), RescaleIntercept=None))


def test_strangers_are_left_out_with_a_reason():
    series = ct_series([0, 1, 2, 3, 4, 5])
    series.append(ct_slice(np.zeros((16, 16), np.int16), (0, 0, 9), ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"]))
    series.append(ct_slice(np.zeros((16, 16), np.int16), (0, 0, 9), ImageOrientationPatient=[1, 0, 0, 0, 0, -1]))
    series.append(ct_slice(np.zeros((8, 8), np.int16), (0, 0, 9)))
    series.append(ct_slice(np.zeros((16, 16), np.int16), (0, 0, 9), PixelSpacing=[2, 2]))
    series.append(ct_slice(np.zeros((16, 16), np.int16), (0, 0, 9), FrameOfReferenceUID="1.2.3.10"))
    series.append(ct_slice(np.zeros((16, 16), np.int16), (0, 0, 9), ImagePositionPatient=None))
    series.append(ct_slice(np.zeros((16, 16), np.int16), (0, 0, 3), InstanceNumber=99))
    found = stack(series)
    assert [one.InstanceNumber for one in found.headers] == [1, 2, 3, 4, 5, 6]
    reasons = dict(found.left_out)
    assert [reasons[one.SOPInstanceUID] for one in series[6:]] == [
        "localizer",
        "other orientation than most slices",
        "other Rows or Columns than most slices",
        "other Pixel Spacing than most slices",
        "of another series or Frame of Reference",
        "no valid position, orientation or Pixel Spacing",
        "duplicate of another slice at z = 3.0 mm",
    ]


def test_of_two_slices_at_one_place_the_first_by_instance_number_is_kept():
    series = ct_series([0, 1, 1, 2, 3])
    series[1].InstanceNumber, series[2].InstanceNumber = 9, 2
    found = stack(series)
    assert [one.InstanceNumber for one in found.headers] == [1, 2, 4, 5]


@pytest.mark.parametrize(
    ("series", "reason"),
    [
        (ct_series([0, 1, 2, 4, 5, 6]), r"missing between z = 2\.0 mm and z = 4\.0 mm: 2\.00 mm apart where 1\.00"),
        (ct_series([0, 1, 2, 3.2, 4.2, 5.2]), r"uneven slice spacing between z = 2\.0 mm and z = 3\.2 mm"),
        (ct_series([0, 6, 12, 18, 24, 30]), r"slices every 6\.00 mm, the model is made for 0\.4 to 5 mm"),
        (ct_series([0, 0.2, 0.4, 0.6, 0.8]), r"slices every 0\.20 mm"),
        (ct_series([0, 1, 2, 3]), r"only 4 slices, at least 5 are needed"),
        (ct_series([0, 0, 0, 1, 2, 3]), r"only 4 slices.*2 left out \(duplicate of another slice at z = 0\.0 mm\)"),
        ([], r"only 0 slices"),
        (ct_series([0, 1, 2, 3, 4, 5], ImageOrientationPatient=[1, 0, 0, 1, 0, 0]), r"only 0 slices"),
    ],
)
def test_what_is_no_regular_stack_is_refused_with_the_place(series, reason):
    with pytest.raises(VolumeError, match=reason):
        stack(series, CHEST_CT)


def test_rounding_in_the_header_is_forgiven():
    found = stack(ct_series([0, 0.63, 1.25, 1.88, 2.5, 3.13]), CHEST_CT)
    assert found.spacing[0] == pytest.approx(0.626)


@pytest.mark.parametrize(("degrees", "tilt"), [(15, 15.0), (-20, 20.0), (0, 0.0)])
def test_a_tilted_gantry_is_seen_by_its_positions_and_not_by_its_attribute(degrees, tilt):
    tilted = ct_series([0, 5, 10, 15, 20, 25], GantryDetectorTilt=15)
    for one in tilted:
        one.ImagePositionPatient[1] = float(one.ImagePositionPatient[2]) * np.tan(np.radians(degrees))
    found = stack(tilted)
    assert found.tilt == pytest.approx(tilt, abs=1e-5)
    assert found.notes == (
        (f"the gantry was tilted by {tilt:.1f} degrees: the slices were resampled for the model",) if degrees else ()
    )
    for one in tilted:
        one.ImagePositionPatient[1] = float(one.ImagePositionPatient[2]) * np.tan(np.radians(50))
    with pytest.raises(VolumeError, match=r"stacked 50\.0 degrees away from their normal"):
        stack(tilted)


def test_of_slices_with_a_gap_the_largest_part_is_taken_and_said():
    series = ct_series([0, 1, 2, 3, 4, 5, 6, 7, 10, 11, 12])
    found = stack(series, CHEST_CT)
    assert [float(one.ImagePositionPatient[2]) for one in found.headers] == list(range(8))
    (note,) = found.notes
    assert note == (
        "slices are missing between z = 7.0 mm and z = 10.0 mm: 3.00 mm apart where 1.00 mm is usual: analysed were "
        "the 8 slices from z = 0.0 mm to z = 7.0 mm, and 3 were not"
    )
    assert {uid for uid, why in found.left_out if "beyond a gap" in why} == {one.SOPInstanceUID for one in series[8:]}


ANGLES = st.floats(-25, 25)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    tilt=ANGLES, turn=ANGLES, roll=ANGLES, flips=st.tuples(*[st.sampled_from([1, -1])] * 2),
    spacing=st.tuples(st.floats(0.8, 3), st.floats(0.7, 1.6), st.floats(0.7, 1.6)),
)  # fmt: skip
def test_a_ball_is_where_the_patient_has_it_for_the_model_and_on_the_slices(tilt, turn, roll, flips, spacing):
    """Of any tilted, oblique, flipped stack; the way there and back is right to a voxel, the model's axes are LPS."""
    volume = ball(tilt, turn, roll, flips, spacing)
    array, steps = volume.to_model()
    found = centre_of(array + 900.0)
    assert volume.tilted == (abs(np.tan(np.radians(tilt))) * spacing[0] * 29 > max(spacing[1:]))
    shape, way = volume._model_grid
    assert array.shape == shape
    back = volume.position(way.inverse()(found))
    assert np.linalg.norm(np.array(back) - NODULE) < max(spacing)
    if volume.tilted:  # its axes are the patient's own
        one_up = np.array(volume.position(way.inverse()(found + np.array([1, 0, 0])))) - back
        assert one_up == pytest.approx([0, 0, steps[0]], abs=1e-9)
    for saliency in (np.maximum(array + 900.0, 0).astype(np.float32), coarse(array + 900.0)):
        again = volume.to_source(saliency)
        assert again.shape == volume.array.shape
        assert np.linalg.norm(np.array(volume.position(centre_of(again))) - NODULE) < max(spacing)
        box = volume.box_of(bounds(saliency > 0.5 * saliency.max()), saliency.shape)
        part = volume.part_of(saliency, box)
        np.testing.assert_allclose(part, again[box], atol=0.01)
        outside = again.copy()
        outside[box] = 0
        assert outside.max() <= 0.5 * saliency.max() + 0.01


def ball(tilt, turn, roll, flips, spacing) -> SourceVolume:
    """A ball of 6 mm at NODULE in air, on slices whose stack is moved in their plane by a tilt."""
    rotation = (Rotation.from_euler("xyz", [0, roll, turn], degrees=True)).as_matrix()
    across, down = rotation[:, 0] * flips[0], rotation[:, 1] * flips[1]
    normal = np.cross(across, down)
    shear = np.tan(np.radians(tilt)) * down
    if abs(np.tan(np.radians(tilt))) * spacing[0] * 29 <= max(spacing[1:]):
        shear = np.zeros(3)
    direction = np.stack([normal + shear, down, across])
    shape = np.array([30, 34, 38])
    origin = NODULE - (shape / 2 - 0.5 + [2, -1, 1.3]) * spacing @ direction
    index = np.stack(np.mgrid[tuple(map(slice, shape))], -1)
    places = origin + (index * spacing) @ direction
    hu = np.where(np.linalg.norm(places - NODULE, axis=-1) < 6, 50, -900).astype(np.int16)
    return SourceVolume((), hu, spacing, direction, tuple(origin))


def centre_of(values) -> np.ndarray:
    """Centre of mass of what is brighter than half."""
    inside = values * (values > 0.5 * values.max())
    return (np.indices(values.shape).reshape(3, -1) * inside.ravel()).sum(axis=1) / inside.sum()


def coarse(values) -> np.ndarray:
    """A map of half as many voxels along each axis that covers the same extent."""
    shape = tuple(length // 2 for length in values.shape)
    return sampled(values.astype(np.float32), Affine.between(shape, values.shape), tuple(map(slice, (0, 0, 0), shape)))


def test_a_slice_that_lies_beside_the_others_is_refused():
    series = ct_series([0, 1, 2, 3, 4, 5])
    series[3].ImagePositionPatient = [30, 0, 3]
    with pytest.raises(VolumeError, match=r"displaced in their plane by up to .* mm at z = 3\.0 mm"):
        stack(series)


def test_a_slice_that_cannot_be_decoded_fails_the_volume_by_name(decoder, tmp_path):
    series = phantom(ORIENTATIONS["axial"])
    series[7].PixelData = series[7].PixelData[:100]
    with pytest.raises(DecodeError, match=series[7].SOPInstanceUID):
        load(decoder, tmp_path, series)


def test_the_real_ct_is_whole_lies_as_a_patient_lies_and_holds_its_nodule(decoder):
    paths = sample("chest-ct")
    volume = load_volume(paths[::-1], decoder, CHEST_CT)
    assert volume.array.shape == (133, 512, 512)
    assert volume.spacing == (2.5, 0.703125, 0.703125)
    assert volume.origin == (-166.0, -171.699997, -340.0)
    assert volume.left_out == ()
    assert volume.array.min() == AIR
    array, spacing = volume.to_model()
    assert spacing == volume.spacing
    np.testing.assert_array_equal(volume.to_source(array), volume.array)
    bone = array > 300
    assert bone[:, 330:420, 200:270].sum() > 3 * bone[:, 92:182, 200:270].sum()  # the spine is at the back
    assert array[35:43, 204:224, 167:187].mean() == pytest.approx(75, abs=25)  # the liver: low, and on the right
    assert array[90:100, 204:224, 167:187].mean() < -700  # the right lung is above it
    # Outlined by radiologists on the slice at z = -125 around column 317, row 367 (LIDC-IDRI annotations).
    index = round((-125 + 340) / 2.5)
    assert volume.position((index, 0, 0))[2] == pytest.approx(-125)
    assert volume.array[index, 362:372, 312:322].mean() > -500  # lung is -850


@pytest.mark.parametrize(
    ("slices", "change", "reason"),
    [
        (5001, {}, "5001 slices of 2 x 2 pixels, at most 5000"),
        (3, {"Rows": 30000, "Columns": 30000}, "at most 1073741824 voxels"),
        (3, {"PixelSpacing": [3000.0, 3000.0]}, "cannot be true"),
    ],
)
def test_a_volume_that_no_patient_has_is_refused_before_it_is_decoded(slices, change, reason):
    headers = []
    for number in range(slices):
        header = Dataset()
        header.SOPInstanceUID, header.SeriesInstanceUID, header.FrameOfReferenceUID = f"1.2.{number}", "1.3", "1.4"
        header.ImageOrientationPatient, header.PixelSpacing = [1, 0, 0, 0, 1, 0], [100.0, 100.0]
        header.ImagePositionPatient, header.Rows, header.Columns = [0, 0, number * 100.0], 2, 2
        for keyword, value in change.items():
            setattr(header, keyword, value)
        headers.append(header)
    with pytest.raises(VolumeError, match=reason):
        stack(headers)


def test_models_and_the_node_see_the_same_of_a_tilted_series(decoder, tmp_path):
    folder = save_all(tmp_path / "tilt", tilted_ball(17.0))
    array, spacing = load_volume(sorted(folder.iterdir()), decoder).to_model()
    volume = read_dicom_volume(folder)
    assert volume.spacing == pytest.approx(spacing)
    np.testing.assert_allclose(volume.array, array, atol=0.51)  # the node's are whole HU
