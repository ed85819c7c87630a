"""Logging in with the token of the settings, and out."""

from __future__ import annotations

import structlog
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from node.web.access.guard import cookie_name, set_cookie, too_many
from node.web.context import address_of, context_of, session_of
from node.web.pages.forms import Form
from node.web.pages.rendering import page

_LOG = structlog.get_logger(__name__)


def show(request: Request) -> Response:
    """`GET /login`."""
    context = context_of(request)
    if session_of(request).known or not context.sessions.tokens.required:
        return RedirectResponse("/", 303)
    return page(request, "login.html")


def log_in(request: Request, form: Form) -> Response:
    """`POST /login`: a new session for who knows the token."""
    context, now = context_of(request), context_of(request).clock()
    who = address_of(request)
    attempt = context.tokens.check(who, form.get("token", ""), now)
    if attempt.wait:
        return too_many(attempt.wait)
    if attempt.grant is None:
        context.audit.logged(who, comes=True, known=False)
        _LOG.warning("wrong token", address=who)
        return Response("That is no token of this node.", 401, media_type="text/plain")
    _LOG.info("logged in", address=who)
    context.audit.logged(who, comes=True)
    context.sessions.end(session_of(request), now)
    home = "/predict" if attempt.grant.rights == {"predict"} else "/"
    return _with(request, context.sessions.cookie(context.sessions.begin(now, attempt.grant)), home)


def log_out(request: Request, form: Form) -> Response:
    """`POST /logout`: the session is over, also for who has kept the cookie."""
    context, now = context_of(request), context_of(request).clock()
    context.audit.logged(address_of(request), comes=False)
    context.sessions.end(session_of(request), now)
    return _with(request, context.sessions.cookie(context.sessions.begin(now)), "/login")


def _with(request: Request, cookie: str, to: str) -> Response:
    web = context_of(request).settings.web
    secure = request.url.scheme == "https" or web.public_url.startswith("https:")
    header = set_cookie(cookie_name(web, secure=secure), cookie, secure=secure)
    return Response(status_code=204, headers={"HX-Redirect": to, "Set-Cookie": header})
