from __future__ import annotations

import gzip
import io
from pathlib import Path

import nibabel
import numpy as np
import pytest
from PIL import Image

from node.predicting.kinds import HEAD, kind_of

SAMPLE = next((Path(__file__).parents[3] / "deploy/samples/chest-xray-normal").glob("*.dcm"))


def picture(form: str) -> bytes:
    content = io.BytesIO()
    Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8)).save(content, form)
    return content.getvalue()


def nifti() -> bytes:
    return bytes(nibabel.Nifti1Image(np.zeros((4, 5, 6), np.int16), np.eye(4)).to_bytes())


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (SAMPLE.read_bytes(), "DICOM"),
        (picture("PNG"), "PNG"),
        (picture("JPEG"), "JPEG"),
        (nifti(), "NIfTI"),
        (gzip.compress(nifti()), "NIfTI"),
        (picture("GIF"), None),
        (gzip.compress(b"text" * 1000), None),
        (b"\x1f\x8bno gzip", None),
        (b"%PDF-1.7", None),
        (b"", None),
    ],
    ids=["DICOM", "PNG", "JPEG", "NIfTI", "NIfTI, packed", "GIF", "text, packed", "no gzip", "PDF", "nothing"],
)
def test_the_content_tells_the_kind(content: bytes, kind: str | None) -> None:
    assert kind_of(content[:HEAD]) == kind
