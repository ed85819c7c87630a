"""References from derived objects to the images that they were made from."""

from __future__ import annotations

from pydicom import Dataset

from workers import codes


def sop_reference(header: Dataset) -> Dataset:
    """SOP Instance Reference Macro (PS3.3 Table 10-11)."""
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = header.SOPClassUID, header.SOPInstanceUID
    return item


def source_image_reference(header: Dataset) -> Dataset:
    """Item of the Source Image Sequence (0008,2112), PS3.3 C.12.4; purpose of CID 7202."""
    item = sop_reference(header)
    item.PurposeOfReferenceCodeSequence = [codes.coded(codes.SOURCE_IMAGE)]
    return item
