"""Colours of stored values, by photometric interpretation and codec, and grey images that are stored as colours."""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from pydicom import uid
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.pixels import convert_color_space

from models.card import Input, Window
from node.errors import AnalysisError
from workers.dicom.attributes import header
from workers.inputs.colour import ALIKE, grey
from workers.inputs.decoding.decoder import Decoder
from workers.inputs.eligibility import refusal
from workers.inputs.pixels import image_grid, load_image
from workers.inputs.storage import image_classes

Bytes = NDArray[np.uint8]
RGB = Input(kind="image", modalities=("XC",), size=(16, 16), colour="rgb")
GREY = Input(kind="image", modalities=("XC",), size=(16, 16))


def picture() -> Bytes:
    """Four quarters: red, green, blue, and a warm grey."""
    found = np.zeros((32, 32, 3), np.uint8)
    found[:16, :16], found[:16, 16:], found[16:, :16], found[16:, 16:] = (220, 20, 30), (10, 200, 40), (5, 30, 210), 128
    return found


@pytest.fixture(scope="module")
def decoder() -> Iterator[Decoder]:
    with Decoder() as one:
        yield one


def written(folder: Path, data: bytes, interpretation: str, syntax: str = uid.ExplicitVRLittleEndian,
            samples: int = 3, **attributes: object) -> Path:  # fmt: skip
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = image_classes("XC")[0]
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = uid.generate_uid()
    dataset.Modality, dataset.Rows, dataset.Columns = "XC", 32, 32
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = samples, interpretation
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 8, 8, 7, 0
    if samples > 1:
        dataset.PlanarConfiguration = 0
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    dataset.PixelData = data
    dataset["PixelData"].VR = "OB"
    dataset["PixelData"].is_undefined_length = uid.UID(syntax).is_compressed
    path = folder / "x.dcm"
    dataset.save_as(path, enforce_file_format=True)
    return path


def coded(kind: str, **options: object) -> bytes:
    stream = BytesIO()
    Image.fromarray(picture()).save(stream, kind, **options)
    return encapsulate([stream.getvalue()])


def palette(**attributes: object) -> dict[str, object]:
    """Entry n is (n, 255 - n, 7) of 8 bits, as words."""
    entries = {"Red": range(256), "Green": range(255, -1, -1), "Blue": [7] * 256}
    found: dict[str, object] = {}
    for name, values in entries.items():
        found[f"{name}PaletteColorLookupTableDescriptor"] = [256, 0, 16]
        found[f"{name}PaletteColorLookupTableData"] = (np.array(list(values), "<u2") * 257).tobytes()
    return found | attributes


CASES = {
    "rgb": (lambda: picture().tobytes(), "RGB", uid.ExplicitVRLittleEndian, {}),
    "planes": (lambda: picture().transpose(2, 0, 1).tobytes(), "RGB", uid.ExplicitVRLittleEndian,
               {"PlanarConfiguration": 1}),
    "16 bits": ((picture().astype("<u2") * 257).tobytes, "RGB", uid.ExplicitVRLittleEndian,
                {"BitsAllocated": 16, "BitsStored": 16, "HighBit": 15}),
    "ybr": (lambda: convert_color_space(picture(), "RGB", "YBR_FULL").tobytes(), "YBR_FULL",
            uid.ExplicitVRLittleEndian, {}),
    "jpeg": (lambda: coded("JPEG", quality=98, subsampling=0), "YBR_FULL", uid.JPEGBaseline8Bit, {}),
    "jpeg 422": (lambda: coded("JPEG", quality=98, subsampling=1), "YBR_FULL_422", uid.JPEGBaseline8Bit, {}),
    "jpeg 2000": (lambda: coded("JPEG2000", no_jp2=True, mct=1), "YBR_RCT", uid.JPEG2000Lossless, {}),
    "jpeg 2000 lossy": (lambda: coded("JPEG2000", no_jp2=True, mct=1, irreversible=True), "YBR_ICT", uid.JPEG2000, {}),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_every_interpretation_gives_the_same_red_green_and_blue(tmp_path: Path, decoder: Decoder, case: str) -> None:
    make, interpretation, syntax, attributes = CASES[case]
    image = load_image(written(tmp_path, make(), interpretation, syntax, **attributes), decoder, RGB)
    assert image.colours is not None
    for row, column in ((4, 4), (4, 28), (28, 4), (28, 28)):
        np.testing.assert_allclose(image.colours[row, column], picture()[row, column] / 255, atol=4 / 255)


def test_a_palette_is_looked_up(tmp_path: Path, decoder: Decoder) -> None:
    index = np.arange(1024, dtype=np.uint16).reshape(32, 32) % 256
    path = written(tmp_path, index.astype(np.uint8).tobytes(), "PALETTE COLOR", samples=1, **palette())
    image = load_image(path, decoder, RGB)
    assert image.colours is not None
    np.testing.assert_allclose(image.colours[3, 7] * 255, [103, 152, 7], atol=0.01)
    path = written(tmp_path, index.astype(np.uint8).tobytes(), "PALETTE COLOR", samples=1)
    with pytest.raises(AnalysisError, match="without Red Palette Color Lookup Table Data"):
        load_image(path, decoder, RGB)


def test_colours_that_are_grey_are_seen_by_a_model_of_grey_images_and_others_refused(
    tmp_path: Path, decoder: Decoder
) -> None:
    ramp = np.repeat(np.arange(32, dtype=np.uint8)[None, :, None] * 8, 32, 0).repeat(3, 2)
    ramp[..., 2] += 2
    image = load_image(written(tmp_path, ramp.tobytes(), "RGB"), decoder, GREY)
    np.testing.assert_allclose(image.intensity[0], np.arange(32) * 8 / 255, atol=ALIKE)
    assert image.colours is None
    ramp[5, 5, 0] += 4
    assert grey(ramp.astype(np.float32) / 255) is None
    with pytest.raises(AnalysisError, match="a colour image is not analysed by a model of grey images"):
        load_image(written(tmp_path, ramp.tobytes(), "RGB"), decoder, GREY)


def test_a_profile_is_not_applied_and_said_so(tmp_path: Path, decoder: Decoder) -> None:
    path = written(tmp_path, picture().tobytes(), "RGB", ICCProfile=b"\0" * 128)
    assert load_image(path, decoder, RGB).voi == "colours as stored, ICC Profile not applied"


def test_colours_are_of_classes_that_may_have_them(tmp_path: Path) -> None:
    dataset = header(written(tmp_path, picture().tobytes(), "RGB"))
    assert refusal(dataset, RGB) is None
    dataset.SOPClassUID, dataset.Modality = image_classes("CT")[0], "CT"
    assert refusal(dataset, Input(kind="image", modalities=("CT",), size=(16, 16), colour="rgb")) == "colour image"
    dataset.PhotometricInterpretation, dataset.Modality = "YBR_PARTIAL_420", "XC"
    dataset.SOPClassUID = image_classes("XC")[0]
    assert refusal(dataset, RGB) == "colour image"


def test_secondary_captures_are_read_where_a_card_asks_for_them_and_nowhere_else(tmp_path: Path) -> None:
    dataset = header(written(tmp_path, picture().tobytes(), "RGB", ImageType=["DERIVED", "SECONDARY"]))
    dataset.SOPClassUID = image_classes("OT")[0]
    assert refusal(dataset, RGB) == "secondary capture"
    assert refusal(dataset, Input(kind="image", modalities=("OT",), size=(16, 16), colour="rgb")) is None


def test_windows_are_of_hu(tmp_path: Path, decoder: Decoder) -> None:
    values = np.tile(np.arange(32, dtype="<u2") * 64, (32, 1))
    attributes = {"BitsAllocated": 16, "BitsStored": 12, "HighBit": 11, "RescaleSlope": 2, "RescaleIntercept": -1024}
    path = written(tmp_path, values.tobytes(), "MONOCHROME2", samples=1, **attributes)
    rules = Input(kind="image", modalities=("CT",), size=(32, 32), windows=(Window(-600, 1500), Window(40, 400)))
    lung, soft = load_image(path, decoder, rules).windows
    hu = values[0] * 2.0 - 1024
    np.testing.assert_allclose(lung[7], np.clip((hu + 1350) / 1500, 0, 1), atol=1e-6)
    np.testing.assert_allclose(soft[7], np.clip((hu + 160) / 400, 0, 1), atol=1e-6)


def test_a_crop_sees_the_middle_and_marks_what_it_does_not_see() -> None:
    dataset = Dataset()
    dataset.Rows, dataset.Columns = 40, 80
    grid = image_grid(dataset, (20, 20), crop=0.5)
    image = np.zeros((40, 80), np.float32)
    image[10:30, 30:50] = 1
    np.testing.assert_allclose(grid.to_input(image), 1, atol=1e-6)
    np.testing.assert_array_equal(grid.seen, image > 0)
