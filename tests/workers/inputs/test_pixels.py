"""Stored values to intensities, by the formulas of PS3.3, by pydicom's own LUTs, and on real radiographs."""

from __future__ import annotations

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.pixels import apply_modality_lut, apply_voi_lut

from node.errors import AnalysisError
from tests.workers.imaging_phantoms import pydicom_file, radiograph, sample, save
from workers.inputs.decoding.decoder import Decoder
from workers.inputs.pixels import SourceImage, image_grid, load_image, padded, spacing_of

RAMP = np.arange(256, dtype=np.uint8).reshape(16, 16)


@pytest.fixture(scope="module")
def decoder():
    with Decoder() as decoder:
        yield decoder


@pytest.fixture
def load(decoder, tmp_path):
    def load(pixels: np.ndarray, **attributes: object) -> SourceImage:
        return load_image(save(radiograph(pixels, **attributes), tmp_path / "x.dcm"), decoder)

    return load


def table(first: int, bits: int, data: list[int], length: int | None = None) -> Dataset:
    item = Dataset()
    item.add_new("LUTDescriptor", "SS" if first < 0 else "US", [len(data) if length is None else length, first, bits])
    words = np.array(data, "<u2").tobytes()
    item.add_new("LUTData", *(("US", data) if len(data) < 1000 else ("OW", words)))
    return item


def test_a_window_follows_the_formula_of_each_function(load):
    found = load(RAMP, WindowCenter=100, WindowWidth=50).intensity.ravel()
    assert found[75] == 0  # C - 0.5 - (W - 1) / 2
    assert found[124] == 1
    assert found[100] == pytest.approx((100 - 99.5) / 49 + 0.5)
    exact = load(RAMP, WindowCenter=100, WindowWidth=50, VOILUTFunction="LINEAR_EXACT").intensity.ravel()
    assert exact[[75, 100, 125]].tolist() == [0, 0.5, 1]
    sigmoid = load(RAMP, WindowCenter=100, WindowWidth=50, VOILUTFunction="SIGMOID").intensity.ravel()
    np.testing.assert_allclose(sigmoid, 1 / (1 + np.exp(-4 * (np.arange(256) - 100) / 50)), atol=1e-6)


def test_a_full_window_of_8_bits_is_the_identity(load):
    image = load(RAMP, WindowCenter=128, WindowWidth=256)
    np.testing.assert_allclose(image.intensity.ravel(), np.arange(256) / 255, atol=1e-6)
    assert image.voi == "window 128/256 LINEAR"


def test_the_first_of_several_windows_counts_and_a_width_of_one_is_a_step(load):
    image = load(RAMP, WindowCenter=[100, 5], WindowWidth=[1, 7])
    assert image.intensity.ravel()[[99, 100]].tolist() == [0, 1]


def test_the_window_is_in_rescaled_values(load):
    image = load(RAMP, WindowCenter=0.5, WindowWidth=511, RescaleSlope=2, RescaleIntercept=-255)
    np.testing.assert_allclose(image.intensity.ravel(), np.arange(256) / 255, atol=1e-6)


@pytest.mark.parametrize(
    ("interpretation", "shape", "white"),
    [
        ("MONOCHROME2", None, 255),
        ("MONOCHROME1", None, 0),
        ("MONOCHROME1", "INVERSE", 0),  # they say the same: not inverted twice
        ("MONOCHROME2", "INVERSE", 0),
        ("MONOCHROME2", "IDENTITY", 255),
    ],
)
def test_monochrome1_and_inverse_turn_white_and_black_once(load, interpretation, shape, white):
    attributes = {"PresentationLUTShape": shape} if shape else {}
    image = load(RAMP, PhotometricInterpretation=interpretation, WindowCenter=128, WindowWidth=256, **attributes)
    assert image.intensity.ravel()[white] == 1
    assert image.intensity.ravel()[255 - white] == 0


@pytest.mark.parametrize("bad", [{}, {"WindowCenter": 5, "WindowWidth": 0}, {"WindowCenter": 5}, {"WindowWidth": 5}])
def test_without_a_valid_window_percentiles_of_the_valid_pixels_do_and_it_is_said(load, bad):
    pixels = np.random.default_rng(0).normal(2000, 100, (100, 100)).astype(np.uint16)
    pixels[0, :20] = 60000  # two tenths of a percent: a burnt spot
    pixels[50:] = 0  # padding: half of the image
    image = load(pixels, PixelPaddingValue=0, **bad)
    assert "percentiles" in image.voi
    low, high = np.percentile(pixels[:50], [0.5, 99.5])
    np.testing.assert_allclose(image.intensity[:50], np.clip((pixels[:50] - low) / (high - low), 0, 1), atol=0.01)
    assert not image.intensity[50:].any()


@pytest.mark.parametrize("interpretation", ["MONOCHROME1", "MONOCHROME2"])
def test_padding_is_found_among_stored_values_and_stays_black(load, interpretation):
    image = load(
        RAMP,
        PhotometricInterpretation=interpretation,
        PixelPaddingValue=250,
        PixelPaddingRangeLimit=252,
        RescaleSlope=-3,
        RescaleIntercept=250,
        WindowCenter=-132,
        WindowWidth=766,
    )
    assert np.flatnonzero(~image.valid.ravel()).tolist() == [250, 251, 252]
    assert image.intensity.ravel()[250:253].tolist() == [0, 0, 0]
    assert image.intensity.ravel()[249] == pytest.approx(249 / 255 if interpretation == "MONOCHROME1" else 6 / 255)


def test_padding_written_with_the_other_sign_is_understood():
    dataset = radiograph(np.array([[-2000, 5]], np.int16))
    dataset.add_new("PixelPaddingValue", "US", 63536)  # as in LIDC-IDRI
    assert padded(np.array([[-2000, 5]], np.int16), dataset).tolist() == [[True, False]]


def test_signed_values_and_12_bits_with_an_overlay_above_them(load):
    signed = load(np.array([[-100, 0, 100]], np.int16), WindowCenter=0, WindowWidth=200, VOILUTFunction="LINEAR_EXACT")
    assert signed.intensity.tolist() == [[0, 0.5, 1]]
    overlay = np.array([[0, 4095, 0x1000, 0xFFFF]], np.uint16)
    seen = load(overlay, BitsStored=12, HighBit=11, WindowCenter=2048, WindowWidth=4096)
    assert seen.intensity.tolist() == [[0, 1, 0, 1]]


def test_a_voi_lut_goes_before_a_window_and_is_continued_at_both_ends(load):
    image = load(RAMP, VOILUTSequence=[table(100, 12, [0, 1000, 4095])], WindowCenter=1, WindowWidth=2)
    np.testing.assert_allclose(image.intensity.ravel()[[0, 100, 101, 102, 255]], [0, 0, 1000 / 4095, 1, 1], atol=1e-6)
    assert image.voi == "VOI LUT"


def test_a_modality_lut_is_applied_before_the_window(load):
    falling = table(0, 16, [1000 - 3 * i for i in range(256)])
    image = load(RAMP, ModalityLUTSequence=[falling], WindowCenter=618, WindowWidth=766)
    np.testing.assert_allclose(image.intensity.ravel(), 1 - np.arange(256) / 255, atol=1e-3)


def test_a_lut_that_says_0_entries_has_65536_and_may_begin_below_zero(load):
    data = np.arange(65536).tolist()
    full = load(np.array([[0, 65535]], np.uint16), VOILUTSequence=[table(0, 16, data, length=0)])
    assert full.intensity.tolist() == [[0, 1]]
    below = load(np.array([[-2, -1, 0]], np.int16), VOILUTSequence=[table(-2, 8, [0, 51, 255])])
    np.testing.assert_allclose(below.intensity, [[0, 0.2, 1]], atol=1e-6)


def test_real_luts_give_what_pydicom_gives(decoder):
    path = pydicom_file("vlut_04.dcm")
    dataset = dcmread(path)
    expected = apply_voi_lut(dataset.pixel_array, dataset) / 65535
    np.testing.assert_allclose(load_image(path, decoder).intensity, expected, atol=1e-6)
    path = pydicom_file("mlut_18.dcm")
    dataset = dcmread(path)
    expected = apply_modality_lut(dataset.pixel_array, dataset).astype(float)
    found = load_image(path, decoder).intensity
    inside = (found > 0) & (found < 1)
    assert inside.mean() > 0.5
    assert np.corrcoef(found[inside], expected[inside])[0, 1] == pytest.approx(1, abs=1e-9)


def test_a_real_monochrome1_radiograph_has_white_bone_and_dark_lungs(decoder):
    image = load_image(pydicom_file("RG1_UNCR.dcm"), decoder)
    stored = dcmread(pydicom_file("RG1_UNCR.dcm")).pixel_array.astype(float)
    np.testing.assert_allclose(image.intensity, 1 - np.clip((stored - 14999.5) / 29999 + 0.5, 0, 1), atol=1e-5)
    rows, columns = image.intensity.shape
    mediastinum = image.intensity[int(0.5 * rows) : int(0.6 * rows), int(0.47 * columns) : int(0.53 * columns)].mean()
    lung = image.intensity[int(0.3 * rows) : int(0.35 * rows), int(0.25 * columns) : int(0.3 * columns)].mean()
    assert mediastinum > lung + 0.1
    assert image.spacing is None  # the file says 0.000\0.000


@pytest.mark.parametrize(
    ("name", "bright"),
    [
        ("chest-xray-pneumothorax", (slice(15, 45), slice(35, 62))),  # the letter R beside the patient's right shoulder
        ("chest-xray-normal", (slice(85, 115), slice(420, 452))),  # the letter L beside the patient's left shoulder
        ("chest-xray-effusion", (slice(240, 300), slice(300, 360))),  # the heart, larger on the left
    ],
)
def test_the_samples_stand_upright_with_the_patients_left_on_the_right(decoder, name, bright):
    image = load_image(sample(name)[0], decoder)
    assert image.valid.all()
    assert image.spacing is None
    seen = image_grid(image.dataset, (64, 64)).to_input(image.intensity)
    assert seen[48:].mean() > seen[:16].mean()  # the abdomen is below, and white
    there, mirrored = image.intensity[bright], image.intensity[:, ::-1][bright]
    assert there.max() > mirrored.max() + 0.3 or there.mean() > mirrored.mean() + 0.1


def test_the_dogs_picture_is_monochrome1_too(decoder):
    image = load_image(sample("dog")[0], decoder)
    assert image.spacing == (1.2, 1.201199999999)
    assert image.intensity[:10, 150:].mean() < 0.1  # air above the back


@pytest.mark.parametrize(
    ("attributes", "reason"),
    [
        ({"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB"}, "colour"),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, "colour"),
        ({"NumberOfFrames": 2}, "several frames"),
    ],
)
def test_colour_and_frames_are_refused(load, attributes, reason):
    with pytest.raises(AnalysisError, match=reason):
        load(RAMP, **attributes)


def test_an_image_of_padding_alone_is_refused(load):
    with pytest.raises(AnalysisError, match="no pixel"):
        load(np.zeros((4, 4), np.uint8), PixelPaddingValue=0)


@pytest.mark.parametrize(
    ("attributes", "spacing"),
    [
        ({"PixelSpacing": [0.2, 0.3], "ImagerPixelSpacing": [0.5, 0.5]}, (0.2, 0.3)),
        ({"ImagerPixelSpacing": [0.5, 0.4]}, (0.5, 0.4)),
        ({"PixelSpacing": [0, 0], "ImagerPixelSpacing": [0.5, 0.4]}, (0.5, 0.4)),
        ({}, None),
    ],
)
def test_spacing_is_that_of_the_pixels_else_of_the_imager_if_it_can_be_true(attributes, spacing):
    assert spacing_of(radiograph(RAMP, **attributes)) == spacing


def test_the_grid_uses_orientation_and_the_aspect_of_the_pixels():
    assert image_grid(radiograph(RAMP, PatientOrientation=["R", "F"]), (32, 32)).flip_columns
    assert not image_grid(radiograph(RAMP, PatientOrientation=None), (32, 32)).flip_columns
    grid = image_grid(radiograph(RAMP, PixelAspectRatio=[2, 1]), (32, 32))  # twice as high as wide
    assert (grid.row_scale, grid.column_scale) == (0.5, 1.0)
    grid = image_grid(radiograph(RAMP, PixelSpacing=[0.1, 0.2], PixelAspectRatio=[2, 1]), (32, 32))
    assert (grid.row_scale, grid.column_scale) == (1.0, 0.5)
