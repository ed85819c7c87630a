"""The OpenAPI 3.1 description of `/predict`, made of the models of its answers."""

from __future__ import annotations

from functools import cache
from typing import Any

from pydantic.json_schema import models_json_schema

from node import __version__
from node.predicting.answer import RESEARCH_USE, PredictedFile, Problem

PATH = "/predict"
_REFUSALS = {
    400: "a parameter is wrong", 404: "this node predicts no files", 408: "the file was not received in time",
    413: "the file is too long", 415: "the body is no file of a kind that is read",
    422: "the file cannot be analysed; the sentence says why", 500: "a fault of our software; the log has it",
    503: "all is busy, or a package or the queue cannot be used now", 504: "the prediction took too long",
}  # fmt: skip
_OF_THE_GUARD = {
    403: "the token has no right to predict, or the request is of another site's page",
    421: "the Host is no name of this node",
    429: "too many wrong tokens",
}
_TYPES = ("application/dicom", "image/png", "image/jpeg", "application/gzip", "application/octet-stream")


@cache
def document() -> dict[str, Any]:
    """The description, as JSON."""
    _, schemas = models_json_schema(
        [(PredictedFile, "serialization"), (Problem, "serialization")], ref_template=_REFERENCE
    )
    return {
        "openapi": "3.1.0",
        "info": {"title": "ReadFirst: files predicted", "version": __version__, "description": RESEARCH_USE},
        "paths": {PATH: {"post": _operation()}},
        "components": {
            "schemas": schemas["$defs"],
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer", "description": "of `[web]`"}},
        },
        "security": [{"token": []}, {}],
    }


_REFERENCE = "#/components/schemas/{model}"


def _operation() -> dict[str, Any]:
    return {
        "operationId": "predict",
        "summary": "Findings of one image or volume; nothing of it is stored",
        "parameters": [
            _parameter("package", {"type": "string"}, "one configured package; default: all that read the file"),
            _parameter("maps", {"enum": ["png"]}, "each finding's saliency map in colours of a fixed scale"),
            _parameter("pictures", {"enum": ["png"]}, "the image, or the slices of its regions, in 8 bit"),
        ],
        "requestBody": {
            "required": True,
            "description": "one file as it is: DICOM (PS3.10), PNG, JPEG, NIfTI-1 (.nii, .nii.gz); its content counts",
            "content": {name: {} for name in _TYPES},
        },
        "responses": {
            "200": {"description": "what was found", "content": _json("PredictedFile")},
            "401": {"description": "no token, or a wrong one", "content": _json("Problem")},
            **{str(status): {"description": text, "content": _json("Problem")} | _headers(status)
               for status, text in _REFUSALS.items()},
            **{str(status): {"description": text, "content": {"text/plain": {"schema": {"type": "string"}}}}
               for status, text in _OF_THE_GUARD.items()},
        },
    }  # fmt: skip


def _parameter(name: str, schema: dict[str, Any], description: str) -> dict[str, Any]:
    return {"name": name, "in": "query", "required": False, "description": description, "schema": schema}


def _json(model: str) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": _REFERENCE.format(model=model)}}}


def _headers(status: int) -> dict[str, Any]:
    again = {"Retry-After": {"description": "seconds until it may be tried again", "schema": {"type": "integer"}}}
    return {"headers": again} if status == 503 else {}
