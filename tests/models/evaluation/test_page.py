from __future__ import annotations

import base64
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from models.data.letterbox import Letterbox
from models.errors import DataError
from models.evaluation.classical import methods
from models.evaluation.measuring import evaluate
from models.evaluation.overlays import BOX, REGION, picture
from models.evaluation.page import check_room, shown_figure, write_report
from models.metrics.draws import Figure
from tests.models import bright, phantoms

pytest.importorskip("matplotlib", reason="needs PyPI matplotlib")


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data = phantoms.write_folder(tmp_path_factory.mktemp("data") / "a <b> & c", train=20, validation=60)
    model, folder = bright.model(), tmp_path_factory.mktemp("out") / "report"
    evaluation = evaluate(model, data, others=methods(model))
    assert write_report(model, evaluation, data, folder) == folder / "report.html"
    return folder


class Tags(HTMLParser):
    """Opened and closed tags, and the pictures."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open, self.pictures = list[str](), list[str]()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "img":
            self.pictures.append(dict(attrs)["src"] or "")
        elif tag not in {"meta", "br"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_is_one_file_without_scripts_and_its_pictures_open(out: Path) -> None:
    text = (out / "report.html").read_text(encoding="utf-8")
    tags = Tags(text)
    assert tags.open == []
    assert len(tags.pictures) == 3 + 20
    for source in tags.pictures:
        with Image.open(io.BytesIO(base64.b64decode(source.split(",", 1)[1]))) as image:
            image.verify()
    assert "<script" not in text
    assert not re.search(r'(src|href)="(?!data:)', text)
    assert "a &lt;b&gt; &amp; c" in text


def test_the_head_says_what_this_is(out: Path) -> None:
    head = (out / "report.html").read_text(encoding="utf-8").split("<h2>")[0]
    for words in ("Research software, not a medical device", "0" * 64, "phantom", "“validation”", "60 images of 30"):
        assert words in head
    assert "logistic regression on view, sex, age" in head
    assert str(out.parent) not in head


def test_curves_and_figures_lie_beside_it(out: Path) -> None:
    for name in ("roc.png", "reliability.png", "froc.png"):
        with Image.open(out / name) as image:
            assert image.width > 300
    table = json.loads((out / "evaluation.json").read_text())
    assert [line["method"] for line in table["compared"]] == [
        "package",
        "package, equalized",
        "package, CLAHE",
        "threshold, morphology",
        "Canny edges",
        "centre box",
    ]
    assert table["compared"][1]["means"][0]["auc"]["value"] is not None
    assert table["compared"][3]["means"] == []
    assert "not retrained" in (out / "report.html").read_text(encoding="utf-8")


def test_a_report_is_not_written_over(out: Path) -> None:
    with pytest.raises(DataError, match=r"already holds report\.html"):
        check_room(out, replace=False)
    check_room(out, replace=True)


def test_outline_and_box_are_where_region_and_box_are() -> None:
    mask = np.zeros((768, 384), np.bool_)
    mask[100:200, 50:150] = True
    jpeg = picture(np.zeros((64, 64), np.float32), Letterbox.fit((768, 384), (64, 64)), [mask], [(200, 400, 100, 200)])
    with Image.open(io.BytesIO(jpeg)) as opened:
        image = np.asarray(opened.convert("RGB")).astype(int)
    assert image.shape == (384, 192, 3)
    assert np.abs(image[75, 25] - REGION).max() < 60  # left border of the mask
    assert image[75, 50].max() < 60
    assert np.abs(image[250, 100] - BOX).max() < 90
    assert image[250, 125].max() < 60


def test_figures_for_people() -> None:
    assert shown_figure(Figure(0.5, 0.25, 0.75)) == "0.50 (0.25 to 0.75)"
    assert shown_figure(Figure(1.0)) == "1.00"
    assert shown_figure(Figure(None)) == shown_figure(None) == "–"
