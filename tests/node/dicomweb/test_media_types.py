from __future__ import annotations

import pytest

from node.dicomweb.media_types import accepts_json


@pytest.mark.parametrize(
    "accept",
    ["", "*/*", "application/*", "application/dicom+json", "Application/JSON; charset=utf-8",
     "multipart/related; type=\"application/dicom+xml\", application/dicom+json;q=0.1"],
)  # fmt: skip
def test_json_is_served(accept: str) -> None:
    assert accepts_json(accept)


@pytest.mark.parametrize(
    "accept",
    ["application/dicom+xml", "text/html", "text/*", "application/dicom+json;q=0, application/json;q=0, */*",
     "application/dicom+json;q=x"],
)  # fmt: skip
def test_nothing_else_is(accept: str) -> None:
    assert not accepts_json(accept)
