"""Pictures of images whose attributes contradict each other equal those of DCMTK, within rounding."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import DataElement, config, dcmread
from pydicom.datadict import dictionary_VR
from pydicom.dataset import Dataset
from pydicom.uid import UID, ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from node.errors import AnalysisError
from tests.field_data import FIELD, needs_field
from tests.workers.dcmtk import BY_DATA, VOI_LUT, WINDOW, picture
from tests.workers.imaging_phantoms import pydicom_file, radiograph, save
from workers.inputs.decoding.decoder import Decoder
from workers.inputs.lut import lookup_table
from workers.inputs.pixels import load_image

ROUNDING = 0.0045  # DCMTK looks up tables of 8 bits in 256ths
RAMP = np.arange(4096, dtype=np.uint16).reshape(64, 64)
SIGNED = (RAMP.astype(np.int32) - 2048).astype(np.int16)
TWELVE = {"BitsStored": 12, "HighBit": 11}
FULL = {"WindowCenter": 2048, "WindowWidth": 4096}
NARROW = {"WindowCenter": 2000, "WindowWidth": 1000}
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # pydicom's, of what is wrong on purpose


@pytest.fixture(scope="module")
def decoder():
    with Decoder() as decoder:
        yield decoder


@pytest.fixture
def difference(decoder: Decoder, tmp_path: Path) -> Callable[..., float]:
    """Of our picture and DCMTK's of such an image, at its worst pixel."""

    def difference(pixels: np.ndarray, options: tuple[str, ...], **attributes: Any) -> float:
        path = save(made(pixels, attributes), tmp_path / "x.dcm")
        return float(np.abs(load_image(path, decoder).intensity - picture(path, *options)).max())

    return difference


def made(pixels: np.ndarray, attributes: dict[str, Any]) -> Dataset:
    dataset = radiograph(pixels)
    for keyword, value in attributes.items():
        if value is None:
            del dataset[keyword]
        else:
            vr = dataset[keyword].VR if keyword in dataset else dictionary_VR(keyword)
            dataset.add(DataElement(keyword, vr, value, validation_mode=config.IGNORE))
    return dataset


def table(
    first: int, bits: int, data: list[int] | bytes, vr: str = "US", length: int | None = None, of: str | None = None
) -> Dataset:
    """A LUT item: the descriptor's VR is `of` (else by its sign), the data's `vr`."""
    item = Dataset()
    entries = len(data) if length is None else length
    item.add_new("LUTDescriptor", of or ("SS" if first < 0 else "US"), [entries, first, bits])
    if vr == "OW":
        item.add_new("LUTData", vr, data if isinstance(data, bytes) else np.array(data, "<u2").tobytes())
    else:
        item.add_new("LUTData", vr, list(data))
    return item


def curve(entries: int, largest: int, gamma: float = 2.0) -> list[int]:
    return [round(float(value)) for value in np.linspace(0, 1, entries) ** gamma * largest]


EIGHT = bytes(curve(4096, 255))
VOI = {
    "bits as in the data": table(0, 12, curve(4096, 4095)),
    "16 bits of 12": table(0, 16, curve(4096, 4095)),
    "16 bits of 14": table(0, 16, curve(4096, 16383)),
    "16 bits of which a part is used": table(0, 16, curve(4096, 60000)),
    "0 bits": table(0, 0, curve(4096, 4095)),
    "20 bits": table(0, 20, curve(4096, 4095)),
    "8 bits of 12": table(0, 8, curve(4096, 4095)),
    "10 bits of 12": table(0, 10, curve(4096, 4095)),
    "12 bits of which a part is used": table(0, 12, curve(4096, 3000)),
    "8 bits in words": table(0, 8, curve(4096, 255)),
    "8 bits, two in a word": table(0, 8, EIGHT, "OW", 4096),
    "16 bits declared, two in a word": table(0, 16, EIGHT, "OW", 4096),
    "OW": table(0, 12, curve(4096, 4095), "OW"),
    "from 1000 on": table(1000, 12, curve(512, 4095)),
    "more declared than there are": table(0, 12, curve(1000, 4095), length=4096),
    "less declared than there are": table(0, 12, curve(4096, 4095), length=1000),
    "falling": table(0, 12, curve(4096, 4095)[::-1]),
    "65,536 entries": table(0, 16, curve(65536, 65535), "OW", 0),
}


@pytest.mark.parametrize("what", VOI)
def test_a_voi_lut_that_contradicts_its_data(difference, what):
    assert difference(RAMP, (*VOI_LUT, *BY_DATA), **TWELVE, VOILUTSequence=[VOI[what]]) < ROUNDING


def test_a_table_of_16_bits_that_uses_half_of_them_is_as_it_says(difference):
    assert difference(RAMP, VOI_LUT, **TWELVE, VOILUTSequence=[table(0, 16, curve(4096, 40000))]) < ROUNDING


def test_the_first_of_several_tables_counts_before_any_window(difference):
    tables = [table(0, 12, curve(4096, 4095)), table(0, 12, curve(4096, 4095, 1.0))]
    assert difference(RAMP, VOI_LUT, **TWELVE, **FULL, VOILUTSequence=tables) < ROUNDING


@pytest.mark.parametrize(("first", "of"), [(-2048, "SS"), (63488, "US")])
@pytest.mark.parametrize(
    ("pixels", "attributes"), [(SIGNED, {}), (RAMP, {**TWELVE, "RescaleSlope": 1, "RescaleIntercept": -2048})]
)
def test_the_first_value_is_signed_where_values_are(difference, first, of, pixels, attributes):
    item = table(first, 12, curve(4096, 4095), of=of)
    assert difference(pixels, VOI_LUT, **attributes, VOILUTSequence=[item]) < ROUNDING


@pytest.mark.parametrize(
    ("item", "window"),
    [
        (table(0, 12, curve(4096, 4095)), FULL),
        (table(0, 16, curve(4096, 4095)), FULL),
        (table(0, 8, EIGHT, "OW", 4096), {"WindowCenter": 128, "WindowWidth": 256}),
    ],
)
def test_a_modality_lut_counts_before_slope_and_intercept(difference, item, window):
    attributes = {**TWELVE, **window, "RescaleSlope": 2, "RescaleIntercept": 5, "ModalityLUTSequence": [item]}
    assert difference(RAMP, WINDOW, **attributes) < ROUNDING


def test_both_tables(difference):
    modality, voi = table(0, 12, curve(4096, 4095)), table(0, 16, curve(4096, 4095, 0.5))
    attributes = {"ModalityLUTSequence": [modality], "VOILUTSequence": [voi]}
    assert difference(RAMP, (*VOI_LUT, *BY_DATA), **TWELVE, **attributes) < ROUNDING


KINDS: dict[str, tuple[np.ndarray, dict[str, Any]]] = {
    "slope 0": (RAMP, {**TWELVE, **FULL, "RescaleSlope": 0, "RescaleIntercept": 100}),
    "falling slope": (RAMP, {**TWELVE, "WindowCenter": -2048, "WindowWidth": 4096, "RescaleSlope": -1,
                             "RescaleIntercept": 0}),
    "width 1": (RAMP, {**TWELVE, "WindowCenter": 2000, "WindowWidth": 1}),
    "several windows": (RAMP, {**TWELVE, "WindowCenter": [2000, 100], "WindowWidth": [1000, 10]}),
    "sigmoid": (RAMP, {**TWELVE, **NARROW, "VOILUTFunction": "SIGMOID"}),
    "sigmoid in small letters": (RAMP, {**TWELVE, **NARROW, "VOILUTFunction": "sigmoid"}),
    "linear exact": (RAMP, {**TWELVE, **NARROW, "VOILUTFunction": "LINEAR_EXACT"}),
    "MONOCHROME1": (RAMP, {**TWELVE, **NARROW, "PhotometricInterpretation": "MONOCHROME1"}),
    "inverse": (RAMP, {**TWELVE, **NARROW, "PresentationLUTShape": "INVERSE"}),
    "MONOCHROME1 and inverse": (RAMP, {**TWELVE, **NARROW, "PhotometricInterpretation": "MONOCHROME1",
                                       "PresentationLUTShape": "INVERSE"}),
    "MONOCHROME1 and identity": (RAMP, {**TWELVE, **NARROW, "PhotometricInterpretation": "MONOCHROME1",
                                        "PresentationLUTShape": "IDENTITY"}),
    "small letters": (RAMP, {**TWELVE, **NARROW, "PhotometricInterpretation": "monochrome1"}),
    "padded": (RAMP, {**TWELVE, **NARROW, "PhotometricInterpretation": " Monochrome2"}),
    "a space within": (RAMP, {**TWELVE, **NARROW, "PhotometricInterpretation": "MONOCHROME 1"}),
    "values above Bits Stored": (RAMP, {"BitsStored": 10, "HighBit": 9, "WindowCenter": 512, "WindowWidth": 1024}),
    "overlay bits": (RAMP | (RAMP % 7 == 0).astype(np.uint16) << 12, {**TWELVE, **FULL}),
    "High Bit 15": (RAMP << 4, {"BitsStored": 12, "HighBit": 15, **FULL}),
    "no High Bit": (RAMP, {"BitsStored": 12, "HighBit": None, **FULL}),
    "12 signed bits of 16": (SIGNED & 0x0FFF, {**TWELVE, "WindowCenter": 0, "WindowWidth": 4096}),
}  # fmt: skip


@pytest.mark.parametrize("what", KINDS)
def test_the_picture_is_that_of_dcmtk(difference, what):
    pixels, attributes = KINDS[what]
    assert difference(pixels, WINDOW, **attributes) < ROUNDING


@pytest.mark.parametrize("keyword", ["BitsStored", "BitsAllocated", "PixelRepresentation"])
def test_what_dcmtk_refuses_is_not_guessed(decoder, tmp_path, keyword):
    path = save(made(RAMP, {keyword: None}), tmp_path / "x.dcm")
    with pytest.raises(AssertionError, match="Missing attribute"):
        picture(path)
    with pytest.raises(AnalysisError, match=f"it has no {keyword}"):
        load_image(path, decoder)


@pytest.mark.parametrize(("stored", "high"), [(16, 11), (12, 10)])
def test_a_high_bit_below_the_stored_bits_is_read_from_bit_0_where_dcmtk_refuses(decoder, tmp_path, stored, high):
    path = save(made(RAMP, {"BitsStored": stored, "HighBit": high, **FULL}), tmp_path / "x.dcm")
    with pytest.raises(AssertionError, match="Invalid element value"):
        picture(path)
    found = load_image(path, decoder).intensity.ravel()
    np.testing.assert_allclose(found, np.arange(4096) / 4095, atol=1e-4)


def test_table_words_that_were_written_with_a_sign_are_read_without_where_dcmtk_ignores_them():
    data = [value - 65536 if value > 32767 else value for value in curve(4096, 65535)]
    found = lookup_table(table(0, 16, data, "SS"), negative=False)
    assert found is not None
    assert found.entries.tolist() == curve(4096, 65535)


@pytest.mark.parametrize("seed", range(40))
def test_a_random_image_is_shown_as_dcmtk_shows_it(decoder, tmp_path, seed):
    rng = random.Random(seed)
    pixels, attributes, options, transfer_syntax = random_image(rng)
    path = written(made(pixels, attributes), transfer_syntax, tmp_path / "x.dcm")
    mine = load_image(path, decoder).intensity
    assert min(np.abs(mine - picture(path, *options, *more)).max() for more in ((), BY_DATA)) < ROUNDING


def random_image(rng: random.Random) -> tuple[np.ndarray, dict[str, Any], tuple[str, ...], UID]:
    """Stored values of any bits, modality and VOI transformations that may contradict them, and how it is encoded.

    Slopes are whole: DCMTK rounds the values in between.
    """
    bits, signed = rng.choice([8, 16, 16]), rng.random() < 0.4
    stored = rng.choice([8, 7, 6] if bits == 8 else [16, 14, 12, 10, 8])
    pixels = np.random.default_rng(rng.getrandbits(32)).integers(0, 1 << bits, (24, 24))
    pixels = pixels >> (bits - stored if rng.random() < 0.5 else 0)
    low, high = (-(1 << stored - 1), (1 << stored - 1) - 1) if signed else (0, (1 << stored) - 1)
    attributes: dict[str, Any] = {
        "BitsStored": stored,
        "HighBit": stored - 1 if rng.random() < 0.8 else rng.randint(stored - 1, bits - 1),
        "PixelRepresentation": int(signed),
        "PhotometricInterpretation": rng.choice(["MONOCHROME1", "MONOCHROME2", "monochrome2"]),
    }
    if shape := rng.choice([None, None, "IDENTITY", "INVERSE"]):
        attributes["PresentationLUTShape"] = shape
    kind = rng.choice(["none", "rescale", "table"])
    if kind == "rescale":
        slope, intercept = rng.choice([1, 2, -1, 0]), rng.choice([0, -1024, 100])
        attributes |= {"RescaleSlope": slope, "RescaleIntercept": intercept}
        low, high = sorted((low * slope + intercept, high * slope + intercept)) if slope else (low, high)
    if kind == "table":
        width = rng.choice([8, 10, 12, 16])
        attributes["ModalityLUTSequence"] = [random_table(rng, low, rng.choice([high - low + 1, 256, 1000]), width)]
        low, high = 0, (1 << width) - 1
    if rng.random() < 0.5:
        width = rng.choice([1, 2, max((high - low) // 2, 1), high - low + 1])
        attributes |= {"WindowCenter": rng.randint(low, high), "WindowWidth": width}
        attributes |= {"VOILUTFunction": "SIGMOID"} if rng.random() < 0.3 else {}
    else:
        entries = rng.choice([min(high - low + 1, 65536), 256, 999])
        attributes["VOILUTSequence"] = [random_table(rng, max(low, -32768), entries, rng.choice([8, 10, 12, 16]))]
    options = VOI_LUT if "VOILUTSequence" in attributes else WINDOW
    encoding = rng.choice([ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian])
    return pixels.astype(np.uint8 if bits == 8 else np.uint16), attributes, options, encoding


def random_table(rng: random.Random, first: int, entries: int, bits: int) -> Dataset:
    first += rng.choice([0, 0, rng.randint(0, 100)])
    data: list[int] | bytes = curve(entries, (1 << bits) - 1, rng.choice([0.5, 1.0, 2.0]))
    vr, of = "OW" if entries > 32767 else rng.choice(["US", "OW"]), "SS" if first < 0 and rng.random() < 0.5 else "US"
    if bits == 8 and vr == "OW" and rng.random() < 0.6:
        data = bytes(data) + b"\0" * (entries % 2)
    declared = rng.choice([bits, bits, 0, 8, 12, 16, 20])
    return table(first if of == "SS" else first & 0xFFFF, declared, data, vr, entries & 0xFFFF, of)


def written(dataset: Dataset, transfer_syntax: UID, path: Path) -> Path:
    """In this encoding, with the words of OW in its byte order."""
    dataset.file_meta.TransferSyntaxUID = transfer_syntax
    if transfer_syntax == ExplicitVRBigEndian:
        dataset["PixelData"].VR = "OW"
        tables = [item for keyword in ("ModalityLUTSequence", "VOILUTSequence") for item in dataset.get(keyword, ())]
        for holder, keyword in [(dataset, "PixelData"), *((item, "LUTData") for item in tables)]:
            if holder[keyword].VR == "OW":
                holder[keyword].value = np.frombuffer(holder[keyword].value, "<u2").astype(">u2").tobytes()
    explicit, little = not transfer_syntax.is_implicit_VR, transfer_syntax.is_little_endian
    dataset.save_as(path, implicit_vr=not explicit, little_endian=little, enforce_file_format=True)
    return path


@pytest.mark.parametrize("name", ["RG1_UNCI.dcm", "RG3_UNCI.dcm", "CR-MONO1-10-chest.dcm"])
def test_files_of_real_devices(decoder, tmp_path, name):
    dataset = dcmread(pydicom_file(name))
    if "VOILUTSequence" not in dataset and "WindowCenter" not in dataset:
        dataset.WindowCenter, dataset.WindowWidth = 512, 1024  # without a window ours has percentiles
    path = save(dataset, tmp_path / "x.dcm")
    mine = load_image(path, decoder)
    options = VOI_LUT if "VOILUTSequence" in dataset else WINDOW
    assert np.abs(mine.intensity - picture(path, *options))[mine.valid].max() < ROUNDING


@needs_field
@pytest.mark.parametrize("name", ["agfa-voilut-12of16.dcm", "voilut-bits0.dcm"])
def test_the_field_s_agfa_tables(decoder, tmp_path, name):
    path = tmp_path / "x.dcm"
    path.write_bytes((FIELD / "02-voilut-narrower-than-declared" / name).read_bytes())
    assert np.abs(load_image(path, decoder).intensity - picture(path, *VOI_LUT, *BY_DATA)).max() < ROUNDING
