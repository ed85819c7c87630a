"""DICOM as data: presentation contexts, identity, files, headers, DIMSE command sets."""
