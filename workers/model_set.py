"""The model packages of one worker process: which are loaded, why others are not, and when those are tried again.

A package that cannot be used is a fault of ours, and never what a study is told: studies that it was made for wait.
"""

from __future__ import annotations

import errno
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import RLock

import numpy as np
import structlog
from billiard.exceptions import SoftTimeLimitExceeded
from numpy.typing import NDArray
from pydicom import Dataset

from models import packages
from models.card import Card
from models.errors import DeviceError, InputError, ModelsError, PackageError
from models.prediction import Model, Prediction
from node.backoff import pause_after
from node.errors import OutOfResources, ReadFirstError
from node.settings import Settings
from workers.inputs.choose import choose

_log = structlog.get_logger(__name__)
MOST_STUDIES = 3  # in a row that a package may fail with
LONGEST_PAUSE = 300.0  # seconds until a package is tried again
NOT_NOW = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.ESTALE}  # the disk's trouble, not the study's


@dataclass(frozen=True, slots=True)
class Fault:
    """A package that cannot be used: why, when it is tried again, and its card; None where that cannot be read."""

    package: str
    reason: str
    again_at: float
    card: Card | None

    @property
    def sentence(self) -> str:
        """For people."""
        return f"the model package {self.package} cannot be used: {self.reason}"


class PredictionFailed(ReadFirstError):
    """A package raised what is no answer; whether that is its own fault or the study's, `ModelSet.blamed` finds out."""

    def __init__(self, package: str, error: Exception) -> None:
        super().__init__(f"{type(error).__name__} in our software; see the worker's log")
        self.package, self.error = package, error


def load(name: str, settings: Settings) -> tuple[Model, str]:
    """A package that works, and in which way it does so less well than it should; empty where it does not.

    Raises
    ------
    ModelsError
        It cannot be loaded, or would fail with every study.
    """
    folder, device = packages.find(name, settings.model_folders), settings.models.device
    try:
        try:
            return _working(packages.load(folder, device)), ""
        except DeviceError as error:
            if device != "auto":
                raise
            return _working(packages.load(folder, "cpu")), f"the model package {name} runs on the CPU: {error}"
    except ModelsError:
        raise
    except Exception as error:  # of torch, of an import, of the memory, of the disk
        raise PackageError(f"{type(error).__name__}: {str(error).partition(chr(10))[0]}") from error


def _working(model: Model) -> Model:
    packages.require_working(model)
    return model


class ModelSet:
    """The configured packages; safe to share between the thread that analyses and the one that records how it stands.

    Parameters
    ----------
    clock
        Seconds since 1970 UTC.
    """

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.time) -> None:
        self._settings, self._clock, self._lock = settings, clock, RLock()
        self.loaded: dict[str, Model] = {}
        self.faults: dict[str, Fault] = {}
        self.remarks: dict[str, str] = {}  # of packages that run on the CPU for want of a GPU
        self.device_lost = False
        """Whether a GPU failed that worked before: only a new process can use it again."""
        self._failed: dict[str, set[str]] = {}  # the studies with which a package failed since it last worked
        self._attempts: dict[str, int] = {}  # how often it was set aside since then

    def refresh(self) -> None:
        """Load what is not loaded, unless it failed a short time ago."""
        with self._lock:
            for name in self._settings.models.packages:
                fault = self.faults.get(name)
                if name not in self.loaded and (fault is None or fault.again_at <= self._clock()):
                    self._load(name)

    @property
    def models(self) -> tuple[Model, ...]:
        """Those that can be used, in the order of the settings; those that cannot explain what is not theirs."""
        found: list[Model] = []
        for name in self._settings.models.packages:
            fault = self.faults.get(name)
            found += [_Watched(name, self.loaded[name], self)] if name in self.loaded else []
            found += [_NotUsable(fault.card)] if fault and fault.card else []
        return tuple(found)

    @property
    def reason(self) -> str:
        """Why this worker is not ready, or less than it should be; empty where all is well."""
        with self._lock:
            return "; ".join([*(fault.sentence for fault in self.faults.values()), *self.remarks.values()])

    def fault_of(self, headers: Sequence[Dataset]) -> Fault | None:
        """What a study waits for: a package that was made for it, or may have been, and cannot be used."""
        faults = tuple(self.faults.values())
        for fault in faults:
            if fault.card and choose(headers, fault.card.input).targets:
                return fault
        unknown = next((fault for fault in faults if fault.card is None), None)
        if unknown and any(choose(headers, model.card.input).targets for model in self.loaded.values()):
            return None
        return unknown

    def worked(self, name: str) -> None:
        """A package predicted something of a study."""
        self._failed.pop(name, None)
        self._attempts.pop(name, None)

    def on_cpu(self, name: str, error: DeviceError) -> Model | None:
        """The package on the CPU, after the GPU failed; None where the settings ask for the GPU."""
        if self._settings.models.device != "auto":
            return None
        with self._lock:
            self.loaded[name] = packages.load(packages.find(name, self._settings.model_folders), "cpu")
            self.remarks[name] = f"the model package {name} runs on the CPU: {error}"
        _log.error("the GPU failed, the CPU is used", package=name, reason=str(error))
        return self.loaded[name]

    def blamed(self, failed: PredictionFailed, study_instance_uid: str) -> Fault | None:
        """The fault of the package that failed with a study; None where it may be the study's.

        It is the package's where it fails with an input of our own, too, or failed with `MOST_STUDIES` in a row.
        """
        name, error = failed.package, failed.error
        with self._lock:
            if name in self.loaded:
                studies = self._failed.setdefault(name, set())
                studies.add(study_instance_uid)
                try:
                    packages.require_working(self.loaded[name])
                except ModelsError as reason:
                    self.device_lost = self.device_lost or isinstance(error, DeviceError)
                    self._set_aside(name, str(reason))
                else:
                    if len(studies) >= MOST_STUDIES:
                        what = type(error).__name__  # its text may quote the study
                        self._set_aside(name, f"it failed with {len(studies)} studies in a row, last with {what}")
            return self.faults.get(name)

    def _load(self, name: str) -> None:
        try:
            self.loaded[name], remark = load(name, self._settings)
        except ModelsError as error:
            self._set_aside(name, str(error))
            return
        if remark:
            self.remarks[name] = remark
        if self.faults.pop(name, None):
            _log.info("the model package can be used again", package=name)

    def _set_aside(self, name: str, reason: str) -> None:
        self.loaded.pop(name, None)
        attempts = self._attempts[name] = self._attempts.get(name, 0) + 1
        again_at = self._clock() + pause_after(attempts, longest=LONGEST_PAUSE)
        self.faults[name] = Fault(name, reason, again_at, _card(name, self._settings))
        _log.error("the model package cannot be used", package=name, reason=reason, attempts=attempts)


def _card(name: str, settings: Settings) -> Card | None:
    try:
        return packages.load_card(packages.find(name, settings.model_folders))
    except ModelsError:
        return None


@dataclass(frozen=True, slots=True)
class _NotUsable:
    """A package that cannot be used: its card explains what it was not made for."""

    card: Card
    digest: str = ""

    def predict(self, image: NDArray[np.float32], spacing: tuple[float, ...] | None = None) -> Prediction:
        raise PredictionFailed(self.card.name, PackageError("it cannot be used"))


@dataclass(frozen=True, slots=True)
class _Watched:
    """A loaded package whose failures are distinguished from its predictions."""

    name: str
    model: Model
    models: ModelSet

    @property
    def card(self) -> Card:
        return self.model.card

    @property
    def digest(self) -> str:
        return self.model.digest

    def predict(self, image: NDArray[np.float32], spacing: tuple[float, ...] | None = None) -> Prediction:
        try:
            prediction = self._predict(image, spacing)
        except (InputError, SoftTimeLimitExceeded, OutOfResources):
            raise
        except Exception as error:
            if isinstance(error, OSError) and error.errno in NOT_NOW:
                raise
            raise PredictionFailed(self.name, error) from error
        self.models.worked(self.name)
        return prediction

    def _predict(self, image: NDArray[np.float32], spacing: tuple[float, ...] | None) -> Prediction:
        try:
            return self.model.predict(image, spacing)
        except DeviceError as error:
            on_cpu = self.models.on_cpu(self.name, error)
            if on_cpu is None:
                raise
            return on_cpu.predict(image, spacing)
