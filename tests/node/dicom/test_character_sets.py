"""Names as devices write them, read alike wherever they are read: in the ledger, the worklist and the results."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from pydicom import Dataset
from pydicom.dataelem import RawDataElement
from pydicom.tag import Tag
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from node.dicom.character_sets import UNREADABLE, declared_in, decoded
from node.dicom.headers import read_attributes, read_header
from node.dicom.identity import identify
from node.worklist.items.json_model import from_dataset, text
from node.worklist.reading.data_set import HEADER_TAGS, header_values
from tests.node.phantoms import INSTANCE, SERIES, STUDY, part10

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # pydicom's, of what is wrong on purpose

MUELLER, ZHANG, YAMADA = "Müller^Zoë", "Zhang^San=张^三", "Yamada^Tarou=山田^太郎"
GB, KR = "张三".encode("gb2312"), "홍길동".encode("euc_kr")
IN_58 = b"Zhang^San=\x1b$)A\xd5\xc5^\x1b$)A\xc8\xfd"
IN_87 = b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B"
LATIN, UTF = MUELLER.encode("latin-1"), MUELLER.encode()

# Specific Character Set and value as sent, and the text; what it is in where that is not declared.
CASES: dict[str, tuple[bytes, bytes, str, str]] = {
    "UTF-8": (b"ISO_IR 192", UTF, MUELLER, ""),
    "Latin-1": (b"ISO_IR 100", LATIN, MUELLER, ""),
    "Latin-2": (b"ISO_IR 101", "Wałęsa".encode("iso8859-2"), "Wałęsa", ""),
    "Cyrillic": (b"ISO_IR 144", "Иван".encode("iso8859-5"), "Иван", ""),
    "katakana": (b"ISO_IR 13", "ﾔﾏﾀﾞ".encode("shift_jis"), "ﾔﾏﾀﾞ", ""),
    "GB18030": (b"GB18030", "张三".encode("gb18030"), "张三", ""),
    "58": (b"\\ISO 2022 IR 58", IN_58, ZHANG, ""),
    "87": (b"ISO 2022 IR 6\\ISO 2022 IR 87", IN_87, YAMADA, ""),
    "149": (b"\\ISO 2022 IR 149", b"Hong=\x1b$)C" + KR, "Hong=홍길동", ""),
    "58 behind Latin-1": (b"ISO 2022 IR 100\\ISO 2022 IR 58", b"M\xfcl=\x1b$)A" + GB + b"^\xfc", "Mül=张三^ü", ""),
    "58 alone": (b"ISO 2022 IR 58", IN_58, ZHANG, ""),
    "58 without escapes": (b"\\ISO 2022 IR 58", GB, "张三", ""),
    "58 alone without escapes": (b"ISO 2022 IR 58", GB, "张三", ""),
    "58 escaped once": (b"\\ISO 2022 IR 58", b"=\x1b$)A\xd5\xc5^\xc8\xfd", "=张^三", ""),
    "58, not declared": (b"", IN_58, ZHANG, "ISO 2022"),
    "58 under Latin-1": (b"ISO_IR 100", IN_58, ZHANG, "ISO 2022"),
    "58 under UTF-8": (b"ISO_IR 192", IN_58, ZHANG, "ISO 2022"),
    "87, not declared": (b"", IN_87, YAMADA, "ISO 2022"),
    "Latin-1 under UTF-8": (b"ISO_IR 192", LATIN, MUELLER, "Latin-1"),
    "Windows-1252 under UTF-8": (b"ISO_IR 192", b"O\x92Brien^Zo\xeb", "O’Brien^Zoë", "Latin-1"),
    "two umlauts in a row under UTF-8": (b"ISO_IR 192", "Müßig^Öz".encode("latin-1"), "Müßig^Öz", "Latin-1"),
    "Latin-1 under Japanese": (b"\\ISO 2022 IR 87", LATIN, MUELLER, "Latin-1"),
    "GB under UTF-8": (b"ISO_IR 192", GB, "\ufffd" * 4, UNREADABLE),
    "GB beside pinyin under UTF-8": (b"ISO_IR 192", b"Zhang=" + GB, "Zhang=" + "\ufffd" * 4, UNREADABLE),
    "a cut UTF-8": (b"ISO_IR 192", "张三".encode()[:-1], "张\ufffd", UNREADABLE),
    "UTF-8, not declared": (b"", UTF, MUELLER, "UTF-8"),
    "UTF-8 as the default repertoire": (b"ISO_IR 6", UTF, MUELLER, "UTF-8"),
    "UTF-8 under Latin-1": (b"ISO_IR 100", UTF, MUELLER, "UTF-8"),
    "UTF-8 under Arabic": (b"ISO_IR 127", "张三".encode(), "张三", "UTF-8"),
    "Chinese in UTF-8, not declared": (b"", "张三".encode(), "张三", "UTF-8"),
    "Latin-1, not declared": (b"", LATIN, MUELLER, "Latin-1"),
    "Latin-1 under a set that there is none of": (b"ISO_IR 999", LATIN, MUELLER, "Latin-1"),
    "a codec of Python's that is none of text": (b"zlib_codec", LATIN, MUELLER, "Latin-1"),
    "spelt UTF-8": (b"UTF-8", UTF, MUELLER, ""),
    "spelt with underscores": (b"iso_ir_192", UTF, MUELLER, ""),
    "spelt without blanks": (b"ISO2022IR58", GB, "张三", ""),
    "Windows-1252": (b"WINDOWS-1252", LATIN, MUELLER, ""),
    "an escape that there is none of": (b"\\ISO 2022 IR 87", b"Yamada=\x1b$X;3ED", "Yamada=;3ED", UNREADABLE),
    "an escape within an escape": (b"", b"\x1b$)A\xd5\xc5\x1b^\x1b", "ÕÅ^", UNREADABLE),
    "half an escape": (b"", b"Yamada\x1b", "Yamada", UNREADABLE),
}  # fmt: skip


@pytest.mark.parametrize("what", CASES)
def test_a_text_is_read_as_what_it_is(what: str) -> None:
    declared, value, expected, other = CASES[what]
    assert decoded(value, declared_in(declared) if declared else ()) == (expected, other)


def encoded(implicit: bool, *elements: tuple[int, str, bytes]) -> bytes:
    """A Data Set, byte by byte."""
    found = b""
    for tag, vr, content in elements:
        value = content + (b"\0" if vr == "UI" else b" ") * (len(content) % 2)
        head = struct.pack("<HH", tag >> 16, tag & 0xFFFF)
        if implicit:
            found += head + struct.pack("<L", len(value)) + value
        elif vr == "SQ":
            found += head + b"SQ\0\0" + struct.pack("<L", len(value)) + value
        else:
            found += head + vr.encode() + struct.pack("<H", len(value)) + value
    return found


def instance(declared: bytes, name: bytes, *, implicit: bool = False) -> bytes:
    """A Data Set whose Patient ID, name and requested procedure are written with the same bytes."""
    item = encoded(implicit, (0x00321060, "LO", name))
    request = b"\xfe\xff\x00\xe0" + struct.pack("<L", len(item)) + item
    return encoded(
        implicit,
        *([(0x00080005, "CS", declared)] if declared else []),
        (0x00080016, "UI", CTImageStorage.encode()), (0x00080018, "UI", INSTANCE.encode()),
        (0x00100010, "PN", name), (0x00100020, "LO", name),
        (0x0020000D, "UI", STUDY.encode()), (0x0020000E, "UI", SERIES.encode()), (0x00400275, "SQ", request),
    )  # fmt: skip


@pytest.mark.parametrize("implicit", [False, True])
@pytest.mark.parametrize("what", CASES)
def test_ledger_worklist_and_results_read_the_same(what: str, implicit: bool, tmp_path: Path) -> None:
    declared, value, expected, other = CASES[what]
    data = instance(declared, value, implicit=implicit)
    syntax = ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian
    path = tmp_path / "instance.dcm"
    path.write_bytes(part10(data, syntax))
    header, values = read_header(path), header_values(read_attributes(path, HEADER_TAGS))
    assert identify(data, syntax, CTImageStorage, INSTANCE).patient_id == expected.strip()
    assert (str(header.PatientName), header.PatientID) == (expected, expected)
    assert header.RequestAttributesSequence[0].RequestedProcedureDescription == expected
    assert text(values, "PatientName") == expected
    assert header.undeclared == ({other} if other else set())


def test_a_work_item_that_a_peer_writes_is_read_the_same() -> None:
    dataset = Dataset()
    dataset.SpecificCharacterSet = "ISO_IR 192"
    tag = Tag("PatientName")
    dataset[tag] = RawDataElement(tag, "PN", len(LATIN), LATIN, 0, False, True)
    assert text(from_dataset(dataset)[0], "PatientName") == MUELLER
