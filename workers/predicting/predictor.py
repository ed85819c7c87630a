"""The task `readfirst.predict`: a file of the spool to its answer, whatever is wrong with it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import structlog
from billiard.exceptions import SoftTimeLimitExceeded

from models.prediction import Model
from node.errors import AnalysisError
from node.predicting.answer import Problem
from node.predicting.kinds import HEAD, kind_of
from node.predicting.spool import FOLDER, Spool
from node.settings import Settings
from workers.inputs.decoding.decoder import Decoder
from workers.model_set import ModelSet, PredictionFailed
from workers.predicting.answering import Extras, predict_file

_log = structlog.get_logger(__name__)


class _NotReady(Exception):
    """A package cannot be used now."""


class Predictor:
    """Answers files with the models and the decoder of the worker that analyses studies.

    A file that a package fails with says nothing of the package: it is never set aside for what a stranger sent.

    Parameters
    ----------
    decoder
        Gives the decoder, which is made when it is first used.
    """

    def __init__(self, settings: Settings, models: ModelSet, decoder: Callable[[], Decoder]) -> None:
        self._settings, self._models, self._decoder = settings, models, decoder
        self._spool = Spool(settings.node.data / FOLDER)

    def run(self, name: str, package: str, maps: bool, pictures: bool) -> None:
        """Take a file, unless its sender has left, and answer it."""
        path = self._spool.take(name)
        if path is None:
            return
        status, body = self._reply(path, package, Extras(maps, pictures))
        self._spool.answer(name, status, body)

    def _reply(self, path: Path, package: str, extras: Extras) -> tuple[int, str]:
        try:
            with path.open("rb") as file:
                kind = kind_of(file.read(HEAD))
            if kind is None:
                raise AnalysisError("The file is of no kind that is read.")
            return 200, predict_file(path, kind, self._chosen(package), self._decoder(), extras).model_dump_json()
        except AnalysisError as error:
            return _problem(422, str(error))
        except _NotReady as error:
            return _problem(503, str(error))
        except SoftTimeLimitExceeded:
            limit = self._settings.limits.prediction_seconds
            return _problem(504, f"The prediction took longer than limits.prediction_seconds = {limit:g} s.")
        except PredictionFailed as error:
            _log.exception("prediction failed", package=error.package)
            return _problem(500, f"The package {error.package} failed with this file; see the worker's log.")
        except Exception as error:  # noqa: BLE001  # outermost: whoever waits gets an answer
            _log.exception("prediction failed")
            return _problem(500, f"{type(error).__name__} in our software; see the worker's log.")

    def _chosen(self, package: str) -> Sequence[Model]:
        """The package that is asked for, else all that can be used."""
        self._models.refresh()
        usable = [one for one in self._models.models if one.card.name not in self._models.faults]
        chosen = [one for one in usable if package in ("", one.card.name)]
        if chosen:
            return chosen
        faults = [one for name, one in self._models.faults.items() if package in ("", name)]
        raise _NotReady(faults[0].sentence if faults else "No model package can be used now.")


def _problem(status: int, sentence: str) -> tuple[int, str]:
    return status, Problem(error=sentence).model_dump_json()
