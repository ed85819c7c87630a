"""A throw-away Orthanc on loopback: the PACS of the demo and of the tests."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from ports import free_port

from node.processes import die_with_parent

_HERE = Path(__file__).resolve().parent
_START_SECONDS = 30.0
_DICOMWEB = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")  # Debian's orthanc-dicomweb


def find_orthanc() -> str | None:
    """Path of the Orthanc program; None where it is not installed."""
    return shutil.which("Orthanc") or shutil.which("orthanc")


def can_start() -> bool:
    """Whether Orthanc is installed, and a compiler for the library that keeps it on loopback."""
    return find_orthanc() is not None and _compiler() is not None


def can_serve_viewers() -> bool:
    """Whether Orthanc's DICOMweb plugin is installed."""
    return _DICOMWEB.exists()


def _compiler() -> str | None:
    return next(filter(None, map(shutil.which, ("cc", "gcc", "clang", "tcc"))), None)


class Orthanc:
    """A running Orthanc with its storage in `folder`, ended on leaving.

    Parameters
    ----------
    modalities
        AE titles that may send to it, with their host and port.
    dicomweb
        Whether it also serves DICOMweb, for viewers; see `can_serve_viewers`.
    """

    def __init__(
        self, folder: Path, modalities: dict[str, tuple[str, str, int]] | None = None, *, dicomweb: bool = False
    ) -> None:
        self.folder = folder
        self.http_port, self.dicom_port = free_port(), free_port()
        self._config = {
            "Name": "ORTHANC", "DicomAet": "ORTHANC", "DicomPort": self.dicom_port, "HttpPort": self.http_port,
            "StorageDirectory": str(folder / "db"), "IndexDirectory": str(folder / "db"),
            "Plugins": [str(_DICOMWEB)] if dicomweb else [],
            "RemoteAccessAllowed": False, "AuthenticationEnabled": False, "DicomCheckModalityHost": False,
            "OverwriteInstances": True, "DicomModalities": {name: list(to) for name, to in (modalities or {}).items()},
            "DicomWeb": {"Root": "/dicom-web/", "StudiesMetadata": "Full", "SeriesMetadata": "Full"},
        }  # fmt: skip
        self.dicomweb = f"http://127.0.0.1:{self.http_port}/dicom-web"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        program = find_orthanc()
        if program is None:
            raise RuntimeError("Orthanc is not installed")
        (self.folder / "db").mkdir(parents=True)
        (self.folder / "orthanc.json").write_text(json.dumps(self._config, indent=1))
        log = (self.folder / "orthanc.log").open("wb")
        environment = os.environ | {"LD_PRELOAD": str(_loopback(self.folder))}
        self._process = subprocess.Popen(
            [program, str(self.folder / "orthanc.json")], stdout=log, stderr=log, env=environment,
            preexec_fn=die_with_parent,  # noqa: PLW1509
        )  # fmt: skip
        log.close()
        self._wait()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait()

    def rest(self, path: str, body: object = None, method: str | None = None) -> Any:
        """A response of its REST interface: decoded JSON, or bytes."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self.http_port}{path}", data, method=method)
        with urllib.request.urlopen(request, timeout=60) as response:
            content = response.read()
            return json.loads(content) if "json" in response.headers.get_content_type() else content

    def instances(self, study_instance_uid: str) -> list[dict[str, Any]]:
        """`{"id", "modality", "series_instance_uid", "sop_instance_uid"}` of each instance of a study."""
        query = {"Level": "Series", "Query": {"StudyInstanceUID": study_instance_uid}, "Expand": True}
        return [
            {
                "id": instance,
                "modality": series["MainDicomTags"]["Modality"],
                "series_instance_uid": series["MainDicomTags"]["SeriesInstanceUID"],
                "sop_instance_uid": self.rest(f"/instances/{instance}")["MainDicomTags"]["SOPInstanceUID"],
            }
            for series in self.rest("/tools/find", query)
            for instance in series["Instances"]
        ]

    def _wait(self) -> None:
        assert self._process is not None
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                self.rest("/system")
            except OSError:
                time.sleep(0.1)
            else:
                return
        raise RuntimeError(f"Orthanc does not respond; see {self.folder / 'orthanc.log'}")


def _loopback(folder: Path) -> Path:
    """The small library that keeps Orthanc on loopback."""
    compiler = _compiler()
    if compiler is None:
        raise RuntimeError("no C compiler (cc, gcc, clang or tcc) is installed to keep Orthanc on loopback")
    library = folder / "loopback.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-nostdlib", "-o", library, _HERE / "loopback.c"], check=True)
    return library
