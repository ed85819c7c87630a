"""Celery workers: DICOM to tensors, tensors to findings, findings to DICOM."""
