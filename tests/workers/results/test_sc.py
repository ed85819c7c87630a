"""The capture: the source's own pixels, coloured where the lesion is, and the legend below."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import Dataset

from models.regions import Mask
from tests.workers import results_phantoms as phantoms
from workers.findings.findings import Finding
from workers.findings.source import Source
from workers.results.drawing import Mark, drawn
from workers.results.sc import captures

RED, AMBER = (255, 0, 0), (255, 196, 0)


def square(rows: int, columns: int, at: tuple[slice, slice]) -> Mask:
    mask = np.zeros((rows, columns), dtype=np.bool_)
    mask[at] = True
    return mask


def coloured(picture: NDArray[np.uint8]) -> Mask:
    """Pixels that are not grey."""
    spread: Mask = picture.max(axis=2).astype(int) - picture.min(axis=2) > 8
    return spread


def of(source: Source, found: tuple[Finding, ...] | None = None) -> list[Dataset]:
    return list(captures(phantoms.study_of(phantoms.analysed(source, found))))


@pytest.mark.parametrize("at", [(slice(30, 60), slice(20, 50)), (slice(240, 270), slice(300, 330))])
def test_what_is_coloured_is_the_region_and_its_number(at: tuple[slice, slice]) -> None:
    grey = np.full((300, 400), 0.5, dtype=np.float32)
    picture = drawn(grey, [Mark(1, RED, square(300, 400, at))], 1.0)
    assert picture.shape == (300, 400, 3)
    inside = coloured(picture)[at]
    assert inside.all()
    rows, columns = np.nonzero(coloured(picture))
    assert at[0].stop - 1 <= rows.max() <= at[0].stop  # the line is half a pixel outside
    assert abs(columns.min() - at[1].start) <= 1
    assert rows.min() > at[0].start - 30  # its number is just above it
    untouched = np.ones((300, 400), dtype=np.bool_)
    untouched[at[0].start - 30 : at[0].stop + 3, at[1].start - 3 : at[1].stop + 3] = False
    assert (picture[untouched] == 128).all()


@pytest.mark.parametrize(("aspect", "shape"), [(2.0, (600, 400)), (0.5, (300, 800))])
def test_pixels_that_are_not_square_become_square(aspect: float, shape: tuple[int, int]) -> None:
    grey = np.full((300, 400), 0.5, dtype=np.float32)
    picture = drawn(grey, [Mark(1, RED, square(300, 400, (slice(200, 220), slice(100, 120))))], aspect)
    assert picture.shape[:2] == shape
    rows, columns = np.nonzero(coloured(picture)[shape[0] * 190 // 300 :])
    assert columns.mean() / shape[1] == pytest.approx(110 / 400, abs=0.01)
    assert (rows.mean() + shape[0] * 190 // 300) / shape[0] == pytest.approx(210 / 300, abs=0.01)


def test_numbers_do_not_hide_each_other() -> None:
    grey = np.zeros((300, 400), dtype=np.float32)
    same = square(300, 400, (slice(150, 180), slice(100, 130)))
    marks = [Mark(1, RED, same), Mark(2, AMBER, same)]
    above = drawn(grey, marks, 1.0)[:148]
    reds, ambers = (above[..., 1] < 30) & (above[..., 0] > 100), above[..., 1] > 100
    assert reds.sum() > 15
    assert ambers.sum() > 15
    assert np.nonzero(reds)[1].max() < np.nonzero(ambers)[1].min()


def test_a_capture_is_what_workstations_show() -> None:
    (one,) = of(phantoms.image_source(phantoms.radiograph(300, 200)))
    assert (one.SamplesPerPixel, one.PhotometricInterpretation, one.PlanarConfiguration) == (3, "RGB", 0)
    assert (one.BitsAllocated, one.BitsStored, one.HighBit) == (8, 8, 7)
    assert (one.BurnedInAnnotation, one.Laterality, one.Modality) == ("YES", None, "OT")
    assert list(one.ImageType) == ["DERIVED", "SECONDARY"]
    assert list(one.PatientOrientation) == ["L", "F"]
    (source,) = one.SourceImageSequence
    assert source.ReferencedSOPInstanceUID == phantoms.radiograph().SOPInstanceUID
    assert "LossyImageCompression" not in one


def test_once_lossy_always_lossy() -> None:
    (one,) = of(phantoms.image_source(phantoms.radiograph(300, 200, LossyImageCompression="01")))
    assert one.LossyImageCompression == "01"


def test_an_unknown_orientation_stays_unknown() -> None:
    (one,) = of(phantoms.image_source(phantoms.radiograph(300, 200, PatientOrientation=None)))
    assert one.PatientOrientation is None


def test_the_picture_is_the_source_with_its_legend_below_it() -> None:
    source = phantoms.image_source(phantoms.radiograph(300, 200))
    (one,) = of(source)
    pixels = one.pixel_array
    assert (one.Columns, pixels.shape[1]) == (200, 200)
    assert one.Rows > 300
    picture, legend = pixels[:300], pixels[300:]
    assert (picture[250:] == 128).all()  # where no region is
    assert (legend[0] == 0).all()
    assert (legend.reshape(-1, 3) == (255, 191, 0)).all(axis=1).any()  # "research use, not for diagnosis"
    for colour in (RED, AMBER):
        assert (legend.reshape(-1, 3) == colour).all(axis=1).any()


def test_a_volume_has_one_picture_a_slice_with_regions_in_the_lung_window() -> None:
    source = phantoms.ct_source(12, 64, 80)
    (one,) = of(source)
    picture = one.pixel_array[:64]
    assert (picture[1, 40] == round(255 * (-1000 + 600 + 750) / 1499)).all() or abs(int(picture[1, 40, 0]) - 59) <= 1
    assert abs(int(picture[60, 40, 0]) - 59) <= 1  # air, at -1000 HU in -600/1500
    assert abs(int(picture[50, 40, 0]) - 229) <= 1  # water
    (reference,) = one.SourceImageSequence
    assert reference.ReferencedSOPInstanceUID in {header.SOPInstanceUID for header in source.headers}


def test_the_window_of_the_slice_is_kept() -> None:
    source = phantoms.ct_source(12, 64, 80)
    for header in source.headers:
        header.WindowCenter, header.WindowWidth = [0, 40], [2000, 400]
    (one,) = of(source)
    assert abs(int(one.pixel_array[50, 40, 0]) - 128) <= 1


def test_a_volume_without_a_region_shows_its_middle() -> None:
    source = phantoms.ct_source(12, 64, 80)
    (one,) = of(source, phantoms.no_findings(source))
    assert one.SourceImageSequence[0].ReferencedSOPInstanceUID == source.headers[6].SOPInstanceUID


def test_regions_on_two_slices_are_two_pictures_of_one_series() -> None:
    source = phantoms.ct_source(12, 64, 80)
    maps = np.stack([phantoms.blob((12, 64, 80), (z, 25.0, 30.0), 3.0) for z in (3.0, 9.0, 6.0)])
    found: Sequence[Dataset] = of(source, phantoms.found_in(source, maps, (0.9, 0.8, 0.1)))
    assert [int(one.InstanceNumber) for one in found] == [1, 2]
    assert len({one.SeriesInstanceUID for one in found}) == 1
    assert len({one.SOPInstanceUID for one in found}) == 2
