"""Which storage SOP classes (PS3.4 B.5) hold an image of a modality: what a card's modalities let a model read.

Classes of several frames are among them where one frame is usual and highdicom writes Segmentations of that one
without functional groups (tests/workers/trial/test_storage_classes.py makes one of each): ophthalmic photographs,
ultrasound, secondary captures. XA, RF and NM are films, of which nothing is read.
"""

from __future__ import annotations

STORAGE = "1.2.840.10008.5.1.4.1.1."
_OF_RADIOGRAPHS = ("1", "1.1")
SECONDARY_CAPTURE = "OT"  # the modality of a card that reads them; of files it is of no meaning
_IMAGES = {  # Modality: what follows STORAGE, the most usual first
    "CR": _OF_RADIOGRAPHS,
    "DX": ("1.1", "1"),
    "PX": ("1.1", "1"),
    "MG": ("1.2",),
    "IO": ("1.3",),
    "CT": ("2",),
    "MR": ("4",),
    "US": ("6.1", "3.1"),
    "ES": ("77.1.1",),
    "GM": ("77.1.2",),
    "XC": ("77.1.4",),
    "OP": ("77.1.5.1", "77.1.5.2"),
    "PT": ("128",),
    SECONDARY_CAPTURE: ("7", "7.4", "7.2", "7.3"),
}
_COLOURED = ("US", "ES", "GM", "XC", "OP", SECONDARY_CAPTURE)


def image_classes(modality: str) -> tuple[str, ...]:
    """SOP Class UIDs of single images of a modality, the most usual first; those of radiographs where it has none."""
    return tuple(STORAGE + rest for rest in _IMAGES.get(modality, _OF_RADIOGRAPHS))


COLOURED = frozenset(uid for modality in _COLOURED for uid in image_classes(modality))
"""Classes whose images may have colours."""
SECONDARY = frozenset(image_classes(SECONDARY_CAPTURE))
