"""The page of one study: pictures with the findings laid over, the reader's feedback, the work items, the story."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, RowMapping, select
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, Response

from node.admin import feedback
from node.admin.study_view import StudyView, study_view
from node.dicom.identity import is_received_uid
from node.ledger.tables import PICTURE
from node.web.context import address_of, context_of
from node.web.pages import claims
from node.web.pages.forms import Form
from node.web.pages.rendering import page
from node.worklist.items.rows import load
from node.worklist.reading.work_items import as_row

_UNKNOWN = "No such study is known here, or what was known of it was deleted (retention.rows_days)."


@dataclass(frozen=True, slots=True)
class Layer:
    """The regions of one finding on one image."""

    number: int
    label: str
    location: str
    colour: str


@dataclass(frozen=True, slots=True)
class Image:
    """One image that a model saw, with its layers."""

    number: int
    package: str
    sop_instance_uid: str
    caption: str
    layers: tuple[Layer, ...]


def show(request: Request) -> Response:
    """`GET /study/UID`."""
    context, uid = context_of(request), _uid(request)
    with context.ledger.read() as connection:
        view = _view(connection, uid)
    context.recording.submit(context.audit.shown, address_of(request), uid)
    images = _images(view.pictures)
    colours = {(image.package, layer.label): layer.colour for image in images for layer in image.layers}
    viewer = context.settings.web.viewer_url.replace("{StudyInstanceUID}", uid)
    opened = next((image.sop_instance_uid for image in images if image.layers), "")
    findings = sorted(view.findings, key=lambda row: (not row["present"], -row["probability"]))
    return _page(
        request, "study.html", view, viewer=viewer, opened=opened, colours=colours, images=images, findings=findings
    )


def panel(request: Request) -> Response:
    """`GET /study/UID/panel`: the parts that change: work items, deliveries and story."""
    with context_of(request).ledger.read() as connection:
        view = _view(connection, _uid(request))
    return _page(request, "_panel.html", view)


def picture(request: Request) -> Response:
    """`GET /picture/N`: a PNG that the worker made."""
    context = context_of(request)
    with context.ledger.read() as connection:
        of_study = select(PICTURE.c.path, PICTURE.c.study_instance_uid)
        found = connection.execute(of_study.where(PICTURE.c.id == request.path_params["number"])).first()
    file = context.settings.node.data / found.path if found else None
    if found is None or file is None or not file.is_file():
        raise HTTPException(404, "This picture is not kept any more: load the study again, its page has what is left.")
    context.recording.submit(context.audit.shown, address_of(request), found.study_instance_uid, part=True)
    return FileResponse(file, media_type="image/png")


def give_feedback(request: Request, form: Form) -> Response:
    """`POST /study/UID/feedback`: agree, disagree, or (empty) neither."""
    context, uid = context_of(request), _uid(request)
    given = form.get("feedback", "")
    if given not in ("", *feedback.Agreement):
        raise HTTPException(400, "Choose agree or disagree.")
    key = feedback.FindingKey(uid, _generation(form), form.get("package", ""), form.get("label", ""))
    with context.ledger.write() as connection:
        if not feedback.record(connection, key, feedback.Agreement(given) if given else None, context.clock()):
            raise HTTPException(409, "The study was analysed anew meanwhile: load the page again.")
        view = _view(connection, uid)
    (finding,) = (one for one in view.findings if (one["package"], one["label"]) == (key.package, key.label))
    return page(request, "_feedback.html", uid=uid, finding=finding)


def _generation(form: Form) -> int:
    """Of the analysis whose findings the reader's page shows; 0, which none has, where the form has no number."""
    text = form.get("generation", "")
    return int(text) if text.isdecimal() and text.isascii() and len(text) < 9 else 0


def feedback_csv(request: Request) -> Response:
    """`GET /feedback.csv`: all feedback."""
    text = io.StringIO()
    with context_of(request).ledger.read() as connection:
        feedback.export(connection, text)
    headers = {"Content-Disposition": 'attachment; filename="readfirst-feedback.csv"'}
    return Response(text.getvalue(), 200, headers, "text/csv; charset=utf-8")


def claim(request: Request, _form: Form) -> Response:
    """`POST /item/UID/claim`."""
    return _change(request, claims.claim)


def complete(request: Request, _form: Form) -> Response:
    """`POST /item/UID/complete`."""
    return _change(request, claims.complete)


def _change(request: Request, change: claims.Change) -> Response:
    context, uid = context_of(request), _uid(request)
    with context.ledger.write() as connection:
        change(connection, uid, context.key, context.clock())
        item = load(connection, uid)
        assert item is not None
        view = _view(connection, item.study_instance_uid)
    return _page(request, "_panel.html", view)


def _uid(request: Request) -> str:
    uid: str = request.path_params["uid"]
    if not is_received_uid(uid):
        raise HTTPException(404, _UNKNOWN)
    return uid


def _view(connection: Connection, uid: str) -> StudyView:
    view = study_view(connection, uid)
    if view is None:
        raise HTTPException(404, _UNKNOWN)
    return view


def _page(request: Request, template: str, view: StudyView, **values: Any) -> Response:
    key = context_of(request).key
    ours = {item.sop_instance_uid for item in view.items if claims.is_ours(item, key)}
    items = [as_row(item) for item in view.items]
    return page(request, template, uid=view.study_instance_uid, view=view, items=items, ours=ours, **values)


def _images(pictures: Sequence[RowMapping]) -> tuple[Image, ...]:
    groups: dict[tuple[str, str], list[RowMapping]] = {}
    for row in pictures:
        groups.setdefault((row["package"], row["sop_instance_uid"]), []).append(row)
    return tuple(map(_image, groups.values()))


def _image(rows: Sequence[RowMapping]) -> Image:
    base, *layers = rows  # the worker writes an image before its layers
    return Image(
        base["id"], base["package"], base["sop_instance_uid"], base["caption"],
        tuple(Layer(row["id"], row["label"], row["caption"], row["colour"]) for row in layers),
    )  # fmt: skip
