"""The guard before every page: host, login, forged requests, headers. Pure ASGI, so that it guards WebSockets, too."""

from __future__ import annotations

import ipaddress
import math
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from urllib.parse import urlsplit

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from node.settings import Web, WebRight
from node.web.access.sessions import Session, Sessions
from node.web.access.tokens import EVERYBODY, GRANT, Grant, TokenCheck

SESSION = "readfirst.session"  # key in the ASGI scope
API = "/dicomweb"  # for programs, not browsers: a Bearer token instead of a cookie

_LOG = structlog.get_logger(__name__)
_PUBLIC = ("/login", "/static/")
PREDICT = "/predict"  # a page for people, and by POST a service for programs
_FOR_PROGRAMS = ("/events", "/metrics", f"{PREDICT}/openapi.json")  # no login page helps their callers
_SAFE = ("GET", "HEAD", "OPTIONS")
_READ_BY_POST = ("/lines",)  # its filters may hold a patient's name
_FOR_ALL = ("/logout",)
_DOES: Mapping[WebRight, str] = {
    "read": "read",
    "change": "change anything",
    "metrics": "read metrics",
    "predict": "have files predicted",
}
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}


@dataclass(frozen=True, slots=True)
class GuardedRequest:
    """What the guard needs to know of a request."""

    scope: Scope
    headers: Headers
    session: Session | None  # of its cookie
    secure: bool

    @property
    def path(self) -> str:
        return str(self.scope["path"])

    @property
    def address(self) -> str:
        client = self.scope.get("client")
        return client[0] if client else ""

    @property
    def is_api(self) -> bool:
        return self.path == API or self.path.startswith(f"{API}/")

    @property
    def is_of_program(self) -> bool:
        """Of a service for programs; a browser names where each of its posts is from."""
        posted = self.path == PREDICT and self.scope.get("method") == "POST"
        return self.is_api or (posted and not {"origin", "sec-fetch-site"} & set(self.headers.keys()))

    @property
    def bearer(self) -> str:
        scheme, _, token = self.headers.get("authorization", "").partition(" ")
        return token.strip() if scheme.lower() == "bearer" else ""


class Guard:
    """Hands on the requests that are permitted, and refuses the others with a sentence.

    Parameters
    ----------
    app
        Everything behind it.
    clock
        Seconds since 1970 UTC.
    wrong
        Called with the address of who sent a wrong token, in the event loop.
    """

    def __init__(
        self, app: ASGIApp, web: Web, sessions: Sessions, tokens: TokenCheck,
        clock: Callable[[], float] = time.time, wrong: Callable[[str], None] = lambda _address: None,
    ) -> None:  # fmt: skip
        self._app, self._web, self._sessions, self._tokens, self._clock = app, web, sessions, tokens, clock
        self._wrong = wrong
        self._names = {"localhost", socket.gethostname().lower(), socket.getfqdn().lower(), web.host.lower()}
        self._names.add(urlsplit(web.public_url).hostname or "localhost")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse a request, or hand it on with its session in the scope."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        request = self._read(scope)
        refusal = self._refusal(request)
        if refusal is not None and scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
            return
        session = request.session or self._sessions.begin(self._clock())
        scope[SESSION] = session
        outward = self._outward(request, send, None if request.session else session)
        await self._go(refusal or self._app, scope, receive, outward)

    async def _go(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await app(scope, receive, send)
        except Exception:  # noqa: BLE001  # outermost: Starlette has answered 500; nobody else logs it, with no values
            _LOG.exception("a page failed", path=scope["path"])

    def _read(self, scope: Scope) -> GuardedRequest:
        headers = Headers(scope=scope)
        secure = scope["scheme"] in ("https", "wss") or self._web.public_url.startswith("https:")
        cookies = SimpleCookie()
        try:
            cookies.load(headers.get("cookie", ""))
        except CookieError:
            cookies.clear()
        morsel = cookies.get(cookie_name(self._web, secure=secure))
        return GuardedRequest(
            scope, headers, self._sessions.read(morsel.value, self._clock()) if morsel else None, secure
        )

    def _refusal(self, request: GuardedRequest) -> Response | None:
        if not self._is_our_host(request.headers.get("host", "")):
            return PlainTextResponse("This node has another name: set it as web.public_url.\n", 421)
        if not self._is_our_origin(request):
            return PlainTextResponse("The request is from another site.\n", 403)
        request.scope[GRANT] = EVERYBODY
        if request.path.startswith(_PUBLIC) or not self._sessions.tokens.required:
            return self._forged(request)
        if request.bearer:
            return self._wrong_bearer(request)
        if not (request.session and request.session.grant):
            return _to_login(request)
        return self._forged(request) or _not_permitted(request, request.session.grant)

    def _is_our_host(self, host: str) -> bool:
        """Names that are ours, or an address: another site's name that leads here (DNS rebinding) is neither."""
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return name.rstrip(".") in self._names
        return True

    def _is_our_origin(self, request: GuardedRequest) -> bool:
        if request.scope["type"] == "http" and request.scope["method"] in _SAFE:
            return True
        origin, fetched = request.headers.get("origin"), request.headers.get("sec-fetch-site")
        if origin in (None, "null"):  # programs send none; no-referrer makes that of a form "null"
            return fetched == "same-origin" or (origin is None and fetched is None and request.is_of_program)
        ours = f"{'https' if request.secure else 'http'}://{request.headers['host']}".lower()
        return origin.lower() in (ours, self._web.public_url or ours)

    def _forged(self, request: GuardedRequest) -> Response | None:
        """Refuse a change without its session's token; the API has no page that could have requested it."""
        if request.scope["type"] == "websocket" or request.scope["method"] in _SAFE or request.is_of_program:
            return None
        if request.session and self._sessions.is_csrf(request.session, request.headers.get("x-csrf-token", "")):
            return None
        return PlainTextResponse("This page is out of date: load it again.\n", 403)

    def _wrong_bearer(self, request: GuardedRequest) -> Response | None:
        attempt = self._tokens.check(request.address, request.bearer, self._clock())
        if attempt.grant:
            return _not_permitted(request, attempt.grant)
        if attempt.wait:
            return too_many(attempt.wait)
        _LOG.warning("wrong token", address=request.address)
        self._wrong(request.address)
        return JSONResponse({"error": "wrong token"}, 401, {"WWW-Authenticate": "Bearer"})

    def _outward(self, request: GuardedRequest, send: Send, new: Session | None) -> Send:
        async def outward(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
                headers.setdefault("Cache-Control", "no-cache" if request.path.startswith("/static/") else "no-store")
                if request.secure:
                    headers["Strict-Transport-Security"] = "max-age=31536000"
                is_page = headers.get("content-type", "").startswith("text/html")
                if new and is_page and "set-cookie" not in headers:
                    name = cookie_name(self._web, secure=request.secure)
                    headers.append("Set-Cookie", set_cookie(name, self._sessions.cookie(new), secure=request.secure))
            await send(message)

        return outward


def cookie_name(web: Web, *, secure: bool) -> str:
    """One a node, since browsers give cookies to every port; with TLS the prefix that other hosts cannot set."""
    return f"{'__Host-' * secure}readfirst-{web.port}"


def set_cookie(name: str, value: str, *, secure: bool) -> str:
    """The header that sets the session's cookie; it ends with the browser."""
    return f"{name}={value}; Path=/; HttpOnly; SameSite=Strict{'; Secure' * secure}"


def too_many(wait: float) -> Response:
    """To those who guess."""
    seconds = math.ceil(wait)
    return PlainTextResponse(f"Too many wrong tokens: try again in {seconds} s.\n", 429, {"Retry-After": str(seconds)})


def _to_login(request: GuardedRequest) -> Response:
    if request.is_of_program or request.path in _FOR_PROGRAMS:
        return JSONResponse({"error": "log in, or send Authorization: Bearer"}, 401, {"WWW-Authenticate": "Bearer"})
    if request.headers.get("hx-request"):
        return Response(status_code=401, headers={"HX-Redirect": "/login"})
    return RedirectResponse("/login", 303)


def _not_permitted(request: GuardedRequest, grant: Grant) -> Response | None:
    """Where the token has not the right; else it is in the scope."""
    request.scope[GRANT] = grant
    right = _right(request)
    if right in grant.rights or request.path in _FOR_ALL:
        return None
    return PlainTextResponse(f"Your token has no right to {_DOES[right]}.\n", 403)


def _right(request: GuardedRequest) -> WebRight:
    if request.path == "/metrics":
        return "metrics"
    if request.path == PREDICT or request.path.startswith(f"{PREDICT}/"):
        return "predict"
    reads = request.scope["type"] == "websocket" or request.scope["method"] in _SAFE
    reads = reads or request.path in _READ_BY_POST or (request.is_api and "/subscribers/" in request.path)
    return "read" if reads else "change"
