from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from node.errors import AnalysisError
from tests.workers import results_phantoms as phantoms
from workers.findings import wording
from workers.findings.findings import Finding
from workers.findings.source import Source

SIZE = (64, 64)
NOTHING = np.zeros((8, 8), dtype=np.float32)


def _found(
    source: Source, saliency: NDArray[np.float32], probabilities: tuple[float, ...] = (0.9, 0.1, 0.1)
) -> tuple[Finding, ...]:
    return phantoms.found_in(source, saliency, probabilities)


def test_present_from_the_operating_point_on() -> None:
    source = phantoms.image_source(phantoms.radiograph())
    findings = _found(source, np.stack([NOTHING] * 3), (0.5, 0.39, 0.5))
    assert [finding.label.name for finding in findings] == ["Pneumothorax", "Nodule", "Pleural_Thickening"]
    assert [finding.present for finding in findings] == [True, False, True]
    assert findings[1].threshold == 0.4


def test_present_without_a_region_where_the_saliency_never_reaches_its_threshold() -> None:
    below = np.full((3, 8, 8), 0.99, dtype=np.float32)
    finding, *_ = _found(phantoms.image_source(phantoms.radiograph()), below)
    assert finding.present
    assert finding.regions == ()


def test_absent_without_a_region_whatever_the_saliency() -> None:
    glowing = np.full((3, 8, 8), 9, dtype=np.float32)
    *_, finding = _found(phantoms.image_source(phantoms.radiograph()), glowing)
    assert not finding.present
    assert finding.regions == ()


def test_no_number_is_no_absent() -> None:
    source = phantoms.image_source(phantoms.radiograph())
    with pytest.raises(AnalysisError, match="nan as the probability of Pneumothorax"):
        _found(source, np.stack([NOTHING] * 3), (float("nan"), 0.1, 0.1))


@pytest.mark.parametrize(
    ("orientation", "centre"),
    [
        (("L", "F"), (0.25, 0.75)),
        (("R", "F"), (0.25, 0.25)),
        (("L", "H"), (0.75, 0.75)),
        (("R", "H"), (0.75, 0.25)),
        (("F", "L"), (0.75, 0.25)),
        (("H", "L"), (0.75, 0.75)),
        (("F", "R"), (0.25, 0.25)),
        (("H", "R"), (0.25, 0.75)),
    ],
)
@pytest.mark.parametrize(("rows", "columns"), [(256, 256), (256, 200)])
def test_a_lesion_at_a_known_cell_comes_back_at_its_place(
    orientation: tuple[str, str], centre: tuple[float, float], rows: int, columns: int
) -> None:
    """The phantom lies at a quarter of the height and three quarters of the width as a radiologist sees it."""
    source = phantoms.image_source(phantoms.radiograph(rows, columns, orientation), SIZE)
    tall, wide = (columns, rows) if source.grid.transpose else (rows, columns)
    longest = max(tall, wide)  # letterbox: the content is centred, the longer side fills the input
    row = 16 * (0.5 + (0.25 - 0.5) * tall / longest)
    column = 16 * (0.5 + (0.75 - 0.5) * wide / longest)
    saliency = np.stack([phantoms.blob((16, 16), (row, column), 2.0)] + [np.zeros((16, 16), dtype=np.float32)] * 2)
    (region,) = _found(source, saliency)[0].regions
    expected = np.array(centre) * (rows, columns)
    assert region.mask.shape == (rows, columns)
    assert np.argwhere(region.mask).mean(axis=0) + 0.5 == pytest.approx(expected, abs=1.0)
    assert wording.place(region.location) == "left upper zone"
    assert region.score == pytest.approx(saliency[0].max(), abs=0.2)


def test_a_region_knows_its_lung_and_never_reaches_padding() -> None:
    source = phantoms.image_source(phantoms.radiograph())
    source.image.valid[:, :30] = False
    saliency = np.stack([NOTHING, phantoms.blob((8, 8), (4, 3), 2.0), NOTHING])
    (region,) = _found(source, saliency, (0.1, 0.9, 0.1))[1].regions
    assert region.site.meaning == "Right lung"
    assert not region.mask[:, :30].any()
    assert region.mask[:, 30].any()


@pytest.mark.parametrize(
    ("spacing", "area_of_a_pixel"),
    [
        ({}, None),
        ({"ImagerPixelSpacing": [0.2, 0.1]}, 0.02),
        ({"PixelSpacing": [0.5, 0.5], "ImagerPixelSpacing": [0.2, 0.1]}, 0.25),
        ({"PixelSpacing": [0.0, 0.0]}, None),
    ],
)
def test_an_area_is_told_only_where_a_spacing_is_known(
    spacing: dict[str, list[float]], area_of_a_pixel: float | None
) -> None:
    source = phantoms.image_source(phantoms.radiograph(**spacing))
    (region,) = _found(source, np.stack([phantoms.blob((8, 8), (4, 4), 1.5), NOTHING, NOTHING]))[0].regions
    assert region.volume_mm3 is None
    if area_of_a_pixel is None:
        assert region.area_mm2 is None
    else:
        assert region.area_mm2 == pytest.approx(region.mask.sum() * area_of_a_pixel)


def test_a_region_of_a_volume_says_side_position_and_image_number() -> None:
    source = phantoms.ct_source()
    saliency = np.zeros((3, *source.volume.array.shape), dtype=np.float32)
    saliency[1] = phantoms.blob(source.volume.array.shape, (6.5, 30.0, 60.0), 4.0)
    (region,) = _found(source, saliency, (0.1, 0.9, 0.1))[1].regions
    assert phantoms.largest_slice(region.mask) == region.frame == 6
    assert np.argwhere(region.mask).mean(axis=0) + 0.5 == pytest.approx([6.5, 30, 60], abs=0.3)
    assert (
        wording.place(region.location) == "left, slice at z = -85.0 mm (image 6)"
    )  # -100 + 6 * 2.5; numbered from the head down
    assert region.site.meaning == "Left lung"
    assert region.area_mm2 is None
    assert region.volume_mm3 == pytest.approx(region.mask.sum() * 2.5)


def test_tracking_identifiers_belong_to_source_label_and_rank() -> None:
    source = phantoms.image_source(phantoms.radiograph())
    two = phantoms.blob((8, 8), (1.5, 1.5), 1.0) + phantoms.blob((8, 8), (6.5, 6.5), 1.0, peak=3.0)
    first = _found(source, np.stack([two, two, NOTHING]), (0.9, 0.9, 0.1))
    again = _found(source, np.stack([two, two, NOTHING]), (0.9, 0.9, 0.1))
    regions = [region for finding in first for region in finding.regions]
    assert [region.tracking_id for region in regions] == ["Pneumothorax 1", "Pneumothorax 2", "Nodule 1", "Nodule 2"]
    assert [region.score > 2.5 for region in regions] == [True, False, True, False]
    assert len({region.tracking_uid for region in regions}) == 4
    assert [region.tracking_uid for finding in again for region in finding.regions] == [
        region.tracking_uid for region in regions
    ]
