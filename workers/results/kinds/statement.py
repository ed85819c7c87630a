"""All findings, present or not, as a Structured Report."""

from pydicom.uid import Comprehensive3DSRStorage

from workers.results.registry import Kind, register

register(
    Kind(
        "statement",
        Comprehensive3DSRStorage,
        9103,
        "workers.results.statement:statement_documents",
        fallback="statement-2d",
    )
)
