"""The transactions of the Worklist Service, each one operation of `node.worklist` (PS3.18 11.4 to 11.12)."""

from __future__ import annotations

import re
import time
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, field
from functools import partial
from itertools import islice

import structlog
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, HTTPConnection, Request
from starlette.responses import Response

from node.dicom.identity import is_uid
from node.dicomweb import query, responses
from node.dicomweb.media_types import accepts_json
from node.dicomweb.payload import MEDIA_TYPE, read
from node.errors import OutOfResources, ReadFirstError
from node.ledger.engine import Ledger
from node.settings import Limits
from node.worklist.events import subscriptions
from node.worklist.events.event_reports import Subscriber
from node.worklist.items.encoding import PassedOver
from node.worklist.items.json_model import MOST_CHARACTERS, Json, put, tag_of, text
from node.worklist.items.matching import compile_query
from node.worklist.items.rows import UPS_PUSH
from node.worklist.items.statuses import Status, UpsRefused
from node.worklist.reading.data_set import Station
from node.worklist.ups import operations, watch
from node.worklist.ups.watch import Watching

_LOG = structlog.get_logger(__name__)
_JSON = (MEDIA_TYPE, "application/json", "")
# What the parameters are called in one edition of PS3.18 or another, without hyphens and in small letters
_WORKITEM = frozenset(("workitem", "affectedsopinstanceuid", "sopinstanceuid", "00080018"))
_TRANSACTION = frozenset(("transaction", "transactionuid", "00081195"))
_NOBODY = "UPS-RS"  # Requesting AE of a cancellation that names none


@dataclass(frozen=True, slots=True)
class WorklistService:
    """What the transactions work with; safe to share between requests."""

    ledger: Ledger
    station: Station
    locks: bool = True
    clock: Callable[[], float] = time.time
    on_query: Callable[[Request], None] = lambda _request: None
    acts_for: Callable[[HTTPConnection, str], bool] = lambda _request, _ae_title: True
    most_items: int = Limits().work_items_per_peer
    passed_over: PassedOver = field(default_factory=PassedOver)

    @property
    def watching(self) -> Watching:
        """A subscriber of UPS-RS needs no peer table: it opens the WebSocket itself."""
        return Watching(lambda _ae_title: True, self.locks)


class UnsupportedMediaType(ReadFirstError):
    """The media type of a body, which is not read (415)."""


@dataclass(frozen=True, slots=True)
class WorkitemRequest:
    """A request, its body read."""

    http: Request
    body: bytes

    @property
    def uid(self) -> str:
        """The work item of the path."""
        uid = str(self.http.path_params["workitem"])
        if not is_uid(uid):
            raise UpsRefused(Status.INVALID_INSTANCE)
        return uid

    @property
    def ae_title(self) -> str:
        """The subscriber of the path."""
        return str(self.http.path_params["aetitle"]).strip()

    def parameter(self, names: Collection[str]) -> str:
        """The UID of one of these parameters of the URL, or one that is there without a name, as PS3.18 once wrote."""
        given = self.http.query_params.multi_items()
        named = (value for name, value in given if value and re.sub("[^a-z0-9]", "", name.lower()) in names)
        return next(named, "") or next((name for name, value in given if is_uid(name) and not value), "")

    @property
    def accepted(self) -> str:
        """The media ranges that the client accepts; those of the URL have precedence (PS3.18 8.3.3.1)."""
        return self.http.query_params.get("accept") or self.http.headers.get("accept", "")

    def payload(self) -> tuple[Json, tuple[str, ...]]:
        """The Data Set of the body."""
        media_type = self.http.headers.get("content-type", "").partition(";")[0].strip().lower()
        if media_type not in _JSON:
            raise UnsupportedMediaType(media_type)
        return read(self.body)


Work = Callable[[WorklistService, WorkitemRequest], Response]


def endpoint(service: WorklistService, work: Work) -> Callable[[Request], Awaitable[Response]]:
    """The work as an endpoint: the body is read up to a limit, and the work is done beside the event loop."""

    async def respond(http: Request) -> Response:
        try:
            request = WorkitemRequest(http, await _body(http))
            if http.method == "GET" and not accepts_json(request.accepted):
                return responses.not_acceptable()
            response = await run_in_threadpool(work, service, request)
        except UpsRefused as refusal:
            _log(http, work, refusal.status, attribute=refusal.keyword)
            return responses.refused(refusal)
        except UnsupportedMediaType as error:
            _log(http, work, Status.INVALID_ATTRIBUTE_VALUE, attribute="Content-Type")
            return responses.unsupported(str(error))
        except OutOfResources as error:
            _log(http, work, Status.OUT_OF_RESOURCES, reason=str(error))
            return responses.refused(UpsRefused(Status.OUT_OF_RESOURCES))
        _log(http, work, Status.SUCCESS)
        return response

    return respond


def create(service: WorklistService, request: WorkitemRequest) -> Response:
    """Create Workitem (11.4)."""
    given, dropped = request.payload()
    uid = request.parameter(_WORKITEM) or text(given, "SOPInstanceUID")
    given = {tag: entry for tag, entry in given.items() if tag != tag_of("SOPInstanceUID")}
    if not is_uid(uid):
        raise UpsRefused(Status.INVALID_INSTANCE, "workitem")
    pusher = operations.Pusher(request.http.client.host if request.http.client else "", service.most_items)
    with service.ledger.write(adds=True) as connection:
        status = operations.create(connection, uid, given, service.station, service.clock(), pusher)
    status = Status.CREATED_WITH_MODIFICATIONS if dropped else status
    return responses.done(status, 201, Location=f"{_base(request.http)}/workitems/{uid}")


def retrieve(service: WorklistService, request: WorkitemRequest) -> Response:
    """Retrieve Workitem (11.5); it has its own SOP Instance UID, never the Transaction UID."""
    service.on_query(request.http)
    with service.ledger.read() as connection:
        _, item = operations.get(connection, request.uid, (), service.station)
    own: Json = {}
    put(own, "SOPClassUID", UPS_PUSH)
    put(own, "SOPInstanceUID", request.uid)
    return responses.data_sets(dict(sorted((own | item).items())))


def update(service: WorklistService, request: WorkitemRequest) -> Response:
    """Update Workitem (11.6)."""
    given, dropped = request.payload()
    if transaction := request.parameter(_TRANSACTION):
        put(given, "TransactionUID", transaction)
    with service.ledger.write(adds=True) as connection:
        status = operations.modify(connection, request.uid, given, service.clock())
    return responses.done(Status.NOT_ALL_SUPPORTED if dropped else status, 200)


def change_state(service: WorklistService, request: WorkitemRequest) -> Response:
    """Change Workitem State (11.7)."""
    given, _ = request.payload()
    try:
        with service.ledger.write() as connection:
            return responses.done(operations.change_state(connection, request.uid, given, service.clock()), 200)
    except UpsRefused as refusal:
        if refusal.status is Status.WRONG_TRANSACTION and not text(given, "TransactionUID"):
            return responses.refused(refusal, responses.MISSING_TRANSACTION)
        raise


def request_cancel(service: WorklistService, request: WorkitemRequest) -> Response:
    """Request Cancellation (11.8)."""
    given, _ = request.payload()
    requester = request.http.query_params.get("requester", "")[:16] or _NOBODY
    with service.ledger.write(adds=True) as connection:
        status = operations.request_cancel(connection, request.uid, given, service.clock(), requester)
    return responses.done(status, 202)


def search(service: WorklistService, request: WorkitemRequest) -> Response:
    """Search (11.9), the most urgent first."""
    service.on_query(request.http)
    wanted = query.parse(request.http.query_params.multi_items())
    compiled = compile_query(wanted.identifier)
    matches = operations.find(
        service.ledger, compiled, service.station, service.clock(), passed_over=service.passed_over,
        whole=wanted.everything,
    )  # fmt: skip
    found = list(islice((match for _, match in matches), wanted.offset, wanted.offset + wanted.limit + 1))
    warnings = []
    if wanted.fuzzy:
        warnings.append("The fuzzymatching parameter is not supported. Only literal matching has been performed.")
    if len(found) > wanted.limit:
        warnings.append("There are additional results that can be requested.")
    headers = {"Warning": ", ".join(map(responses.warning, warnings))} if warnings else {}
    if not found:
        return Response(status_code=204, headers=headers)
    return responses.data_sets(*found[: wanted.limit], code=206 if len(found) > wanted.limit else 200, **headers)


def subscribe(service: WorklistService, request: WorkitemRequest) -> Response:
    """Subscribe (11.10); Content-Location is where the WebSocket is opened."""
    lock = request.http.query_params.get("deletionlock", "false").upper()
    keys = query.matching_keys(request.http.query_params.get("filter", ""))
    status = _watch(service, request, watch.SUBSCRIBE, keys, DeletionLock=lock)
    return responses.done(status, 201, Content_Location=_socket(request))


def unsubscribe(service: WorklistService, request: WorkitemRequest) -> Response:
    """Unsubscribe (11.11)."""
    with service.ledger.read() as connection:
        if not subscriptions.is_subscribed(connection, Subscriber(request.ae_title, web=True), request.uid):
            raise UpsRefused(Status.NO_SUCH_UPS)
    return responses.done(_watch(service, request, watch.UNSUBSCRIBE), 200)


def suspend(service: WorklistService, request: WorkitemRequest) -> Response:
    """Suspend Global Subscription (11.12)."""
    return responses.done(_watch(service, request, watch.SUSPEND), 200)


def _watch(
    service: WorklistService, request: WorkitemRequest, action: int, keys: Json | None = None, **more: str
) -> Status:
    given: Json = dict(keys or {})
    for keyword, value in {"ReceivingAE": request.ae_title, **more}.items():
        put(given, keyword, value)

    acts_for = partial(service.acts_for, request.http)
    with service.ledger.write(adds=True) as connection:
        return watch.act(
            connection, action, request.uid, given, service.watching, service.clock(), web=True, acts_for=acts_for
        )


def _base(request: Request) -> str:
    return f"{request.url.scheme}://{request.url.netloc}{request.scope.get('root_path', '')}"


def _socket(request: WorkitemRequest) -> str:
    base = _base(request.http)
    return f"ws{base.removeprefix('http')}/subscribers/{request.http.path_params['aetitle']}"


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
