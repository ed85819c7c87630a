"""The web application: its routes, behind the guard."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from node.web.access.guard import API, Guard
from node.web.context import PageContext
from node.web.pages import live, login, predict, status, study, worklist
from node.web.pages.forms import posting
from node.web.pages.rendering import STATIC, refused

__all__ = ["API", "make_app"]

_ROUTES = (
    Route("/", worklist.show),
    Route("/lines", posting(worklist.lines), methods=["POST"]),
    Route("/study/{uid}", study.show),
    Route("/study/{uid}/panel", study.panel),
    Route("/study/{uid}/feedback", posting(study.give_feedback), methods=["POST"]),
    Route("/item/{uid}/claim", posting(study.claim), methods=["POST"]),
    Route("/item/{uid}/complete", posting(study.complete), methods=["POST"]),
    Route("/picture/{number:int}", study.picture),
    Route("/status", status.show),
    Route("/status/panel", status.panel),
    Route("/status/retry-job/{number:int}", posting(status.retry_job), methods=["POST"]),
    Route("/status/retry/{uid}", posting(status.retry), methods=["POST"]),
    Route("/status/check", posting(status.check), methods=["POST"]),
    Route("/predict", predict.show),
    Route("/predict", predict.predict, methods=["POST"]),
    Route("/predict/openapi.json", predict.description),
    Route("/metrics", status.metrics),
    Route("/feedback.csv", study.feedback_csv),
    Route("/events", live.events),
    Route("/login", login.show),
    Route("/login", posting(login.log_in), methods=["POST"]),
    Route("/logout", posting(login.log_out), methods=["POST"]),
    Mount("/static", StaticFiles(directory=STATIC)),
)


def make_app(context: PageContext, api: Sequence[BaseRoute] = ()) -> Guard:
    """The application.

    Parameters
    ----------
    api
        Routes of a service for programs; they are served below `/dicomweb`, to callers that send the token as Bearer.
    """
    watch = live.Watch(context.ledger)

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        async with watch.running():
            yield
        await run_in_threadpool(context.recording.shutdown)

    routes = [*_ROUTES, *([Mount(API, routes=list(api))] if api else [])]
    app = Starlette(routes=routes, lifespan=lifespan, exception_handlers={HTTPException: refused})
    app.state.context, app.state.watch = context, watch

    def wrong_token(address: str) -> None:
        context.recording.submit(context.audit.logged, address, comes=True, known=False)

    return Guard(app, context.settings.web, context.sessions, context.tokens, context.clock, wrong_token)
