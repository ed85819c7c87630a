"""The transactions of the Worklist Service, each one operation of `node.worklist` (PS3.18 11.4 to 11.12)."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from itertools import islice

import structlog
from sqlalchemy import Connection
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from node.dicom.identity import is_uid
from node.dicomweb import answers, searching
from node.dicomweb.model import MEDIA_TYPE, read
from node.errors import OutOfResources
from node.ledger.engine import Ledger
from node.worklist.events import subscriptions
from node.worklist.events.event_reports import Subscriber
from node.worklist.items.json_model import MOST_CHARACTERS, Json, put, tag_of, text
from node.worklist.items.matching import compile_query
from node.worklist.items.rows import UPS_PUSH
from node.worklist.items.statuses import Status, UpsRefused
from node.worklist.reading.data_set import Station
from node.worklist.ups import operations, watch
from node.worklist.ups.watch import Watching

_LOG = structlog.get_logger(__name__)
_JSON = (MEDIA_TYPE, "application/json", "")
_NOBODY = "UPS-RS"  # Requesting AE of a cancellation that names none


@dataclass(frozen=True, slots=True)
class Desk:
    """What the transactions work with; safe to share between requests."""

    ledger: Ledger
    station: Station
    locks: bool = True
    clock: Callable[[], float] = time.time
    asked: Callable[[Request], None] = lambda _request: None

    @property
    def watching(self) -> Watching:
        """A subscriber of UPS-RS needs no peer table: it opens the WebSocket itself."""
        return Watching(lambda _ae_title: True, self.locks)


@dataclass(frozen=True, slots=True)
class Call:
    """A request, its body read."""

    request: Request
    body: bytes

    @property
    def uid(self) -> str:
        """The work item of the path."""
        uid = str(self.request.path_params["workitem"])
        if not is_uid(uid):
            raise UpsRefused(Status.INVALID_INSTANCE)
        return uid

    @property
    def ae_title(self) -> str:
        """The subscriber of the path."""
        return str(self.request.path_params["aetitle"]).strip()

    def parameter(self, name: str) -> str:
        """A parameter of the URL; a UID may also stand there without a name, as PS3.18 writes it."""
        given = self.request.query_params
        return given.get(name) or next((one for one in given if is_uid(one) and not given[one]), "")

    def payload(self) -> tuple[Json, tuple[str, ...]]:
        """The Data Set of the body."""
        if self.request.headers.get("content-type", "").partition(";")[0].strip().lower() not in _JSON:
            raise UpsRefused(Status.INVALID_ATTRIBUTE_VALUE, "Content-Type")
        return read(self.body)


Work = Callable[[Desk, Call], Response]


def endpoint(desk: Desk, work: Work) -> Callable[[Request], Awaitable[Response]]:
    """The work as an endpoint: the body is read up to a limit, and the ledger is asked beside the event loop."""

    async def answer(request: Request) -> Response:
        try:
            call = Call(request, await _body(request))
            response = await run_in_threadpool(work, desk, call)
        except UpsRefused as refusal:
            _log(request, work, refusal.status, attribute=refusal.keyword)
            return answers.refused(refusal)
        except OutOfResources as error:
            _log(request, work, Status.OUT_OF_RESOURCES, reason=str(error))
            return answers.refused(UpsRefused(Status.OUT_OF_RESOURCES))
        _log(request, work, Status.SUCCESS)
        return response

    return answer


def create(desk: Desk, call: Call) -> Response:
    """Create Workitem (11.4)."""
    given, dropped = call.payload()
    uid = call.parameter("workitem") or text(given, "SOPInstanceUID")
    given = {tag: entry for tag, entry in given.items() if tag != tag_of("SOPInstanceUID")}
    if not is_uid(uid):
        raise UpsRefused(Status.INVALID_INSTANCE, "workitem")
    with desk.ledger.write() as connection:
        status = operations.create(connection, uid, given, desk.station, desk.clock())
    status = Status.CREATED_WITH_MODIFICATIONS if dropped else status
    return answers.done(status, 201, Location=f"{_base(call.request)}/workitems/{uid}")


def retrieve(desk: Desk, call: Call) -> Response:
    """Retrieve Workitem (11.5); it names itself, the Transaction UID is never told."""
    with desk.ledger.read() as connection:
        _, item = operations.get(connection, call.uid, (), desk.station)
    own: Json = {}
    put(own, "SOPClassUID", UPS_PUSH)
    put(own, "SOPInstanceUID", call.uid)
    return answers.data_sets(dict(sorted((own | item).items())))


def update(desk: Desk, call: Call) -> Response:
    """Update Workitem (11.6)."""
    given, dropped = call.payload()
    if transaction := call.parameter("transaction-uid"):
        put(given, "TransactionUID", transaction)
    with desk.ledger.write() as connection:
        status = operations.modify(connection, call.uid, given, desk.clock())
    return answers.done(Status.NOT_ALL_SUPPORTED if dropped else status, 200)


def change_state(desk: Desk, call: Call) -> Response:
    """Change Workitem State (11.7)."""
    given, _ = call.payload()
    try:
        with desk.ledger.write() as connection:
            return answers.done(operations.change_state(connection, call.uid, given, desk.clock()), 200)
    except UpsRefused as refusal:
        if refusal.status is Status.WRONG_TRANSACTION and not text(given, "TransactionUID"):
            return answers.refused(refusal, answers.MISSING_TRANSACTION)
        raise


def request_cancel(desk: Desk, call: Call) -> Response:
    """Request Cancellation (11.8)."""
    given, _ = call.payload()
    requester = call.request.query_params.get("requester", "")[:16] or _NOBODY
    with desk.ledger.write() as connection:
        status = operations.request_cancel(connection, call.uid, given, desk.clock(), requester)
    return answers.done(status, 202)


def search(desk: Desk, call: Call) -> Response:
    """Search (11.9), the most urgent first."""
    desk.asked(call.request)
    asked = searching.parse(call.request.query_params.multi_items())
    query = compile_query(asked.identifier)
    matches = operations.find(desk.ledger, query, desk.station, desk.clock(), whole=asked.everything)
    found = list(islice(matches, asked.offset, asked.offset + asked.limit + 1))
    said = []
    if asked.fuzzy:
        said.append("The fuzzymatching parameter is not supported. Only literal matching has been performed.")
    if len(found) > asked.limit:
        said.append("There are additional results that can be requested.")
    headers = {"Warning": ", ".join(map(answers.warning, said))} if said else {}
    if not found:
        return Response(status_code=204, headers=headers)
    return answers.data_sets(*found[: asked.limit], code=206 if len(found) > asked.limit else 200, **headers)


def subscribe(desk: Desk, call: Call) -> Response:
    """Subscribe (11.10); Content-Location is where the WebSocket is opened."""
    lock = call.request.query_params.get("deletionlock", "false").upper()
    keys = searching.matching_keys(call.request.query_params.get("filter", ""))
    status = _watch(desk, call, watch.SUBSCRIBE, keys, DeletionLock=lock)
    return answers.done(status, 201, Content_Location=_socket(call))


def unsubscribe(desk: Desk, call: Call) -> Response:
    """Unsubscribe (11.11)."""
    with desk.ledger.read() as connection:
        if not subscriptions.is_subscribed(connection, Subscriber(call.ae_title, web=True), call.uid):
            raise UpsRefused(Status.NO_SUCH_UPS)
    return answers.done(_watch(desk, call, watch.UNSUBSCRIBE), 200)


def suspend(desk: Desk, call: Call) -> Response:
    """Suspend Global Subscription (11.12)."""
    return answers.done(_watch(desk, call, watch.SUSPEND), 200)


def _watch(desk: Desk, call: Call, action: int, keys: Json | None = None, **more: str) -> Status:
    given: Json = dict(keys or {})
    for keyword, value in {"ReceivingAE": call.ae_title, **more}.items():
        put(given, keyword, value)

    def act(connection: Connection) -> Status:
        return watch.act(connection, action, call.uid, given, desk.watching, desk.clock(), web=True)

    with desk.ledger.write() as connection:
        return act(connection)


def _base(request: Request) -> str:
    return f"{request.url.scheme}://{request.url.netloc}{request.scope.get('root_path', '')}"


def _socket(call: Call) -> str:
    base = _base(call.request)
    return f"ws{base.removeprefix('http')}/subscribers/{call.request.path_params['aetitle']}"


async def _body(request: Request) -> bytes:
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > MOST_CHARACTERS:
                raise UpsRefused(Status.RESOURCE_LIMITATION)
    except ClientDisconnect as error:
        raise UpsRefused(Status.PROCESSING_FAILURE) from error
    return bytes(body)


def _log(request: Request, work: Work, status: Status, **more: str) -> None:
    """UIDs and statuses: never a value; the query of the URL may hold one."""
    write = _LOG.warning if status.failed else _LOG.info
    uid = str(request.path_params.get("workitem", ""))
    named = {key: value for key, value in more.items() if value}
    write(
        "work item transaction", transaction=work.__name__, sop_instance_uid=uid if is_uid(uid) else "",
        status=f"0x{int(status):04X}", **named,
    )  # fmt: skip
