"""Anatomy of a frontal chest radiograph: the two lungs of a probability map, their zones, and what lies around them."""

from __future__ import annotations

from models.anatomy.lungs import Lungs, lungs_of
from models.anatomy.territories import TERRITORIES, territory
from models.anatomy.zones import ZONES

__all__ = ["TERRITORIES", "ZONES", "Lungs", "lungs_of", "territory"]
