"""Masks and boxes that the network itself gives: nothing is explained; torch is imported when a package is loaded."""

from models.localizers.direct import boxes, masks

__all__ = ["boxes", "masks"]
