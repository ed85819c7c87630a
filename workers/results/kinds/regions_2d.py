"""The regions document for peers that do not take Comprehensive 3D SR."""

from pydicom.uid import ComprehensiveSRStorage

from workers.results.registry import Kind, register

register(Kind("regions-2d", ComprehensiveSRStorage, 9112, "workers.results.plain:plain_regions", fallback="capture"))
