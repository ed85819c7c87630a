"""The task `readfirst.analyze`: take a study from the ledger, run the pipeline, record the result."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import structlog
from billiard.exceptions import SoftTimeLimitExceeded
from sqlalchemy import Connection, RowMapping

from node import __version__
from node.backoff import pause_after
from node.data_folder import SpaceGuard
from node.entities import AnalysisReport, FoundFinding, StudyState
from node.errors import AnalysisError, OutOfResources
from node.ledger import studies, workers
from node.ledger.engine import Ledger, note, open_ledger
from node.sending import deliveries
from node.settings import Settings
from node.worklist.reading import work_items
from node.worklist.triage import decisions
from node.worklist.triage.decisions import Analysed, decide_study
from workers.delivery import fallback
from workers.delivery.profiles import plan_of, result_options
from workers.dicom.references import Predecessor
from workers.heartbeat import Heartbeat, process_name
from workers.inputs.decoding.decoder import Decoder
from workers.lease import extended, record
from workers.model_set import NOT_NOW, Fault, ModelSet, PredictionFailed
from workers.pipeline import Environment, Instance, Study, analyze, read_headers
from workers.predicting.predictor import Predictor

_log = structlog.get_logger(__name__)
_DISK_SECONDS = 10.0  # until an analysis that the disk or the ledger did not allow is tried again
_ELSEWHERE_SECONDS = 2.0  # until another worker may take what this one cannot do
_AFTER_OTHERS = 60.0  # later than the studies that merely wait is one tried again with which the package failed


@dataclass(frozen=True, slots=True)
class _Wait:
    """An analysis that cannot be done now; `counts` as an attempt where it may be the study's own fault."""

    due_at: float
    reason: str = ""
    counts: bool = False


class Analyzer:
    """What one worker process needs to analyse; nothing is opened before it is first used, so it may be forked.

    Parameters
    ----------
    settings
        The node's settings.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.models = ModelSet(settings)

    @cached_property
    def ledger(self) -> Ledger:
        """The node's ledger."""
        return open_ledger(self.settings)

    @cached_property
    def name(self) -> str:
        """Of this process, which was forked after this object was made."""
        return process_name()

    @cached_property
    def decoder(self) -> Decoder:
        """The child process that decodes pixels; it ends with this process."""
        limits = self.settings.models
        return Decoder(limits.decode_memory_mb << 20, limits.decode_seconds).__enter__()

    @cached_property
    def heartbeat(self) -> Heartbeat:
        """Records how this worker stands, and tries again what could not be loaded."""
        return Heartbeat(self.name, self.ledger, self.models)

    def warm(self) -> None:
        """Open and load everything, so that the first study does not wait for it, and record how that went."""
        self.heartbeat.begin()
        self.models.refresh()
        if not self.models.faults:
            names = [model.card.name for model in self.models.models]
            _log.info("worker ready", models=names, decoder=self.decoder.pid)
        self.heartbeat.start()

    def close(self) -> None:
        """The process ends as it should."""
        self.heartbeat.end()

    def predict(self, name: str, package: str, maps: bool, pictures: bool) -> None:
        """Predict a file of the spool (`node.predicting.spool`), if it is still there."""
        with self.heartbeat.working():
            Predictor(self.settings, self.models, lambda: self.decoder).run(name, package, maps, pictures)

    def run(self, study_instance_uid: str, generation: int) -> None:
        """Analyse a study's generation, if it is queued in the ledger; safe to call any number of times."""
        with self.ledger.write() as connection:
            taken = studies.claim(connection, study_instance_uid, generation, time.time())
        if not taken:
            return
        with self.heartbeat.working():
            self._run(study_instance_uid, generation)

    def _run(self, study_instance_uid: str, generation: int) -> None:
        started = time.monotonic()
        uid = study_instance_uid
        with extended(self.ledger, lambda connection, until: studies.extend(connection, uid, generation, until)):
            report = self._report(uid, generation)
            if isinstance(report, _Wait):
                record(self.ledger, lambda connection: self._postpone(connection, uid, generation, report))
                return
            record(self.ledger, lambda connection: self._record(connection, uid, generation, report))
        seconds = round(time.monotonic() - started, 3)
        names = {"study": study_instance_uid} | ({"reason": report.reason} if report.reason else {})
        _log.info("study " + report.state, objects=len(report.results), seconds=seconds, **names)

    def _report(self, uid: str, generation: int) -> AnalysisReport | _Wait:
        """How the analysis ended, or until when it waits."""
        found: tuple[FoundFinding, ...] = ()

        def on_findings(findings: tuple[FoundFinding, ...]) -> None:
            nonlocal found
            found = findings
            record(self.ledger, lambda connection: self._decide(connection, Analysed(uid, generation, findings)))

        try:
            SpaceGuard(self.settings.node.data, self.settings.node.min_free_mb << 20).check()
            return self._analyze(uid, generation, on_findings)
        except SoftTimeLimitExceeded:
            return _failed(f"it took longer than models.time_limit = {self.settings.models.time_limit:g} s", found)
        except AnalysisError as error:
            return _failed(str(error), found)
        except PredictionFailed as error:
            _log.exception("analysis failed", study=uid, package=error.package)
            return self._blame(error, uid, generation)
        except Exception as error:  # noqa: BLE001  # outermost: a bug of ours must not keep the study "analysing"
            if isinstance(error, OutOfResources) or (isinstance(error, OSError) and error.errno in NOT_NOW):
                _log.warning("the analysis waits", study=uid, reason=str(error))
                return _Wait(time.time() + _DISK_SECONDS)
            _log.exception("analysis failed", study=uid)
            return _failed(f"{type(error).__name__} in our software; see the worker's log", found)

    def _analyze(
        self, uid: str, generation: int, on_findings: Callable[[tuple[FoundFinding, ...]], object]
    ) -> AnalysisReport | _Wait:
        """Run the pipeline on what the ledger has of the study, unless it is for a package that cannot be used."""
        with self.ledger.read() as connection:
            rows = studies.inputs(connection, uid)
            earlier = studies.predecessors(connection, uid, generation)
        data = self.settings.node.data
        instances = tuple(Instance(row["sop_instance_uid"], data / row["path"], row["received_at"]) for row in rows)
        self.models.refresh()
        if self.models.faults and (fault := self.models.fault_of(read_headers(instances)[0])):
            return self._wait_for(fault)
        if not self.settings.models.packages:
            raise AnalysisError("models.packages names none")
        study = Study(
            instances,
            data / "results" / uid,
            data / "pictures" / uid,
            tuple((row["package"], row["kind"], _predecessor(row)) for row in earlier),
        )
        environment = Environment(self.decoder, __version__, result_options(self.settings))
        report = analyze(study, self.models.models, environment, on_findings)
        results = (replace(result, path=str(Path(result.path).relative_to(data))) for result in report.results)
        drawn = (replace(picture, path=str(Path(picture.path).relative_to(data))) for picture in report.pictures)
        return replace(report, results=tuple(results), pictures=tuple(drawn))

    def _blame(self, failed: PredictionFailed, uid: str, generation: int) -> AnalysisReport | _Wait:
        """A study with which a package fails waits with it; one that may be at fault itself fails in the end."""
        fault = self.models.blamed(failed, uid)
        if fault:
            return self._wait_for(fault, _AFTER_OTHERS)
        with self.ledger.read() as connection:
            attempts = studies.under_way(connection, uid, generation)
        if not 0 < attempts < studies.MOST_ATTEMPTS:
            return _failed(str(failed))
        return _Wait(time.time() + pause_after(attempts), f"waits to be tried again: {failed}", counts=True)

    def _wait_for(self, fault: Fault, later: float = 0.0) -> _Wait:
        """Until the package is tried again; another worker that can use it may take the study before."""
        now = time.time()
        with self.ledger.read() as connection:
            elsewhere = workers.another_is_ready(connection, self.name, now)
        due_at = now + _ELSEWHERE_SECONDS if elsewhere else max(fault.again_at, now) + later
        return _Wait(due_at, f"waits, because {fault.sentence}")

    def _postpone(self, connection: Connection, uid: str, generation: int, wait: _Wait) -> None:
        now = time.time()
        if studies.postpone(connection, uid, generation, now, wait.due_at, wait.reason, counts=wait.counts):
            work_items.set_reason(connection, uid, wait.reason, now)
            _log.warning("the analysis waits", study=uid, reason=wait.reason)

    def _decide(self, connection: Connection, analysed: Analysed) -> None:
        """Triage, before any result is made: an alert depends on the findings alone."""
        if studies.under_way(connection, analysed.study_instance_uid, analysed.generation):
            worklist = self.settings.worklist
            decide_study(connection, analysed, worklist.policy, time.time(), off=not worklist.sinks)

    def _record(self, connection: Connection, uid: str, generation: int, report: AnalysisReport) -> None:
        now = time.time()
        if not studies.finish(connection, uid, generation, report, now):
            return  # late images arrived, or another worker has it: that one records its result
        if not any(finding.present for finding in report.findings) and report.reason:
            work_items.set_reason(connection, uid, report.reason, now)
        if report.results:
            self._put(connection, uid, generation, report, now, decisions.silent_packages(connection, uid))

    def _put(
        self, connection: Connection, uid: str, generation: int, report: AnalysisReport, now: float,
        silent: Collection[str],
    ) -> None:  # fmt: skip
        """Put the deliveries; what did not pass our own checks is logged, and its fallback becomes due."""
        peers, results = self.settings.receivers, report.results
        deliveries.put(connection, uid, generation, results, peers, now, plan_of(self.settings), silent)
        for result in results:
            if result.fault:
                note(connection, uid, now, "quarantined", f"{result.kind} in {result.path}: {result.fault}")
                _log.error("quarantined", study=uid, kind=result.kind, path=result.path, reason=result.fault)
        for package in {result.package for result in results}:
            for peer in peers:
                fallback.send_fallbacks(connection, uid, peer, package, now)


def _failed(reason: str, findings: tuple[FoundFinding, ...] = ()) -> AnalysisReport:
    return AnalysisReport(StudyState.FAILED, f"the analysis failed: {reason}", findings)


def _predecessor(row: RowMapping) -> Predecessor:
    return Predecessor(row["series_instance_uid"], row["sop_class_uid"], row["sop_instance_uid"])
