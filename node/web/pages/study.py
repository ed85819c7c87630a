"""The page of one study: pictures with the findings laid over, the reader's verdicts, the work items, the story."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, RowMapping, select
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, Response

from node.admin import feedback, queries
from node.dicom.identity import is_uid
from node.ledger.tables import FINDING, PICTURE, WORK_ITEM
from node.web.access.desk import Desk, Form, address_of, desk_of
from node.web.pages import claims
from node.web.pages.rendering import page
from node.worklist.items.rows import by_urgency, load
from node.worklist.items.states import State
from node.worklist.reading.work_items import as_row
from node.worklist.triage.decisions import silent_packages

_UNKNOWN = "No such study is known here."


@dataclass(frozen=True, slots=True)
class Layer:
    """The regions of one finding on one image."""

    number: int
    label: str
    places: str
    colour: str


@dataclass(frozen=True, slots=True)
class Image:
    """One image that a model saw, with its layers."""

    number: int
    package: str
    caption: str
    layers: tuple[Layer, ...]


def show(request: Request) -> Response:
    """`GET /study/UID`."""
    desk, uid = desk_of(request), _uid(request)
    with desk.ledger.read() as connection:
        values = _panel(connection, desk, uid)
        values |= {"images": _images(connection, uid), "findings": _findings(connection, uid)}
        values |= {"silent": silent_packages(connection, uid)}
    desk.audit.shown(address_of(request), uid)
    colours = {(image.package, layer.label): layer.colour for image in values["images"] for layer in image.layers}
    viewer = desk.settings.web.viewer_url.replace("{StudyInstanceUID}", uid)
    return page(request, "study.html", viewer=viewer, colours=colours, **values)


def panel(request: Request) -> Response:
    """`GET /study/UID/panel`: what changes by itself, work items, deliveries and story."""
    desk = desk_of(request)
    with desk.ledger.read() as connection:
        values = _panel(connection, desk, _uid(request))
    return page(request, "_panel.html", **values)


def picture(request: Request) -> Response:
    """`GET /picture/N`: a PNG that the worker made."""
    desk = desk_of(request)
    with desk.ledger.read() as connection:
        of_study = select(PICTURE.c.path, PICTURE.c.study_instance_uid)
        found = connection.execute(of_study.where(PICTURE.c.id == request.path_params["number"])).first()
    file = desk.settings.node.data / found.path if found else None
    if found is None or file is None or not file.is_file():
        raise HTTPException(404, "This picture is no longer there: load the study again.")
    desk.audit.shown(address_of(request), found.study_instance_uid, part=True)
    return FileResponse(file, media_type="image/png")


def verdict(request: Request, form: Form) -> Response:
    """`POST /study/UID/verdict`: agree, disagree, or (empty) neither."""
    desk, uid = desk_of(request), _uid(request)
    word = form.get("verdict", "")
    if word not in ("", *feedback.Agreement):
        raise HTTPException(400, "Say agree or disagree.")
    seen = feedback.FindingKey(uid, _generation(form), form.get("package", ""), form.get("label", ""))
    with desk.ledger.write() as connection:
        given = feedback.Agreement(word) if word else None
        if not feedback.record(connection, seen, given, desk.clock()):
            raise HTTPException(409, "The study was analysed anew meanwhile: load the page again.")
        found = _findings(connection, uid)
    (finding,) = (one for one in found if (one["package"], one["label"]) == (seen.package, seen.label))
    return page(request, "_verdict.html", uid=uid, finding=finding)


def _generation(form: Form) -> int:
    """Of the analysis whose findings the reader's page shows; 0, which none has, where the form does not say."""
    said = form.get("generation", "")
    return int(said) if said.isdecimal() and said.isascii() and len(said) < 9 else 0


def feedback_csv(request: Request) -> Response:
    """`GET /feedback.csv`: all verdicts."""
    text = io.StringIO()
    with desk_of(request).ledger.read() as connection:
        feedback.export(connection, text)
    headers = {"Content-Disposition": 'attachment; filename="readfirst-feedback.csv"'}
    return Response(text.getvalue(), 200, headers, "text/csv; charset=utf-8")


def claim(request: Request, _form: Form) -> Response:
    """`POST /item/UID/claim`."""
    return _act(request, State.IN_PROGRESS)


def complete(request: Request, _form: Form) -> Response:
    """`POST /item/UID/complete`."""
    return _act(request, State.COMPLETED)


def _act(request: Request, wanted: State) -> Response:
    desk, uid = desk_of(request), _uid(request)
    act = claims.claim if wanted is State.IN_PROGRESS else claims.complete
    with desk.ledger.write() as connection:
        act(connection, uid, desk.key, desk.clock())
        item = load(connection, uid)
        assert item is not None
        values = _panel(connection, desk, item.study_instance_uid)
    return page(request, "_panel.html", **values)


def _uid(request: Request) -> str:
    uid: str = request.path_params["uid"]
    if not is_uid(uid):
        raise HTTPException(404, _UNKNOWN)
    return uid


def _panel(connection: Connection, desk: Desk, uid: str) -> dict[str, Any]:
    """Story and work items of a study; a study may be known by its work items alone."""
    story = queries.story(connection, uid)
    query = select(WORK_ITEM).where(WORK_ITEM.c.study_instance_uid == uid).order_by(*by_urgency())
    rows = connection.execute(query).mappings().all()
    if story is None and not rows:
        raise HTTPException(404, _UNKNOWN)
    ours = {row["sop_instance_uid"] for row in rows if _is_ours(row, desk.key)}
    return {"uid": uid, "story": story, "items": [as_row(row) for row in rows], "ours": ours}


def _is_ours(row: RowMapping, key: bytes) -> bool:
    return bool(row["transaction_uid"] == claims.transaction_uid(key, row["sop_instance_uid"]))


def _findings(connection: Connection, uid: str) -> list[dict[str, Any]]:
    """The findings, those that were called first, each with the reader's verdict."""
    query = select(FINDING).where(FINDING.c.study_instance_uid == uid)
    rows = connection.execute(query.order_by(FINDING.c.present.desc(), FINDING.c.probability.desc())).mappings()
    said = feedback.of_study(connection, uid)
    return [
        dict(row) | {"verdict": said.get((row["package"], row["label"], row["generation"]), "")} for row in rows.all()
    ]


def _images(connection: Connection, uid: str) -> tuple[Image, ...]:
    query = select(PICTURE).where(PICTURE.c.study_instance_uid == uid).order_by(PICTURE.c.id)
    groups: dict[tuple[str, str], list[RowMapping]] = {}
    for row in connection.execute(query).mappings():
        groups.setdefault((row["package"], row["sop_instance_uid"]), []).append(row)
    return tuple(map(_image, groups.values()))


def _image(rows: Sequence[RowMapping]) -> Image:
    base, *layers = rows  # the worker writes an image before its layers
    return Image(
        base["id"], base["package"], base["caption"],
        tuple(Layer(row["id"], row["label"], row["caption"], row["colour"]) for row in layers),
    )  # fmt: skip
