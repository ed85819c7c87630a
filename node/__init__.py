"""The DICOM side of ReadFirst: receives studies, remembers them, calls the workers, delivers what comes back."""

from importlib.metadata import version

__version__ = version("readfirst")
__all__ = ["__version__"]
