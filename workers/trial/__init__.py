"""A model package tried without a node: a study in, checked DICOM objects out."""
