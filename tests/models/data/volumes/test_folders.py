"""A series of a labelled folder is a NIfTI file or a folder of DICOM slices."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from models.data.volumes.folders import masks_of, read_volume_examples
from models.data.volumes.nifti import write_nifti
from models.data.volumes.reading import read_volume
from models.data.volumes.volume import Volume
from models.errors import DataError
from tests.models.data.volumes.dicom_phantoms import save, slices


def test_a_folder_of_slices_stands_for_the_file_and_has_masks_beside_it(tmp_path: Path) -> None:
    stored = np.random.default_rng(0).integers(0, 4000, (9, 12, 16), np.uint16)
    save(tmp_path / "train" / "b", slices(stored))
    volume = read_volume(tmp_path / "train" / "b")
    write_nifti(tmp_path / "train" / "a.nii.gz", volume.image())
    mask = np.zeros(stored.shape, np.uint8)
    write_nifti(tmp_path / "train" / "b.Nodule.nii.gz", Volume(volume.array, volume.spacing).image(mask))
    (tmp_path / "labels.csv").write_text("split,series,patient,Nodule\ntrain,a,1,0\ntrain,b,2,1\n")
    examples = read_volume_examples(tmp_path, "train", ["Nodule"])
    assert [path.name for path in examples.files] == ["a.nii.gz", "b"]
    one, other = (read_volume(path) for path in examples.files)
    np.testing.assert_allclose(one.array, other.array, atol=0.5)
    assert one.spacing == pytest.approx(other.spacing)
    assert list(masks_of(examples.files[1])) == ["Nodule"]


def test_a_series_that_is_neither_is_named(tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    (tmp_path / "labels.csv").write_text("split,series,patient\ntrain,gone,1\n")
    with pytest.raises(DataError, match=r"the first: gone\.nii\.gz"):
        read_volume_examples(tmp_path, "train", [])
