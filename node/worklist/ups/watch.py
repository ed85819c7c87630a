"""Subscribe, unsubscribe, suspend: N-ACTION 3, 4 and 5 of UPS Watch, and those of UPS-RS (PS3.4 CC.2.3)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import Connection

from node.dicom.identity import is_ae_title
from node.worklist.events import subscriptions
from node.worklist.events.event_reports import Subscriber
from node.worklist.events.subscription_states import FILTERED_GLOBAL_SUBSCRIPTION
from node.worklist.events.subscriptions import WELL_KNOWN, Subscription
from node.worklist.items.json_model import Json, tag_of, text
from node.worklist.items.matching import compile_query
from node.worklist.items.rows import load
from node.worklist.items.statuses import Status, UpsRefused

SUBSCRIBE, UNSUBSCRIBE, SUSPEND = ACTIONS = 3, 4, 5  # Action Type IDs, Table CC.2.3-1

_NOT_KEYS = tuple(map(tag_of, ("ReceivingAE", "DeletionLock")))
_LOCK = {"TRUE": True, "FALSE": False}


@dataclass(frozen=True, slots=True)
class Watching:
    """Who may subscribe, and whether a Deletion Lock is granted.

    `reachable`: whether a peer table has the AE title of a DIMSE subscriber.
    """

    reachable: Callable[[str], bool]
    locks: bool = True


ActsFor = Callable[[str], bool]
"""Whether who asks may act for a subscriber's AE title: its own, or each one by a right of its own."""


def act(
    connection: Connection, action: int, sop_instance_uid: str, given: Json, watching: Watching, now: float, *,
    web: bool = False, acts_for: ActsFor = lambda _ae_title: True,
) -> Status:  # fmt: skip
    """Do the action for its Receiving AE. Another one's subscription is not changed without the right to it.

    Raises
    ------
    UpsRefused
        0xC307, 0xC308, 0xC314, 0x0124, or 0x0115 with the attribute.
    """
    subscriber = _receiver(given, watching, web=web)
    if sop_instance_uid not in WELL_KNOWN and load(connection, sop_instance_uid) is None:
        raise UpsRefused(Status.NO_SUCH_UPS)
    changes = action != SUBSCRIBE or subscriptions.is_subscribed(connection, subscriber, sop_instance_uid)
    if changes and not acts_for(subscriber.ae_title):
        raise UpsRefused(Status.NOT_AUTHORIZED)
    if action == SUBSCRIBE:
        return _subscribe(connection, subscriber, sop_instance_uid, given, watching, now)
    if action == UNSUBSCRIBE:
        subscriptions.unsubscribe(connection, subscriber, sop_instance_uid)
    elif sop_instance_uid in WELL_KNOWN:
        subscriptions.suspend(connection, subscriber, sop_instance_uid)
    else:
        raise UpsRefused(Status.ACTION_NOT_APPROPRIATE)
    return Status.SUCCESS


def _subscribe(
    connection: Connection, subscriber: Subscriber, uid: str, given: Json, watching: Watching, now: float
) -> Status:
    lock = text(given, "DeletionLock")
    if lock not in _LOCK:
        raise UpsRefused(Status.INVALID_ARGUMENT_VALUE, "DeletionLock")
    keys = _matching_keys(given) if uid == FILTERED_GLOBAL_SUBSCRIPTION else {}
    subscription = Subscription(subscriber, uid, _LOCK[lock] and watching.locks, keys)
    subscriptions.subscribe(connection, subscription, now)
    return Status.SUCCESS if subscription.locked is _LOCK[lock] else Status.LOCK_NOT_GRANTED


def _receiver(given: Json, watching: Watching, *, web: bool) -> Subscriber:
    ae_title = text(given, "ReceivingAE")
    if not is_ae_title(ae_title):
        raise UpsRefused(Status.INVALID_ARGUMENT_VALUE, "ReceivingAE")
    if not web and not watching.reachable(ae_title):
        raise UpsRefused(Status.UNKNOWN_RECEIVER)
    return Subscriber(ae_title, web)


def _matching_keys(given: Json) -> Json:
    keys = {tag: entry for tag, entry in given.items() if tag not in _NOT_KEYS}
    try:
        compile_query(keys)
    except UpsRefused as refusal:
        raise UpsRefused(Status.INVALID_ARGUMENT_VALUE, refusal.keyword) from refusal
    return keys
