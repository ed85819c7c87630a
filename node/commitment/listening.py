"""Takes the reports of peers: N-EVENT-REPORT over whichever association it comes (PS3.4 J.3.3)."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from typing import Any

import structlog
from pynetdicom.sop_class import StorageCommitmentPushModel

from node.commitment import unproven
from node.commitment.messages import FAILURES_EXIST, INSTANCE, SUCCESSFUL, Report, read_report
from node.errors import NotUnderstood, OutOfResources
from node.ledger.engine import Ledger

_log = structlog.get_logger(__name__)
# PS3.7 10.1.1.1.8 and Annex C
_SUCCESS, _PROCESSING_FAILURE, _NO_SUCH_INSTANCE, _NO_SUCH_EVENT_TYPE = 0x0000, 0x0110, 0x0112, 0x0113
_INVALID_ARGUMENT_VALUE, _NO_SUCH_CLASS, _RESOURCE_LIMITATION = 0x0115, 0x0118, 0x0213


def on_report(
    event: Any, ledger: Ledger, names: Collection[str], clock: Callable[[], float] = time.time
) -> tuple[int, None]:
    """Answer one N-EVENT-REPORT: with Success when what it says is in the ledger.

    Parameters
    ----------
    event
        pynetdicom's, of an association with the peer that the tables `names` speak of.
    """
    try:
        status, said = _take(event, ledger, names, clock())
    except OutOfResources as error:
        status, said = _RESOURCE_LIMITATION, {"reason": str(error)}
    except Exception:  # noqa: BLE001  # outermost: a bug of ours is said in the log, and answered
        _log.exception("storage commitment report")
        return _PROCESSING_FAILURE, None
    log = _log.warning if status or said.get("failed") else _log.info
    log("storage commitment report", peers=sorted(names), status=f"0x{status:04X}", **said)
    return status, None


def _take(event: Any, ledger: Ledger, names: Collection[str], now: float) -> tuple[int, dict[str, Any]]:
    if StorageCommitmentPushModel not in (event.request.AffectedSOPClassUID, event.context.abstract_syntax):
        return _NO_SUCH_CLASS, {}
    if event.request.AffectedSOPInstanceUID != INSTANCE:
        return _NO_SUCH_INSTANCE, {}
    if event.event_type not in (SUCCESSFUL, FAILURES_EXIST):
        return _NO_SUCH_EVENT_TYPE, {}
    try:
        report = _read(event)
    except NotUnderstood as error:
        return _INVALID_ARGUMENT_VALUE, {"reason": str(error)}
    with ledger.write() as connection:
        counts = unproven.take_report(connection, names, report, now)
    if counts is None:
        return _INVALID_ARGUMENT_VALUE, {"reason": "the peer was not asked under this Transaction UID"}
    return _SUCCESS, {"transaction": report.transaction_uid, **counts}


def _read(event: Any) -> Report:
    try:
        return read_report(event.event_information)
    except NotUnderstood:
        raise
    except Exception as error:  # the bytes are the peer's; whatever pydicom met in them means the same
        raise NotUnderstood("the Event Information cannot be read") from error
