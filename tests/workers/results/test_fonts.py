"""Which font draws what; a font with Chinese characters is made here, for none is installed everywhere."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen

from node.errors import ConfigurationError
from tests.workers import results_phantoms as phantoms
from workers.findings import wording
from workers.results.fonts import drawable_language, draws, font_file
from workers.results.legend import legend_of, stacked


@pytest.fixture(scope="module")
def chinese(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A font that draws each character of our tables as a box."""
    words = "".join("".join(pair) for pair in (*wording.PHRASES.values(), *wording.ORGANS.values()))
    letters = sorted({*map(ord, words), *map(ord, "".join(wording.FINDINGS_ZH.values())), *range(32, 127)})
    names = [".notdef", *(f"u{letter:04X}" for letter in letters)]
    pen = TTGlyphPen(None)
    pen.moveTo((50, 0))
    for corner in ((50, 700), (750, 700), (750, 0)):
        pen.lineTo(corner)
    pen.closePath()
    builder = FontBuilder(1000, isTTF=True)
    builder.setupGlyphOrder(names)
    builder.setupCharacterMap({letter: f"u{letter:04X}" for letter in letters})
    builder.setupGlyf(dict.fromkeys(names, pen.glyph()))
    builder.setupHorizontalMetrics(dict.fromkeys(names, (800, 50)))
    builder.setupHorizontalHeader(ascent=800, descent=-200)
    builder.setupNameTable({"familyName": "Boxes", "styleName": "Regular"})
    builder.setupOS2(sTypoAscender=800, usWinAscent=800, usWinDescent=200)
    builder.setupPost()
    file = tmp_path_factory.mktemp("font") / "boxes.ttf"
    builder.save(file)
    return file


def test_the_font_that_comes_with_us_draws_no_chinese() -> None:
    assert font_file(None).name == "DejaVuSans.ttf"
    assert draws(font_file(None), "en")
    assert not draws(font_file(None), "zh")
    assert drawable_language(None, "zh") == "en"


def test_a_font_of_ones_own_draws_chinese(chinese: Path) -> None:
    assert drawable_language(chinese, "zh") == "zh"
    source = phantoms.image_source(phantoms.radiograph())
    context = phantoms.context(language="zh", font=chinese)
    below = legend_of(phantoms.two_findings(source), context)
    assert below.rows[0].text == "人工智能报告: 仅供研究使用,不得用于诊断"
    assert [row.text for row in below.rows if row.colour] == [
        "1  气胸,概率 87 %:右侧中野。",
        "2  肺结节,概率 50 %:中央中野。",
    ]
    strip = stacked(np.zeros((10, 200, 3), dtype=np.uint8), below)
    assert strip.shape[1] == 200
    assert strip[10:].any()


def test_without_such_a_font_the_picture_speaks_english() -> None:
    source = phantoms.image_source(phantoms.radiograph())
    below = legend_of(phantoms.two_findings(source), phantoms.context(language="zh"))
    assert below.rows[0].text == "AI report: research use, not for diagnosis"


def test_what_is_no_font_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"results.font: .*missing.ttf cannot be read as a font"):
        draws(tmp_path / "missing.ttf", "en")
