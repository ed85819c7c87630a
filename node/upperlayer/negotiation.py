"""A-ASSOCIATE-RQ and -AC as pynetdicom can read them (PS3.8 9.3.2, 9.3.3, Annex D): pure, from bytes to bytes.

pynetdicom's decoder raises for every item, length and value that it does not know, and prefers the acceptor's order of
transfer syntaxes. Here reserved fields and unknown items are left out as PS3.8 wants, and of each presentation context
that a peer proposes the first transfer syntax that we accept is left: instances are kept as they were sent, and a
sender that cannot decompress must not lose its images.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Collection, Iterable, Iterator, Mapping

from node.upperlayer.pdata import InvalidPDU

_FIXED = struct.Struct(">H2x16s16s32x")  # protocol version, called and calling AE title; Table 9-11
_ITEM, _LENGTH = struct.Struct(">BxH"), struct.Struct(">H")
_APPLICATION, _PROPOSED, _RESULT, _ABSTRACT, _TRANSFER, _USER = 0x10, 0x20, 0x21, 0x30, 0x40, 0x50
_MAXIMUM_LENGTH, _IMPLEMENTATION, _ROLES, _VERSION_NAME = 0x51, 0x52, 0x54, 0x55  # PS3.8 D.1, PS3.7 D.3.3
_VERSION = 0x0001  # of the protocol; bit 0, the only one that is tested, was looked at before
_UID = re.compile(rb"(0|[1-9]\d*)(\.(0|[1-9]\d*))*")
_LONGEST_UID, _LONGEST_NAME, _BACKSLASH = 64, 16, 0x5C
_NO_UID = b"0.0"  # in place of what is no UID: nobody accepts it
_DICOM = b"1.2.840.10008.3.1.1.1"  # DICOM Application Context Name, PS3.7 A.2.1
A_ASSOCIATE_AC, A_ASSOCIATE_RJ, A_ABORT = 0x02, 0x03, 0x07
_REJECT_REASONS = {1: (1, 2, 3, 7), 2: (1, 2), 3: (1, 2)}  # by source, Table 9-21
_PROVIDER, _ABORT_REASONS = 2, (0, 1, 2, 4, 5, 6)  # Table 9-26
_USER_REJECTION = 1  # Table 9-18; results from 5 are not defined
_TITLE = b"ANY".ljust(16)  # Table 9-17: reserved, not tested


def plain_title(field: bytes) -> bytes:
    """An AE title without its padding: spaces around it do not count (Table 9-11); some end it with a NUL."""
    return field.split(b"\0", 1)[0].strip(b" ")


def plain_request(body: bytes, supported: Mapping[str, Collection[str]]) -> bytes:
    """The body of an A-ASSOCIATE-RQ; each context has one transfer syntax, and another only where we accept none.

    Parameters
    ----------
    supported
        The transfer syntaxes that we accept, by abstract syntax.

    Raises
    ------
    InvalidPDU
        An item has no whole header or reaches too far, or one that PS3.8 requires is missing.
    """
    _, called, calling = _FIXED.unpack_from(body)
    items = list(_items(body[_FIXED.size :]))
    contexts = [data for kind, data in items if kind == _PROPOSED]
    if not contexts or not any(kind == _USER for kind, _ in items):
        raise InvalidPDU("an A-ASSOCIATE-RQ lacks an item that it must have")
    if len({data[:1] for data in contexts}) < len(contexts):
        raise InvalidPDU("an A-ASSOCIATE-RQ gives a presentation context ID twice")
    return (
        _FIXED.pack(_VERSION, plain_title(called).ljust(16), plain_title(calling).ljust(16))
        + _item(_APPLICATION, _first_uid(items, _APPLICATION, _DICOM))
        + b"".join(_item(_PROPOSED, _proposed(data, supported)) for data in contexts)
        + _user_information(items)
    )


def plain_response(kind: int, body: bytes) -> bytes:
    """The body of an A-ASSOCIATE-AC, -RJ or A-ABORT with defined values alone; that of another PDU as it is.

    Raises
    ------
    InvalidPDU
        It is too short, or an item has no whole header or reaches too far.
    """
    if kind == A_ASSOCIATE_AC:
        return _acceptance(body)
    if kind not in (A_ASSOCIATE_RJ, A_ABORT):
        return body
    if len(body) < 4:
        raise InvalidPDU("an A-ASSOCIATE-RJ or A-ABORT is cut off")
    _, result, source, reason = body[:4]
    if kind == A_ASSOCIATE_RJ:
        source = source if source in _REJECT_REASONS else 1
        reason = reason if reason in _REJECT_REASONS[source] else 1
        return bytes((0, result if result in (1, 2) else 1, source, reason))
    return bytes((0, 0, _PROVIDER, reason if reason in _ABORT_REASONS else 0)) if source == _PROVIDER else bytes(4)


def _acceptance(body: bytes) -> bytes:
    """The transfer syntax of a context that is not accepted does not count, nor do the titles."""
    if len(body) < _FIXED.size:
        raise InvalidPDU("an A-ASSOCIATE-AC is cut off")
    items = list(_items(body[_FIXED.size :]))
    return (
        _FIXED.pack(_VERSION, _TITLE, _TITLE)
        + _item(_APPLICATION, _first_uid(items, _APPLICATION, _DICOM))
        + b"".join(_item(_RESULT, _answered(data)) for kind, data in items if kind == _RESULT)
        + _user_information(items)
    )


def _proposed(data: bytes, supported: Mapping[str, Collection[str]]) -> bytes:
    syntaxes = list(_items(data[4:]))
    proposed = [value for kind, value in syntaxes if kind == _TRANSFER]
    if not proposed or not any(kind == _ABSTRACT and value for kind, value in syntaxes):
        raise InvalidPDU("an A-ASSOCIATE-RQ proposes a context without a syntax")
    abstract = _first_uid(syntaxes, _ABSTRACT)
    uids = [_uid(value) or _NO_UID for value in proposed]
    accepted = supported.get(abstract.decode(), ())
    chosen = next((uid for uid in uids if uid.decode() in accepted), uids[0])
    return data[:1] + bytes(3) + _item(_ABSTRACT, abstract) + _item(_TRANSFER, chosen)


def _answered(data: bytes) -> bytes:
    if len(data) < 4:
        raise InvalidPDU("a presentation context of an A-ASSOCIATE-AC is cut off")
    context_id, result = data[0], data[2]
    syntax = _first_uid(_items(data[4:]), _TRANSFER)
    return bytes((context_id, 0, result if result < 5 else _USER_REJECTION, 0)) + _item(_TRANSFER, syntax)


def _user_information(items: list[tuple[int, bytes]]) -> bytes:
    """The sub-items that we act on, each kind once but the roles (PS3.7 D.3.3.4), and those only where they are whole.

    The rest is what we answer with no item anyway: we take part in no extended negotiation (PS3.7 D.3.3).
    """
    kept: dict[bytes, bytes] = {}
    for _, data in filter(lambda item: item[0] == _USER, items):
        for kind, value in _items(data):
            sub_item = _sub_item(kind, value)
            if sub_item:
                kept.setdefault(sub_item if kind == _ROLES else bytes((kind,)), _item(kind, sub_item))
    return _item(_USER, b"".join(kept.values()))


def _sub_item(kind: int, value: bytes) -> bytes:
    """As pynetdicom takes it; empty where it is not one that counts."""
    if kind == _MAXIMUM_LENGTH:
        return value if len(value) == 4 else b""
    if kind == _IMPLEMENTATION:
        return _uid(value)
    if kind == _VERSION_NAME:
        return bytes(byte for byte in value if 0x20 <= byte < 0x7F and byte != _BACKSLASH)[:_LONGEST_NAME].strip()
    return _role(value) if kind == _ROLES else b""


def _role(value: bytes) -> bytes:
    length = _LENGTH.unpack_from(value)[0] if len(value) >= 2 else 0
    uid, roles = _uid(value[2 : 2 + length]), value[2 + length : 4 + length]
    return _LENGTH.pack(len(uid)) + uid + bytes(map(bool, roles)) if uid and len(roles) == 2 else b""


def _first_uid(items: Iterable[tuple[int, bytes]], kind: int, default: bytes = _NO_UID) -> bytes:
    return next((_uid(value) for found, value in items if found == kind), b"") or default


def _uid(value: bytes) -> bytes:
    """A UID without the padding that some give it; empty where it is none (PS3.5 9.1)."""
    uid = value.rstrip(b"\0 ")
    return uid if len(uid) <= _LONGEST_UID and _UID.fullmatch(uid) else b""


def _item(kind: int, data: bytes) -> bytes:
    return _ITEM.pack(kind, len(data)) + data


def _items(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Type and content of each item."""
    at = 0
    while at < len(data):
        if len(data) - at < _ITEM.size:
            raise InvalidPDU("an item has no header")
        kind, length = _ITEM.unpack_from(data, at)
        at += _ITEM.size
        if at + length > len(data):
            raise InvalidPDU("an item reaches beyond its PDU")
        yield kind, data[at : at + length]
        at += length
