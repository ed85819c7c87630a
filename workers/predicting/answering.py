"""What the packages make of a file, as the answer that `/predict` gives."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from models.errors import InputError
from models.prediction import Model, Prediction
from node import __version__
from node.errors import AnalysisError
from node.predicting import answer
from node.predicting.answer import NotAnalysed, PackageAnswer, PredictedFile
from node.predicting.kinds import Kind
from workers.dicom.uids import Context
from workers.findings import statement, wording
from workers.findings.findings import Finding, Region, findings_of
from workers.findings.location import outline
from workers.findings.source import Source
from workers.inputs.decoding.decoder import DecodeError, Decoder
from workers.predicting import drawing
from workers.predicting.files import File, open_file

NO_FINDINGS = "it segments organs, and looks for no findings"


@dataclass(frozen=True, slots=True)
class Extras:
    """What is asked for beside the findings."""

    maps: bool = False
    pictures: bool = False


def predict_file(path: Path, kind: Kind, models: Sequence[Model], decoder: Decoder, extras: Extras) -> PredictedFile:
    """Let each model see the file that was made for it.

    Raises
    ------
    AnalysisError
        None was; the sentence says why not, and quotes nothing of a patient.
    """
    started = time.monotonic()
    try:
        file = open_file(path, kind, decoder)
    except DecodeError as error:
        raise AnalysisError(f"The file cannot be decoded: {error.reason}.") from error
    found, not_analysed = [], []
    for model in models:
        try:
            found.append(_of_package(model, file, extras))
        except (AnalysisError, InputError) as error:
            reason = error.reason if isinstance(error, DecodeError) else str(error)
            not_analysed.append(NotAnalysed(package=model.card.name, reason=reason))
    if not found:
        why = "; ".join(f"{one.package}: {one.reason}" for one in not_analysed)
        raise AnalysisError(f"The file was not analysed: {why}.")
    return PredictedFile(
        readfirst=__version__,
        time=datetime.now(UTC).isoformat(timespec="seconds"),
        seconds=round(time.monotonic() - started, 3),
        file=file.read,
        packages=tuple(found),
        not_analysed=tuple(not_analysed),
    )


def _of_package(model: Model, file: File, extras: Extras) -> PackageAnswer:
    card = model.card
    if card.category != "finding":
        raise AnalysisError(NO_FINDINGS)
    source = file.source(card.input)
    prediction = model.predict(*source.to_model())
    context = Context(card, model.digest, __version__, datetime.fromtimestamp(0, UTC), source.headers)
    findings = findings_of(prediction, card, source, context)
    return PackageAnswer(
        package=card.name,
        version=card.version,
        sha256=model.digest,
        quantity=card.quantity,
        findings=tuple(_finding(one, prediction, source, extras) for one in findings),
        remarks=(*file.remarks, *_unlike(prediction)),
        pictures=tuple(_pictures(findings, source)) if extras.pictures else (),
    )


def _unlike(prediction: Prediction) -> tuple[str, ...]:
    return (f"It is {statement.unlike(prediction.remarks)}.",) if prediction.remarks else ()


def _pictures(findings: Sequence[Finding], source: Source) -> Iterator[answer.Picture]:
    shown = {region.frame for finding in findings for region in finding.regions} or {len(source.headers) // 2}
    return (drawing.picture_of(source, frame) for frame in sorted(shown))


def _finding(finding: Finding, prediction: Prediction, source: Source, extras: Extras) -> answer.Finding:
    label = finding.label
    saliency = prediction.saliency[prediction.labels.index(label.name)]
    return answer.Finding(
        label=label.title,
        code=answer.Code(value=label.code.value, scheme=label.code.scheme, meaning=label.code.meaning),
        probability=finding.probability,
        threshold=finding.threshold,
        present=finding.present,
        place=wording.finding_location(finding, finding.regions),
        colour="#{:02x}{:02x}{:02x}".format(*label.colour),
        regions=tuple(_region(region, source) for region in finding.regions),
        map=drawing.map_of(saliency, label, source) if extras.maps else None,
    )


def _region(region: Region, source: Source) -> answer.Region:
    points = tuple((float(x), float(y)) for x, y in outline(region.plane))
    (left, top), (right, bottom) = (tuple(map(edge, zip(*points, strict=True))) for edge in (min, max))
    touched = [one for one in region.boxed.touched if region.boxed.reaches(one)] if source.is_volume else []
    return answer.Region(
        box=(left, top, right - left, bottom - top),
        polygon=points,
        slice=region.frame if source.is_volume else None,
        slices=(touched[0], touched[-1]) if touched else None,
        location=wording.locations([region]),
        laterality=_side(region),
        area_mm2=region.area_mm2,
        volume_mm3=region.volume_mm3,
        saliency=region.score,
    )


def _side(region: Region) -> Literal["left", "right"] | None:
    side = region.location.side
    return "left" if side == "left" else "right" if side == "right" else None
