"""UPS-RS: the worklist over HTTP with DICOM JSON, and its events over a WebSocket (PS3.18 chapter 11)."""

from node.dicomweb.routes import routes

__all__ = ["routes"]
