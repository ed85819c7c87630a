"""The report in sentences as pages to print."""

from pydicom.uid import EncapsulatedPDFStorage

from workers.results.registry import Kind, register

register(Kind("report-pdf", EncapsulatedPDFStorage, 9109, "workers.results.pdf:pdf_reports", fallback="report-text"))
