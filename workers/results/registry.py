"""The kinds of results: each one file of `workers.results.kinds` that registers itself.

No heavy import: deliveries look up a kind's facts here, in a process without highdicom. So its writer is named, and
imported when it is used.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import structlog
from billiard.exceptions import SoftTimeLimitExceeded
from pydicom import Dataset
from pydicom.uid import UID

from node.errors import AnalysisError

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Kind:
    """What a result is for.

    Attributes
    ----------
    sop_class_uid
        Of all its objects.
    series_number
        Of its first series; results are made and sent in this order.
    writer
        "module:function" that makes its objects, some or none, of a `workers.findings.analysed.AnalysedStudy`.
    fallback
        The kind that is sent instead where a peer does not take the SOP class; empty: none, it is tried again.
    of_saliency
        It is made of a volume's raw saliency maps, which are kept for it.
    of_structures
        It is made of packages that segment organs, too, and not of findings alone.
    """

    name: str
    sop_class_uid: UID
    series_number: int
    writer: str
    fallback: str = ""
    of_saliency: bool = False
    of_structures: bool = False

    def make(self, study: Any) -> tuple[Dataset, ...]:
        """The objects of an `AnalysedStudy`."""
        module, _, function = self.writer.partition(":")
        made: tuple[Dataset, ...] = study.once(getattr(import_module(module), function))
        return made


_KINDS: dict[str, Kind] = {}


def register(kind: Kind) -> None:
    """Called by the kind's own file."""
    _KINDS[kind.name] = kind


def kinds() -> Mapping[str, Kind]:
    """Every kind by its name, in the order of their series numbers."""
    import_module("workers.results.kinds")
    return dict(sorted(_KINDS.items(), key=lambda pair: pair[1].series_number))


def series_number(name: str) -> int:
    """Of a kind's first series."""
    return kinds()[name].series_number


def fallbacks(name: str) -> Iterator[str]:
    """The kinds that may be sent instead of this one, best first."""
    known = kinds()
    while name in known and (name := known[name].fallback):
        yield name


def make_results(study: Any, wanted: Collection[str], faults: dict[str, str]) -> list[tuple[str, Dataset]]:
    """(kind, object) pairs of the kinds that are wanted.

    Parameters
    ----------
    study
        An `AnalysedStudy`.
    faults
        Where the reason of each kind that could not be made is put; the others are made all the same.
    """
    found: list[tuple[str, Dataset]] = []
    for name, kind in kinds().items():
        if name not in wanted:
            continue
        try:
            found += [(name, dataset) for dataset in kind.make(study)]
        except SoftTimeLimitExceeded:
            raise
        except AnalysisError as error:
            faults[name] = f"no {name} could be made: {error}"
        except Exception as error:  # noqa: BLE001  # outermost of one kind
            _log.exception("result not made", kind=name)
            faults[name] = f"no {name} could be made: {type(error).__name__} in our software; see the worker's log"
    return found
