"""The resources of the Worklist Service (PS3.18 Tables 11.1.1-1 and 11.3-1), to be mounted by a web server."""

from __future__ import annotations

from starlette.routing import BaseRoute, Route, WebSocketRoute

from node.dicomweb import workitems
from node.dicomweb.events import Channel
from node.dicomweb.workitems import WorklistService, endpoint

_TRANSACTIONS = (
    ("/workitems", "POST", workitems.create),
    ("/workitems", "GET", workitems.search),
    ("/workitems/{workitem}", "GET", workitems.retrieve),
    ("/workitems/{workitem}", "POST", workitems.update),
    ("/workitems/{workitem}/state", "PUT", workitems.change_state),
    ("/workitems/{workitem}/cancelrequest", "POST", workitems.request_cancel),
    ("/workitems/{workitem}/subscribers/{aetitle}", "POST", workitems.subscribe),
    ("/workitems/{workitem}/subscribers/{aetitle}", "DELETE", workitems.unsubscribe),
    ("/workitems/{workitem}/subscribers/{aetitle}/suspend", "POST", workitems.suspend),
)
_SOCKETS = ("/subscribers/{aetitle}", "/ws/subscribers/{aetitle}")  # the second as other servers name it


def routes(service: WorklistService) -> list[BaseRoute]:
    """The routes of the service, relative to its base."""
    channel = Channel(service)
    served = [Route(path, endpoint(service, work), methods=[method]) for path, method, work in _TRANSACTIONS]
    return [*served, *(WebSocketRoute(path, channel.serve) for path in _SOCKETS)]
