"""Detectors of classical image analysis, in SimpleITK; imported when a package is loaded."""
