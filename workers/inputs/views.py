"""From which side a radiograph was taken, by every attribute of its header that names a view."""

from __future__ import annotations

import re
from collections.abc import Sequence

from pydicom.dataset import Dataset

from workers.dicom.attributes import items, text, words

# Words of View Position (PS3.3 C.8.1.2, C.8.7.5), of the meanings of View Code Sequence (CID 4010) and of descriptions.
WORDS = {
    **dict.fromkeys(("PA", "POSTEROANTERIOR"), "PA"),
    **dict.fromkeys(("AP", "ANTEROPOSTERIOR"), "AP"),
    **dict.fromkeys(("FRONTAL", "FACE"), "FRONTAL"),
    **dict.fromkeys(("LL", "RL", "LAT", "LATERAL", "LLAT", "RLAT", "SEITLICH", "PROFIL", "SAGITTAL"), "lateral"),
    **dict.fromkeys(("RAO", "LAO", "RPO", "LPO", "RLO", "LLO", "OBL", "OBLIQUE"), "oblique"),
    **dict.fromkeys(("LLD", "RLD", "DECUBITUS", "DECUB"), "decubitus"),
    **dict.fromkeys(("LORDOTIC", "APICAL"), "lordotic"),
}
FRONTAL = ("PA", "AP", "FRONTAL")
OTHERS = ("decubitus", "oblique", "lordotic", "lateral")  # the first that a text names is meant
DESCRIPTIONS = ("SeriesDescription", "ProtocolName", "AcquisitionDeviceProcessingDescription")


def view_refusal(dataset: Dataset, views: Sequence[str]) -> str | None:
    """Why this is none of the `views` (of View Position; empty: all are accepted), or None.

    One attribute with another view is enough. None is returned, too, where no attribute names one: see `view_unknown`.
    """
    if not views:
        return None
    found = named_views(dataset)
    foreign = next((view for view in found if view not in FRONTAL), None)
    if foreign:
        return f"{foreign} view"
    named = next((view for view in found if view != "FRONTAL"), None)
    return f"{named} view" if named and named not in views else None


def view_unknown(dataset: Dataset) -> bool:
    """Whether no attribute of the header names a view."""
    return not named_views(dataset)


def named_views(dataset: Dataset) -> list[str]:
    """The views by View Position, View Code Sequence, Patient Orientation and the descriptions, in that order."""
    position = text(dataset, "ViewPosition")
    found = [view_in(position) or f"unknown ({position})"] if position else []
    codes = [text(item, "CodeMeaning") for item in items(dataset, "ViewCodeSequence")]
    protocols = [text(item, "CodeMeaning") for item in items(dataset, "PerformedProtocolCodeSequence")]
    descriptions = [text(dataset, keyword) for keyword in DESCRIPTIONS]
    found += [view for view in map(view_in, codes) if view]
    found += ["lateral"] if _seen_from_the_side(dataset) else []
    return found + [view for view in map(view_in, descriptions + protocols) if view]


def view_in(phrase: str) -> str | None:
    """The view that a text names; None where it names none, or frontal and lateral alike ("CHEST PA AND LATERAL")."""
    tokens = re.split(r"[^A-Z0-9]+", re.sub(r"(POSTERO|ANTERO)-(ANTERIOR|POSTERIOR)", r"\1\2", phrase.upper()))
    named = [WORDS[token] for token in tokens if token in WORDS]
    frontal = next((view for view in named if view in FRONTAL), None)
    other = next((view for view in OTHERS if view in named), None)
    return None if frontal and other == "lateral" else other or frontal


def _seen_from_the_side(dataset: Dataset) -> bool:
    return any(word[:1] in ("A", "P") for word in words(dataset, "PatientOrientation"))
