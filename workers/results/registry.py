"""All results of one package for one study: a table of what makes each kind."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import structlog
from billiard.exceptions import SoftTimeLimitExceeded
from numpy.typing import NDArray
from pydicom import Dataset

from node.errors import AnalysisError
from workers.delivery.profiles import Kind
from workers.dicom.references import Predecessor
from workers.dicom.uids import Context
from workers.findings.findings import Source
from workers.inputs.volume import SourceVolume
from workers.results import sc, seg, sr
from workers.results.ko import key_objects
from workers.results.plain import comprehensive
from workers.results.pm import saliency_map
from workers.results.pr import presentation_state
from workers.results.sr import FindingsOfSources
from workers.results.text import pdf_report, text_report

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, eq=False)
class Made:
    """What results are made of.

    Attributes
    ----------
    findings, sources, contexts
        Of each source that was analysed.
    context
        Of all of them together.
    unseen
        (SOP Instance UID, reason) of what was not analysed.
    predecessors
        (package, kind, document) of older generations.
    saliency
        Of each source the model's maps, in the order of its findings; None where nobody asked for them.
    """

    findings: FindingsOfSources
    sources: list[Source]
    contexts: list[Context]
    context: Context
    unseen: tuple[tuple[str, str], ...]
    predecessors: tuple[tuple[str, str, Predecessor], ...]
    saliency: list[NDArray[np.float32] | None]

    @cached_property
    def regions(self) -> tuple[Dataset, ...]:
        """The regions documents, made once: the plain ones are made of them."""
        return sr.regions_documents(self.findings, self.sources, self.contexts, self.earlier(Kind.REGIONS))

    @cached_property
    def statement(self) -> Dataset:
        """The statement, made once."""
        earlier = self.earlier(Kind.STATEMENT)
        return sr.statement_document(self.findings, self.sources, self.context, self.unseen, earlier)

    def earlier(self, kind: str) -> list[Predecessor]:
        """The documents of this kind that a new one replaces."""
        name = self.context.card.name
        return [one for package, what, one in self.predecessors if (package, what) == (name, kind)]


def objects(made: Made, kinds: Collection[str], faults: dict[str, str] | None = None) -> list[tuple[str, Dataset]]:
    """(kind, object) pairs of the kinds that are wished for, in the order of the table; some kinds have none.

    Parameters
    ----------
    faults
        Where a kind that could not be made is told, with the reason: it costs no other. None: that is an error.
    """
    found: list[tuple[str, Dataset]] = []
    for kind, make in MAKERS.items():
        if kind not in kinds:
            continue
        try:
            found += [(kind, dataset) for dataset in make(made) if dataset is not None]
        except SoftTimeLimitExceeded:
            raise
        except AnalysisError as error:
            if faults is None:
                raise
            faults[kind] = f"no {kind} could be made: {error}"
        except Exception as error:
            if faults is None:
                raise
            _log.exception("result not made", kind=kind)
            faults[kind] = f"no {kind} could be made: {type(error).__name__} in our software; see the worker's log"
    return found


def _segmentations(made: Made) -> Iterable[Dataset | None]:
    """One a source, with its own context."""
    pairs = zip(made.findings, made.sources, made.contexts, strict=True)
    return (seg.segmentation(found, source, context) for found, source, context in pairs)


def _regions(made: Made) -> Iterable[Dataset | None]:
    return made.regions


def _statement(made: Made) -> Iterable[Dataset | None]:
    return (made.statement,)


def _captures(made: Made) -> Iterable[Dataset | None]:
    pairs = zip(made.findings, made.sources, made.contexts, strict=True)
    return (one for found, source, context in pairs for one in sc.captures(found, source, context))


def _plain_regions(made: Made) -> Iterable[Dataset | None]:
    return comprehensive(made.regions, Kind.REGIONS_2D, made.context, made.earlier(Kind.REGIONS_2D))


def _plain_statement(made: Made) -> Iterable[Dataset | None]:
    return comprehensive((made.statement,), Kind.STATEMENT_2D, made.context, made.earlier(Kind.STATEMENT_2D))


def _key_objects(made: Made) -> Iterable[Dataset | None]:
    return (key_objects(made.findings, made.sources, made.context),)


def _presentation_states(made: Made) -> Iterable[Dataset | None]:
    pairs = zip(made.findings, made.sources, made.contexts, strict=True)
    return (presentation_state(found, source, context) for found, source, context in pairs)


def _saliency_maps(made: Made) -> Iterable[Dataset | None]:
    pairs = zip(made.findings, made.sources, made.contexts, made.saliency, strict=True)
    return (
        saliency_map(finding, values, source, context)
        for found, source, context, maps in pairs
        if isinstance(source, SourceVolume) and maps is not None
        for finding, values in zip(found, maps, strict=True)
    )


def _text(made: Made) -> Iterable[Dataset | None]:
    earlier = made.earlier(Kind.REPORT_TEXT)
    return (text_report(made.findings, made.sources, made.context, made.unseen, earlier),)


def _pdf(made: Made) -> Iterable[Dataset | None]:
    return (pdf_report(made.findings, made.sources, made.context, made.unseen),)


MAKERS: dict[str, Callable[[Made], Iterable[Dataset | None]]] = {
    Kind.SEGMENTATION: _segmentations,
    Kind.REGIONS: _regions,
    Kind.STATEMENT: _statement,
    Kind.REGIONS_2D: _plain_regions,
    Kind.STATEMENT_2D: _plain_statement,
    Kind.CAPTURE: _captures,
    Kind.KEY_OBJECTS: _key_objects,
    Kind.PRESENTATION_STATE: _presentation_states,
    Kind.SALIENCY_MAP: _saliency_maps,
    Kind.REPORT_TEXT: _text,
    Kind.REPORT_PDF: _pdf,
}
