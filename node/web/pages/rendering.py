"""Templates to HTML. Everything is escaped; what cannot be printed or reorders what is read is shown as �."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from node import __version__
from node.plurals import counted
from node.web.access.tokens import may
from node.web.context import context_of, session_of

STATIC = Path(__file__).parents[1] / "static"
_TEMPLATES = Path(__file__).parents[1] / "templates"


def page(request: Request, template: str, status: int = 200, **values: Any) -> Response:
    """A page or a part of one, with what every template needs."""
    context = context_of(request)
    common = {
        "csrf": context.sessions.csrf(session_of(request)),
        "login_required": context.sessions.tokens.required,
        "now": context.clock(),
        "may_predict": bool(context.predictions and context.predictions.served) and may(request, "predict"),
        "path": request.url.path,
        "version": __version__,
    }
    return HTMLResponse(_environment().get_template(template).render(common | values), status)


def refused(request: Request, error: Exception) -> Response:
    """A sentence for what is not there or not done; a whole page for a browser's GET."""
    assert isinstance(error, HTTPException)
    if request.headers.get("hx-request") or request.method != "GET":
        return Response(error.detail, error.status_code, error.headers, "text/plain; charset=utf-8")
    return page(request, "error.html", error.status_code, sentence=error.detail)


def shown(value: object) -> str:
    """Text from others, without controls and without marks that reorder what is read (Unicode TR9)."""
    return "".join(character if character.isprintable() else "�" for character in str(value))


def capitalized(value: str) -> str:
    """A clause as the begin of a sentence."""
    return value[:1].upper() + value[1:]


def person(value: str) -> str:
    """A person's name (PS3.5 6.2.1, PN): "DOE, JANE A", further writings in brackets."""
    groups = [_group(group) for group in value.split("=")]
    first, *others = [shown(group) for group in groups if group] or ["(no name)"]
    return f"{first} ({', '.join(others)})" if others else first


def _group(group: str) -> str:
    family, given, middle, prefix, suffix = (part.strip() for part in (group.split("^") + [""] * 5)[:5])
    return ", ".join(filter(None, (family, " ".join(filter(None, (prefix, given, middle, suffix))))))


def clock(at: float | str | None, pattern: str = "%H:%M:%S") -> str:
    """A time of day at this machine; with the date where it is another day than today is left to the reader."""
    if at is None:
        return ""
    when = datetime.fromisoformat(at) if isinstance(at, str) else datetime.fromtimestamp(at, UTC)
    return when.astimezone().strftime(pattern)


def iso(at: float) -> str:
    """For the attribute `datetime`."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")


def waited(seconds: float) -> str:
    """How long, to two units: "48 s", "12 min", "3 h 05 min", "2 d 4 h"."""
    whole = max(int(seconds), 0)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min"
    if whole < 86400:
        return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
    return f"{whole // 86400} d {whole % 86400 // 3600} h"


def percent(value: float) -> str:
    """A probability for people; never 0 or 100 by rounding."""
    if 0 < value < 0.001:
        return "< 0.1\u00a0%"
    if 0.999 < value < 1:
        return "> 99.9\u00a0%"
    return f"{100 * value:.1f}\u00a0%"


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "shown": shown, "counted": counted, "capitalized": capitalized, "person": person,
        "clock": clock, "iso": iso, "waited": waited, "percent": percent,
    }  # fmt: skip
    return environment
