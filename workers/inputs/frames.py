"""The frames of an enhanced multi-frame CT, each with the header that a single slice would have (PS3.3 A.38).

What stands in the functional groups of all frames or of one (PS3.3 C.7.6.16) is put where a CT Image has it. Each frame
gets a SOP Instance UID of its own, so that all that follows knows only single slices; the instance and the number of
the frame are kept as Referenced SOP Instance UID and Referenced Frame Number (0008,1160). Before a result is checked,
`workers.dicom.references.name_frames` puts those where it refers to a frame.
"""

from __future__ import annotations

from collections.abc import Iterator

from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage, generate_uid

from workers.dicom.attributes import items, number, numbers, text
from workers.dicom.evidence import changed

ENHANCED_CT = frozenset({"1.2.840.10008.5.1.4.1.1.2.1", "1.2.840.10008.5.1.4.1.1.2.2"})  # the second: converted
_GROUPS = ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence")
_DROPPED = (*_GROUPS, "DimensionIndexSequence", "DimensionOrganizationSequence", "NumberOfFrames")
# Functional group: its attributes that a CT Image has at its root, by their names there.
_MACROS = {
    "PixelMeasuresSequence": ("PixelSpacing", "SliceThickness"),
    "PlanePositionSequence": ("ImagePositionPatient",),
    "PlaneOrientationSequence": ("ImageOrientationPatient",),
    "PixelValueTransformationSequence": ("RescaleSlope", "RescaleIntercept", "RescaleType"),
    "FrameVOILUTSequence": ("WindowCenter", "WindowWidth", "VOILUTFunction"),
    "CTReconstructionSequence": ("ConvolutionKernel", "ConvolutionKernelGroup"),
    "CTAcquisitionDetailsSequence": ("GantryDetectorTilt",),
    "CardiacSynchronizationSequence": ("NominalPercentageOfCardiacPhase",),
    "FrameContentSequence": ("TemporalPositionIndex",),
}


def is_enhanced(header: Dataset) -> bool:
    """Whether its frames are slices that its functional groups place."""
    return text(header, "SOPClassUID") in ENHANCED_CT


def frames(header: Dataset) -> tuple[Dataset, ...]:
    """A header for each frame of an enhanced CT, in their order; of any other instance the header as it is."""
    return tuple(_frames(header)) if is_enhanced(header) else (header,)


def frame_number(header: Dataset) -> int | None:
    """Which frame of its instance a header is of, from 1; None of a whole instance."""
    found = numbers(header, "ReferencedFrameNumber")
    return int(found[0]) if found else None


def instance_uid(header: Dataset) -> str:
    """SOP Instance UID of the file that a header is of."""
    keyword = "SOPInstanceUID" if frame_number(header) is None else "ReferencedSOPInstanceUID"
    return str(header.get(keyword, ""))


def _frames(header: Dataset) -> Iterator[Dataset]:
    shared, each = (items(header, keyword) for keyword in _GROUPS)
    root = changed(header, SOPClassUID=CTImageStorage)
    for keyword in _DROPPED:
        root.pop(keyword, None)
    if shared:
        _take(root, shared[0])
    count = int(number(header, "NumberOfFrames", 1))
    for index, groups in enumerate(each[:count], start=1):
        frame = changed(
            root,
            SOPInstanceUID=generate_uid(entropy_srcs=[str(header.SOPInstanceUID), str(index)]),
            ReferencedSOPClassUID=header.SOPClassUID,
            ReferencedSOPInstanceUID=header.SOPInstanceUID,
            ReferencedFrameNumber=index,
            InstanceNumber=index,
        )
        frame.file_meta = header.file_meta
        _take(frame, groups)
        yield frame


def _take(frame: Dataset, groups: Dataset) -> None:
    """Put what stands in the functional groups where a single slice has it, in place."""
    for macro, keywords in _MACROS.items():
        for item in items(groups, macro)[:1]:
            for keyword in keywords:
                if keyword in item:
                    frame[keyword] = item[keyword]
    for item in items(groups, "CTImageFrameTypeSequence")[:1]:
        if "FrameType" in item:
            frame.add_new("ImageType", "CS", item.FrameType)
    for item in items(groups, "FrameContentSequence")[:1]:
        if "FrameAcquisitionNumber" in item:
            frame.add_new("AcquisitionNumber", "IS", item.FrameAcquisitionNumber)
