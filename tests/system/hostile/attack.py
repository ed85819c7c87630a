"""The whole run: how long the healthy study usually takes, then everything hostile beside it, then what came of it."""

from __future__ import annotations

import json
import os
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import select

from node.ledger.tables import EVENT
from tests.system.faults.accounts import Accounts, count
from tests.system.faults.house import uids
from tests.system.hostile import associations, data_sets, files, orders, pixels, series, work_items
from tests.system.hostile.healthy import Healthy
from tests.system.hostile.held import CONDITIONS
from tests.system.hostile.kind import Answer, Condition, Kind, Row
from tests.system.hostile.limited import Site, site
from tests.waiting import wait_until

KINDS: tuple[Kind, ...] = (
    *data_sets.KINDS, *associations.KINDS, *orders.KINDS, *work_items.KINDS, *pixels.KINDS, *series.KINDS, *files.KINDS,
)  # fmt: skip
TIMES = 2.0  # the healthy study's usual time, at most
BUSY = 2.0  # load average a core, above which other jobs of the machine decide how long anything takes
FLOOR = 4.0  # seconds: a usual time below it counts as this one, else the noise of a shared machine is measured
_OURS = "in our software"  # of a reason that no study may have


@dataclass
class Result:
    """What the run found."""

    usual: list[float] = field(default_factory=list)
    """Seconds of each healthy study before the attack, and after it."""
    beside: list[float] = field(default_factory=list)
    """And during it."""
    rows: list[Row] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    memory: str = ""
    load: float = 0.0
    """Load average a core before the attack, which makes its own."""

    @property
    def limit(self) -> float:
        """Seconds that the median of the healthy study may take during the attack."""
        return TIMES * max(statistics.median(self.usual), FLOOR)

    def all_faults(self) -> list[str]:
        """Sentences; empty where everything is as it must be."""
        faults = list(self.faults)
        if (beside := statistics.median(self.beside)) > self.limit and self.load <= BUSY:
            faults.append(f"the healthy study takes {beside:.1f} s, and must take at most {self.limit:.1f} s")
        return faults + [f"{row.name}: {fault}" for row in self.rows for fault in row.faults]


def attack(
    folder: Path, kinds: Sequence[Kind], brief: bool, patience: float, show: Callable[[Row], object] = lambda _row: None
) -> Result:
    """Run everything in a new folder; `show` is called with each row that is complete."""
    result = Result()
    with site(folder) as running:
        healthy = Healthy(running.house)
        studies = 2 if brief else 6
        result.usual, result.load = healthy.some(studies), _load()
        _beside(running, healthy, kinds, brief, patience, result)
        if running.house.node.process.poll() is not None:
            result.faults.append("the node ended")
        result.beside, healthy.seconds = healthy.seconds, []
        result.usual += healthy.some(studies)
        result.faults += _overtaken(running, healthy)
        result.faults += [*_wrongs(count(running.house, healthy.sent)), *_faults_of_log(running)]
        result.memory = f"resident {running.memory('VmHWM')} MiB, address space {running.memory('VmPeak')} MiB"
        _end_rows(running, result.rows, healthy)
        for row in result.rows:
            show(row)
    return result


def _beside(
    running: Site, healthy: Healthy, kinds: Iterable[Kind], brief: bool, patience: float, result: Result
) -> None:
    with ExitStack() as stack:
        conditions = [(one, stack.enter_context(one.hold(running, _inputs(one, brief)))) for one in CONDITIONS]
        healthy.start()
        stack.callback(healthy.end)
        result.rows += [_run(running, kind, _inputs(kind, brief)) for kind in kinds]
        result.rows += [_asked(one.name, answers) for one, answers in conditions]
        try:
            wait_until(lambda: not running.unfinished(), "", patience)
        except AssertionError:
            mine = uids(healthy.sent)
            states = running.studies()
            stuck = [f"{uid} is {states[uid][0]}" for uid in running.unfinished() if uid not in mine]
            result.faults += [f"endless: {one}" for one in stuck]


def _load() -> float:
    return os.getloadavg()[0] / (os.cpu_count() or 1)


def _overtaken(running: Site, healthy: Healthy) -> list[str]:
    """Healthy studies before which more than one other was analysed: the one that was under way, on one worker."""
    with closing(running.house.ledger()) as ledger, ledger.read() as connection:
        query = select(EVENT.c.study_instance_uid, EVENT.c.kind, EVENT.c.at)
        events = connection.execute(query.where(EVENT.c.kind.in_(("complete", "analysing"))).order_by(EVENT.c.id)).all()
    begins = {one.study_instance_uid: one.at for one in events if one.kind == "analysing"}
    complete = {one.study_instance_uid: one.at for one in events if one.kind == "complete"}
    found = []
    for uid in uids(healthy.sent) & begins.keys():
        before = sum(complete[uid] < at < begins[uid] for at in begins.values())
        if before > 1:
            found.append(f"healthy study {uid} waited while {before} others began")
    return found


def _inputs(one: Kind | Condition, brief: bool) -> int:
    return one.few if brief else one.many


def _run(running: Site, kind: Kind, most: int) -> Row:
    row, before, begin = Row(kind.name), set(running.studies()), time.monotonic()
    try:
        for answer in kind.run(running, most):
            _note(row, answer)
    except Exception as error:  # noqa: BLE001  # outermost: the other kinds are tried all the same
        row.faults.append(f"after {len(row.answers)} inputs: {type(error).__name__}: {error}")
    row.seconds = time.monotonic() - begin
    row.studies = dict.fromkeys(set(running.studies()) - before, ("", ""))
    return row


def _asked(name: str, answers: Callable[[], Iterable[Answer]]) -> Row:
    row = Row(name)
    try:
        for answer in answers():
            _note(row, answer)
    except AssertionError as error:
        row.faults.append(str(error))
    return row


def _note(row: Row, answer: Answer) -> None:
    row.answers.append(answer)
    if not answer.right:
        row.faults.append(f"{answer.name} was answered {answer.words}")


def _end_rows(running: Site, rows: Iterable[Row], healthy: Healthy) -> None:
    """What became of the studies; each that was not analysed has a reason, and none is a fault of ours."""
    states, mine = running.studies(), uids(healthy.sent)
    for row in rows:
        row.studies = {uid: states[uid] for uid in row.studies if uid not in mine}
        for uid, (state, reason) in row.studies.items():
            if (state != "analysed" and not reason) or _OURS in reason:
                row.faults.append(f"study {uid} is {state}: {reason or 'no reason'}")


def _wrongs(accounts: Accounts) -> list[str]:
    return [f"healthy study, {wrong}" for wrong in accounts.wrongs]


def _faults_of_log(running: Site) -> list[str]:
    """Exceptions that nobody expected, and workers that ended."""
    lines = [line for line in running.house.node.said.splitlines() if line.startswith("{")]
    entries = [json.loads(line) for line in lines]
    return [
        f"log: {entry['event']} {entry.get('exception', '')}"
        for entry in entries
        if "exception" in entry or entry["event"].startswith("worker ended")
    ]
