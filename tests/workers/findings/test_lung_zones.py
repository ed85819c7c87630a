"""Where regions lie in the lungs of a phantom, as the standard view, mirrored, upside down and on its side."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from models.anatomy.zones import zones_of
from models.card import Label
from models.prediction import Prediction
from tests.models.anatomy.phantoms import LEFT, RIGHT, SIDE, ellipse
from tests.workers import results_phantoms as phantoms
from workers.findings import wording
from workers.findings.boxed import BoxedMask
from workers.findings.findings import Finding, findings_of
from workers.findings.location import Location
from workers.findings.lung_zones import DIFFUSE
from workers.findings.source import ImageSource
from workers.findings.statement import finding_sentences
from workers.findings.volume_zones import VolumeZones

ZONES = zones_of(ellipse(RIGHT), ellipse(LEFT))
VIEWS = [("L", "F"), ("R", "F"), ("L", "H"), ("R", "H"), ("F", "L"), ("H", "R")]
NOTHING = np.zeros((SIDE, SIDE), np.float32)


def source_of(orientation: tuple[str, ...] | None = ("L", "F")) -> ImageSource:
    header = phantoms.radiograph(256, 200, orientation) if orientation else phantoms.radiograph(PatientOrientation=None)
    return phantoms.image_source(header, (SIDE, SIDE))


def found(
    saliency: NDArray[np.float32], source: ImageSource, zones: NDArray[np.uint8] | None = ZONES, where: str = "lungs"
) -> Finding:
    """The first label's finding, present, of a map that covers the input."""
    context = phantoms.context()
    labels: tuple[Label, ...] = tuple(
        label.model_copy(update={"territory": where, "smallest_region_fraction": 0.0}) for label in context.card.labels
    )
    prediction = phantoms.prediction(np.stack([saliency, NOTHING, NOTHING]), (0.9, 0.1, 0.1))
    whole = Prediction(prediction.labels, prediction.logits, prediction.probabilities, prediction.saliency, zones)
    return findings_of(whole, context.card.model_copy(update={"labels": labels}), source, context)[0]


def spot(row: float, column: float, radius: float = 4.0) -> NDArray[np.float32]:
    return phantoms.blob((SIDE, SIDE), (row, column), radius)


PLACES = [
    ((35.0, 38.0), "right upper zone", "右侧上野"),
    ((62.0, 90.0), "left middle zone", "左侧中野"),
    ((90.0, 90.0), "left lower zone", "左侧下野"),
    ((105.0, 40.0), "right lower zone", "右侧下野"),  # below the diaphragm: the nearest lung
    ((60.0, 15.0), "right middle zone", "右侧中野"),  # outside, at the side
    ((60.0, 64.0), "central", "中央"),
]  # fmt: skip


@pytest.mark.parametrize(("centre", "english", "chinese"), PLACES)
@pytest.mark.parametrize("orientation", VIEWS)
def test_a_region_lies_in_a_zone_of_a_lung(
    centre: tuple[float, float], english: str, chinese: str, orientation: tuple[str, str]
) -> None:
    (region,) = found(spot(*centre), source_of(orientation)).regions
    assert wording.place(region.location) == english
    assert wording.place(region.location, "zh") == chinese


def test_a_mirrored_source_has_its_region_on_the_other_side_of_the_file_and_the_same_side_of_the_patient() -> None:
    (straight,), (mirrored,) = (found(spot(62.0, 90.0), source_of(view)).regions for view in (("L", "F"), ("R", "F")))
    columns = [float(np.nonzero(region.mask)[1].mean()) for region in (straight, mirrored)]
    assert columns[0] > 120 > 80 > columns[1]
    assert straight.location.side == mirrored.location.side == "left"


def test_thirds_of_the_picture_count_where_nothing_is_known_of_the_lungs_or_of_the_patient() -> None:
    low_lungs = zones_of(np.roll(ellipse(RIGHT), 25, axis=0), np.roll(ellipse(LEFT), 25, axis=0))
    place = [
        wording.place(found(spot(62.0, 38.0), source, zones).regions[0].location)
        for source, zones in ((source_of(), low_lungs), (source_of(), None), (source_of(None), low_lungs))
    ]
    assert place == ["right upper zone", "right middle zone", "middle third, left part of the picture"]


def filled(*parts: tuple[tuple[float, float], float]) -> NDArray[np.float32]:
    """A map that fills, of each lung given by its centre, the part from its top down to that share of its height."""
    rows = np.arange(SIDE)[:, None]
    masks = [ellipse(centre) & (rows < centre[0] - 38 + share * 76) for centre, share in parts]
    return 2.0 * np.any(masks, axis=0).astype(np.float32)


@pytest.mark.parametrize(
    ("saliency", "english", "chinese"),
    [
        (filled((RIGHT, 0.9), (LEFT, 0.9)), "diffuse, both lungs", "弥漫性,双肺"),
        (filled((RIGHT, 0.9)), "diffuse, right lung", "弥漫性,右肺"),
        (filled((LEFT, 0.9), (RIGHT, 0.3)), "diffuse, left lung", "弥漫性,左肺"),
    ],
)
@pytest.mark.parametrize("orientation", VIEWS)
def test_what_fills_a_lung_has_no_region_and_names_the_lungs(
    saliency: NDArray[np.float32], english: str, chinese: str, orientation: tuple[str, str]
) -> None:
    finding = found(saliency, source_of(orientation))
    assert finding.regions == ()
    assert wording.finding_location(finding, ()) == english
    assert wording.finding_location(finding, (), "zh") == chinese
    words = wording.present_sentence(finding, (), phantoms.context(), "en")
    assert words == f"Pneumothorax, probability 90 %: {english}."
    assert f"No region is drawn of what is {english}." in finding_sentences(finding, (), phantoms.card())


def test_the_side_of_the_patient_is_not_named_where_it_is_unknown() -> None:
    unknown = source_of(None)
    assert (
        wording.finding_location(found(filled((RIGHT, 0.9)), unknown), ())
        == "diffuse, lung in the left part of the picture"
    )
    assert wording.finding_location(found(filled((RIGHT, 0.9), (LEFT, 0.9)), unknown), ()) == "diffuse, both lungs"


def test_a_focus_keeps_its_regions_at_most_two_and_so_does_what_cannot_be_diffuse() -> None:
    several = np.maximum.reduce([spot(35.0, 38.0), spot(62.0, 90.0), spot(85.0, 38.0)])
    assert len(found(several, source_of()).regions) == 2
    assert len(found(filled((RIGHT, DIFFUSE - 0.05)), source_of()).regions) == 1
    assert len(found(filled((RIGHT, 0.9)), source_of(), where="heart").regions) == 1
    assert len(found(filled((RIGHT, 0.9)), source_of(), zones=None).regions) == 1


def test_a_region_of_the_heart_is_central_although_a_lung_lies_behind_it() -> None:
    (region,) = found(spot(70.0, 82.0), source_of(), where="heart").regions
    assert (wording.place(region.location), region.location.side) == ("central", None)


def test_without_regions_a_finding_keeps_its_sentence() -> None:
    finding = found(NOTHING, source_of())
    assert (finding.regions, finding.diffuse, wording.finding_location(finding, ())) == ((), "", "")
    assert "No region is drawn: the saliency map does not" in finding_sentences(finding, (), phantoms.card())


@pytest.mark.parametrize(
    ("lungs", "words"),
    [((True, True), "both lungs"), ((True, False), "right lung"), ((False, False), "")],
)
def test_a_finding_that_fills_a_lung_of_a_volume_is_diffuse(lungs: tuple[bool, bool], words: str) -> None:
    source = phantoms.ct_source(slices=12, rows=64, columns=80)
    cells = np.zeros((6, 16, 20), np.uint8)
    cells[:, 4:12, 3:9], cells[:, 4:12, 11:17] = 2, 5  # the middle zones, all of them
    inside = np.zeros((12, 64, 80), np.bool_)
    inside[:, 16:48, 12:36], inside[:, 16:48, 44:68] = lungs
    inside[5:7, 30, 60] = True
    zones = VolumeZones(cells, source.volume)
    assert zones.diffuse(BoxedMask.of(inside)) == words
    spot = np.zeros_like(inside)
    spot[4:6, 20:24, 15:20] = True
    assert zones.location(BoxedMask.of(spot)) == Location("right", "middle")
    beside = np.zeros_like(inside)
    beside[4:6, 20:24, 75:79] = True
    assert zones.location(BoxedMask.of(beside)) == Location("left", "middle")
