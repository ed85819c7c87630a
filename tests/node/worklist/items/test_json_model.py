from __future__ import annotations

from io import BytesIO

import pytest
from pydicom import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_dataset
from pydicom.filewriter import write_dataset

from node.worklist.items.json_model import (
    MOST_CHARACTERS,
    from_dataset,
    has_value,
    items,
    keyword_of,
    put,
    text,
    texts,
    to_dataset,
)
from node.worklist.items.statuses import UpsRefused
from tests.node.worklist.scu import code, pushed


def over_the_wire(dataset: Dataset) -> Dataset:
    buffer = DicomBytesIO()
    buffer.is_little_endian, buffer.is_implicit_VR = True, True
    write_dataset(buffer, dataset)
    return read_dataset(BytesIO(buffer.getvalue()), is_implicit_VR=True, is_little_endian=True)


def test_there_and_back_again_with_umlauts_and_ideographs():
    sent = pushed()
    sent.SpecificCharacterSet = "ISO_IR 100"
    sent.PatientName = "Müller^Änne"
    sent.CommentsOnTheScheduledProcedureStep = "erste Zeile\r\nzweite Zeile"
    kept, dropped = from_dataset(over_the_wire(sent))
    assert dropped == ()
    assert "00080005" not in kept
    assert text(kept, "PatientName") == "Müller^Änne"
    back = over_the_wire(to_dataset(kept))
    assert back.SpecificCharacterSet == "ISO_IR 192"
    assert back.PatientName == "Müller^Änne"
    assert back.CommentsOnTheScheduledProcedureStep == sent.CommentsOnTheScheduledProcedureStep
    assert back.ScheduledWorkitemCodeSequence[0] == sent.ScheduledWorkitemCodeSequence[0]
    again, _ = from_dataset(back)
    assert again == kept


def test_a_name_in_three_scripts():
    sent = Dataset()
    sent.SpecificCharacterSet = "ISO_IR 192"
    sent.PatientName = "Yamada^Tarou=山田^太郎=やまだ^たろう"
    kept, _ = from_dataset(over_the_wire(sent))
    assert texts(kept["00100010"]) == ("Yamada^Tarou=山田^太郎=やまだ^たろう",)
    assert over_the_wire(to_dataset(kept)).PatientName == sent.PatientName


def test_plain_ascii_needs_no_character_set():
    kept, _ = from_dataset(over_the_wire(pushed()))
    assert "SpecificCharacterSet" not in to_dataset(kept)


def test_numbers_and_tags_survive():
    sent = Dataset()
    sent.ProcedureStepProgress = "33.3"
    sent.SelectorAttribute = 0x00100010
    sent.PatientSize = "1.75"
    sent.InstanceNumber = "7"
    kept, _ = from_dataset(over_the_wire(sent))
    assert over_the_wire(to_dataset(kept)) == over_the_wire(sent)


def test_private_and_bulk_attributes_are_not_kept_at_any_depth():
    sent = pushed()
    item = code("1", "99X", "one")
    item.add_new(0x00091001, "LO", "secret")
    item.PixelData = b"\0" * 10
    item["PixelData"].VR = "OW"
    sent.ScheduledStationNameCodeSequence = [item]
    kept, dropped = from_dataset(over_the_wire(sent))
    assert len(dropped) == 2
    assert set(items(kept, "ScheduledStationNameCodeSequence")[0]) == {"00080100", "00080102", "00080104"}


def test_what_is_too_large_or_not_understood_is_refused():
    sent = Dataset()
    sent.TextValue = "x" * MOST_CHARACTERS  # VR UT
    with pytest.raises(UpsRefused) as refusal:
        from_dataset(sent)
    assert refusal.value.status == 0x0213
    broken = read_dataset(BytesIO(b"\x10\x00\x30\x10\x02\x00\x00\x00xx"), is_implicit_VR=True, is_little_endian=True)
    with pytest.raises(UpsRefused) as refusal:
        from_dataset(broken)
    assert refusal.value.status == 0x0106
    assert "xx" not in str(refusal.value)


def test_empty_is_not_a_value():
    attributes: dict[str, object] = {}
    put(attributes, "PatientName", "")
    put(attributes, "ScheduledWorkitemCodeSequence")
    put(attributes, "PatientID", "1")
    assert attributes["00100010"] == {"vr": "PN"}
    assert [has_value(attributes, k) for k in ("PatientName", "ScheduledWorkitemCodeSequence", "PatientID")] == [
        False,
        False,
        True,
    ]
    assert not has_value(attributes, "PatientSex")
    assert keyword_of("00100010") == "PatientName"
    assert keyword_of("00091001") == "(0009,1001)"
    with pytest.raises(KeyError):
        put(attributes, "NoSuchKeyword", "1")
