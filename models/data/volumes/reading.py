"""A volume from whatever holds it: a NIfTI file, a folder of DICOM slices, a multi-frame DICOM file."""

from __future__ import annotations

from pathlib import Path

from models.data.images import is_dicom
from models.data.nifti import is_nifti
from models.data.volumes.dicom import read_dicom_volume
from models.data.volumes.nifti import read_nifti_volume
from models.data.volumes.volume import Volume
from models.errors import DataError


def read_volume(path: Path) -> Volume:
    """The volume, its axes those of the patient; DataError where it is none."""
    if path.is_file() and is_nifti(path):
        return read_nifti_volume(path)
    if path.is_dir() or is_dicom(path):
        return read_dicom_volume(path)
    raise DataError(
        f"{path} is a single image, and this package sees volumes: give a .nii.gz file or a folder of the DICOM slices"
        " of one series, or take a package of images."
    )
