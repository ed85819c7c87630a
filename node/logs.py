"""Structured logs on standard error: UIDs, counts and reasons, never a patient attribute."""

from __future__ import annotations

import logging
import sys
import threading
import traceback
import warnings
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

import structlog


def configure(*, verbose: bool = False) -> None:
    """Set up the process's logging: readable lines on a terminal, JSON lines elsewhere.

    Libraries that would quote values from Data Sets (pydicom's warnings, pynetdicom's) are silenced.
    """
    logging.getLogger("pynetdicom").setLevel(logging.CRITICAL)
    logging.getLogger("pydicom").setLevel(logging.CRITICAL)
    warnings.filterwarnings("ignore", module=r"(pydicom|pynetdicom|highdicom)(\..*)?")
    threading.excepthook = lambda _failure: structlog.get_logger(__name__).exception("a thread ended")
    on_terminal = sys.stderr.isatty()
    renderer = structlog.dev.ConsoleRenderer() if on_terminal else structlog.processors.JSONRenderer(ensure_ascii=False)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _without_values,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG if verbose else logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )


def _without_values(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """An exception as its type and where it arose: its message, and the values around it, may be the patient's."""
    if event.pop("exc_info", None):
        kind, _, trace = sys.exc_info()
        frames = (f"{Path(frame.filename).name}:{frame.lineno}" for frame in reversed(traceback.extract_tb(trace)))
        event["exception"] = f"{kind.__name__ if kind else 'unknown'} at {', called at '.join(frames)}"
    return event
