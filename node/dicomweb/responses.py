"""What the statuses of the operations are in HTTP (PS3.18 11.4 to 11.12): one table."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.responses import Response

from node.dicomweb.payload import MEDIA_TYPE, write
from node.worklist.items.json_model import Json
from node.worklist.items.statuses import Status, UpsRefused

_SERVICE = "readfirst"
_NOT_CLAIMED = "The target URI did not reference a claimed Workitem."
_INCONSISTENT = "The submitted request is inconsistent with the current state of the Workitem."

_CODES: Mapping[Status, int] = {  # failures; what is not here is 400
    Status.NO_SUCH_UPS: 404,
    Status.DUPLICATE_INSTANCE: 409,
    Status.ALREADY_IN_PROGRESS: 409,
    Status.ONLY_CREATED_SCHEDULED: 409,
    Status.FINAL_STATE_NOT_MET: 409,
    Status.NOT_IN_PROGRESS: 409,
    Status.IS_COMPLETED: 409,
    Status.PERFORMER_UNREACHABLE: 409,
    Status.RESOURCE_LIMITATION: 503,
    Status.OUT_OF_RESOURCES: 503,
    Status.PROCESSING_FAILURE: 500,
    Status.NOT_AUTHORIZED: 403,
}
_WARNINGS: Mapping[Status, str] = {  # the sentences that PS3.18 prescribes; else the status's own
    Status.CREATED_WITH_MODIFICATIONS: "The Workitem was created with modifications.",
    Status.NOT_ALL_SUPPORTED: "Requested optional Attributes are not supported.",
    Status.ALREADY_CANCELED: "The UPS is already in the requested state of CANCELED.",
    Status.ALREADY_COMPLETED: "The UPS is already in the requested state of COMPLETED.",
    Status.LOCK_NOT_GRANTED: "Deletion Lock not granted.",
    Status.WRONG_TRANSACTION: "The Transaction UID is incorrect.",
    Status.NOT_IN_PROGRESS: _NOT_CLAIMED,
    Status.NO_LONGER_UPDATABLE: _INCONSISTENT,
    Status.ALREADY_IN_PROGRESS: _INCONSISTENT,
    Status.ONLY_CREATED_SCHEDULED: _INCONSISTENT,
    Status.IS_COMPLETED: _INCONSISTENT,
}
MISSING_TRANSACTION = "The Transaction UID is missing."


def done(status: Status, code: int, **headers: str) -> Response:
    """A response without payload; a warning status is in the Warning header."""
    if status is not Status.SUCCESS:
        headers["Warning"] = warning(_WARNINGS.get(status, status.meaning))
    return Response(status_code=code, headers=_named(headers))


def data_sets(*found: Json, code: int = 200, **headers: str) -> Response:
    """A response of Data Sets."""
    return Response(write(*found), code, _named(headers), MEDIA_TYPE)


def not_acceptable() -> Response:
    """The client accepts no media type that is served."""
    return Response(status_code=406, headers={"Warning": warning(f"Only {MEDIA_TYPE} is served.")})


def unsupported(media_type: str) -> Response:
    """The payload is of a media type that is not read."""
    text = f"The Content-Type is {media_type}: send {MEDIA_TYPE}."
    return Response(status_code=415, headers={"Warning": warning(text), "Accept": MEDIA_TYPE})


def refused(refusal: UpsRefused, sentence: str = "") -> Response:
    """A failure: the DIMSE status and the attribute at fault are in the Warning header, values never."""
    status = refusal.status
    text = sentence or _WARNINGS.get(status, status.meaning)
    at = f" ({refusal.keyword})" if refusal.keyword else ""
    headers = {"Warning": warning(f"{text}{at}"), "X-DIMSE-Status": f"0x{int(status):04X}"}
    return Response(status_code=_CODES.get(status, 400), headers=headers)


def warning(sentence: str) -> str:
    """The Warning header (RFC 7234 5.5), in ASCII."""
    return f"299 {_SERVICE}: {sentence}".encode("ascii", "replace").decode()


def _named(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}
