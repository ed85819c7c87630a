"""The Notification Connection: a subscriber's events over the WebSocket that it opened (PS3.18 8.10.4, 8.10.5)."""

from __future__ import annotations

import asyncio
import json

import structlog
from starlette.concurrency import run_in_threadpool
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from node.dicom.identity import is_ae_title
from node.dicomweb.workitems import WorklistService
from node.errors import OutOfResources
from node.worklist.events import event_reports
from node.worklist.events.event_reports import EventReport, Subscriber
from node.worklist.items.json_model import Json
from node.worklist.items.rows import UPS_PUSH

_LOG = structlog.get_logger(__name__)
_TICK = 0.1  # seconds between looks
_BATCH = 100
_POLICY, _AGAIN = 1008, 1013  # RFC 6455 7.4.1, IANA


class Channel:
    """The open connections. A subscriber has one: the second connection of a subscriber replaces the first."""

    def __init__(self, service: WorklistService) -> None:
        self._service = service
        self._open: dict[str, WebSocket] = {}
        self._locks: dict[str, asyncio.Lock] = {}

    async def serve(self, socket: WebSocket) -> None:
        """Send the reports in order, those that wait and the next ones, until the subscriber disconnects.

        A report is deleted from the ledger when the socket took it; what waits when the connection ends is sent over
        the next one.
        """
        ae_title = str(socket.path_params["aetitle"]).strip()
        if not is_ae_title(ae_title) or not self._service.acts_for(socket, ae_title):
            await socket.close(_POLICY)
            return
        await socket.accept()
        before = self._open.get(ae_title)
        self._open[ae_title] = socket
        if before is not None and before.application_state is WebSocketState.CONNECTED:
            await before.close(_POLICY, "opened again")
        leaving = asyncio.create_task(_until_disconnected(socket))
        try:
            while not leaving.done() and self._open.get(ae_title) is socket:
                async with self._locks.setdefault(
                    ae_title, asyncio.Lock()
                ):  # what the connection before sent is recorded
                    await self._send(socket, Subscriber(ae_title, web=True))
                await asyncio.wait([leaving], timeout=_TICK)
        except (WebSocketDisconnect, RuntimeError):  # it disconnected while we sent
            pass
        except OutOfResources as error:
            _LOG.error("event reports wait", subscriber=ae_title, reason=str(error))
            await socket.close(_AGAIN)
        finally:
            leaving.cancel()
            if self._open.get(ae_title) is socket:
                del self._open[ae_title]

    async def _send(self, socket: WebSocket, subscriber: Subscriber) -> None:
        for report in await run_in_threadpool(self._waiting, subscriber):
            await socket.send_text(json.dumps(message(report), ensure_ascii=False, separators=(",", ":")))
            await run_in_threadpool(self._answered, report)

    def _waiting(self, subscriber: Subscriber) -> tuple[EventReport, ...]:
        with self._service.ledger.read() as connection:
            return event_reports.waiting(connection, subscriber, _BATCH)

    def _answered(self, report: EventReport) -> None:
        with self._service.ledger.write() as connection:
            event_reports.answered(connection, report)


def message(report: EventReport) -> Json:
    """The Event Report as one Data Set: the command set of an N-EVENT-REPORT, and its Event Information."""
    command: Json = {
        "00000002": {"vr": "UI", "Value": [UPS_PUSH]},  # Affected SOP Class UID, PS3.4 CC.2.4.3
        "00000110": {"vr": "US", "Value": [report.id % 0x10000]},  # Message ID
        "00001000": {"vr": "UI", "Value": [report.sop_instance_uid]},  # Affected SOP Instance UID
        "00001002": {"vr": "US", "Value": [report.event_type.value]},  # Event Type ID
    }
    return command | report.information


async def _until_disconnected(socket: WebSocket) -> None:
    """Messages of the subscriber are ignored, but that it has disconnected."""
    while (await socket.receive())["type"] != "websocket.disconnect":
        pass
