"""Localizers of chest CT that see HU: the lungs, and nodules in them; torch is imported when a package is loaded."""

from models.localizers.ct import lungs, nodules

__all__ = ["lungs", "nodules"]
