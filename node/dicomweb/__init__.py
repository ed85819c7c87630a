"""UPS-RS: the worklist over HTTP with DICOM JSON, and its events over a WebSocket (PS3.18 chapter 11)."""

from node.dicomweb.routes import routes
from node.dicomweb.serving import serving

__all__ = ["routes", "serving"]
