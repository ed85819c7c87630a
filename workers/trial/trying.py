"""A package's whole way: images read, predicted, results made and checked as for a patient, and what is wrong."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models import packages
from models.card import Card
from models.errors import InputError
from models.loaded import LoadedModel
from models.prediction import Prediction
from node import __version__
from node.entities import AnalysisReport, FoundFinding, StudyState
from node.errors import AnalysisError, ReadFirstError
from workers.delivery.profiles import ResultOptions
from workers.dicom.attributes import header
from workers.inputs.decoding.decoder import Decoder
from workers.pipeline import Environment, Instance, Study, analyze
from workers.results.registry import kinds
from workers.trial.specimen import write_specimen

EVERYTHING = {
    "operating_point": 0.0, "saliency_threshold": -1e9, "region_of_peak": 0.5, "triage": None, "finding": True,
}  # fmt: skip
"""Of a label, so that it is present and has a region: each result is made, whatever the network says of shapes."""


class TrialFailed(ReadFirstError):
    """The package cannot be tried on these files; the text has the reason."""


@dataclass(frozen=True, slots=True)
class Trial:
    """What a package made of a study.

    Attributes
    ----------
    findings
        One a label.
    results
        (kind, file) of each object that passed all checks.
    faults
        Sentences; empty where a patient's study would have been analysed and every result delivered.
    notes
        What was decided or left out.
    """

    findings: tuple[FoundFinding, ...]
    results: tuple[tuple[str, Path], ...]
    faults: tuple[str, ...]
    notes: tuple[str, ...]


def try_package(folder: Path, files: Sequence[Path], out: Path) -> Trial:
    """Analyse files with the package in `folder`, and write the results to `out`.

    Without files it sees a study of its card's kind that is made of shapes, and every label counts as present.

    Raises
    ------
    PackageError
        The package cannot be loaded.
    TrialFailed
        A file is no DICOM image.
    """
    model = packages.load(folder, "cpu")
    with tempfile.TemporaryDirectory() as room, Decoder() as decoder:
        given = files or write_specimen(model.card.input, Path(room))
        tried = _Tried(model if files else _with_everything(packages.with_drawn_lungs(model)))
        options = ResultOptions(frozenset(kinds()))
        report = analyze(Study(_instances(given), out), [tried], Environment(decoder, __version__, options))
    return _trial(report, model.card, () if files else tried.refusals)


@dataclass(frozen=True, slots=True, eq=False)
class _Tried:
    """A model, and why it takes inputs for none of its own: of shapes that is no fault."""

    model: LoadedModel
    refusals: list[str] = field(default_factory=list)

    @property
    def card(self) -> Card:
        return self.model.card

    @property
    def digest(self) -> str:
        return self.model.digest

    def predict(self, image: NDArray[np.float32], spacing: tuple[float, ...] | None = None) -> Prediction:
        try:
            return self.model.predict(image, spacing)
        except InputError as error:
            self.refusals.append(str(error))
            raise


def _instances(files: Sequence[Path]) -> tuple[Instance, ...]:
    found = []
    for path in (each for one in files for each in _below(one)):
        try:
            found.append(Instance(str(header(path).get("SOPInstanceUID", "")), path, 0.0))
        except (AnalysisError, OSError) as error:
            raise TrialFailed(f"{path} cannot be read as a DICOM image: {error}") from error
    return tuple(found)


def _below(path: Path) -> Sequence[Path]:
    """The file itself, or all files in a folder, those of a DICOMDIR and hidden ones left out."""
    if not path.is_dir():
        return (path,)
    found = [one for one in sorted(path.rglob("*")) if one.is_file() and one.name != "DICOMDIR" and one.name[0] != "."]
    if not found:
        raise TrialFailed(f"{path} is empty: give a folder of the DICOM files of one study.")
    return found


def _with_everything(model: LoadedModel) -> LoadedModel:
    labels = tuple(label.model_copy(update=EVERYTHING) for label in model.card.labels)
    return replace(model, card=model.card.model_copy(update={"labels": labels}))


def _trial(report: AnalysisReport, card: Card, refusals: Sequence[str]) -> Trial:
    faults = [f"{one.kind}: {one.fault}" for one in report.results if one.fault]
    if report.state == StudyState.NOT_ANALYSED and refusals:
        return Trial((), (), (), tuple(f"results were not tried: {one}" for one in dict.fromkeys(refusals)))
    if report.state != StudyState.ANALYSED:
        faults.insert(0, f"{card.name}: {report.reason}")
    results = tuple((one.kind, Path(one.path)) for one in report.results if not one.fault)
    left_out = (f"left out: {reason}" for reason in dict.fromkeys(reason for _, reason in report.left_out))
    return Trial(report.findings, results, tuple(faults), (*report.notes, *left_out))
