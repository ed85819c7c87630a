"""The node in a memory limit, with all the addresses that hostile peers call, and what it calls itself."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from ports import free_port
from sqlalchemy import select

from models import packages
from models.cardfile import card_text
from node.entities import JobState, StudyState
from node.ledger.tables import STUDY
from node.processes import die_with_parent
from node.sending.deliveries import DELIVERY
from node.settings import Peer
from tests.node.slow_peers import crawls, dribbles, hanging, keeps_the_release, never_answers
from tests.system.faults.house import House
from tests.system.faults.sender import Sender
from tests.system.faults.studies import PACKAGE
from tests.viewer import bright

ADDRESS_SPACE = 768 << 20  # bytes of the node's process; workers hold torch, which needs more
HEALTHY, HOSTILE, OTHER = "SCANNER", "MODALITY", "MOD"  # AE titles; the third is that of ../shared/cases/field
SLOW = (crawls, never_answers, keeps_the_release, dribbles)
_STACK = 1 << 20  # bytes of a thread's
_ARENAS = {"MALLOC_ARENA_MAX": "2"}  # else each thread reserves addresses of 64 MiB and more that it never uses
_ENDED = {StudyState.ANALYSED, StudyState.NOT_ANALYSED, StudyState.FAILED}


@dataclass(frozen=True)
class Site:
    """A house and the node's other ports."""

    house: House
    web: int
    orders: int
    slow: tuple[Peer, ...]
    folder: Path
    """Where inputs are written."""

    @property
    def pid(self) -> int:
        """Of the node."""
        return self.house.node.process.pid

    def studies(self) -> dict[str, tuple[str, str]]:
        """State and reason of all that the node knows, by Study Instance UID."""
        with closing(self.house.ledger()) as ledger, ledger.read() as connection:
            rows = connection.execute(select(STUDY.c.study_instance_uid, STUDY.c.state, STUDY.c.reason))
            return {row.study_instance_uid: (row.state, row.reason) for row in rows}

    def unfinished(self) -> list[str]:
        """Study Instance UIDs of those that did not end yet."""
        return [uid for uid, (state, _) in self.studies().items() if state not in _ENDED]

    def undelivered(self, peer: str) -> list[str]:
        """Why objects wait for a peer."""
        with closing(self.house.ledger()) as ledger, ledger.read() as connection:
            waiting = select(DELIVERY.c.last_error).where(DELIVERY.c.peer == peer, DELIVERY.c.state == JobState.PENDING)
            return list(connection.execute(waiting).scalars())

    def memory(self, key: str) -> int:
        """MiB of the node by their name in /proc: VmPeak, VmHWM."""
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return int(next(line.split()[1] for line in lines if line.startswith(f"{key}:"))) >> 10


@contextmanager
def site(folder: Path) -> Iterator[Site]:
    """Start it; from its readiness on the node's process has no more than `ADDRESS_SPACE`."""
    web, orders = free_port(), free_port()
    with ExitStack() as stack:
        slow = tuple(stack.enter_context(hanging(behaviour)) for behaviour in SLOW)
        house = House(folder, tables=_tables(web, orders, slow), before=_small_stacks, environment=_ARENAS)
        house.sender = Sender(house.port, HEALTHY)
        _write_package(folder / "models")
        (folder / "inputs").mkdir()
        stack.enter_context(house)
        found = Site(house, web, orders, slow, folder / "inputs")
        resource.prlimit(found.pid, resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
        yield found


def _tables(web: int, orders: int, slow: tuple[Peer, ...]) -> dict[str, dict[str, object]]:
    pushes = {"host": '"127.0.0.1"', "send": '["images"]'}
    tables: dict[str, dict[str, object]] = {
        "web": {"port": web},
        "worklist.orders": {"port": orders, "allow": '["127.0.0.1"]'},
        "models": {"packages": f'["{PACKAGE}", "{bright.NAME}"]'},
        "peers.scanner": {"ae_title": f'"{HEALTHY}"'},
        "peers.hostile": pushes | {"ae_title": f'"{HOSTILE}"', "worklist": '["read", "change"]'},
        "peers.other": pushes | {"ae_title": f'"{OTHER}"'},
    }
    for number, peer in enumerate(slow):
        receives = {"ae_title": f'"{peer.ae_title}{number}"', "host": f'"{peer.host}"', "port": peer.port}
        tables[f"peers.slow{number}"] = receives | {"receive": '["results"]'}
    return tables


def _small_stacks() -> None:
    die_with_parent()
    _, hard = resource.getrlimit(resource.RLIMIT_STACK)
    resource.setrlimit(resource.RLIMIT_STACK, (_STACK, hard))


def _write_package(parent: Path) -> None:
    """A network that takes what is no chest, too, with a smaller input, so that it reads one in a moment."""
    folder = bright.write_package(parent)
    card = packages.load_card(folder)
    coarse = card.input.model_copy(update={"size": (96, 96), "smallest_rows_columns": (16, 16)})
    (folder / packages.CARD).write_text(card_text(card.model_copy(update={"input": coarse})), encoding="utf-8")
