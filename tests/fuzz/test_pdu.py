"""The upper layer and commands without a network: whatever comes, an instance ends once, and the layer, too."""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator
from itertools import islice, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.dicom.dimse import StoreRequest, read_store_request, store_response
from node.upperlayer.pdata import LONGEST_COMMAND
from node.upperlayer.streaming import LONGEST_MESSAGE, LONGEST_OTHER
from tests.fuzz import wire
from tests.fuzz.chance import TRIES, changed
from tests.fuzz.crashes import replayed
from tests.fuzz.line import AWAITING, ESTABLISHED, Basket, Line, line
from tests.fuzz.seeds import SEEDS
from tests.fuzz.targets import TARGETS
from tests.fuzz.wire import COMMAND, LAST, P_DATA, WHOLE, item, pdu
from tests.node.phantoms import INSTANCE, encoded, image

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # pydicom says what it meets in garbage
DATASET = encoded(image())
STORE = wire.store(INSTANCE)

controls = st.integers(0, 255)
contexts = st.sampled_from([1, 3, 5, 0, 255])
fragments = st.one_of(st.binary(max_size=40), st.sampled_from([STORE, wire.echo(), DATASET, b""]))
items = st.builds(item, fragments, controls, contexts)
bodies = st.one_of(st.binary(max_size=60), st.lists(items, max_size=5).map(b"".join))
pdus = st.builds(pdu, st.integers(0, 8), bodies)
uids = st.lists(st.integers(0, 10**9), min_size=1, max_size=6).map(lambda parts: ".".join(map(str, parts)))


@pytest.fixture(scope="module")
def end() -> Iterator[Line]:
    with line() as end:
        yield end


@pytest.mark.parametrize("name", ["pdu", "association", "command"])
def test_what_once_went_wrong_and_what_lies_beside_the_right_goes_well(name: str) -> None:
    with TARGETS[name]() as play:
        for data in (*replayed(name), *SEEDS[name].values()):
            play(data)
        for data in islice(changed(list(SEEDS[name].values()), random.Random(1)), 800):
            play(data)


@TRIES
@given(st.lists(pdus, max_size=6), st.sampled_from([ESTABLISHED, AWAITING]))
def test_any_pdus_in_any_order_come_to_an_end(end: Line, sent: list[bytes], state: str) -> None:
    assert end.play(b"".join(sent), state) in {"Sta1", "Sta13"}


@TRIES
@given(st.data())
def test_however_an_instance_is_cut_into_fragments_it_comes_whole(end: Line, data: st.DataObject) -> None:
    sent = b"".join(
        pdu(P_DATA, b"".join(part))
        for part in _grouped(data, [*_fragments(data, STORE, COMMAND), *_fragments(data, DATASET, 0)])
    )
    end.play(sent)
    assert end.baskets == [Basket(len(DATASET), ["finished"])]
    assert end.requests == [read_store_request(STORE)]


@TRIES
@given(st.data())
def test_wherever_it_is_cut_off_it_is_dropped(end: Line, data: st.DataObject) -> None:
    sent = wire.stored(INSTANCE, DATASET)
    end.play(sent[: data.draw(st.integers(0, len(sent) - 1))])
    assert all(basket.ended == ["abandoned"] for basket in end.baskets)


def _fragments(data: st.DataObject, whole: bytes, control: int) -> list[bytes]:
    cuts = sorted(data.draw(st.sets(st.integers(0, len(whole)), max_size=5)) | {0, len(whole)})
    parts = [whole[a:b] for a, b in pairwise(cuts)]
    return [item(part, control | LAST * (at == len(parts) - 1)) for at, part in enumerate(parts)]


def _grouped(data: st.DataObject, values: list[bytes]) -> Iterator[list[bytes]]:
    while values:
        count = data.draw(st.integers(1, len(values)))
        yield values[:count]
        values = values[count:]


@TRIES
@given(uids, uids, st.integers(0, 0xFFFF), st.integers(0, 0xFFFF))
def test_a_command_says_what_was_written(sop_class: str, uid: str, message: int, status: int) -> None:
    request = read_store_request(wire.store(uid, message, sop_class))
    assert request == StoreRequest(message, sop_class, uid)
    answer = store_response(request, status)
    assert wire.status(answer) == status
    assert struct.unpack_from("<L", answer, 8)[0] == len(answer) - 12


@pytest.mark.parametrize(
    "sent",
    [
        pdu(P_DATA, b"", 0xFFFFFFFF),
        pdu(P_DATA, struct.pack(">LBB", LONGEST_COMMAND + 3, 1, WHOLE), 0xFFFFFFFF),
        pdu(wire.RQ, b"", LONGEST_OTHER + 1),
        pdu(P_DATA, item(bytes(60000), COMMAND) * 2),
        pdu(P_DATA, item(wire.echo().replace(b"\1\1", b"\0\0"), WHOLE, 3))
        + pdu(P_DATA, item(bytes(1 << 19), 0, 3)) * (LONGEST_MESSAGE >> 19),
    ],
)
def test_what_would_have_to_be_kept_in_memory_has_an_end(end: Line, sent: bytes) -> None:
    end.play(sent + bytes(1 << 20))
    assert end.sent == 10, "an A-ABORT, and nothing else"


def test_what_is_no_uid_does_not_go_back(end: Line) -> None:
    end.play(wire.stored("1." + "2" * 60_000, DATASET))
    assert end.requests[0].sop_instance_uid.endswith("222")
    assert end.sent < 150


def test_requests_wait_until_those_before_are_served(end: Line) -> None:
    end.play(pdu(P_DATA, item(wire.echo(), WHOLE, 3)) * 200)
    assert end.sent == 200 * 90
    assert end.most_waiting == 1
