"""Orthanc's Stone Web Viewer, by its sources."""

from workers.delivery.profiles import Profile, register

register(
    "stone",
    Profile(
        ("regions-2d", "capture"),
        "Draws only a Comprehensive SR (TID 1410, POLYLINE, the source named as Original Source); no sign in its "
        "sources that it draws a Segmentation or prints a document's text, so the capture's legend is the statement.",
    ),
)
