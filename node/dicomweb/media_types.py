"""Which media types a client accepts (RFC 9110 12.5.1, PS3.18 8.7.5). Pure."""

from __future__ import annotations

from collections.abc import Iterator

from node.dicomweb.payload import MEDIA_TYPE

_SERVED = (MEDIA_TYPE, "application/json")


def accepts_json(accept: str) -> bool:
    """Whether one of the media ranges is DICOM JSON; without any range everything is accepted."""
    ranges = dict(_ranges(accept))
    return not ranges or any(_weight(ranges, served) > 0.0 for served in _SERVED)


def _weight(ranges: dict[str, float], served: str) -> float:
    """That of the most specific range (RFC 9110 12.5.1)."""
    names = served, f"{served.partition('/')[0]}/*", "*/*"
    return next((ranges[name] for name in names if name in ranges), 0.0)


def _ranges(accept: str) -> Iterator[tuple[str, float]]:
    for one in filter(str.strip, accept.split(",")):
        name, *parameters = (part.strip().lower() for part in one.split(";"))
        weights = [part[2:] for part in parameters if part.startswith("q=")]
        try:
            yield name, float(weights[0]) if weights else 1.0
        except ValueError:
            yield name, 0.0
