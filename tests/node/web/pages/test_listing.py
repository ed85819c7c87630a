from __future__ import annotations

import time
from pathlib import Path

import pytest
from sqlalchemy import select

from node.ledger.engine import Ledger
from node.ledger.tables import WORK_ITEM
from node.web.pages.listing import Filter, find
from node.worklist.items.priority import Priority, RequestedPriority
from node.worklist.items.rows import Item, add, load
from node.worklist.items.states import State
from node.worklist.reading import work_items
from tests.node.web.conftest import analyse, arrive, header

PATIENTS = {
    "1.2.1": {"PatientName": "Doe^Jane", "PatientID": "P-1", "AccessionNumber": "A%1"},
    "1.2.2": {"PatientName": 'Müller"s^Änne', "PatientID": "P_2", "AccessionNumber": "A2"},
    "1.2.3": {"PatientName": "Yamada^Tarou=山田^太郎", "PatientID": "P3", "AccessionNumber": "A3"},
}


@pytest.fixture
def three(ledger: Ledger) -> Ledger:
    for number, (uid, patient) in enumerate(PATIENTS.items()):
        arrive(ledger, uid, 1000.0 + number, **patient)
    return ledger


def found(ledger: Ledger, **wanted: object) -> list[str]:
    with ledger.read() as connection:
        return [line.row.study_instance_uid for line in find(connection, Filter(**wanted)).lines]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("words", "uids"),
    [
        ("", ["1.2.1", "1.2.2", "1.2.3"]),
        ("doe", ["1.2.1"]),
        ("Jane, DOE", ["1.2.1"]),
        ("müller", ["1.2.2"]),
        ("MÜLLER ÄNNE", ["1.2.2"]),
        ('"s', ["1.2.2"]),
        ("山田", ["1.2.3"]),
        ("p-1", ["1.2.1"]),
        ("P_", ["1.2.2"]),  # neither % nor _ is a wildcard
        ("a%", ["1.2.1"]),
        ("1.2.3", ["1.2.3"]),
        ("chest", ["1.2.1", "1.2.2", "1.2.3"]),
        ("doe müller", []),
        ("00100010", []),  # a tag is no text
    ],
)
def test_words_are_found_wherever_they_stand(three: Ledger, words: str, uids: list[str]) -> None:
    assert found(three, words=words) == uids


def test_urgent_ones_come_first_and_can_be_had_alone(three: Ledger) -> None:
    with three.write() as connection:
        work_items.raise_priority(connection, "1.2.3", RequestedPriority(Priority.HIGH, "Pneumothorax"), 2000.0)
    assert found(three) == ["1.2.3", "1.2.1", "1.2.2"]
    assert found(three, priority="HIGH") == ["1.2.3"]
    assert found(three, words="pneumothorax") == ["1.2.3"]
    with three.read() as connection:
        assert find(connection, Filter()).counts == {"HIGH": 1, "MEDIUM": 2, "LOW": 0}


def test_claimed_and_ended_ones_are_found_by_state(three: Ledger) -> None:
    with three.write() as connection:
        for uid, state in (("1.2.1", State.IN_PROGRESS), ("1.2.2", State.COMPLETED)):
            connection.execute(WORK_ITEM.update().where(WORK_ITEM.c.study_instance_uid == uid).values(state=state))
    assert found(three) == ["1.2.1", "1.2.3"]
    assert found(three, states="waiting") == ["1.2.3"]
    assert found(three, states="claimed") == ["1.2.1"]
    assert found(three, states="ended") == ["1.2.2"]


def test_there_is_more_than_the_limit(three: Ledger) -> None:
    with three.read() as connection:
        for words in ("", "chest"):
            listing = find(connection, Filter(words=words, limit=2))
            assert (len(listing.lines), listing.more) == (2, True)
            assert not find(connection, Filter(words=words, limit=3)).more


def test_a_line_has_the_present_findings_of_the_model(three: Ledger, tmp_path: Path) -> None:
    analyse(three, tmp_path, "1.2.2")
    with three.read() as connection:
        line = find(connection, Filter(words="müller")).lines[0]
    assert [(one.label, one.probability, one.threshold) for one in line.present] == [("Pneumothorax", 0.87, 0.5)]
    assert (line.analysis, line.packages, line.row.priority) == ("analysed", ("chest-xray",), "HIGH")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("Ärztä^Weiß", ("ärztä", "ÄRZTÄ", "weiß", "weiss", "WEISS", "WEIẞ", "ä^w")),
        ("WEISS^STRASSE", ("weiß", "straße")),
        ("Süßbier^Hüß", ("süssbier", "SÜẞBIER", "hüß", "üss")),
        ("Παπαδόπουλος^Άννα", ("παπαδόπουλος", "ΠΑΠΑΔΌΠΟΥΛΟΣ", "άννα")),
        ("İbrahim^Işık", ("İbrahim", "brahim", "şık")),
        ("Wang^XiaoMing=王^小明", ("王", "小明", "王^小明", "xiaoming=王", "wang^xiaoming=王^小明")),
        ('a\\b/c^"d%e_f', ("a\\b", "b/c", '"d', "d%e", "e_f")),
    ],
)
def test_names_are_found_however_they_are_written(ledger: Ledger, name: str, words: tuple[str, ...]) -> None:
    insert_items(ledger, {"00100010": {"vr": "PN", "Value": [_groups(name)]}}, 1)
    for typed in words:
        assert found(ledger, words=typed) == ["1.2.10000"], typed
    assert found(ledger, words=f"{words[0]}§") == []


def test_a_reason_beyond_ascii_is_found(three: Ledger) -> None:
    with three.write() as connection:
        connection.execute(
            WORK_ITEM.update().where(WORK_ITEM.c.study_instance_uid == "1.2.1").values(priority_reason="Ödem, 肺炎")
        )
    assert found(three, words="ödem") == found(three, words="肺炎 ÖDEM") == ["1.2.1"]


def test_the_longest_words_are_searched(three: Ledger) -> None:
    letters = "".join(map(chr, range(0x4E00, 0x4E00 + 200)))
    assert found(three, words=letters) == found(three, words=" ".join(letters[:100])) == []
    assert found(three, words="üss" * 66) == []


def _groups(name: str) -> dict[str, str]:
    return dict(zip(("Alphabetic", "Ideographic"), name.split("="), strict=False))


def insert_items(ledger: Ledger, rare: dict[str, object], number: int) -> None:
    """So many work items, the last of which has these attributes."""
    with ledger.write() as connection:
        uid = work_items.ensure_item(connection, header("1.2.0", PatientName="Common^Name", PatientID="P"), 0.0)
        item = load(connection, uid)
        assert item is not None
        row = dict(connection.execute(select(WORK_ITEM)).mappings().one())
        rows = [
            row | {"sop_instance_uid": f"1.9.{one}", "study_instance_uid": f"1.2.{one}", "created_at": one}
            for one in range(1, number)
        ]
        if rows:
            connection.execute(WORK_ITEM.insert(), rows)
        other = Item(
            "1.9.10000", "1.2.10000", item.state, item.priority, item.source, "", None, "",
            item.attributes | rare, 10_000.0,
        )  # fmt: skip
        add(connection, other)


def test_ten_thousand_work_items_are_listed_and_searched_in_time(ledger: Ledger) -> None:
    rare = {"Alphabetic": "Rare\\x^Jäger", "Ideographic": "王^小明"}
    insert_items(ledger, {"00100010": {"vr": "PN", "Value": [rare]}}, 10_000)
    searches = [("", 100), ("common", 100), *((word, 1) for word in ("rare", "ä", "JÄGER", "王", "小明", "e\\x"))]
    for words, count in (*searches, ("ö", 0), ("李", 0), ("common ä", 0)):
        with ledger.read() as connection:
            started = time.thread_time()  # not the clock on the wall: other tests may want the same core
            assert len(find(connection, Filter(words=words)).lines) == count, words
            assert time.thread_time() - started < 0.3, words
