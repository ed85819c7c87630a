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
    if session_of(request).known or not context.sessions.required:
        return RedirectResponse("/", 303)
    return page(request, "login.html")


def log_in(request: Request, form: Form) -> Response:
    """`POST /login`: a new session for who knows the token."""
    context, now = context_of(request), context_of(request).clock()
    who = address_of(request)
    if not context.sessions.is_token(form.get("token", "")):
        wait = context.throttle.wait(who, now)
        if wait:
            return too_many(wait)
        context.throttle.failed(who, now)
        context.audit.logged(who, comes=True, known=False)
        _LOG.warning("wrong token", address=who)
        return Response("That is not the token of web.token.", 401, media_type="text/plain")
    _LOG.info("logged in", address=who)
    context.audit.logged(who, comes=True)
    context.sessions.end(session_of(request), now)
    return _with(request, context.sessions.cookie(context.sessions.begin(now, known=True)), "/")


def log_out(request: Request, form: Form) -> Response:
    """`POST /logout`: the session is over, also for who has kept the cookie."""
    context, now = context_of(request), context_of(request).clock()
    context.audit.logged(address_of(request), comes=False)
    context.sessions.end(session_of(request), now)
    return _with(request, context.sessions.cookie(context.sessions.begin(now, known=False)), "/login")


def _with(request: Request, cookie: str, to: str) -> Response:
    web = context_of(request).settings.web
    secure = request.url.scheme == "https" or web.public_url.startswith("https:")
    header = set_cookie(cookie_name(web, secure=secure), cookie, secure=secure)
    return Response(status_code=204, headers={"HX-Redirect": to, "Set-Cookie": header})
