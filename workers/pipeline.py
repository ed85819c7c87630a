"""The analysis of a study, from files to checked DICOM objects: a plain function, without socket, queue or ledger."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path

from pydicom import Dataset

from models.card import Card
from models.errors import InputError
from models.prediction import Model
from node.durable import make_folder
from node.entities import QUARANTINE, AnalysisReport, FoundFinding, Picture, ResultObject, StudyState
from node.errors import AnalysisError
from workers.delivery.profiles import ResultOptions
from workers.dicom.attributes import header, series_and_image, text
from workers.dicom.identity import identity_remarks
from workers.dicom.references import Predecessor, name_frames
from workers.dicom.uids import Context
from workers.findings import statement, wording
from workers.findings.analysed import AnalysedSource, AnalysedStudy, LeftOut
from workers.findings.findings import Finding, findings_of
from workers.findings.loading import load_source
from workers.findings.source import Source
from workers.gate import gate
from workers.inputs.choose import Target, choose
from workers.inputs.decoding.decoder import Decoder
from workers.inputs.eligibility import OUR_OWN, modality_of
from workers.inputs.frames import instance_uid
from workers.inputs.patients import by_patient, mixed, named
from workers.results import pictures
from workers.results.registry import kinds, make_results

NO_FINDINGS = "organs were segmented; no model that looks for findings read the study"


@dataclass(frozen=True, slots=True)
class Instance:
    """One instance of the study: its file, and when it was received (seconds since 1970 UTC)."""

    sop_instance_uid: str
    path: Path
    received_at: float


@dataclass(frozen=True, slots=True, eq=False)
class Study:
    """What is analysed, and where what is made of it is written.

    Attributes
    ----------
    instances
        In a stable order.
    folder
        Of the results; their paths in the report begin with it. What does not pass the gate goes to the folder
        `quarantine` two levels up, and has a fault in the report.
    gallery
        Folder of the pictures for the page for people; None: none are made.
    predecessors
        (package, kind, document) of older generations, which the new documents name.
    """

    instances: tuple[Instance, ...]
    folder: Path
    gallery: Path | None = None
    predecessors: tuple[tuple[str, str, Predecessor], ...] = ()

    @property
    def quarantine(self) -> Path:
        """Where results that failed our own checks are put."""
        return self.folder.parent.parent / QUARANTINE / self.folder.name


@dataclass(frozen=True, slots=True, eq=False)
class Environment:
    """What is the same for every study: the decoder, ReadFirst's version (part of each UID), what is to be made."""

    decoder: Decoder
    version: str
    options: ResultOptions


@dataclass(frozen=True, slots=True, eq=False)
class _Run:
    """What is constant over one package's analysis of one study; `unreadable` instances have no header."""

    model: Model
    study: Study
    environment: Environment
    headers: tuple[Dataset, ...]
    unreadable: LeftOut
    patient: str  # part of each UID where the study holds a second patient's images, whose results are no first one's

    def load(self, target: Target) -> Source:
        """Decode what the model is to see."""
        paths = {instance.sop_instance_uid: instance.path for instance in self.study.instances}
        return load_source(target, paths, self.headers, self.model.card.input, self.environment.decoder)

    def context(self, sources: Sequence[Source]) -> Context:
        """Dated with the last instance that was analysed, not by the clock: a repeated run gives the same bytes."""
        seen = {instance_uid(header) for source in sources for header in source.headers}
        received = max(one.received_at for one in self.study.instances if one.sop_instance_uid in seen)
        now = datetime.fromtimestamp(int(received), UTC).astimezone()  # local, like the study's own times
        version, options = self.environment.version, self.environment.options
        study = text(self.headers[0], "StudyInstanceUID") + self.patient
        return Context(
            self.model.card, self.model.digest, version, now, self.headers, study, options.language, options.font
        )

    def analyse(self, target: Target) -> AnalysedSource:
        """Load, predict and find."""
        source = self.load(target)
        context = self.context([source])
        prediction = self.model.predict(*source.to_model())
        findings = findings_of(prediction, self.model.card, source, context)
        if not any(kinds()[kind].of_saliency for kind in self.environment.options.kinds) or not source.is_volume:
            return AnalysedSource(source, findings, context, remarks=prediction.remarks)
        order = (prediction.labels.index(label.name) for label in self.model.card.labels)
        saliency = [prediction.saliency[index] for index in order]
        return AnalysedSource(source, findings, context, saliency, prediction.remarks)


@dataclass(frozen=True, slots=True, eq=False)
class _Analysis:
    """What one package made of the study."""

    findings: tuple[FoundFinding, ...] = ()
    results: tuple[ResultObject, ...] = ()
    left_out: LeftOut = ()
    notes: tuple[str, ...] = ()
    pictures: tuple[Picture, ...] = ()
    remarks: tuple[str, ...] = ()  # on what was decided and changed; no fault


@dataclass(frozen=True, slots=True, eq=False)
class _Predicted:
    """What one package found in one patient's images, before anything is made of it; None: it saw nothing."""

    run: _Run
    study: AnalysedStudy | None
    analysis: _Analysis


def analyze(
    study: Study,
    models: Sequence[Model],
    environment: Environment,
    on_findings: Callable[[tuple[FoundFinding, ...]], object] = lambda _findings: None,
) -> AnalysisReport:
    """Run every model on what it was made for, and make, check and write the results.

    Parameters
    ----------
    on_findings
        Called with the findings of all models, where there are any, before a result is made: whoever has to know of
        them does not wait for the results, and knows of them even where none can be made.

    Returns
    -------
    AnalysisReport
        ANALYSED where a model could see something, else NOT_ANALYSED with the reason; FAILED where no result passed the
        gate.
    """
    headers, unreadable = read_headers(study.instances)
    patients = by_patient(headers)
    alone = study if len(patients) == 1 else replace(study, predecessors=())  # they may be another patient's
    predicted = [
        [_predict(_Run(model, alone, environment, own, unreadable, apart)) for apart, own in named(patients)]
        for model in models
    ]
    found = [_together([one.analysis for one in parts]) for parts in predicted]
    findings = tuple(finding for one in found for finding in one.findings)
    if findings:
        on_findings(findings)
    done = [_together([_make(one) for one in parts]) for parts in predicted]
    left_out = unreadable + _left_out_by_all(headers, models, done)
    notes = tuple(dict.fromkeys(note for one in done for note in one.notes))
    remarks = mixed(patients) + tuple(dict.fromkeys(remark for one in done for remark in one.remarks))
    if any(part.study for parts in predicted for part in parts):
        notes += remarks
        results = tuple(result for one in done for result in one.results)
        drawn = tuple(picture for one in done for picture in one.pictures)
        if results and all(result.fault for result in results):
            reason = f"the analysis failed: no result passed our own checks: {results[0].fault}"
            return AnalysisReport(StudyState.FAILED, reason, findings, results, left_out, notes, drawn)
        reason = "" if findings else NO_FINDINGS
        return AnalysisReport(StudyState.ANALYSED, reason, findings, results, left_out, notes, drawn)
    reasons = dict.fromkeys([*notes, *remarks, *(reason for _uid, reason in left_out)])
    reason = "; ".join(reasons) or "the study holds no instance that may be analysed"
    return AnalysisReport(StudyState.NOT_ANALYSED, f"not analysed, because: {reason}", left_out=left_out)


def read_headers(instances: Sequence[Instance]) -> tuple[tuple[Dataset, ...], LeftOut]:
    """The headers of those that can be read, and why the others cannot."""
    headers, unreadable = [], []
    for instance in instances:
        try:
            headers.append(header(instance.path))
        except AnalysisError as error:
            unreadable.append((instance.sop_instance_uid, str(error)))
    return tuple(headers), tuple(unreadable)


def _together(parts: Sequence[_Analysis]) -> _Analysis:
    """What one package made of several patients' images: all that was made, and of each label the highest row."""
    if len(parts) == 1:
        return parts[0]
    rows: dict[str, FoundFinding] = {}
    for finding in (finding for part in parts for finding in part.findings):
        best = rows.setdefault(finding.label, finding)
        rows[finding.label] = finding if finding.probability > best.probability else best
    return _Analysis(
        tuple(rows.values()),
        *(tuple(chain.from_iterable(getattr(part, name) for part in parts))
          for name in ("results", "left_out", "notes", "pictures", "remarks")),
    )  # fmt: skip


def _predict(run: _Run) -> _Predicted:
    choice = choose(run.headers, run.model.card.input)
    analysed: list[AnalysedSource] = []
    notes: list[str] = []
    failed: list[tuple[str, str]] = []
    for target in choice.targets:
        try:
            analysed.append(run.analyse(target))
        except (AnalysisError, InputError) as error:
            notes.append(str(error))
            failed += [(uid, str(error)) for uid in target.sop_instance_uids]
    if not analysed:
        nothing = _Analysis(left_out=choice.left_out, notes=tuple(notes), remarks=choice.notes)
        return _Predicted(run, None, nothing)
    # Results that return to us are not reported: a new report of them would return, too, between two nodes for ever.
    left_out = tuple((uid, reason) for uid, reason in choice.left_out if reason != OUR_OWN)
    context = run.context([each.source for each in analysed])
    unseen = run.unreadable + left_out + tuple(failed)
    study = AnalysedStudy(tuple(analysed), context, unseen, run.study.predecessors)
    remarks = choice.notes + _unlike(analysed)
    found = _Analysis(_found(study), (), choice.left_out, tuple(notes), remarks=remarks)
    return _Predicted(run, study, found)


def _unlike(analysed: Sequence[AnalysedSource]) -> tuple[str, ...]:
    """A remark on each source that is unlike the images that the model was trained on."""
    return tuple(
        f"{one.context.card.name}: {series_and_image(one.source.headers[0])} is {statement.unlike(one.remarks)}"
        for one in analysed
        if one.remarks
    )


def _make(predicted: _Predicted) -> _Analysis:
    """The results and pictures of what was found."""
    run, study, found = predicted.run, predicted.study, predicted.analysis
    if study is None:
        return found
    faults: dict[str, str] = {}
    results = _results(study, run, faults)
    gallery = run.study.gallery
    drawn = tuple(picture for each in study.sources for picture in pictures.draw(each, gallery)) if gallery else ()
    remarks = found.remarks + identity_remarks(one for each in study.sources for one in each.source.headers)
    return replace(found, results=results, notes=(*found.notes, *faults.values()), pictures=drawn, remarks=remarks)


def _results(study: AnalysedStudy, run: _Run, faults: dict[str, str]) -> tuple[ResultObject, ...]:
    """Make, check and write every kind that is wanted; in `faults` the reasons of those that could not be made."""
    folder, package = run.study.folder, run.model.card.name
    made = make_results(study, _kinds(run), faults)
    for _kind, dataset in made:
        name_frames(dataset, study.headers)
    make_folder(folder, folder.parent)
    named = [(dataset, folder / f"{dataset.SOPInstanceUID}.dcm") for _kind, dataset in made]
    checked = gate.check(named, run.study.quarantine)
    written = tuple(
        ResultObject(
            sop_instance_uid=str(dataset.SOPInstanceUID),
            sop_class_uid=str(dataset.SOPClassUID),
            series_instance_uid=str(dataset.SeriesInstanceUID),
            package=package,
            kind=kind,
            path=str(one.path),
            fault=" ".join(one.faults),
        )
        for (kind, dataset), one in zip(made, checked, strict=True)
    )
    return written + tuple(_not_made(kind, fault, study, run.study.quarantine) for kind, fault in faults.items())


def _kinds(run: _Run) -> frozenset[str]:
    """The kinds that are wanted and that can be made of the package's labels."""
    wanted = run.environment.options.kinds
    if run.model.card.category == "finding":
        return wanted
    return frozenset(kind for kind in wanted if kinds()[kind].of_structures)


def _not_made(kind: str, fault: str, study: AnalysedStudy, quarantine: Path) -> ResultObject:
    """A row for what our software failed to make, so that it is shown and its fallback is sent; it has no file."""
    context, uids = study.context, study.sop_instance_uids
    uid = context.uid(f"{kind}/not made", *uids)
    return ResultObject(
        sop_instance_uid=str(uid),
        sop_class_uid=str(kinds()[kind].sop_class_uid),
        series_instance_uid=str(context.uid(f"{kind}/not made/series", *uids)),
        package=context.card.name,
        kind=kind,
        path=str(quarantine / f"{uid}.dcm"),
        fault=fault,
    )


def _found(study: AnalysedStudy) -> tuple[FoundFinding, ...]:
    """One row a label: the most probable of the sources, with the places of its regions; none of structures."""
    if study.context.card.category == "structure":
        return ()
    card, by_label = study.context.card, zip(*(each.findings for each in study.sources), strict=True)
    best = [max(same, key=lambda finding: finding.probability) for same in by_label]
    return tuple(
        FoundFinding(
            package=card.name,
            label=finding.label.title if finding.label.finding else f"{finding.label.title} (no finding)",
            quantity=card.quantity,
            probability=finding.probability,
            operating_point=finding.threshold,
            present=finding.present,
            place=_place(finding, card),
            urgency=finding.label.urgency,
            raises_priority=finding.raises_priority,
        )
        for finding in best
    )


def _place(finding: Finding, card: Card) -> str:
    """Where it is, for pages, and whether the model was trained on simulated lesions."""
    words = [wording.finding_location(finding, finding.regions)]
    if finding.grade and finding.decided:
        words.insert(0, f"grade {finding.grade.number} of 0 to {finding.grade.highest}")
    if card.training.simulated and finding.present:
        words.append("trained on simulated lesions")
    return "; ".join(filter(None, words))


def _left_out_by_all(headers: Sequence[Dataset], models: Sequence[Model], done: Sequence[_Analysis]) -> LeftOut:
    """What no model saw, with the reason of the first model that is made for its modality (else of the first)."""
    reasons = [dict(one.left_out) for one in done]
    found = []
    for one in headers:
        uid, modality = str(one.SOPInstanceUID), modality_of(one)
        if not reasons or not all(uid in reason for reason in reasons):
            continue
        pairs = zip(reasons, models, strict=True)
        nearest = [reason for reason, model in pairs if modality in model.card.input.modalities]
        found.append((uid, (nearest or reasons)[0][uid]))
    return tuple(found)
