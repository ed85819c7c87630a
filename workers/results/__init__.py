"""DICOM objects of findings: one file a kind."""
