"""What the fuzzers begin with: right inputs of every kind, so that a few changed bytes reach far."""

from __future__ import annotations

import struct

from pydicom.uid import ImplicitVRLittleEndian

from tests.fuzz import wire
from tests.fuzz.targets import SYNTAXES
from tests.node.phantoms import INSTANCE, PATIENT_ID, encoded, image
from tests.node.worklist.orders.test_listener import ADT, OMG, OMI, ORM, fill
from tests.workers.imaging_phantoms import pydicom_file

_DATASET = encoded(image())
_SPLIT = wire.pdu(4, wire.item(wire.store(INSTANCE)[:30], wire.COMMAND)) + wire.pdu(
    4,
    wire.item(wire.store(INSTANCE)[30:], wire.WHOLE)
    + wire.item(_DATASET[:50], 0)
    + wire.item(b"", 0)
    + wire.item(_DATASET[50:], wire.LAST)
    + wire.item(wire.echo(), wire.WHOLE, 3),
)
_ECHO = wire.pdu(4, wire.item(wire.echo(), wire.WHOLE, 3))
_FIND = wire.command(
    wire.element(0x0002, wire.even(b"1.2.840.10008.5.1.4.1.2.2.1")), wire.number(0x0100, 0x20),
    wire.number(0x0110, 5), wire.number(0x0700, 0), wire.number(0x0800, 1),
)  # fmt: skip
_CANCEL = wire.command(wire.number(0x0100, 0xFFF), wire.number(0x0120, 5), wire.number(0x0800, 0x0101))
_EVENT = wire.command(
    wire.element(0x0002, wire.even(b"1.2.840.10008.1.20.1")), wire.number(0x0100, 0x100), wire.number(0x0110, 5),
    wire.number(0x0800, 0x0101), wire.element(0x1000, b"1.2.840.10008.1.20.1.1"), wire.number(0x1002, 1),
)  # fmt: skip
_STREAMS = {
    "store": wire.stored(INSTANCE, _DATASET),
    "two": wire.stored(INSTANCE, _DATASET) + wire.stored(INSTANCE + ".1", _DATASET, 8),
    "split": _SPLIT,
    "echo": _ECHO,
    "find": wire.pdu(4, wire.item(_FIND, wire.WHOLE, 3) + wire.item(b"\x08\0\x05\0\0\0\0\0", wire.LAST, 3)),
    "cancel": wire.pdu(4, wire.item(_CANCEL, wire.WHOLE, 3)) * 3,
    "event": wire.pdu(4, wire.item(_EVENT, wire.WHOLE, 3)),
    "release": wire.pdu(wire.RELEASE, bytes(4)),
    "abort": wire.pdu(wire.ABORT, bytes(4)),
    "reply": wire.pdu(wire.RELEASED, bytes(4)) + wire.pdu(wire.RJ, b"\0\1\1\1"),
}
_USER = b"".join(
    (
        wire.sub_item(0x53, struct.pack(">HH", 2, 2)),
        wire.sub_item(0x54, struct.pack(">H", 17) + b"1.2.840.10008.1.1" + b"\1\1"),
        wire.sub_item(0x55, b"FUZZ_1"),
        wire.sub_item(0x56, struct.pack(">H", 17) + b"1.2.840.10008.1.1" + b"abc"),
        wire.sub_item(0x57, struct.pack(">H17sH17sH", 17, b"1.2.840.10008.1.1", 17, b"1.2.840.10008.4.2", 0)),
        wire.sub_item(0x58, struct.pack(">BBH4sH4s", 2, 1, 4, b"user", 4, b"word")),
    )
)

# Specific Character Set, and the Patient ID in it or in another one.
_TEXTS = (
    ("ISO_IR 192", b"M\xc3\xbcller "), ("ISO_IR 192", b"M\xfcller_4"), ("ISO_IR 100", b"M\xfcller_4"),
    ("\\ISO 2022 IR 58 ", b"\x1b$)A\xd5\xc5_4"), ("ISO 2022 IR 87", b"\x1b$B;3\x1b(B"), ("GB18030 ", b"\xd5\xc5_471 1"),
)  # fmt: skip
_OF_OTHER_VRS = ((b"\x20\0\x0d\0", b"UI"), (b"\x10\0\x20\0", b"LO"), (b"\x28\0\x10\0", b"US"))

SEEDS: dict[str, dict[str, bytes]] = {
    "pdu": _STREAMS,
    "association": {f"within-{name}": b"\1" + data for name, data in _STREAMS.items()}
    | {
        "plain": b"\0" + wire.association_request(),
        "all": b"\0" + wire.association_request(more=_USER) + wire.stored(INSTANCE, _DATASET) + _STREAMS["release"],
        "stranger": b"\0" + wire.association_request(calling=b"STRANGER"),
    },
    "command": {
        "store": wire.store(INSTANCE), "echo": wire.echo(), "find": _FIND, "cancel": _CANCEL, "event": _EVENT,
    },
    "identity": {
        f"syntax-{number}": bytes([number]) + encoded(image(), syntax) for number, syntax in enumerate(SYNTAXES)
    },
    "header": {
        f"syntax-{number}": bytes([number]) + encoded(image(), syntax) for number, syntax in enumerate(SYNTAXES)
    }
    | {"sequence": b"\1" + encoded(image(ReferencedStudySequence=[image()]), ImplicitVRLittleEndian)},
    "parsers": {
        f"vr-{vr.encode().hex()}-{number}": b"\0"
        + encoded(image()).replace(tag + right, tag + vr.ljust(2).encode("latin-1"))
        for number, (tag, right) in enumerate(_OF_OTHER_VRS)
        for vr in ("UI", "UL", "", "\0\0", "lo", "QQ", "SH", "DS")
    }
    | {f"syntax-{number}": bytes([number]) + encoded(image(), syntax) for number, syntax in enumerate(SYNTAXES)}
    | {"sequence": b"\1" + encoded(image(ReferencedStudySequence=[image()]), ImplicitVRLittleEndian)}
    | {
        f"text-{number}": b"\0\x08\0\x05\0CS" + struct.pack("<H", len(declared)) + declared.encode()
        + encoded(image()).replace(PATIENT_ID.encode(), value)
        for number, (declared, value) in enumerate(_TEXTS)
    },
    "pixels": {
        name: pydicom_file(name).read_bytes()
        for name in ("MR_small.dcm", "MR_small_RLE.dcm", "MR_small_jp2klossless.dcm", "MR_small_jpeg_ls_lossless.dcm")
    },
    "codestream": {
        "jpeg": b"\xff\xd8\xff\xe0\0\4\0\0\xff\xc0\0\x0b\x08\0\x10\0\x20\1\1\x11\0",
        "jpeg2000": b"\xff\x4f\xff\x51\0\x29\0\0" + struct.pack(">4I", 32, 16, 0, 0),
    },
    "hl7": {
        name: b"\x0b" + fill(template, study="1.2.3").encode() + b"\x1c\r"
        for name, template in (("omg", OMG), ("omi", OMI), ("orm", ORM), ("adt", ADT))
    },
}  # fmt: skip
