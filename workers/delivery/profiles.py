"""What each viewer can show: a table of the objects that a peer gets, and of what it gets instead.

Tried with OHIF 3.13.2 on Orthanc 1.10.1; of Stone and Weasis what their sources and documentation say. No heavy import:
deliveries look here, too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

from pydicom.uid import (
    UID,
    BasicTextSRStorage,
    Comprehensive3DSRStorage,
    ComprehensiveSRStorage,
    EncapsulatedPDFStorage,
    GrayscaleSoftcopyPresentationStateStorage,
    KeyObjectSelectionDocumentStorage,
    ParametricMapStorage,
    SecondaryCaptureImageStorage,
    SegmentationStorage,
)

from node.entities import JobState
from node.sending.deliveries import Plan
from node.settings import Peer, Settings


class Kind(StrEnum):
    """What a result is for; one SOP class each."""

    SEGMENTATION = "segmentation"
    REGIONS = "regions"
    STATEMENT = "statement"
    REGIONS_2D = "regions-2d"
    STATEMENT_2D = "statement-2d"
    CAPTURE = "capture"
    KEY_OBJECTS = "key-objects"
    PRESENTATION_STATE = "presentation-state"
    SALIENCY_MAP = "saliency-map"
    REPORT_TEXT = "report-text"
    REPORT_PDF = "report-pdf"


SOP_CLASSES: Mapping[str, UID] = {
    Kind.SEGMENTATION: SegmentationStorage,
    Kind.REGIONS: Comprehensive3DSRStorage,
    Kind.STATEMENT: Comprehensive3DSRStorage,
    Kind.REGIONS_2D: ComprehensiveSRStorage,
    Kind.STATEMENT_2D: ComprehensiveSRStorage,
    Kind.CAPTURE: SecondaryCaptureImageStorage,
    Kind.KEY_OBJECTS: KeyObjectSelectionDocumentStorage,
    Kind.PRESENTATION_STATE: GrayscaleSoftcopyPresentationStateStorage,
    Kind.SALIENCY_MAP: ParametricMapStorage,
    Kind.REPORT_TEXT: BasicTextSRStorage,
    Kind.REPORT_PDF: EncapsulatedPDFStorage,
}


class Profile(NamedTuple):
    """What a peer with this viewer gets, and why so."""

    kinds: tuple[Kind, ...]
    reason: str


PROFILES: Mapping[str, Profile] = {
    "ohif": Profile(
        (Kind.SEGMENTATION, Kind.REGIONS, Kind.STATEMENT),
        "Draws the Segmentation and the outlines with their probabilities, opens the statement as text. Lists key "
        "objects and presentation states with a warning and draws nothing of them.",
    ),
    "stone": Profile(
        (Kind.REGIONS_2D, Kind.CAPTURE),
        "Draws only a Comprehensive SR (TID 1410, POLYLINE, the source named as Original Source); no sign in its "
        "sources that it draws a Segmentation or prints a document's text, so the capture's legend is the statement.",
    ),
    "weasis": Profile(
        (Kind.SEGMENTATION, Kind.STATEMENT, Kind.KEY_OBJECTS),
        "Draws the Segmentation, prints Structured Reports as text, filters by key objects; draws no outline of a "
        "Structured Report, so the regions document is left out.",
    ),
    "basic": Profile(
        (Kind.CAPTURE,),
        "Shows images and nothing else: the capture says it all in its picture and legend.",
    ),
}

# Where a peer does not take a kind's SOP class (or our own checks kept it back) the next one is sent, and so on down.
# What has no rung below it waits and is tried again: a peer may learn.
LADDER: Mapping[str, Kind] = {
    Kind.SEGMENTATION: Kind.CAPTURE,
    Kind.REGIONS: Kind.REGIONS_2D,
    Kind.REGIONS_2D: Kind.CAPTURE,
    Kind.STATEMENT: Kind.STATEMENT_2D,
    Kind.STATEMENT_2D: Kind.REPORT_TEXT,
    Kind.REPORT_TEXT: Kind.CAPTURE,
    Kind.REPORT_PDF: Kind.REPORT_TEXT,
    Kind.KEY_OBJECTS: Kind.CAPTURE,
    Kind.PRESENTATION_STATE: Kind.CAPTURE,
}


class Wishes(NamedTuple):
    """What an analysis is to make, and how it speaks."""

    kinds: frozenset[Kind] = frozenset(PROFILES["ohif"].kinds)
    language: str = "en"
    font: Path | None = None


def kinds_for(peer: Peer) -> tuple[Kind, ...]:
    """What the peer gets: its viewer's kinds, and those that it also asks for."""
    return tuple(dict.fromkeys((*PROFILES[peer.viewer].kinds, *map(Kind, peer.also))))


def below(kind: str) -> Iterator[Kind]:
    """The rungs of the ladder below a kind, next first."""
    while (following := LADDER.get(kind)) is not None:
        yield following
        kind = following


def standby_for(peer: Peer) -> tuple[Kind, ...]:
    """What may be sent instead; nothing to a folder, which refuses nothing."""
    kinds = kinds_for(peer)
    rungs = (rung for kind in kinds for rung in below(kind)) if not peer.folder else ()
    return tuple(dict.fromkeys(rung for rung in rungs if rung not in kinds))


def plan_of(settings: Settings) -> Plan:
    """Which object goes to which peer at once, and which only where another is refused."""

    def plan(name: str, kind: str) -> JobState | None:
        peer = settings.receivers[name]
        if kind in kinds_for(peer):
            return JobState.PENDING
        return JobState.STANDBY if settings.results.fallback and kind in standby_for(peer) else None

    return plan


def wishes_of(settings: Settings) -> Wishes:
    """What the receivers get or may get; without any receiver what OHIF shows, to be looked at on disk."""
    receivers, said = settings.receivers.values(), settings.results
    if not receivers:
        return Wishes(language=said.language, font=said.font)
    made = {kind for peer in receivers for kind in kinds_for(peer)}
    if settings.results.fallback:
        made |= {kind for peer in receivers for kind in standby_for(peer)}
    return Wishes(frozenset(made), said.language, said.font)
