"""A picture with outlines and legend, for viewers that show nothing else."""

from pydicom.uid import SecondaryCaptureImageStorage

from workers.results.registry import Kind, register

register(
    Kind("capture", SecondaryCaptureImageStorage, 9104, "workers.results.sc:captures", of_structures=True),
)
