"""Which storage SOP classes (PS3.4 B.5) hold an image of a modality: what a card's modalities let a model read.

Classes of several frames (XA, RF, NM, OP) are not among them: highdicom writes Segmentations of such images only where
they have functional groups, which these have not.
"""

from __future__ import annotations

STORAGE = "1.2.840.10008.5.1.4.1.1."
_OF_RADIOGRAPHS = ("1", "1.1")
_IMAGES = {  # Modality: what follows STORAGE, the most usual first
    "CR": _OF_RADIOGRAPHS,
    "DX": ("1.1", "1"),
    "PX": ("1.1", "1"),
    "MG": ("1.2",),
    "IO": ("1.3",),
    "CT": ("2",),
    "MR": ("4",),
    "US": ("6.1",),
    "ES": ("77.1.1",),
    "GM": ("77.1.2",),
    "XC": ("77.1.4",),
    "PT": ("128",),
}


def image_classes(modality: str) -> tuple[str, ...]:
    """SOP Class UIDs of single images of a modality, the most usual first; those of radiographs where it has none."""
    return tuple(STORAGE + rest for rest in _IMAGES.get(modality, _OF_RADIOGRAPHS))
