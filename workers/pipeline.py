"""The analysis of a study, from files to checked DICOM objects: a plain function, without socket, queue or ledger."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from models.errors import ModelsError
from models.prediction import Model, Prediction
from node.durable import make_folder
from node.entities import QUARANTINE, AnalysisReport, FoundFinding, Picture, ResultObject, StudyState
from node.errors import AnalysisError
from workers.delivery.profiles import SOP_CLASSES, Kind, Wishes
from workers.dicom.attributes import header, text
from workers.dicom.references import Predecessor
from workers.dicom.uids import Context
from workers.findings.findings import Finding, ImageSource, Source, findings_of, source_headers, source_uids
from workers.gate import gate
from workers.inputs.choose import Target, choose
from workers.inputs.decode import Decoder
from workers.inputs.eligibility import OUR_OWN
from workers.inputs.pixels import image_grid, load_image
from workers.inputs.volume import load_volume
from workers.results import pictures
from workers.results.registry import Made, objects
from workers.results.sr import FindingsOfSources

LeftOut = tuple[tuple[str, str], ...]  # (SOP Instance UID, reason)


@dataclass(frozen=True, slots=True)
class Instance:
    """One instance of the study: where it lies, and when it came (seconds since 1970 UTC)."""

    sop_instance_uid: str
    path: Path
    received_at: float


@dataclass(frozen=True, slots=True, eq=False)
class Study:
    """What is analysed: instances, their headers (None where unreadable), and what was said of it before."""

    instances: tuple[Instance, ...]
    headers: tuple[Dataset, ...]
    predecessors: tuple[tuple[str, str, Predecessor], ...] = ()  # (package, kind, document)
    wishes: Wishes = Wishes()  # noqa: RUF009  # frozen


@dataclass(frozen=True, slots=True, eq=False)
class _Analysis:
    """What one model made of the study."""

    findings: tuple[FoundFinding, ...] = ()
    results: tuple[ResultObject, ...] = ()
    left_out: LeftOut = ()
    notes: tuple[str, ...] = ()
    pictures: tuple[Picture, ...] = ()


def analyze(
    instances: Sequence[Instance],
    models: Sequence[Model],
    decoder: Decoder,
    folder: Path,
    version: str,
    predecessors: tuple[tuple[str, str, Predecessor], ...] = (),
    wishes: Wishes = Wishes(),  # noqa: B008  # frozen
    gallery: Path | None = None,
) -> AnalysisReport:
    """Run every model on what it was made for, and make, check and write the results.

    Parameters
    ----------
    instances
        The study's instances, in a stable order.
    folder
        Where the results are written; their paths in the report begin with it. What does not pass the gate goes to the
        folder `quarantine` two levels up, and has a fault in the report.
    version
        ReadFirst's version, part of the identity of each result.
    predecessors
        Documents of older generations, which the new ones name.
    wishes
        Which kinds of results are made, and their language.
    gallery
        Where pictures for the page for people are written; None: none are made.

    Returns
    -------
    AnalysisReport
        ANALYSED where a model could see something, else NOT_ANALYSED with the reason; FAILED where no result passed the
        gate.
    """
    headers, unreadable = _read_headers(instances)
    study = Study(tuple(instances), headers, predecessors, wishes)
    done = [_run(model, study, unreadable, decoder, folder, version, gallery) for model in models]
    findings = tuple(finding for one in done for finding in one.findings)
    left_out = unreadable + _left_out_by_all(headers, models, done)
    notes = tuple(note for one in done for note in one.notes)
    if findings:
        results = tuple(result for one in done for result in one.results)
        drawn = tuple(picture for one in done for picture in one.pictures)
        if results and all(result.fault for result in results):
            reason = f"the analysis failed: no result passed our own checks: {results[0].fault}"
            return AnalysisReport(StudyState.FAILED, reason, findings, results, left_out, notes, drawn)
        return AnalysisReport(StudyState.ANALYSED, "", findings, results, left_out, notes, drawn)
    reasons = dict.fromkeys([*notes, *(reason for _uid, reason in left_out)])
    reason = "; ".join(reasons) or "the study holds no instance that may be analysed"
    return AnalysisReport(StudyState.NOT_ANALYSED, f"not analysed, because: {reason}", left_out=left_out)


def _read_headers(instances: Iterable[Instance]) -> tuple[tuple[Dataset, ...], LeftOut]:
    headers, unreadable = [], []
    for instance in instances:
        try:
            headers.append(header(instance.path))
        except AnalysisError as error:
            unreadable.append((instance.sop_instance_uid, str(error)))
    return tuple(headers), tuple(unreadable)


def _run(
    model: Model,
    study: Study,
    unreadable: LeftOut,
    decoder: Decoder,
    folder: Path,
    version: str,
    gallery: Path | None,
) -> _Analysis:
    choice = choose(study.headers, model.card.input)
    sources: list[Source] = []
    contexts: list[Context] = []
    findings: list[tuple[Finding, ...]] = []
    saliency: list[NDArray[np.float32] | None] = []
    notes: list[str] = []
    failed: list[tuple[str, str]] = []
    for target in choice.targets:
        try:
            source = _load(target, model, study, decoder)
            context = _context(model, study, [source], version)
            prediction = _predict(model, source)
            findings.append(findings_of(prediction, model.card, source, context))
            saliency.append(_kept(prediction, model, study.wishes))
            sources.append(source)
            contexts.append(context)
        except (AnalysisError, ModelsError) as error:
            notes.append(str(error))
            failed += [(uid, str(error)) for uid in target.sop_instance_uids]
    if not sources:
        return _Analysis(left_out=choice.left_out, notes=tuple(notes))
    context = _context(model, study, sources, version)
    # Results that come back are not told: a new statement of them would come back, too, and between two nodes for ever.
    left_out = tuple((uid, reason) for uid, reason in choice.left_out if reason != OUR_OWN)
    unseen = unreadable + left_out + tuple(failed)
    made = Made(findings, sources, contexts, context, unseen, study.predecessors, saliency)
    faults: dict[str, str] = {}
    results = _write(objects(made, study.wishes.kinds, faults), model.card.name, folder)
    results += tuple(_not_made(kind, fault, made, folder) for kind, fault in faults.items())
    drawn = _draw(findings, sources, model.card.name, gallery) if gallery else ()
    return _Analysis(_found(findings, model), results, choice.left_out, (*notes, *faults.values()), drawn)


def _draw(findings: FindingsOfSources, sources: Sequence[Source], package: str, gallery: Path) -> tuple[Picture, ...]:
    pairs = zip(findings, sources, strict=True)
    return tuple(picture for found, source in pairs for picture in pictures.draw(found, source, package, gallery))


def _load(target: Target, model: Model, study: Study, decoder: Decoder) -> Source:
    paths = {instance.sop_instance_uid: instance.path for instance in study.instances}
    chosen = [paths[uid] for uid in target.sop_instance_uids]
    if target.kind == "volume":
        return load_volume(chosen, decoder, model.card.input)
    size = model.card.input.size
    assert size is not None, "the card's own check: an image model has a size"
    image = load_image(chosen[0], decoder)
    return ImageSource(image, image_grid(image.dataset, size))


def _predict(model: Model, source: Source) -> Prediction:
    if isinstance(source, ImageSource):
        return model.predict(source.grid.to_input(source.image.intensity))
    array, spacing = source.to_model()
    return model.predict(array, spacing)


def _kept(prediction: Prediction, model: Model, wishes: Wishes) -> NDArray[np.float32] | None:
    """The maps in the order of the card's labels, where someone is to get them."""
    if Kind.SALIENCY_MAP not in wishes.kinds or model.card.input.kind != "volume":
        return None
    order = [prediction.labels.index(label.name) for label in model.card.labels]
    maps: NDArray[np.float32] = prediction.saliency[order]
    return maps


def _context(model: Model, study: Study, sources: Sequence[Source], version: str) -> Context:
    """Dated with the last image that was analysed, not by the clock: a repeated run gives the same bytes."""
    seen = {str(one.SOPInstanceUID) for source in sources for one in source_headers(source)}
    received = max(instance.received_at for instance in study.instances if instance.sop_instance_uid in seen)
    now = datetime.fromtimestamp(int(received), UTC).astimezone()  # local, like the study's own times
    return Context(model.card, model.digest, version, now, study.headers, study.wishes.language, study.wishes.font)


def _write(results: Sequence[tuple[str, Dataset]], package: str, folder: Path) -> tuple[ResultObject, ...]:
    make_folder(folder, folder.parent)
    named = [(dataset, folder / f"{dataset.SOPInstanceUID}.dcm") for _kind, dataset in results]
    verdicts = gate.judge(named, _quarantine(folder))
    return tuple(
        ResultObject(
            sop_instance_uid=str(dataset.SOPInstanceUID),
            sop_class_uid=str(dataset.SOPClassUID),
            series_instance_uid=str(dataset.SeriesInstanceUID),
            package=package,
            kind=kind,
            path=str(verdict.path),
            fault=" ".join(verdict.reasons),
        )
        for (kind, dataset), verdict in zip(results, verdicts, strict=True)
    )


def _not_made(kind: str, fault: str, made: Made, folder: Path) -> ResultObject:
    """Stands for what our software failed to make, so that it is seen and the next rung is sent; it has no file."""
    uids = [uid for source in made.sources for uid in source_uids(source)]
    uid = made.context.uid(f"{kind}/not made", *uids)
    return ResultObject(
        sop_instance_uid=str(uid),
        sop_class_uid=str(SOP_CLASSES[kind]),
        series_instance_uid=str(made.context.uid(f"{kind}/not made/series", *uids)),
        package=made.context.card.name,
        kind=kind,
        path=str(_quarantine(folder) / f"{uid}.dcm"),
        fault=fault,
    )


def _quarantine(folder: Path) -> Path:
    return folder.parent.parent / QUARANTINE / folder.name


def _found(findings: FindingsOfSources, model: Model) -> tuple[FoundFinding, ...]:
    """One row a label: the most probable of the sources, with the places of its regions."""
    best = [max(same, key=lambda finding: finding.probability) for same in zip(*findings, strict=True)]
    return tuple(
        FoundFinding(
            package=model.card.name,
            label=finding.label.title,
            quantity=model.card.quantity,
            probability=finding.probability,
            operating_point=finding.operating_point,
            present=finding.present,
            place="; ".join(dict.fromkeys(region.place for region in finding.regions)),
            urgency=finding.label.urgency,
        )
        for finding in best
    )


def _left_out_by_all(headers: Sequence[Dataset], models: Sequence[Model], done: Sequence[_Analysis]) -> LeftOut:
    """What no model saw, with the reason of the first model that is made for its modality (else of the first)."""
    reasons = [dict(one.left_out) for one in done]
    found = []
    for one in headers:
        uid, modality = str(one.SOPInstanceUID), text(one, "Modality")
        if not reasons or not all(uid in reason for reason in reasons):
            continue
        pairs = zip(reasons, models, strict=True)
        nearest = [reason for reason, model in pairs if modality in model.card.input.modalities]
        found.append((uid, (nearest or reasons)[0][uid]))
    return tuple(found)
