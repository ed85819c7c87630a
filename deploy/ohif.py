"""OHIF on loopback, in front of a DICOMweb server of the same origin. `python deploy/ohif.py` fetches it into a cache.

The npm package @ohif/app holds a viewer that is ready built; npm's ordinary client fetches it, nothing of it runs
but in the browser.
"""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
import mimetypes
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import threading
from collections.abc import Iterable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import unquote, urlsplit

VERSION = "3.13.2"
INTEGRITY = "sha512-WZdxmpmG7rqFgW9ZJLcbgr3XCtLi1KDNPoMaeY5PPe6j4G4fjEjjkycZM6C6Zk2F87BKxFfpq+jd5xXZB9E8EA=="
NPM_SECONDS = 300

_TYPES = {".wasm": "application/wasm", ".js": "text/javascript", ".mjs": "text/javascript"}
_SOURCE = {
    "friendlyName": "PACS", "name": "pacs", "qidoRoot": "/dicom-web", "wadoRoot": "/dicom-web", "wadoUriRoot": "/wado",
    "qidoSupportsIncludeField": False, "supportsFuzzyMatching": False, "supportsWildcard": True,
    "imageRendering": "wadors", "thumbnailRendering": "wadors", "enableStudyLazyLoad": True,
    "omitQuotationForMultipartRequest": True, "bulkDataURI": {"enabled": True, "relativeResolution": "studies"},
}  # fmt: skip
_CONFIG = {
    "routerBasename": None, "extensions": [], "modes": [], "customizationService": {}, "showStudyList": True,
    "maxNumberOfWebWorkers": 2, "showCPUFallbackMessage": False, "showWarningMessageForCrossOrigin": False,
    "strictZSpacingForVolumeViewport": True, "investigationalUseDialog": {"option": "never"},
    "defaultDataSourceName": "pacs",
    "dataSources": [{
        "namespace": "@ohif/extension-default.dataSourcesModule.dicomweb", "sourceName": "pacs",
        "configuration": _SOURCE,
    }],
}  # fmt: skip


class UnreachableError(Exception):
    """npm, or what it would fetch, cannot be reached from here."""


def install() -> Path:
    """The folder of the viewer, fetched once.

    Raises
    ------
    UnreachableError
        It is not in the cache and cannot be fetched.
    RuntimeError
        What npm fetched is not the package that was tried.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "readfirst"
    target = cache / f"ohif-{VERSION}"
    if (target / "index.html").exists():
        return target
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as folder:
        package = _fetch(Path(folder))
        with tarfile.open(package) as archive:
            archive.extractall(folder, filter="data")
        shutil.rmtree(target, ignore_errors=True)
        (Path(folder) / "package" / "dist").rename(target)
    return target


def _fetch(folder: Path) -> Path:
    npm = shutil.which("npm")
    if npm is None:
        raise UnreachableError("npm is not installed (Debian: npm), so OHIF cannot be fetched")
    command = [npm, "pack", "--silent", f"@ohif/app@{VERSION}"]
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=NPM_SECONDS, check=False)
    except subprocess.TimeoutExpired as error:
        raise UnreachableError(f"npm did not fetch @ohif/app within {NPM_SECONDS} s") from error
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise UnreachableError(f"npm cannot fetch @ohif/app {VERSION}: {reason}")
    package = next(folder.glob("*.tgz"))
    with package.open("rb") as stream:
        found = "sha512-" + base64.b64encode(hashlib.file_digest(stream, "sha512").digest()).decode()
    if found != INTEGRITY:
        raise RuntimeError(f"@ohif/app {VERSION} has the integrity {found} and not {INTEGRITY}: it is not used")
    return package


class Ohif:
    """The viewer in front of a DICOMweb root such as ``http://127.0.0.1:8042/dicom-web``; served until leaving."""

    def __init__(self, dicomweb: str) -> None:
        root, config = install(), f"window.config = {json.dumps(_CONFIG)};".encode()

        class Handler(_Handler):
            upstream, files, app_config = urlsplit(dicomweb.rstrip("/")), root, config

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    """OHIF's files; below /dicom-web and /wado the responses of the PACS."""

    protocol_version = "HTTP/1.1"
    upstream = urlsplit("")
    files = Path()
    app_config = b""

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the base class names it so)
        return

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        if path.startswith(("/dicom-web", "/wado")):
            self._forward()
        elif path == "/app-config.js":
            self._reply(200, "text/javascript", self.app_config)
        else:
            self._file(path)

    def do_POST(self) -> None:
        self._forward()

    def _file(self, path: str) -> None:
        file = (self.files / path.lstrip("/")).resolve()
        if not file.is_file() or self.files.resolve() not in file.parents:
            file = self.files / "index.html"  # a route inside of the viewer
        kind = _TYPES.get(file.suffix) or mimetypes.guess_type(file.name)[0] or "application/octet-stream"
        lasting = [] if file.suffix == ".html" else [("Cache-Control", "max-age=86400")]
        self._reply(200, kind, file.read_bytes(), lasting)

    def _forward(self) -> None:
        """The Host header is passed on unchanged: Orthanc builds the addresses of bulk data from it."""
        path = self.path
        if path.startswith("/dicom-web"):
            path = self.upstream.path + path.removeprefix("/dicom-web")
        headers = {key: value for key, value in self.headers.items() if key.lower() not in _HOP}
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)) or None
        connection = http.client.HTTPConnection(self.upstream.hostname or "", self.upstream.port, timeout=120)
        try:
            connection.request(self.command, path, body, headers)
            response = connection.getresponse()
            self._reply(response.status, response.headers.get("Content-Type"), response.read())
        except OSError as error:
            self._reply(502, "text/plain", str(error).encode())
        finally:
            connection.close()

    def _reply(self, status: int, kind: str | None, data: bytes, more: Iterable[tuple[str, str]] = ()) -> None:
        try:
            self.send_response(status)
            for name, value in (*_ISOLATED, *more, ("Content-Length", str(len(data)))):
                self.send_header(name, value)
            if kind:
                self.send_header("Content-Type", kind)
            self.end_headers()
            self.wfile.write(data)
        except (BrokenPipeError, ConnectionResetError):  # the page went on to something else
            self.close_connection = True


_HOP = ("connection", "accept-encoding")
_ISOLATED = (("Cross-Origin-Opener-Policy", "same-origin"), ("Cross-Origin-Embedder-Policy", "require-corp"))


if __name__ == "__main__":
    try:
        install()
    except UnreachableError as reason:
        sys.exit(f"{reason}: the tests that open a viewer are skipped")
