"""Receives the results of peers: N-EVENT-REPORT over any association (PS3.4 J.3.3)."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from typing import Any

import structlog
from pynetdicom.sop_class import StorageCommitmentPushModel

from node.commitment import uncommitted
from node.commitment.messages import FAILURES_EXIST, INSTANCE, SUCCESSFUL, CommitmentResult, read_result, reading
from node.errors import NotUnderstood, OutOfResources
from node.ledger.engine import Ledger

_log = structlog.get_logger(__name__)
# PS3.7 10.1.1.1.8 and Annex C
_SUCCESS, _PROCESSING_FAILURE, _NO_SUCH_INSTANCE, _NO_SUCH_EVENT_TYPE = 0x0000, 0x0110, 0x0112, 0x0113
_INVALID_ARGUMENT_VALUE, _NO_SUCH_CLASS, _RESOURCE_LIMITATION = 0x0115, 0x0118, 0x0213


def receive_result(
    event: Any, ledger: Ledger, names: Collection[str], clock: Callable[[], float] = time.time
) -> tuple[int, None]:
    """Answer one N-EVENT-REPORT: with Success when its result is in the ledger.

    Parameters
    ----------
    event
        pynetdicom's, of an association with the peer of the tables `names`.
    """
    try:
        status, about = _take(event, ledger, names, clock())
    except OutOfResources as error:
        status, about = _RESOURCE_LIMITATION, {"reason": str(error)}
    except Exception:  # noqa: BLE001  # outermost: a bug of ours is logged, and answered
        _log.exception("storage commitment result")
        return _PROCESSING_FAILURE, None
    log = _log.warning if status or about.get("failed") else _log.info
    log("storage commitment result", peers=sorted(names), status=f"0x{status:04X}", **about)
    return status, None


def _take(event: Any, ledger: Ledger, names: Collection[str], now: float) -> tuple[int, dict[str, Any]]:
    if StorageCommitmentPushModel not in (event.request.AffectedSOPClassUID, event.context.abstract_syntax):
        return _NO_SUCH_CLASS, {}
    if event.request.AffectedSOPInstanceUID != INSTANCE:
        return _NO_SUCH_INSTANCE, {}
    if event.event_type not in (SUCCESSFUL, FAILURES_EXIST):
        return _NO_SUCH_EVENT_TYPE, {}
    try:
        result = _read(event)
    except NotUnderstood as error:
        return _INVALID_ARGUMENT_VALUE, {"reason": str(error)}
    with ledger.write() as connection:
        counts = uncommitted.record_result(connection, names, result, now)
    if counts is None:
        return _INVALID_ARGUMENT_VALUE, {"reason": "nothing was requested of the peer under this Transaction UID"}
    return _SUCCESS, {"transaction": result.transaction_uid, **counts}


def _read(event: Any) -> CommitmentResult:
    with reading("Event Information"):
        return read_result(event.event_information)
