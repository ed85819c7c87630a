"""`/predict`: files predicted, for programs; a page to drop one on; and the description of it."""

from __future__ import annotations

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from node.predicting import openapi
from node.predicting.predictions import Refusal, Reply, Wanted
from node.web.context import context_of
from node.web.pages.rendering import page


def show(request: Request) -> Response:
    """`GET /predict`."""
    predictions = context_of(request).predictions
    return page(request, "predict.html", packages=predictions.packages if predictions else ())


def description(_request: Request) -> Response:
    """`GET /predict/openapi.json`."""
    return JSONResponse(openapi.document())


async def predict(request: Request) -> Response:
    """`POST /predict`: the body is the file."""
    predictions = context_of(request).predictions
    try:
        if predictions is None:
            raise Refusal(404, "This node predicts no files.")
        wanted, length = _wanted(request), request.headers.get("content-length")
        size = int(length) if length and length.isdecimal() else None
        reply = await predictions.predict(request.stream(), size, wanted, request.is_disconnected)
    except Refusal as refusal:
        reply = refusal.reply
    except ClientDisconnect:
        reply = Refusal(499, "The sender has left.").reply
    return _response(reply)


def _wanted(request: Request) -> Wanted:
    given = request.query_params
    unknown = sorted(set(given) - {"package", "maps", "pictures"})
    if unknown or any(given.get(name, "png") != "png" for name in ("maps", "pictures")):
        raise Refusal(400, "The parameters are package=NAME, maps=png and pictures=png.")
    return Wanted(given.get("package", ""), "maps" in given, "pictures" in given)


def _response(reply: Reply) -> Response:
    again = {} if reply.retry_after is None else {"Retry-After": str(reply.retry_after)}
    return Response(reply.body, reply.status, again, "application/json")
