"""A certificate authority made with openssl, and what it signs."""

from __future__ import annotations

import subprocess
from pathlib import Path

from node.settings import Tls
from tests.conftest import need

_NEW = ("req", "-nodes", "-newkey")
_EC, _RSA = ("ec", "-pkeyopt", "ec_paramgen_curve:P-256"), ("rsa:2048",)


class Authority:
    """Signs certificates; all its files lie in `folder`."""

    def __init__(self, folder: Path, *, days: int = 400) -> None:
        need("openssl", "openssl")
        folder.mkdir()
        self.folder, self.ca = folder, folder / "ca.pem"
        subject = ("-subj", "/CN=Authority", "-days", str(days))
        self._openssl(*_NEW, *_EC, "-x509", "-keyout", "ca.key", "-out", "ca.pem", *subject)
        self._alone = self.ca.read_text()

    def issue(
        self, name: str = "node", *, days: int = 400, names: str = "IP:127.0.0.1", rsa: bool = False, file: str = ""
    ) -> Tls:
        """Key and certificate of `name`, with other names beside it; `file` names the files where it is not `name`."""
        file = file or name
        self._openssl(
            *_NEW, *(_RSA if rsa else _EC), "-keyout", f"{file}.key", "-out", f"{file}.csr", "-subj", f"/CN={name}"
        )
        (self.folder / "names").write_text(f"subjectAltName={names}")
        signed = ("-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-extfile", "names", "-days", str(days))
        self._openssl("x509", "-req", "-in", f"{file}.csr", *signed, "-out", f"{file}.pem")
        return Tls(certificate=self.folder / f"{file}.pem", key=self.folder / f"{file}.key", ca=self.ca)

    def revoke(self, tls: Tls) -> None:
        """Revoke a certificate: the list stands in the file of the authority."""
        (self.folder / "ca.cnf").write_text("[ca]\ndefault_ca=a\n[a]\ndatabase=i\ndefault_md=sha256\n")
        (self.folder / "i").touch()
        ours = ("ca", "-config", "ca.cnf", "-keyfile", "ca.key", "-cert", "ca.pem")
        self._openssl(*ours, "-revoke", tls.certificate.name)
        self._openssl(*ours, "-gencrl", "-crldays", "1", "-out", "crl.pem")
        self.ca.write_text(self._alone + (self.folder / "crl.pem").read_text())

    def _openssl(self, *words: str) -> None:
        subprocess.run(["openssl", *words], cwd=self.folder, check=True, capture_output=True)
