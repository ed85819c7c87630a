"""The DICOM side of ReadFirst: receives studies, keeps them in the ledger, notifies the workers, delivers results."""

from importlib.metadata import version

__version__ = version("readfirst")
__all__ = ["__version__"]
