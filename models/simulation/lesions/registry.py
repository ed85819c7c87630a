"""The kinds of lesions by name."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

import numpy as np

from models.simulation.chest import Chest

Lesion = Callable[[Chest, np.random.Generator, float], Chest]
"""(chest, generator, severity 0..1) -> chest with new voxels and its mask under the kind's label."""

FILES = ("cardiomegaly", "emphysema", "nodules", "consolidation", "pneumothorax", "effusion")
_LESIONS: dict[str, Lesion] = {}


def lesion(label: str) -> Callable[[Lesion], Lesion]:
    """Register a function as the maker of a label's lesions."""

    def registered(made: Lesion) -> Lesion:
        _LESIONS[label] = made
        return made

    return registered


def lesions() -> dict[str, Lesion]:
    """The makers by label, in the order in which a chest with several gets them: those that move tissue are last."""
    for name in FILES:
        import_module(f"models.simulation.lesions.{name}")
    return _LESIONS
