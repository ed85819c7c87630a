from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

from models.errors import DataError
from models.report_labels.readers import bare_name, read_reports

XML = """<?xml version="1.0"?><eCitation><Abstract>
<AbstractText Label="INDICATION">Fever</AbstractText><AbstractText Label="FINDINGS">A &lt;1 cm nodule.</AbstractText>
<AbstractText Label="IMPRESSION"/></Abstract><parentImage id="X1_1"/><parentImage id="X1_2"/></eCitation>"""


def folder(path: Path) -> Path:
    (path / "deep").mkdir(parents=True)
    (path / "b.txt").write_text("Mass.", encoding="utf-8")
    (path / "deep" / "a.xml").write_text(XML, encoding="utf-8")
    (path / "other.pdf").write_bytes(b"no report")
    return path


def test_a_folder_and_an_archive_give_the_same_reports(tmp_path: Path) -> None:
    path = folder(tmp_path / "reports")
    text, xml = read_reports(path, ".png")
    assert (text.name, text.patient, text.images, text.text) == ("b", "b", ("b.png",), "Mass.")
    assert (xml.name, xml.images) == ("a", ("X1_1.png", "X1_2.png"))
    assert xml.text == "INDICATION:\nFever\n\nFINDINGS:\nA <1 cm nodule."
    with tarfile.open(tmp_path / "reports.tgz", "w:gz") as archive:
        archive.add(path, "reports")
    assert read_reports(tmp_path / "reports.tgz", ".png") == [text, xml]


def test_a_csv_passes_its_other_columns_on(tmp_path: Path) -> None:
    path = tmp_path / "reports.csv"
    path.write_text('\ufeffimage,patient,view,report\n1.png,7,PA,"No mass,\nno nodule."\n', encoding="utf-8")
    (report,) = read_reports(path)
    assert (report.name, report.patient, report.images) == ("1.png", "7", ("1.png",))
    assert report.text == "No mass,\nno nodule."
    assert dict(report.columns) == {"view": "PA"}


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.csv", b"image,report\n", "has no column patient; it needs image, patient, report"),
        ("a.csv", b"image,patient,report\n1.png,7,No mass, no nodule\n", "line 2: more or fewer values"),
        ("a.csv", b"image,patient,report\n1.png,7\n", "line 2: more or fewer values"),
        ("a.csv", "image,patient,report\n1.png,7,\xe9".encode("latin-1"), "is not UTF-8 at byte 29"),
        ("a.csv", b'image,patient,report\n1.png,7,"' + b"no mass " * 20_000, "is a quote not closed"),
        ("dir/a.txt", b"\xff\xfe", "a.txt is not UTF-8"),
        ("dir/a.xml", b"<a>", "a.xml is no XML"),
        ("dir/a.xml", b"<!DOCTYPE a [<!ENTITY b 'c'>]><a/>", "declares XML entities"),
        ("dir/a.pdf", b"", "holds no .txt or .xml reports"),
        ("a.tgz", b"no archive", "cannot be read"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path: Path, name: str, content: bytes, words: str) -> None:
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    with pytest.raises(DataError, match=words):
        read_reports(tmp_path / Path(name).parts[0])


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    for name in ("none.csv", "none"):
        with pytest.raises(DataError, match="cannot be read"):
            read_reports(tmp_path / name)


def test_a_bare_name_has_no_known_ending() -> None:
    assert [bare_name(name) for name in ("a/1.xml", "1.PNG", "1.2.840.10", "7")] == ["1", "1", "1.2.840.10", "7"]
