"""The statement for peers that do not take Comprehensive 3D SR."""

from pydicom.uid import ComprehensiveSRStorage

from workers.results.registry import Kind, register

register(
    Kind("statement-2d", ComprehensiveSRStorage, 9113, "workers.results.plain:plain_statements", fallback="report-text")
)
