"""Where the patient lies in an image, as far as its header can be true.

What devices leave empty, cut short or make up is as absent: results copy these attributes, and what is not valid in
them would keep every result from passing the gate.
"""

from __future__ import annotations

import re

from pydicom import Dataset

from node.errors import AnalysisError
from workers.dicom.attributes import numbers, text, words

OPPOSITE = {"A": "P", "P": "A", "R": "L", "L": "R", "H": "F", "F": "H"}  # PS3.3 C.7.6.1.1.1, of a biped
LENGTHS = {"PixelSpacing": 2, "ImagerPixelSpacing": 2, "NominalScannedPixelSpacing": 2, "SliceThickness": 1}


def orientation(header: Dataset) -> tuple[str, str] | None:
    """Patient Orientation, or None: two values of up to three directions each, which do not contradict each other."""
    value = words(header, "PatientOrientation")
    if len(value) != 2 or not all(re.fullmatch("[APRLHF]{1,3}", one) for one in value):
        return None
    for one in value:
        if any(OPPOSITE[letter] in one for letter in one) or len(set(one)) < len(one):
            return None
    rows, columns = value
    return None if columns[0] in (rows[0], OPPOSITE[rows[0]]) else (rows, columns)


def frame_of_reference(header: Dataset) -> str | None:
    """Frame of Reference UID, or None where it is missing, empty or no UID."""
    uid = text(header, "FrameOfReferenceUID")
    return uid if re.fullmatch(r"[0-9.]{1,64}", uid) else None


def require_frame_of_reference(header: Dataset, what: str) -> None:
    """AnalysisError where a result that lies in the patient would have no coordinate system."""
    if frame_of_reference(header) is None:
        raise AnalysisError(f"the images have no Frame of Reference UID (0020,0052), without which {what} has no place")


def drop_invalid(header: Dataset) -> Dataset:
    """The header, in place, without orientation, Frame of Reference and lengths that cannot be true."""
    frontal = orientation(header)
    if frontal is not None:
        header.PatientOrientation = list(frontal)  # written as viewers read it, "l" becomes "L"
    elif "PatientOrientation" in header:
        del header.PatientOrientation
    if frame_of_reference(header) is None and "FrameOfReferenceUID" in header:
        del header.FrameOfReferenceUID
    for keyword, count in LENGTHS.items():
        values = numbers(header, keyword, count)
        if keyword in header and (values is None or min(values) <= 0):
            del header[keyword]
    return header
