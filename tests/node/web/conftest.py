"""A real server with a real ledger behind it, asked over the network."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image
from ports import free_port
from pydicom import Dataset
from starlette.routing import BaseRoute

from node import web
from node.entities import AnalysisReport, FoundFinding, Picture, StudyState
from node.ledger import studies
from node.ledger.engine import Ledger
from node.predicting.predictions import Predictions
from node.receiving import instances
from node.settings import Settings, Web
from node.web.context import PageContext
from node.worklist.items.priority import Priority, RequestedPriority
from node.worklist.reading import work_items
from tests.node.phantoms import STUDY, stored

KEY = b"k" * 32
FINDINGS = (
    FoundFinding("chest-xray", "Pneumothorax", "probability", 0.87, 0.5, True, "left upper zone", "HIGH"),
    FoundFinding("chest-xray", "Effusion", "probability", 0.25, 0.4, False, "", "MEDIUM"),
)


@dataclass(frozen=True)
class Site:
    """A served page and who looks at it."""

    context: PageContext
    url: str
    client: httpx.Client

    def recorded(self) -> None:
        """Wait until all that was shown is in the audit trail."""
        self.context.recording.submit(lambda: None).result(30)

    def csrf(self, path: str = "/") -> str:
        return self.client.get(path).text.split('"X-CSRF-Token": "')[1].split('"')[0]

    def post(self, path: str, token: str | None = None, **fields: str) -> httpx.Response:
        """As the page posts: with Origin and the session's token."""
        headers = {"Origin": self.url, "X-CSRF-Token": self.csrf() if token is None else token, "HX-Request": "true"}
        return self.client.post(path, data=fields, headers=headers)


Serve = Callable[..., Site]


@pytest.fixture
def serve(settings: Settings, ledger: Ledger) -> Iterator[Serve]:
    """Serve the page with these keys of [web]; it ends with the test."""
    with ExitStack() as stack:

        def serve(
            api: tuple[BaseRoute, ...] = (), waiting: Callable[[str], int] = lambda _: 0,
            predictions: Predictions | None = None, **keys: object,
        ) -> Site:  # fmt: skip
            chosen = Web.model_validate({"port": free_port()} | keys)
            own = settings.model_copy(update={"web": chosen})
            context = PageContext(own, ledger, KEY, waiting, predictions=predictions)
            stack.enter_context(web.serving(chosen, web.make_app(context, api)))
            url = f"{'https' if chosen.tls else 'http'}://127.0.0.1:{chosen.port}"
            client = stack.enter_context(httpx.Client(base_url=url, trust_env=False, verify=False))
            return Site(context, url, client)

        yield serve


@pytest.fixture
def site(serve: Serve) -> Site:
    return serve()


def header(study_instance_uid: str, **values: object) -> Dataset:
    dataset = Dataset()
    dataset.StudyInstanceUID, dataset.Modality, dataset.StudyDescription = study_instance_uid, "CR", "Chest"
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    return dataset


def arrive(ledger: Ledger, uid: str = STUDY, at: float | None = None, **values: object) -> str:
    """A study comes and stands in the worklist; its work item's UID."""
    now = time.time() if at is None else at
    with ledger.write() as connection:
        instances.record_instance(connection, stored(f"{uid}.1", study_instance_uid=uid), "MODALITY", now)
        (row,) = (row for row in studies.receiving(connection) if row["study_instance_uid"] == uid)
        assert studies.complete(connection, row, "association released, then 2 s quiet", now)
        return work_items.ensure_item(connection, header(uid, **values), now)


def analyse(ledger: Ledger, data: Path, uid: str = STUDY, state: StudyState = StudyState.ANALYSED) -> None:
    """The study's analysis ends, as a worker writes it down: findings, pictures and priority."""
    now = time.time()
    reason = "" if state is StudyState.ANALYSED else "the analysis failed: <b>no reason</b>"
    report = AnalysisReport(
        state, reason, FINDINGS if not reason else (), pictures=pictures(data) if not reason else ()
    )
    with ledger.write() as connection:
        assert studies.claim(connection, uid, 1, now, 20.0)
        assert studies.finish(connection, uid, 1, report, now)
        if not reason:
            work_items.raise_priority(
                connection, uid, RequestedPriority(Priority.HIGH, "Pneumothorax (probability 87 %)"), now
            )


def pictures(data: Path) -> tuple[Picture, ...]:
    """A grey image, and a red square in its middle."""
    layer = np.zeros((400, 400, 4), dtype=np.uint8)
    layer[150:250, 150:250] = (255, 0, 0, 255)
    for name, pixels in (("image.png", np.full((400, 400), 128, dtype=np.uint8)), ("layer.png", layer)):
        content = io.BytesIO()
        Image.fromarray(pixels).save(content, "PNG")
        (data / name).write_bytes(content.getvalue())
    return (
        Picture("chest-xray", "1.2.3", "", "window 128/256; 400 x 400 pixels", "", "image.png"),
        Picture("chest-xray", "1.2.3", "Pneumothorax", "left upper zone", "#ff0000", "layer.png"),
    )
