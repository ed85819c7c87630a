"""All results of one package for one study: a table of what makes each kind."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass

from pydicom import Dataset

from workers import sc, seg, sr
from workers.findings import Source
from workers.profiles import Kind
from workers.sr import FindingsOfSources, Predecessor
from workers.uids import Context


@dataclass(frozen=True, slots=True, eq=False)
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
    """

    findings: FindingsOfSources
    sources: list[Source]
    contexts: list[Context]
    context: Context
    unseen: tuple[tuple[str, str], ...]
    predecessors: tuple[tuple[str, str, Predecessor], ...]

    def earlier(self, kind: str) -> list[Predecessor]:
        """The documents of this kind that a new one replaces."""
        name = self.context.card.name
        return [one for package, what, one in self.predecessors if (package, what) == (name, kind)]


def objects(made: Made, kinds: Collection[str]) -> list[tuple[str, Dataset]]:
    """(kind, object) pairs of the kinds that are wished for, in the order of the table; some kinds have none."""
    return [(kind, dataset) for kind, make in MAKERS.items() if kind in kinds for dataset in make(made) if dataset]


def _segmentations(made: Made) -> Iterable[Dataset | None]:
    """One a source, with its own context."""
    pairs = zip(made.findings, made.sources, made.contexts, strict=True)
    return (seg.segmentation(found, source, context) for found, source, context in pairs)


def _regions(made: Made) -> Iterable[Dataset | None]:
    return (sr.regions_document(made.findings, made.sources, made.context, made.earlier(Kind.REGIONS)),)


def _statement(made: Made) -> Iterable[Dataset | None]:
    earlier = made.earlier(Kind.STATEMENT)
    return (sr.statement_document(made.findings, made.sources, made.context, made.unseen, earlier),)


def _captures(made: Made) -> Iterable[Dataset | None]:
    pairs = zip(made.findings, made.sources, made.contexts, strict=True)
    return (one for found, source, context in pairs for one in sc.captures(found, source, context))


MAKERS: dict[str, Callable[[Made], Iterable[Dataset | None]]] = {
    Kind.SEGMENTATION: _segmentations,
    Kind.REGIONS: _regions,
    Kind.STATEMENT: _statement,
    Kind.CAPTURE: _captures,
}
