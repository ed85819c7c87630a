"""Whether we have instances: a row in the ledger, and a file on disk of the right size."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path

from sqlalchemy import Connection, RowMapping, select

from node.commitment.messages import CommitmentResult, Reference, Request
from node.commitment.reasons import Reason
from node.dicom.part10 import dataset_offset
from node.errors import UnreadableInstance
from node.ledger.engine import Ledger
from node.ledger.tables import INSTANCE

_AT_ONCE = 500  # instances a statement


def result_of(ledger: Ledger, data: Path, request: Request) -> CommitmentResult:
    """The result of a request.

    Parameters
    ----------
    data
        The node's data folder.
    """
    failed: dict[Reference, int] = {}
    wanted = iter(request.references)
    while batch := list(islice(wanted, _AT_ONCE)):
        with ledger.read() as connection:
            known = _known(connection, batch)
        for reference in batch:
            reason = _fault(reference, known.get(reference.sop_instance_uid, ()), data)
            if reason is not None:
                failed[reference] = reason
    return CommitmentResult(request.transaction_uid, frozenset(request.references) - failed.keys(), failed)


def duplicate(request: Request) -> CommitmentResult:
    """The result of a request whose Transaction UID is in use for another one."""
    failed = {reference: int(Reason.DUPLICATE_TRANSACTION) for reference in request.references}
    return CommitmentResult(request.transaction_uid, frozenset(), failed)


def _known(connection: Connection, references: Iterable[Reference]) -> dict[str, list[RowMapping]]:
    query = select(INSTANCE.c.sop_instance_uid, INSTANCE.c.sop_class_uid, INSTANCE.c.path, INSTANCE.c.size)
    uids = [reference.sop_instance_uid for reference in references]
    rows: dict[str, list[RowMapping]] = {}
    for row in connection.execute(query.where(INSTANCE.c.sop_instance_uid.in_(uids))).mappings():
        rows.setdefault(row["sop_instance_uid"], []).append(row)
    return rows


def _fault(reference: Reference, rows: Sequence[RowMapping], data: Path) -> Reason | None:
    """Why we do not commit to it; where other content arrived under the same UID, all of it must be there."""
    if not rows:
        return Reason.NO_SUCH_INSTANCE
    if any(row["sop_class_uid"] != reference.sop_class_uid for row in rows):
        return Reason.CLASS_INSTANCE_CONFLICT
    whole = all(_is_whole(data / row["path"], row["size"]) for row in rows)
    return None if whole else Reason.NO_SUCH_INSTANCE


def _is_whole(path: Path, size: int) -> bool:
    """Whether the file holds a Data Set of `size` bytes behind its File Meta Information."""
    try:
        return path.stat().st_size == dataset_offset(path) + size
    except (OSError, UnreadableInstance):
        return False
