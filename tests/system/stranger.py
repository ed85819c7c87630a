"""What somebody can do who knows no more of the node than its address and port: raw bytes, TLS, HTTP, HL7."""

from __future__ import annotations

import http.client
import socket
import ssl
import subprocess
import time
import warnings
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from node.settings import Tls
from tests.conftest import need
from tests.node.pdus import answer, associate_request, item

IN_TIME = 5.0  # seconds; the nodes wait 2
HOST, ELSEWHERE = "127.0.0.1", "127.0.0.2"
WORDS = {
    (1, 1, 3): "calling AE title not recognized",
    (1, 1, 7): "called AE title not recognized",
    (1, 2, 2): "protocol version not supported",
    (2, 3, 2): "local limit exceeded",
}


@dataclass(frozen=True)
class Stranger:
    """Calls one node."""

    port: int
    tls_port: int
    web: int
    orders: int

    def says(self, data: bytes, source: str = HOST) -> str:
        """The answer to bytes at the DICOM port."""
        with socket.create_connection((HOST, self.port), timeout=20, source_address=(source, 0)) as sock:
            with suppress(OSError):
                sock.sendall(data)
            return words(*answer(sock))

    def trickles(self, data: bytes) -> str:
        """The same bytes, one each tenth of a second, and how it ended."""
        start = time.monotonic()
        with socket.create_connection((HOST, self.port), timeout=0.1) as sock:
            for byte in data:
                try:
                    sock.sendall(bytes((byte,)))
                    if not sock.recv(1):
                        return dropped(start)
                except TimeoutError:
                    continue
                except OSError:
                    return dropped(start)
        return "listened to"

    def waits(self, *, tls: bool = False) -> str:
        """Nothing is said."""
        start = time.monotonic()
        with socket.create_connection((HOST, self.tls_port if tls else self.port), timeout=20) as sock:
            return dropped(start) if not sock.recv(1) else "answered"

    def crowds(self, count: int) -> str:
        """So many connections at once, all silent; how many may stay, and whether the known peer comes in."""
        crowd = [socket.create_connection((HOST, self.port), timeout=20) for _ in range(count)]
        try:
            comes_in = self.says(associate_request("KNOWN")) == words(2, b"")
            until = time.monotonic() + 5
            while (stay := sum(not closed(sock) for sock in crowd)) > 16 and time.monotonic() < until:
                time.sleep(0.02)
            return f"{stay if stay > 16 else 16} stay, the known peer {'comes in' if comes_in else 'is kept out'}"
        finally:
            for sock in crowd:
                sock.close()

    def crowds_page(self, count: int) -> str:
        """So many silent connections to the page, and what somebody else gets then."""
        crowd = [socket.create_connection((HOST, self.web), timeout=20) for _ in range(count)]
        try:
            return self.browses("GET", "/")
        finally:
            for sock in crowd:
                sock.close()

    def repeats(self, count: int) -> str:
        """An association again and again."""
        answers = {self.says(associate_request("STRANGER")) for _ in range(count)}
        return " and ".join(sorted(answers)) + f", {count} times"

    def dcmtk(self, program: str, *words_: str) -> str:
        """A DCMTK command that calls itself STRANGER."""
        command = [need(program, "dcmtk"), "-aet", "STRANGER", "-aec", "READFIRST", HOST, str(self.port), *words_]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        said = done.stdout + done.stderr
        return "A-ASSOCIATE-RJ, calling AE title not recognized" if "Calling AE Title Not Recogni" in said else said

    def handshakes(
        self,
        tls: Tls | None,
        request: bytes = b"",
        version: ssl.TLSVersion | None = None,
        ciphers: str = "",
    ) -> str:
        """An association over TLS, with a certificate or without."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        if tls:
            context.load_cert_chain(tls.certificate, tls.key)
        if version:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)  # it is tried because it is old
                context.minimum_version = context.maximum_version = version
        if ciphers:
            context.set_ciphers(ciphers)
        try:
            with (
                socket.create_connection((HOST, self.tls_port), timeout=20) as plain,
                context.wrap_socket(plain) as sock,
            ):
                sock.sendall(request or associate_request("KNOWN"))
                return words(*answer(sock))
        except (ssl.SSLError, ConnectionError):
            return "TLS refused"

    def plain_to_tls(self) -> str:
        """A known AE title without TLS where TLS is asked for."""
        with socket.create_connection((HOST, self.tls_port), timeout=20) as sock:
            sock.sendall(associate_request("KNOWN"))
            kind, _ = answer(sock)
        return "TLS refused" if kind in (0, 0x15) else words(kind, b"")

    def browses(
        self, method: str, path: str, body: bytes = b"", token: str = "", host: str = "", **headers: str
    ) -> str:
        """Status of an HTTP request to the page's port, and where it leads."""
        connection = http.client.HTTPConnection(HOST, self.web, timeout=20)
        sent = {"Host": host or f"{HOST}:{self.web}"} | {key.replace("_", "-"): value for key, value in headers.items()}
        if token:
            sent["Authorization"] = f"Bearer {token}"
        try:
            connection.request(method, path, body or None, sent)
            found = connection.getresponse()
            content, where = found.read(), found.getheader("Location", "")
        except (ConnectionError, http.client.HTTPException):
            return "closed"
        finally:
            connection.close()
        leak = ", AND IT IS THE PAGE" if found.status == 200 and b"password" not in content else ""
        return f"{found.status}{f' to {where}' if where else ''}{leak}"

    def guesses(self, count: int) -> str:
        """So many wrong tokens."""
        answers = [self.browses("GET", "/dicomweb/workitems", token=f"guess-{number}") for number in range(count)]
        return ", then ".join(dict.fromkeys(answers))

    def opens_socket(self) -> str:
        """A WebSocket of another AE title's events."""
        return self.browses(
            "GET", "/dicomweb/subscribers/KNOWN", Upgrade="websocket", Connection="Upgrade",
            Sec_WebSocket_Key="AAAAAAAAAAAAAAAAAAAAAA==", Sec_WebSocket_Version="13",
        )  # fmt: skip

    def orders_stat(self, source: str) -> str:
        """An HL7 order over MLLP."""
        order = b"MSH|^~\\&|X|Y|Z|W|20260101||ORM^O01|1|P|2.3.1\rPID|1||1\rORC|NW|1|1||||^^^^^S\rOBR|1|1|1|X\r"
        with socket.create_connection((HOST, self.orders), timeout=20, source_address=(source, 0)) as sock:
            with suppress(OSError):
                sock.sendall(b"\x0b" + order + b"\x1c\r")
            with suppress(ConnectionError):
                return "answered" if sock.recv(1) else "closed"
        return "closed"


def words(kind: int, body: bytes) -> str:
    """An answer at the DICOM port, as the standard calls it."""
    if kind == 0x03:
        why: tuple[int, int, int] = (body[1], body[2], body[3])
        return f"A-ASSOCIATE-RJ, {WORDS.get(why, why)}"
    return {0: "closed", 0x02: "A-ASSOCIATE-AC", 0x07: "A-ABORT"}.get(kind, f"PDU {kind}")


def dropped(start: float) -> str:
    """Whether that was in time."""
    seconds = time.monotonic() - start
    return "dropped in time" if seconds < IN_TIME else f"dropped after {seconds:.0f} s"


def closed(sock: socket.socket) -> bool:
    """Whether the other side has closed."""
    sock.setblocking(False)
    try:
        return not sock.recv(1)
    except BlockingIOError:
        return False
    except OSError:
        return True


def user_identity(count: int) -> bytes:
    """User Identity sub-items (PS3.7 D.3.3.7.1) with fields of 60,000 bytes: a name that nobody will look up."""
    name = b"\1\0" + (60_000).to_bytes(2, "big") + b"x" * 60_000 + bytes(2)
    return b"".join(item(0x58, name) for _ in range(count))


def memory(pid: int) -> int:
    """Bytes of a process that are in memory."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * 4096


def threads(pid: int) -> int:
    """How many threads a process has."""
    return len(list(Path(f"/proc/{pid}/task").iterdir()))
