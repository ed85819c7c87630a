"""The Data Sets of storage commitment: Action Information and Event Information (PS3.4 Tables J.3-1 and J.3-2)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from pydicom import Dataset

from node.commitment.reasons import Reason
from node.dicom.identity import is_received_uid
from node.errors import NotUnderstood

INSTANCE = "1.2.840.10008.1.20.1.1"  # Storage Commitment Push Model SOP Instance, PS3.4 J.3.5
REQUEST = 1  # Action Type ID, PS3.4 J.3.2.1
SUCCESSFUL, FAILURES_EXIST = 1, 2  # Event Type IDs, PS3.4 J.3.3.1


@contextmanager
def reading(part: str) -> Iterator[None]:
    """Whatever pydicom meets in the bytes of a peer's `part` means the same: NotUnderstood."""
    try:
        yield
    except NotUnderstood:
        raise
    except Exception as error:
        raise NotUnderstood(f"the {part} cannot be read") from error


@dataclass(frozen=True, slots=True, order=True)
class Reference:
    """An instance that is referenced."""

    sop_class_uid: str
    sop_instance_uid: str


@dataclass(frozen=True, slots=True)
class Request:
    """What is requested under one Transaction UID (0008,1195)."""

    transaction_uid: str
    references: tuple[Reference, ...]


@dataclass(frozen=True, slots=True)
class CommitmentResult:
    """The result of a request: what is committed, and the Failure Reason of what is not."""

    transaction_uid: str
    committed: frozenset[Reference]
    failed: dict[Reference, int]


def write_request(request: Request) -> Dataset:
    """Action Information."""
    dataset = Dataset()
    dataset.TransactionUID = request.transaction_uid
    dataset.ReferencedSOPSequence = [_item(reference) for reference in request.references]
    return dataset


def read_request(dataset: Dataset) -> Request:
    """The request that an Action Information holds.

    Raises
    ------
    NotUnderstood
        A UID is missing or none, or nothing is referenced.
    """
    request = Request(_transaction(dataset), tuple(_references(dataset.get("ReferencedSOPSequence"))))
    if not request.references:
        raise NotUnderstood("a storage commitment request references no instance")
    return request


def write_result(result: CommitmentResult) -> tuple[int, Dataset]:
    """Event Type ID and Event Information; an empty sequence is left out, as J.3.3.1.1 asks."""
    dataset = Dataset()
    dataset.TransactionUID = result.transaction_uid
    if result.committed:
        dataset.ReferencedSOPSequence = [_item(reference) for reference in sorted(result.committed)]
    if not result.failed:
        return SUCCESSFUL, dataset
    dataset.FailedSOPSequence = [_item(reference) for reference in sorted(result.failed)]
    for item, reference in zip(dataset.FailedSOPSequence, sorted(result.failed), strict=True):
        item.FailureReason = result.failed[reference]
    return FAILURES_EXIST, dataset


def read_result(dataset: Dataset) -> CommitmentResult:
    """The result that an Event Information holds.

    Raises
    ------
    NotUnderstood
        A UID is missing or none.
    """
    items = dataset.get("FailedSOPSequence") or ()
    reasons = [int(item.get("FailureReason") or Reason.PROCESSING_FAILURE) for item in items]
    failed = dict(zip(_references(items), reasons, strict=True))
    committed = frozenset(_references(dataset.get("ReferencedSOPSequence")))
    return CommitmentResult(_transaction(dataset), committed, failed)


def _item(reference: Reference) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = reference.sop_class_uid
    item.ReferencedSOPInstanceUID = reference.sop_instance_uid
    return item


def _transaction(dataset: Dataset) -> str:
    uid = str(dataset.get("TransactionUID") or "")
    if not is_received_uid(uid):
        raise NotUnderstood("Transaction UID is missing or no UID")
    return uid


def _references(items: Iterable[Dataset] | None) -> list[Reference]:
    found = []
    for item in items or ():
        uids = [str(item.get(keyword) or "") for keyword in ("ReferencedSOPClassUID", "ReferencedSOPInstanceUID")]
        if not all(map(is_received_uid, uids)):
            raise NotUnderstood("a referenced SOP Class or Instance UID is missing or no UID")
        found.append(Reference(*uids))
    return found
