from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

import numpy as np
import pytest

from models.data.volumes.dicom import read_dicom_volume
from models.data.volumes.lidc import CHARACTERISTICS, Contour, Marking, Point, Readings
from models.data.volumes.lidc_xml import read_lidc_xml
from models.data.volumes.pylidc_json import read_pylidc_json
from models.data.volumes.volume import Volume
from models.errors import DataError
from tests.models.shared_data import CHEST_CT, needs_chest_ct

SQUARE = (
    (2, 3),
    (2, 4),
    (2, 5),
    (2, 6),
    (3, 6),
    (4, 6),
    (5, 6),
    (6, 6),
    (6, 5),
    (6, 4),
    (6, 3),
    (5, 3),
    (4, 3),
    (3, 3),
)


def xml_of(readings: Readings, path: Path) -> Path:
    """A LidcReadMessage as the public schema has it; no original file was at hand."""
    root = Element("LidcReadMessage", {"xmlns": "http://www.nih.gov", "uid": "1.2.3"})
    SubElement(SubElement(root, "ResponseHeader"), "SeriesInstanceUid").text = readings.series
    for reader in range(readings.readers):
        session = SubElement(root, "readingSession")
        SubElement(session, "servicingRadiologistID").text = "anonymous"
        for marking in (one for one in readings.markings if one.reader == reader):
            nodule = SubElement(session, "unblindedReadNodule")
            SubElement(nodule, "noduleID").text = marking.name
            given = SubElement(nodule, "characteristics")
            for name, value in marking.ratings.items():
                SubElement(given, name).text = str(value)
            for contour in marking.contours:
                _roi(nodule, contour)
        for point in (one for one in readings.small if one.reader == reader):
            nodule = SubElement(session, "unblindedReadNodule")
            SubElement(nodule, "noduleID").text = point.name
            _roi(nodule, Contour(point.z, point.sop_instance_uid, inclusion=True, points=(point.at,)))
        for point in (one for one in readings.non_nodules if one.reader == reader):
            other = SubElement(session, "nonNodule")
            SubElement(other, "nonNoduleID").text = point.name
            SubElement(other, "imageZposition").text = str(point.z)
            SubElement(other, "imageSOP_UID").text = point.sop_instance_uid
            _coordinates(SubElement(other, "locus"), point.at)
    path.write_bytes(ElementTree.tostring(root, encoding="UTF-8", xml_declaration=True))
    return path


def _roi(nodule: Element, contour: Contour) -> None:
    roi = SubElement(nodule, "roi")
    SubElement(roi, "imageZposition").text = str(contour.z)
    SubElement(roi, "imageSOP_UID").text = contour.sop_instance_uid
    SubElement(roi, "inclusion").text = "TRUE" if contour.inclusion else "FALSE"
    for at in contour.points:
        _coordinates(SubElement(roi, "edgeMap"), at)


def _coordinates(element: Element, at: tuple[int, int]) -> None:
    SubElement(element, "xCoord").text, SubElement(element, "yCoord").text = map(str, at)


def readings() -> Readings:
    """Two readers' outlines of one nodule, shifted by a pixel; a third nodule; a small one and something else."""
    shifted = tuple((x + 1, y) for x, y in SQUARE)
    ratings = dict.fromkeys(CHARACTERISTICS, 3)
    return Readings(
        series="1.2.3.4",
        readers=2,
        markings=(
            Marking(0, "n1", ratings | {"malignancy": 5}, (Contour(-97.5, "1.1", inclusion=True, points=SQUARE),)),
            Marking(0, "n2", ratings, (Contour(-90.0, "1.4", inclusion=True, points=SQUARE),)),
            Marking(1, "17", ratings | {"malignancy": 4}, (Contour(-97.5, "1.1", inclusion=True, points=shifted),)),
        ),
        small=(Point(1, "18", -95.0, "1.2", (10, 11)),),
        non_nodules=(Point(0, "x", -92.5, "1.3", (7, 8)),),
    )


def volume() -> Volume:
    return Volume(np.zeros((6, 16, 12), np.float32), (2.5, 0.7, 0.7), (0.0, 0.0, -100.0))


def test_a_written_reading_is_read_as_it_was(tmp_path: Path) -> None:
    assert read_lidc_xml(xml_of(readings(), tmp_path / "a.xml")) == readings()


def test_pixels_of_the_contour_are_outside_and_readers_make_a_consensus() -> None:
    given = readings()
    first, second = given.nodules(volume())
    assert [one.name for one in first.markings] == ["n1", "17"]
    assert first.masks[0].sum() == 3 * 2  # within 5 x 4 pixels of outline
    assert np.argwhere(first.masks[0]).min(axis=0).tolist() == [1, 4, 3]
    assert (first.consensus(1).sum(), first.consensus(2).sum(), first.consensus(3).sum()) == (8, 4, 0)
    assert first.rating("malignancy") == 4.5
    assert second.masks[0][4].sum() == 6


def test_an_excluded_inside_is_left_out() -> None:
    outer = tuple((x, y) for x, y in [(0, 0), (10, 0), (10, 14), (0, 14)])
    contours = (
        Contour(-100.0, "1", inclusion=False, points=SQUARE),
        Contour(-100.0, "1", inclusion=True, points=outer),
    )
    mask = Marking(0, "n", {}, contours).mask(volume())
    assert mask.sum() == 9 * 13 - 6


def test_wrong_files_and_other_series_are_named(tmp_path: Path) -> None:
    path = tmp_path / "a.xml"
    for text, reason in (
        ("<a", "is no XML"),
        ("<a/>", "begins with a, not LidcReadMessage"),
        ('<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', "document type"),
    ):
        path.write_text(text)
        with pytest.raises(DataError, match=reason):
            read_lidc_xml(path)
    xml_of(readings(), path)
    path.write_text(path.read_text().replace("<malignancy>5<", "<malignancy>9<"))
    with pytest.raises(DataError, match="nodule n1: malignancy is '9'"):
        read_lidc_xml(path)
    other = Volume(np.zeros((2, 16, 12), np.float32), (2.5, 0.7, 0.7))
    with pytest.raises(DataError, match=r"z = -97.5 mm, where the volume has no slice"):
        readings().nodules(other)
    (tmp_path / "a.json").write_text(json.dumps({"series": "1", "annotations": [{}]}))
    with pytest.raises(DataError, match="no JSON of pylidc"):
        read_pylidc_json(tmp_path / "a.json")


@needs_chest_ct
def test_both_readers_agree_on_the_real_nodule(tmp_path: Path) -> None:
    given = read_pylidc_json(CHEST_CT / "nodule_annotations.json")
    again = read_lidc_xml(xml_of(given, tmp_path / "a.xml"))
    assert again == given
    scan = read_dicom_volume(CHEST_CT / "dicom")
    (nodule,) = again.nodules(scan)
    means = [float(scan.array[mask].mean()) for mask in nodule.masks]
    assert len(means) == 4 and all(-140 < mean < 0 for mean in means)  # -800 with columns and rows exchanged
    ml = float(np.prod(scan.spacing)) / 1000
    assert nodule.consensus(2).sum() * ml == pytest.approx(6.71, abs=0.01)
    assert nodule.rating("malignancy") == 4.75
