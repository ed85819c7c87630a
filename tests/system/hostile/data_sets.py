"""Data Sets that cost memory, that two parsers read differently, that are broken, and those of chance."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

from pydicom.uid import CTImageStorage, DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian

from tests.fuzz.chance import changed
from tests.fuzz.datasets import DATASETS, Broken, deflated
from tests.fuzz.seeds import SEEDS
from tests.fuzz.targets import SYNTAXES
from tests.node.damaged import cut_after_uids, with_short_rows, with_unknown_vr
from tests.node.dicom.test_headers import HOSTILE as ELEMENTS
from tests.node.phantoms import INSTANCE, encoded, image
from tests.system.hostile.kind import Answer, Kind, first, spread
from tests.system.hostile.limited import Site
from tests.system.hostile.raw import in_own_study, pieces, stores

_BOMB = 12_000 << 20  # bytes that 12 MB inflate to
_SEED = 13
_DAMAGED: tuple[tuple[str, Callable[[], bytes]], ...] = (
    ("cut after its UIDs", lambda: cut_after_uids(image())),
    ("a VR that there is none of", lambda: with_unknown_vr(image())),
    ("Rows of one byte", lambda: with_short_rows(image())),
)


def _costly(site: Site, most: int) -> Iterator[Answer]:
    """Elements before the patient: the file is sent in pieces and never in memory as a whole."""
    before_patient = b"\x10\0\x10\0PN"
    for name, (element, zeros) in spread(list(ELEMENTS.items()), most - 1):
        uid, whole = in_own_study(INSTANCE, encoded(image()))
        at = whole.index(before_patient)
        nothing = (bytes(1 << 20) for _ in range(zeros >> 20))
        sends = (*pieces(whole[:at] + element), *nothing, *pieces(whole[at:]))
        answer = stores(site, uid, sends, ExplicitVRLittleEndian, CTImageStorage)
        yield Answer(name, answer, answer in ("0x0000", "0xC000"))
    uid, whole = in_own_study(INSTANCE, encoded(image()))
    answer = stores(site, uid, pieces(deflated(whole, _BOMB)), DeflatedExplicitVRLittleEndian, CTImageStorage)
    yield Answer("12 MB that inflate to 12,000 MiB", answer, answer == "0x0000")


def _broken(site: Site, most: int) -> Iterator[Answer]:
    for number, one in spread(list(enumerate(DATASETS)), most):
        answer = _store_broken(site, one, f"{INSTANCE}.{number}")
        yield Answer(one.name, answer, answer == one.status)


def _store_broken(site: Site, one: Broken, uid: str) -> str:
    dataset = one.dataset(uid)
    # what was deflated has its UIDs where they cannot be replaced
    own, renamed = (uid.encode(), dataset) if uid.encode() not in dataset else in_own_study(uid, dataset)
    return stores(site, own, pieces(renamed), one.syntax, CTImageStorage)


def _disagreeing(site: Site, most: int) -> Iterator[Answer]:
    """What each of two parsers may read differently: VRs that are wrong, blank, or unknown."""
    inputs = [(name, SYNTAXES[data[0]], data[1:]) for name, data in SEEDS["parsers"].items()]
    inputs += [(name, ExplicitVRLittleEndian, make()) for name, make in _DAMAGED]
    for name, syntax, dataset in spread(inputs, most):
        uid, own = (INSTANCE.encode(), dataset) if syntax.is_deflated else in_own_study(INSTANCE, dataset)
        answer = stores(site, uid, pieces(own), syntax, CTImageStorage)
        yield Answer(name, answer, answer in ("0x0000", "0xC000"))


def _by_chance(site: Site, most: int) -> Iterator[Answer]:
    seeds = list(SEEDS["identity"].values())
    for number, data in enumerate(first(changed(seeds, random.Random(_SEED)), most)):
        syntax, dataset = SYNTAXES[data[0] % len(SYNTAXES)] if data else SYNTAXES[0], data[1:]
        uid, own = in_own_study(INSTANCE, dataset)
        uid = uid if own != dataset else INSTANCE.encode()
        answer = stores(site, uid, pieces(own), syntax, CTImageStorage)
        yield Answer(str(number), answer, answer in ("0x0000", "0xA900", "0xC000"))


KINDS = (
    Kind("headers that cost memory", _costly, few=3),
    Kind("broken Data Sets", _broken, few=8),
    Kind("two parsers of one file", _disagreeing, few=5),
    Kind("Data Sets by chance", _by_chance, few=10, many=300),
)
