"""HL7 orders: malformed, too long, half ones, and those of chance."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

from tests.fuzz.chance import changed
from tests.fuzz.seeds import SEEDS
from tests.node.worklist.orders.test_listener import OMG, fill
from tests.system.hostile.kind import NOTHING, Answer, Kind, first, spread
from tests.system.hostile.limited import Site
from tests.system.hostile.raw import acknowledgements, orders

_CORPUS = Path(__file__).parents[2] / "fuzz" / "corpus" / "hl7"
_SEED = 13


def _block(content: str) -> bytes:
    return b"\x0b" + content.encode() + b"\x1c\r"


_ORDER = fill(OMG)
_ODD: dict[str, tuple[bytes, str]] = {  # what is sent, and the acknowledgements
    "an order as it should be": (_block(_ORDER), "AA"),
    "1.2 MB": (_block(_ORDER + "NTE|1||" + "x" * 1_200_000 + "\r"), "AR"),
    "half a message": (_block(_ORDER)[:-40], "AE"),
    "half a message, then a whole one": (_block(_ORDER)[:-40] + _block(_ORDER), "AE AA"),
    "no MSH": (_block("PID|1\r"), "AR"),
    "MSH alone": (_block("MSH|^~\\&\r"), "AE"),
    "no control ID": (_block(fill(OMG, id="")), "AE"),
    "an accession number of 65 characters": (_block(fill(OMG, accession="9" * 65)), "AE"),
    "a character set that there is none of": (_block(fill(OMG, charset="KLINGON", accession="\xfc")), "AE"),
    "cancelled before it was ordered": (_block(fill(OMG, control="CA", accession="NEVER")), "AA"),
    "a byte order mark": (b"\x0b\xef\xbb\xbf" + _ORDER.encode() + b"\x1c\r", "AA"),
    "a batch of two": (_block("BHS|^~\\&|RIS\r" + _ORDER + _ORDER + "BTS|2\r"), "AA AA"),
    "no frame": (_ORDER.encode(), NOTHING),
    "HTTP": (b"POST / HTTP/1.1\r\nHost: x\r\n\r\n", NOTHING),
    "nothing between the frame's bytes": (b"\x0b\x1c\r", "AR"),
}


def _odd(site: Site, most: int) -> Iterator[Answer]:
    for name, (stream, expected) in spread(list(_ODD.items()), most):
        answer = acknowledgements(orders(site, stream))
        yield Answer(name, answer, answer == expected)


def _by_chance(site: Site, most: int) -> Iterator[Answer]:
    seeds = [*SEEDS["hl7"].values(), *(path.read_bytes() for path in sorted(_CORPUS.iterdir()))]
    for number, stream in enumerate(first(changed(seeds, random.Random(_SEED)), most)):
        yield Answer(str(number), acknowledgements(orders(site, stream)))


KINDS = (
    Kind("HL7 oddities", _odd, few=len(_ODD)),
    Kind("HL7 by chance", _by_chance, few=30, many=500),
)
