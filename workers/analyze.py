"""The task `readfirst.analyze`: take a study from the ledger, run the pipeline, record the result."""

from __future__ import annotations

import errno
import time
from collections.abc import Collection
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import structlog
from billiard.exceptions import SoftTimeLimitExceeded
from sqlalchemy import Connection, RowMapping

from models import packages
from models.errors import ModelsError
from models.prediction import Model
from node import __version__
from node.entities import AnalysisReport, StudyState
from node.errors import AnalysisError, OutOfResources
from node.ledger import studies
from node.ledger.engine import Ledger, note, open_ledger
from node.sending import deliveries
from node.settings import Settings
from node.worklist.reading import work_items
from node.worklist.triage.decisions import Analysed, decide_study
from workers.delivery import fallback
from workers.delivery.profiles import plan_of, result_options
from workers.dicom.references import Predecessor
from workers.inputs.decoding.decoder import Decoder
from workers.lease import extended, record
from workers.pipeline import Environment, Instance, Study, analyze

_log = structlog.get_logger(__name__)
_NOT_NOW = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.ESTALE}  # the disk's trouble, not the study's


class Analyzer:
    """What one worker process needs to analyse; nothing is opened before it is first used, so it may be forked.

    Parameters
    ----------
    settings
        The node's settings.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._loaded: dict[str, Model] = {}

    @cached_property
    def ledger(self) -> Ledger:
        """The node's ledger."""
        return open_ledger(self.settings)

    @cached_property
    def decoder(self) -> Decoder:
        """The child process that decodes pixels; it ends with this process."""
        limits = self.settings.models
        return Decoder(limits.decode_memory_mb << 20, limits.decode_seconds).__enter__()

    def models(self) -> tuple[tuple[Model, ...], tuple[str, ...]]:
        """The configured model packages that can be loaded, and why the others cannot; those are tried again."""
        faults = []
        for name in self.settings.models.packages:
            try:
                if name not in self._loaded:
                    folder = packages.find(name, self.settings.model_folders)
                    self._loaded[name] = packages.load(folder, self.settings.models.device)
            except ModelsError as error:
                faults.append(f"the model package {name} cannot be used: {error}")
        return tuple(self._loaded.values()), tuple(faults)

    def warm(self) -> None:
        """Open and load everything, so that the first study does not wait for it."""
        models, faults = self.models()
        for fault in faults:
            _log.error("model missing", reason=fault)
        _log.info("worker ready", models=[model.card.name for model in models], decoder=self.decoder.pid)

    def run(self, study_instance_uid: str, generation: int) -> None:
        """Analyse a study's generation, if it is queued in the ledger; safe to call any number of times."""
        with self.ledger.write() as connection:
            taken = studies.claim(connection, study_instance_uid, generation, time.time())
        if not taken:
            return
        started = time.monotonic()
        uid = study_instance_uid
        with extended(self.ledger, lambda connection, until: studies.extend(connection, uid, generation, until)):
            report = self._report(uid, generation)
            if report is None:
                record(self.ledger, lambda connection: studies.postpone(connection, uid, generation, time.time()))
                return
            record(self.ledger, lambda connection: self._record(connection, uid, generation, report))
        seconds = round(time.monotonic() - started, 3)
        names = {"study": study_instance_uid} | ({"reason": report.reason} if report.reason else {})
        _log.info("study " + report.state, objects=len(report.results), seconds=seconds, **names)

    def _report(self, uid: str, generation: int) -> AnalysisReport | None:
        """How the analysis ended; None where it cannot be done just now."""
        try:
            with self.ledger.read() as connection:
                rows = studies.inputs(connection, uid)
                earlier = studies.predecessors(connection, uid, generation)
            data = self.settings.node.data
            models, faults = self.models()
            if not models:
                raise AnalysisError("; ".join(faults) or "models.packages names none")
            instances = (Instance(row["sop_instance_uid"], data / row["path"], row["received_at"]) for row in rows)
            study = Study(
                tuple(instances),
                data / "results" / uid,
                data / "pictures" / uid,
                tuple((row["package"], row["kind"], _predecessor(row)) for row in earlier),
            )
            report = analyze(study, models, Environment(self.decoder, __version__, result_options(self.settings)))
            results = (replace(result, path=str(Path(result.path).relative_to(data))) for result in report.results)
            drawn = (replace(picture, path=str(Path(picture.path).relative_to(data))) for picture in report.pictures)
            return replace(report, results=tuple(results), notes=report.notes + faults, pictures=tuple(drawn))
        except SoftTimeLimitExceeded:
            return _failed(f"it took longer than models.time_limit = {self.settings.models.time_limit:g} s")
        except (AnalysisError, ModelsError) as error:
            return _failed(str(error))
        except Exception as error:  # noqa: BLE001  # outermost: a bug of ours must not keep the study "analysing"
            if isinstance(error, OutOfResources) or (isinstance(error, OSError) and error.errno in _NOT_NOW):
                _log.warning("the analysis waits", study=uid, reason=str(error))
                return None
            _log.exception("analysis failed", study=uid)
            return _failed(f"{type(error).__name__} in our software; see the worker's log")

    def _record(self, connection: Connection, uid: str, generation: int, report: AnalysisReport) -> None:
        now = time.time()
        if not studies.finish(connection, uid, generation, report, now):
            return  # late images arrived, or another worker has it: that one records its result
        silent: Collection[str] = ()
        if report.state is StudyState.ANALYSED:
            analysed, worklist = Analysed(uid, generation, report.findings), self.settings.worklist
            decision = decide_study(connection, analysed, worklist.policy, now, off=not worklist.sinks)
            silent = decision.silent
        else:
            work_items.set_reason(connection, uid, report.reason, now)
        if report.results:
            self._put(connection, uid, generation, report, now, silent)

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


def _failed(reason: str) -> AnalysisReport:
    return AnalysisReport(StudyState.FAILED, f"the analysis failed: {reason}")


def _predecessor(row: RowMapping) -> Predecessor:
    return Predecessor(row["series_instance_uid"], row["sop_class_uid"], row["sop_instance_uid"])
