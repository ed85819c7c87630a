"""One PACS, one node, one viewer and one browser for all that looks into a viewer; they end with its last test."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from ohif import Ohif, UnreachableError, install
from pacs import Orthanc, can_serve_viewers
from viewer import Browser

from tests.conftest import need
from tests.viewer.way import Way


@pytest.fixture(scope="package")
def chromium() -> Path:
    """What is missing is known before the long way begins."""
    try:
        install()
    except UnreachableError as error:
        _require(False, str(error))
    return Path(need("chromium", "chromium"))


@pytest.fixture(scope="package")
def way(chromium: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Way]:
    """The phantoms have gone the whole way, the last images of two studies too late."""
    need("Orthanc", "orthanc")
    _require(can_serve_viewers(), "Orthanc serves no DICOMweb (Debian: orthanc-dicomweb)")
    folder = tmp_path_factory.mktemp("viewer")
    with Orthanc(folder / "pacs", dicomweb=True) as pacs, Way(folder, pacs) as gone:
        yield gone


@pytest.fixture(scope="package")
def ohif(way: Way) -> Iterator[Ohif]:
    with Ohif(way.pacs.dicomweb) as viewer:
        yield viewer


@pytest.fixture(scope="package")
def browser(chromium: Path) -> Iterator[Browser]:
    with Browser(chromium) as running:
        yield running


def _require(holds: bool, otherwise: str) -> None:
    """As `tests.conftest.need`: skipped where it cannot be had, in CI it fails."""
    if not holds and os.environ.get("CI"):
        pytest.fail(otherwise)
    if not holds:
        pytest.skip(otherwise)
