"""The reading worklist page. What is looked for is posted, never part of an address: it may be a patient's name."""

from __future__ import annotations

from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response

from node.web.access.desk import Form, address_of, desk_of
from node.web.pages.listing import STATES, STEP, Wanted, find
from node.web.pages.rendering import page
from node.worklist.items.priority import Priority

_MOST = 10_000  # lines on one page


def show(request: Request) -> Response:
    """`GET /`."""
    desk_of(request).audit.searched(address_of(request), "/", "")
    return _page(request, "worklist.html", Wanted())


def lines(request: Request, form: Form) -> Response:
    """`POST /lines`: the lines anew, by the filter."""
    wanted = _wanted(form)
    keys = urlencode({"words": wanted.words}) if wanted.words else ""
    desk_of(request).audit.searched(address_of(request), "/", keys, part=True)
    return _page(request, "_lines.html", wanted)


def _page(request: Request, template: str, wanted: Wanted) -> Response:
    desk = desk_of(request)
    with desk.ledger.read() as connection:
        listing = find(connection, wanted, desk.settings.worklist.policy, desk.clock())
    return page(request, template, listing=listing, wanted=wanted, states=STATES, priorities=list(Priority), step=STEP)


def _wanted(form: Form) -> Wanted:
    """The filter; what it does not know counts as not said."""
    priority, states, limit = form.get("priority", ""), form.get("states", ""), form.get("limit", "")
    return Wanted(
        words=form.get("words", "")[:200],
        priority=priority if priority in tuple(Priority) else "",
        states=states if states in STATES else "open",
        limit=min(int(limit), _MOST) if limit.isdecimal() and limit.isascii() and len(limit) < 9 else STEP,
    )
