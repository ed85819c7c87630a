"""The images on which something was found."""

from pydicom.uid import KeyObjectSelectionDocumentStorage

from workers.results.registry import Kind, register

register(
    Kind("key-objects", KeyObjectSelectionDocumentStorage, 9105, "workers.results.ko:key_objects", fallback="capture")
)
