"""The whole way with real processes: phantoms to `readfirst up` by C-STORE, its results in Orthanc beside them."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Any, Self

from pacs import Orthanc
from pydicom import Dataset, dcmread
from pydicom.filebase import DicomBytesIO

from node.sending import scu
from node.settings import Peer
from tests.system.test_up import Up
from tests.viewer import bright, phantoms

RADIOGRAPHS, OBLIQUE, PRONE = 1, 2, 3  # studies
LATE = 2  # slices of the prone CT, and one radiograph, come when the others have been analysed


class Way:
    """A running node whose studies have been analysed and delivered."""

    def __init__(self, folder: Path, pacs: Orthanc) -> None:
        self.pacs = pacs
        bright.write_package(folder / "models")
        (folder / "images").mkdir()
        drawn = enumerate(phantoms.RADIOGRAPHS, start=1)
        radiographs = [phantoms.radiograph(case, RADIOGRAPHS, series, folder / "images") for series, case in drawn]
        oblique = phantoms.volume(phantoms.OBLIQUE, OBLIQUE, folder / "images")
        prone = phantoms.volume(phantoms.PRONE, PRONE, folder / "images")
        self._in_time = [*radiographs[:-1], *oblique, *prone[:-LATE]]
        self._late = [*radiographs[-1:], *prone[-LATE:]]
        self._up = Up(folder, _toml(folder / "models", pacs.dicom_port))

    def __enter__(self) -> Self:
        try:
            for paths in (self._in_time, self._late):
                outcomes = scu.store(scu.Requestor("SCANNER"), self._orthanc, paths)
                assert not [one.error for one in outcomes if one.error]
                self._up.push(*paths)
                self._up.finish(3)
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._end()

    def story(self, study: int) -> dict[str, Any]:
        """What `readfirst study` says."""
        told: dict[str, Any] = self._up.ask("study", f"{phantoms.ROOT}.{study}")
        return told

    def results(self, study: int, modality: str) -> list[Dataset]:
        """Our objects of a modality as the PACS gives them back, the newest first."""
        found = [one for one in self.pacs.instances(f"{phantoms.ROOT}.{study}") if one["modality"] == modality]
        files = [self.pacs.rest(f"/instances/{one['id']}/file") for one in found]
        read = [dcmread(DicomBytesIO(file)) for file in files]
        return sorted(read, key=lambda one: (one.ContentDate, one.ContentTime), reverse=True)

    def series(self, study: int) -> int:
        """How many series the PACS has of it."""
        return len({one["series_instance_uid"] for one in self.pacs.instances(f"{phantoms.ROOT}.{study}")})

    @property
    def _orthanc(self) -> Peer:
        return Peer(ae_title="ORTHANC", host="127.0.0.1", port=self.pacs.dicom_port)

    def _end(self) -> None:
        self._up.process.terminate()
        self._up.process.wait()


def _toml(models: Path, port: int) -> str:
    peer = f'[peers.pacs]\nae_title = "ORTHANC"\nhost = "127.0.0.1"\nport = {port}\nreceive = ["results"]\n'
    return f'{peer}[models]\nfolder = "{models}"\npackages = ["{bright.NAME}", "chest-ct"]\n'
