"""Localizers of volumes: one method a file, which registers its name; torch is imported when a package is loaded."""

from models.localizers.volumes import cam, cnn3d, hirescam, mil

__all__ = ["cam", "cnn3d", "hirescam", "mil"]
