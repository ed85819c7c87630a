"""Headers of instances that lie on disk, decoded whole: what is wrong in them is met here, not where it is used."""

from __future__ import annotations

from pathlib import Path

from pydicom import Dataset, dcmread

from node.errors import UnreadableInstance


def read_header(path: Path) -> Dataset:
    """The Data Set of a DICOM file up to its pixels, with `file_meta`, without what cannot be decoded.

    Raises
    ------
    UnreadableInstance
        The file is not there, is no DICOM file, or is broken.
    """
    try:
        dataset = dcmread(path, stop_before_pixels=True)
    except Exception as error:  # pydicom raises whatever it met in the bytes; all of it means the same here
        raise UnreadableInstance(f"the file {path.name} cannot be read as DICOM: {type(error).__name__}") from error
    _drop_undecodable(dataset)
    return dataset


def _drop_undecodable(dataset: Dataset) -> None:
    for tag in list(dataset.keys()):
        try:
            element = dataset[tag]  # pydicom decodes a value when it is first asked for
        except Exception:  # noqa: BLE001  # whatever it met in the bytes
            del dataset[tag]
            continue
        if element.VR == "SQ":
            for item in element.value or ():
                _drop_undecodable(item)
