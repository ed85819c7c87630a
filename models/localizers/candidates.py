"""Candidates of a classical detector: maps are each candidate's score inside it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from models.localizers.registry import register

if TYPE_CHECKING:
    from models.card import Card
    from models.localizers.registry import Localizer


@register(
    "candidates",
    maps="candidate map",
    citation="after Armato et al., Medical Physics 28 (2001)",
    kind="volume",
    tables=("detector",),
)
def load(card: Card, data: bytes, device: str, threads: int | None) -> Localizer:
    """The detector of the card; it has no weights and always runs on the CPU. See `models.packages.load`."""
    import SimpleITK as sitk

    from models.localizers.detectors.nodules import CandidateLocalizer

    assert card.detector is not None
    if threads is not None:
        sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(threads)
    return CandidateLocalizer(card.detector)
