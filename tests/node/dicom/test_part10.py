from __future__ import annotations

import struct
from pathlib import Path

import pytest
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from node.dicom.dimse import file_meta
from node.dicom.part10 import Part10, dataset_offset, read_part10
from node.errors import UnreadableInstance
from tests.node.phantoms import INSTANCE, encoded, image, part10, save


def test_it_says_who_the_instance_is_and_where_its_data_set_lies(tmp_path: Path) -> None:
    path = save(tmp_path / "1", image())
    head = read_part10(path)
    assert (head.sop_class_uid, head.sop_instance_uid) == (CTImageStorage, INSTANCE)
    assert head.transfer_syntax_uid == ExplicitVRLittleEndian
    content = path.read_bytes()
    assert content[head.dataset_at :] == encoded(image())
    assert head.dataset_at + head.size == len(content)


def test_a_file_without_a_data_set_and_a_head_longer_than_the_first_read(tmp_path: Path) -> None:
    meta, path = file_meta("1.2", "1.3", "1.4"), tmp_path / "1"
    path.write_bytes(meta)
    assert read_part10(path) == Part10(path, "1.2", "1.3", "1.4", len(meta), 0)
    private = struct.pack("<HH2sHL", 2, 0x0102, b"OB", 0, 10**5) + bytes(10**5)
    path.write_bytes(meta + private + b"\x08\0\x05\0CS\0\0")
    assert read_part10(path) == Part10(path, "1.2", "1.3", "1.4", len(meta) + len(private), 8)


def test_a_uid_that_is_not_there_is_empty(tmp_path: Path) -> None:
    (tmp_path / "1").write_bytes(bytes(128) + b"DICM" + struct.pack("<HH2sH4s", 2, 0x0002, b"UI", 4, b"1.2\0"))
    head = read_part10(tmp_path / "1")
    assert (head.sop_class_uid, head.sop_instance_uid, head.transfer_syntax_uid) == ("1.2", "", "")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no DICOM at all",
        bytes(200),
        part10(b"")[:200],  # cut off within the File Meta Information
        bytes(128) + b"DICM" + struct.pack("<HH2sHL", 2, 1, b"OB", 0, 0xFFFFFFFF) + bytes(50),
        bytes(128) + b"DICM" + struct.pack("<HH2sH4s", 2, 0x0002, b"UI", 4, b"1.\xff\xff"),
    ],
)
def test_what_cannot_be_read_is_said(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "1").write_bytes(content)
    with pytest.raises(UnreadableInstance):
        read_part10(tmp_path / "1")


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(UnreadableInstance, match="No such file"):
        read_part10(tmp_path / "nowhere")


def test_where_the_data_set_of_a_kept_file_begins_does_not_depend_on_what_was_sent(tmp_path: Path) -> None:
    """A Data Set that itself begins with group 0002 is not taken for File Meta Information."""
    meta = file_meta("1.2", "1.3", "1.4")
    (tmp_path / "1").write_bytes(meta + struct.pack("<HH2sH4s", 2, 0x0010, b"UI", 4, b"1.5\0"))
    assert dataset_offset(tmp_path / "1") == len(meta)
    (tmp_path / "1").write_bytes(meta[:140])
    for path in (tmp_path / "1", tmp_path / "nowhere"):
        with pytest.raises(UnreadableInstance):
            dataset_offset(path)
