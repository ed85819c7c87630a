"""Two passes in one CT series, of real lungs and with the real package: the finding is that of one pass alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import Dataset, dcmread
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from models import packages
from models.prediction import Model
from node.entities import AnalysisReport, StudyState
from tests.workers.test_pipeline import run
from workers.inputs.decoding.decoder import Decoder

SAMPLES = Path(__file__).parents[2] / "deploy" / "samples" / "chest-ct"
SMALLER = 4  # times: 128 x 128 pixels of 2.8 mm

Slice = tuple[Dataset, NDArray[np.int16]]


@pytest.fixture(scope="module")
def decoder() -> Iterator[Decoder]:
    with Decoder() as decoder:
        yield decoder


@pytest.fixture(scope="module")
def lungs() -> Sequence[Slice]:
    """LIDC-IDRI-0001, reduced: headers and pixels, from the feet up."""
    return sorted(map(reduced, SAMPLES.glob("*.dcm")), key=lambda one: float(one[0].ImagePositionPatient[2]))


@pytest.fixture(scope="module")
def model() -> Model:
    return packages.load(packages.find("chest-ct"), device="cpu")


def reduced(path: Path) -> Slice:
    header = dcmread(path)
    pixels = header.pixel_array
    means = pixels.reshape(pixels.shape[0] // SMALLER, SMALLER, -1, SMALLER).mean(axis=(1, 3))
    header.Rows, header.Columns = means.shape
    header.PixelSpacing = [float(one) * SMALLER for one in header.PixelSpacing]
    del header.PixelData
    header.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return header, means.round().astype(np.int16)


def written(folder: Path, one: Slice, number: int, acquisition: int, up: float = 0.0) -> Path:
    """The slice in an acquisition, moved by so many mm."""
    header, pixels = one
    copy = Dataset(header)
    copy.file_meta = header.file_meta
    x, y, z = map(float, header.ImagePositionPatient)
    copy.SOPInstanceUID = generate_uid(entropy_srcs=[str(acquisition), str(number)])
    copy.file_meta.MediaStorageSOPInstanceUID = copy.SOPInstanceUID
    copy.ImagePositionPatient = [x, y, round(z + up, 4)]
    copy.AcquisitionNumber, copy.InstanceNumber = acquisition, number
    copy.add_new("PixelData", "OW", pixels.tobytes())
    path = folder / f"{copy.SOPInstanceUID}.dcm"
    copy.save_as(path, enforce_file_format=True)
    return path


def first(folder: Path, lungs: Sequence[Slice]) -> list[Path]:
    return [written(folder, one, number, 1) for number, one in enumerate(lungs, 1)]


def beside(folder: Path, lungs: Sequence[Slice]) -> list[Path]:
    """A part of it again, 0.9 mm further up."""
    return [written(folder, one, number, 2, 0.9) for number, one in enumerate(lungs[20:90], 200)]


def at_the_same_places(folder: Path, lungs: Sequence[Slice]) -> list[Path]:
    """With the same Instance Numbers, and brighter: lungs filled with contrast, as it were."""
    bright = [(header, np.maximum(pixels, 1100).astype(np.int16)) for header, pixels in lungs]
    return [written(folder, one, number, 2) for number, one in enumerate(bright, 1)]


def half_way(folder: Path, lungs: Sequence[Slice]) -> list[Path]:
    """Between the slices of the first, shifted sideways."""
    moved = [(header, np.roll(pixels, 20, 1)) for header, pixels in lungs]
    return [written(folder, one, number, 2, 1.25) for number, one in enumerate(moved, 200)]


def findings(report: AnalysisReport) -> list[tuple[str, float, bool, str]]:
    return [(one.label, round(one.probability, 6), one.present, one.place) for one in report.findings]


def test_the_finding_is_that_of_the_first_pass_alone(
    decoder: Decoder, lungs: Sequence[Slice], model: Model, tmp_path: Path
) -> None:
    alone = first(tmp_path, lungs)
    expected = run(decoder, tmp_path / "alone", alone, model)
    assert expected.state is StudyState.ANALYSED
    assert [one.label for one in expected.findings if one.present] == ["Nodule"]
    second: tuple[Callable[..., list[Path]], ...] = (beside, at_the_same_places, half_way)
    for number, make in enumerate(second):
        folder = tmp_path / str(number)
        folder.mkdir()
        report = run(decoder, folder / "out", [*alone, *(added := make(folder, lungs))], model)
        assert (report.state, findings(report)) == (StudyState.ANALYSED, findings(expected)), make.__name__
        assert {uid for uid, _ in report.left_out} == {path.stem for path in added}
        assert any("Acquisition Number 1" in note for note in report.notes), make.__name__
