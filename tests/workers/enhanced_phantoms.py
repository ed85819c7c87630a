"""Single CT slices put together as one Enhanced CT Image (PS3.3 A.38), as scanners send it."""

from __future__ import annotations

import copy
from collections.abc import Sequence

from pydicom import Dataset
from pydicom.uid import EnhancedCTImageStorage, ExplicitVRLittleEndian

PER_SLICE = (
    "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness", "RescaleSlope",
    "RescaleIntercept", "WindowCenter", "WindowWidth", "ConvolutionKernel", "PixelData", "SliceLocation",
    "AcquisitionNumber", "RescaleType", "GantryDetectorTilt",
)  # fmt: skip


def enhanced_ct(slices: Sequence[Dataset], uid: str = "1.2.3.77", frame_type: Sequence[str] = ()) -> Dataset:
    """One instance with a frame of each slice, in their order; orientation and pixel measures are of all frames."""
    first = slices[0]
    one = copy.deepcopy(first)
    one.file_meta = first.file_meta.__class__(first.file_meta)
    for keyword in PER_SLICE:
        one.pop(keyword, None)
    one.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    one.file_meta.MediaStorageSOPClassUID = one.SOPClassUID = EnhancedCTImageStorage
    one.file_meta.MediaStorageSOPInstanceUID = one.SOPInstanceUID = uid
    one.ImageType, one.InstanceNumber = ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"], 1
    one.NumberOfFrames = len(slices)
    shared = Dataset()
    shared.PlaneOrientationSequence = [_item(first, "ImageOrientationPatient")]
    shared.PixelMeasuresSequence = [_item(first, "PixelSpacing", "SliceThickness")]
    kind = Dataset()
    kind.FrameType = list(frame_type) or ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]
    shared.CTImageFrameTypeSequence = [kind]
    one.SharedFunctionalGroupsSequence = [shared]
    one.PerFrameFunctionalGroupsSequence = [_groups(slice_, index) for index, slice_ in enumerate(slices, start=1)]
    one.PixelData = b"".join(slice_.PixelData for slice_ in slices)
    one["PixelData"].VR = "OW"
    return one


def _groups(slice_: Dataset, number: int) -> Dataset:
    groups, content = Dataset(), Dataset()
    content.StackID, content.InStackPositionNumber, content.FrameAcquisitionNumber = "1", number, 1
    groups.FrameContentSequence = [content]
    groups.PlanePositionSequence = [_item(slice_, "ImagePositionPatient")]
    groups.PixelValueTransformationSequence = [_item(slice_, "RescaleSlope", "RescaleIntercept")]
    return groups


def _item(source: Dataset, *keywords: str) -> Dataset:
    item = Dataset()
    for keyword in keywords:
        item[keyword] = source[keyword]
    return item
