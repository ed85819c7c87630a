"""Forms that pages post: read here, done beside the event loop, refusals as sentences."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from urllib.parse import parse_qsl

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from node.errors import OutOfResources
from node.worklist.items.statuses import UpsRefused

Form = Mapping[str, str]
_MOST_BYTES = 16384  # of a form


def posting(work: Callable[[Request, Form], Response]) -> Callable[[Request], object]:
    """An endpoint that reads a form and does its work beside the event loop; refusals become sentences."""

    async def endpoint(request: Request) -> Response:
        form = await _form(request)
        try:
            return await run_in_threadpool(work, request, form)
        except UpsRefused as refusal:
            raise HTTPException(409, f"Not done: {refusal}.") from refusal
        except OutOfResources as error:
            raise HTTPException(503, "Not done: the ledger cannot be written now. Try again.") from error

    return endpoint


async def _form(request: Request) -> Form:
    """The fields of a form (application/x-www-form-urlencoded), the last of each name."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > _MOST_BYTES:
            raise HTTPException(413, "That is too much for a form.")
    try:
        return dict(parse_qsl(body.decode("ascii"), keep_blank_values=True, max_num_fields=50))
    except ValueError as error:
        raise HTTPException(400, "That is no form.") from error
