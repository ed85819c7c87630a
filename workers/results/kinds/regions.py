"""The regions with outlines and probabilities as a Structured Report."""

from pydicom.uid import Comprehensive3DSRStorage

from workers.results.registry import Kind, register

register(
    Kind("regions", Comprehensive3DSRStorage, 9102, "workers.results.regions:regions_documents", fallback="regions-2d")
)
