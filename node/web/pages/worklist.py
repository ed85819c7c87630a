"""The reading worklist page. What is searched for is posted, never part of an address: it may be a patient's name."""

from __future__ import annotations

from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response

from node.web.context import address_of, context_of
from node.web.pages.forms import Form
from node.web.pages.listing import STATES, STEP, Filter, find
from node.web.pages.rendering import page
from node.worklist.items.priority import Priority

_MOST = 10_000  # lines on one page


def show(request: Request) -> Response:
    """`GET /`."""
    context = context_of(request)
    context.recording.submit(context.audit.searched, address_of(request), "/", "")
    return _page(request, "worklist.html", Filter())


def lines(request: Request, form: Form) -> Response:
    """`POST /lines`: the lines anew, by the filter."""
    chosen = _filter(form)
    keys = urlencode({"words": chosen.words}) if chosen.words else ""
    context = context_of(request)
    context.recording.submit(context.audit.searched, address_of(request), "/", keys, part=True)
    return _page(request, "_lines.html", chosen)


def _page(request: Request, template: str, chosen: Filter) -> Response:
    context = context_of(request)
    with context.ledger.read() as connection:
        listing = find(connection, chosen, context.settings.worklist.policy, context.clock())
    return page(request, template, listing=listing, chosen=chosen, states=STATES, priorities=list(Priority), step=STEP)


def _filter(form: Form) -> Filter:
    """The filter; an unknown value is the default."""
    priority, states, limit = form.get("priority", ""), form.get("states", ""), form.get("limit", "")
    return Filter(
        words=form.get("words", "")[:200],
        priority=priority if priority in tuple(Priority) else "",
        states=states if states in STATES else "open",
        limit=min(int(limit), _MOST) if limit.isdecimal() and limit.isascii() and len(limit) < 9 else STEP,
    )
