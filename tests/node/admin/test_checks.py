"""`readfirst check` against a real peer that does what each test says: one line a fact, one FAIL a fault."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from ipaddress import ip_network
from pathlib import Path

import pytest
from ports import free_port
from pydicom import Dataset
from pydicom.uid import Comprehensive3DSRStorage, ComprehensiveSRStorage, SegmentationStorage
from pynetdicom import AE, evt
from pynetdicom.sop_class import (
    StudyRootQueryRetrieveInformationModelFind,
    UnifiedProcedureStepPull,
    UnifiedProcedureStepPush,
    Verification,
)

from node.admin import checks
from node.admin.checks import Line, run_checks
from node.dicom.contexts import COMMITMENT_SOP_CLASSES, RESULT_SOP_CLASSES
from node.dispatch.embedded_redis import EmbeddedRedis
from node.errors import ConfigurationError
from node.ledger import workers
from node.ledger.engine import open_ledger
from node.sending import circuits
from node.settings import (
    Audit,
    Database,
    Models,
    Node,
    Peer,
    Queue,
    Repository,
    Results,
    Settings,
    Web,
    WebTls,
    Worklist,
)
from tests.node.authority import Authority
from tests.node.conftest import House

FIND = StudyRootQueryRetrieveInformationModelFind
ALL = (*RESULT_SOP_CLASSES, FIND)
refusal_is_meant = pytest.mark.filterwarnings(  # pynetdicom does not close the socket of a refused connection
    "ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning"
)


@dataclass(frozen=True)
class Pacs:
    """What a peer accepts and answers."""

    accepts: tuple[str, ...] = ALL
    echo: int = 0x0000
    find: int = 0x0000
    lets_in: tuple[str, ...] = ("READFIRST",)

    def on_find(self, _event: evt.Event) -> Iterator[tuple[int, Dataset | None]]:
        yield self.find, None


Start = Callable[[Pacs], Peer]


@pytest.fixture
def start() -> Iterator[Start]:
    """Start such a peer; it tells how we would call it."""
    with ExitStack() as stack:

        def start(pacs: Pacs) -> Peer:
            ae = AE("PACS")
            ae.require_called_aet = True
            ae.require_calling_aet = list(pacs.lets_in)
            for uid in (Verification, *pacs.accepts):
                ae.add_supported_context(uid)
            handlers = [(evt.EVT_C_ECHO, lambda _event: pacs.echo), (evt.EVT_C_FIND, pacs.on_find)]
            server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
            stack.callback(ae.shutdown)
            port = server.server_address[1]
            return Peer(ae_title="PACS", host="127.0.0.1", port=port, receive=("results",), query=True)

        yield start


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Of a node where all is well but that it has no peers."""
    node = Node(port=free_port(), data=tmp_path / "data", min_free_mb=0)
    return Settings(node=node, models=Models(packages=("chest-ct",), device="cpu"))


def check(settings: Settings, **peers: Peer) -> list[Line]:
    given = settings.model_copy(update={"peers": peers}) if peers else settings
    return run_checks(lambda: given)


def the_failure(lines: list[Line]) -> Line:
    (line,) = [line for line in lines if not line.ok]
    return line


def test_where_all_is_well_every_line_is_ok(settings: Settings, start: Start) -> None:
    lines = check(settings, pacs=start(Pacs()))
    assert [line for line in lines if not line.ok] == []
    assert [line.what for line in lines] == [
        "configuration", "disk", "database", "queue", "address", "audit file", *["peer pacs"] * 7, "model chest-ct",
        "pixel decoder", "device",
    ]  # fmt: skip
    said = [line.detail for line in lines if line.what == "peer pacs"]
    assert said[0].endswith("answers C-ECHO")
    assert said[1:] == [
        "accepts Study Root Query/Retrieve Information Model - FIND (query)",
        "answers C-FIND",
        "does not accept storage commitment: a query shows what it has",
        "accepts Segmentation Storage (segmentation)",
        "accepts Comprehensive 3D SR Storage (regions)",
        "accepts Comprehensive 3D SR Storage (statement)",
    ]


def test_a_peer_that_commits_is_said(settings: Settings, start: Start) -> None:
    lines = check(settings, pacs=start(Pacs(accepts=(*ALL, *COMMITMENT_SOP_CLASSES))))
    assert "accepts storage commitment" in [line.detail for line in lines]


def test_a_data_folder_that_others_may_enter_is_said(settings: Settings) -> None:
    settings.node.data.mkdir(mode=0o755)
    settings.node.data.chmod(0o755)
    (line,) = [line for line in check(settings) if line.warning]
    assert (line.what, "open to others" in line.detail) == ("disk", True)


def test_an_audit_repository_that_is_down_is_one_failure(settings: Settings, start: Start, tmp_path: Path) -> None:
    table = Repository(host="127.0.0.1", port=free_port(), tls=Authority(tmp_path / "ours").issue(), timeout=1.0)
    audit = Audit(sinks=("syslog",), syslog=table)
    line = the_failure(check(settings.model_copy(update={"audit": audit}), pacs=start(Pacs())))
    assert (line.what, "did not take audit messages" in line.detail) == ("audit syslog", True)


def test_a_peer_is_asked_only_for_what_it_is_there_for(settings: Settings, start: Start) -> None:
    archive = start(Pacs()).model_copy(update={"receive": ()})
    store = start(Pacs(accepts=RESULT_SOP_CLASSES)).model_copy(update={"query": False})
    modality = Peer(ae_title="CT", host="127.0.0.1", port=free_port(), send=("images",))  # nobody listens there
    lines = check(settings, archive=archive, store=store, modality=modality)
    assert [line for line in lines if not line.ok] == []
    assert [line.detail for line in lines if line.what == "peer modality"] == [
        f"CT@127.0.0.1:{modality.port} only sends to us; it is not called"
    ]
    assert not [line for line in lines if line.what == "peer archive" and "results" in line.detail]
    assert not [line for line in lines if line.what == "peer store" and "C-FIND" in line.detail]


@refusal_is_meant
def test_a_peer_that_is_down_is_one_failure(settings: Settings) -> None:
    port = free_port()
    peer = Peer(ae_title="PACS", host="127.0.0.1", port=port, receive=("results",), query=True)
    line = the_failure(check(settings, pacs=peer))
    assert line.what == "peer pacs"
    assert line.detail == f"PACS@127.0.0.1:{port} cannot be reached: is it running, are host, port and firewall right?"


def test_a_peer_that_does_not_know_us_is_one_failure(settings: Settings, start: Start) -> None:
    line = the_failure(check(settings, pacs=start(Pacs(lets_in=("SOMEBODY",)))))
    assert line.what == "peer pacs"
    assert "rejected the association of READFIRST" in line.detail
    assert "calling ae title not recogni" in line.detail.lower()


def test_a_peer_that_is_called_by_a_wrong_name_is_one_failure(settings: Settings, start: Start) -> None:
    line = the_failure(check(settings, pacs=start(Pacs()).model_copy(update={"ae_title": "PACZ"})))
    assert line.what == "peer pacs"
    assert line.detail.startswith("PACZ@127.0.0.1:")
    assert "called ae title not recogni" in line.detail.lower()


def test_a_peer_that_fails_c_echo_is_one_failure(settings: Settings, start: Start) -> None:
    line = the_failure(check(settings, pacs=start(Pacs(echo=0x0110))))
    assert (line.what, line.detail) == ("peer pacs", "PACS answered C-ECHO with status 0x0110")


@pytest.mark.parametrize(
    ("missing", "said"),
    [
        (
            (SegmentationStorage,),
            "does not accept Segmentation Storage (segmentation): "
            "gets Secondary Capture Image Storage (capture) instead",
        ),
        (
            (Comprehensive3DSRStorage,),
            "does not accept Comprehensive 3D SR Storage (regions): gets Comprehensive SR Storage (regions-2d) instead",
        ),
        (
            (Comprehensive3DSRStorage, ComprehensiveSRStorage),
            "does not accept Comprehensive 3D SR Storage (statement): gets Basic Text SR Storage (report-text) instead",
        ),
    ],
    ids=["segmentation", "report", "any report"],
)
def test_what_stands_in_for_a_sop_class_that_is_not_accepted_is_said(
    settings: Settings, start: Start, missing: tuple[str, ...], said: str
) -> None:
    accepts = tuple(uid for uid in ALL if uid not in missing)
    lines = check(settings, pacs=start(Pacs(accepts)))
    assert [line for line in lines if not line.ok] == []
    details = [line.detail for line in lines if line.what == "peer pacs"]
    assert said in details
    names = ", ".join(uid.name for uid in RESULT_SOP_CLASSES if uid in missing)
    assert f"takes {9 - len(missing)} of our 9 SOP classes, not {names}" in details


def test_a_query_class_that_is_not_accepted_is_one_failure(settings: Settings, start: Start) -> None:
    line = the_failure(check(settings, pacs=start(Pacs(RESULT_SOP_CLASSES))))
    said = "does NOT accept Study Root Query/Retrieve Information Model - FIND (query)"
    assert (line.what, line.detail) == ("peer pacs", said)


def test_a_peer_that_takes_neither_a_class_nor_what_could_stand_in_fails(settings: Settings, start: Start) -> None:
    peer = start(Pacs((Comprehensive3DSRStorage, FIND)))
    line = the_failure(check(settings, pacs=peer))
    assert line.detail == ("does NOT accept Segmentation Storage (segmentation), nor a fallback of it: it will wait")
    no_fallback = settings.model_copy(update={"results": Results(fallback=False)})
    other = start(Pacs(tuple(uid for uid in ALL if uid != SegmentationStorage)))
    assert the_failure(check(no_fallback, pacs=other)).detail == line.detail


def test_a_language_that_no_font_draws_is_one_failure(settings: Settings, start: Start, tmp_path: Path) -> None:
    (tmp_path / "font.ttf").write_text("no font")
    for results, said in (
        (Results(language="zh"), "DejaVu Sans draws no Chinese"),
        (Results(font=tmp_path / "font.ttf"), "cannot be read as a font"),
    ):
        line = the_failure(check(settings.model_copy(update={"results": results}), pacs=start(Pacs())))
        assert line.what == "language"
        assert said in line.detail


def test_a_peer_that_does_not_let_us_query_is_one_failure(settings: Settings, start: Start) -> None:
    line = the_failure(check(settings, pacs=start(Pacs(find=0x0124))))
    assert line.what == "peer pacs"
    assert line.detail.startswith("PACS answered C-FIND with status 0x0124")
    assert "allow READFIRST to query there, or set query = false" in line.detail


@refusal_is_meant
def test_one_bad_peer_does_not_hide_another(settings: Settings, start: Start) -> None:
    down = Peer(ae_title="PACS", host="127.0.0.1", port=free_port(), receive=("results",))
    lines = check(settings, first=down, second=start(Pacs(find=0x0124)), third=start(Pacs()))
    assert [line.what for line in lines if not line.ok] == ["peer first", "peer second"]
    assert len([line for line in lines if line.what == "peer third" and line.ok]) == 7


def test_a_node_without_peers_fails(settings: Settings) -> None:
    assert the_failure(check(settings)).what == "peers"


def test_a_folder_is_a_peer(settings: Settings, tmp_path: Path) -> None:
    lines = check(settings, out=Peer(folder=tmp_path / "new" / "out", receive=("results",)))
    assert [line for line in lines if not line.ok] == []
    assert Line(True, "peer out", f"folder {tmp_path / 'new' / 'out'} can be written") in lines
    assert list((tmp_path / "new" / "out").iterdir()) == []


def test_a_folder_that_cannot_be_written_is_one_failure(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    folder = tmp_path / "file" / "out"  # nobody can write there, root neither
    line = the_failure(check(settings, out=Peer(folder=folder, receive=("results",))))
    assert (line.what, line.detail) == ("peer out", f"folder {folder} cannot be written")


def test_a_data_folder_that_cannot_be_written_fails(settings: Settings, start: Start, tmp_path: Path) -> None:
    (tmp_path / "data").write_text("no folder")
    lines = check(settings, pacs=start(Pacs()))
    failed = {line.what: line.detail for line in lines if not line.ok}
    assert list(failed) == ["disk", "database"]  # the ledger lies there, too
    assert failed["disk"] == f"{tmp_path / 'data'} cannot be written: File exists"
    assert "node.data" in failed["database"]


def test_a_full_disk_is_one_failure(settings: Settings, start: Start) -> None:
    greedy = settings.model_copy(update={"node": settings.node.model_copy(update={"min_free_mb": 1 << 40})})
    line = the_failure(check(greedy, pacs=start(Pacs())))
    assert line.what == "disk"
    assert f"instances are refused under {1 << 40} MiB" in line.detail


def test_the_check_leaves_nothing_in_the_data_folder_but_the_ledger(settings: Settings, start: Start) -> None:
    check(settings, pacs=start(Pacs()))
    assert {path.name.partition("-")[0] for path in settings.node.data.iterdir()} == {"ledger.sqlite"}


def test_a_database_that_cannot_be_used_is_one_failure(settings: Settings, start: Start, tmp_path: Path) -> None:
    wrong = settings.model_copy(update={"database": Database(url=f"sqlite:///{tmp_path}/none/ledger.sqlite")})
    line = the_failure(check(wrong, pacs=start(Pacs())))
    assert line.what == "database"
    assert "cannot be used" in line.detail


def test_a_redis_of_ones_own_is_tried(settings: Settings, start: Start, redis_server: EmbeddedRedis) -> None:
    named = settings.model_copy(update={"queue": Queue(url=redis_server.url)})
    lines = check(named, pacs=start(Pacs()))
    assert [line for line in lines if not line.ok] == []
    (queue,) = [line for line in lines if line.what == "queue"]
    assert queue.detail.startswith("Redis ")
    redis_server.stop()
    line = the_failure(check(named, pacs=start(Pacs())))
    assert line.what == "queue"
    assert line.detail.startswith("queue.url cannot be used: ")


def test_a_broken_model_is_one_failure(settings: Settings, start: Start) -> None:
    broken = settings.node.data / "models" / "broken"
    broken.mkdir(parents=True)
    (broken / "card.toml").write_text("name = ")
    named = settings.model_copy(update={"models": Models(packages=("chest-ct", "broken"), device="cpu")})
    line = the_failure(check(named, pacs=start(Pacs())))
    assert line.what == "model broken"
    assert f"{broken / 'card.toml'} cannot be read as TOML" in line.detail


def test_a_missing_model_is_one_failure(settings: Settings, start: Start) -> None:
    named = settings.model_copy(update={"models": Models(packages=("nope",), device="cpu")})
    line = the_failure(check(named, pacs=start(Pacs())))
    assert line.what == "model nope"
    assert "there are: chest-ct, chest-ct-findings, " in line.detail


@refusal_is_meant
def test_an_address_that_another_program_has_is_one_failure(settings: Settings, start: Start) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", settings.node.port))
        line = the_failure(check(settings, pacs=start(Pacs())))
    assert line.what == "address"
    assert f"READFIRST@127.0.0.1:{settings.node.port}" in line.detail


def test_a_node_that_runs_already_is_no_failure(
    listen: Callable[[Settings], House], settings: Settings, start: Start
) -> None:
    running = settings.model_copy(update={"peers": {"pacs": start(Pacs())}})
    listen(running)
    assert [line for line in check(running) if not line.ok] == []


def test_wrong_settings_are_the_only_line() -> None:
    def wrong() -> Settings:
        raise ConfigurationError("readfirst.toml: unknown key node.prot")

    assert run_checks(wrong) == [Line(False, "configuration", "readfirst.toml: unknown key node.prot")]


def sinks(settings: Settings, **tables: object) -> dict[str, Line]:
    """The lines about worklist sinks and orders."""
    given = settings.model_copy(update={"worklist": Worklist.model_validate(tables)})
    return {line.what: line for line in run_checks(lambda: given) if line.what.startswith(("sink", "work", "orders"))}


def test_each_sink_is_tried(settings: Settings, start: Start) -> None:
    ris = start(Pacs((UnifiedProcedureStepPull, UnifiedProcedureStepPush)))
    settings = settings.model_copy(update={"peers": {"ris": ris}})
    with socket.create_server(("127.0.0.1", 0)) as engine:
        port = engine.getsockname()[1]
        tables = {
            "ups": {"peer": "ris"},
            "hl7": {"host": "127.0.0.1", "port": port},
            "webhook": {"url": f"http://127.0.0.1:{port}/Task?secret=1"},
            "orders": {"port": free_port()},
        }
        lines = sinks(settings, sinks=["ups", "hl7", "webhook"], **tables)
    assert [line.ok for line in lines.values()] == [True] * 4
    assert list(lines) == ["sink ups", "sink hl7", "sink webhook", "orders"]
    assert lines["sink webhook"].detail == f"http://127.0.0.1:{port}/Task accepts connections"


@refusal_is_meant
def test_each_sink_that_cannot_be_told_is_a_failure(settings: Settings, start: Start) -> None:
    settings = settings.model_copy(update={"peers": {"ris": start(Pacs((UnifiedProcedureStepPull,)))}})
    nobody = free_port()
    with socket.create_server(("127.0.0.1", 0)) as other:
        tables = {
            "ups": {"peer": "ris"},
            "hl7": {"host": "127.0.0.1", "port": nobody},
            "webhook": {"url": f"http://127.0.0.1:{nobody}/"},
            "orders": {"port": other.getsockname()[1]},
        }
        lines = sinks(settings, sinks=["ups", "hl7", "webhook"], **tables)
    assert [line.ok for line in lines.values()] == [False] * 4
    assert "does NOT accept Unified Procedure Step - Push" in lines["sink ups"].detail
    assert "cannot be reached" in lines["sink hl7"].detail
    assert "another program listens there" in lines["orders"].detail


def test_a_template_that_cannot_be_used_is_a_failure(settings: Settings, tmp_path: Path) -> None:
    file = tmp_path / "site.hl7"
    file.write_text("MSH\n    10 {{ control_it }}\n")
    lines = sinks(settings, sinks=["hl7"], hl7={"host": "h", "template": file})
    assert list(lines) == ["worklist sinks"]
    assert "'control_it' is undefined" in lines["worklist sinks"].detail


def test_a_page_without_tls_is_said_and_is_no_failure(settings: Settings, start: Start) -> None:
    def page(**keys: object) -> list[Line]:
        web = Web.model_validate({"token": "a token of many letters", **keys})
        return [line for line in check(settings.model_copy(update={"web": web})) if line.what == "page"]

    assert page() == []
    (line,) = page(host="0.0.0.0")
    assert line.ok
    assert "without TLS" in line.detail
    assert "web.tls" in line.detail


@refusal_is_meant
def test_a_port_of_the_page_that_is_taken_is_a_failure(settings: Settings) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        web = Web(port=taken.getsockname()[1])
        lines = check(settings.model_copy(update={"web": web}))
    assert [line.ok for line in lines if line.what == "page"] == [False]
    assert [line for line in check(settings.model_copy(update={"web": web})) if line.what == "page"] == []


@pytest.mark.parametrize(
    ("days", "good", "warning", "said"),
    [(400, True, False, "good for more than 30 days"), (9, True, True, "in 9 days"), (-1, False, False, "ended on")],
)
def test_how_long_a_certificate_is_good_is_said(
    settings: Settings, start: Start, tmp_path: Path, *, days: int, good: bool, warning: bool, said: str
) -> None:
    tls = Authority(tmp_path / "ca").issue(days=days)
    lines = check(
        settings.model_copy(update={"node": settings.node.model_copy(update={"tls": tls})}), pacs=start(Pacs())
    )
    (line,) = [line for line in lines if line.what == "tls"]
    assert (line.ok, line.warning, said in line.detail) == (good, warning, True)
    tls.key.unlink()
    lines = check(settings.model_copy(update={"node": settings.node.model_copy(update={"tls": tls})}))
    assert [(line.ok, line.detail) for line in lines if line.what == "tls"] == [
        (False, f"node.tls.key: there is no file {tls.key}")
    ]


def test_a_certificate_of_the_page_that_cannot_be_used_is_one_failure(settings: Settings, tmp_path: Path) -> None:
    tls = Authority(tmp_path / "ca").issue()
    tls.key.write_text("none")
    web = Web(tls=WebTls(certificate=tls.certificate, key=tls.key))
    (line,) = [line for line in check(settings.model_copy(update={"web": web})) if line.what == "tls"]
    assert not line.ok
    assert line.detail.startswith("web.tls: a file of certificate, key cannot be used: ")


def test_a_peer_whose_ae_title_is_all_that_it_must_know_is_said_where_others_reach_us(
    settings: Settings, start: Start
) -> None:
    peer = start(Pacs())
    near = peer.model_copy(update={"addresses": (ip_network("127.0.0.1"),)})
    assert not [line for line in check(settings, peer=peer) if line.warning]
    public = settings.model_copy(update={"node": settings.node.model_copy(update={"host": "0.0.0.0"})})
    (line,) = [line for line in check(public, peer=peer, near=near) if line.warning]
    assert (line.ok, line.what) == (True, "peer peer")
    assert "whoever calls itself PACS is accepted, from every address: give addresses" in line.detail


def test_a_node_that_runs_already_is_known_though_its_peers_call_from_elsewhere(
    listen: Callable[[Settings], House], settings: Settings
) -> None:
    far = Peer(ae_title="FAR", host="127.0.0.1", send=("images",), addresses=(ip_network("10.0.0.0/8"),))
    given = settings.model_copy(update={"peers": {"far": far}})
    given.node.data.mkdir()
    listen(given)
    assert [line.ok for line in check(given) if line.what == "address"] == [True]


def test_what_the_workers_of_a_running_node_say_and_who_fails_again_and_again_is_a_line(settings: Settings) -> None:
    now = time.time()
    with closing(open_ledger(settings)) as ledger, ledger.write() as connection:
        workers.beat(connection, "here:1", now, ready=True, reason="it runs on the CPU")
        workers.beat(connection, "here:2", now, ready=False, reason="no GPU")
        for uid in ("1.1", "1.2", "1.3"):
            circuits.record_failure(connection, "pacs", uid, "it does not answer", now)
    lines = run_checks(lambda: settings)
    assert [line for line in lines if line.what.startswith("worker ")] == [
        Line(True, "worker here:1", "ready: it runs on the CPU", warning=True),
        Line(False, "worker here:2", "not ready: no GPU"),
    ]
    what = "failed 3 times in a row and is only probed; 0 objects waiting: it does not answer"
    assert Line(False, "peer pacs", what) in lines


def test_a_warning_is_marked_as_one_and_no_failure(
    settings: Settings, start: Start, capsys: pytest.CaptureFixture[str]
) -> None:
    public = settings.model_copy(update={"node": settings.node.model_copy(update={"host": "0.0.0.0"})})
    found = check(public, pacs=start(Pacs()))
    assert checks.show(found, as_json=False)
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if not line.startswith(("ok   ", "warn "))] == []
    (line,) = [line for line in lines if line.startswith("warn ")]
    assert line.startswith("warn peer pacs: whoever calls itself PACS is accepted")
    assert lines[0].startswith("ok   configuration: 1 peer; data in ")
    assert checks.show(found, as_json=True)
    assert [one["what"] for one in json.loads(capsys.readouterr().out) if one["warning"]] == ["peer pacs"]
