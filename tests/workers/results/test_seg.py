from __future__ import annotations

from dataclasses import replace
from io import BytesIO
from pathlib import Path

import highdicom as hd
import numpy as np
import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import SegmentationStorage

from tests.workers import results_phantoms as phantoms
from workers.findings.findings import Finding
from workers.findings.source import Source, VolumeSource
from workers.results.seg import segmentations


def _segmentations(source: Source, found: tuple[Finding, ...] | None = None) -> list[Dataset]:
    return list(segmentations(phantoms.study_of(phantoms.analysed(source, found))))


def _image(**attributes: object) -> tuple[Source, tuple[Finding, ...], Dataset]:
    source = phantoms.image_source(phantoms.radiograph(**attributes))
    found = phantoms.two_findings(source)
    (dataset,) = _segmentations(source, found)
    return source, found, dataset


def _volume() -> tuple[Source, tuple[Finding, ...], Dataset]:
    source = phantoms.ct_source()
    found = phantoms.two_findings(source)
    (dataset,) = _segmentations(source, found)
    return source, found, dataset


def _bytes(dataset: Dataset) -> bytes:
    buffer = BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def test_nothing_present_gives_no_segmentation() -> None:
    source = phantoms.image_source(phantoms.radiograph())
    assert _segmentations(source, phantoms.no_findings(source)) == []


def test_the_masks_of_a_radiograph_come_back_as_they_were(tmp_path: Path) -> None:
    source, found, dataset = _image()
    written = hd.seg.segread(phantoms.passed(dataset, tmp_path / "seg.dcm"))
    masks = [region.mask for finding in found for region in finding.regions]
    assert len(masks) == 2
    assert (masks[0] & masks[1]).any(), "the phantom's regions overlap"
    pixels = written.get_pixels_by_source_instance([str(source.headers[0].SOPInstanceUID)])
    assert np.array_equal(pixels[0], np.stack(masks, axis=-1))


def test_the_masks_of_a_ct_come_back_on_their_slices(tmp_path: Path) -> None:
    source, found, dataset = _volume()
    written = hd.seg.segread(phantoms.passed(dataset, tmp_path / "seg.dcm"))
    masks = np.stack([region.mask for finding in found for region in finding.regions], axis=-1)
    touched = np.flatnonzero(masks.any(axis=(1, 2, 3)))
    assert 0 < len(touched) < masks.shape[0]
    uids = [str(source.headers[index].SOPInstanceUID) for index in touched]
    pixels = written.get_pixels_by_source_instance(uids, assert_missing_frames_are_empty=True)
    assert np.array_equal(pixels, masks[touched])
    assert written.FrameOfReferenceUID == source.headers[0].FrameOfReferenceUID
    assert written.NumberOfFrames == int(masks.any(axis=(1, 2)).sum())


@pytest.mark.parametrize(
    "source",
    [phantoms.ct_source(columns=81, rows=63), phantoms.image_source(phantoms.radiograph(columns=201, rows=255))],
)
def test_frames_end_with_a_byte_whatever_the_size(source: Source, tmp_path: Path) -> None:
    """A server hands them out singly: bits that run on from frame to frame would be scattered pixels in OHIF."""
    found = phantoms.two_findings(source)
    (dataset,) = _segmentations(source, found)
    assert (
        dataset.NumberOfFrames * dataset.Rows * dataset.Columns == len(dataset.PixelData) - len(dataset.PixelData) % 2
    )
    assert set(dataset.PixelData) == {0, dataset.MaximumFractionalValue}
    written = hd.seg.segread(phantoms.passed(dataset, tmp_path / "seg.dcm"))
    masks = np.stack([region.boxed.whole for finding in found for region in finding.regions], axis=-1)
    masks = masks if source.is_volume else masks[np.newaxis]
    touched = np.flatnonzero(masks.any(axis=(1, 2, 3)))
    uids = [str(source.headers[index].SOPInstanceUID) for index in touched]
    pixels = written.get_pixels_by_source_instance(uids, assert_missing_frames_are_empty=True)
    assert np.array_equal(pixels == 1, masks[touched])


def test_one_frame_of_any_size_is_binary() -> None:
    source = phantoms.image_source(phantoms.radiograph(columns=201, rows=255))
    found = phantoms.two_findings(source)
    one = (found[0], *(replace(other, regions=()) for other in found[1:]))
    (dataset,) = _segmentations(source, one)
    assert (dataset.SegmentationType, dataset.NumberOfFrames) == ("BINARY", 1)


def test_segments_say_what_where_and_by_which_method() -> None:
    _, found, dataset = _image()
    assert dataset.SOPClassUID == SegmentationStorage
    assert (dataset.SegmentationType, dataset.SegmentsOverlap) == ("BINARY", "YES")
    assert dataset.ContentQualification == "RESEARCH"
    assert dataset.SeriesDescription.startswith("AI research: ")
    for number, (segment, finding) in enumerate(zip(dataset.SegmentSequence, found, strict=False), start=1):
        (region,) = finding.regions
        assert segment.SegmentNumber == number
        assert segment.SegmentLabel == segment.TrackingID == region.tracking_id
        assert segment.TrackingUID == region.tracking_uid
        assert segment.SegmentedPropertyTypeCodeSequence[0].CodeValue == finding.label.code.value
        assert segment.AnatomicRegionSequence[0].CodeValue == region.site.value
        assert segment.SegmentAlgorithmType == "AUTOMATIC"
        assert segment.SegmentAlgorithmName == "test-image 1.2.3 class activation map >= 1"
        colour = hd.color.CIELabColor.from_dicom_value(tuple(segment.RecommendedDisplayCIELabValue))
        assert colour.to_rgb() == pytest.approx(finding.label.colour, abs=2)


@pytest.mark.parametrize(
    ("attributes", "spacing"),
    [
        ({}, [1, 1]),
        ({"ImagerPixelSpacing": [0.2, 0.1]}, [0.2, 0.1]),
        ({"PixelSpacing": [0.3, 0.3], "ImagerPixelSpacing": [0.2, 0.1]}, [0.3, 0.3]),
    ],
)
def test_a_radiograph_gets_the_plane_that_viewers_need(attributes: dict[str, object], spacing: list[float]) -> None:
    _, _, dataset = _image(**attributes)
    shared = dataset.SharedFunctionalGroupsSequence[0]
    assert shared.PlaneOrientationSequence[0].ImageOrientationPatient == [1, 0, 0, 0, 1, 0]
    assert shared.PixelMeasuresSequence[0].PixelSpacing == spacing
    assert dataset.PatientOrientation == ["L", "F"]
    assert "FrameOfReferenceUID" not in dataset


@pytest.mark.parametrize(
    "attributes",
    [
        {"PatientOrientation": None},
        {"FrameOfReferenceUID": "1.2.3.4"},
        {"PatientID": None, "PatientSex": "X", "StudyDate": None, "StudyID": None},
        {"Manufacturer": None, "SpecificCharacterSet": None, "PatientName": "Plain^Name"},
    ],
)
def test_a_careless_modality_still_gets_a_valid_object(attributes: dict[str, object], tmp_path: Path) -> None:
    _, _, dataset = _image(**attributes)
    written = dcmread(phantoms.passed(dataset, tmp_path / "seg.dcm"))
    assert "PatientOrientation" in written


@pytest.mark.parametrize("make", [_image, _volume])
def test_the_same_input_gives_the_same_bytes_and_leaves_the_source_alone(make: object) -> None:
    assert callable(make)
    source, _, first = make()
    before = [header.to_json() for header in source.headers]
    _, _, second = make()
    assert _bytes(first) == _bytes(second)
    assert [header.to_json() for header in source.headers] == before


def test_a_volume_that_grew_is_segmented_anew_in_the_same_series_and_comes_last() -> None:
    whole = phantoms.ct_source()
    volume = whole.volume
    part = VolumeSource(replace(volume, headers=volume.headers[:-1], array=volume.array[:-1]))
    (first,), (second,) = (_segmentations(source) for source in (part, whole))
    assert first.SeriesInstanceUID == second.SeriesInstanceUID
    assert first.SOPInstanceUID != second.SOPInstanceUID
    assert first.InstanceNumber < second.InstanceNumber
    assert "SeriesTime" not in first, "it would differ within the series"


def test_segmentations_of_two_images_are_told_apart_in_the_list_of_series() -> None:
    made = [
        _image(SOPInstanceUID=f"1.2.826.0.1.3680043.8.498.0.{number}", InstanceNumber=number)[2] for number in (1, 2)
    ]
    assert [one.SeriesDescription.split(",")[0] for one in made] == [
        "AI research: S:1 I:1 regions", "AI research: S:1 I:2 regions"
    ]  # fmt: skip
    assert len({one.SeriesInstanceUID for one in made}) == 2
