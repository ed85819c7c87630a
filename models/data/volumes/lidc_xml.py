"""Reading sessions of LIDC-IDRI in their XML files (LidcReadMessage).

Written after the public schema; no original file was at hand to try it on.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from models.data.volumes.lidc import Contour, Marking, Point, Readings, characteristics
from models.errors import DataError

NAMESPACE = "{http://www.nih.gov}"


def read_lidc_xml(path: Path) -> Readings:
    """The readers' markings of one series.

    Raises
    ------
    DataError
        The file is no such XML, has a document type, or an element is missing or wrong.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.") from error
    if b"<!DOCTYPE" in data or b"<!ENTITY" in data:
        raise DataError(f"{path} has a document type, which no file of LIDC has; it is not read.")
    try:
        root = ElementTree.fromstring(data)  # noqa: S314 (without a document type there is nothing to expand)
    except ElementTree.ParseError as error:
        raise DataError(f"{path} is no XML: {error}.") from error
    if root.tag != f"{NAMESPACE}LidcReadMessage":
        raise DataError(f"{path} is no reading of LIDC: it begins with {root.tag}, not LidcReadMessage.")
    sessions = root.findall(f"{NAMESPACE}readingSession")
    parts = [_Session(number, session, path) for number, session in enumerate(sessions)]
    return Readings(
        series=root.findtext(f"{NAMESPACE}ResponseHeader/{NAMESPACE}SeriesInstanceUid", "").strip(),
        readers=len(sessions),
        markings=tuple(one for part in parts for one in part.markings()),
        small=tuple(one for part in parts for one in part.small()),
        non_nodules=tuple(one for part in parts for one in part.non_nodules()),
    )


class _Session:
    """One reader's part of a file."""

    def __init__(self, reader: int, session: Element, path: Path) -> None:
        self.reader, self.session, self.path = reader, session, path

    def markings(self) -> Iterator[Marking]:
        """Nodules of 3 mm or more: those with a contour of more than one point."""
        for element, name, contours in self._nodules():
            if not _is_point(contours):
                given = element.find(f"{NAMESPACE}characteristics")
                texts = {} if given is None else {one.tag.removeprefix(NAMESPACE): one.text or "" for one in given}
                ratings = characteristics(texts, f"{self.path}, nodule {name}")
                yield Marking(self.reader, name, ratings, contours)

    def small(self) -> Iterator[Point]:
        """Nodules under 3 mm."""
        for _, name, contours in self._nodules():
            if _is_point(contours):
                one = contours[0]
                yield Point(self.reader, name, one.z, one.sop_instance_uid, one.points[0])

    def non_nodules(self) -> Iterator[Point]:
        """What the reader took for no nodule."""
        for element in self.session.findall(f"{NAMESPACE}nonNodule"):
            name = self._text(element, "nonNoduleID")
            locus = element.find(f"{NAMESPACE}locus")
            if locus is None:
                raise DataError(f"{self.path}: the nonNodule {name} has no locus.")
            sop_instance_uid = self._text(element, "imageSOP_UID")
            yield Point(self.reader, name, self._number(element), sop_instance_uid, self._place(locus))

    def _nodules(self) -> Iterator[tuple[Element, str, tuple[Contour, ...]]]:
        for element in self.session.findall(f"{NAMESPACE}unblindedReadNodule"):
            name = self._text(element, "noduleID")
            contours = tuple(self._contour(roi) for roi in element.findall(f"{NAMESPACE}roi"))
            if not contours or not all(one.points for one in contours):
                raise DataError(f"{self.path}: the nodule {name} has a roi without edgeMap, or none.")
            yield element, name, contours

    def _contour(self, roi: Element) -> Contour:
        points = tuple(self._place(edge) for edge in roi.findall(f"{NAMESPACE}edgeMap"))
        inclusion = self._text(roi, "inclusion").upper()
        if inclusion not in ("TRUE", "FALSE"):
            raise DataError(f"{self.path}: inclusion is {inclusion!r}, neither TRUE nor FALSE.")
        return Contour(self._number(roi), self._text(roi, "imageSOP_UID"), inclusion == "TRUE", points)

    def _number(self, element: Element) -> float:
        text = self._text(element, "imageZposition")
        try:
            return float(text)
        except ValueError as error:
            raise DataError(f"{self.path}: imageZposition is {text!r}, which is no number.") from error

    def _place(self, element: Element) -> tuple[int, int]:
        texts = self._text(element, "xCoord"), self._text(element, "yCoord")
        try:
            return int(texts[0]), int(texts[1])
        except ValueError as error:
            raise DataError(f"{self.path}: a point at {texts} is not in whole pixels.") from error

    def _text(self, element: Element, name: str) -> str:
        text = element.findtext(f"{NAMESPACE}{name}")
        if text is None:
            raise DataError(f"{self.path}: {element.tag.removeprefix(NAMESPACE)} has no {name}.")
        return text.strip()


def _is_point(contours: tuple[Contour, ...]) -> bool:
    return len(contours) == 1 and len(contours[0].points) == 1
