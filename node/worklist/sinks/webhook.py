"""The sink `webhook`: one FHIR R4 resource by HTTP POST; the server's 2xx is its acknowledgement.

http.client of the standard library: one request, no redirect followed (a POST with a token goes to the configured
URL, nowhere else), no proxy from the environment.
"""

from __future__ import annotations

import http.client
import json
import ssl
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import urlsplit

from node.errors import ConfigurationError, NotAccepted, NotTaken, SinkUnreachable
from node.settings import Settings, Webhook
from node.worklist.items.priority import Priority
from node.worklist.sinks import OnQuery, register
from node.worklist.sinks.facts import Notice
from node.worklist.sinks.fhir import RESOURCES, SYSTEM, Resource

PRIORITIES = {"HIGH": "stat", "MEDIUM": "routine", "LOW": "routine"}  # http://hl7.org/fhir/R4/valueset-request-priority
_MOST = 1 << 16  # bytes of the response that are read

# The same request would be refused again. All others (authorization that an administrator mends, 429, 5xx) are retried.
REFUSALS = frozenset(
    (
        HTTPStatus.BAD_REQUEST, HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.NOT_ACCEPTABLE, HTTPStatus.GONE,
        HTTPStatus.PRECONDITION_FAILED, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        HTTPStatus.UNPROCESSABLE_ENTITY,
    )
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Hook:
    """One HTTP server and the resource that it is sent."""

    table: Webhook
    tls: ssl.SSLContext | None

    @property
    def where(self) -> str:
        """Where requests go, for people: without the query, which may hold a secret."""
        url = urlsplit(self.table.url)
        return f"{url.scheme}://{url.netloc}{url.path}"

    @property
    def longest(self) -> float:
        """Seconds that `send` may take: connecting, sending, and the response."""
        return 3 * self.table.timeout

    @property
    def least(self) -> Priority:
        """HIGH: a request of routine would take the urgency from an order that a person had made."""
        return Priority.HIGH

    def reach(self) -> str:
        """Connect, with TLS for https, and close; no request is made."""
        self._connected()[0].close()
        return f"{self.where} accepts connections"

    def preview(self, notice: Notice) -> str:
        """The request's body."""
        return json.dumps(self._resource(notice), indent=2, ensure_ascii=False) + "\n"

    def send(self, notice: Notice) -> str:
        """POST the resource; the server's status and the resource's place."""
        body = json.dumps(self._resource(notice), ensure_ascii=False).encode()
        headers = self._headers(notice)
        connection, target = self._connected()
        try:
            connection.request("POST", target, body, headers)
            response = connection.getresponse()
            response.read(_MOST)
        except (OSError, http.client.HTTPException) as error:
            raise NotTaken(f"no whole response: {type(error).__name__}") from error
        finally:
            connection.close()
        return _settle(response)

    def _resource(self, notice: Notice) -> Resource:
        priorities = PRIORITIES | self.table.priorities
        return RESOURCES[self.table.resource](notice, priorities[notice.priority])

    def _connected(self) -> tuple[http.client.HTTPConnection, str]:
        """The connection, and the request target."""
        url, timeout = urlsplit(self.table.url), self.table.timeout
        connection = http.client.HTTPConnection(url.hostname or "", url.port, timeout=timeout)
        if self.tls:
            connection = http.client.HTTPSConnection(url.hostname or "", url.port, timeout=timeout, context=self.tls)
        try:
            connection.connect()
        except OSError as error:
            connection.close()
            raise SinkUnreachable(f"{self.where} cannot be reached: {error.strerror or error}") from error
        return connection, (url.path or "/") + (f"?{url.query}" if url.query else "")

    def _headers(self, notice: Notice) -> dict[str, str]:
        """A FHIR server makes the resource once by If-None-Exist (R4 3.1.0.8.1), others by Idempotency-Key."""
        headers = {
            "Content-Type": "application/fhir+json; charset=utf-8",
            "Accept": "application/fhir+json",
            "User-Agent": "ReadFirst",
            "Idempotency-Key": f'"{notice.control_id}"',
            "If-None-Exist": f"identifier={SYSTEM}|{notice.control_id}",
        }
        token = self._token()
        return headers | {"Authorization": f"Bearer {token}"} if token else headers

    def _token(self) -> str:
        if self.table.token_file is None:
            return self.table.token.get_secret_value()
        try:
            token = self.table.token_file.read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            raise NotTaken(f"worklist.webhook.token_file {self.table.token_file} cannot be read") from error
        if not (token.isascii() and token.isprintable()):
            raise NotTaken(f"worklist.webhook.token_file {self.table.token_file} holds more than one line of ASCII")
        return token


def _settle(response: http.client.HTTPResponse) -> str:
    if 200 <= response.status < 300:
        place = response.getheader("Location") or ""
        shown = place if place.isascii() and place.isprintable() and "?" not in place and len(place) <= 200 else ""
        return f"HTTP {response.status}" + (f", {shown}" if shown else "")
    if response.status in REFUSALS:
        raise NotAccepted(f"the server refused the resource with HTTP {response.status}")
    raise NotTaken(f"the server answered HTTP {response.status}")


@register("webhook", Webhook)
def make(table: Webhook, _settings: Settings, _on_query: OnQuery) -> Hook:
    """The sink of `[worklist.webhook]`; ConfigurationError where its authorities cannot be read."""
    if not table.url.startswith("https:"):
        return Hook(table, None)
    try:
        return Hook(table, ssl.create_default_context(cafile=table.ca))
    except OSError as error:
        raise ConfigurationError(f"worklist.webhook.ca: {table.ca} cannot be used: {error}") from error
