"""What an unknown peer can do: starts real nodes, tries everything that there is to try, and prints what came of it.

python -m tests.system.unknown_peer
"""

from __future__ import annotations

import os
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ports import free_port
from pydicom.uid import CTImageStorage, ImplicitVRLittleEndian
from pynetdicom.sop_class import UnifiedProcedureStepPull, UnifiedProcedureStepPush, Verification
from rich.console import Console
from rich.table import Table
from sqlalchemy import func, select

from node.dispatch.embedded_redis import embedded_redis
from node.entities import JobKind
from node.ledger.engine import Ledger, sqlite_url
from node.ledger.tables import JOB, METADATA
from node.settings import Tls
from tests.node.authority import Authority
from tests.node.pdus import associate_request, pdu
from tests.node.pdus import item as raw_item
from tests.system.stranger import ELSEWHERE, HOST, Stranger, memory, threads, user_identity, words

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 2  # limits.request_seconds of the nodes
MB = 1 << 20
GROWTH = 8 * MB  # bytes of memory that all tries together may cost when they are made again
LINES = 400  # of 3,000 tries: refusals have 60 a minute, and what the known peer does has its own
NOT_CALLING = "A-ASSOCIATE-RJ, calling AE title not recognized"
NOT_CALLED = "A-ASSOCIATE-RJ, called AE title not recognized"
NOT_VERSION = "A-ASSOCIATE-RJ, protocol version not supported"
NOT_IN_TIME = "dropped in time"
TOKEN = "a-token-that-nobody-guesses"

_COMMON = f"""
[limits]
request_seconds = {SECONDS}
connections = 16
[peers.known]
ae_title = "KNOWN"
host = "127.0.0.1"
addresses = ["127.0.0.1"]
send = ["images"]
worklist = ["read", "change"]
"""


@dataclass(frozen=True)
class Running:
    """A `readfirst node` and what it has."""

    process: subprocess.Popen[bytes]
    folder: Path
    port: int

    def state(self) -> dict[str, object]:
        """Files of instances and rows of the ledger but for audit messages; whatever a stranger does, it stays so."""
        data = self.folder / "var"
        files = sorted(str(path) for name in ("instances", "incoming", "results") for path in (data / name).rglob("*"))
        ledger = Ledger(sqlite_url(data))
        try:
            with ledger.read() as connection:
                tables = [table for table in METADATA.sorted_tables if not table.name.startswith("audit")]
                queries = [select(func.count()).select_from(table) for table in tables if table is not JOB]
                queries += [select(func.count()).where(JOB.c.kind != JobKind.AUDIT_MESSAGE)]
                rows = [connection.execute(query).scalar_one() for query in queries]
        finally:
            ledger.close()
        return {"files": files, "rows": rows, "runs": self.process.poll() is None}


@contextmanager
def running(folder: Path, toml: str, redis_url: str, of_known: str = "") -> Iterator[Running]:
    """Start a node and wait until it is ready."""
    folder.mkdir(parents=True)
    port, log = free_port(), folder / "node.log"
    head = f'[node]\nport = {port}\nhost = "{HOST}"\ndata = "{folder / "var"}"\nmin_free_mb = 0\n'
    (folder / "readfirst.toml").write_text(head + toml + _COMMON + of_known)
    command = [sys.executable, "-m", "node", "node", "--config", str(folder / "readfirst.toml")]
    environment = os.environ | {"READFIRST_QUEUE__URL": redis_url}
    with log.open("wb") as out, subprocess.Popen(command, stdout=out, stderr=out, cwd=ROOT, env=environment) as process:
        try:
            deadline = time.monotonic() + 60
            while b"readfirst: ready" not in log.read_bytes():
                if process.poll() is not None or time.monotonic() > deadline:
                    raise SystemExit(f"the node did not start:\n{log.read_text()}")
                time.sleep(0.05)
            yield Running(process, folder, port)
        finally:
            process.terminate()


@dataclass(frozen=True)
class Try:
    """Something that a stranger does, and the answer that it should get."""

    what: str
    act: Callable[[], str]
    expected: str


@dataclass(frozen=True)
class Row:
    """What came of a try; `effect` is empty where there was none."""

    what: str
    answer: str
    effect: str


def dicom_tries(stranger: Stranger, samples: Path) -> list[Try]:
    """At the DICOM port."""
    says = stranger.says
    many = [(CTImageStorage, [f"1.2.840.10008.1.2.4.{number}" for number in range(50, 95)])] * 128
    echo = [(Verification, (ImplicitVRLittleEndian,))]
    worklist = [(uid, (ImplicitVRLittleEndian,)) for uid in (UnifiedProcedureStepPull, UnifiedProcedureStepPush)]
    store = associate_request("STRANGER") + pdu(4, bytes(1000)) * 1000
    long = pdu(1, associate_request("KNOWN")[6:74] + raw_item(0x20, bytes(65_000)) * 16)

    def asks(calling: str, called: str = "READFIRST", **options: Any) -> Callable[[], str]:
        return lambda: says(associate_request(calling, called, **options))

    return [
        Try("C-ECHO", asks("STRANGER", contexts=echo), NOT_CALLING),
        Try("C-ECHO with DCMTK", lambda: stranger.dcmtk("echoscu"), NOT_CALLING),
        Try("C-STORE with DCMTK", lambda: stranger.dcmtk("storescu", str(samples)), NOT_CALLING),
        Try("C-STORE, 1 MB right behind the request", lambda: says(store), NOT_CALLING),
        Try("C-FIND, N-GET, N-SET, N-CREATE, N-ACTION", asks("STRANGER", contexts=worklist), NOT_CALLING),
        Try("no AE title", asks(""), NOT_CALLING),
        Try("our own AE title as its own", asks("READFIRST"), NOT_CALLING),
        Try("AE title with line breaks and terminal escapes", asks("A\n\x1b[2Jready"), NOT_CALLING),
        Try("AE title ../../etc", asks("../../../etc/x"), NOT_CALLING),
        Try("a known AE title, another called one", asks("KNOWN", "PACS"), NOT_CALLED),
        Try("a known AE title from another address", lambda: says(associate_request("KNOWN"), ELSEWHERE), NOT_CALLING),
        Try("protocol version 2", asks("KNOWN", version=2), NOT_VERSION),
        Try("128 contexts of 45 transfer syntaxes each", asks("STRANGER", contexts=many), NOT_CALLING),
        Try("user identity of 60 KB", asks("STRANGER", user=user_identity(1)), NOT_CALLING),
        Try("A-ASSOCIATE-RQ of 1 MB", lambda: says(long), "A-ABORT"),
        Try("A-ASSOCIATE-RQ of 4 GB", lambda: says(b"\1\0\xff\xff\xff\xff" + long), "A-ABORT"),
        Try("A-ASSOCIATE-RQ of 10 bytes", lambda: says(pdu(1, bytes(10))), "A-ABORT"),
        Try("P-DATA-TF before an association", lambda: says(pdu(4, b"\0\0\0\2\1\3")), "A-ABORT"),
        Try("A-RELEASE-RQ before an association", lambda: says(pdu(5, bytes(4))), "A-ABORT"),
        Try("a PDU that there is not", lambda: says(pdu(0xFE, bytes(100))), "A-ABORT"),
        Try("1 MB of noise", lambda: says(b"\xff" + os.urandom(MB)), "A-ABORT"),
        Try("HTTP at the DICOM port", lambda: says(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"), "A-ABORT"),
        Try("TLS at the DICOM port without TLS", lambda: says(b"\x16\3\1\2\0\1\0\1\xfc\3\3" + bytes(64)), "A-ABORT"),
        Try("a request byte by byte", lambda: stranger.trickles(associate_request("KNOWN")), NOT_IN_TIME),
        Try("silence", stranger.waits, NOT_IN_TIME),
        Try("300 silent connections", lambda: stranger.crowds(300), "16 stay, the known peer comes in"),
        Try("1,000 associations one after the other", lambda: stranger.repeats(1000), f"{NOT_CALLING}, 1000 times"),
    ]  # fmt: skip


def tls_tries(stranger: Stranger, ours: Authority, others: Authority) -> list[Try]:
    """At the DICOM port of a node with TLS, as the known peer, whose certificate is called "known"."""
    shakes, revoked = stranger.handshakes, ours.issue("revoked")
    ours.revoke(revoked)
    good, other, expired = ours.issue("known"), ours.issue("other"), ours.issue("late", days=-1)
    v1_2, unknown = ssl.TLSVersion.TLSv1_2, associate_request("STRANGER")
    return [
        Try("no TLS", stranger.plain_to_tls, "TLS refused"),
        Try("no certificate", lambda: shakes(None), "TLS refused"),
        Try("a certificate of another authority", lambda: shakes(others.issue("known")), "TLS refused"),
        Try("a certificate that is over", lambda: shakes(expired), "TLS refused"),
        Try("a certificate that was revoked", lambda: shakes(revoked), "TLS refused"),
        Try("a good certificate of another peer", lambda: shakes(other), NOT_CALLING),
        Try("a good certificate, an unknown AE title", lambda: shakes(good, unknown), NOT_CALLING),
        Try("TLS 1.0", lambda: shakes(good, b"", ssl.TLSVersion.TLSv1, "ALL:@SECLEVEL=0"), "TLS refused"),
        Try("TLS 1.1", lambda: shakes(good, b"", ssl.TLSVersion.TLSv1_1, "ALL:@SECLEVEL=0"), "TLS refused"),
        Try("a cipher suite without forward secrecy", lambda: shakes(good, b"", v1_2, "AES256-SHA256"), "TLS refused"),
        Try("a cipher suite that encrypts nothing", lambda: shakes(good, b"", v1_2, "NULL:@SECLEVEL=0"), "TLS refused"),
        Try("a handshake that never begins", lambda: stranger.waits(tls=True), NOT_IN_TIME),
    ]  # fmt: skip


def web_tries(stranger: Stranger) -> list[Try]:
    """At the page's port and that of the orders, without the token."""
    browses, item = stranger.browses, "/dicomweb/workitems/1.2.3"
    ours, evil = f"http://{HOST}:{stranger.web}", "http://evil.example"
    retry = "/status/retry/1.2.3"
    return [
        *(Try(f"GET {path}", lambda path=path: browses("GET", path), "303 to /login") for path in (
            "/", "/study/1.2.3", "/picture/1", "/status", "/feedback.csv", "/docs", "/../../etc/passwd",
        )),
        Try("GET /metrics", lambda: browses("GET", "/metrics"), "401"),
        Try("GET /static/../../settings.py", lambda: browses("GET", "/static/../../settings.py"), "404"),
        Try("GET /static/%2e%2e/%2e%2e/cli.py", lambda: browses("GET", "/static/%2e%2e/%2e%2e/cli.py"), "404"),
        Try("GET /events", lambda: browses("GET", "/events"), "401"),
        Try("POST /lines", lambda: browses("POST", "/lines", b"q=a", Origin=ours), "303 to /login"),
        Try(f"POST {retry} from another site", lambda: browses("POST", retry, Origin=evil), "403"),
        Try("the page under another name (DNS rebinding)", lambda: browses("GET", "/", host="evil.example"), "421"),
        Try("UPS-RS: search", lambda: browses("GET", "/dicomweb/workitems"), "401"),
        Try("UPS-RS: retrieve", lambda: browses("GET", item), "401"),
        Try("UPS-RS: create", lambda: browses("POST", "/dicomweb/workitems?1.2.3", b"[{}]"), "401"),
        Try("UPS-RS: create, 20 MB", lambda: browses("POST", "/dicomweb/workitems?1.2.3", bytes(20 * MB)), "401"),
        Try("UPS-RS: change state", lambda: browses("PUT", f"{item}/state", b"[{}]"), "401"),
        Try("UPS-RS: subscribe", lambda: browses("POST", f"{item}/subscribers/KNOWN"), "401"),
        Try("UPS-RS: WebSocket of a known peer", stranger.opens_socket, "403"),
        Try("a header of 1 MB", lambda: refused(browses("GET", "/", Cookie="x" * MB)), "refused"),
        Try("600 silent connections to the page", lambda: stranger.crowds_page(600), "303 to /login"),
        Try("20 wrong tokens", lambda: stranger.guesses(20), "401, then 429"),
        Try("an HL7 order from an address that may not", lambda: stranger.orders_stat(ELSEWHERE), "closed"),
    ]  # fmt: skip


def refused(answered: str) -> str:
    """One word for an answer that may be lost where the connection is closed on somebody who is still talking."""
    return "refused" if answered in ("400", "431", "closed") else answered


def tried(node: Running, known: Callable[[], str], tries: Sequence[Try]) -> Iterator[Row]:
    """Each in turn; whether anything is another than before, and the known peer comes in all the same."""
    before = node.state()
    for one in tries:
        answered = one.act()
        after = node.state()
        effects = {
            "files, ledger or process changed": after != before,
            "the known peer is kept out": known() != words(2, b""),
            f"expected was: {one.expected}": answered != one.expected,
        }
        before = after
        yield Row(one.what, answered, ", ".join(effect for effect, there in effects.items() if there))


def rows() -> Iterator[Row]:
    """Everything that was tried, and at the end what is left of it in the nodes' memory."""
    sample = next((ROOT / "deploy" / "samples").rglob("*.dcm"))
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        redis = stack.enter_context(embedded_redis(folder / "redis"))
        ours, others = Authority(folder / "ours"), Authority(folder / "theirs")
        web, orders = free_port(), free_port()
        listening = f'[worklist.orders]\nport = {orders}\nallow = ["{HOST}"]\n'
        plain = f'[web]\nport = {web}\ntoken = "{TOKEN}"\n{listening}'
        node = stack.enter_context(running(folder / "plain", plain, redis.url))
        secure = stack.enter_context(
            running(folder / "secure", with_tls(ours.issue(rsa=True)), redis.url, 'certificate = "known"')
        )
        stranger = Stranger(node.port, secure.port, web, orders)
        good = ours.issue("known")

        def known() -> str:
            return stranger.says(associate_request("KNOWN"))

        everything = [*dicom_tries(stranger, sample), *web_tries(stranger)]
        yield from tried(node, known, everything)
        yield from tried(secure, lambda: stranger.handshakes(good), tls_tries(stranger, ours, others))
        yield once_more(node, everything)


def once_more(node: Running, everything: Sequence[Try]) -> Row:
    """What is loaded and cached at the first time is there now: whatever still grows, strangers make it grow."""
    memory_before, threads_before = memory(node.process.pid), threads(node.process.pid)
    for one in everything:
        one.act()
    time.sleep(SECONDS + 1)
    grown, more = memory(node.process.pid) - memory_before, threads(node.process.pid) - threads_before
    lines = (node.folder / "node.log").read_bytes().count(b"\n")
    effects = {"the node grows": grown > GROWTH or more > 0, "the log grows": lines > LINES}
    effect = ", ".join(one for one, there in effects.items() if there)
    answered = f"memory {grown / MB:+.1f} MB, threads {more:+d}, {lines} lines in the log"
    return Row("all of it once more at the node without TLS", answered, effect)


def with_tls(tls: Tls) -> str:
    """`[node]` goes on with TLS, and the known peer shows a certificate with its name."""
    files = ", ".join(f'{name} = "{path}"' for name, path in tls.model_dump().items())
    return f"tls = {{ {files} }}\n[web]\nport = 0\n"


def main() -> int:
    """Print the table; 1 where anything had an effect."""
    table, found = Table("try", "answer", "effect"), list[Row]()
    for row in rows():
        found.append(row)
        table.add_row(row.what, row.answer, row.effect or "none")
    Console(width=None if sys.stdout.isatty() else 150).print(table)
    bad = [row for row in found if row.effect]
    print(f"unknown peer: {len(found) - 1} tries, {len(bad)} with an effect")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
