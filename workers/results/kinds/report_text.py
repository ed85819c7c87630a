"""The report in sentences."""

from pydicom.uid import BasicTextSRStorage

from workers.results.registry import Kind, register

register(Kind("report-text", BasicTextSRStorage, 9108, "workers.results.text:text_reports", fallback="capture"))
