"""What a radiologist sees of our results in OHIF: every opening is real, every claim is about pixels or words there."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray
from ohif import Ohif
from scipy import ndimage
from viewer import Browser, Reading

from tests.viewer import phantoms
from tests.viewer.way import OBLIQUE, PRONE, RADIOGRAPHS, Way

Screen = NDArray[np.int16]
Mask = NDArray[np.bool_]

# Least overlap (intersection over union) of colour and lesion on the screen. Measured: radiographs 0.91 to 0.97, CT
# 0.83 and 0.84 (the detector leaves the nodule's rim out). A lesion that is mirrored about its own middle overlaps
# itself by 0.42 on the radiographs and by 0.54 to 0.62 on the CT, and one that lies elsewhere not at all.
OVERLAP = {RADIOGRAPHS: 0.85, OBLIQUE: 0.75, PRONE: 0.75}


@pytest.fixture(scope="module", params=[RADIOGRAPHS, OBLIQUE, PRONE], ids=["radiographs", "oblique CT", "prone CT"])
def study(request: pytest.FixtureRequest) -> int:
    number: int = request.param
    return number


@pytest.fixture(scope="module")
def reading(study: int, way: Way, ohif: Ohif, browser: Browser) -> Iterator[Reading]:
    """One opening of the study for all its tests; nothing went wrong in it."""
    with Reading(browser, ohif, f"{phantoms.ROOT}.{study}", way.series(study)) as opened:
        yield opened
        assert opened.complaints() == ()


def test_coloured_pixels_lie_on_the_lesion(study: int, reading: Reading, way: Way) -> None:
    """Whatever the viewer does to an image, it draws the lesion white: the colour must cover what is white without."""
    shown = way.results(study, "SEG")
    assert len(shown) == (len(phantoms.RADIOGRAPHS) if study == RADIOGRAPHS else 1 + (study == PRONE))
    for index, segmentation in enumerate(shown):
        assert reading.show(segmentation.SeriesInstanceUID) == ("Do you want to open this Segmentation?",)
        rows = reading.rows() if index else reading.panel("panelSegmentation")
        assert rows == ("1 Nodule 1",)
        if study != RADIOGRAPHS:
            reading.jump(0)
        drawn = reading.image()
        reading.show_segments(False)
        bare = reading.image()
        coloured, lesion = np.abs(drawn - bare).max(-1) > 25, lesion_of(bare)
        assert lesion.sum() > 1000
        overlap = (coloured & lesion).sum() / (coloured | lesion).sum()
        assert overlap >= OVERLAP[study], segmentation.SeriesDescription


def lesion_of(screen: Screen) -> Mask:
    """The largest white thing on the screen."""
    parts, _ = ndimage.label(screen.min(-1) > 225)
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    found: Mask = parts == sizes.argmax()
    return found
